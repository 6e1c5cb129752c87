"""What the whole chain, screening and classifier, finds on rendered film: detection curves and false alarms.

Targets of each class are drawn into film in sizes that straddle what can be seen; a hit is a target that a kept spot
lies on, whatever class it was given. Hit or miss over ln(size) gives the curve by a logit fit. This is a *design* POD:
film and targets are rendered. A release POD needs coupons with known holes and wires under the real camera.

Run ``python -m models.film_pod --bundle DIR [--json] [--write]``.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from line.bundle import DetectionCurve, open_bundle
from line.defect_rows import DefectClass
from line.model import load_line
from models.candidate_bundle import with_detection
from models.detection_fit import logit_fit
from models.film_patches import PIXEL_UM, WIDTH_PX, Roll, drawn_roll, event_classes, overlap, screened_strips
from models.film_strips import STRIP_LINES, drawn_style
from vision.candidates import CLEAN, Classifier, patch
from vision.screening import Spot, Test
from vision.session import ModelSession

log = logging.getLogger(__name__)

FALSE_ALARMS_PER_M2 = 0.5
"""Budget that the gates are set for, with the share of clean candidates that the classifier lets pass."""
STREAK_ALARMS_PER_M2 = 0.05

_TARGETS, _CLEAN_M2 = 200, 2.0
_TARGET_STRIPS, _CLEAN_STRIPS = 16, 200
_MARGIN_PX = 4
"""A spot this near to a target still lies on it: spots are whole cells of the quarter image."""
_PILOT_TARGETS, _PILOT_SIZES, _SIZES = 40, (0.06, 3.0), (0.3, 3.5)
"""Sizes are drawn evenly in ln(size): a pilot's from and to these shares of the published a50, then of the pilot's."""
_SMALLEST_UM = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDetection:
    """Hits and misses of one class."""

    kind: str
    targets_count: int
    hits_count: int
    named_fraction: float
    """Of the hits, given their own class by the spot that is surest."""
    a50_um: float
    s: float
    published_a50_um: float
    published_s: float

    @property
    def a90_um(self) -> float:
        return self.a50_um * math.exp(math.log(9) * self.s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What was measured, on how much."""

    classes: tuple[ClassDetection, ...]
    clean_m2: float
    false_alarms_count: int
    streak_alarms_count: int
    """Of them, from the column test."""
    candidates_count: int
    """Spots that screening found on the same sound film."""
    candidates_per_m2: float
    """That the gates were set for."""

    @property
    def false_alarms_per_m2(self) -> float:
        return self.false_alarms_count / self.clean_m2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """Spots of a roll before classification."""

    images: NDArray[np.uint8]
    touches: tuple[tuple[int, ...], ...]
    """By spot: indices of the targets under it."""
    tests: tuple[Test, ...]
    """By spot: the test that found it."""


def measured_detection(
    bundle_path: Path,
    *,
    seed: int = 7,
    targets: int = _TARGETS,
    clean_m2: float = _CLEAN_M2,
    progress: Callable[[str, float], None] = lambda _stage, _share: None,
) -> Detection:
    """Measure a bundle.

    Args:
        bundle_path: folder of a `film-candidates` bundle.
        seed: of film and targets; another one than the bundle was trained with.
        targets: of each class, at least.
        clean_m2: sound film to count false alarms on, at least.
        progress: told the stage and its share done.

    Raises:
        BundleError: no such bundle, or altered.
    """
    rows = event_classes(load_line())
    with ModelSession(open_bundle(bundle_path, task="film-candidates"), "cpu") as session:
        classifier = Classifier(session)
        rate = FALSE_ALARMS_PER_M2 / classifier.passed_fraction()
        around = {row.code: (row.pod_a50_um or 100.0, _PILOT_SIZES) for row in rows}
        pilot = _hits(classifier, rows, around, rate, (seed, 2), _PILOT_TARGETS, progress)
        around = {kind: (_fit(entries)[0], _SIZES) for kind, entries in pilot.items()}
        hits = _hits(classifier, rows, around, rate, (seed, 0), targets, progress)
        candidates, area = 0, 0.0
        alarms: Counter[str] = Counter()
        roll_m2 = _CLEAN_STRIPS * STRIP_LINES * WIDTH_PX * (PIXEL_UM * 1e-6) ** 2
        count = max(1, round(clean_m2 / roll_m2))
        for _, looked in _looked_rolls((), rate, (seed, 1), count, _CLEAN_STRIPS):
            answers = classifier.classify(looked.images)
            candidates += len(answers)
            alarms.update(test for answer, test in zip(answers, looked.tests, strict=True) if answer.kind != CLEAN)
            area += roll_m2
            progress("sound film", area / (count * roll_m2))
    return Detection(
        classes=tuple(_fitted(row, hits[row.code]) for row in rows),
        clean_m2=area,
        false_alarms_count=alarms.total(),
        streak_alarms_count=alarms["streak"],
        candidates_count=candidates,
        candidates_per_m2=rate,
    )


_Entry = tuple[float, bool, bool]
"""Size of a target, whether it was hit, whether it was given its own class."""


def _hits(
    classifier: Classifier,
    rows: Sequence[DefectClass],
    around: Mapping[str, tuple[float, tuple[float, float]]],
    rate: float,
    seed: tuple[int, ...],
    targets: int,
    progress: Callable[[str, float], None],
) -> dict[str, list[_Entry]]:
    """By class, what became of each target."""

    def size_of(row: DefectClass, rng: np.random.Generator) -> float:
        middle, (low, high) = around[row.code]
        return float(max(_SMALLEST_UM, middle * math.exp(rng.uniform(math.log(low), math.log(high)))))

    found: dict[str, list[_Entry]] = {row.code: [] for row in rows}
    batch = 8
    number = 0
    while any(len(entries) < targets for entries in found.values()):
        wanted = [row for row in rows if len(found[row.code]) < targets]
        for roll, looked in _looked_rolls(wanted, rate, (*seed, number), batch, _TARGET_STRIPS, size_of):
            answers = classifier.classify(looked.images)
            surest: dict[int, tuple[float, str]] = {}
            for answer, touched in zip(answers, looked.touches, strict=True):
                for index in touched if answer.kind != CLEAN else ():
                    surest[index] = max(surest.get(index, (0.0, "")), (answer.score, answer.kind))
            for index, made in enumerate(roll.stamps):
                kind = made.target.kind
                found[kind].append((made.target.size_um, index in surest, surest.get(index, (0, ""))[1] == kind))
        number += 1
        progress("targets", sum(min(len(entries), targets) for entries in found.values()) / targets / len(rows))
    return found


def _looked_rolls(
    rows: Sequence[DefectClass],
    rate: float,
    seed: tuple[int, ...],
    count: int,
    strips: int,
    size_of: Callable[[DefectClass, np.random.Generator], float] | None = None,
) -> Iterator[tuple[Roll, _Looked]]:
    """So many rolls, rendered and screened two at a time; without rows, sound film."""

    def of_roll(number: int) -> tuple[Roll, _Looked]:
        rng = np.random.default_rng((*seed, number))
        roll = drawn_roll(
            rows,
            {},
            rng,
            candidates_per_m2=rate,
            streaks_per_m2=STREAK_ALARMS_PER_M2,
            style=replace(drawn_style(rng), bordered=False, speck_rate=0.0, flicker_rate=0.0),
            strips=strips,
            tries=40 if rows else 0,
            size_of=size_of,
        )
        return roll, _looked(roll, strips)

    with ThreadPoolExecutor(max_workers=2) as pool:
        yield from pool.map(of_roll, range(count))


def _looked(roll: Roll, strips: int) -> _Looked:
    images, touches, tests = [], [], []
    for first_line, planes, found in screened_strips(roll, strips=strips):
        for spot in found.spots:
            images.append(patch(planes, found, roll.gates, spot))
            touches.append(_under(roll, spot, first_line))
            tests.append(spot.test)
    stacked = np.stack(images) if images else np.empty((0, 3, 64, 64), np.uint8)
    return _Looked(images=stacked, touches=tuple(touches), tests=tuple(tests))


def _under(roll: Roll, spot: Spot, first_line: int) -> tuple[int, ...]:
    return tuple(
        index
        for index, made in enumerate(roll.stamps)
        if made.top < first_line + STRIP_LINES
        and made.bottom > first_line
        and made.left <= spot.column_end + _MARGIN_PX
        and made.right >= spot.column_start - _MARGIN_PX
        and overlap(spot, first_line, made, _MARGIN_PX)[0]
    )


def _fitted(row: DefectClass, entries: Sequence[_Entry]) -> ClassDetection:
    a50, s = _fit(entries)
    hits_count = sum(hit for _, hit, _ in entries)
    named = sum(named for _, _, named in entries)
    return ClassDetection(
        kind=row.code,
        targets_count=len(entries),
        hits_count=hits_count,
        named_fraction=named / max(1, hits_count),
        a50_um=a50,
        s=s,
        published_a50_um=row.pod_a50_um or 0.0,
        published_s=row.pod_s or 0.0,
    )


def _fit(entries: Sequence[_Entry]) -> tuple[float, float]:
    sizes = np.array([size for size, _, _ in entries], np.float64)
    return logit_fit(sizes, np.array([hit for _, hit, _ in entries], bool))


def curves(found: Detection) -> dict[str, DetectionCurve]:
    """Detection curves for a manifest, by class."""
    return {
        each.kind: DetectionCurve(
            a50_um=round(each.a50_um, 2),
            s=round(each.s, 4),
            measured=True,
            how=f"design POD of screening and classifier: rendered film, {each.targets_count} targets, "
            f"{PIXEL_UM:g} µm/px",
        )
        for each in found.classes
    }


def card_section(found: Detection) -> list[str]:
    """Lines of the model card."""
    lines = [
        "Measured on rendered film that was not trained on, screening and classifier together: a *design* POD. It says",
        "what the chain can do with film that looks like its training film, not what it does on a line. Sizes were",
        f"drawn from {_SIZES[0]:g} to {_SIZES[1]:g} times the a50 of a pilot study; a hit counts in any class.",
        "",
        "| class | targets | hits | a50 µm | s | a90 µm | published a50 µm | published s | named right |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each.kind} | {each.targets_count} | {each.hits_count} | {each.a50_um:.0f} | {each.s:.2f} | "
        f"{each.a90_um:.0f} | {each.published_a50_um:.0f} | {each.published_s:.2f} | {each.named_fraction:.2f} |"
        for each in found.classes
    ]
    lines += [
        "",
        f"On {found.clean_m2:.2f} m² of sound film screening, set for {found.candidates_per_m2:.0f} per m², found",
        f"{found.candidates_count} spots, and the classifier kept {found.false_alarms_count} "
        f"({found.streak_alarms_count} of them streaks): {found.false_alarms_per_m2:.2f} false alarms per m²,",
        f"the budget being {FALSE_ALARMS_PER_M2:g}. That film has no wild pixels, flicker or border of the coat.",
    ]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what a bundle detects."""
    parser = argparse.ArgumentParser(prog="python -m models.film_pod", description=main.__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--seed", type=int, default=7, help="of film and targets")
    parser.add_argument("--targets", type=int, default=_TARGETS, help="of each class")
    parser.add_argument("--clean-m2", type=float, default=_CLEAN_M2, help="sound film to count false alarms on")
    parser.add_argument("--json", action="store_true", help="the figures as JSON instead of a table")
    parser.add_argument("--write", action="store_true", help="put the curves into the bundle and its card")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    found = measured_detection(
        chosen.bundle,
        seed=chosen.seed,
        targets=chosen.targets,
        clean_m2=chosen.clean_m2,
        progress=lambda stage, share: log.info("%s: %.0f %%", stage, 100 * share),
    )
    figures = {
        "false_alarms_per_m2": round(found.false_alarms_per_m2, 3),
        "false_alarms_count": float(found.false_alarms_count),
        "clean_m2": round(found.clean_m2, 3),
        "candidates_on_sound_film_count": float(found.candidates_count),
    }
    if chosen.write:
        metrics = {**figures, **{f"named_right_{each.kind}": round(each.named_fraction, 3) for each in found.classes}}
        with_detection(open_bundle(chosen.bundle), curves(found), metrics, card_section(found))
    if chosen.json:
        table = {
            each.kind: {
                "targets_count": each.targets_count,
                "hits_count": each.hits_count,
                "a50_um": round(each.a50_um, 2),
                "s": round(each.s, 4),
                "a90_um": round(each.a90_um, 2),
                "named_fraction": round(each.named_fraction, 3),
                "published_a50_um": each.published_a50_um,
            }
            for each in found.classes
        }
        sys.stdout.write(json.dumps({**figures, "classes": table}, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(card_section(found)) + "\n")


if __name__ == "__main__":
    main()

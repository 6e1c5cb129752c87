"""What the whole chain, screening and classifier, finds on rendered film: detection curves and false alarms.

Targets of each class are drawn into film in sizes that straddle what can be seen; a hit is a target that a kept spot
lies on, whatever class it was given. Hit or miss over ln(size) gives the curve by a logit fit. This is a *design* POD:
film and targets are rendered. A release POD needs coupons with known holes and wires under the real camera.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from line.bundle import open_bundle
from line.defect_rows import DefectClass
from line.model import load_line
from models.detection_fit import logit_fit
from models.film_patches import PIXEL_UM, WIDTH_PX, Roll, drawn_roll, event_classes, overlap, screened_strips
from models.film_strips import STRIP_LINES, drawn_style
from vision.candidates import CLEAN, Classified, Classifier, patch
from vision.screening import Spot, Test
from vision.session import ModelSession

FALSE_ALARMS_PER_M2 = 0.5
"""Budget that the gates are set for, as inspection sets them (`vision/strips.py`)."""
_STREAK_SHARE, _MOST_CANDIDATES_PER_M2 = 0.2, 100.0

TARGETS, CLEAN_M2 = 200, 2.0
"""Of each class at least; sound film at least."""
_TARGET_STRIPS, _CLEAN_STRIPS = 16, 200
_MARGIN_PX = 4
"""A spot this near to a target still lies on it: spots are whole cells of the quarter image."""
_PILOT_TARGETS, _PILOT_SIZES, SIZES = 40, (0.06, 3.0), (0.3, 3.5)
"""Sizes are drawn evenly in ln(size): a pilot's from and to these shares of the published a50, then of the pilot's.
None is smaller than the smallest of its class in table 2.2: there is no wrinkle of 20 µm."""


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

    @property
    def all_found(self) -> bool:
        return self.hits_count == self.targets_count


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
    spots: tuple[Spot, ...]
    first_lines: tuple[int, ...]
    """By spot: where its strip begins on the roll."""


def measured_detection(
    bundle_path: Path,
    *,
    seed: int = 7,
    targets: int = TARGETS,
    clean_m2: float = CLEAN_M2,
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
        passed = classifier.passed_fraction()
        rate = min((1 - _STREAK_SHARE) * FALSE_ALARMS_PER_M2 / passed, _MOST_CANDIDATES_PER_M2)
        around = {row.code: (row.pod_a50_um or 100.0, _PILOT_SIZES) for row in rows}
        pilot = _hits(classifier, rows, around, rate, (seed, 2), _PILOT_TARGETS, progress)
        around = {kind: (_fit(entries)[0], SIZES) for kind, entries in pilot.items()}
        hits = _hits(classifier, rows, around, rate, (seed, 0), targets, progress)
        candidates, area = 0, 0.0
        alarms: Counter[str] = Counter()
        roll_m2 = _CLEAN_STRIPS * STRIP_LINES * WIDTH_PX * (PIXEL_UM * 1e-6) ** 2
        count = max(1, round(clean_m2 / roll_m2))
        for _, looked in _looked_rolls((), rate, (seed, 1), count, _CLEAN_STRIPS):
            answers = classifier.classify(looked.images)
            candidates += len(answers)
            alarms.update(_alarms(looked, answers))
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
        middle, shares = around[row.code]
        low = max(row.min_um or 1.0, middle * shares[0])
        high = max(3 * low, middle * shares[1])
        return low * math.exp(rng.uniform(0, math.log(high / low)))

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
            streaks_per_m2=_STREAK_SHARE * FALSE_ALARMS_PER_M2,
            style=replace(drawn_style(rng), bordered=False, speck_rate=0.0, flicker_rate=0.0),
            strips=strips,
            tries=40 if rows else 0,
            size_of=size_of,
        )
        return roll, _looked(roll, strips)

    with ThreadPoolExecutor(max_workers=2) as pool:
        yield from pool.map(of_roll, range(count))


def _looked(roll: Roll, strips: int) -> _Looked:
    images, touches, spots, first_lines = [], [], [], []
    for first_line, planes, found in screened_strips(roll, strips=strips):
        for spot in found.spots:
            images.append(patch(planes, found, roll.gates, spot))
            touches.append(_under(roll, spot, first_line))
            spots.append(spot)
            first_lines.append(first_line)
    stacked = np.stack(images) if images else np.empty((0, 3, 64, 64), np.uint8)
    return _Looked(images=stacked, touches=tuple(touches), spots=tuple(spots), first_lines=tuple(first_lines))


def _alarms(looked: _Looked, answers: Sequence[Classified]) -> list[Test]:
    """The test behind each false alarm of a sound roll; a line that goes on in the next strip is one alarm."""
    alarms: list[Test] = []
    going_on: list[tuple[int, Spot]] = []
    for spot, first_line, answer in zip(looked.spots, looked.first_lines, answers, strict=True):
        if answer.kind == CLEAN:
            continue
        before = [
            (line, other)
            for line, other in going_on
            if line == first_line - STRIP_LINES
            and other.column_start <= spot.column_end
            and other.column_end >= spot.column_start
        ]
        if spot.test != "streak" or not before:
            alarms.append(spot.test)
        if spot.test == "streak":
            going_on.append((first_line, spot))
    return alarms


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
    # Below the smallest that was tried nothing is known, however many of those were found.
    a50 = max(a50, min(size for size, _, _ in entries))
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

"""What film inspection finds, from which size on, what it reports on sound film, and what that means for the line.

    python benchmarks/film_pod.py --json > benchmarks/results/film_pod.json     # hours on one core
    python benchmarks/film_pod.py --json --quick                                # a quarter of an hour

Film is rendered, so this is a design POD. Thin over `models/detection_plan.py`; a textbook pipeline looks at the same
kind of film for comparison. Progress goes to standard error; the last line of standard output is the result.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import machine_described
from line.defect_rows import DefectClass
from line.model import load_line
from models.detection_plan import FULL, QUICK, scaled
from models.detection_study import NOMINAL, killing_size
from models.film_patches import LEARNT_STRIPS, PIXEL_UM, WIDTH_PX, event_classes, placed_stamps, visible
from models.film_pod import SEED, headline, measured, rounded
from models.film_strips import STRIP_LINES, Film
from models.registry import released
from vision.gates import FilmLook, learnt_look

PEER_SIGMAS, PEER_BLUR_PX, PEER_STRIPS = 5.5, 12.0, 48
DEFINITIONS = {
    "film": "rendered by models/film_strips.py: families of texture with correlated grain, gloss, mottling, bands and "
    "curl, column gain, lens, sensor noise; 61 mm wide at 20 µm/px; none of it was trained on; no real film",
    "escaped_killers_per_m2_*": "sum over the classes of table 2.2 without blisters of rate x integral over sizes "
    "(lognormal, cut off at the smallest) of P_kill(d) x (1 - POD(d) [d > reject size]), POD the measured curve",
    "escaped_killers_upper_per_m2_*": "95 % quantile of the same for curves drawn by their likelihood (flat in ln a50 "
    "and ln s)",
    "escaped_killers_as_judged_per_m2_*": "the same rates, but targets drawn as the killers among the defects are, and "
    "stopped where a defect reported on them is rejected or sent to review by its measured size, the class it was "
    "given and the accept rules for single defects; _upper_ is the 95 % quantile by beta draws",
    "escaped_killers_published_per_m2_20um": "the first integral with the curves that the line model assumes (0.147 in "
    "the issue)",
    "escaped_killers_perfect_per_m2": "with a detector that finds everything: killers below the reject size (0.113)",
    "false_alarms_per_m2": "defects reported on sound film over its area, at 20 µm/px; a line that goes on is one; "
    "_high_ is the upper end of the exact two-sided 95 % Poisson interval",
    "rejecting_false_alarms_per_m2": "those of them that reject by their measured size and class",
    "sound_m2": "sound film behind false_alarms_per_m2",
    "plan": "targets of each class and kind of sizes, and m² of sound film, that were asked for",
    "recall_severity_a_min_*": "lowest share found of targets of the size that kills half of the time (kill_d50_um), "
    "over the classes of criticality A; recall_other_min_* over the others",
    "figures.classes_*": "by class: logistic POD over ln(size) fitted to hits and misses, a50, s, a90, and a90/95 by "
    "likelihood ratio (profile, one degree of freedom, one-sided 95 %); recalls at the killing and the reject size; "
    "named_fraction of found targets of killing size that got their own class; stopped_killers_fraction as above",
    "figures.harder": "recall at the killing size, killers stopped and false alarms on a family of texture left out of "
    "training, with lamps 12 % darker than when the film was learnt, with a lens blur of 2 px (at most 1.6 in "
    "training), with the web wandering by 15 px (0.3 mm)",
    "figures.faults": "false alarms by wild pixels (one in 20 strips), flickering lines (the same) and a coat that "
    "ends inside the view; outside the budget",
    "figures.confusion_20um": "true class, given class, count; of the killers as they come that were found",
    "peer": "textbook pipeline, all in float at full resolution: flat field by column means, Gaussian background of "
    "sigma 12 px, threshold at 5.5 sigma in any channel, connected components; recall at the killing size and false "
    "alarms on film of the same conditions; it does not classify, measure or judge",
    "optics": "at 20 µm/px a particle of 32 µm is 1.6 px: found by the light it changes, class and size are guesses; "
    "what changes no light, or less than about three times the grain, is not seen",
}


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--quick", action="store_true", help="a fraction of film and targets")
    parser.add_argument("--bundle", type=Path, help="folder of a bundle; by default the released classifier")
    parser.add_argument("--seed", type=int, default=SEED, help="of film and targets")
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the plan's targets and films, but for 10 m² at 20 µm"
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    machine = machine_described()
    plan = QUICK if options.quick else scaled(FULL, options.share)
    bundle = options.bundle or released("film-candidates")
    found = measured(bundle, plan, seed=options.seed, workers=options.workers, progress=say)
    result: dict[str, Any] = headline(found)
    say("peer", 1.0)
    result["peer"] = peer_figures(event_classes(load_line()), rolls=2 if options.quick else 8, seed=options.seed)
    result |= {"figures": asdict(found), "plan": asdict(plan), "definitions": DEFINITIONS, "machine": machine}
    print(json.dumps(rounded(result), ensure_ascii=False, indent=None if options.json else 2))


def peer_figures(rows: Sequence[DefectClass], *, rolls: int, seed: int) -> dict[str, Any]:
    """Recall and false alarms of the textbook pipeline."""
    found: dict[str, list[bool]] = {row.code: [] for row in rows}
    alarms, area_m2 = 0, 0.0
    for number in range(rolls):
        rng = np.random.default_rng((seed, 10_000, number))
        film = Film(NOMINAL.style(rng), width_px=WIDTH_PX, seed=int(rng.integers(2**31)))
        look = learnt_look([film.strip(STRIP_LINES * line, aged=False) for line in range(LEARNT_STRIPS)])
        first, last = STRIP_LINES * (LEARNT_STRIPS + 1), STRIP_LINES * (LEARNT_STRIPS + PEER_STRIPS - 1)
        stamps = placed_stamps(
            rows, {}, rng, lines=(first, last), blur_px=film.style.blur_px, tries=110, size_of=killing_size
        )
        hit = [False] * len(stamps)
        for line in range(first - STRIP_LINES, last + STRIP_LINES, STRIP_LINES):
            near = [
                (index, made) for index, made in enumerate(stamps) if line - 9 < made.bottom and made.top < line + 265
            ]
            mask, _ = textbook(film.strip(line, [made for _, made in near]), look)
            for index, made in near:
                top, left = max(made.top, line), max(made.left, 0)
                piece = mask[top - line : made.bottom - line, left : made.right]
                inside = visible(made)[top - made.top :, left - made.left :]
                hit[index] |= bool(
                    (piece[: len(inside), : inside.shape[1]] & inside[: len(piece), : piece.shape[1]]).any()
                )
        for index, made in enumerate(stamps):
            found[made.target.kind].append(hit[index])
        for line in range(last + STRIP_LINES, last + STRIP_LINES * (1 + PEER_STRIPS), STRIP_LINES):
            alarms += textbook(film.strip(line), look)[1]
            area_m2 += STRIP_LINES * WIDTH_PX * (PIXEL_UM * 1e-6) ** 2
    return {
        "recall_killing": {kind: sum(hits) / max(1, len(hits)) for kind, hits in found.items()},
        "targets_count": sum(len(hits) for hits in found.values()),
        "false_alarms_per_m2": alarms / area_m2,
        "sound_m2": area_m2,
    }


def textbook(planes: NDArray[np.uint8], look: FilmLook) -> tuple[NDArray[np.bool_], int]:
    """Which pixels stand out in any channel, and in how many connected parts."""
    outside = np.zeros(planes.shape[1:], bool)
    for plane, level, spread in zip(planes, look.level, look.spread, strict=True):
        flat = plane.astype(np.float32) / level
        flat -= cv2.GaussianBlur(flat, (0, 0), PEER_BLUR_PX)
        outside |= np.abs(flat) > PEER_SIGMAS * float(np.median(spread / level))
    return outside, int(cv2.connectedComponentsWithStats(outside.astype(np.uint8), connectivity=8)[0]) - 1


def say(stage: str, share: float) -> None:
    """Tell how far it is."""
    print(f"{share:6.1%} {stage}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

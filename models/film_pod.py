"""Measures what a bundle of the classifier detects on rendered film, and can put the curves into it.

Run ``python -m models.film_pod --bundle DIR [--json] [--write]``; ten minutes or so.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from line.bundle import DetectionCurve, open_bundle
from models.candidate_bundle import with_detection
from models.detection_study import CLEAN_M2, FALSE_ALARMS_PER_M2, SIZES, TARGETS, Detection, measured_detection
from models.film_patches import PIXEL_UM

log = logging.getLogger(__name__)


def curves(found: Detection) -> dict[str, DetectionCurve]:
    """Detection curves for a manifest, by class."""
    return {
        each.kind: DetectionCurve(
            a50_um=round(each.a50_um, 2),
            s=round(each.s, 4),
            measured=True,
            how=f"design POD of screening and classifier: rendered film, {each.targets_count} targets, "
            f"{PIXEL_UM:g} µm/px" + ("; all were found, a50 is the smallest tried" if each.all_found else ""),
        )
        for each in found.classes
    }


def card_section(found: Detection) -> list[str]:
    """Lines of the model card."""
    lines = [
        "Measured on rendered film that was not trained on, screening and classifier together: a *design* POD. It says",
        "what the chain can do with film that looks like its training film, not what it does on a line. Sizes were",
        f"drawn from {SIZES[0]:g} to {SIZES[1]:g} times the a50 of a pilot study, none below the smallest of its class",
        "in table 2.2; an a50 at that size says that nearly all were found. A hit counts whatever class it was given.",
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
        "So few events leave the rate uncertain by several times its value.",
    ]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what a bundle detects."""
    parser = argparse.ArgumentParser(prog="python -m models.film_pod", description=main.__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--seed", type=int, default=7, help="of film and targets")
    parser.add_argument("--targets", type=int, default=TARGETS, help="of each class")
    parser.add_argument("--clean-m2", type=float, default=CLEAN_M2, help="sound film to count false alarms on")
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

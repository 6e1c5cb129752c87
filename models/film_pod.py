"""Measures what film inspection detects on rendered film with a bundle, and writes it into the bundle.

Run ``python -m models.film_pod --bundle DIR [--quick] [--write]``, or with ``--figures FILE`` write what
``benchmarks/film_pod.py --json`` has measured before. Hours on one core, a quarter of one with ``--quick``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from line.bundle import Bundle, DetectionCurve, open_bundle
from line.errors import ConfigError
from line.model import load_line
from models.candidate_bundle import with_detection
from models.detection_card import card_section
from models.detection_figures import ClassFigures, PodFigures, figures_of
from models.detection_plan import FULL, QUICK, Plan, studied
from models.film_patches import event_classes

log = logging.getLogger(__name__)

SEED = 7


def measured(
    bundle: Path, plan: Plan, *, seed: int = SEED, workers: int = 2, progress: Callable[[str, float], None]
) -> PodFigures:
    """The figures of a bundle; parameters as of `models.detection_plan.studied`."""
    ref = open_bundle(bundle, task="film-candidates").ref
    result = studied(bundle, plan, seed=seed, workers=workers, progress=progress)
    return figures_of(result, event_classes(load_line()), f"{ref} {ref.digest[:12]}")


def headline(found: PodFigures) -> dict[str, float]:
    """The figures that count, by the names that the benchmark gives them."""
    fine, coarse, alarms = found.escapes_10um, found.escapes_20um, found.alarms_20um
    return {
        "escaped_killers_per_m2_20um": coarse.by_curves,
        "escaped_killers_upper_per_m2_20um": coarse.by_curves_upper,
        "escaped_killers_as_judged_per_m2_20um": coarse.as_judged,
        "escaped_killers_as_judged_upper_per_m2_20um": coarse.as_judged_upper,
        "escaped_killers_published_per_m2_20um": coarse.published,
        "escaped_killers_perfect_per_m2": coarse.perfect,
        "escaped_killers_per_m2_10um": fine.by_curves,
        "escaped_killers_upper_per_m2_10um": fine.by_curves_upper,
        "escaped_killers_as_judged_per_m2_10um": fine.as_judged,
        "escaped_killers_as_judged_upper_per_m2_10um": fine.as_judged_upper,
        "false_alarms_per_m2": alarms.false_alarms_per_m2,
        "false_alarms_high_per_m2": alarms.false_alarms_high_per_m2,
        "rejecting_false_alarms_per_m2": alarms.rejecting_per_m2,
        "rejecting_false_alarms_high_per_m2": alarms.rejecting_high_per_m2,
        "sound_m2": alarms.sound_m2,
        "false_alarms_per_m2_10um": found.alarms_10um.false_alarms_per_m2,
        "rejecting_false_alarms_per_m2_10um": found.alarms_10um.rejecting_per_m2,
        **{
            f"recall_{group}_min_{pixel}": found.recall_min(pixel, severity_a=group == "severity_a")
            for pixel in ("10um", "20um")
            for group in ("severity_a", "other")
        },
    }


def rounded(value: Any) -> Any:
    """Every float of a nested result to five significant digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


def curves(classes: dict[str, ClassFigures], pixel_um: float) -> dict[str, DetectionCurve]:
    """Detection curves for a manifest, by class."""
    return {
        kind: DetectionCurve(
            a50_um=round(each.a50_um, 2),
            s=round(each.s, 4),
            measured=True,
            how=f"design POD of the whole inspection: rendered film, {each.targets_count} targets, {pixel_um:g} µm/px"
            + ("; all were found, a50 is the smallest tried" if each.found_count == each.targets_count else ""),
            a90_95_um=None if each.a90_95_um is None else round(each.a90_95_um, 2),
        )
        for kind, each in classes.items()
    }


def written(bundle: Bundle, found: PodFigures) -> Bundle:
    """The same bundle with these figures: curves and headline in its manifest, the table in its card.

    Raises:
        ConfigError: the figures are another bundle's network's.
    """
    if not found.bundle.startswith(f"{bundle.ref} "):
        raise ConfigError(
            f"holds figures of {found.bundle}, not of {bundle.ref}; measure this bundle", file=bundle.path
        )
    own_um = bundle.manifest.input.um_per_px or 20.0
    metrics = {name: float(f"{value:.4g}") for name, value in headline(found).items()}
    return with_detection(bundle, curves(found.classes_20um, own_um), metrics, card_section(found))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what a bundle detects."""
    parser = argparse.ArgumentParser(prog="python -m models.film_pod", description=main.__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--seed", type=int, default=SEED, help="of film and targets")
    parser.add_argument("--quick", action="store_true", help="a fraction of film and targets")
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each")
    parser.add_argument("--figures", type=Path, help="take the figures from a result of benchmarks/film_pod.py")
    parser.add_argument("--write", action="store_true", help="put curves and table into the bundle and its card")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if chosen.figures:
        found = msgspec.convert(msgspec.json.decode(chosen.figures.read_bytes())["figures"], PodFigures)
    else:
        found = measured(
            chosen.bundle,
            QUICK if chosen.quick else FULL,
            seed=chosen.seed,
            workers=chosen.workers,
            progress=lambda stage, share: log.info("%3.0f %% %s", 100 * share, stage),
        )
    if chosen.write:
        log.info("wrote %s", written(open_bundle(chosen.bundle), found).ref)
    sys.stdout.write("\n".join(card_section(found)) + "\n")


if __name__ == "__main__":
    main()

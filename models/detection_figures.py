"""Figures of a detection study: curves with bounds, recalls, false alarms with intervals, escaped killers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from line.defect_rows import DefectClass
from line.relations_defects import a90_um, pod_lower_bound
from models.detection_fit import a90_bound_um, likely_curves, logit_fit
from models.detection_plan import StudyResult, What
from models.detection_study import FINE, HARDER, NOMINAL, SeenTarget, SoundFilm, confusion
from models.escapes import (
    counted,
    escaped_killers_per_m2,
    killers_at,
    logistic,
    perfect,
    published,
    size_grid_um,
    upper,
)
from models.pod_release import poisson_interval

_DRAWS = 2000
_SEED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """One class at one pixel."""

    targets_count: int
    """In the sizes that the curve was fitted to."""
    found_count: int
    smallest_um: float
    a50_um: float
    """No smaller than the smallest target: what is below was not tried."""
    s: float
    a90_um: float
    a90_95_um: float | None
    """Upper 95 % bound of a90 by likelihood ratio; none where the targets set none."""
    recall_killing: float
    """Of targets of the size that kills half of the time."""
    recall_killing_low: float
    """Lower 95 % bound of it."""
    recall_reject: float
    """Of targets of the reject size."""
    named_fraction: float
    """Of found targets of the killing size, given their own class."""
    stopped_killers_fraction: float | None
    """Of killers as they come, with a defect on them that is rejected or sent to review; none where left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmFigures:
    """False alarms under one condition."""

    sound_m2: float
    candidates_count: int
    false_alarms_count: int
    false_alarms_per_m2: float
    false_alarms_low_per_m2: float
    false_alarms_high_per_m2: float
    """Of the exact two-sided 95 % Poisson interval."""
    rejecting_count: int
    rejecting_per_m2: float
    rejecting_high_per_m2: float
    alarms_by_class: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EscapeFigures:
    """Killers that go on, per m², accept rules fixed, blisters left out."""

    by_curves: float
    by_curves_upper: float
    """Upper 95 % bound: of curves drawn by their likelihood."""
    as_judged: float
    """By what was done about drawn killers: measured size, given class, verdict."""
    as_judged_upper: float
    published: float
    """By the curves that the line model assumes."""
    perfect: float
    """By a detector that finds everything: killers below the reject size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarderFigures:
    """What is left of it under a harder condition."""

    recall_severity_a_min: float
    recall_other_min: float
    stopped_killers_fraction: float
    """Of killers as they come, weighted by how many of each class there are."""
    alarms: AlarmFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFigures:
    """All figures of a study; the keys of its JSON."""

    bundle: str
    candidates_per_m2: float
    classes_20um: dict[str, ClassFigures]
    classes_10um: dict[str, ClassFigures]
    alarms_20um: AlarmFigures
    alarms_10um: AlarmFigures
    escapes_20um: EscapeFigures
    escapes_10um: EscapeFigures
    harder: dict[str, HarderFigures]
    faults: dict[str, AlarmFigures]
    confusion_20um: dict[str, dict[str, int]]
    severity_a: tuple[str, ...]

    def recall_min(self, pixel: str, *, severity_a: bool) -> float:
        """Lowest recall at the killing size of the classes of severity A, or of the others."""
        found = self.classes_20um if pixel == "20um" else self.classes_10um
        return min(each.recall_killing for kind, each in found.items() if (kind in self.severity_a) == severity_a)


def figures_of(result: StudyResult, rows: Sequence[DefectClass], bundle: str) -> PodFigures:
    """The figures of a study.

    Args:
        rows: event classes of the line model.
        bundle: which classifier, in words.
    """
    severity_a = tuple(row.code for row in rows if row.criticality == "A")
    return PodFigures(
        bundle=bundle,
        candidates_per_m2=result.candidates_per_m2,
        classes_20um={row.code: _class(result, NOMINAL.name, row) for row in rows},
        classes_10um={row.code: _class(result, FINE.name, row) for row in rows},
        alarms_20um=alarms_of(result.sound[NOMINAL.name]),
        alarms_10um=alarms_of(result.sound[FINE.name]),
        escapes_20um=_escapes(result, NOMINAL.name, rows, NOMINAL.pixel_um),
        escapes_10um=_escapes(result, FINE.name, rows, FINE.pixel_um),
        harder={each.name: _harder(result, each.name, rows, severity_a) for each in HARDER},
        faults={
            name: alarms_of(sound)
            for name, sound in result.sound.items()
            if name not in {NOMINAL.name, FINE.name, *(each.name for each in HARDER)}
        },
        confusion_20um=confusion(result.targets[NOMINAL.name, "killers"]),
        severity_a=severity_a,
    )


def alarms_of(sound: SoundFilm) -> AlarmFigures:
    """False alarms of sound film, with exact intervals."""
    count, rejecting, area = len(sound.alarms), sound.rejecting_count, sound.area_m2
    low, high = poisson_interval(count)
    kinds = sorted({kind for kind, _ in sound.alarms})
    return AlarmFigures(
        sound_m2=area,
        candidates_count=sound.candidates_count,
        false_alarms_count=count,
        false_alarms_per_m2=count / area,
        false_alarms_low_per_m2=low / area,
        false_alarms_high_per_m2=high / area,
        rejecting_count=rejecting,
        rejecting_per_m2=rejecting / area,
        rejecting_high_per_m2=poisson_interval(rejecting)[1] / area,
        alarms_by_class={kind: sum(each == kind for each, _ in sound.alarms) for kind in kinds},
    )


def _class(result: StudyResult, condition: str, row: DefectClass) -> ClassFigures:
    def of(what: What) -> list[SeenTarget]:
        return result.targets[condition, what].get(row.code, [])

    curve, killing, killers = of("curve"), of("killing_size"), of("killers")
    sizes, found = _arrays(curve)
    a50, s = logit_fit(sizes, found)
    a50 = max(a50, float(sizes.min()))
    bound = a90_bound_um(sizes, found)
    hits = [each for each in killing if each.found]
    return ClassFigures(
        targets_count=len(curve),
        found_count=int(found.sum()),
        smallest_um=float(sizes.min()),
        a50_um=a50,
        s=s,
        a90_um=a90_um(a50, s),
        a90_95_um=max(bound, a90_um(a50, s)) if math.isfinite(bound) else None,
        recall_killing=len(hits) / len(killing),
        recall_killing_low=pod_lower_bound(len(hits), len(killing)),
        recall_reject=_share([each.found for each in of("reject_size")]),
        named_fraction=_share([each.named == row.code for each in hits]),
        stopped_killers_fraction=_share([each.stopped for each in killers]) if killers else None,
    )


def _escapes(result: StudyResult, condition: str, rows: Sequence[DefectClass], pixel_um: float) -> EscapeFigures:
    rng = np.random.default_rng(_SEED)
    totals = {"curves": 0.0, "judged": 0.0, "published": 0.0, "perfect": 0.0}
    drawn, judged = np.zeros(_DRAWS), np.zeros(_DRAWS)
    for row in counted(rows):
        sizes, found = _arrays(result.targets[condition, "curve"][row.code])
        a50, s = logit_fit(sizes, found)
        smallest = float(sizes.min())
        totals["curves"] += float(escaped_killers_per_m2(row, logistic(a50, s, from_um=smallest)))
        drawn += escaped_killers_per_m2(row, logistic(*likely_curves(sizes, found, rng, _DRAWS), from_um=smallest))
        totals["published"] += float(escaped_killers_per_m2(row, published(row, pixel_um)))
        totals["perfect"] += float(escaped_killers_per_m2(row, perfect))
        killers = result.targets[condition, "killers"][row.code]
        stopped = sum(each.stopped for each in killers)
        rate = killers_per_m2(row)
        totals["judged"] += rate * (1 - stopped / len(killers))
        judged += rate * rng.beta(len(killers) - stopped + 0.5, stopped + 0.5, _DRAWS)
    return EscapeFigures(
        by_curves=totals["curves"],
        by_curves_upper=upper(drawn),
        as_judged=totals["judged"],
        as_judged_upper=upper(judged),
        published=totals["published"],
        perfect=totals["perfect"],
    )


def killers_per_m2(row: DefectClass) -> float:
    """Killers of a class before any inspection."""
    sizes, shares = size_grid_um(row)
    return float((row.rate_per_m2 or 0.0) * (shares * killers_at(row, sizes)).sum())


def _harder(
    result: StudyResult, condition: str, rows: Sequence[DefectClass], severity_a: Sequence[str]
) -> HarderFigures:
    recall = {
        kind: _share([each.found for each in seen]) for kind, seen in result.targets[condition, "killing_size"].items()
    }
    rates = {row.code: killers_per_m2(row) for row in counted(rows)}
    stopped = {
        kind: _share([each.stopped for each in seen]) for kind, seen in result.targets[condition, "killers"].items()
    }
    return HarderFigures(
        recall_severity_a_min=min(value for kind, value in recall.items() if kind in severity_a),
        recall_other_min=min(value for kind, value in recall.items() if kind not in severity_a),
        stopped_killers_fraction=sum(rates[kind] * share for kind, share in stopped.items()) / sum(rates.values()),
        alarms=alarms_of(result.sound[condition]),
    )


def _arrays(seen: Sequence[SeenTarget]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.array([each.size_um for each in seen], np.float64), np.array([each.found for each in seen], np.bool_)


def _share(answers: Sequence[bool]) -> float:
    return sum(answers) / max(1, len(answers))

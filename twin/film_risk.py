"""What film can do to a cell: defects that were seen, and those that nobody saw.

A seen defect fails a cell with the kill curve of its class; the chance is turned into a log loss, which adds up. What
was not seen is a gamma-Poisson matter (the negative-binomial yield of R16): the density of a class has a gamma
distribution, learnt from what was found on an area at the probability of detection, first along the line, then on the
roll itself. All curves are priors; how far they are off is learnt from end-of-line labels in `twin/cell_yield.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from line.bundle import DetectionCurve
from line.events import FilmDefect
from line.model import DefectClass, LineModel
from line.relations_defects import a50_at_pixel_um, detection_probability, kill_probability
from twin.rolls import RollMap

Vector = NDArray[np.float64]

UNKNOWN = "unknown"
_UNKNOWN_LIKE = "AGG"
"""An unnamed defect is taken to kill as the commonest class does."""
_MOST_KILL = 0.98
"""A curve is never believed to be certain, so that one label cannot contradict it for ever."""
_SIZES = 64
_PRIOR_DEFECTS = 1.0
"""Weight of a published rate, in defects."""
_LINE_MEMORY_M2 = 300.0
"""Inspected area after which what the line has shown counts half."""
_ROLL_PRIOR_M2 = 15.0
"""Weight of the line's density against a roll's own, in inspected area."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRisk:
    """Integrals over the size distribution of one class."""

    code: str
    rate_per_m2: float
    detected_share: float
    """Of all defects of the class."""
    missed_killer_share: float
    """Of all defects: killers that are not detected."""
    killer_share: float
    """Of all defects: killers."""


@dataclass(frozen=True, slots=True)
class RollDensity:
    """Gamma distributions of the class densities of one roll: shape and rate [m² that were looked at in full]."""

    shape: Vector
    rate_m2: Vector


class FilmRisk:
    """Kill and detection of the line's defect classes."""

    def __init__(self, line: LineModel, detection: Mapping[str, DetectionCurve] | None = None) -> None:
        rows = [row for row in line.defects if row.measured_as == "event" and row.kill_d50_um]
        self._rows = {row.code: row for row in rows}
        self.codes = tuple(self._rows)
        """Classes with a kill curve, in line order."""
        pixel_um = min((camera.pixel_um for camera in line.film_cameras()), default=20.0)
        self.classes = tuple(_class_risk(row, _curve(row, line, pixel_um, detection or {})) for row in rows)
        self.index = {code: i for i, code in enumerate(self.codes)}
        self._rates = np.array([row.rate_per_m2 for row in self.classes])
        self._detected = np.array([max(row.detected_share, 1e-3) for row in self.classes])
        self._missed = np.array([row.missed_killer_share for row in self.classes])
        self._killers = np.array([row.killer_share for row in self.classes])

    def column(self, kind: str) -> int:
        """Place of a class among `codes`; unnamed and new classes share the last place, behind them."""
        return self.index.get(kind, len(self.codes))

    def kill_probability(self, defect: FilmDefect) -> float:
        """Prior chance that a seen defect fails the cell it lies in."""
        row = self._rows.get(defect.kind) or self._rows[_UNKNOWN_LIKE]
        if not row.kill_d50_um or not row.kill_s or defect.size_um <= 0:
            return 0.0
        return min(_MOST_KILL, float(kill_probability(defect.size_um, row.kill_d50_um, row.kill_s)))

    def log_loss(self, defect: FilmDefect) -> float:
        """-log of the chance to survive a seen defect, by the prior."""
        return -math.log1p(-self.kill_probability(defect))

    def densities(self, rolls: Iterable[RollMap], width_um: int) -> dict[str, RollDensity]:
        """Densities of rolls that are given in the order in which they were coated.

        Each starts from what the line had shown before it, older film counting less, and adds its own.
        """
        found = {}
        seen = np.zeros(len(self.codes))
        area_m2 = 0.0
        for roll in rolls:
            mean = (seen + _PRIOR_DEFECTS) / (area_m2 * self._detected + _PRIOR_DEFECTS / self._rates)
            own_m2 = roll.inspected_along().total * width_um * 1e-12
            counts = self._counts(roll)
            prior_m2 = _ROLL_PRIOR_M2 * self._detected
            found[roll.roll] = RollDensity(mean * prior_m2 + counts, prior_m2 + own_m2 * self._detected)
            fade = 0.5 ** (own_m2 / _LINE_MEMORY_M2)
            seen = fade * seen + counts
            area_m2 = fade * area_m2 + own_m2
        return found

    def unseen_log_loss(self, density: RollDensity, inspected_m2: float, uninspected_m2: float) -> float:
        """-log of the chance that an area holds no killer that nobody saw."""
        exposed = inspected_m2 * self._missed + uninspected_m2 * self._killers
        return float(density.shape @ np.log1p(exposed / density.rate_m2))

    def expected_density(self) -> RollDensity:
        """Before anything was inspected: the published rates."""
        return RollDensity(np.full(len(self.codes), _PRIOR_DEFECTS), _PRIOR_DEFECTS / self._rates)

    def _counts(self, roll: RollMap) -> Vector:
        counts = np.zeros(len(self.codes) + 1)
        for defect in roll.defects.values():
            counts[self.column(defect.kind)] += 1
        return counts[:-1]


def _curve(
    row: DefectClass, line: LineModel, pixel_um: float, detection: Mapping[str, DetectionCurve]
) -> tuple[float, float]:
    measured = detection.get(row.code)
    if measured is not None:
        return measured.a50_um, measured.s
    a50_um = a50_at_pixel_um(row.pod_a50_um or 1.0, pixel_um, published_pixel_um=line.defect_model.pod_pixel_um)
    return float(a50_um), row.pod_s or 1.0


def _class_risk(row: DefectClass, curve: tuple[float, float]) -> ClassRisk:
    normal = NormalDist()
    quantiles = np.array([normal.inv_cdf((i + 0.5) / _SIZES) for i in range(_SIZES)])
    sizes_um = np.maximum((row.median_um or 1.0) * np.exp((row.sigma_ln or 1.0) * quantiles), row.min_um or 0.0)
    kills = kill_probability(sizes_um, row.kill_d50_um or 1.0, row.kill_s or 1.0)
    # What comes about behind the film camera is never seen by it.
    found = detection_probability(sizes_um, *curve) if row.seen_after == "coating" else np.zeros(_SIZES)
    return ClassRisk(
        code=row.code,
        rate_per_m2=max(row.rate_per_m2 or 0.0, 1e-4),
        detected_share=float(np.mean(found)),
        missed_killer_share=float(np.mean(kills * (1 - found))),
        killer_share=float(np.mean(kills)),
    )

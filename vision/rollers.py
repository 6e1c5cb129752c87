"""Defects that come back once a turn of a roller: positions folded by its circumference, and Rayleigh's test.

A roller that prints or scratches does so at one place across the web, so defects are folded with those near them in CD;
what comes all across the web is folded as a whole. Encoder and circumference may be off by some per mille, which
smears phases over a long stretch: a few periods around the nominal one are tried, and paid for in the chance.

Source of the test: Mardia and Jupp, Directional Statistics, 2000, 6.3; its p-value after Zar, Biostatistical Analysis,
27.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, log, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from line.model import Camera, LineModel

LEAST_COUNT = 6
"""Turns that must show a defect."""
PHASE_TOLERANCE = 0.08
"""Of a turn, to either side of the mean phase: what lies beyond is no member."""

_PERIOD_TOLERANCE = 0.003
_SAME_STRENGTH = 0.9
"""Of the best roller's clearness (log of the chance); a longer one that is as clear explains more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumference:
    """Of a roller that touches the web before the camera."""

    roller: str
    station: str
    diameter_mm: float

    @property
    def um(self) -> float:
        return pi * 1000 * self.diameter_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Positions that come back with a roller."""

    circumference: Circumference
    period_um: float
    """As found, near the nominal circumference."""
    phase: float
    """Mean, in turns, of the position 0."""
    p_value: float
    """Chance of it among positions at random, with all periods tried."""
    members: tuple[int, ...]
    """Places in what was folded that lie at the phase."""


def rollers_before(line: LineModel, camera: Camera) -> tuple[Circumference, ...]:
    """Rollers whose defects a camera can see: those at its station or before it."""
    order = [row.code for row in line.stations]
    return tuple(
        Circumference(roller=row.name, station=row.station, diameter_mm=row.diameter_mm)
        for row in line.rollers
        if order.index(row.station) <= order.index(camera.station)
    )


def rayleigh_p(count: int, resultant: float) -> float:
    """Chance that directions at random have at least this mean resultant length (0 to 1).

    Zar's form of the series; for 6 to 48 directions and chances of 0.1 to 0.001 it is 0.9 to 2 times the true one.
    """
    square = (count * resultant) ** 2
    return min(1.0, exp(sqrt(1 + 4 * count + 4 * (count * count - square)) - (1 + 2 * count)))


def folded(places_um: Sequence[int], rollers: Sequence[Circumference]) -> Fold | None:
    """The roller that positions come back with most clearly; None when they are too few.

    A roller twice as long as another folds to two phases where that one folds to one, so it stands back; one half as
    long folds to one phase as well, and then the longer one, which explains more, is named.

    Args:
        places_um: along the web, at least `LEAST_COUNT` of them, in any order.
        rollers: to fold by.
    """
    if len(places_um) < LEAST_COUNT or not rollers:
        return None
    places = np.asarray(places_um, np.float64)
    folds = [_fold(places, roller) for roller in rollers]
    clearest = max(-log(max(fold.p_value, 1e-300)) for fold in folds)
    alike = [fold for fold in folds if -log(max(fold.p_value, 1e-300)) >= _SAME_STRENGTH * clearest]
    best = max(alike, key=lambda fold: fold.circumference.um)
    turns = {round(float(places[k]) / best.period_um - best.phase) for k in best.members}
    return best if len(turns) >= LEAST_COUNT else None


def _fold(places: NDArray[np.float64], roller: Circumference) -> Fold:
    drift = 4 * _PERIOD_TOLERANCE * float(np.ptp(places)) / roller.um
    # Neighbouring periods drift by half a turn over the whole stretch; the nominal one is always among them.
    periods = roller.um * (1 + _PERIOD_TOLERANCE * np.linspace(-1, 1, 2 * ceil(drift / 2) + 1))
    resultants = np.exp(2j * pi * places[None, :] / periods[:, None]).mean(axis=1)
    best = int(np.argmax(np.abs(resultants)))
    phase = float(np.angle(resultants[best]) / (2 * pi)) % 1.0
    off = (places / periods[best] - phase + 0.5) % 1.0 - 0.5
    return Fold(
        circumference=roller,
        period_um=float(periods[best]),
        phase=phase,
        p_value=min(1.0, rayleigh_p(places.size, float(np.abs(resultants[best]))) * len(periods)),
        members=tuple(int(k) for k in np.flatnonzero(np.abs(off) <= PHASE_TOLERANCE)),
    )

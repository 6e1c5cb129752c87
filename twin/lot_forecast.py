"""Yield of a group of cells that have no verdict yet, with an interval that keeps its promise.

The mean is that of the cells' own probabilities, moved by how far such means have been off (a discounted beta-binomial
on finished lots). The spread has three parts: chance in each cell, what lots have in common and the cells do not show
(over-dispersion rho, learnt from finished lots), and what is not known of the model's strengths. A beta-binomial with
this mean and variance gives the interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_FADE = 0.9
"""Weight of a finished lot when the next one has finished."""
_PRIOR_CELLS = 100.0
"""How many finished cells as expected the record begins with."""
_PRIOR_RHO = 0.01
_PRIOR_LOTS = 5.0
"""Over-dispersion before there is a record, and its weight in lots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedLot:
    """A lot whose cells all have their verdict."""

    expected: float
    """Passes that were expected: the sum of the probabilities."""
    cells_count: int
    passed_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What finished lots have shown of forecasts: a ratio of odds and an over-dispersion."""

    shift: float = 0.0
    """To be added to the logit of an expected fraction."""
    shift_variance: float = 0.0
    rho: float = _PRIOR_RHO


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A fraction with an interval."""

    expected: float
    low: float
    high: float


def record_of(lots: Iterable[FinishedLot]) -> Record:
    """The record after lots, oldest first; an older lot counts less."""
    expected = passed = cells = 0.0
    excess, lots_weight = _PRIOR_RHO * _PRIOR_LOTS, _PRIOR_LOTS
    for lot in lots:
        n = lot.cells_count
        mean = _clipped(lot.expected / n)
        expected, passed, cells = _FADE * expected + lot.expected, _FADE * passed + lot.passed_count, _FADE * cells + n
        excess, lots_weight = _FADE * excess, _FADE * lots_weight
        if n > 1:
            ratio = (lot.passed_count - n * mean) ** 2 / (n * mean * (1 - mean))
            excess += (ratio - 1) / (n - 1)
            lots_weight += 1
    if cells == 0:
        return Record()
    mean = _clipped(expected / cells)
    a, b = passed + mean * _PRIOR_CELLS, cells - passed + (1 - mean) * _PRIOR_CELLS
    # The variance of a logit of a beta variable, to second order.
    return Record(
        shift=_logit(a / (a + b)) - _logit(mean),
        shift_variance=(1 / a + 1 / b) * cells / (cells + _PRIOR_CELLS),
        rho=min(0.5, max(0.0, excess / lots_weight)),
    )


def forecast(probabilities: Vector, parameter_variance: float, record: Record, coverage: float = 0.9) -> Interval:
    """Expected fraction of cells that pass, and an interval for the fraction that will have passed.

    Args:
        probabilities: shape (n,), n >= 1.
        parameter_variance: of their mean, from what is not known of the model.
        record: of earlier forecasts.
        coverage: of the interval.
    """
    n = len(probabilities)
    raw = float(np.mean(probabilities))
    mean = _expit(_logit(_clipped(raw)) + record.shift)
    slope = mean * (1 - mean)
    chance = float(np.mean(probabilities * (1 - probabilities))) * slope / max(raw * (1 - raw), 1e-12)
    variance = chance / n + slope * record.rho * (1 - 1 / n) + parameter_variance + slope**2 * record.shift_variance
    low, high = quantiles(n, mean, variance, coverage)
    return Interval(expected=mean, low=min(low, mean), high=max(high, mean))


def quantiles(n: int, mean: float, variance: float, coverage: float) -> tuple[float, float]:
    """Central interval of the passed fraction of n cells, beta-binomial with this mean and variance of the fraction.

    A variance below that of one binomial, which unequal cells have, is answered with a normal interval.
    """
    mean = _clipped(mean)
    slope = mean * (1 - mean)
    share = (variance / slope * n - 1) / (n - 1) if n > 1 else 0.0
    tail = (1 - coverage) / 2
    if share <= 1e-6:
        half = NormalDist().inv_cdf(1 - tail) * math.sqrt(max(variance, 0.0)) + 0.5 / n
        return max(0.0, mean - half), min(1.0, mean + half)
    strength = 1 / min(share, 0.99) - 1
    a, b = mean * strength, (1 - mean) * strength
    k = np.arange(n)
    steps = np.log((n - k) * (a + k)) - np.log((k + 1.0) * (b + n - k - 1))
    logs = np.concatenate(([0.0], np.cumsum(steps)))
    mass = np.exp(logs - logs.max())
    cumulative = np.cumsum(mass) / mass.sum()
    low = int(np.searchsorted(cumulative, tail, side="left"))
    high = int(np.searchsorted(cumulative, 1 - tail, side="left"))
    return low / n, high / n


def _clipped(fraction: float) -> float:
    return min(1 - 1e-6, max(1e-6, fraction))


def _logit(fraction: float) -> float:
    fraction = _clipped(fraction)
    return math.log(fraction / (1 - fraction))


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))

from __future__ import annotations

import math

import numpy as np
import pytest

from twin.lot_forecast import FinishedLot, Record, forecast, quantiles, record_of


def test_intervals_hold_the_truth_nine_times_in_ten_for_cells_of_known_chance() -> None:
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(1_500):
        chances = rng.beta(20, 4, rng.integers(20, 120))
        interval = forecast(chances, 0.0, Record(rho=0.0))
        inside.append(interval.low <= (rng.random(len(chances)) < chances).mean() <= interval.high)
    assert 0.88 <= np.mean(inside) <= 0.95


def test_intervals_hold_when_lots_have_something_in_common_that_cells_do_not_show() -> None:
    rng = np.random.default_rng(6)
    finished: list[FinishedLot] = []
    inside = []
    for number in range(600):
        cells = 60
        common = rng.beta(0.8 / 0.01, 0.2 / 0.01)
        passed = int((rng.random(cells) < common).sum())
        if number >= 40:
            interval = forecast(np.full(cells, 0.8), 0.0, record_of(finished[-60:]))
            inside.append(interval.low <= passed / cells <= interval.high)
        finished.append(FinishedLot(expected=0.8 * cells, cells_count=cells, passed_count=passed))
    assert 0.85 <= np.mean(inside) <= 0.95


def test_the_record_moves_a_forecast_that_has_been_off() -> None:
    lots = [FinishedLot(expected=54.0, cells_count=60, passed_count=45) for _ in range(12)]
    moved = forecast(np.full(60, 0.9), 0.0, record_of(lots))
    assert moved.expected == pytest.approx(0.77, abs=0.02)
    assert forecast(np.full(60, 0.9), 0.0, record_of([])).expected == pytest.approx(0.9)


def test_lots_as_expected_leave_a_forecast_alone() -> None:
    lots = [FinishedLot(expected=54.0, cells_count=60, passed_count=54) for _ in range(12)]
    record = record_of(lots)
    assert record.shift == pytest.approx(0.0, abs=1e-9)
    assert record.rho < 0.01


def test_more_doubt_of_the_model_widens_the_interval() -> None:
    chances = np.full(200, 0.85)
    sure, unsure = forecast(chances, 0.0, Record(rho=0.0)), forecast(chances, 0.05**2, Record(rho=0.0))
    assert unsure.high - unsure.low > 1.5 * (sure.high - sure.low)
    assert sure.low < 0.85 < sure.high


def test_the_beta_binomial_quantiles_are_those_of_its_distribution() -> None:
    """Beta(8, 2) mixed with 25 trials, summed exactly."""
    n, a, b = 25, 8.0, 2.0
    mass = [
        math.comb(n, k) * math.exp(_beta(k + a, n - k + b) - _beta(a, b)) for k in range(n + 1)
    ]  # fmt: skip
    mean, rho = a / (a + b), 1 / (a + b + 1)
    variance = mean * (1 - mean) * (1 / n + rho * (1 - 1 / n))
    low, high = quantiles(n, mean, variance, 0.9)
    cumulative = np.cumsum(mass)
    assert low * n == np.searchsorted(cumulative, 0.05)
    assert high * n == np.searchsorted(cumulative, 0.95)


def test_one_cell_has_a_forecast_too() -> None:
    interval = forecast(np.array([0.7]), 0.01, Record())
    assert interval.expected == pytest.approx(0.7)
    assert (interval.low, interval.high) == (0.0, 1.0)


def _beta(x: float, y: float) -> float:
    return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

from __future__ import annotations

import numpy as np
import pytest

from line.model import load_line
from models.escapes import (
    Detection,
    counted,
    escaped_killers_per_m2,
    killers_at,
    logistic,
    perfect,
    published,
    size_grid_um,
    upper,
)

ROWS = counted(load_line().defects)


def total(found: dict[str, Detection]) -> float:
    return sum(float(escaped_killers_per_m2(row, found[row.code])) for row in ROWS)


def test_the_published_curves_let_0147_killers_per_m2_escape() -> None:
    assert total({row.code: published(row, 20.0) for row in ROWS}) == pytest.approx(0.147, abs=0.001)


def test_a_perfect_detector_lets_0113_escape_which_lie_below_the_reject_sizes() -> None:
    assert total({row.code: perfect for row in ROWS}) == pytest.approx(0.113, abs=0.001)


def test_without_a_detector_every_killer_escapes() -> None:
    found = total({row.code: np.zeros_like for row in ROWS})
    every = sum(
        (row.rate_per_m2 or 0) * float(np.sum(killers_at(row, size_grid_um(row)[0]) * size_grid_um(row)[1]))
        for row in ROWS
    )
    assert found == pytest.approx(every)
    assert found == pytest.approx(0.453, abs=0.002)


def test_half_the_pixel_leaves_less_to_escape() -> None:
    coarse, fine = (total({row.code: published(row, pixel) for row in ROWS}) for pixel in (20.0, 10.0))
    assert total({row.code: perfect for row in ROWS}) < fine < coarse


def test_blisters_and_profiles_are_not_counted() -> None:
    codes = {row.code for row in ROWS}
    assert "BLI" not in codes
    assert "EDG" not in codes
    assert len(codes) == 11


def test_the_integral_agrees_with_drawn_defects() -> None:
    row = next(row for row in ROWS if row.code == "PIN")
    rng = np.random.default_rng(4)
    sizes = row.median_um * np.exp(row.sigma_ln * rng.standard_normal(400_000))  # type: ignore[operator]
    sizes = sizes[sizes > (row.min_um or 0)]
    stopped = logistic(34.0, 0.18)(sizes) * (sizes > (row.reject_um or 0))
    drawn = (row.rate_per_m2 or 0) * float(np.mean(killers_at(row, sizes) * (1 - stopped)))
    assert float(escaped_killers_per_m2(row, logistic(34.0, 0.18))) == pytest.approx(drawn, rel=0.02)


def test_nothing_counts_as_found_below_the_smallest_target_that_was_tried() -> None:
    sizes = np.array([20.0, 40.0, 80.0])
    assert logistic(10.0, 0.1, from_um=40.0)(sizes).round(3).tolist() == [0.0, 1.0, 1.0]


def test_several_curves_give_several_totals_whose_upper_end_is_above_their_middle() -> None:
    a50 = np.linspace(25, 45, 101)
    totals = escaped_killers_per_m2(ROWS[0], logistic(a50, np.full(101, 0.18)))
    assert totals.shape == (101,)
    assert np.all(np.diff(totals) > 0)
    assert upper(totals) > float(np.median(totals))

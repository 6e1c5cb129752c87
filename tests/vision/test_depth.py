from __future__ import annotations

import pytest

from line.model import LineModel, load_line
from vision.depth import (
    HOLE_CONTRAST,
    SCALE_SPREAD,
    bar_dilution,
    depth_fraction,
    depth_of,
    disc_dilution,
    hole_contrast,
    thickness_change_fraction,
)


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


def test_an_open_hole_is_film_without_thickness(line: LineModel) -> None:
    rows = {row.code: row for row in line.defects}
    assert hole_contrast(rows) == HOLE_CONTRAST == 2.5
    assert thickness_change_fraction(2.5, rows) == pytest.approx(-1.0)
    assert thickness_change_fraction(0.0, rows) == 0.0
    assert depth_fraction(line.defect("PIN"), 2.5) == pytest.approx(1.0)
    assert depth_fraction(line.defect("BUB"), 0.8) == pytest.approx(0.47, abs=0.01)


def test_a_class_whose_row_states_a_depth_is_scaled_by_it(line: LineModel) -> None:
    assert depth_fraction(line.defect("STR"), 0.25) == pytest.approx(0.10)
    assert depth_fraction(line.defect("SCR"), 0.40) == pytest.approx(0.30)
    assert depth_fraction(line.defect("AGG"), -0.35) == pytest.approx(0.50)


def test_twice_the_film_takes_the_square_of_the_light(line: LineModel) -> None:
    row = line.defect("STR")
    once = depth_fraction(row, 0.1) or 0.0
    assert depth_fraction(row, 1.1**2 - 1) == pytest.approx(2 * once)


@pytest.mark.parametrize("kind", ["MET", "FIB", "DIS", "WRK", "BLI"])
def test_what_is_not_more_film_or_less_has_no_depth(line: LineModel, kind: str) -> None:
    assert depth_of(line.defect(kind), -0.5, 0.01) is None


def test_the_contrast_that_the_optics_took_is_given_back(line: LineModel) -> None:
    share = disc_dilution(2.0, 0.7)
    small = depth_of(line.defect("PIN"), 2.5 * share, 0.02, dilution=share, dilution_spread=0.2)
    assert small is not None
    assert small.fraction == pytest.approx(1.0)
    assert small.uncertainty_fraction > 2 * SCALE_SPREAD
    assert 0.5 < share < bar_dilution(2.0, 0.7) < 1


def test_a_saturated_core_lies_between_what_was_seen_and_through(line: LineModel) -> None:
    depth = depth_of(line.defect("PIN"), 1.8, 0.02, saturated=True)
    assert depth is not None
    assert depth.fraction - depth.uncertainty_fraction < depth_fraction(line.defect("PIN"), 1.8) < 1  # type: ignore[operator]
    assert depth.fraction + depth.uncertainty_fraction >= 1


def test_noise_makes_a_depth_less_sure(line: LineModel) -> None:
    sure, unsure = (depth_of(line.defect("STR"), 0.25, noise) for noise in (0.0, 0.05))
    assert sure is not None and unsure is not None
    assert sure.uncertainty_fraction == pytest.approx(2 * SCALE_SPREAD * 0.10)
    assert unsure.uncertainty_fraction > 1.3 * sure.uncertainty_fraction

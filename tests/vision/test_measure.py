from __future__ import annotations

from math import pi, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from line.defect_rows import DefectClass
from line.model import load_line
from tests.vision.made_film import PIXEL_UM, MadeFilm, Planted, metal, pinhole, streak
from vision.blurred import resolved_bar_px, resolved_disc_px
from vision.gates import FilmLook, Gates, learnt_look, limits_for
from vision.measure import SIZE_MODEL, Measured, Optics, measured
from vision.screening import StreakMemory, screened

OPTICS = Optics(pixel_um=PIXEL_UM)


@pytest.fixture(scope="module")
def look(good_strips: list[NDArray[np.uint8]]) -> FilmLook:
    return learnt_look(good_strips)


@pytest.fixture(scope="module")
def rows() -> dict[str, DefectClass]:
    return {row.code: row for row in load_line().defects}


def one(film: MadeFilm, look: FilmLook, planted: Planted, row: DefectClass | None, seed: int) -> Measured:
    """The strongest spot of a strip, measured."""
    gates = Gates(look, limits_for(look, candidates_per_m2=20, streaks_per_m2=0.1, pixel_um=PIXEL_UM))
    planes = film.planes(seed, [planted])
    found = screened(planes, gates, StreakMemory(), most_spots=10)
    return measured(planes, found, gates, found.spots[0], row, OPTICS)


@pytest.mark.parametrize("diameter", [1.5, 3.0, 8.0])
def test_a_blurred_disc_and_bar_are_solved_exactly(diameter: float) -> None:
    blur = 0.9
    disc_ratio = pi / 4 * diameter**2 / (1 - np.exp(-(diameter**2) / (8 * blur**2)))
    assert resolved_disc_px(disc_ratio, blur) == pytest.approx(diameter, abs=1e-3)
    from math import erf

    assert resolved_bar_px(diameter / erf(diameter / (2 * sqrt(2) * blur)), blur) == pytest.approx(diameter, abs=1e-3)


def test_what_is_as_small_as_the_blur_has_no_size_of_its_own() -> None:
    assert resolved_disc_px(2 * pi * 0.9**2 * 0.99, 0.9) == 0.0


@pytest.mark.parametrize("diameter_um", [30.0, 45.0, 90.0, 200.0])
def test_pinholes_are_sized_within_their_uncertainty(
    film: MadeFilm, look: FilmLook, rows: dict[str, DefectClass], diameter_um: float
) -> None:
    sized = [
        one(film, look, pinhole(100 + 0.3 * k, 1500 + 0.37 * k, diameter_um), rows["PIN"], 200 + k) for k in range(8)
    ]
    inside = [abs(size.size_um - diameter_um) <= size.size_uncertainty_um for size in sized]
    assert sum(inside) >= 7
    assert np.mean([size.size_um for size in sized]) == pytest.approx(diameter_um, rel=0.12)


def test_a_disc_without_a_class_is_sized_from_its_shape(film: MadeFilm, look: FilmLook) -> None:
    disc = Planted(row=120, column=1400, width_px=12, height_px=12, contrast=(-0.3, 0.0, -0.5))
    assert one(film, look, disc, None, 220).size_um == pytest.approx(240, rel=0.1)


@pytest.mark.parametrize("place", [(100.0, 1500.0), (57.25, 801.5), (200.8, 2222.1)])
def test_the_centre_is_found_to_a_fifth_of_a_pixel(
    film: MadeFilm, look: FilmLook, rows: dict[str, DefectClass], place: tuple[float, float]
) -> None:
    size = one(film, look, metal(*place, 80), rows["MET"], 230)
    assert (size.row_start + size.row_end) / 2 == pytest.approx(place[0], abs=0.2)
    assert (size.column_start + size.column_end) / 2 == pytest.approx(place[1], abs=0.2)


def test_a_saturated_hole_is_still_sized(film: MadeFilm, look: FilmLook, rows: dict[str, DefectClass]) -> None:
    planted = pinhole(100, 1500, 120)
    assert film.planes(240, [planted])[2, 100, 1500] == 255
    assert one(film, look, planted, rows["PIN"], 240).size_um == pytest.approx(120, rel=0.1)


def test_the_length_of_a_thin_line_is_its_extent(film: MadeFilm, look: FilmLook, rows: dict[str, DefectClass]) -> None:
    crack = Planted(row=128, column=1500, width_px=60, height_px=2, contrast=(-0.35, 0.5, 0.6))
    size = one(film, look, crack, rows["CRK"], 250)
    # An ellipse of this shape tapers to nothing at its ends.
    assert size.size_um == pytest.approx(1200, rel=0.18)
    assert size.column_end - size.column_start == pytest.approx(60, abs=8)


def test_a_streak_has_the_width_of_its_groove_and_the_strips_length(
    film: MadeFilm, look: FilmLook, rows: dict[str, DefectClass]
) -> None:
    size = one(film, look, streak(1200, 300), rows["STR"], 260)
    assert (size.row_start, size.row_end) == (0, 256)
    # The line model's streak has banks beside its groove; this one is all groove.
    assert size.size_um / SIZE_MODEL["STR"][0] == pytest.approx(300, rel=0.12)
    assert size.contrast[2] == pytest.approx(0.25, abs=0.04)
    assert size.contrast[0] == pytest.approx(-0.08, abs=0.03)


def test_contrasts_keep_their_sign(film: MadeFilm, look: FilmLook, rows: dict[str, DefectClass]) -> None:
    bf, df, tx = one(film, look, metal(100, 1500, 200), rows["MET"], 270).contrast
    assert bf > 0.4
    assert df > 3
    assert tx == pytest.approx(-0.9, abs=0.1)


def test_every_uncertainty_is_positive_and_a_small_defect_has_the_larger_share(
    film: MadeFilm, look: FilmLook, rows: dict[str, DefectClass]
) -> None:
    small = one(film, look, pinhole(100, 1500, 30), rows["PIN"], 280)
    large = one(film, look, pinhole(100, 1500, 200), rows["PIN"], 281)
    assert small.size_uncertainty_um / small.size_um > large.size_uncertainty_um / large.size_um > 0
    assert small.position_uncertainty_um >= OPTICS.place_uncertainty_um

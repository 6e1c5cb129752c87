"""Screening in pieces and on threads against the plain way to write it down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.vision.made_film import MadeFilm, Planted, metal, pinhole, streak
from tests.vision.plain_screening import Box, plainly_screened
from vision.gates import FilmLook, Gates, learnt_look, limits_for
from vision.parallel import ALONE, Crew
from vision.screening import Screened, StreakMemory, screened


@pytest.fixture(scope="module")
def look(good_strips: list[NDArray[np.uint8]]) -> FilmLook:
    return learnt_look(good_strips)


def gates_of(look: FilmLook, candidates_per_m2: float) -> Gates:
    limits = limits_for(look, candidates_per_m2=candidates_per_m2, streaks_per_m2=0.1, pixel_um=20)
    return Gates(look, limits, margin_px=40)


def planted(number: int) -> list[Planted]:
    """Holes, metal and a cloud somewhere; from the third strip on a streak."""
    rng = np.random.default_rng(number)
    found = [pinhole(rng.uniform(0, 256), rng.uniform(0, 3000), rng.uniform(30, 300)) for _ in range(8)]
    found.append(metal(rng.uniform(0, 256), rng.uniform(100, 2900), 50))
    size = rng.uniform(20, 250, 2)
    found.append(Planted(row=128, column=2000, width_px=size[0], height_px=size[1], contrast=(-0.06, 0.0, -0.06)))
    return [*found, streak(1200, 300)] if number >= 2 else found


def strips(film: MadeFilm) -> list[NDArray[np.uint8]]:
    """Whole ones, one with a hole in every corner, short ones, one that ends within a cell, one under a dead lamp."""
    made = [film.planes(100 + number, planted(number)) for number in range(4)]
    made.append(film.planes(110, [pinhole(row, column, 200) for row in (1, 254) for column in (60, 2940)]))
    made += [np.ascontiguousarray(made[3][:, :lines]) for lines in (254, 41, 12)]
    made.append(MadeFilm(lamp=(0.6, 1.0, 1.0)).planes(111))
    return made


def boxes(found: Screened) -> dict[Box, float]:
    return {(spot.row_start, spot.row_end, spot.column_start, spot.column_end): spot.strength for spot in found.spots}


@pytest.mark.parametrize("candidates_per_m2", [20, 2000])
def test_the_fast_way_finds_what_the_plain_way_finds(film: MadeFilm, look: FilmLook, candidates_per_m2: float) -> None:
    fast, plain = gates_of(look, candidates_per_m2), gates_of(look, candidates_per_m2)
    memories = StreakMemory(), StreakMemory()
    found_count = 0
    for strip in strips(film):
        found = screened(strip, fast, memories[0], most_spots=10_000)
        expected = plainly_screened(strip, plain, memories[1])
        assert boxes(found) == pytest.approx(expected.strengths, rel=2e-3)
        assert found.crowded == expected.crowded
        assert found.gain == pytest.approx(expected.gain, rel=1e-6)
        found_count += found.found_count
    assert found_count > 60


def test_how_many_threads_there_are_changes_nothing(film: MadeFilm, look: FilmLook) -> None:
    with Crew(2) as two, Crew(5) as five:
        results: list[Sequence[Screened]] = []
        for crew in (ALONE, two, five):
            gates, memory = gates_of(look, 2000), StreakMemory()
            results.append([screened(strip, gates, memory, most_spots=300, crew=crew) for strip in strips(film)])
    for alone, *others in zip(*results, strict=True):
        for other in others:
            assert other.spots == alone.spots
            assert other.found_count == alone.found_count
            assert np.array_equal(other.gain, alone.gain)
            assert all(np.array_equal(*pair) for pair in zip(other.changes, alone.changes, strict=True))

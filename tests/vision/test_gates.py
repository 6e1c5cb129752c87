from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from line.errors import UnusableFrameError
from tests.vision.made_film import LEVELS, MadeFilm, pinhole, streak
from vision.bridging import bridged
from vision.gates import FilmLook, Gates, learnt_look, limits_for
from vision.pyramid import quarter

Strips = list[NDArray[np.uint8]]


def gates_for(look: FilmLook) -> Gates:
    limits = limits_for(look, candidates_per_m2=20, streaks_per_m2=0.1, pixel_um=20)
    return Gates(look, limits)


def quarters(strip: NDArray[np.uint8]) -> Sequence[NDArray[np.uint8]]:
    return [quarter(plane) for plane in strip]


def test_the_level_of_each_column_is_learnt_to_half_a_grey_level(film: MadeFilm, good_strips: Strips) -> None:
    look = learnt_look(good_strips)
    for channel, level in enumerate(LEVELS):
        off = look.level[channel] - level * film.gain
        assert np.sqrt(np.mean(off**2)) < 0.5
        # Averaging twice in uint8 rounds up by a quarter of a grey level, in what is learnt as in what is judged.
        truth = level * film.gain.reshape(-1, 4).mean(axis=1) + 0.25
        assert np.sqrt(np.mean((look.quarter_level[channel] / truth - 1) ** 2)) < 0.006


def test_a_pinhole_in_every_learning_strip_is_not_learnt(film: MadeFilm, good_strips: Strips) -> None:
    holed = learnt_look([film.planes(seed, [pinhole(100, 1500, 300)]) for seed in range(8)])
    good = learnt_look(good_strips)
    around = slice(1480, 1520)
    assert np.abs(holed.level[2, around] - good.level[2, around]).max() < 1.5
    assert np.abs(holed.spread[2, around] / good.spread[2, around] - 1).max() < 0.1


def test_a_streak_through_all_learning_strips_is_not_learnt(film: MadeFilm, good_strips: Strips) -> None:
    streaked = learnt_look([film.planes(seed, [streak(1500, 400)]) for seed in range(8)])
    good = learnt_look(good_strips)
    inside = slice(1492, 1508)
    assert np.abs(streaked.level[2, inside] / good.level[2, inside] - 1).max() < 0.04
    cells = slice(1492 // 4, 1508 // 4)
    assert np.abs(streaked.quarter_level[2, cells] / good.quarter_level[2, cells] - 1).max() < 0.02


@pytest.mark.parametrize(("heights", "learnt"), [((0.04,), 0.0), ((0.0, 0.08), 0.04), ((0.01, 0.03, 0.05, 0.09), 0.04)])
def test_a_line_is_not_learnt_but_gloss_that_differs_between_strips_is_averaged(
    film: MadeFilm, good_strips: Strips, heights: tuple[float, ...], learnt: float
) -> None:
    strips = []
    for number, strip in enumerate(good_strips):
        shine = np.ones(strip.shape[2])
        shine[1480:1520] += heights[number % len(heights)]
        strips.append(np.clip(np.rint(strip * shine), 0, 255).astype(np.uint8))
    # Brighter by as much in the mean of all strips either way.
    cells = slice(1484 // 4, 1516 // 4)
    raised = learnt_look(strips).quarter_level[0, cells] / learnt_look(good_strips).quarter_level[0, cells] - 1
    assert raised.mean() == pytest.approx(learnt, abs=0.012)


def test_a_line_that_sets_in_while_film_is_learnt_is_not_learnt(film: MadeFilm, good_strips: Strips) -> None:
    spoilt = [film.planes(seed, [streak(1500, 400)] if seed >= 3 else []) for seed in range(8)]
    cells = slice(1492 // 4, 1508 // 4)
    raised = learnt_look(spoilt).quarter_level[2, cells] / learnt_look(good_strips).quarter_level[2, cells] - 1
    assert np.abs(raised).max() < 0.03


def test_a_slope_across_the_web_is_no_bump() -> None:
    slope = np.linspace(80, 120, 3000, dtype=np.float32)
    assert np.array_equal(bridged(slope, 151, 400), slope)


def test_dark_film_cannot_be_learnt(film: MadeFilm) -> None:
    dark = MadeFilm(lamp=(1.0, 0.05, 1.0))
    with pytest.raises(UnusableFrameError, match="check lamps"):
        learnt_look([dark.planes(seed) for seed in range(2)])


def test_a_smaller_budget_widens_every_gate(good_strips: Strips) -> None:
    look = learnt_look(good_strips)
    few = limits_for(look, candidates_per_m2=1, streaks_per_m2=0.01, pixel_um=20)
    many = limits_for(look, candidates_per_m2=100, streaks_per_m2=1, pixel_um=20)
    assert np.all(few.pixel > many.pixel)
    assert np.all(few.scale > many.scale)
    assert np.all(few.streak > many.streak)


def test_a_lamp_that_fades_slowly_is_followed(good_strips: Strips) -> None:
    gates = gates_for(learnt_look(good_strips))
    strip = MadeFilm().planes(50)
    for step in range(60):
        gates.light([np.rint(plane * (1 - 0.002 * step)).astype(np.uint8) for plane in quarters(strip)])
    assert gates.gain[0] == pytest.approx(1 - 0.002 * 59, abs=0.04)


def test_one_strip_that_jumps_does_not_move_the_light(film: MadeFilm, good_strips: Strips) -> None:
    gates = gates_for(learnt_look(good_strips))
    before = gates.gain.copy()
    judged_under = gates.light(quarters(MadeFilm(lamp=(0.85, 1.0, 1.0)).planes(51)))
    assert np.array_equal(judged_under, before)
    assert np.array_equal(gates.gain, before)


def test_a_lamp_that_stays_changed_is_taken_on_after_a_run_of_strips(good_strips: Strips) -> None:
    gates = gates_for(learnt_look(good_strips))
    dim = quarters(MadeFilm(lamp=(0.88, 1.0, 1.0)).planes(52))
    for _ in range(16):
        gates.light(dim)
    assert gates.gain[0] == pytest.approx(0.88, abs=0.01)
    assert gates.gain[2] == pytest.approx(1.0, abs=0.01)


def test_a_film_of_another_profile_is_never_taken_for_a_lamp(good_strips: Strips) -> None:
    gates = gates_for(learnt_look(good_strips))
    strip = MadeFilm().planes(53).astype(np.float32)
    strip[:, :, :1400] *= 0.7
    uneven = quarters(strip.astype(np.uint8))
    for _ in range(40):
        gates.light(uneven)
    assert gates.gain == pytest.approx(np.ones(3), abs=0.03)

from __future__ import annotations

from math import pi

import numpy as np
import pytest

from line.model import load_line
from vision.rollers import Circumference, folded, rayleigh_p, rollers_before


def roller(name: str, diameter_mm: float) -> Circumference:
    return Circumference(roller=name, station="S03", diameter_mm=diameter_mm)


IDLER, DOUBLE, HALF = roller("idler", 80.0), roller("double", 160.0), roller("half", 40.0)


def turns_of(period_um: float, count: int, seed: int, *, found: float = 0.8, jitter_um: float = 400.0) -> list[int]:
    """Positions once a turn, some not found, each a little off."""
    rng = np.random.default_rng(seed)
    turns = np.arange(count)[rng.random(count) < found]
    return [int(place) for place in 123_456 + turns * period_um + rng.normal(0, jitter_um, turns.size)]


@pytest.mark.parametrize("count", [8, 12, 24])
def test_rayleighs_chance_is_that_of_directions_at_random(count: int) -> None:
    rng = np.random.default_rng(count)
    resultants = np.abs(np.exp(2j * pi * rng.random((100_000, count))).mean(axis=1))
    for chance in (0.1, 0.01):
        assert rayleigh_p(count, float(np.quantile(resultants, 1 - chance))) == pytest.approx(chance, rel=0.1)


def test_a_camera_sees_only_rollers_before_it() -> None:
    line = load_line()
    found = rollers_before(line, line.camera("fins-1"))
    assert [row.roller for row in found] == ["backing", "idler"]
    assert found[1].um == pytest.approx(251_327, abs=1)


@pytest.mark.parametrize("seed", range(4))
def test_the_roller_is_named_and_its_period_found(seed: int) -> None:
    line = load_line()
    places = turns_of(251_327.4, 24, seed)
    fold = folded(places, rollers_before(line, line.camera("fins-1")))
    assert fold is not None
    assert fold.circumference.roller == "idler"
    assert fold.period_um == pytest.approx(251_327, rel=0.003)
    assert fold.p_value < 1e-5
    assert len(fold.members) == len(places)


def test_an_encoder_that_is_off_by_two_per_mille_does_not_hide_a_roller() -> None:
    fold = folded(turns_of(251_327.4 * 1.002, 200, 1), [IDLER])
    assert fold is not None
    assert fold.p_value < 1e-20
    assert fold.period_um == pytest.approx(251_327.4 * 1.002, rel=5e-4)


@pytest.mark.parametrize("seed", range(6))
def test_a_harmonic_is_not_taken_for_a_longer_roller_nor_for_a_shorter_one(seed: int) -> None:
    rollers = [HALF, IDLER, DOUBLE]
    for true in rollers:
        fold = folded(turns_of(true.um, 30, seed), rollers)
        assert fold is not None
        assert fold.circumference == true


def test_too_few_turns_are_no_repeat() -> None:
    assert folded(turns_of(IDLER.um, 5, 1, found=1.0), [IDLER]) is None
    many_in_one_turn = [int(1000 * k) for k in range(20)]
    assert folded(many_in_one_turn, [IDLER]) is None


def test_what_lies_at_another_phase_is_no_member() -> None:
    places = turns_of(IDLER.um, 12, 3, found=1.0)
    fold = folded([*places, places[0] + 125_000], [IDLER])
    assert fold is not None
    assert 12 not in fold.members

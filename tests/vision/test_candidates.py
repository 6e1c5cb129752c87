from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from vision.candidates import CHANNELS, CLEAN, FILM_GREY, UNKNOWN, Classified, patch, patch_side_px, settled
from vision.gates import Gates, learnt_look, limits_for
from vision.screening import Screened, Spot, StreakMemory, screened

LINES, WIDTH = 256, 768
REJECT_UM = {"MET": 20.0, "FIB": 200.0, "AGG": 150.0, "BUB": 200.0, "WRK": None}


def film(rng: np.random.Generator, channels: int = 3) -> NDArray[np.uint8]:
    noise = rng.normal(0, 2, (channels, LINES, WIDTH))
    return np.clip(np.array(FILM_GREY)[:channels, None, None] + noise, 0, 255).astype(np.uint8)


def spot(row: int = 100, column: int = 300, side: int = 8, test: str = "map") -> Spot:
    return Spot(
        row_start=row, row_end=row + side, column_start=column, column_end=column + side, strength=2.0,
        test=test,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture(scope="module")
def gates() -> Gates:
    rng = np.random.default_rng(1)
    look = learnt_look([film(rng) for _ in range(8)])
    return Gates(look, limits_for(look, candidates_per_m2=100, streaks_per_m2=0.1, pixel_um=20.0))


def seen(planes: NDArray[np.uint8], gates: Gates) -> Screened:
    return screened(planes, gates, StreakMemory(), most_spots=20)


def named(kind: str, score: float, rival: str = "", rival_score: float = 0.0) -> Classified:
    return Classified(kind=kind, score=score, rival=rival, rival_score=rival_score)


def test_of_two_likely_classes_the_one_that_is_rejected_sooner_counts() -> None:
    said = settled(named("FIB", 0.6, "MET", 0.3), spot(), REJECT_UM)
    assert (said.kind, said.score) == ("MET", 0.3)
    assert settled(named("MET", 0.6, "FIB", 0.3), spot(), REJECT_UM).kind == "MET"


@pytest.mark.parametrize("rival", ["", "BUB", "WRK", UNKNOWN])
def test_without_a_stricter_rival_the_likeliest_class_counts(rival: str) -> None:
    assert settled(named("FIB", 0.6, rival, 0.3), spot(), REJECT_UM).kind == "FIB"


def test_a_line_that_its_picture_hardly_shows_is_a_streak_all_the_same() -> None:
    assert settled(named(CLEAN, 0.55), spot(test="streak"), REJECT_UM).kind == "STR"
    assert settled(named(CLEAN, 0.95), replace(spot(test="streak"), strength=3.0), REJECT_UM).kind == "STR"
    assert settled(named(CLEAN, 0.55), spot(), REJECT_UM).kind == CLEAN


def test_a_faint_line_that_its_picture_does_not_show_at_all_is_none() -> None:
    assert settled(named(CLEAN, 0.9), replace(spot(test="streak"), strength=1.05), REJECT_UM).kind == CLEAN


def test_an_absent_channel_is_shown_as_good_film(gates: Gates) -> None:
    planes = film(np.random.default_rng(2))
    two = planes[:2]
    narrow = Gates(
        replace(
            gates.look,
            **{
                name: getattr(gates.look, name)[:2]
                for name in ("level", "spread", "quarter_level", "scale_sigma", "tail", "streak_sigma")
            },
        ),
        replace(gates.limits, pixel=gates.limits.pixel[:2], scale=gates.limits.scale[:2]),
    )
    found = seen(two, narrow)
    image = patch(two, found, narrow, spot(), channels=("BF", "DF"))
    whole = patch(planes, seen(planes, gates), gates, spot())
    assert image.shape == whole.shape == (3, 64, 64)
    assert np.all(image[2] == FILM_GREY[2])
    assert np.abs(image[:2].astype(int) - whole[:2]).max() <= 1


def test_channels_in_another_order_are_shown_in_their_own_places(gates: Gates) -> None:
    planes = film(np.random.default_rng(3))
    planes[2, 100:108, 300:308] = 250
    turned = [2, 0, 1]
    other = Gates(
        replace(
            gates.look,
            **{
                name: getattr(gates.look, name)[turned]
                for name in ("level", "spread", "quarter_level", "scale_sigma", "tail", "streak_sigma")
            },
        ),
        replace(gates.limits, pixel=gates.limits.pixel[turned], scale=gates.limits.scale[turned]),
    )
    moved = np.ascontiguousarray(planes[turned])
    image = patch(moved, seen(moved, other), other, spot(), channels=tuple(CHANNELS[place] for place in turned))
    assert image[2, 28:36, 28:36].mean() > 200
    assert np.abs(image.astype(int) - patch(planes, seen(planes, gates), gates, spot())).max() <= 1


def test_a_finer_camera_is_shown_by_so_many_pixels_more(gates: Gates) -> None:
    planes = film(np.random.default_rng(4))
    planes[2, 100:116, 300:316] = 200
    image = patch(planes, seen(planes, gates), gates, spot(side=16), camera_pixels=2)
    assert patch_side_px(16, 16, 2) == 128
    bright = int(np.count_nonzero(image[2] > 145))
    assert bright == pytest.approx(64, abs=8)

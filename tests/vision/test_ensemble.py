"""Parts, views and the weighing of members."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from line.bundle import EnsembleMember, InputSpec
from vision.ensemble import (
    Ensemble,
    combined_map,
    combined_score,
    highest_mean,
    part_answers,
    picture_parts,
    scale_of,
    shown,
    views_of,
)


def member(tensor: str, *, weight: float = 1.0, map_weight: float = 1.0, mean: float = 0.0) -> EnsembleMember:
    return EnsembleMember(
        tensor=tensor,
        input="small",
        highest_count=1,
        weight=weight,
        map_weight=map_weight,
        score_mean=mean,
        score_deviation=2.0,
        cell_mean=mean,
        cell_deviation=2.0,
    )


def small(view_px: int | None = 64, *, mirrored: bool = False) -> InputSpec:
    return InputSpec(tensor="small", channels=1, multiple_px=32, view_px=view_px, mirrored=mirrored)


def pixels(views: Mapping[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
    """A network that answers with the pixels of its view."""
    return {"pixels": views["small"].astype(np.float32), "dark": 255 - views["small"].astype(np.float32)}


def ensemble(*members: EnsembleMember, spec: InputSpec | None = None) -> Ensemble:
    return Ensemble(members=members, views={"small": spec or small()}, strides_px={"pixels": 1, "dark": 1})


@pytest.mark.parametrize(
    ("shape", "count"), [((512, 512), 1), ((240, 606), 1), ((767, 300), 1), ((768, 300), 2), ((2048, 1024), 8)]
)
def test_a_picture_is_cut_into_equal_parts_that_cover_it_once(shape: tuple[int, int], count: int) -> None:
    parts = picture_parts(shape)
    assert len(parts) == count
    covered = np.zeros(shape, np.int64)
    for part in parts:
        covered[part.inner] += 1
        assert part.outer[0].start <= part.inner[0].start
        assert part.outer[0].stop <= shape[0]
    np.testing.assert_array_equal(covered, 1)
    assert len({part.shape for part in parts}) <= 2


@pytest.mark.parametrize(
    ("shape", "view_px", "scale"), [((320, 200), 160, 0.5), ((20, 40), 160, 2.0), ((500, 300), None, 1.0)]
)
def test_a_part_is_brought_to_the_view_but_never_enlarged_more_than_twice(
    shape: tuple[int, int], view_px: int | None, scale: float
) -> None:
    assert scale_of(shape, view_px) == scale


def test_a_view_is_mirrored_up_to_a_multiple_at_the_right_and_bottom() -> None:
    image = np.arange(70 * 80, dtype=np.uint32).reshape(70, 80).astype(np.uint8)
    view = shown(image, 1.0, 32)
    assert view.shape == (96, 96)
    np.testing.assert_array_equal(view[:70, :80], image)
    np.testing.assert_array_equal(view[:70, 80:], image[:, -2:-18:-1])
    assert shown(image[:5, :3], 1.0, 1).shape == (32, 32)
    assert shown(image[:50, :48], 1.0, 1).shape == (50, 48)


def test_a_mirrored_view_is_the_picture_and_its_mirror_image() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    view = views_of(crop, crop.shape, {"small": small(mirrored=True)})["small"]
    assert view.shape == (2, 1, 64, 64)
    np.testing.assert_array_equal(view[1, 0], view[0, 0, :, ::-1])


def test_answers_to_the_mirror_image_are_turned_back_and_averaged() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 50), np.uint8)
    (answered,) = part_answers(image, ensemble(member("pixels"), spec=small(mirrored=True)), pixels)
    np.testing.assert_allclose(answered.answers[0].cells, image, atol=1e-3)


def test_scores_are_standardised_and_weighed() -> None:
    image = np.full((64, 64), 100, np.uint8)
    rows = (member("pixels", weight=3.0, mean=90.0), member("dark", weight=1.0, mean=155.0))
    answered = part_answers(image, ensemble(*rows), pixels)
    assert combined_score(answered, rows) == pytest.approx((3 * (100 - 90) / 2 + 1 * (155 - 155) / 2) / 4)


def test_the_map_leaves_out_judges_without_map_weight_and_keeps_places() -> None:
    image = np.zeros((512, 1024), np.uint8)
    image[128:192, 640:704] = 200
    rows = (member("pixels"), member("dark", map_weight=0.0))
    found = combined_map(image.shape, part_answers(image, ensemble(*rows), pixels), rows, 512)
    assert found.shape == (128, 256)
    assert found[40, 168] == pytest.approx(100.0, abs=1)
    row, column = (places.mean() for places in np.nonzero(found > 50))
    assert (row, column) == (pytest.approx(39.5, abs=0.6), pytest.approx(167.5, abs=0.6))


def test_what_lies_outside_a_part_does_not_count_for_its_score() -> None:
    image = np.zeros((512, 1024), np.uint8)
    image[100:140, 540:560] = 200
    rows = (member("pixels"),)
    left, right = part_answers(image, ensemble(*rows), pixels)
    assert left.answers[0].score == 0
    assert right.answers[0].score > 100


def test_the_highest_mean_takes_all_where_there_are_fewer() -> None:
    cells = np.array([[1, 5], [3, 3]], np.float32)
    assert highest_mean(cells, 1) == 5
    assert highest_mean(cells, 2) == 4
    assert highest_mean(cells, 9) == 3

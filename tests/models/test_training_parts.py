"""Coreset, perceptron and artificial defects, each against what it claims."""

from __future__ import annotations

import numpy as np
import pytest

from models.artificial_defects import damaged
from models.coreset import coreset_indices, spacings
from models.perceptron import trained_perceptron


def test_a_coreset_reaches_each_of_the_far_clusters() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 20, (10, 100)).astype(np.float32)
    # One cluster holds 90 % of the points; a random choice of ten would miss most of the others.
    sizes = [900] + [11] * 9
    points = np.concatenate([
        centre + rng.normal(0, 0.1, (size, 100)) for centre, size in zip(centres, sizes, strict=True)
    ])
    cluster = np.repeat(np.arange(10), sizes)
    taken = coreset_indices(points.astype(np.float32), 10, rng)
    assert sorted(cluster[taken]) == list(range(10))


def test_a_coreset_of_more_than_there_are_is_all() -> None:
    points = np.zeros((5, 3), np.float32)
    assert coreset_indices(points, 9, np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


def test_spacing_is_wide_where_points_are_few() -> None:
    rng = np.random.default_rng(4)
    dense, sparse = rng.normal(0, 1, (80, 6)), rng.normal(50, 10, (20, 6))
    found = spacings(np.concatenate([dense, sparse]).astype(np.float32))
    assert np.median(found[:80]) == pytest.approx(1.0, abs=0.2)
    assert found[80:].min() > 2
    # Ten times as far apart, to the power of 0.7, in six dimensions of fewer points.
    assert 4 < np.median(found[80:]) < 12
    assert np.isfinite(spacings(np.zeros((9, 4), np.float32))).all()


def test_a_perceptron_learns_what_no_straight_line_separates() -> None:
    rng = np.random.default_rng(0)
    # Mean 50 and spread 10: folding the scale into the first layer is tested with it.
    inputs = rng.normal(50, 10, (4000, 2)).astype(np.float32)
    labels = (inputs[:, 0] > 50) != (inputs[:, 1] > 50)
    network = trained_perceptron(
        inputs, labels, hidden=(16, 8), epochs=60, batch=100, rate=1e-2, dropped_fraction=0, rng=rng
    )
    assert ((network.logits(inputs) > 0) == labels).mean() > 0.97


def test_defects_leave_the_rest_of_the_image_as_it_was_but_for_exposure() -> None:
    image = np.full((120, 150), 128, np.uint8)
    others = [np.random.default_rng(9).integers(0, 256, (90, 200), np.uint8)]
    covered = []
    for seed in range(40):
        spoilt, mask = damaged(image, others, np.random.default_rng(seed))
        assert spoilt.shape == mask.shape == image.shape
        outside = spoilt[~mask].astype(int)
        covered.append(mask.mean())
        if outside.size:
            # Soft borders of large areas reach beyond the mask; most of what is outside has not changed at all.
            assert np.median(np.abs(outside - np.median(outside))) <= 1
    assert 0 < np.mean(covered) < 0.5
    assert np.count_nonzero(covered) > 30


def test_the_same_seed_draws_the_same_defects() -> None:
    image = np.random.default_rng(1).integers(80, 160, (64, 64), np.uint8)
    first, again = (damaged(image, [image], np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)


@pytest.mark.parametrize("shape", [(48, 48), (48, 900), (700, 50)])
def test_small_and_slender_images_can_be_damaged(shape: tuple[int, int]) -> None:
    image = np.full(shape, 100, np.uint8)
    for seed in range(30):
        assert (
            damaged(image, [image, np.full((50, 60), 30, np.uint8)], np.random.default_rng(seed)).image.shape == shape
        )

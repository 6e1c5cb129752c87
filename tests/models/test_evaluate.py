"""Figures checked against answers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluate import average_precision, image_auroc, pixel_average_precision, recall_at_false_rejects


def test_auroc_counts_the_pairs_in_the_right_order_and_ties_half() -> None:
    # Bad 3 beats all three good, bad 2 beats one, ties with one and loses to one: (3 + 1.5) of 6 pairs.
    assert image_auroc([1.0, 2.0, 2.5, 3.0, 2.0], [False, False, False, True, True]) == pytest.approx(4.5 / 6)


def test_auroc_of_one_class_or_of_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="2 good and 0 bad"):
        image_auroc([1.0, 2.0], [False, False])
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        image_auroc([1.0, float("nan")], [False, True])


def test_average_precision_of_a_worked_example() -> None:
    # From the top: hit (1/1), miss, hit (2/3), miss, hit (3/5); each adds a third of recall.
    expected = (1 + 2 / 3 + 3 / 5) / 3
    assert average_precision([5.0, 4.0, 3.0, 2.0, 1.0], [True, False, True, False, True]) == pytest.approx(expected)


def test_tied_scores_are_one_step() -> None:
    assert average_precision([1.0, 1.0, 1.0, 1.0], [True, False, False, False]) == pytest.approx(0.25)


def test_pixels_of_all_images_are_pooled_and_match_the_exact_figure() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=shape).astype(np.float32) for shape in ((40, 30), (25, 60), (10, 10))]
    masks = [rng.random((40, 30)) < 0.1, None, rng.random((10, 10)) < 0.3]
    labels = np.concatenate([
        (np.zeros(scores.shape, np.bool_) if mask is None else mask).ravel()
        for scores, mask in zip(maps, masks, strict=True)
    ])
    exact = average_precision(np.concatenate([scores.ravel() for scores in maps]), labels)
    assert pixel_average_precision(maps, masks) == pytest.approx(exact, abs=1e-4)


def test_pixels_without_any_defect_or_with_a_mask_of_another_size_are_refused() -> None:
    scores = [np.zeros((4, 4), np.float32)]
    with pytest.raises(ValueError, match="at least one defective pixel"):
        pixel_average_precision(scores, [None])
    with pytest.raises(ValueError, match=r"expected a mask of shape \(4, 4\), got \(4, 5\)"):
        pixel_average_precision(scores, [np.zeros((4, 5), np.bool_)])


def test_recall_lets_no_more_good_images_pass_than_stated() -> None:
    scores = [*range(20), 18.5, 25.0]
    labels = [False] * 20 + [True, True]
    # One of twenty good images may lie above: the threshold is the second highest good score, 18.
    assert recall_at_false_rejects(scores, labels, 0.05) == 1.0
    assert recall_at_false_rejects(scores, labels, 0.0) == 0.5

"""How well scores separate: figures that need nothing but numpy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BINS = 1 << 20


def image_auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Probability that a bad image scores above a good one, ties counting half (Mann-Whitney).

    Args:
        scores: shape (n,), higher is worse.
        labels: shape (n,), true for bad.

    Raises:
        ValueError: there is no good or no bad image, or a score is not finite.
    """
    score, bad = np.asarray(scores, np.float64), np.asarray(labels, np.bool_)
    if score.shape != bad.shape or score.ndim != 1:
        raise ValueError(f"expected two vectors of one length, got shapes {score.shape} and {bad.shape}")
    if not np.isfinite(score).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(score))} of {score.size} scores are not finite")
    bad_count = int(bad.sum())
    good_count = bad.size - bad_count
    if not bad_count or not good_count:
        raise ValueError(f"an AUROC needs good and bad images, got {good_count} good and {bad_count} bad")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    return float((mean_rank[inverse][bad].sum() - bad_count * (bad_count + 1) / 2) / (bad_count * good_count))


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Precision averaged over recall, one step per distinct score: ``sum (R_n - R_(n-1)) P_n``.

    Raises:
        ValueError: nothing is labelled true.
    """
    score, wanted = np.asarray(scores, np.float64).ravel(), np.asarray(labels, np.bool_).ravel()
    values, inverse = np.unique(score, return_inverse=True)
    hits = np.bincount(inverse, weights=wanted, minlength=values.size)
    return _precision_over_recall(hits, np.bincount(inverse, minlength=values.size) - hits)


def pixel_average_precision(maps: Sequence[NDArray[np.floating]], masks: Iterable[NDArray[np.bool_] | None]) -> float:
    """Average precision over the pixels of all images together.

    Scores are told apart to a millionth of their range, so that memory does not grow with the number of pixels.

    Args:
        maps: score by pixel, shape (height, width) each, any sizes.
        masks: defective pixels, of the same shapes; none where the image has no defect.

    Raises:
        ValueError: no pixel is defective, or a mask's shape is not that of its map.
    """
    low = min(float(scores.min()) for scores in maps)
    high = max(float(scores.max()) for scores in maps)
    scale = (_BINS - 1) / max(high - low, 1e-30)
    hits, misses = np.zeros(_BINS), np.zeros(_BINS)
    for scores, mask in zip(maps, masks, strict=True):
        if mask is not None and mask.shape != scores.shape:
            raise ValueError(f"expected a mask of shape {scores.shape}, got {mask.shape}")
        bins = ((scores.astype(np.float64) - low) * scale).astype(np.int64)
        if mask is None:
            misses += np.bincount(bins.ravel(), minlength=_BINS)
        else:
            hits += np.bincount(bins[mask], minlength=_BINS)
            misses += np.bincount(bins[~mask], minlength=_BINS)
    return _precision_over_recall(hits, misses)


def recall_at_false_rejects(scores: ArrayLike, labels: ArrayLike, false_reject_fraction: float) -> float:
    """Share of bad images above the threshold that at most the given share of good images passes."""
    score, bad = np.asarray(scores, np.float64), np.asarray(labels, np.bool_)
    good = np.sort(score[~bad])[::-1]
    if not bad.any() or not good.size:
        raise ValueError(f"recall needs good and bad images, got {good.size} good and {int(bad.sum())} bad")
    allowed = int(false_reject_fraction * good.size)
    threshold = good[allowed] if allowed < good.size else -np.inf
    return float((score[bad] > threshold).mean())


def _precision_over_recall(hits: NDArray[Any], misses: NDArray[Any]) -> float:
    """From hits and misses by score, in rising order of score."""
    total = float(hits.sum())
    if not total:
        raise ValueError("an average precision needs at least one defective pixel; none is labelled")
    found, wrong = np.cumsum(hits[::-1]), np.cumsum(misses[::-1])
    precision = found / np.maximum(found + wrong, 1)
    return float((precision * hits[::-1]).sum() / total)

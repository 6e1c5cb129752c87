"""What the supervised net is told to get right: pixels, whole defects however small, whole pictures, classes.

Of the pixels of a defective tile nearly all belong to a few large areas, so a loss by pixel alone teaches to overlook
holes. Three terms beside it count a defect, a picture or an overlap as one each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.labelled import SOUND, UNKNOWN
from models.supervised_graph import COARSE_LOGITS, KIND_LOGITS, LOGITS, STRIDE_PX
from models.supervised_samples import ARTIFICIAL, Piece, component_weights
from vision.anomaly import SCORE_CELLS

_NO_KIND = -1


class Batch(NamedTuple):
    """Pieces as tensors; cells are `STRIDE_PX` wide."""

    grey: Tensor
    """Shape (n, 1, side, side), 0 to 255."""
    defect: Tensor
    """Defective share of each cell, shape (n, 1, rows, columns)."""
    known: Tensor
    """Share of each cell whose pixels are labelled."""
    weights: Tensor
    """One over the cells of the defect that a cell belongs to; 0 outside."""
    kind: Tensor
    """Class from 0 on, or -1; shape (n, rows, columns)."""
    defective: Tensor
    """By piece, 0 or 1."""


def batch_of(pieces: Sequence[Piece]) -> Batch:
    """Stack pieces."""
    grey = np.stack([piece.grey for piece in pieces])[:, None].astype(np.float32)
    target = np.stack([piece.target for piece in pieces])
    n, side, _ = target.shape
    cells = target.reshape(n, side // STRIDE_PX, STRIDE_PX, side // STRIDE_PX, STRIDE_PX)
    defect = ((cells != SOUND) & (cells != UNKNOWN)).mean(axis=(2, 4), dtype=np.float32)
    known = (cells != UNKNOWN).mean(axis=(2, 4), dtype=np.float32)
    kind = np.where(cells == SOUND, 0, cells).max(axis=(2, 4)).astype(np.int64)
    kind = np.where((kind == SOUND) | (kind >= ARTIFICIAL), _NO_KIND, kind - 1)
    weights = np.stack([component_weights(each) for each in defect])
    defective = np.array([piece.defective for piece in pieces], np.float32)
    return Batch(
        grey=torch.from_numpy(grey).contiguous(memory_format=torch.channels_last),
        defect=torch.from_numpy(defect)[:, None],
        known=torch.from_numpy(known)[:, None],
        weights=torch.from_numpy(weights)[:, None],
        kind=torch.from_numpy(kind),
        defective=torch.from_numpy(defective),
    )


def loss_of(answers: Mapping[str, Tensor], batch: Batch) -> Tensor:
    """One number to make small."""
    logit = answers[LOGITS]
    total = 4 * _focal(logit, batch.defect, batch.known) + _overlap(logit, batch) + 0.5 * _by_defect(logit, batch)
    total = total + 0.5 * _by_picture(logit, batch) + 0.2 * _by_kind(answers[KIND_LOGITS], batch)
    for (name, stride), weight in zip(COARSE_LOGITS.items(), (0.4, 0.2), strict=True):
        # The largest share counts: a small hole must not fade on the coarse grid.
        factor = stride // STRIDE_PX
        defect = functional.max_pool2d(batch.defect, factor)
        known = functional.avg_pool2d(batch.known, factor)
        total = total + weight * 4 * _focal(answers[name], defect, known)
    return total


def _focal(logit: Tensor, defect: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy by cell; cells that are right already count less."""
    probability = torch.sigmoid(logit)
    entropy = functional.binary_cross_entropy_with_logits(logit, defect, reduction="none")
    wrong = (probability - defect).abs().detach()
    return (known * wrong * entropy).sum() / known.sum().clamp(min=1)


def _overlap(logit: Tensor, batch: Batch) -> Tensor:
    """One minus Dice over the batch."""
    probability = torch.sigmoid(logit) * batch.known
    common = (probability * batch.defect).sum()
    return 1 - (2 * common + 1) / (probability.sum() + (batch.defect * batch.known).sum() + 1)


def _by_defect(logit: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy where defects are, each weighing the same whatever its area."""
    count = (batch.weights.sum()).clamp(min=1)
    return (batch.weights * functional.softplus(-logit)).sum() / count


def _by_picture(logit: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the score by which whole pictures are judged."""
    highest = logit.flatten(1).topk(SCORE_CELLS, dim=1).values.mean(dim=1)
    return functional.binary_cross_entropy_with_logits(highest, batch.defective)


def _by_kind(logit: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the class inside defects."""
    entropy = functional.cross_entropy(logit, batch.kind, ignore_index=_NO_KIND, reduction="none")
    weights = batch.weights[:, 0] * (batch.kind != _NO_KIND)
    return (weights * entropy).sum() / weights.sum().clamp(min=1)

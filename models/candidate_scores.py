"""How a network of the classifier of candidates does on patches with known classes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from vision.candidates import CHANNELS, CLEAN, FILM_GREY

KEPT_ABOVE, MOST_PASSED_FRACTION = 0.5, 0.005
"""A spot is kept when it is likelier a defect than not, or above what this share of clean spots reaches."""
TIMED_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How a network does on patches with known classes."""

    names: tuple[str, ...]
    confusion: NDArray[np.int64]
    """Shape (classes, classes): true by rows, answered by columns, by the highest logit."""
    keep: float
    """Probability of not being clean above which a spot is kept."""
    passed_fraction: float
    """Of clean patches, kept at that threshold."""
    kept_fraction: float
    """Of defects, kept at that threshold."""
    without_tx_fraction: float | None
    """Accuracy on the same patches without transmission, where some classes show nothing; None: they have none."""
    patch_us: float
    """CPU time of a patch in a batch of 8, one thread; the least of several runs."""

    @property
    def accuracy_fraction(self) -> float:
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> dict[str, float]:
        """By class."""
        totals = np.maximum(self.confusion.sum(axis=1), 1)
        return dict(zip(self.names, (np.diag(self.confusion) / totals).tolist(), strict=True))


def keep_threshold(
    model: onnx.ModelProto, images: NDArray[np.uint8], labels: NDArray[np.int64], names: tuple[str, ...]
) -> float:
    """Probability of not being clean above which a spot is kept, set on patches that no score is reported of."""
    clean = names.index(CLEAN)
    dirty = dirty_probability(answers(opened(model), images[labels == clean]), clean)
    return float(np.clip(np.quantile(dirty, 1 - MOST_PASSED_FRACTION), KEPT_ABOVE, 0.98))


def scores_of(
    model: onnx.ModelProto,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    names: tuple[str, ...],
    *,
    keep: float = KEPT_ABOVE,
    channels: Sequence[str] = CHANNELS,
) -> Scores:
    """Run a network over patches and score its answers.

    Args:
        images: shape (n, channels, 64, 64).
        labels: indices into `names`, shape (n,).
        keep: probability of not being clean above which a spot is kept.
        channels: of the images.
    """
    session = opened(model)
    logits = answers(session, images)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, logits.argmax(axis=1)), 1)
    dirty = dirty_probability(logits, names.index(CLEAN))
    is_clean = labels == names.index(CLEAN)
    without_tx_fraction = None
    if "TX" in channels:
        without_tx = images.copy()
        without_tx[:, channels.index("TX")] = FILM_GREY[CHANNELS.index("TX")]
        without_tx_fraction = float((answers(session, without_tx).argmax(axis=1) == labels).mean())
    return Scores(
        names=names,
        confusion=confusion,
        keep=keep,
        passed_fraction=float((dirty[is_clean] > keep).mean()),
        kept_fraction=float((dirty[~is_clean] > keep).mean()),
        without_tx_fraction=without_tx_fraction,
        patch_us=_patch_us(session, images[:TIMED_BATCH]),
    )


def agreement_fraction(model: onnx.ModelProto, other: onnx.ModelProto, images: NDArray[np.uint8]) -> float:
    """Share of patches that two networks give the same class."""
    one, two = (answers(opened(each), images).argmax(axis=1) for each in (model, other))
    return float((one == two).mean())


def answers(session: onnxruntime.InferenceSession, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits of patches, shape (n, classes)."""
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: images[start : start + 256]})[0] for start in range(0, len(images), 256)]
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


def dirty_probability(logits: NDArray[np.float32], clean: int) -> NDArray[np.float32]:
    """Probability of not being clean, shape (n,)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(1 - powers[:, clean] / powers.sum(axis=1), np.float32)


def opened(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session of one thread on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _patch_us(session: onnxruntime.InferenceSession, images: NDArray[np.uint8]) -> float:
    name = session.get_inputs()[0].name
    least = float("inf")
    for _ in range(8):
        # CPU time: other work on the machine is not this network's.
        started = time.process_time()
        for _ in range(25):
            session.run(None, {name: images})
        least = min(least, (time.process_time() - started) / 25 / len(images))
    return 1e6 * least

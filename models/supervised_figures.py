"""How a supervised model does on pictures with labels, and the thresholds that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from line.bundle import Threshold
from models.evaluate import image_auroc, pixel_average_precision, recall_at_false_rejects
from models.labelled import SOUND, UNKNOWN, LabelledImage
from models.supervised_graph import DEFECT, IMAGE, MULTIPLE_PX, STRIDE_PX
from vision.anomaly import IMAGE_THRESHOLD, REGION_THRESHOLD, image_score, whole_map
from vision.session import open_onnx
from vision.tiles import mapped

FALSE_ALARM_FRACTION = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How a model does on held-out pictures."""

    image_auroc: float
    pixel_average_precision: float | None
    """None where no pixels are labelled."""
    recall_by_kind: dict[str, float] = field(default_factory=dict)
    """At `FALSE_ALARM_FRACTION` of the sound pictures rejected."""
    thresholds: dict[str, Threshold] = field(default_factory=dict)


def measured(
    model: onnx.ModelProto, reduction: int, images: Sequence[LabelledImage], classes: Sequence[str]
) -> Figures:
    """Run a finished model over pictures as inspection does, and score it."""
    cell_px = STRIDE_PX * reduction
    session = open_onnx(model.SerializeToString(), "cpu")

    def answer(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run([DEFECT], {IMAGE: tile})[0][0], np.float32)

    cells = [mapped(image.grey, answer, cell_px, MULTIPLE_PX * reduction)[0] for image in images]
    scores = np.array([image_score(each) for each in cells])
    defective = np.array([not image.is_sound for image in images])
    sound_peaks = [float(each.max()) for each, is_bad in zip(cells, defective, strict=True) if not is_bad]
    located = [place for place, image in enumerate(images) if not (image.target == UNKNOWN).any()]
    precision = None
    if any(not images[place].is_sound for place in located):
        shapes = [(images[place].grey.shape[0], images[place].grey.shape[1]) for place in located]
        maps = [whole_map(cells[place], cell_px, shape, shape) for place, shape in zip(located, shapes, strict=True)]
        precision = pixel_average_precision(maps, [images[place].target != SOUND for place in located])
    recall = {}
    for kind in classes:
        own = np.array([image.is_sound or kind in image.kinds for image in images])
        if (own & defective).any():
            recall[kind] = recall_at_false_rejects(scores[own], defective[own], FALSE_ALARM_FRACTION)
    return Figures(
        image_auroc=image_auroc(scores, defective),
        pixel_average_precision=precision,
        recall_by_kind=recall,
        thresholds={
            IMAGE_THRESHOLD: _conformal(scores[~defective].tolist(), "image scores"),
            REGION_THRESHOLD: _region_threshold(cells, cell_px, images, sound_peaks),
        },
    )


def _conformal(scores: Sequence[float], what: str) -> Threshold:
    """The score that the stated share of sound pictures passes."""
    ranked = sorted(scores)
    count = len(ranked)
    rank = min(count, int(np.ceil((count + 1) * (1 - FALSE_ALARM_FRACTION))))
    return Threshold(
        value=ranked[rank - 1],
        false_alarm_fraction=(count + 1 - rank) / (count + 1),
        how=f"rank {rank} of the {what} of {count} sound pictures held out of training",
    )


def _region_threshold(
    cells: Sequence[NDArray[np.float32]],
    cell_px: int,
    images: Sequence[LabelledImage],
    sound_peaks: Sequence[float],
) -> Threshold:
    """The probability at which marked and labelled pixels agree best (F1), or an even chance where none is labelled."""
    limits = np.linspace(0.1, 0.9, 33)
    wanted, marked, both = 0.0, np.zeros(limits.size), np.zeros(limits.size)
    for each, image in zip(cells, images, strict=True):
        target = image.target[::cell_px, ::cell_px]
        defect, known = (target != SOUND) & (target != UNKNOWN), target != UNKNOWN
        wanted += float(defect.sum())
        above = each[None] > limits[:, None, None]
        marked += (above & known).sum(axis=(1, 2))
        both += (above & defect).sum(axis=(1, 2))
    value = 0.5 if not wanted else float(limits[int(np.argmax(2 * both / (marked + wanted)))])
    passed = sum(peak > value for peak in sound_peaks) / max(1, len(sound_peaks))
    how = "best agreement (F1) of marked and labelled pixels" if wanted else "an even chance; no pixels are labelled"
    return Threshold(value=value, false_alarm_fraction=passed, how=f"{how} over {len(images)} held-out pictures")

"""The steps of one-class training that look at images through the frozen backbone, and what they can be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from onnxruntime import RunOptions

from line.bundle import Bundle
from models.artificial_defects import damaged
from models.coreset import coreset_indices, spacings
from models.patch_memory import (
    CELL_PX,
    FEATURES,
    GLANCE,
    GLANCE_CELL_PX,
    IMAGE,
    MULTIPLE_PX,
    Memory,
    Spread,
    feature_model,
    one_class_model,
)
from models.perceptron import Perceptron
from vision.anomaly import mapped
from vision.session import open_onnx

Grey = NDArray[np.uint8]
T = TypeVar("T")

_ONLY_WHAT_IS_ASKED = RunOptions()
_ONLY_WHAT_IS_ASKED.only_execute_path_to_fetches = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OneClassSettings:
    """What was chosen by measuring, not by taste; see the model card of a trained model for the figures."""

    view_px: int = 320
    """What the long side of an image, or of a tile of a larger one, is brought to."""
    memory_patches: int = 2000
    patches_per_image: int = 60
    """Offered to the coreset, per image."""
    damaged_images: int = 1350
    """Copies with artificial defects, over all images; at most 20 of one image."""
    samples_per_copy: tuple[int, int] = (150, 250)
    """Defective and sound cells."""
    epochs: int = 3
    whitening_floor: float = 1.0
    """Of the mean variance, added to each: parts not seen before differ most where good film hardly varies."""
    pieces: int = 800
    """Images larger than a tile are cut up; of all pieces so many are used, evenly spread."""
    workers: int = 2
    false_alarm_fraction: float = 0.05
    """Of good images, allowed above the threshold."""


class Samples(NamedTuple):
    inputs: NDArray[np.float16]
    labels: NDArray[np.bool_]


class Trainer:
    """The steps of training that look at images through the backbone."""

    def __init__(self, backbone: Bundle, settings: OneClassSettings, seed: int) -> None:
        self._backbone, self._settings, self._seed = backbone, settings, seed
        self._session = open_onnx(feature_model(backbone).SerializeToString(), "cpu")

    def memory(self, pieces: Sequence[Grey], rng: np.random.Generator, progress: Callable[[float], None]) -> Memory:
        """Whitened patches of good film, by coreset."""

        def offered(index: int) -> NDArray[np.float32]:
            cells = self._features(pieces[index], GLANCE, GLANCE_CELL_PX)
            cells = cells.reshape(len(cells), -1).T
            picked = np.random.default_rng((self._seed, index)).permutation(len(cells))
            return cells[picked[: self._settings.patches_per_image]]

        points = np.concatenate(self._each(offered, len(pieces), progress))
        mean = points.mean(axis=0)
        variances, directions = np.linalg.eigh(np.cov(points.T))
        scale = (variances + self._settings.whitening_floor * variances.mean()) ** -0.5
        whitening = (directions * scale).astype(np.float32)
        white = (points - mean) @ whitening
        patches = white[coreset_indices(white, self._settings.memory_patches, rng)]
        return Memory(mean=mean, whitening=whitening, patches=patches, spacing=spacings(patches))

    def samples(self, pieces: Sequence[Grey], progress: Callable[[float], None]) -> Samples:
        """Cells of copies with artificial defects, and whether they are defective."""
        copies = int(np.clip(round(self._settings.damaged_images / len(pieces)), 1, 20))

        def drawn(index: int) -> Samples:
            rng = np.random.default_rng((self._seed, 1, index))
            image, mask = damaged(pieces[index % len(pieces)], pieces, rng)
            cells = self._features(image, FEATURES, CELL_PX)
            return _picked(cells, mask, CELL_PX, self._settings.samples_per_copy, rng)

        parts = self._each(drawn, copies * len(pieces), progress)
        return Samples(np.concatenate([part.inputs for part in parts]), np.concatenate([part.labels for part in parts]))

    def checked(
        self, images: Sequence[Grey], memory: Memory, head: Perceptron
    ) -> tuple[dict[str, Spread], list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Spread of both judges on held-out images, and the anomaly maps of these, sound and damaged."""
        model = one_class_model(self._backbone, memory, head, {})
        session = open_onnx(model.SerializeToString(), "cpu")
        names = [output.name for output in session.get_outputs()]

        def judged(image: Grey) -> NDArray[np.float32]:
            def answer(tile: Grey) -> NDArray[np.float32]:
                return np.concatenate([part[0] for part in session.run(names, {IMAGE: tile})])

            return mapped(image, answer, CELL_PX, MULTIPLE_PX)

        def spoilt(index: int) -> NDArray[np.float32]:
            return judged(damaged(images[index], images, np.random.default_rng((self._seed, 2, index))).image)

        sound = self._each(lambda index: judged(images[index]), len(images), lambda _: None)
        spreads = {}
        for channel, name in enumerate(names):
            cells = np.concatenate([part[channel].ravel() for part in sound])
            spreads[name] = Spread(mean=float(cells.mean()), deviation=float(cells.std()))
        mean = np.array([spreads[name].mean for name in names], np.float32)[:, None, None]
        deviation = np.array([spreads[name].deviation for name in names], np.float32)[:, None, None]
        maps = [((part - mean) / deviation).sum(axis=0) for part in sound]
        damaged_maps = self._each(spoilt, len(images), lambda _: None)
        return spreads, maps, [((part - mean) / deviation).sum(axis=0) for part in damaged_maps]

    def _features(self, image: Grey, name: str, cell: int) -> NDArray[np.float32]:
        def answer(tile: Grey) -> NDArray[np.float32]:
            features: NDArray[np.float32] = self._session.run([name], {IMAGE: tile}, _ONLY_WHAT_IS_ASKED)[0][0]
            return features

        return mapped(image, answer, cell, MULTIPLE_PX)

    def _each(self, work: Callable[[int], T], count: int, progress: Callable[[float], None]) -> list[T]:
        """Results in order, whatever thread made them; onnxruntime lets go of the interpreter while it computes."""
        results = []
        with ThreadPoolExecutor(self._settings.workers) as pool:
            for done, result in enumerate(pool.map(work, range(count)), start=1):
                results.append(result)
                progress(done / count)
        return results


def _picked(
    cells: NDArray[np.float32], mask: NDArray[np.bool_], cell: int, counts: tuple[int, int], rng: np.random.Generator
) -> Samples:
    """Defective and sound cells at random; cells beside a defect are neither."""
    channels, rows, columns = cells.shape
    padded = np.zeros((rows * cell, columns * cell), np.uint8)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    covered = padded.reshape(rows, cell, columns, cell).mean(axis=(1, 3))
    _, labels = cv2.connectedComponents((covered > 0).astype(np.uint8))
    order = np.argsort(covered, axis=None)
    fullest = np.zeros(int(labels.max()) + 1, np.int64)
    # Written in rising order of cover, so each defect ends with its fullest cell: tiny ones have no other.
    fullest[labels.ravel()[order]] = order
    defective = covered >= 0.3
    defective.ravel()[fullest[1:]] = True
    near = cv2.dilate((covered > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    bad, sound = np.flatnonzero(defective), np.flatnonzero(~near)
    if bad.size > counts[0]:
        # Large defects would drown small ones: weight by one over the root of their size.
        own = labels.ravel()[bad]
        weight = 1 / np.sqrt(np.bincount(own)[own])
        bad = rng.choice(bad, counts[0], replace=False, p=weight / weight.sum())
    sound = rng.permutation(sound)[: counts[1]]
    picked = np.concatenate([bad, sound])
    inputs = cells.reshape(channels, -1)[:, picked].T.astype(np.float16)
    return Samples(inputs, np.arange(picked.size) < bad.size)

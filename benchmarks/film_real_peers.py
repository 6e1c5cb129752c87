"""PatchCore and PaDiM on the backbone of the one-class film model, for pictures that are squares of 256 px."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from line.bundle import open_bundle
from models.coreset import coreset_indices
from models.one_class import BACKBONE
from models.registry import released
from vision.session import ModelSession

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIDE_PX = 256
BANK_COUNT = 2000
OFFERED_PER_IMAGE = 100
PADIM_CHANNELS = 100
SMOOTHING_PX = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Of one picture."""

    score: float
    score_map: Floats
    """At the picture's resolution."""
    is_rejected: bool | None = None
    """By the model's own limits, where it has any."""


Judge = Callable[[Grey], Judgement]


def patchcore(good: Sequence[Grey], seed: int) -> Judge:
    """K. Roth et al., CVPR 2022: strides 8 and 16, averaged over 3 x 3, distance to the nearest of a coreset."""
    features = _features(("s8", "s16b"), smooth=True)
    rng = np.random.default_rng(seed)
    offered = []
    for image in good:
        cells = features(image).reshape(-1, 32 * 32).T
        offered.append(cells[rng.permutation(len(cells))[:OFFERED_PER_IMAGE]])
    points = np.concatenate(offered)
    bank = points[coreset_indices(points, BANK_COUNT, rng)]
    squares = np.einsum("nd,nd->n", bank, bank)

    def judge(image: Grey) -> Judgement:
        cells = features(image).reshape(-1, 32 * 32).T
        nearest = (squares - 2 * cells @ bank.T).min(axis=1) + np.einsum("nd,nd->n", cells, cells)
        return _judged(image, np.sqrt(np.maximum(nearest, 0)).reshape(32, 32))

    return judge


def padim(good: Sequence[Grey], seed: int) -> Judge:
    """T. Defard et al., ICPR 2021: strides 4, 8 and 16, 100 channels at random, a normal distribution by place."""
    features = _features(("s4", "s8", "s16b"), smooth=False)
    first = features(good[0])
    chosen = np.random.default_rng(seed).permutation(len(first))[:PADIM_CHANNELS]
    cells = np.stack([features(image)[chosen].reshape(PADIM_CHANNELS, -1).T for image in good], axis=1)
    mean = cells.mean(axis=1)
    cells -= mean[:, None]
    covariance = cells.transpose(0, 2, 1) @ cells / (len(good) - 1)
    precision = np.linalg.inv(covariance + 0.01 * np.eye(PADIM_CHANNELS, dtype=np.float32))

    def judge(image: Grey) -> Judgement:
        away = features(image)[chosen].reshape(PADIM_CHANNELS, -1).T - mean
        squared = np.einsum("pc,pcd,pd->p", away, precision, away, optimize=True)
        return _judged(image, np.sqrt(np.maximum(squared, 0)).reshape(32, 32).astype(np.float32))

    return judge


def _features(names: tuple[str, ...], *, smooth: bool) -> Callable[[Grey], Floats]:
    """From a picture to features of shape (channels, 32, 32)."""
    session = ModelSession(open_bundle(released(BACKBONE), task="backbone"), "cpu")

    def features(image: Grey) -> Floats:
        square = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        found = session.run(np.ascontiguousarray(square[None, None], np.uint8))
        planes = []
        for name in names:
            for plane in found[name][0]:
                averaged = cv2.blur(plane, (3, 3)) if smooth else plane
                how = cv2.INTER_AREA if plane.shape[0] > 32 else cv2.INTER_LINEAR
                planes.append(cv2.resize(averaged, (32, 32), interpolation=how))
        return np.stack(planes).astype(np.float32)

    return features


def _judged(image: Grey, cells: Floats) -> Judgement:
    height, width = image.shape
    square = cv2.resize(cells, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)
    smooth = cv2.GaussianBlur(square, (0, 0), SMOOTHING_PX)
    whole = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR)
    return Judgement(score=float(smooth.max()), score_map=np.asarray(whole, np.float32))

"""The steps of one-class training that look at images through the frozen backbone, and what they can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle, EnsembleMember, InputSpec
from models.artificial_defects import damaged
from models.coreset import coreset_indices, spacings
from models.one_class_graph import (
    DEEP,
    DEFECT,
    FEATURES,
    IMAGE,
    LINES,
    MULTIPLE_PX,
    PICTURE,
    STRIDES_PX,
    WHOLE,
    Memory,
    Usual,
    feature_models,
    memory_name,
    view_name,
)
from models.perceptron import Perceptron, trained_perceptron
from vision.ensemble import Ensemble, PartAnswers, part_answers, scale_of, shown
from vision.session import open_onnx
from vision.whitening import whitening_of

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]
Progress = Callable[[float], None]
T = TypeVar("T")

_MIRRORS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneClassSettings:
    """What was chosen by measuring, not by taste; see decision 8 for the figures."""

    view_px: int = 320
    """What the long side of a part is brought to for the head, and for the map."""
    memory_views_px: tuple[int, ...] = (96, 160)
    """The same for the memories; the whole is judged in the smallest."""
    memory_patches: int = 3000
    """Of each memory."""
    patches_per_image: int = 60
    """Offered to the coreset, per image and mirror image."""
    damaged_images: int = 900
    """Copies with artificial defects, over all images; at most 20 of one image."""
    samples_per_copy: tuple[int, int] = (150, 250)
    """Defective and sound cells."""
    epochs: int = 3
    whitening_floor: float = 1.0
    """Of the mean variance, added to each: parts not seen before differ most where good film hardly varies."""
    whole_floor: float = 0.1
    """The same for the mean of a whole part, which varies less."""
    pieces: int = 800
    """Of all parts of all images so many are used, evenly spread."""
    workers: int = 2
    false_alarm_fraction: float = 0.05
    """Of good images, allowed above the limit of the score or that of regions."""


class Samples(NamedTuple):
    inputs: NDArray[np.float16]
    labels: NDArray[np.bool_]


def view_rows(settings: OneClassSettings, um_per_px: float | None = None) -> tuple[InputSpec, ...]:
    """What the network is shown; the map's view first."""

    def view(tensor: str, view_px: int | None, *, multiple_px: int = MULTIPLE_PX, mirrored: bool = False) -> InputSpec:
        return InputSpec(
            tensor=tensor,
            channels=1,
            multiple_px=multiple_px,
            um_per_px=um_per_px,
            view_px=view_px,
            mirrored=mirrored,
        )

    return (
        view(view_name(settings.view_px), settings.view_px),
        *(view(view_name(view_px), view_px, mirrored=True) for view_px in settings.memory_views_px),
        # Nothing is added to the picture as it is: a mirrored border is full of strokes.
        view(PICTURE, None, multiple_px=1),
    )


def unscaled_ensemble(settings: OneClassSettings) -> Ensemble:
    """Who looks at what and counts how much; what good film makes them answer is not known yet."""
    views = settings.memory_views_px
    rows = [
        _member(memory_name(depth, view_px), view_name(view_px), highest_count=2, weight=1, map_weight=1)
        for view_px in views
        for depth in DEEP
    ]
    rows.append(_member(WHOLE, view_name(min(views)), highest_count=1, weight=2, map_weight=0))
    rows.append(_member(LINES, PICTURE, highest_count=6, weight=2, map_weight=1))
    rows.append(_member(DEFECT, view_name(settings.view_px), highest_count=48, weight=1, map_weight=4))
    strides = {memory_name(depth, view_px): STRIDES_PX[depth] for view_px in views for depth in DEEP}
    strides |= {WHOLE: STRIDES_PX[DEEP[-1]], LINES: STRIDES_PX[LINES], DEFECT: STRIDES_PX[DEFECT]}
    return Ensemble(members=tuple(rows), views={spec.tensor: spec for spec in view_rows(settings)}, strides_px=strides)


def _member(tensor: str, view: str, *, highest_count: int, weight: float, map_weight: float) -> EnsembleMember:
    return EnsembleMember(
        tensor=tensor,
        input=view,
        highest_count=highest_count,
        weight=weight,
        map_weight=map_weight,
        score_mean=0.0,
        score_deviation=1.0,
        cell_mean=0.0,
        cell_deviation=1.0,
    )


class Trainer:
    """The steps of training that look at images through the backbone."""

    def __init__(self, backbone: Bundle, settings: OneClassSettings, seed: int) -> None:
        self._settings, self._seed = settings, seed
        self._deep_session, self._head_session = (
            open_onnx(model.SerializeToString(), "cpu") for model in feature_models(backbone)
        )

    def usual(
        self, pieces: Sequence[Grey], rng: np.random.Generator, progress: Progress
    ) -> tuple[dict[tuple[str, int], Memory], Usual]:
        """The memories by depth and view, and the mean features of whole parts."""
        views = self._settings.memory_views_px
        memories = {}
        for place, view_px in enumerate(views):

            def deep(index: int, view_px: int = view_px) -> _Deep:
                return self._deep(pieces[index], view_px, index)

            def step(share: float, place: int = place) -> None:
                progress((place + share) / len(views))

            offered = self._each(deep, len(pieces), step)
            if view_px == min(views):
                means = np.concatenate([each.means for each in offered])
                whole = _whitened(means, self._settings.whole_floor)
            for row, depth in enumerate(DEEP):
                points = np.concatenate([each.points[row] for each in offered])
                memories[depth, view_px] = self._memory(points, rng)
            step(1.0)
        return memories, whole

    def head(self, pieces: Sequence[Grey], rng: np.random.Generator, progress: Progress) -> Perceptron:
        """Learnt on copies with artificial defects."""
        copies = int(np.clip(round(self._settings.damaged_images / len(pieces)), 1, 20))
        resized = [shown(piece, scale_of(piece.shape, self._settings.view_px), 1) for piece in pieces]

        def drawn(index: int) -> Samples:
            rng = np.random.default_rng((self._seed, 1, index))
            image, mask = damaged(resized[index % len(pieces)], resized, rng)
            view = shown(image, 1.0, MULTIPLE_PX)
            cells = self._head_session.run([FEATURES], {IMAGE: view[None, None]})[0][0]
            return _picked(cells, mask, STRIDES_PX[DEFECT], self._settings.samples_per_copy, rng)

        parts = self._each(drawn, copies * len(pieces), lambda share: progress(0.7 * share))
        return trained_perceptron(
            np.concatenate([part.inputs for part in parts]),
            np.concatenate([part.labels for part in parts]),
            epochs=self._settings.epochs,
            rng=rng,
            progress=lambda share: progress(0.7 + 0.3 * share),
        )

    def answered(self, images: Sequence[Grey], model: bytes, ensemble: Ensemble) -> list[list[PartAnswers]]:
        """What the members of a network say of images."""
        session = open_onnx(model, "cpu")
        names = list(ensemble.strides_px)

        def answer(views: Mapping[str, Grey]) -> dict[str, Floats]:
            return dict(zip(names, session.run(names, dict(views)), strict=True))

        return self._each(lambda index: part_answers(images[index], ensemble, answer), len(images), lambda _: None)

    def spoilt(self, images: Sequence[Grey]) -> list[Grey]:
        """Each image with artificial defects."""
        return [
            damaged(image, images, np.random.default_rng((self._seed, 2, index))).image
            for index, image in enumerate(images)
        ]

    def _memory(self, points: Floats, rng: np.random.Generator) -> Memory:
        """By coreset; distances count for less where the memory is sparse."""
        usual = _whitened(points, self._settings.whitening_floor)
        white = np.asarray((points - usual.mean) @ usual.whitening, np.float32)
        patches = white[coreset_indices(white, self._settings.memory_patches, rng)]
        return Memory(usual=usual, patches=patches, spacing=spacings(patches))

    def _deep(self, piece: Grey, view_px: int, index: int) -> _Deep:
        """Features of a piece and its mirror images: a surface has no preferred side."""
        rng = np.random.default_rng((self._seed, view_px, index))
        points: list[list[Floats]] = [[] for _ in DEEP]
        means = []
        for down, across in _MIRRORS:
            view = shown(np.ascontiguousarray(piece[::down, ::across]), scale_of(piece.shape, view_px), MULTIPLE_PX)
            for kept, found in zip(points, self._deep_session.run(DEEP, {IMAGE: view[None, None]}), strict=True):
                cells = found[0].reshape(found.shape[1], -1).T
                kept.append(cells[rng.permutation(len(cells))[: self._settings.patches_per_image]])
            means.append(cells.mean(axis=0))
        return _Deep([np.concatenate(kept) for kept in points], np.stack(means))

    def _each(self, work: Callable[[int], T], count: int, progress: Progress) -> list[T]:
        """Results in order, whatever thread made them; onnxruntime lets go of the interpreter while it computes."""
        results = []
        with ThreadPoolExecutor(self._settings.workers) as pool:
            for done, result in enumerate(pool.map(work, range(count)), start=1):
                results.append(result)
                progress(done / count)
        return results


class _Deep(NamedTuple):
    points: list[Floats]
    """By depth, shape (patches, channels)."""
    means: Floats
    """Of the deepest features, shape (mirror images, channels)."""


def standardised(
    members: Sequence[EnsembleMember], answered: Sequence[Sequence[PartAnswers]]
) -> tuple[EnsembleMember, ...]:
    """The members with the mean and spread of what they say of good images."""
    rows = []
    for place, member in enumerate(members):
        said = [part.answers[place] for image in answered for part in image]
        scores = np.array([said.score for said in said])
        cells = np.concatenate([said.cells.ravel() for said in said])
        rows.append(
            msgspec.structs.replace(
                member,
                score_mean=float(scores.mean()),
                score_deviation=float(max(scores.std(), 1e-6)),
                cell_mean=float(cells.mean()),
                cell_deviation=float(max(cells.std(), 1e-6)),
            )
        )
    return tuple(rows)


def _whitened(points: Floats, floor: float) -> Usual:
    mean, whitening = whitening_of(points, floor)
    return Usual(mean=mean, whitening=whitening)


def _picked(
    cells: Floats, mask: NDArray[np.bool_], cell: int, counts: tuple[int, int], rng: np.random.Generator
) -> Samples:
    """Defective and sound cells at random; cells beside a defect are neither."""
    rows, columns = (-(-size // cell) for size in mask.shape)
    cells = cells[:, :rows, :columns]
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
    inputs = cells.reshape(len(cells), -1)[:, picked].T.astype(np.float16)
    return Samples(inputs, np.arange(picked.size) < bad.size)

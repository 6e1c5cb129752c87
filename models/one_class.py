"""Trains a one-class film model from images of good film alone: numpy and onnxruntime, no torch.

Features of the frozen backbone are taken from the images (the memory's patches, by coreset) and from copies with
artificial defects (the head's samples). A fifth of the images, in consecutive runs because neighbours often show the
same part, is held out of both; it sets the scale of the two judges and the thresholds.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle, InputSpec, OutputSpec, Threshold, open_bundle
from line.errors import ConfigError
from models.artificial_defects import damaged
from models.bundle_writer import BundleDraft, require_place, write_bundle
from models.coreset import coreset_indices
from models.evaluate import image_auroc
from models.model_card import one_class_card
from models.onnx_graph import OPSET
from models.patch_memory import (
    ANOMALY,
    FEATURES,
    IMAGE,
    MEMORY_TAP,
    Memory,
    Spread,
    cell_px,
    feature_model,
    memory_cell_px,
    multiple_px,
    one_class_model,
)
from models.perceptron import Perceptron, trained_perceptron
from models.registry import released
from vision.anomaly import IMAGE_THRESHOLD, REGION_THRESHOLD, TILE_PX, image_score, mapped, require_grey
from vision.session import open_onnx

log = logging.getLogger(__name__)

BACKBONE = "efficientnet-lite0-s16"
SMALLEST_COUNT = 20
SMALLEST_PX = 48

Grey = NDArray[np.uint8]
Progress = Callable[[str, float], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OneClassSettings:
    """What was chosen by measuring, not by taste; see the model card of a trained model for the figures."""

    reduction: int = 2
    """Pixels averaged per side before the network: 2 sees more around each place and costs a quarter."""
    memory_patches: int = 2000
    patches_per_image: int = 80
    """Offered to the coreset, per image."""
    damaged_images: int = 1350
    """Copies with artificial defects, over all images; at most 20 of one image."""
    samples_per_copy: tuple[int, int] = (150, 250)
    """Defective and sound cells."""
    epochs: int = 3
    whitening_floor: float = 0.02
    """Of the mean variance, added to each so that directions of pure noise do not rule."""
    pieces: int = 800
    """Images larger than a tile are cut up; of all pieces so many are used, evenly spread."""
    workers: int = 2
    false_alarm_fraction: float = 0.05
    """Of good images, allowed above the threshold."""


class _Samples(NamedTuple):
    inputs: NDArray[np.float16]
    labels: NDArray[np.bool_]


def train_one_class(
    images: Iterable[Grey],
    out: Path,
    *,
    name: str,
    seed: int,
    progress: Progress = lambda stage, fraction: None,
    version: int = 1,
    um_per_px: float | None = None,
    settings: OneClassSettings | None = None,
    backbone: Bundle | None = None,
) -> Bundle:
    """Train a one-class film model and write its bundle.

    Args:
        images: grey, of good film only, shape (height, width), in the order in which they were taken.
        out: folder of the new bundle.
        progress: told the stage in words and the share done of the whole.
        um_per_px: their pitch, if it is known; other pitches are then refused when inspecting.
        backbone: the shipped one unless given.

    Raises:
        ConfigError: fewer than 20 images, or ``out`` holds something else.
        FrameError: an image is not grey, not 8 bit or smaller than 48 px.
    """
    settings = settings or OneClassSettings()
    backbone = backbone or open_bundle(released(BACKBONE), task="backbone")
    require_place(out)
    good = list(images)
    if len(good) < SMALLEST_COUNT:
        raise ConfigError(
            f"need at least {SMALLEST_COUNT} good images, have {len(good)}; add {SMALLEST_COUNT - len(good)}"
        )
    for image in good:
        require_grey(image, SMALLEST_PX)
    held = _held_out(len(good))
    kept = [image for image, is_held in zip(good, held, strict=True) if not is_held]
    checked = [image for image, is_held in zip(good, held, strict=True) if is_held]
    pieces = _pieces(kept, settings.pieces)
    rng = np.random.default_rng(seed)
    trainer = _Trainer(backbone, settings, seed)
    memory = trainer.memory(pieces, rng, lambda share: progress("features of good film", 0.15 * share))
    samples = trainer.samples(pieces, lambda share: progress("artificial defects", 0.15 + 0.45 * share))
    head = trained_perceptron(
        samples.inputs,
        samples.labels,
        epochs=settings.epochs,
        rng=rng,
        progress=lambda share: progress("defect head", 0.6 + 0.25 * share),
    )
    progress("thresholds", 0.85)
    spreads, sound, spoilt = trainer.checked(checked, memory, head)
    thresholds = {
        IMAGE_THRESHOLD: _threshold([image_score(cells) for cells in sound], settings, "image scores"),
        REGION_THRESHOLD: _threshold([float(cells.max()) for cells in sound], settings, "highest cells"),
    }
    metrics = {
        "held_out_images": float(len(checked)),
        "artificial_image_auroc": round(
            image_auroc(
                [image_score(cells) for cells in (*sound, *spoilt)], [False] * len(sound) + [True] * len(spoilt)
            ),
            4,
        ),
        "memory_patches": float(len(memory.patches)),
    }
    metadata = {
        "names": "{0: 'anomaly'}",
        "task": "film-one-class",
        "version": str(version),
        "stride": str(cell_px(settings.reduction)),
        "lamella.um_per_px": "" if um_per_px is None else f"{um_per_px:g}",
        "lamella.thresholds": " ".join(f"{key}={limit.value:.6g}" for key, limit in thresholds.items()),
    }
    draft = BundleDraft(
        name=name,
        version=version,
        task="film-one-class",
        input=InputSpec(tensor=IMAGE, channels=1, multiple_px=multiple_px(settings.reduction), um_per_px=um_per_px),
        outputs=(
            OutputSpec(
                tensor=ANOMALY,
                meaning="how unlike good film, in spreads of good film",
                layout="N1HW",
                stride_px=cell_px(settings.reduction),
            ),
        ),
        licence=backbone.manifest.licence,
        provenance=f"Trained on {len(kept)} images of good film as given, {len(checked)} held out; "
        f"backbone {backbone.ref}: {backbone.manifest.provenance}",
        opset=OPSET,
        golden_tolerance=0.05,
        thresholds=thresholds,
        classes=("anomaly",),
        feature_extractor=backbone.ref,
        training_data_digest=_data_digest(good),
        training_image_count=len(good),
        seed=seed,
        metrics=metrics,
    )
    model = one_class_model(backbone, settings.reduction, memory, head, spreads, metadata=metadata)
    bundle = write_bundle(out, draft, model, card=one_class_card(draft), golden_inputs=_golden(checked))
    progress("done", 1.0)
    log.info("one-class model %s: %d images, digest %s", bundle.ref, len(good), bundle.digest)
    return bundle


class _Trainer:
    """The steps of training that look at images through the backbone."""

    def __init__(self, backbone: Bundle, settings: OneClassSettings, seed: int) -> None:
        self._backbone, self._settings, self._seed = backbone, settings, seed
        features = feature_model(backbone, settings.reduction)
        self._session = open_onnx(features.SerializeToString(), "cpu")
        self._cell_px = cell_px(settings.reduction)
        self._multiple_px = multiple_px(settings.reduction)

    def memory(self, pieces: Sequence[Grey], rng: np.random.Generator, progress: Callable[[float], None]) -> Memory:
        """Whitened patches of good film, by coreset."""

        def offered(index: int) -> NDArray[np.float32]:
            cells = self._features(pieces[index], MEMORY_TAP, memory_cell_px(self._settings.reduction))
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
        return Memory(mean=mean, whitening=whitening, patches=patches)

    def samples(self, pieces: Sequence[Grey], progress: Callable[[float], None]) -> _Samples:
        """Cells of copies with artificial defects, and whether they are defective."""
        copies = int(np.clip(round(self._settings.damaged_images / len(pieces)), 1, 20))

        def drawn(index: int) -> _Samples:
            rng = np.random.default_rng((self._seed, 1, index))
            image, mask = damaged(pieces[index % len(pieces)], pieces, rng)
            cells = self._features(image, FEATURES, self._cell_px)
            return _picked(cells, mask, self._cell_px, self._settings.samples_per_copy, rng)

        parts = self._each(drawn, copies * len(pieces), progress)
        return _Samples(
            np.concatenate([part.inputs for part in parts]), np.concatenate([part.labels for part in parts])
        )

    def checked(
        self, images: Sequence[Grey], memory: Memory, head: Perceptron
    ) -> tuple[dict[str, Spread], list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Spread of both judges on held-out images, and the anomaly maps of these, sound and damaged."""
        model = one_class_model(self._backbone, self._settings.reduction, memory, head, {})
        session = open_onnx(model.SerializeToString(), "cpu")
        names = [output.name for output in session.get_outputs()]

        def judged(image: Grey) -> NDArray[np.float32]:
            def answer(tile: Grey) -> NDArray[np.float32]:
                return np.concatenate([part[0] for part in session.run(names, {IMAGE: tile})])

            return mapped(image, answer, self._cell_px, self._multiple_px)

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
            features: NDArray[np.float32] = self._session.run([name], {IMAGE: tile})[0][0]
            return features

        return mapped(image, answer, cell, self._multiple_px)

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
) -> _Samples:
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
    return _Samples(inputs, np.arange(picked.size) < bad.size)


def _held_out(count: int) -> list[bool]:
    """A fifth of the images, in up to four runs of consecutive ones."""
    return [(index * 20 // count) % 5 == 2 for index in range(count)]


def _pieces(images: Sequence[Grey], limit: int) -> list[Grey]:
    """Images no larger than a tile; larger ones cut up, evenly thinned out to the limit."""
    pieces = [
        part
        for image in images
        for top in range(0, image.shape[0], TILE_PX)
        for left in range(0, image.shape[1], TILE_PX)
        if min((part := image[top : top + TILE_PX, left : left + TILE_PX]).shape) >= SMALLEST_PX
    ]
    picked = np.unique(np.linspace(0, len(pieces) - 1, min(limit, len(pieces))).round().astype(int))
    return [pieces[index] for index in picked]


def _threshold(scores: Sequence[float], settings: OneClassSettings, what: str) -> Threshold:
    """The score that the stated share of good images passes (a conformal quantile of the held-out ones)."""
    ranked = sorted(scores)
    count = len(ranked)
    rank = min(count, int(np.ceil((count + 1) * (1 - settings.false_alarm_fraction))))
    return Threshold(
        value=ranked[rank - 1],
        false_alarm_fraction=(count + 1 - rank) / (count + 1),
        how=f"rank {rank} of the {what} of {count} good images held out of training",
    )


def _data_digest(images: Sequence[Grey]) -> str:
    """Digest of the pixels, whatever the order."""
    digests = sorted(hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest() for image in images)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _golden(images: Sequence[Grey]) -> list[Grey]:
    """Two held-out images, mirrored up to 128 px: enough to see that another device gives the same answers."""
    return [
        np.pad(image[:128, :128], [(0, 128 - min(128, size)) for size in image.shape], mode="reflect")[None, None]
        for image in (images[0], images[-1])
    ]

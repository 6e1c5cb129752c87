"""Trains a one-class film model from images of good film alone: numpy and onnxruntime, no torch.

Features of the frozen backbone are taken from the images (the memory's patches, by coreset) and from copies with
artificial defects (the head's samples). A fifth of the images, in consecutive runs because neighbours often show the
same part, is held out of both; it sets the scale of the two judges and the thresholds.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle, InputSpec, OutputSpec, Threshold, open_bundle
from line.errors import ConfigError
from models.bundle_writer import BundleDraft, require_place, write_bundle
from models.evaluate import image_auroc
from models.model_card import one_class_card
from models.one_class_steps import OneClassSettings, Trainer
from models.onnx_graph import OPSET
from models.patch_memory import ANOMALY, CELL_PX, IMAGE, MULTIPLE_PX, one_class_model
from models.perceptron import trained_perceptron
from models.registry import released
from vision.anomaly import (
    IMAGE_THRESHOLD,
    ONE_CLASS_SCORE_CELLS,
    REGION_THRESHOLD,
    image_score,
    require_grey,
    seen,
)

log = logging.getLogger(__name__)

BACKBONE = "efficientnet-lite0-s16"
SMALLEST_COUNT = 20
SMALLEST_PX = 48
_SMALLEST_PIECE_PX = 24

__all__ = ["OneClassSettings", "train_one_class"]

Grey = NDArray[np.uint8]
Progress = Callable[[str, float], None]


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
    views = [seen(image, settings.view_px) for image in good]
    kept = [view for view, is_held in zip(views, held, strict=True) if not is_held]
    checked = [view for view, is_held in zip(views, held, strict=True) if is_held]
    pieces = _pieces(kept, settings)
    rng = np.random.default_rng(seed)
    trainer = Trainer(backbone, settings, seed)
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
        IMAGE_THRESHOLD: _threshold([_score(cells) for cells in sound], settings, "image scores"),
        REGION_THRESHOLD: _threshold([float(cells.max()) for cells in sound], settings, "highest cells"),
    }
    metrics = {
        "held_out_images": float(len(checked)),
        "artificial_image_auroc": round(
            image_auroc([_score(cells) for cells in (*sound, *spoilt)], [False] * len(sound) + [True] * len(spoilt)),
            4,
        ),
        "memory_patches": float(len(memory.patches)),
    }
    metadata = {
        "names": "{0: 'anomaly'}",
        "task": "film-one-class",
        "version": str(version),
        "stride": str(CELL_PX),
        "lamella.um_per_px": "" if um_per_px is None else f"{um_per_px:g}",
        "lamella.thresholds": " ".join(f"{key}={limit.value:.6g}" for key, limit in thresholds.items()),
    }
    draft = BundleDraft(
        name=name,
        version=version,
        task="film-one-class",
        input=InputSpec(
            tensor=IMAGE, channels=1, multiple_px=MULTIPLE_PX, um_per_px=um_per_px, view_px=settings.view_px
        ),
        outputs=(
            OutputSpec(
                tensor=ANOMALY,
                meaning="how unlike good film, in spreads of good film",
                layout="N1HW",
                stride_px=CELL_PX,
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
    model = one_class_model(backbone, memory, head, spreads, metadata=metadata)
    bundle = write_bundle(out, draft, model, card=one_class_card(draft), golden_inputs=_golden(checked))
    progress("done", 1.0)
    log.info("one-class model %s: %d images, digest %s", bundle.ref, len(good), bundle.digest)
    return bundle


def _held_out(count: int) -> list[bool]:
    """A fifth of the images, in up to four runs of consecutive ones."""
    return [(index * 20 // count) % 5 == 2 for index in range(count)]


def _score(cells: NDArray[np.float32]) -> float:
    return image_score(cells, ONE_CLASS_SCORE_CELLS)


def _pieces(views: Sequence[Grey], settings: OneClassSettings) -> list[Grey]:
    """Views of up to a tile as they are; larger ones cut up, evenly thinned out to the limit."""
    side = settings.view_px
    pieces = [
        part
        for view in views
        for top in range(0, view.shape[0], side)
        for left in range(0, view.shape[1], side)
        if min((part := view[top : top + side, left : left + side]).shape) >= _SMALLEST_PIECE_PX
    ]
    picked = np.unique(np.linspace(0, len(pieces) - 1, min(settings.pieces, len(pieces))).round().astype(int))
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

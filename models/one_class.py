"""Trains a one-class film model from images of good film alone: numpy and onnxruntime, no torch.

Features of the frozen backbone are taken from the images (the memories' patches, by coreset) and from copies with
artificial defects (the head's samples). A fifth of the images, in consecutive runs because neighbours often show the
same part, is held out of both; it sets the scale of the judges and the thresholds.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle, Judge, OutputSpec, Threshold, open_bundle
from line.errors import ConfigError
from models.bundle_writer import BundleDraft, require_place, write_bundle
from models.evaluate import image_auroc
from models.model_card import one_class_card
from models.one_class_graph import DEFECT, LINES, WHOLE, one_class_model
from models.one_class_steps import OneClassSettings, Trainer, standardised, unheard_court, view_rows
from models.onnx_graph import OPSET
from models.registry import released
from vision.anomaly import IMAGE_THRESHOLD, REGION_THRESHOLD, require_grey
from vision.judges import Court, Heard, combined_map, combined_score, picture_parts, views_of

log = logging.getLogger(__name__)

BACKBONE = "efficientnet-lite0-s32"
SMALLEST_COUNT = 20
SMALLEST_PX = 48

__all__ = ["OneClassSettings", "train_one_class"]

_MEANINGS = {
    WHOLE: "how far the mean of the whole view lies from good film",
    DEFECT: "logit of an artificial defect",
    LINES: "strength of dark strokes, in spreads of the view",
}

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
    kept = [image for image, is_held in zip(good, held, strict=True) if not is_held]
    checked = [image for image, is_held in zip(good, held, strict=True) if is_held]
    pieces = _pieces(kept, settings.pieces)
    rng = np.random.default_rng(seed)
    trainer = Trainer(backbone, settings, seed)
    memories, whole = trainer.usual(pieces, rng, lambda share: progress("features of good film", 0.3 * share))
    head = trainer.head(pieces, rng, lambda share: progress("artificial defects", 0.3 + 0.55 * share))
    progress("thresholds", 0.86)
    court = unheard_court(settings)
    metadata = {
        "names": "{0: 'anomaly'}",
        "task": "film-one-class",
        "version": str(version),
        "lamella.um_per_px": "" if um_per_px is None else f"{um_per_px:g}",
    }
    model = one_class_model(backbone, memories, whole, head, head_view_px=settings.view_px, metadata=metadata)
    sound = trainer.heard(checked, model.SerializeToString(), court)
    judges = standardised(court.judges, sound)
    scores = [combined_score(each, judges) for each in sound]
    peaks = [_peak(image, each, judges, settings.view_px) for image, each in zip(checked, sound, strict=True)]
    spoilt = trainer.heard(trainer.spoilt(checked), model.SerializeToString(), court)
    thresholds = {
        IMAGE_THRESHOLD: _threshold(scores, settings, "image scores"),
        REGION_THRESHOLD: _threshold(peaks, settings, "highest cells"),
    }
    metrics = {
        "held_out_images": float(len(checked)),
        "artificial_image_auroc": round(
            image_auroc(
                [*scores, *(combined_score(each, judges) for each in spoilt)],
                [False] * len(sound) + [True] * len(spoilt),
            ),
            4,
        ),
        "memory_patches": float(sum(len(memory.patches) for memory in memories.values())),
    }
    views = view_rows(settings, um_per_px)
    draft = BundleDraft(
        name=name,
        version=version,
        task="film-one-class",
        input=views[0],
        more_inputs=views[1:],
        outputs=tuple(
            OutputSpec(
                tensor=name,
                meaning=_MEANINGS.get(name, "distance to the nearest patch of good film"),
                layout="N1HW",
                stride_px=stride,
            )
            for name, stride in court.strides_px.items()
        ),
        judges=judges,
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
    bundle = write_bundle(out, draft, model, card=one_class_card(draft), golden_inputs=_golden(checked, court))
    progress("done", 1.0)
    log.info("one-class model %s: %d images, digest %s", bundle.ref, len(good), bundle.digest)
    return bundle


def _held_out(count: int) -> list[bool]:
    """A fifth of the images, in up to four runs of consecutive ones."""
    return [(index * 20 // count) % 5 == 2 for index in range(count)]


def _peak(image: Grey, heard: Sequence[Heard], judges: Sequence[Judge], view_px: int) -> float:
    return float(combined_map(image.shape, heard, judges, view_px).max())


def _pieces(images: Sequence[Grey], count: int) -> list[Grey]:
    """Parts of images, evenly thinned out to so many."""
    pieces = [image[part.inner] for image in images for part in picture_parts(image.shape)]
    picked = np.unique(np.linspace(0, len(pieces) - 1, min(count, len(pieces))).round().astype(int))
    return [pieces[index] for index in picked]


def _threshold(scores: Sequence[float], settings: OneClassSettings, what: str) -> Threshold:
    """What half of the allowed share of good images passes (a conformal quantile of the held-out ones)."""
    ranked = sorted(scores)
    count = len(ranked)
    rank = min(count, int(np.ceil((count + 1) * (1 - settings.false_alarm_fraction / 2))))
    return Threshold(
        value=ranked[rank - 1],
        false_alarm_fraction=(count + 1 - rank) / (count + 1),
        how=f"rank {rank} of the {what} of {count} good images held out of training",
    )


def _data_digest(images: Sequence[Grey]) -> str:
    """Digest of the pixels, whatever the order."""
    digests = sorted(hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest() for image in images)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _golden(images: Sequence[Grey], court: Court) -> list[dict[str, Grey]]:
    """The views of two held-out images: enough to see that another device gives the same answers."""
    corners = [image[:256, :256] for image in (images[0], images[-1])]
    return [views_of(corner, corner.shape, court.views) for corner in corners]

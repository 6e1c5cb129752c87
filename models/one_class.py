"""Trains a one-class film model from images of good film alone: numpy and onnxruntime, no torch.

Features of the frozen backbone are taken from the images (the memories' patches, by coreset) and from copies with
artificial defects (the head's samples). A fifth of the images, in consecutive runs because neighbours often show the
same part, is held out of both; it sets the scale of the members and the thresholds.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle, EnsembleMember, OutputSpec, Threshold, open_bundle
from line.errors import ConfigError
from models.bundle_writer import BundleDraft, require_place, write_bundle
from models.evaluate import image_auroc
from models.model_card import one_class_card
from models.one_class_graph import DEFECT, LINES, WHOLE, one_class_model
from models.one_class_steps import OneClassSettings, Trainer, standardised, unscaled_ensemble, view_rows
from models.onnx_graph import OPSET
from models.registry import released
from vision.anomaly import IMAGE_THRESHOLD, REGION_THRESHOLD, require_grey
from vision.ensemble import (
    SMALLEST_PICTURE_PX,
    Ensemble,
    PartAnswers,
    combined_map,
    combined_score,
    picture_parts,
    views_of,
)

log = logging.getLogger(__name__)

BACKBONE = "efficientnet-lite0-s32"
SMALLEST_COUNT = 20

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
    groups: Sequence[str] | None = None,
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
        groups: which part, roll or batch each image shows; images of one group are held out together. Left out, runs of
            consecutive images are.
        progress: told the stage in words and the share done of the whole.
        um_per_px: their pitch, if it is known; other pitches are then refused when inspecting.
        backbone: the shipped one unless given.

    Raises:
        ConfigError: fewer than 20 images, groups that are not one for each image or all the same, or ``out`` holds
            something else.
        FrameError: an image is not grey, not 8 bit or smaller than 48 px.
    """
    settings = settings or OneClassSettings()
    backbone = backbone or open_bundle(released(BACKBONE), task="backbone")
    require_place(out)
    good = list(images)
    held = _held_out(good, groups, seed)
    kept = [image for image, is_held in zip(good, held, strict=True) if not is_held]
    checked = [image for image, is_held in zip(good, held, strict=True) if is_held]
    pieces = _pieces(kept, settings.pieces)
    rng = np.random.default_rng(seed)
    trainer = Trainer(backbone, settings, seed)
    memories, whole = trainer.usual(pieces, rng, lambda share: progress("features of good film", 0.3 * share))
    head = trainer.head(pieces, rng, lambda share: progress("artificial defects", 0.3 + 0.55 * share))
    progress("thresholds", 0.86)
    metadata = {
        "names": "{0: 'anomaly'}",
        "task": "film-one-class",
        "version": str(version),
        "lamella.um_per_px": "" if um_per_px is None else f"{um_per_px:g}",
    }
    model = one_class_model(backbone, memories, whole, head, head_view_px=settings.view_px, metadata=metadata)
    found = _checked(trainer, checked, model.SerializeToString(), settings)
    views, strides_px = view_rows(settings, um_per_px), unscaled_ensemble(settings).strides_px
    how = "runs of consecutive ones" if groups is None else f"whole groups of {len(set(groups))}"
    draft = BundleDraft(
        name=name,
        version=version,
        task="film-one-class",
        input=views[0],
        more_inputs=views[1:],
        outputs=tuple(
            OutputSpec(
                tensor=tensor,
                meaning=_MEANINGS.get(tensor, "distance to the nearest patch of good film"),
                layout="N1HW",
                stride_px=stride,
            )
            for tensor, stride in strides_px.items()
        ),
        members=found.members,
        licence=backbone.manifest.licence,
        provenance=f"Trained on {len(kept)} images of good film as given, {len(checked)} held out, {how}; "
        f"backbone {backbone.ref}: {backbone.manifest.provenance}",
        opset=OPSET,
        golden_tolerance=0.05,
        thresholds=found.thresholds,
        classes=("anomaly",),
        feature_extractor=backbone.ref,
        training_data_digest=_data_digest(good),
        training_image_count=len(good),
        seed=seed,
        metrics={
            "held_out_images": float(len(checked)),
            "artificial_image_auroc": found.artificial_image_auroc,
            "memory_patches": float(sum(len(memory.patches) for memory in memories.values())),
        },
    )
    ensemble = unscaled_ensemble(settings)
    bundle = write_bundle(out, draft, model, card=one_class_card(draft), golden_inputs=_golden(checked, ensemble))
    progress("done", 1.0)
    log.info("one-class model %s: %d images, digest %s", bundle.ref, len(good), bundle.digest)
    return bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """What the held-out images say of a new model."""

    members: tuple[EnsembleMember, ...]
    thresholds: dict[str, Threshold]
    artificial_image_auroc: float


def _checked(trainer: Trainer, images: Sequence[Grey], model: bytes, settings: OneClassSettings) -> _Checked:
    ensemble = unscaled_ensemble(settings)
    sound = trainer.answered(images, model, ensemble)
    members = standardised(ensemble.members, sound)
    scores = [combined_score(each, members) for each in sound]
    peaks = [_peak(image, each, members, settings.view_px) for image, each in zip(images, sound, strict=True)]
    spoilt = [combined_score(each, members) for each in trainer.answered(trainer.spoilt(images), model, ensemble)]
    auroc = image_auroc([*scores, *spoilt], [False] * len(scores) + [True] * len(spoilt))
    return _Checked(
        members=members,
        thresholds=limits_of(scores, peaks, settings.false_alarm_fraction),
        artificial_image_auroc=round(auroc, 4),
    )


def _held_out(images: Sequence[Grey], groups: Sequence[str] | None, seed: int) -> list[bool]:
    """A fifth of the images: whole groups at random, or up to four runs of consecutive ones."""
    count = len(images)
    if count < SMALLEST_COUNT:
        raise ConfigError(f"need at least {SMALLEST_COUNT} good images, have {count}; add {SMALLEST_COUNT - count}")
    for image in images:
        require_grey(image, SMALLEST_PICTURE_PX)
    if groups is None:
        return [(index * 20 // count) % 5 == 2 for index in range(count)]
    names = sorted(set(groups))
    if len(groups) != count or len(names) < 2:
        raise ConfigError(
            f"{len(groups)} groups, {len(names)} of them different, for {count} images; name one for each image, at "
            "least two different ones, or none"
        )
    held: set[str] = set()
    for place in np.random.default_rng((seed, 3)).permutation(len(names))[: len(names) - 1]:
        if sum(group in held for group in groups) >= count / 5:
            break
        held.add(names[place])
    return [group in held for group in groups]


def _peak(image: Grey, answered: Sequence[PartAnswers], members: Sequence[EnsembleMember], view_px: int) -> float:
    return float(combined_map(image.shape, answered, members, view_px).max())


def _pieces(images: Sequence[Grey], count: int) -> list[Grey]:
    """Parts of images, evenly thinned out to so many."""
    pieces = [image[part.inner] for image in images for part in picture_parts(image.shape)]
    picked = np.unique(np.linspace(0, len(pieces) - 1, min(count, len(pieces))).round().astype(int))
    return [pieces[index] for index in picked]


def limits_of(scores: Sequence[float], peaks: Sequence[float], false_alarm_fraction: float) -> dict[str, Threshold]:
    """Limits that the stated share of good images stays below, both at once.

    Of each held-out image the larger of score and highest cell counts, each in its own spread, and of these a conformal
    quantile.

    Args:
        scores: of images, shape (images,).
        peaks: highest cells of their maps, of the same shape.
        false_alarm_fraction: of good images, allowed above one limit or the other.
    """
    values = np.array([scores, peaks])
    mean, deviation = values.mean(axis=1), np.maximum(values.std(axis=1), 1e-6)
    ranked = np.sort(((values - mean[:, None]) / deviation[:, None]).max(axis=0))
    count = len(ranked)
    rank = min(count, int(np.ceil((count + 1) * (1 - false_alarm_fraction))))
    limits = mean + ranked[rank - 1] * deviation
    how = f"rank {rank} of {count} good images held out of training, by score or highest cell, whichever is farther out"
    return {
        name: Threshold(value=float(limit), false_alarm_fraction=(count + 1 - rank) / (count + 1), how=how)
        for name, limit in zip((IMAGE_THRESHOLD, REGION_THRESHOLD), limits, strict=True)
    }


def _data_digest(images: Sequence[Grey]) -> str:
    """Digest of the pixels, whatever the order."""
    digests = sorted(hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest() for image in images)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _golden(images: Sequence[Grey], ensemble: Ensemble) -> list[dict[str, Grey]]:
    """The views of two held-out images: enough to see that another device gives the same answers."""
    corners = [image[:256, :256] for image in (images[0], images[-1])]
    return [views_of(corner, corner.shape, ensemble.views) for corner in corners]

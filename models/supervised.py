"""Trains a supervised film model from labelled pictures. Needs torch (extra `train`); the model itself does not.

Groups of pictures (one part, roll or batch each) are held out whole. On them learning stops, thresholds are set and
the figures of the card are measured.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from line.bundle import Bundle, InputSpec, OutputSpec, open_bundle
from line.errors import ConfigError
from models.bundle_writer import BundleDraft, require_place, write_bundle
from models.labelled import LabelledImage, LabelledSet
from models.onnx_graph import OPSET
from models.registry import released
from models.supervised_card import supervised_card
from models.supervised_figures import Figures, measured
from models.supervised_graph import (
    DEFECT,
    IMAGE,
    KIND,
    MULTIPLE_PX,
    STRIDE_PX,
    finished_model,
    segmentation_graph,
)
from models.supervised_samples import Pieces, reduced, smallest_defect_px
from models.supervised_settings import LearningSettings
from vision.tiles import MARGIN_PX

log = logging.getLogger(__name__)

BACKBONE = "efficientnet-lite0-s32"
SMALLEST_DEFECTIVE, SMALLEST_SOUND = 8, 8
HELD_OUT_FRACTION = 0.2
LEAST_GROUPS = 5
"""A class with fewer parts is only learnt from: to hold one out would cost more than its figure is worth."""
PIECE_PX = 160
SMALLEST_REDUCED_PX = 8.0
"""Where nine of ten labelled defects are at least so large, the net sees pictures at half their resolution: that is
four times quicker and shows more around each place, and the smallest of them is still two cells wide."""

Progress = Callable[[str, float], None]


class Split(NamedTuple):
    """Pictures to learn from and pictures held out."""

    learn: tuple[LabelledImage, ...]
    held: tuple[LabelledImage, ...]


def torch_is_there() -> bool:
    """Whether torch is installed; it is not imported."""
    return importlib.util.find_spec("torch") is not None


def require_torch() -> None:
    """Raise ConfigError, with the way to install it, where torch is absent."""
    if not torch_is_there():
        raise ConfigError(
            "needs torch, which is not installed: pip install 'lamella[train]', or use --method one-class",
            key="--method supervised",
        )


def train_supervised(
    labelled: LabelledSet,
    out: Path,
    *,
    name: str,
    seed: int,
    version: int = 1,
    um_per_px: float | None = None,
    channel_names: tuple[str, ...] = (),
    settings: LearningSettings | None = None,
    backbone: Bundle | None = None,
    progress: Progress = lambda stage, fraction: None,
) -> Bundle:
    """Train and write a bundle; nothing is written before all of it is there.

    Args:
        labelled: pictures with masks, boxes or classes; sound ones among them.
        um_per_px: their pitch, if it is known; other pitches are then refused when inspecting.
        channel_names: of a camera, that the pictures show, one each; only they are looked at on a line.
        progress: told the stage in words and the share done of the whole.

    Raises:
        ConfigError: torch is absent, there are too few pictures, or `out` holds something else.
    """
    require_torch()
    require_place(out)
    settings = settings or LearningSettings()
    _require_enough(labelled)
    split = split_by_group(labelled.images, seed)
    held_kinds = {image.is_sound for image in split.held}
    if held_kinds != {True, False}:
        raise ConfigError(
            f"the {_groups(labelled.images)} groups do not leave both sound and defective pictures to hold out; "
            "group the pictures by smaller parts"
        )
    from models.supervised_learn import learnt

    reduction = 2 if smallest_defect_px(split.learn) >= SMALLEST_REDUCED_PX else 1
    backbone = backbone or open_bundle(released(BACKBONE), task="backbone")
    progress("reading", 0.0)
    graph = segmentation_graph(backbone, len(labelled.classes), seed)

    latest = ""

    def figure_of_merit(model: onnx.ModelProto) -> float:
        nonlocal latest
        figures = measured(finished_model(model, reduction, metadata={}), reduction, split.held, labelled.classes)
        precision = figures.pixel_average_precision
        latest = f", held out AUROC {figures.image_auroc:.3f}"
        if precision is None:
            return figures.image_auroc
        latest += f", pixel AP {precision:.3f}"
        return (figures.image_auroc + precision) / 2

    def told(step: int, steps: int, loss: float) -> None:
        progress(f"learning, step {step} of {steps}, loss {loss:.2f}{latest}", 0.97 * step / steps)

    seen = [reduced(image, reduction) for image in split.learn]
    pieces = Pieces(seen, labelled.classes, PIECE_PX, seed, MARGIN_PX // reduction)
    found = learnt(graph, pieces, figure_of_merit, settings, told)
    progress("thresholds", 0.98)
    cell_px = STRIDE_PX * reduction
    metadata = {
        "names": str(dict(enumerate(labelled.classes))),
        "task": "film-segmentation",
        "version": str(version),
        "stride": str(cell_px),
        "lamella.um_per_px": "" if um_per_px is None else f"{um_per_px:g}",
    }
    model = finished_model(found.model, reduction, metadata=metadata)
    figures = measured(model, reduction, split.held, labelled.classes)
    draft = BundleDraft(
        name=name,
        version=version,
        task="film-segmentation",
        input=InputSpec(
            tensor=IMAGE,
            channels=1,
            channel_names=channel_names,
            multiple_px=MULTIPLE_PX * reduction,
            um_per_px=um_per_px,
        ),
        outputs=(
            OutputSpec(tensor=DEFECT, meaning="probability of a defect", layout="N1HW", stride_px=cell_px),
            OutputSpec(
                tensor=KIND,
                meaning="probability of each class, if there is a defect",
                layout=f"N{len(labelled.classes)}HW",
                stride_px=cell_px,
            ),
        ),
        licence=backbone.manifest.licence,
        provenance=f"Trained on {len(split.learn)} pictures with {labelled.how} as given, {len(split.held)} held out; "
        f"{found.best_step} of {settings.steps} steps; backbone {backbone.ref}: {backbone.manifest.provenance}",
        opset=OPSET,
        golden_tolerance=0.02,
        thresholds=figures.thresholds,
        classes=labelled.classes,
        feature_extractor=backbone.ref,
        training_data_digest=_data_digest(labelled.images),
        training_image_count=len(labelled.images),
        seed=seed,
        metrics=_metrics(figures, split),
    )
    card = supervised_card(draft, how=labelled.how, grouped=labelled.grouped, held_groups=_groups(split.held))
    bundle = write_bundle(out, draft, model, card=card, golden_inputs=_golden(split.held))
    progress("done", 1.0)
    log.info("supervised model %s: %d images, digest %s", bundle.ref, len(labelled.images), bundle.digest)
    return bundle


def split_by_group(images: Sequence[LabelledImage], seed: int) -> Split:
    """Hold out whole groups, about `HELD_OUT_FRACTION` of those of each class and of the sound ones.

    The rarest class chooses first; one with fewer than `LEAST_GROUPS` groups is only learnt from.
    """
    rng = np.random.default_rng(seed)
    groups: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in images:
        groups[image.group].append(image)
    by_kind: dict[str, list[str]] = defaultdict(list)
    for group, members in sorted(groups.items()):
        kinds = sorted({kind for image in members for kind in image.kinds})
        for kind in kinds or [""]:
            by_kind[kind].append(group)
    held: set[str] = set()
    for kind in sorted(by_kind, key=lambda each: (len(by_kind[each]), each)):
        names = by_kind[kind]
        wanted = max(1, round(HELD_OUT_FRACTION * len(names))) if len(names) >= LEAST_GROUPS else 0
        free = [name for name in names if name not in held]
        missing = wanted - (len(names) - len(free))
        held.update(rng.permutation(free)[: max(0, missing)].tolist())
    return Split(
        tuple(image for image in images if image.group not in held),
        tuple(image for image in images if image.group in held),
    )


def _require_enough(labelled: LabelledSet) -> None:
    defective = len(labelled.images) - labelled.sound_count
    for count, least, what in (
        (defective, SMALLEST_DEFECTIVE, "with defects"),
        (labelled.sound_count, SMALLEST_SOUND, "of sound material"),
    ):
        if count < least:
            raise ConfigError(
                f"need at least {least} pictures {what}, have {count}; add {least - count}, or use --method one-class"
            )


def _metrics(figures: Figures, split: Split) -> dict[str, float]:
    metrics = {
        "held_out_images": float(len(split.held)),
        "held_out_groups": float(_groups(split.held)),
        "held_out_defective_images": float(sum(not image.is_sound for image in split.held)),
        "image_auroc": round(figures.image_auroc, 4),
    }
    if figures.pixel_average_precision is not None:
        metrics["pixel_average_precision"] = round(figures.pixel_average_precision, 4)
    return metrics | {
        f"recall_{kind.lower()}_at_5_percent_false_rejects": round(value, 4)
        for kind, value in figures.recall_by_kind.items()
    }


def _groups(images: Sequence[LabelledImage]) -> int:
    return len({image.group for image in images})


def _data_digest(images: Sequence[LabelledImage]) -> str:
    """Digest of pixels and labels, whatever the order."""
    digests = sorted(
        hashlib.sha256(
            repr(image.grey.shape).encode()
            + image.grey.tobytes()
            + image.target.tobytes()
            + repr(sorted(image.kinds)).encode()
        ).hexdigest()
        for image in images
    )
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _golden(images: Sequence[LabelledImage]) -> list[NDArray[np.uint8]]:
    """Two held-out pictures, mirrored up to 128 px: enough to see that another device gives the same answers."""
    return [
        np.pad(grey[:128, :128], [(0, 128 - min(128, size)) for size in grey.shape], mode="symmetric")[None, None]
        for grey in (images[0].grey, images[-1].grey)
    ]

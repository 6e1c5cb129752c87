"""The bundle of the classifier of candidates: scores, thresholds, model card, and the writing of it all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from line.bundle import CARD_FILE, Bundle, DetectionCurve, InputSpec, OutputSpec, Threshold
from line.model import load_line
from models.bundle_writer import BundleDraft, write_bundle
from models.candidate_card import DETECTION_TITLE, candidate_card
from models.candidate_scores import Scores, opened
from models.film_patches import PIXEL_UM, event_classes
from models.onnx_graph import OPSET
from vision.candidates import CHANNELS, CLEAN, PATCH_PX, UNKNOWN

NAME, VERSION = "film-candidates", 3
LEAST_STATED_FRACTION = 0.01
"""Of clean spots that pass, as stated to whoever sets the gates: on film with clouds and bands these let several times
more through than they are set for, and so few clean spots were tried that a smaller share is not known."""
GOLDEN_TOLERANCE = 0.05
"""In logits; CUDA's TF32 convolutions differ by about 0.01 from the CPU's answers."""
_UNSURE_BELOW = 0.5


def write_candidates(
    out: Path,
    *,
    model: onnx.ModelProto,
    names: tuple[str, ...],
    scores: Scores,
    float_accuracy_fraction: float,
    agreement_fraction: float,
    training_images: NDArray[np.uint8],
    golden_images: NDArray[np.uint8],
    seed: int,
    trained_s: float,
    framework: str,
    channels: tuple[str, ...] = CHANNELS,
    name: str = NAME,
) -> Bundle:
    """Write the bundle of a trained network, with the line model's assumed detection curves until it is measured.

    Args:
        float_accuracy_fraction: of the network before it was brought to eight bits, on the same patches.
        agreement_fraction: of patches that both give the same class.
        channels: that it takes.
        name: of the bundle.
    """
    session = opened(model)
    tensors = (session.get_inputs()[0].name, session.get_outputs()[0].name)
    recall = {f"recall_{name}": round(value, 4) for name, value in scores.recall.items()}
    blind = scores.without_tx_fraction
    reported_count = int(scores.confusion.sum())
    clean_count = int(scores.confusion[names.index(CLEAN)].sum())
    draft = BundleDraft(
        name=name,
        version=VERSION if name == NAME else 1,
        task="film-candidates",
        input=InputSpec(
            tensor=tensors[0],
            channels=len(channels),
            channel_names=channels,
            size_px=PATCH_PX,
            um_per_px=PIXEL_UM,
        ),
        outputs=(
            OutputSpec(
                tensor=tensors[1],
                meaning="logit of each class",
                layout="NK",
                stride_px=PATCH_PX,
            ),
        ),
        licence="Apache-2.0",
        provenance=(
            f"Trained from scratch on film rendered by models/film_patches.py; no image of real film or of any data "
            f"set. {framework}, seed {seed}, {trained_s:.0f} s of training."
        ),
        opset=OPSET,
        thresholds={
            "keep": Threshold(
                value=round(scores.keep, 4),
                false_alarm_fraction=round(max(scores.passed_fraction, LEAST_STATED_FRACTION), 4),
                how=f"{scores.passed_fraction:.4f} of {clean_count} spots of sound rendered film not trained on pass; "
                f"stated as at least {LEAST_STATED_FRACTION:g}, see models/candidate_bundle.py",
            ),
            UNKNOWN: Threshold(
                value=_UNSURE_BELOW,
                false_alarm_fraction=0.0,
                how="a class has to be likelier than all others together; not set on data",
            ),
        },
        classes=names,
        training_data_digest=sha256(training_images.tobytes()).hexdigest(),
        training_image_count=len(training_images),
        seed=seed,
        detection={
            row.code: DetectionCurve(
                a50_um=row.pod_a50_um,
                s=row.pod_s,
                measured=False,
                how="table 2.2 of the line model, assumed before any measurement",
            )
            for row in event_classes(load_line())
            if row.pod_a50_um and row.pod_s
        },
        metrics={
            "accuracy_fraction": round(scores.accuracy_fraction, 4),
            "kept_defects_fraction": round(scores.kept_fraction, 4),
            "kept_clean_fraction": round(scores.passed_fraction, 4),
            "reported_patches_count": float(reported_count),
            "float_accuracy_fraction": round(float_accuracy_fraction, 4),
            "float_agreement_fraction": round(agreement_fraction, 4),
            "patch_us": round(scores.patch_us, 1),
            **({} if blind is None else {"accuracy_without_tx_fraction": round(blind, 4)}),
            **recall,
        },
        golden_tolerance=GOLDEN_TOLERANCE,
    )
    return write_bundle(out, draft, model, card=candidate_card(draft, scores), golden_inputs=[golden_images])


def with_detection(
    bundle: Bundle, curves: Mapping[str, DetectionCurve], metrics: Mapping[str, float], section: Sequence[str]
) -> Bundle:
    """The same bundle with measured detection curves, written in place of it.

    Args:
        curves: by class; classes that were not measured keep what they had.
        metrics: added to the manifest's.
        section: lines of the model card about detection, in place of those it has.
    """
    known = bundle.manifest
    draft = BundleDraft(
        **{each.name: getattr(known, each.name) for each in fields(BundleDraft)}
        | {"detection": {**known.detection, **curves}, "metrics": {**known.metrics, **metrics}}
    )
    card = (bundle.path / CARD_FILE).read_text(encoding="utf-8").partition(DETECTION_TITLE)[0]
    golden = []
    for path in bundle.golden_paths:
        with np.load(path, allow_pickle=False) as tensors:
            golden.append(tensors[known.input.tensor])
    model = onnx.load(bundle.model_path)
    return write_bundle(
        bundle.path, draft, model, card="\n".join((card + DETECTION_TITLE, "", *section, "")), golden_inputs=golden
    )

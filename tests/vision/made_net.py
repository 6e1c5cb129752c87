"""A supervised film model whose answers are known: dark cells are defects, very dark ones holes, the others stains."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from line.bundle import Bundle, InputSpec, OutputSpec, Threshold
from models.bundle_writer import BundleDraft, write_bundle
from models.onnx_graph import OPSET, GraphParts, image_model


def dark_net(out: Path, version: int = 1) -> Bundle:
    """Probability 0.5 at grey 100, rising by 10 grey levels a unit of logit; hole below grey 60, stain above."""
    parts = GraphParts()
    x = parts.node("Cast", ["image"], "grey", to=1)
    x = parts.node("AveragePool", [x], "cells", kernel_shape=[2, 2], strides=[2, 2])
    logit = parts.pointwise(x, "logit", np.array([[-0.1]], np.float32), np.array([10], np.float32))
    parts.node("Sigmoid", [logit], "defect")
    kinds = parts.pointwise(x, "kinds", np.array([[-0.2], [0.2]], np.float32), np.array([12, -12], np.float32))
    parts.node("Softmax", [kinds], "kind", axis=1)
    draft = BundleDraft(
        name="dark-net",
        version=version,
        task="film-segmentation",
        input=InputSpec(tensor="image", channels=1, multiple_px=2),
        outputs=(
            OutputSpec(tensor="defect", meaning="probability of a defect", layout="N1HW", stride_px=2),
            OutputSpec(tensor="kind", meaning="probability of each class", layout="N2HW", stride_px=2),
        ),
        licence="Apache-2.0",
        provenance="made by hand",
        opset=OPSET,
        golden_tolerance=1e-4,
        thresholds={name: Threshold(value=0.5, false_alarm_fraction=0.05, how="made") for name in ("image", "region")},
        classes=("hole", "stain"),
    )
    golden = [np.full((1, 1, 16, 16), 90, np.uint8)]
    return write_bundle(out, draft, image_model(parts, {"defect": 1, "kind": 2}), card="made\n", golden_inputs=golden)

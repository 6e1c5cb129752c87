"""A network for every pixel whose answers are known: what lets far more or far less light through than film does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from line.bundle import Bundle, InputSpec, OutputSpec, Threshold
from models.bundle_writer import BundleDraft, write_bundle
from models.onnx_graph import IR_VERSION, OPSET, GraphParts

FILM_GREY = 82.0
"""Middle of the made film's transmission."""
CLASSES = ("PIN", "MET", "STR")
_FROM_GREY, _STEP_GREY = 45.0, 5.0
_COLUMN_CELLS = 129


def dense_bundle(
    out: Path,
    *,
    channel_names: tuple[str, ...] = ("TX",),
    planes: int = 1,
    um_per_px: float | None = 20.0,
    classes: tuple[str, ...] = CLASSES,
    stride_px: int = 2,
    film_grey: float = FILM_GREY,
) -> Bundle:
    """Probability 0.5 where grey differs by 45 from film; bright is PIN, dark MET, bright all along the web STR.

    Args:
        planes: that it takes; it looks at the last.
        stride_px: pixels a cell of its answers.
        film_grey: of good film in that plane.
    """
    parts = GraphParts()
    x = parts.node("Cast", ["image"], "grey", to=TensorProto.FLOAT)
    ends = [parts.constant(name, np.array([value], np.int64)) for name, value in (("from", planes - 1), ("to", planes))]
    x = parts.node("Slice", [x, *ends, parts.constant("axis", np.array([1], np.int64))], "last")
    square = [stride_px] * 2
    x = parts.node("AveragePool", [x], "cells", kernel_shape=square, strides=square)
    x = parts.node("Sub", [x, parts.constant("film", np.float32(film_grey))], "change")
    away = parts.node("Abs", [x], "away")
    logit = parts.pointwise(away, "logit", np.array([[1 / _STEP_GREY]], np.float32), np.array([-9], np.float32))
    parts.node("Sigmoid", [logit], "defect")
    half = _COLUMN_CELLS // 2
    along = parts.node(
        "AveragePool", [x], "along", kernel_shape=[_COLUMN_CELLS, 1], pads=[half, 0, half, 0], count_include_pad=0
    )
    seen = parts.node("Concat", [x, along], "seen", axis=1)
    weights = np.array([[0.2, 0], [-0.2, 0], [0, 0.5]], np.float32)
    kinds = parts.pointwise(seen, "kinds", weights, np.array([0, 0, -10], np.float32))
    parts.node("Softmax", [kinds], "kind", axis=1)
    graph = helper.make_graph(
        parts.nodes,
        "dense",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", planes, "height", "width"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, f"{name}_rows", f"{name}_columns"])
            for name, channels in (("defect", 1), ("kind", 3))
        ],
        parts.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    draft = BundleDraft(
        name="made-dense",
        version=1,
        task="film-segmentation",
        input=InputSpec(
            tensor="image", channels=planes, channel_names=channel_names, multiple_px=16, um_per_px=um_per_px
        ),
        outputs=(
            OutputSpec(tensor="defect", meaning="probability of a defect", layout="N1HW", stride_px=stride_px),
            OutputSpec(tensor="kind", meaning="probability of each class", layout="N3HW", stride_px=stride_px),
        ),
        licence="Apache-2.0",
        provenance="made by hand",
        opset=OPSET,
        golden_tolerance=1e-4,
        thresholds={name: Threshold(value=0.5, false_alarm_fraction=0.05, how="made") for name in ("image", "region")},
        classes=classes,
    )
    golden = [np.full((1, planes, 64, 64), 90, np.uint8)]
    return write_bundle(out, draft, model, card="made\n", golden_inputs=golden)

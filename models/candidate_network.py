"""The network of the classifier of candidates, as an ONNX graph.

Planes of uint8, one a channel, go in and are seen twice: finely around the grey of sound film, where a fault of a few
grey levels matters, and coarsely, where a glint saturates. A patchify stem of 4 x 4 pixels keeps it at some 40 µs a
patch on one core in eight bits (`models/candidate_int8.py`). The graph is built node by node with batch norms folded
in, so that it holds nothing but the operators below.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.onnx_graph import IR_VERSION, OPSET, GraphParts
from vision.candidates import CHANNELS, FILM_GREY, PATCH_PX

INPUT, OUTPUT = "patches", "logits"
FINE_GREY = (12.0, 6.0, 9.0)
"""Grey levels by channel that count as 1 in the fine planes, about three deviations of sound film."""
FINE_LIMIT = 3.0
COARSE_GREY = 48.0
LAYERS = ((6, 32, 4, 4), (32, 48, 3, 2), (48, 64, 3, 1), (64, 96, 3, 2))
"""Channels in and out, kernel and stride of each convolution; the first takes the planes of all three channels."""

Weights = dict[str, NDArray[np.float32]]
"""Kernels and biases by name: `conv0_w`, `conv0_b`, ..., `head_w`, `head_b`."""


def layers(channels: Sequence[str]) -> tuple[tuple[int, int, int, int], ...]:
    """`LAYERS` for a network of some channels."""
    return ((2 * len(channels), *LAYERS[0][1:]), *LAYERS[1:])


def network(weights: Weights, channels: Sequence[str] = CHANNELS) -> onnx.ModelProto:
    """The ONNX graph with these weights; uint8 (n, channels, 64, 64) in, logits (n, classes) out."""
    parts = GraphParts()
    x = parts.node("Cast", [INPUT], "grey", to=TensorProto.FLOAT)
    x = parts.node("Sub", [x, parts.constant("film_grey", planes(FILM_GREY, channels))], "change")
    fine = parts.node("Mul", [x, parts.constant("fine_scale", 1 / planes(FINE_GREY, channels))], "fine_raw")
    limits = [
        parts.constant(name, np.array(value, np.float32))
        for name, value in (("low", -FINE_LIMIT), ("high", FINE_LIMIT))
    ]
    fine = parts.node("Clip", [fine, *limits], "fine")
    coarse = parts.node("Mul", [x, parts.constant("coarse_scale", np.array(1 / COARSE_GREY, np.float32))], "coarse")
    x = parts.node("Concat", [fine, coarse], "seen", axis=1)
    for number, (_, _, kernel, stride) in enumerate(LAYERS):
        names = [parts.constant(f"conv{number}_{part}", weights[f"conv{number}_{part}"]) for part in ("w", "b")]
        x = parts.node(
            "Conv", [x, *names], f"conv{number}", kernel_shape=[kernel] * 2, strides=[stride] * 2,
            pads=[0 if kernel == stride else 1] * 4,
        )  # fmt: skip
        x = parts.node("Relu", [x], f"relu{number}")
    pooled = [parts.node(f"Global{kind}Pool", [x], f"pool_{kind}") for kind in ("Average", "Max")]
    x = parts.node("Flatten", [parts.node("Concat", pooled, "pooled", axis=1)], "flat")
    head = [parts.constant(f"head_{part}", weights[f"head_{part}"]) for part in ("w", "b")]
    parts.node("Gemm", [x, *head], OUTPUT, transB=1)
    classes = weights["head_b"].size
    graph = helper.make_graph(
        parts.nodes,
        "film_candidates",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", len(channels), PATCH_PX, PATCH_PX])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", classes])],
        parts.initializers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="lamella")
    onnx.checker.check_model(model, full_check=True)
    return model


def planes(values: Sequence[float], channels: Sequence[str] = CHANNELS) -> NDArray[np.float32]:
    """Of values by channel, those of some channels, shape (1, channels, 1, 1)."""
    return np.array([values[CHANNELS.index(name)] for name in channels], np.float32).reshape(1, -1, 1, 1)

"""Export of the frozen feature extractor: EfficientNet-Lite0, cut after its stride-16 stage, as one ONNX graph.

Run once by us (``python -m models.backbone OUT``, extra ``train``); what it wrote ships in ``models/registry``. Torch is
needed only to read the weight file. The graph is built here node by node, with the batch norms folded into the
convolutions, so that it holds nothing but Conv, Clip and Add.

M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the Lite variants
have no squeeze-and-excitation and ReLU6 in place of swish.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
# TensorFlow's epsilon, as in the released Lite checkpoints.
BATCH_NORM_EPSILON = 1e-3

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Blocks of one width; the first of them has the stride."""

    repeats: int
    kernel_px: int
    stride: int
    expands: bool
    channels: int


STAGES = (
    Stage(repeats=1, kernel_px=3, stride=1, expands=False, channels=16),
    Stage(repeats=2, kernel_px=3, stride=2, expands=True, channels=24),
    Stage(repeats=2, kernel_px=5, stride=2, expands=True, channels=40),
    Stage(repeats=3, kernel_px=3, stride=2, expands=True, channels=80),
    Stage(repeats=3, kernel_px=5, stride=1, expands=True, channels=112),
)


@dataclass(slots=True)
class GraphParts:
    """Nodes and weights of a graph while it grows; each method adds a node and returns the name of its output."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output


def add_backbone(parts: GraphParts, image: str, weights: Weights, taps: Mapping[str, str]) -> None:
    """Add normalisation and the stages of the network to a graph.

    Args:
        image: name of a uint8 tensor, shape (n, 1, height, width), height and width multiples of 16.
        weights: by the names of the published PyTorch state.
        taps: output name by point, the point being ``<block>`` or ``<block>.expand``.
    """
    x = parts.node("Cast", [image], "image_f32", to=TensorProto.FLOAT)
    x = parts.node("Sub", [x, parts.constant("grey_mean", np.float32(127))], "image_centred")
    x = parts.node("Mul", [x, parts.constant("grey_scale", np.float32(1 / 128))], "image_normalised")
    # A grey image is three equal planes, so the planes of the stem's weights add up.
    stem = _folded(weights, "_conv_stem", "_bn0")
    x = _conv(parts, x, "stem", (stem[0].sum(axis=1, keepdims=True), stem[1]), stride=2, clip=True)
    block = 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            x = _block(parts, x, block, stage, stride, weights, taps)
            block += 1


def _block(
    parts: GraphParts, x: str, block: int, stage: Stage, stride: int, weights: Weights, taps: Mapping[str, str]
) -> str:
    """One inverted residual: expand, depthwise, project, and the way round it where shapes allow."""
    key, name, skip = f"_blocks.{block}", f"block{block}", x
    norms = ("_bn0", "_bn1", "_bn2")
    if stage.expands:
        folded = _folded(weights, f"{key}._expand_conv", f"{key}.{norms[0]}")
        x = _conv(parts, x, taps.get(f"{block}.expand", f"{name}_expand"), folded, clip=True)
    depthwise = _folded(weights, f"{key}._depthwise_conv", f"{key}.{norms[1]}")
    x = _conv(parts, x, f"{name}_depthwise", depthwise, stride=stride, groups=depthwise[0].shape[0], clip=True)
    project = _folded(weights, f"{key}._project_conv", f"{key}.{norms[2]}")
    output = taps.get(str(block), f"{name}_out")
    has_skip = stride == 1 and project[0].shape[0] == (weights[f"{key}._expand_conv.weight"].shape[1] if stage.expands else 0)
    x = _conv(parts, x, f"{name}_project" if has_skip else output, project)
    return parts.node("Add", [x, skip], output) if has_skip else x


def _folded(weights: Weights, conv: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel and bias of a convolution followed by its batch norm."""
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
    kernel = weights[f"{conv}.weight"] * scale[:, None, None, None]
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return kernel.astype(np.float32), bias.astype(np.float32)


def _conv(
    parts: GraphParts,
    x: str,
    name: str,
    folded: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    stride: int = 1,
    groups: int = 1,
    clip: bool = False,
) -> str:
    kernel_px = folded[0].shape[2]
    # TensorFlow's SAME padding for even sizes: with stride 2 the odd pixel goes to the bottom and right.
    before = (kernel_px - stride) // 2 if stride > 1 else kernel_px // 2
    after = kernel_px - stride - before if stride > 1 else kernel_px // 2
    inputs = [x, parts.constant(f"{name}_w", folded[0]), parts.constant(f"{name}_b", folded[1])]
    raw = f"{name}_raw" if clip else name
    parts.node(
        "Conv", inputs, raw, kernel_shape=[kernel_px] * 2, strides=[stride] * 2, group=groups,
        pads=[before, before, after, after],
    )
    if not clip:
        return raw
    # Both limits are shared by all blocks; declared once, on first use.
    if not any(tensor.name == "relu6_low" for tensor in parts.initializers):
        parts.constant("relu6_low", np.float32(0))
        parts.constant("relu6_high", np.float32(6))
    return parts.node("Clip", [raw, "relu6_low", "relu6_high"], name)

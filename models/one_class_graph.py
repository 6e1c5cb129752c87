"""The ONNX graph of a one-class film model: views of one picture in, the answers of an ensemble out.

All members but one look through the frozen backbone. A *memory* holds patches of good film: the distance to the nearest
one is a 1x1 convolution, ``|a - b|^2 = |a|^2 - 2 a.b + |b|^2``, and a minimum over channels; it counts for less where
good film itself varies. There is one for each depth of the backbone and each size that pictures are shown in. The
*whole* is how far the mean of the deepest features lies from those of good pictures. The *head* is a small perceptron
that has learnt on artificial defects which changes matter. The *lines* use no backbone: they are dark strokes in any
direction, in units of what the picture itself has in that direction. Each view is an input of its own, with the
backbone behind it once more, but one set of weights. How the answers become one score stands in the manifest
(``line.bundle.EnsembleMember``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from line.bundle import Bundle
from line.errors import BundleError
from models.onnx_graph import GraphParts, image_model
from models.perceptron import Perceptron

Floats = NDArray[np.float32]

IMAGE = "image"
"""The backbone's input."""
PICTURE = "picture"
"""Input: the picture as it is."""
DEFECT = "defect"
LINES = "lines"
WHOLE = "whole"
FEATURES = "features"
DEEP = ("s16b", "s32")
"""The backbone's outputs that the memories know."""
TAP_FACTORS = {"s4": 1, "s8": 2, "s16a": 4, "s16b": 4}
"""Enlargement of each of the backbone's outputs that the head knows to its finest grid."""
STRIDES_PX = {DEFECT: 4, LINES: 4, "s16b": 16, "s32": 32}
"""Image pixels per cell of an answer, by member or, for the memories, by depth."""
MULTIPLE_PX = 32
"""Image height and width are multiples of this."""
STROKE_PX = 12
"""Half a stroke: so near the border no line can be judged."""
_STROKE_WIDTH_PX, _STROKE_LENGTH_PX, _STROKE_DIRECTIONS = 2.2, 8.0, 12
_LIGHT_PX = 25
"""The light's slow changes are averaged away over two squares of this side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """Where features of good film lie; whitened features are ``(feature - mean) @ whitening``."""

    mean: Floats
    """Shape (channels,)."""
    whitening: Floats
    """Shape (channels, dimensions)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Patches of good film in whitened features."""

    usual: Usual
    patches: Floats
    """Shape (patches, dimensions)."""
    spacing: Floats
    """Of the memory around each patch, shape (patches,); distances are divided by it."""


def view_name(view_px: int) -> str:
    """Name of the input that is the picture brought to so many pixels on its long side."""
    return f"view_{view_px}"


def memory_name(depth: str, view_px: int) -> str:
    """Name of the answer of the memory that knows this depth of the backbone in pictures of this size."""
    return f"memory_{depth}_{view_px}"


def tap_channels(backbone: Bundle) -> dict[str, int]:
    """Channels by output, in the order in which ``feature_model`` concatenates them."""
    found = {output.tensor: int(output.layout[1:-2]) for output in backbone.manifest.outputs}
    needed = {*TAP_FACTORS, *DEEP}
    if not needed <= found.keys():
        raise BundleError(
            f"{backbone.path}: a backbone with outputs {', '.join(sorted(needed))} is needed, it has {found}"
        )
    return {name: found[name] for name in TAP_FACTORS}


def feature_models(backbone: Bundle) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """What training looks at: the memories' features as they are, and the head's on the finest grid."""
    parts = _backbone_parts(backbone)
    channels = tap_channels(backbone)
    names = [
        parts.enlarged(name, f"{name}_enlarged", factor) if factor > 1 else name for name, factor in TAP_FACTORS.items()
    ]
    parts.node("Concat", names, FEATURES, axis=1)
    deep = {output.tensor: int(output.layout[1:-2]) for output in backbone.manifest.outputs if output.tensor in DEEP}
    return image_model(parts, deep), image_model(parts, {FEATURES: sum(channels.values())})


def one_class_model(
    backbone: Bundle,
    memories: Mapping[tuple[str, int], Memory],
    whole: Usual,
    head: Perceptron,
    *,
    head_view_px: int,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The whole model; every answer has shape (n, 1, rows, columns).

    Args:
        memories: by depth and long side of the view; ``memory_name`` makes the answer's name of these.
        whole: of the mean of the deepest features, in the smallest view.
        head_view_px: long side of the view that the head looks at.
    """
    views = sorted({view_px for _, view_px in memories})
    whole_view = view_name(views[0])
    parts = GraphParts()
    for view_px in dict.fromkeys((*views, head_view_px)):
        _add_backbone(parts, backbone, view_name(view_px))
    for (depth, view_px), memory in memories.items():
        _distance(parts, f"{view_name(view_px)}_{depth}", memory_name(depth, view_px), memory)
    _whole(parts, f"{whole_view}_{DEEP[-1]}", whole)
    _head(parts, head, tap_channels(backbone), view_name(head_view_px))
    _lines(parts)
    names = [*(memory_name(*key) for key in memories), WHOLE, DEFECT, LINES]
    inputs = [view_name(view_px) for view_px in dict.fromkeys((head_view_px, *views))]
    return image_model(parts, dict.fromkeys(names, 1), images=[*inputs, PICTURE], metadata=metadata)


def _backbone_parts(backbone: Bundle) -> GraphParts:
    backbone.require_fit(task="backbone")
    model = onnx.load(backbone.model_path)
    parts = GraphParts(nodes=list(model.graph.node), initializers=list(model.graph.initializer))
    first = parts.nodes[0]
    if first.op_type != "Cast" or list(first.input) != [IMAGE]:
        raise BundleError(f"{backbone.model_path}: its first node does not cast {IMAGE!r}; export the backbone again")
    return parts


def _add_backbone(parts: GraphParts, backbone: Bundle, view: str) -> None:
    """The backbone behind a view; names of its nodes begin with the view's, its weights are there once."""
    own = _backbone_parts(backbone)
    weights = {tensor.name for tensor in own.initializers}
    known = {tensor.name for tensor in parts.initializers}
    parts.initializers += [tensor for tensor in own.initializers if tensor.name not in known]
    for node in own.nodes:
        node.output[0] = node.name = f"{view}_{node.output[0]}"
        for place, name in enumerate(node.input):
            if name not in weights:
                node.input[place] = view if name == IMAGE else f"{view}_{name}"
        parts.nodes.append(node)


def _distance(parts: GraphParts, features: str, name: str, memory: Memory) -> str:
    """Distance to the nearest patch of a memory."""
    whitened = parts.pointwise(features, f"{name}_white", memory.usual.whitening.T, _offset(memory.usual))
    length = parts.node("ReduceSumSquare", [whitened], f"{name}_length", axes=[1], keepdims=1)
    # The length is one more channel, so that one convolution gives the whole square, divided patch by patch.
    known = parts.node("Concat", [whitened, length], f"{name}_known", axis=1)
    weights = (1 / memory.spacing**2)[:, None]
    kernel = np.asarray(np.hstack([-2 * memory.patches, np.ones_like(weights)]) * weights, np.float32)
    squares = np.asarray(np.einsum("pd,pd->p", memory.patches, memory.patches) * weights[:, 0], np.float32)
    apart = parts.pointwise(known, f"{name}_apart", kernel, squares)
    nearest = parts.node("ReduceMin", [apart], f"{name}_nearest", axes=[1], keepdims=1)
    return parts.node("Sqrt", [parts.node("Relu", [nearest], f"{name}_squared")], name)


def _whole(parts: GraphParts, deepest: str, usual: Usual) -> str:
    """Length of the whitened mean of the deepest features: a Mahalanobis distance."""
    mean = parts.node("GlobalAveragePool", [deepest], "whole_mean")
    white = parts.pointwise(mean, "whole_white", usual.whitening.T, _offset(usual))
    return parts.node("ReduceL2", [white], WHOLE, axes=[1], keepdims=1)


def _offset(usual: Usual) -> Floats:
    return np.asarray(-usual.mean @ usual.whitening, np.float32)


def _head(parts: GraphParts, head: Perceptron, channels: Mapping[str, int], view: str) -> str:
    """The perceptron; its first layer works on each tap's own grid, since enlarging and a 1x1 convolution commute."""
    terms: list[str] = []
    first, start = head.weights[0], 0
    for name, count in channels.items():
        kernel = first[start : start + count].T
        start += count
        # The bias joins once, with the finest tap.
        term = parts.pointwise(f"{view}_{name}", f"head_{name}", kernel, head.biases[0] if not terms else None)
        factor = TAP_FACTORS[name]
        terms.append(parts.enlarged(term, f"head_{name}_enlarged", factor) if factor > 1 else term)
    x = parts.node("Sum", terms, "head_0")
    last = len(head.weights) - 1
    for layer in range(1, last + 1):
        x = parts.node("Relu", [x], f"head_{layer - 1}_relu")
        name = DEFECT if layer == last else f"head_{layer}"
        x = parts.pointwise(x, name, head.weights[layer].T, head.biases[layer])
    return x


def _lines(parts: GraphParts) -> str:
    """The strongest dark stroke of any direction, per cell; each direction in units of its own spread in the picture.

    A surface that was ground or drawn is full of strokes of one direction, and only the others, or much darker ones,
    tell of a crack. Cells within half a stroke of the border are 0.
    """
    grey = parts.node("Cast", [PICTURE], "lines_grey", to=onnx.TensorProto.FLOAT)
    light = grey
    for turn, (height, width) in enumerate(2 * ((_LIGHT_PX, 1), (1, _LIGHT_PX))):
        pads = 2 * [height // 2, width // 2]
        light = parts.node("AveragePool", [light], f"lines_mean_{turn}", kernel_shape=[height, width], pads=pads)
    # Grey levels below a few are noise of the camera and not light.
    light = parts.node("Add", [light, parts.constant("lines_dark", np.float32(4))], "lines_light")
    even = parts.node("Div", [grey, light], "lines_even")
    kernels = parts.constant("lines_strokes", strokes()[:, None])
    found = parts.node("Conv", [even, kernels], "lines_found", kernel_shape=[2 * STROKE_PX + 1] * 2)
    square = parts.node("Mul", [found, found], "lines_square")
    power = parts.node("ReduceMean", [square], "lines_power", axes=[2, 3], keepdims=1)
    spread = parts.node("Sqrt", [power], "lines_spread")
    floor = parts.constant("lines_floor", np.float32(1e-3))
    apart = parts.node("Div", [found, parts.node("Add", [spread, floor], "lines_unit")], "lines_apart")
    strongest = parts.node("ReduceMax", [apart], "lines_strongest", axes=[1], keepdims=1)
    cell = STRIDES_PX[LINES]
    cells = parts.node("MaxPool", [strongest], "lines_cells", kernel_shape=[cell] * 2, strides=[cell] * 2)
    border = [0, 0, STROKE_PX // cell, STROKE_PX // cell]
    return parts.node("Pad", [cells, parts.constant("lines_border", np.array(2 * border, np.int64))], LINES)


def strokes() -> Floats:
    """Second derivatives of a Gaussian across, a Gaussian along: dark strokes; shape (directions, side, side).

    Each has mean 0 and length 1. W. Freeman, E. Adelson, "The Design and Use of Steerable Filters", PAMI 1991.
    """
    y, x = np.mgrid[-STROKE_PX : STROKE_PX + 1, -STROKE_PX : STROKE_PX + 1].astype(np.float64)
    kernels = []
    for angle in np.pi * np.arange(_STROKE_DIRECTIONS) / _STROKE_DIRECTIONS:
        across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        profile = ((across / _STROKE_WIDTH_PX) ** 2 - 1) * np.exp(-0.5 * (across / _STROKE_WIDTH_PX) ** 2)
        kernel = profile * np.exp(-2 * (along / _STROKE_LENGTH_PX) ** 2)
        kernel -= kernel.mean()
        kernels.append(kernel / np.linalg.norm(kernel))
    return np.asarray(kernels, np.float32)

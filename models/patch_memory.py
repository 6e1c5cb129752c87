"""The ONNX graph of a one-class film model: image in, map of how unlike good film each place is out.

Two judges share one pass of the frozen backbone. The *memory* holds patches of good film: the distance to the nearest
one is a 1x1 convolution, ``|a - b|^2 = |a|^2 - 2 a.b + |b|^2``, and a minimum over channels. The *head* is a small
perceptron that has learnt on artificial defects which changes matter; it, too, is 1x1 convolutions. Each is brought to
mean 0 and spread 1 on good film, and they are added.
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
ANOMALY = "anomaly"
FEATURES = "features"
MEMORY_TAP = "s16b"
# Enlargement of each of the backbone's outputs to its finest grid.
TAP_FACTORS = {"s4": 1, "s8": 2, "s16a": 4, "s16b": 4}
_FINEST_STRIDE = 4
_COARSEST_STRIDE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Patches of good film in whitened features: ``(feature - mean) @ whitening``."""

    mean: Floats
    """Shape (channels,)."""
    whitening: Floats
    """Shape (channels, dimensions)."""
    patches: Floats
    """Shape (patches, dimensions)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and standard deviation of a judge's answers on good film."""

    mean: float = 0.0
    deviation: float = 1.0


def cell_px(reduction: int) -> int:
    """Image pixels per cell of the anomaly map."""
    return _FINEST_STRIDE * reduction


def memory_cell_px(reduction: int) -> int:
    """Image pixels per cell of the memory's own grid."""
    return _COARSEST_STRIDE * reduction


def multiple_px(reduction: int) -> int:
    """Image height and width are multiples of this."""
    return _COARSEST_STRIDE * reduction


def tap_channels(backbone: Bundle) -> dict[str, int]:
    """Channels by output, in the order in which ``feature_model`` concatenates them."""
    found = {output.tensor: int(output.layout[1:-2]) for output in backbone.manifest.outputs}
    if not TAP_FACTORS.keys() <= found.keys():
        raise BundleError(
            f"{backbone.path}: a backbone with outputs {', '.join(TAP_FACTORS)} is needed, it has {found}"
        )
    return {name: found[name] for name in TAP_FACTORS}


def feature_model(backbone: Bundle, reduction: int) -> onnx.ModelProto:
    """What training looks at: all features on the finest grid, and the memory's on their own."""
    parts = _backbone_parts(backbone, reduction)
    names = [
        parts.enlarged(name, f"{name}_enlarged", factor) if factor > 1 else name for name, factor in TAP_FACTORS.items()
    ]
    parts.node("Concat", names, FEATURES, axis=1)
    channels = tap_channels(backbone)
    return image_model(parts, {FEATURES: sum(channels.values()), MEMORY_TAP: channels[MEMORY_TAP]})


def one_class_model(
    backbone: Bundle,
    reduction: int,
    memory: Memory,
    head: Perceptron,
    spreads: Mapping[str, Spread],
    *,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The whole model.

    Args:
        spreads: of ``distance`` and ``defect`` on good film. While they are still to be found, leave them out: then
            the model's outputs are those two, shape (n, 1, rows, columns) each, in place of their sum.
    """
    parts = _backbone_parts(backbone, reduction)
    judges = {"distance": _distance(parts, memory), "defect": _head(parts, head, tap_channels(backbone))}
    if not spreads:
        return image_model(parts, dict.fromkeys(judges, 1), metadata=metadata)
    scaled = []
    for name, x in judges.items():
        centred = parts.node(
            "Sub", [x, parts.constant(f"{name}_mean", np.float32(spreads[name].mean))], f"{name}_centred"
        )
        scale = parts.constant(f"{name}_scale", np.float32(1 / max(spreads[name].deviation, 1e-6)))
        scaled.append(parts.node("Mul", [centred, scale], f"{name}_scaled"))
    parts.node("Add", scaled, ANOMALY)
    return image_model(parts, {ANOMALY: 1}, metadata=metadata)


def _backbone_parts(backbone: Bundle, reduction: int) -> GraphParts:
    """The backbone's graph; with a reduction the image is first averaged over squares of so many pixels."""
    backbone.require_fit(task="backbone")
    model = onnx.load(backbone.model_path)
    parts = GraphParts(nodes=list(model.graph.node), initializers=list(model.graph.initializer))
    first = parts.nodes[0]
    if first.op_type != "Cast" or list(first.input) != [IMAGE]:
        raise BundleError(f"{backbone.model_path}: its first node does not cast {IMAGE!r}; export the backbone again")
    if reduction > 1:
        whole = onnx.NodeProto()
        whole.CopyFrom(first)
        whole.output[0] = whole.name = "image_whole"
        parts.nodes[0] = whole
        shrink = onnx.helper.make_node(
            "AveragePool",
            ["image_whole"],
            list(first.output),
            name="image_reduced",
            kernel_shape=[reduction] * 2,
            strides=[reduction] * 2,
        )
        parts.nodes.insert(1, shrink)
    return parts


def _distance(parts: GraphParts, memory: Memory) -> str:
    """Distance to the nearest patch of the memory, enlarged to the finest grid."""
    whitened = parts.pointwise(MEMORY_TAP, "whitened", memory.whitening.T, -memory.mean @ memory.whitening)
    squares = np.einsum("pd,pd->p", memory.patches, memory.patches)
    crossed = parts.pointwise(whitened, "crossed", -2 * memory.patches, squares)
    nearest = parts.node("ReduceMin", [crossed], "nearest", axes=[1], keepdims=1)
    length = parts.node("ReduceSumSquare", [whitened], "length", axes=[1], keepdims=1)
    squared = parts.node("Relu", [parts.node("Add", [nearest, length], "distance_squared")], "distance_positive")
    return parts.enlarged(parts.node("Sqrt", [squared], "distance_coarse"), "distance", TAP_FACTORS[MEMORY_TAP])


def _head(parts: GraphParts, head: Perceptron, channels: Mapping[str, int]) -> str:
    """The perceptron; its first layer works on each tap's own grid, since enlarging and a 1x1 convolution commute."""
    terms: list[str] = []
    first, start = head.weights[0], 0
    for name, count in channels.items():
        kernel = first[start : start + count].T
        start += count
        # The bias joins once, with the finest tap.
        term = parts.pointwise(name, f"head_{name}", kernel, head.biases[0] if not terms else None)
        factor = TAP_FACTORS[name]
        terms.append(parts.enlarged(term, f"head_{name}_enlarged", factor) if factor > 1 else term)
    x = parts.node("Sum", terms, "head_0")
    last = len(head.weights) - 1
    for layer in range(1, last + 1):
        x = parts.node("Relu", [x], f"head_{layer - 1}_relu")
        name = "defect" if layer == last else f"head_{layer}"
        x = parts.pointwise(x, name, head.weights[layer].T, head.biases[layer])
    return x

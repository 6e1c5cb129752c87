"""The ONNX graph of a one-class film model: image in, map of how unlike good film each place is out.

Two judges, both on the frozen backbone. The *memory* glances at the image shrunk to half and holds patches of good
film: the distance to the nearest one is a 1x1 convolution, ``|a - b|^2 = |a|^2 - 2 a.b + |b|^2``, and a minimum over
channels; it counts for less where good film itself varies. The *head* looks at the image itself; it is a small
perceptron that has learnt on artificial defects which changes matter, and it, too, is 1x1 convolutions. Each is brought
to mean 0 and spread 1 on good film; they are added.
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
TAP_FACTORS = {"s4": 1, "s8": 2, "s16a": 4, "s16b": 4}
"""Enlargement of each of the backbone's outputs to its finest grid."""
CELL_PX = 4
"""Image pixels per cell of the anomaly map."""
GLANCE = "glance_s16b"
"""The backbone's deepest output on the image shrunk to half: what the memory knows."""
GLANCE_CELL_PX = 32
MULTIPLE_PX = 32
"""Image height and width are multiples of this."""
_GLANCE_FACTOR = GLANCE_CELL_PX // CELL_PX


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Patches of good film in whitened features: ``(feature - mean) @ whitening``."""

    mean: Floats
    """Shape (channels,)."""
    whitening: Floats
    """Shape (channels, dimensions)."""
    patches: Floats
    """Shape (patches, dimensions)."""
    spacing: Floats
    """Of the memory around each patch, shape (patches,); distances are divided by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and standard deviation of a judge's answers on good film."""

    mean: float = 0.0
    deviation: float = 1.0


def tap_channels(backbone: Bundle) -> dict[str, int]:
    """Channels by output, in the order in which ``feature_model`` concatenates them."""
    found = {output.tensor: int(output.layout[1:-2]) for output in backbone.manifest.outputs}
    if not TAP_FACTORS.keys() <= found.keys():
        raise BundleError(
            f"{backbone.path}: a backbone with outputs {', '.join(TAP_FACTORS)} is needed, it has {found}"
        )
    return {name: found[name] for name in TAP_FACTORS}


def feature_model(backbone: Bundle) -> onnx.ModelProto:
    """What training looks at: all features on the finest grid for the head, and the memory's on their own."""
    parts = _backbone_parts(backbone)
    names = [
        parts.enlarged(name, f"{name}_enlarged", factor) if factor > 1 else name for name, factor in TAP_FACTORS.items()
    ]
    parts.node("Concat", names, FEATURES, axis=1)
    channels = tap_channels(backbone)
    return image_model(parts, {FEATURES: sum(channels.values()), GLANCE: channels["s16b"]})


def one_class_model(
    backbone: Bundle,
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
    parts = _backbone_parts(backbone)
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


def _backbone_parts(backbone: Bundle) -> GraphParts:
    """The backbone's graph twice with one set of weights: on the image, and on the image shrunk to half."""
    backbone.require_fit(task="backbone")
    model = onnx.load(backbone.model_path)
    parts = GraphParts(nodes=list(model.graph.node), initializers=list(model.graph.initializer))
    first = parts.nodes[0]
    if first.op_type != "Cast" or list(first.input) != [IMAGE]:
        raise BundleError(f"{backbone.model_path}: its first node does not cast {IMAGE!r}; export the backbone again")
    weights = {tensor.name for tensor in parts.initializers}
    whole = first.output[0]
    half = parts.node("AveragePool", [whole], f"glance_{whole}", kernel_shape=[2, 2], strides=[2, 2])
    for node in model.graph.node[1:]:
        again = onnx.NodeProto()
        again.CopyFrom(node)
        again.output[0] = again.name = f"glance_{node.output[0]}"
        for place, name in enumerate(node.input):
            if name not in weights:
                again.input[place] = half if name == whole else f"glance_{name}"
        parts.nodes.append(again)
    return parts


def _distance(parts: GraphParts, memory: Memory) -> str:
    """Distance to the nearest patch of the memory, enlarged to the finest grid."""
    whitened = parts.pointwise(GLANCE, "whitened", memory.whitening.T, -memory.mean @ memory.whitening)
    length = parts.node("ReduceSumSquare", [whitened], "length", axes=[1], keepdims=1)
    # The length is one more channel, so that one convolution gives the whole square, divided patch by patch.
    known = parts.node("Concat", [whitened, length], "known", axis=1)
    weights = (1 / memory.spacing**2)[:, None]
    kernel = np.asarray(np.hstack([-2 * memory.patches, np.ones_like(weights)]) * weights, np.float32)
    squares = np.asarray(np.einsum("pd,pd->p", memory.patches, memory.patches) * weights[:, 0], np.float32)
    nearest = parts.node(
        "ReduceMin", [parts.pointwise(known, "apart", kernel, squares)], "nearest", axes=[1], keepdims=1
    )
    squared = parts.node("Relu", [nearest], "distance_squared")
    return parts.enlarged(parts.node("Sqrt", [squared], "distance_coarse"), "distance", _GLANCE_FACTOR)


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

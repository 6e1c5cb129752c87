"""Small helpers to write an ONNX graph by hand: every node named, one operator set for all models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


@dataclass(slots=True)
class GraphParts:
    """Nodes and weights of a graph while it grows; each method adds one and returns the name of its output."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, values: NDArray[np.generic] | np.generic) -> str:
        # asarray and not ascontiguousarray: the latter turns a scalar into a vector.
        self.initializers.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def pointwise(self, x: str, name: str, kernel: NDArray[np.float32], bias: NDArray[np.float32] | None = None) -> str:
        """A 1x1 convolution; ``kernel`` has shape (channels out, channels in)."""
        inputs = [x, self.constant(f"{name}_w", kernel[:, :, None, None].astype(np.float32))]
        if bias is not None:
            inputs.append(self.constant(f"{name}_b", bias.astype(np.float32)))
        return self.node("Conv", inputs, name, kernel_shape=[1, 1])

    def enlarged(self, x: str, name: str, factor: int) -> str:
        """Bilinear enlargement, cell centres kept in place, border cells repeated."""
        scales = self.constant(f"{name}_scales", np.array([1, 1, factor, factor], np.float32))
        return self.node("Resize", [x, "", scales], name, mode="linear", coordinate_transformation_mode="half_pixel")


def image_model(
    parts: GraphParts,
    outputs: Mapping[str, int],
    *,
    images: Sequence[str] = ("image",),
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """A checked model that takes grey uint8 images of any size; parts that no output needs are left out.

    Args:
        outputs: channels by output name; all outputs are float32 (n, channels, rows, columns).
        images: the inputs' names.
        metadata: written as the model's ``metadata_props``.

    Raises:
        onnx.checker.ValidationError: the parts are no valid graph.
    """
    nodes = _needed(parts.nodes, outputs)
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "lamella",
        [
            helper.make_tensor_value_info(image, TensorProto.UINT8, [f"{image}_n", 1, *_sides(image)])
            for image in images
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}_n", channels, *_sides(name)])
            for name, channels in outputs.items()
        ],
        [tensor for tensor in parts.initializers if tensor.name in used],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="lamella"
    )
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    return model


def _sides(name: str) -> tuple[str, str]:
    return f"{name}_rows", f"{name}_columns"


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """Nodes on a way to one of the outputs, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]

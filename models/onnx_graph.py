"""Small helpers to write an ONNX graph by hand: every node named, one operator set for all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    parts: GraphParts, outputs: Mapping[str, int], *, image: str = "image", metadata: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """A checked model that takes one grey uint8 image of any size.

    Args:
        outputs: channels by output name; all outputs are float32 (n, channels, rows, columns).
        metadata: written as the model's ``metadata_props``.

    Raises:
        onnx.checker.ValidationError: the parts are no valid graph.
    """
    graph = helper.make_graph(
        parts.nodes,
        "lamella",
        [helper.make_tensor_value_info(image, TensorProto.UINT8, ["n", 1, "height", "width"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, f"{name}_rows", f"{name}_columns"])
            for name, channels in outputs.items()
        ],
        parts.initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="lamella"
    )
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    return model

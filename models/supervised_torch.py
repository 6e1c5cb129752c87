"""Runs an ONNX graph of a few operators in torch, so that it can learn. The only owner of torch beside the backbone's
export; import it lazily, with `require_torch` first.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor
from torch.nn import functional

from models.supervised_graph import DECODER, FROZEN_LAST, IMAGE, weights_of


class LearningGraph:
    """A graph whose weights above `FROZEN_LAST` learn."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._nodes = list(model.graph.node)
        self._attributes = [
            {each.name: helper.get_attribute_value(each) for each in node.attribute} for node in self._nodes
        ]
        self._outputs = [each.name for each in model.graph.output]
        self.weights: dict[str, Tensor] = {
            name: torch.from_numpy(np.array(value)) for name, value in weights_of(model).items()
        }
        frozen = _frozen_tensors(self._nodes)
        # Kernels and biases, scales and shifts; the running means and variances of a norm are no parameters.
        self.learning = [
            name
            for node in self._nodes
            if node.op_type in {"Conv", "BatchNormalization"}
            for name in node.input[1:3]
            if name not in frozen
        ]
        self._running = [
            name for node in self._nodes if node.op_type == "BatchNormalization" for name in node.input[3:5]
        ]
        for name in self.learning:
            self.weights[name] = (
                self.weights[name].contiguous(memory_format=_format(self.weights[name])).requires_grad_()
            )

    def groups(self, backbone_rate: float, rate: float) -> list[dict[str, object]]:
        """Parameters for an optimiser: the backbone learns more slowly than what is new."""
        new = [name for name in self.learning if _is_new(name)]
        old = [name for name in self.learning if not _is_new(name)]
        return [
            {"params": [self.weights[name] for name in new], "lr": rate},
            {"params": [self.weights[name] for name in old], "lr": backbone_rate},
        ]

    def set_backbone_learning(self, learns: bool) -> None:
        """Whether the backbone's weights above `FROZEN_LAST` learn, too."""
        for name in self.learning:
            if not _is_new(name):
                self.weights[name].requires_grad_(learns)

    def run(self, grey: Tensor) -> dict[str, Tensor]:
        """The graph's outputs by name.

        Args:
            grey: shape (n, 1, height, width), float32, 0 to 255.
        """
        known: dict[str, Tensor] = {IMAGE: grey}
        for node, attributes in zip(self._nodes, self._attributes, strict=True):
            inputs = [known[name] if name in known else self.weights[name] for name in node.input if name]
            known[node.output[0]] = _OPERATORS[node.op_type](inputs, attributes)
        return {name: known[name] for name in self._outputs}

    def numbers(self) -> dict[str, NDArray[np.float32]]:
        """A copy of all that changes while learning."""
        names = (*self.learning, *self._running)
        return {name: self.weights[name].detach().numpy().copy(order="C") for name in names}


def _is_new(name: str) -> bool:
    return name.startswith(DECODER) or "_logit" in name


def _frozen_tensors(nodes: list[onnx.NodeProto]) -> set[str]:
    frozen: set[str] = set()
    last = max(place for place, node in enumerate(nodes) if node.input and FROZEN_LAST in node.input[0])
    for node in nodes[: last + 1]:
        if not _is_new(node.output[0]):
            frozen.update(node.input)
    return frozen


def _format(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.ndim == 4 else torch.contiguous_format


def _conv(inputs: list[Tensor], attributes: dict[str, object]) -> Tensor:
    x, weight, bias = inputs
    pads = [int(value) for value in attributes["pads"]]  # type: ignore[attr-defined]
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        padding = (top, left)
    else:
        x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
    return functional.conv2d(
        x, weight, bias, attributes["strides"], padding, attributes.get("dilations", 1), attributes["group"]
    )


def _resize(inputs: list[Tensor], attributes: dict[str, object]) -> Tensor:
    factor = float(inputs[1][2])
    return functional.interpolate(inputs[0], scale_factor=factor, mode="bilinear", align_corners=False)


def _batch_norm(inputs: list[Tensor], attributes: dict[str, object]) -> Tensor:
    """With the batch's own mean and variance; the running ones, for inspection, follow."""
    x, scale, shift, mean, variance = inputs
    return functional.batch_norm(
        x, mean, variance, scale, shift, training=True, momentum=0.05, eps=attributes["epsilon"]
    )


_OPERATORS = {
    "BatchNormalization": _batch_norm,
    "Cast": lambda inputs, _: inputs[0],
    "Sub": lambda inputs, _: inputs[0] - inputs[1],
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "Relu": lambda inputs, _: functional.relu(inputs[0]),
    "Clip": lambda inputs, _: inputs[0].clamp(0, 6),
    "Concat": lambda inputs, _: torch.cat(inputs, 1),
    "Conv": _conv,
    "Resize": _resize,
}

"""The classifier of candidates in eight bits: a third of the time of its float network, the same answers.

The first convolution takes the patch's grey levels as they are. Clipping is exact in uint8, and both scales and the
grey of sound film go into the kernels; what remains in float is the last pooling and the head. Depthwise convolutions
and such with few channels gain nothing this way, dense ones after a patchify stem do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from models.candidate_network import COARSE_GREY, FINE_GREY, FINE_LIMIT, INPUT, planes
from models.onnx_graph import IR_VERSION, OPSET, GraphParts
from vision.candidates import CHANNELS, FILM_GREY

Floats = NDArray[np.float32]

_SEEN, _STEM = "seen", "conv0"
_BATCH = 64
_LEVELS = 127
"""Of an int8 weight, to either side."""


def quantised(
    model: onnx.ModelProto, calibration_patches: NDArray[np.uint8], channels: Sequence[str] = CHANNELS
) -> onnx.ModelProto:
    """The network with int8 weights and uint8 activations; same input, output and names.

    Args:
        model: as `candidate_network.network` builds it; it is left as it is.
        calibration_patches: shape (n, channels, 64, 64), of all classes, glints that saturate among them: what lies
            above the highest activation here will be clipped. A few hundred are enough.
        channels: that the network takes.

    Raises:
        ValueError: the network's stem is padded or it does not begin as `candidate_network.network` does.
    """
    whole = _with_whole_front(model, channels)
    # The quantiser's own mark for what needs no preparing: shapes are known and nothing is left to fold.
    helper.set_model_props(whole, {"onnx.quant.pre_process": "onnxruntime.quant"})
    grey = {"scale": np.array(1, np.float32), "zero_point": np.array(0, np.uint8)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            whole,
            path,
            _Batches(calibration_patches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"TensorQuantOverrides": {_SEEN: [grey]}},
        )
        made = onnx.load(path)
    _feed_whole(made.graph)
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    made.producer_name = model.producer_name
    onnx.checker.check_model(made, full_check=True)
    return made


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Patches for the quantiser, some at a time."""

    def __init__(self, patches: NDArray[np.uint8]) -> None:
        self._left: Iterator[NDArray[np.uint8]] = iter([
            patches[start : start + _BATCH] for start in range(0, len(patches), _BATCH)
        ])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._left, None)
        return None if batch is None else {INPUT: batch}


def _with_whole_front(model: onnx.ModelProto, channels: Sequence[str]) -> onnx.ModelProto:
    """The same network whose planes are whole grey levels until they are cast for the stem, under the name `seen`."""
    nodes = list(model.graph.node)
    names = [node.name for node in nodes]
    if _SEEN not in names or _STEM not in names:
        raise ValueError(f"a network with nodes {names} was not built by models/candidate_network.py")
    stem = nodes[names.index(_STEM)]
    if any(any(each.ints) for each in stem.attribute if each.name == "pads"):
        # What is padded is 0 beside film grey; beside grey levels it would be black.
        raise ValueError(f"{_STEM} is padded, which cannot be had on grey levels; give it as long a stride as kernel")
    weight_name, bias_name = stem.input[1:3]
    kernel, bias = _folded(_weights(model, weight_name), _weights(model, bias_name), channels)
    parts = GraphParts()
    film, step = planes(FILM_GREY, channels), planes(FINE_GREY, channels)
    low, high = (
        parts.constant(name, np.rint(film + sign * FINE_LIMIT * step).astype(np.uint8))
        for name, sign in (("lowest", -1), ("highest", 1))
    )
    fine = parts.node("Min", [parts.node("Max", [INPUT, low], "not_lower"), high], "fine")
    whole = parts.node("Concat", [fine, INPUT], "whole", axis=1)
    parts.node("Cast", [whole], _SEEN, to=TensorProto.FLOAT)
    parts.constant(weight_name, kernel)
    parts.constant(bias_name, bias)
    rest = nodes[names.index(_SEEN) + 1 :]
    needed = {name for node in rest for name in node.input} - {weight_name, bias_name}
    parts.initializers += [each for each in model.graph.initializer if each.name in needed]
    graph = helper.make_graph(
        [*parts.nodes, *rest], model.graph.name, list(model.graph.input), list(model.graph.output), parts.initializers
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _weights(model: onnx.ModelProto, name: str) -> Floats:
    return np.asarray(numpy_helper.to_array(next(each for each in model.graph.initializer if each.name == name)))


def _folded(kernel: Floats, bias: Floats, channels: Sequence[str]) -> tuple[Floats, Floats]:
    """Kernel and bias of the stem for grey levels instead of scaled changes.

    The weights are put on the steps that int8 has, and the bias follows from those: a rounded weight times the grey of
    sound film would otherwise be taken for a change of it.
    """
    fine, film = planes(FINE_GREY, channels).ravel(), planes(FILM_GREY, channels).ravel()
    scales: Floats = np.concatenate((1 / fine, np.full(fine.size, 1 / COARSE_GREY, np.float32)))
    on_grey = kernel * scales[None, :, None, None]
    step = np.maximum(np.abs(on_grey).max(axis=(1, 2, 3), keepdims=True), 1e-9) / _LEVELS
    on_grey = np.rint(on_grey / step) * step
    film_planes = np.concatenate((film, film))[None, :, None, None]
    return on_grey.astype(np.float32), (bias - (on_grey * film_planes).sum(axis=(1, 2, 3))).astype(np.float32)


def _feed_whole(graph: onnx.GraphProto) -> None:
    """Give the stem the grey levels themselves: casting them and quantising by steps of 1 gives what they were."""
    cast = next(node for node in graph.node if node.name == _SEEN)
    quantise = next(node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == _SEEN)
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] == quantise.output[0]:
            node.input[0] = cast.input[0]
    graph.node.remove(cast)
    graph.node.remove(quantise)

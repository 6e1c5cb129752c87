"""What film inspection is compared with: the pipeline of a textbook, PatchCore, and what memory can do."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.onnx_graph import IR_VERSION, OPSET, GraphParts
from vision.gates import FilmLook
from vision.session import open_onnx

TILE_PX = 256
BANK_COUNT = 5000
_TEXTBOOK_SIGMAS = 5.5


def textbook(look: FilmLook) -> Callable[[NDArray[np.uint8]], int]:
    """Float flat field, Gaussian background of sigma 12 px, threshold, connected components with statistics.

    Args:
        look: of single-channel film.

    Returns:
        How many components a plane of shape (lines, width) has.
    """
    level = look.level[0]
    limit = float(np.median(_TEXTBOOK_SIGMAS * look.spread[0] / level))

    def found(plane: NDArray[np.uint8]) -> int:
        flat = plane.astype(np.float32) / level
        flat -= cv2.GaussianBlur(flat, (0, 0), 12)
        mask = (np.abs(flat) > limit).astype(np.uint8)
        return int(cv2.connectedComponentsWithStats(mask, connectivity=8)[0]) - 1

    return found


def patchcore() -> Callable[[NDArray[np.uint8]], float]:
    """PatchCore on a ResNet-18 with weights at random, for its speed alone.

    Features of strides 8 and 16 (384 channels), averaged over 3 x 3, distance to the nearest of `BANK_COUNT`.

    Returns:
        The image score of a tile of shape (256, 256).
    """
    session = open_onnx(_patchcore_model().SerializeToString(), "cpu")

    def score(tile: NDArray[np.uint8]) -> float:
        return float(session.run(None, {"image": tile[None, None]})[0].max())

    return score


def _patchcore_model() -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    parts = GraphParts()

    def conv(x: str, name: str, inward: int, outward: int, kernel: int, stride: int) -> str:
        weights = rng.standard_normal((outward, inward, kernel, kernel)) * np.sqrt(2 / (inward * kernel**2))
        inputs = [x, parts.constant(f"{name}_w", weights.astype(np.float32))]
        inputs.append(parts.constant(f"{name}_b", np.zeros(outward, np.float32)))
        sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        return parts.node("Conv", inputs, name, **sizes)

    def block(x: str, name: str, inward: int, outward: int) -> str:
        stride = 1 if inward == outward else 2
        y = parts.node("Relu", [conv(x, f"{name}_a", inward, outward, 3, stride)], f"{name}_ra")
        y = conv(y, f"{name}_c", outward, outward, 3, 1)
        skip = x if stride == 1 else conv(x, f"{name}_s", inward, outward, 1, 2)
        return parts.node("Relu", [parts.node("Add", [y, skip], f"{name}_sum")], name)

    x = parts.node("Cast", ["image"], "grey", to=TensorProto.FLOAT)
    x = parts.node("Concat", [x, x, x], "colours", axis=1)
    x = parts.node("Relu", [conv(x, "stem", 3, 64, 7, 2)], "stem_r")
    x = parts.node("MaxPool", [x], "stem_p", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    x = block(block(x, "l1a", 64, 64), "l1b", 64, 64)
    middle = block(block(x, "l2a", 64, 128), "l2b", 128, 128)
    deep = block(block(middle, "l3a", 128, 256), "l3b", 256, 256)
    pooled = [
        parts.node("AveragePool", [level], f"{level}_mean", kernel_shape=[3, 3], pads=[1] * 4)
        for level in (middle, deep)
    ]
    features = parts.node("Concat", [pooled[0], parts.enlarged(pooled[1], "deep_large", 2)], "features", axis=1)
    bank = rng.standard_normal((BANK_COUNT, 384)).astype(np.float32)
    # |f - b|² = |f|² - 2 f b + |b|², the middle term a convolution of 1 x 1.
    product = parts.pointwise(features, "bank", -2 * bank, (bank**2).sum(axis=1))
    nearest = parts.node("ReduceMin", [product], "nearest", axes=[1])
    own = parts.node("ReduceSumSquare", [features], "own", axes=[1])
    parts.node("Add", [nearest, own], "distance")
    graph = helper.make_graph(
        parts.nodes,
        "patchcore",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, TILE_PX, TILE_PX])],
        [helper.make_tensor_value_info("distance", TensorProto.FLOAT, [1, 1, TILE_PX // 8, TILE_PX // 8])],
        parts.initializers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)

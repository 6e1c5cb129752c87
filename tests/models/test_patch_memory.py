"""The graph computes what numpy computes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from line.bundle import Bundle, open_bundle
from models.onnx_graph import OPSET
from models.patch_memory import (
    ANOMALY,
    CELL_PX,
    FEATURES,
    GLANCE,
    GLANCE_CELL_PX,
    Memory,
    Spread,
    feature_model,
    one_class_model,
    tap_channels,
)
from models.perceptron import Perceptron
from models.registry import released
from vision.session import ModelSession, open_onnx, verify_golden


@pytest.fixture(scope="module")
def backbone() -> Bundle:
    return open_bundle(released("efficientnet-lite0-s16"), task="backbone")


def test_the_shipped_backbone_gives_its_golden_features(backbone: Bundle) -> None:
    with ModelSession(backbone, "cpu") as session:
        assert verify_golden(session) <= backbone.manifest.golden_tolerance


def test_the_glance_is_the_backbone_on_the_image_shrunk_to_half(backbone: Bundle) -> None:
    small = np.random.default_rng(3).integers(0, 256, (48, 64), np.uint8)
    image = np.kron(small, np.ones((2, 2), np.uint8))[None, None]
    (glance,) = open_onnx(feature_model(backbone).SerializeToString(), "cpu").run([GLANCE], {"image": image})
    with ModelSession(backbone, "cpu") as session:
        np.testing.assert_allclose(glance, session.run(small[None, None])["s16b"], atol=1e-3)


def test_distance_head_and_sum_are_those_that_numpy_finds(backbone: Bundle) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 1, 64, 96), np.uint8)
    features, deep = open_onnx(feature_model(backbone).SerializeToString(), "cpu").run(
        [FEATURES, GLANCE], {"image": image}
    )
    channels = sum(tap_channels(backbone).values())
    assert features.shape == (1, channels, 64 // CELL_PX, 96 // CELL_PX)
    assert deep.shape[2:] == (64 // GLANCE_CELL_PX, 96 // GLANCE_CELL_PX)
    whitening = rng.normal(0, 0.1, (deep.shape[1], 20)).astype(np.float32)
    memory = Memory(
        mean=rng.normal(size=deep.shape[1]).astype(np.float32),
        whitening=whitening,
        patches=rng.normal(size=(50, 20)).astype(np.float32),
        spacing=rng.uniform(0.5, 2, 50).astype(np.float32),
    )
    head = Perceptron(
        weights=tuple(rng.normal(0, 0.05, shape).astype(np.float32) for shape in ((channels, 12), (12, 6), (6, 1))),
        biases=tuple(rng.normal(0, 0.1, size).astype(np.float32) for size in (12, 6, 1)),
    )
    parts = open_onnx(one_class_model(backbone, memory, head, {}).SerializeToString(), "cpu")
    found = dict(zip([output.name for output in parts.get_outputs()], parts.run(None, {"image": image}), strict=True))

    logits = head.logits(features[0].reshape(channels, -1).T).reshape(found["defect"].shape[2:])
    np.testing.assert_allclose(found["defect"][0, 0], logits, atol=2e-3)
    white = (deep[0].reshape(deep.shape[1], -1).T - memory.mean) @ memory.whitening
    nearest = (np.sqrt(((white[:, None] - memory.patches[None]) ** 2).sum(axis=2)) / memory.spacing).min(axis=1)
    # The centre of a coarse cell lies between four fine ones; inside the image their mean is near the coarse value,
    # so the extremes bound one another.
    assert found["distance"].min() >= nearest.min() - 1e-3
    assert found["distance"].max() <= nearest.max() + 1e-3
    corner = nearest.reshape(deep.shape[2:])[0, 0]
    assert found["distance"][0, 0, 0, 0] == pytest.approx(corner, abs=1e-3)

    spreads = {"distance": Spread(mean=2.0, deviation=0.5), "defect": Spread(mean=-1.0, deviation=4.0)}
    model = one_class_model(backbone, memory, head, spreads)
    total = open_onnx(model.SerializeToString(), "cpu").run([ANOMALY], {"image": image})[0]
    np.testing.assert_allclose(total, (found["distance"] - 2) / 0.5 + (found["defect"] + 1) / 4, atol=2e-3)


def test_all_graphs_have_the_stated_operator_set(backbone: Bundle) -> None:
    for model in (onnx.load(backbone.model_path), feature_model(backbone)):
        assert [opset.version for opset in model.opset_import] == [OPSET]
    assert backbone.manifest.opset == OPSET

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from models.candidate_int8 import quantised
from models.candidate_network import LAYERS, Weights, network
from vision.candidates import FILM_GREY

CLASSES = 6


def weights(seed: int) -> Weights:
    rng = np.random.default_rng(seed)
    made: Weights = {}
    for number, (inward, outward, kernel, _) in enumerate(LAYERS):
        spread = np.sqrt(2 / (inward * kernel**2))
        made[f"conv{number}_w"] = (spread * rng.standard_normal((outward, inward, kernel, kernel))).astype(np.float32)
        made[f"conv{number}_b"] = (0.1 * rng.standard_normal(outward)).astype(np.float32)
    made["head_w"] = rng.normal(0, 0.3, (CLASSES, 2 * LAYERS[-1][1])).astype(np.float32)
    made["head_b"] = rng.normal(0, 0.1, CLASSES).astype(np.float32)
    return made


def patches(count: int, seed: int) -> NDArray[np.uint8]:
    """Grain around the grey of film, a faint spot or a glint in each."""
    rng = np.random.default_rng(seed)
    film = np.array(FILM_GREY, np.float32)[:, None, None]
    images = film + film**0.5 / 3 * rng.standard_normal((count, 3, 64, 64), dtype=np.float32)
    for image in images:
        row, column, size = rng.integers(8, 40, 3)
        image[:, row : row + size // 2, column : column + size // 2] += rng.choice((-60, -8, 8, 200), (3, 1, 1))
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


def answers(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"patches": images})[0], np.float32)


@pytest.fixture(scope="module")
def pair() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A float network and the same in eight bits."""
    model = network(weights(1))
    return model, quantised(model, patches(256, seed=2))


def test_it_answers_as_the_float_network_does(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    images = patches(200, seed=3)
    exact, rounded = (answers(model, images) for model in pair)
    assert np.abs(rounded - exact).max() < 0.1 * np.ptp(exact)
    assert np.abs(rounded - exact).mean() < 0.01 * np.ptp(exact)
    assert np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.998


def test_sound_film_itself_is_hardly_moved_by_rounding(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    plain = np.broadcast_to(np.array(FILM_GREY, np.uint8)[None, :, None, None], (1, 3, 64, 64)).copy()
    exact, rounded = (answers(model, plain) for model in pair)
    assert np.abs(rounded - exact).max() < 0.01 * np.ptp(answers(pair[0], patches(200, seed=3)))


def test_every_convolution_is_of_int8_and_no_arithmetic_in_float_comes_before(
    pair: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    kinds = [node.op_type for node in pair[1].graph.node]
    assert not {"Cast", "Sub", "Mul", "Clip"} & set(kinds)
    kernels = [each for each in pair[1].graph.initializer if len(each.dims) == 4 and each.dims[0] > 3]
    assert len(kernels) == len(LAYERS)
    assert {each.data_type for each in kernels} == {onnx.TensorProto.INT8}


def test_the_float_network_is_left_as_it_was() -> None:
    model = network(weights(1))
    before = model.SerializeToString()
    quantised(model, patches(8, seed=2))
    assert model.SerializeToString() == before


def test_another_network_is_refused() -> None:
    model = network(weights(1))
    for node in model.graph.node:
        node.name = f"other_{node.name}"
    with pytest.raises(ValueError, match="not built by"):
        quantised(model, patches(8, seed=2))

"""Full coverage answers as an ordinary session does, from buffers that are made once."""

from __future__ import annotations

import numpy as np
import pytest

from line.bundle import Bundle, InputSpec, OutputSpec
from line.errors import BundleError, FrameError, ProviderError
from models.bundle_writer import BundleDraft, write_bundle
from models.onnx_graph import OPSET, GraphParts, image_model
from vision.full_coverage import FullCoverage
from vision.session import ModelSession

SHAPE = (1, 64, 256)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A patchify convolution of 4 x 4 px, five answers a cell."""
    rng = np.random.default_rng(1)
    parts = GraphParts()
    x = parts.node("Cast", ["image"], "grey", to=1)
    tensors = [
        parts.constant("w", rng.normal(0, 0.1, (5, 1, 4, 4)).astype(np.float32)),
        parts.constant("b", rng.normal(0, 1, 5).astype(np.float32)),
    ]
    parts.node("Conv", [x, *tensors], "cells", kernel_shape=[4, 4], strides=[4, 4])
    draft = BundleDraft(
        name="tiny-dense",
        version=1,
        task="film-segmentation",
        input=InputSpec(tensor="image", channels=1, multiple_px=4),
        outputs=(OutputSpec(tensor="cells", meaning="answers", layout="N5HW", stride_px=4),),
        licence="Apache-2.0",
        provenance="made",
        opset=OPSET,
        golden_tolerance=1e-3,
    )
    golden = [np.zeros((1, 1, 8, 8), np.uint8)]
    out = tmp_path_factory.mktemp("dense") / "net"
    return write_bundle(out, draft, image_model(parts, {"cells": 5}), card="made\n", golden_inputs=golden)


def test_answers_are_those_of_an_ordinary_session_and_lie_in_the_same_buffers_each_time(bundle: Bundle) -> None:
    rng = np.random.default_rng(2)
    with FullCoverage(bundle, SHAPE, "cpu") as coverage, ModelSession(bundle, "cpu") as session:
        places = set()
        for _ in range(3):
            strip = rng.integers(0, 256, SHAPE).astype(np.uint8)
            found = coverage.inspect(strip)["cells"]
            places.add(found.ctypes.data)
            assert found.shape == (1, 5, 16, 64)
            assert np.array_equal(found, session.run(strip[None])["cells"])
        assert len(places) == 1
        assert coverage.provenance == session.provenance


def test_a_strip_written_where_the_network_reads_needs_no_copy(bundle: Bundle) -> None:
    with FullCoverage(bundle, SHAPE, "cpu") as coverage:
        coverage.strip[...] = 0
        dark = coverage.answers()["cells"].copy()
        coverage.strip[..., 128:] = 200
        bright = coverage.answers()["cells"]
        assert np.array_equal(dark[..., :32], bright[..., :32])
        assert not np.array_equal(dark[..., 32:], bright[..., 32:])


def test_shapes_that_do_not_suit_are_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="3 x 64 x 256 do not suit tiny-dense@v1"):
        FullCoverage(bundle, (3, 64, 256), "cpu")
    with pytest.raises(BundleError, match="multiples of 4 px"):
        FullCoverage(bundle, (1, 66, 256), "cpu")
    with FullCoverage(bundle, SHAPE, "cpu") as coverage, pytest.raises(FrameError, match=r"got uint8 \(1, 32, 256\)"):
        coverage.inspect(np.zeros((1, 32, 256), np.uint8))


def test_cuda_that_is_required_and_absent_is_refused(bundle: Bundle) -> None:
    with ModelSession(bundle, "auto") as session:
        if session.provenance.device == "cuda":
            pytest.skip("there is CUDA here")
    with pytest.raises(ProviderError, match="provider 'cuda' is required"):
        FullCoverage(bundle, SHAPE, "cuda")


def test_provenance_is_read_from_the_session(bundle: Bundle) -> None:
    with FullCoverage(bundle, SHAPE, "cpu") as coverage:
        assert coverage.provenance.providers == ("CPUExecutionProvider",)
        assert str(coverage.provenance.model) == "tiny-dense@v1"

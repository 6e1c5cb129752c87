"""Sessions run what the bundle says, where they say, and refuse to run elsewhere in silence."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from line.bundle import (
    DIGEST_FILE,
    MANIFEST_FILE,
    Bundle,
    InputSpec,
    OutputSpec,
    bundle_digest,
    file_digest,
    open_bundle,
)
from line.errors import BundleError, ProviderError
from models.bundle_writer import BundleDraft, write_bundle
from vision import session as session_module
from vision.parallel import Crew
from vision.session import ModelSession, golden_difference, open_onnx, verify_golden


def doubling_model(channels: int = 1) -> onnx.ModelProto:
    """A network whose answer is known: twice the grey level."""
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["grey", "grey"], ["double"]),
    ]
    graph = helper.make_graph(
        nodes,
        "doubling",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", channels, "h", "w"])],
        [helper.make_tensor_value_info("double", TensorProto.FLOAT, ["n", channels, "h", "w"])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def draft(*, tensor: str = "image", output: str = "double", channels: int = 1) -> BundleDraft:
    return BundleDraft(
        name="doubling",
        version=1,
        task="backbone",
        input=InputSpec(tensor=tensor, channels=channels),
        outputs=(OutputSpec(tensor=output, meaning="twice the grey level", layout="N1HW"),),
        licence="Apache-2.0",
        provenance="made in a test",
        opset=17,
        golden_tolerance=0.01,
    )


@pytest.fixture
def grey() -> NDArray[np.uint8]:
    return np.arange(12, dtype=np.uint8).reshape(1, 1, 3, 4)


@pytest.fixture
def bundle(tmp_path: Path, grey: NDArray[np.uint8]) -> Bundle:
    return write_bundle(tmp_path / "doubling", draft(), doubling_model(), card="# card\n", golden_inputs=[grey])


def test_a_session_gives_the_networks_answer_and_says_where_it_was_computed(
    bundle: Bundle, grey: NDArray[np.uint8]
) -> None:
    with ModelSession(bundle, "cpu") as session:
        np.testing.assert_array_equal(session.run(grey)["double"], 2.0 * grey)
        assert session.provenance.providers == ("CPUExecutionProvider",)
        assert session.provenance.device == "cpu"
        assert session.provenance.model == bundle.ref
        assert session.provenance.runtime == f"onnxruntime {onnxruntime.__version__}"


def test_cuda_that_is_asked_for_and_absent_stops_the_start(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_has_cuda_driver", lambda: False)
    with pytest.raises(
        ProviderError, match=r"provider 'cuda' is required, but the session runs on CPUExecutionProvider"
    ):
        ModelSession(bundle, "cuda")


def test_auto_takes_the_cpu_where_there_is_no_gpu(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_has_cuda_driver", lambda: False)
    with ModelSession(bundle, "auto") as session:
        assert session.provenance.device == "cpu"


def test_two_installed_runtimes_are_refused_before_cuda_is_lost_in_silence(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_has_cuda_driver", lambda: True)
    monkeypatch.setattr(session_module, "version", lambda name: "1.31.1")
    with pytest.raises(ProviderError, match=r"onnxruntime 1\.31\.1 and onnxruntime-gpu 1\.31\.1 are both installed"):
        ModelSession(bundle, "cuda")


def test_a_session_uses_one_thread_and_does_not_spin(bundle: Bundle) -> None:
    options = open_onnx(bundle.model_path, "cpu").get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


async def test_a_call_off_the_event_loop_gives_the_same_answer(bundle: Bundle, grey: NDArray[np.uint8]) -> None:
    with ModelSession(bundle, "cpu") as session:
        seen: list[int] = []
        run = session.run

        def watched(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
            seen.append(threading.get_ident())
            return run(images)

        session.run = watched  # type: ignore[method-assign]
        answers = await asyncio.gather(*(session.run_in_thread(grey) for _ in range(3)))
        for answer in answers:
            np.testing.assert_array_equal(answer["double"], 2.0 * grey)
        assert threading.get_ident() not in seen


def test_the_golden_frames_of_a_written_bundle_agree(bundle: Bundle) -> None:
    with ModelSession(bundle, "cpu") as session:
        assert verify_golden(session) == 0.0


def test_a_network_whose_answers_are_off_is_refused_with_the_difference(
    bundle: Bundle, tmp_path: Path, grey: NDArray[np.uint8]
) -> None:
    off = tmp_path / "off"
    shutil.copytree(bundle.path, off)
    np.savez(off / "golden" / "00.npz", image=grey, double=2.0 * grey + np.float32(0.5))
    reseal(off)
    with ModelSession(open_bundle(off), "cpu") as session:
        assert golden_difference(session) == pytest.approx(0.5)
        with pytest.raises(BundleError, match=r"golden frames differ by 0\.5 \(allowed 0\.01\)"):
            verify_golden(session)


def test_a_file_that_is_no_network_is_a_bundle_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a network")
    with pytest.raises(BundleError, match="onnxruntime cannot open it"):
        open_onnx(tmp_path / "model.onnx", "cpu")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (draft(tensor="picture"), "picture"),
        (draft(output="treble"), "treble"),
        (draft(channels=3), "3 channel"),
    ],
)
def test_a_network_that_does_not_match_its_manifest_is_refused(
    tmp_path: Path, wrong: BundleDraft, named: str, grey: NDArray[np.uint8]
) -> None:
    with pytest.raises(BundleError, match=named):
        write_bundle(tmp_path / "wrong", wrong, doubling_model(), card="# card\n", golden_inputs=[grey])
    assert not (tmp_path / "wrong").exists()


def reseal(folder: Path) -> None:
    """Make an altered folder consistent again, as somebody would who means harm or errs."""
    manifest = (folder / MANIFEST_FILE).read_text()
    names = ("model.onnx", "card.md", "golden/00.npz")
    stated = open_digests(manifest)
    for name in names:
        manifest = manifest.replace(stated[name], file_digest(folder / name))
    (folder / MANIFEST_FILE).write_text(manifest)
    digests = {name: file_digest(folder / name) for name in (*names, MANIFEST_FILE)}
    (folder / DIGEST_FILE).write_text(bundle_digest(digests))


def open_digests(manifest: str) -> dict[str, str]:
    files: dict[str, str] = json.loads(manifest)["files"]
    return files


def test_many_images_on_several_cores_are_answered_in_their_order_and_to_the_last_bit(bundle: Bundle) -> None:
    images = np.random.default_rng(1).integers(0, 256, (53, 1, 3, 4), dtype=np.uint8)
    with Crew(3) as crew, ModelSession(bundle, "cpu") as alone, ModelSession(bundle, "cpu", crew=crew) as shared:
        np.testing.assert_array_equal(shared.run(images)["double"], 2.0 * images)
        np.testing.assert_array_equal(shared.run(images)["double"], alone.run(images)["double"])


def test_a_session_may_be_asked_from_more_threads_than_it_has_cores(bundle: Bundle) -> None:
    images = [np.full((1, 1, 3, 4), number, np.uint8) for number in range(40)]
    with Crew(2) as crew, Crew(6) as asking, ModelSession(bundle, "cpu", crew=crew) as session:
        for number, answer in enumerate(asking.each(session.run, images)):
            assert np.all(answer["double"] == 2.0 * number)

"""`lamella run` refuses models that the vision role would not start with, before any role runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamella.cli import main
from lamella.exit_codes import CONFIG_INVALID, DEPENDENCY_UNREACHABLE, FAILURE, NOT_FOUND, OK
from tests.vision.made_dense import dense_bundle
from vision.session import ModelSession


def settings(tmp_path: Path, *pairs: str) -> list[str]:
    return ["--state", str(tmp_path / "state"), *(word for pair in pairs for word in ("--set", pair))]


def test_full_coverage_without_a_model_names_the_command_that_trains_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *settings(tmp_path, "vision.coverage=full")]) == CONFIG_INVALID
    said = capsys.readouterr().err
    assert "vision.coverage_model: is empty and vision.coverage is 'full'" in said
    assert "lamella train film --labelled FOLDER --method supervised --channels TX" in said


@pytest.mark.parametrize("coverage", ["cascade", "full"])
def test_cuda_that_is_required_and_absent_names_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], coverage: str
) -> None:
    bundle = dense_bundle(tmp_path / "net")
    with ModelSession(bundle, "auto") as session:
        if session.provenance.device == "cuda":
            pytest.skip("there is CUDA here")
    chosen = settings(tmp_path, f"vision.coverage={coverage}", f"vision.coverage_model={bundle.path}")
    assert main(["run", *chosen, "--set", "vision.provider=cuda"]) == DEPENDENCY_UNREACHABLE
    assert "install lamella[cuda] and a driver for CUDA 13, or set provider to 'cpu'" in capsys.readouterr().err
    assert not (tmp_path / "state" / "logs").exists(), "no role was started"


def test_a_net_that_shows_no_channel_of_the_camera_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = dense_bundle(tmp_path / "net", channel_names=())
    chosen = settings(tmp_path, "vision.coverage=full", f"vision.coverage_model={bundle.path}")
    assert main(["run", *chosen]) == FAILURE
    assert "does not say which of BF, DF, TX; train it again, lamella train film" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("backbone", "status", "says"),
    [
        ("film-candidates", FAILURE, "is a film-candidates model, a backbone model is needed here"),
        ("nobody", NOT_FOUND, "no released model 'nobody'"),
    ],
)
def test_a_backbone_that_is_none_is_refused_by_the_run_and_by_the_doctor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backbone: str, status: int, says: str
) -> None:
    chosen = settings(tmp_path, f"vision.backbone={backbone}")
    assert main(["run", *chosen]) == status
    refused = capsys.readouterr().err
    assert not (tmp_path / "state" / "logs").exists(), "no role was started"
    assert main(["doctor", *chosen]) != OK
    for said in (refused, capsys.readouterr().out):
        assert "vision.backbone: " in said
        assert backbone in said
        assert says in said
    if backbone != "nobody":
        assert "set it to 'efficientnet-lite0-s32', or to '' for none" in refused


def test_a_film_model_that_is_none_is_refused_before_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *settings(tmp_path, "vision.film_model=efficientnet-lite0-s32")]) == FAILURE
    assert "is a backbone model, a film-candidates model is needed here" in capsys.readouterr().err


@pytest.mark.parametrize("pair", ["vision.provider=auto", "vision.provider=cpu"])
def test_tensorrt_without_full_coverage_or_a_gpu_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pair: str
) -> None:
    coverage = "cascade" if pair.endswith("auto") else "full"
    chosen = settings(tmp_path, "vision.tensorrt=true", f"vision.coverage={coverage}", pair)
    assert main(["run", *chosen]) == CONFIG_INVALID
    said = capsys.readouterr().err
    assert f"vision.tensorrt: is true, but vision.coverage is '{coverage}'" in said
    assert "or vision.tensorrt to false" in said


def test_tensorrt_that_is_not_there_names_the_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = dense_bundle(tmp_path / "net")
    with ModelSession(bundle, "auto") as session:
        if session.provenance.device == "cuda":
            pytest.skip("there is CUDA here")
    chosen = settings(tmp_path, "vision.coverage=full", f"vision.coverage_model={bundle.path}", "vision.tensorrt=true")
    assert main(["run", *chosen]) == DEPENDENCY_UNREACHABLE
    said = capsys.readouterr().err
    assert "TensorRT is required, but the session runs on CPUExecutionProvider" in said
    assert "TensorRT's libraries, or set vision.tensorrt to false" in said


def test_doctor_says_how_to_train_the_net_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *settings(tmp_path, "vision.coverage=full")]) != OK
    assert "next: lamella train film --labelled FOLDER --method supervised" in capsys.readouterr().out


def test_doctor_opens_the_net_for_every_pixel_and_says_on_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = dense_bundle(tmp_path / "net")
    chosen = settings(tmp_path, "vision.coverage=full", f"vision.coverage_model={bundle.path}", "vision.provider=cpu")
    assert main(["doctor", *chosen]) == OK
    said = capsys.readouterr().out
    assert "made-dense@v1" in said
    assert "efficientnet-lite0-s32@v1" in said

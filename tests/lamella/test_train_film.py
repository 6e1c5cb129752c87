"""`lamella train film` from labels and `lamella inspect film` with what it makes, as a user meets them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from lamella.cli import main
from lamella.exit_codes import CONFIG_INVALID, CONFLICT, INTERRUPTED, NOT_FOUND, OK
from lamella.training_progress import TrainingProgress
from line.bundle import open_bundle
from line.inspection_files import FilmImageResult
from tests.vision.made_net import dark_net


def film(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 30, (96, 96)), (0, 0), 2)
    return np.asarray(np.clip(150 + grain, 0, 255), np.uint8)


def write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    folder = tmp_path / "labelled"
    for seed in range(24):
        write(folder / f"images/good/roll{seed // 4}_{seed}.png", film(seed))
    mask = np.zeros((96, 96), np.uint8)
    cv2.circle(mask, (40, 50), 6, 255, cv2.FILLED)
    for seed in range(100, 104):
        image = film(seed)
        image[mask > 0] = 30
        write(folder / f"images/hole/roll9_{seed}.png", image)
        write(folder / f"masks/hole/roll9_{seed}.png", mask)
    return folder


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--renderer", "--channels", "BF,XR"], "'BF,XR': rendered film has BF, DF, TX"),
        (["--renderer", "--channels", "BF,bf"], "'BF,bf': name each channel once, as BF,DF"),
        (["--good", ".", "--channels", "TX"], "is for --renderer and for --method supervised"),
    ],
)
def test_channels_that_cannot_be_are_refused(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "film", *options, "--out", str(tmp_path / "net")]) == CONFIG_INVALID
    assert said in capsys.readouterr().err
    assert not (tmp_path / "net").exists()


def test_without_torch_labels_give_a_one_class_model_of_the_sound_pictures_and_it_is_said(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("models.supervised.torch_is_there", lambda: False)
    for path in sorted(labelled.glob("images/good/*"))[12:]:
        path.unlink()
    out = tmp_path / "net"
    assert main(["train", "film", "--labelled", str(labelled), "--out", str(out)]) == CONFIG_INVALID
    said = capsys.readouterr().err
    assert "method: one-class, since torch is not installed (pip install 'lamella[train]')" in said
    assert "4 pictures with defects (hole), 12 sound, 0 left out" in said
    assert "need at least 20 good images, have 12" in said


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--method", "supervised", "--good", "G"], CONFIG_INVALID, "needs labels: give --labelled DIR"),
        (["--method", "supervised", "--labelled", "L"], CONFIG_INVALID, "pip install 'lamella[train]'"),
        ([], CONFIG_INVALID, "give --good DIR, --labelled DIR or --renderer"),
        (["--renderer", "--good", "G"], CONFIG_INVALID, "leave out --good and --labelled"),
        (["--labelled", "nowhere"], NOT_FOUND, "nowhere: no such folder"),
        (["--labelled", "L", "--groups", "index.csv"], CONFIG_INVALID, "is no CSV:COLUMN"),
        (["--labelled", "L", "--group-pattern", "roll"], CONFIG_INVALID, "has no group"),
    ],
)
def test_wrong_use_is_answered_with_the_next_step(
    arguments: list[str],
    status: int,
    said: str,
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("models.supervised.torch_is_there", lambda: False)
    places = {"L": str(labelled), "G": str(labelled / "images/good")}
    out = tmp_path / "net"
    assert main(["train", "film", "--out", str(out), *(places.get(word, word) for word in arguments)]) == status
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_model_that_is_there_is_not_overwritten(labelled: Path, tmp_path: Path) -> None:
    net = dark_net(tmp_path / "net")
    assert main(["train", "film", "--labelled", str(labelled), "--out", str(net.path)]) == CONFLICT
    assert open_bundle(net.path).digest == net.digest


def test_an_interrupted_training_leaves_nothing_behind(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "net"
    out.parent.mkdir()
    command = [
        sys.executable,
        "-m",
        "lamella",
        "train",
        "film",
        "--good",
        str(labelled / "images/good"),
        "--out",
        str(out),
    ]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "artificial defects" in line:
                run.send_signal(signal.SIGINT)
                break
        rest = run.stderr.read()
        assert run.wait(60) == INTERRUPTED
    assert "Traceback" not in rest
    assert not list(out.parent.iterdir())


def test_inspecting_with_a_supervised_model_leaves_masks_and_classes_in_the_same_results(tmp_path: Path) -> None:
    net = dark_net(tmp_path / "dark-net")
    image = np.full((80, 90), 160, np.uint8)
    cv2.circle(image, (30, 40), 8, 30, cv2.FILLED)
    mask = np.where(image == 30, np.uint8(255), np.uint8(0))
    write(tmp_path / "pictures/bad.png", image)
    write(tmp_path / "pictures/good.png", np.full((80, 90), 160, np.uint8))
    write(tmp_path / "masks/bad.png", mask)
    out = tmp_path / "out"
    arguments = ["inspect", "film", str(tmp_path / "pictures"), "--model", str(net.path), "--out", str(out)]
    assert main([*arguments, "--truth", str(tmp_path / "masks")]) == OK
    bad, good = (
        msgspec.json.decode(line, type=FilmImageResult) for line in (out / "results.jsonl").read_bytes().splitlines()
    )
    assert (bad.verdict, good.verdict) == ("reject", "pass")
    assert [region.kind for region in bad.regions] == ["hole"]
    marked = cv2.imread(str(out / "masks/00000_bad.png"), cv2.IMREAD_GRAYSCALE)
    assert marked is not None
    assert ((marked > 0) == (mask > 0)).mean() > 0.98
    assert len(list((out / "overlays").glob("*.png"))) == 2
    assert '"image_auroc": 1.0' in (out / "summary.json").read_text(encoding="utf-8")


def test_a_part_that_starts_anew_has_its_own_time_to_go(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([0.0, 100.0, 200.0, 260.0])
    monkeypatch.setattr("lamella.training_progress.time.monotonic", lambda: next(times))
    with TrainingProgress() as progress:
        progress("render film", 1.0)
        progress("train", 0.0)
        progress("train", 0.5)
    assert capsys.readouterr().err.splitlines()[-1] == " 50%  train, 260 s, about 60 s to go"


def test_progress_names_the_stage_once_and_the_time_to_go(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([0.0, 1.0, 10.0, 11.0, 50.0, 100.0])
    monkeypatch.setattr("lamella.training_progress.time.monotonic", lambda: next(times))
    with TrainingProgress() as progress:
        progress("reading", 0.0)
        progress("learning, step 10 of 100", 0.1)
        progress("learning, step 11 of 100", 0.11)
        progress("learning, step 50 of 100", 0.5)
        progress("done", 1.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "  0%  reading, 1 s",
        " 10%  learning, step 10 of 100, 10 s, about 90 s to go",
        " 50%  learning, step 50 of 100, 50 s, about 50 s to go",
        "100%  done, 100 s",
    ]

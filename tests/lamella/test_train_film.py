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
from lamella.exit_codes import CONFIG_INVALID, CONFLICT, INTERRUPTED, NOT_FOUND, OK, USAGE
from lamella.training_progress import TrainingProgress
from line.bundle import open_bundle
from line.errors import ConfigError
from line.inspection_files import FilmImageResult, FilmSummary
from models.labelled import LabelledSet
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
        (["--good", "G", "--group-pattern", "roll"], CONFIG_INVALID, "has no group"),
        (["--good", "G", "--group-pattern", "(roll"], CONFIG_INVALID, "is no regular expression"),
        (["--good", "G", "--group-pattern", "^(roll[0-3])_"], CONFIG_INVALID, "names no group for 8 of 24 pictures"),
        (["--good", "G", "--groups", "T"], CONFIG_INVALID, "names no group for 23 of 24 pictures, the first"),
        (["--good", "G", "--groups", "nowhere.csv:roll"], NOT_FOUND, "nowhere.csv: no such file"),
        (["--good", "G", "--groups", "a.csv:roll", "--group-pattern", "(.)"], CONFIG_INVALID, "give one of --groups"),
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
    (tmp_path / "one.csv").write_text("stem,roll\nroll0_0,roll0\n")
    places = {"L": str(labelled), "G": str(labelled / "images/good"), "T": f"{tmp_path / 'one.csv'}:roll"}
    out = tmp_path / "net"
    assert main(["train", "film", "--out", str(out), *(places.get(word, word) for word in arguments)]) == status
    assert said in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "-3"], "argument --seed: '-3' is not a whole number from 0"),
        (["--pixel-um", "0"], "argument --pixel-um: '0' is not a number above 0"),
        (["--pixel-um", "wide"], "argument --pixel-um: 'wide' is not a number above 0"),
        (["--pixel-um", "nan"], "argument --pixel-um: 'nan' is not a number above 0"),
        (["--threads", "0"], "argument --threads: '0' is not a whole number from 1"),
        (["--steps", "-1"], "argument --steps: '-1' is not a whole number from 1"),
        (["--steps", "2.5"], "argument --steps: '2.5' is not a whole number from 1"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_read(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "film", "--good", "nowhere", "--out", str(tmp_path / "net"), *arguments])
    assert ended.value.code == USAGE
    assert said in capsys.readouterr().err


def test_good_and_labelled_pictures_come_to_one_class_training_with_their_parts(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / "more"
    for name in ("b.png", "a.png"):
        write(good / name, film(7))
    table = tmp_path / "index.csv"
    rows = [f"{path.name},{path.name.split('_')[0]}" for path in labelled.glob("images/*/*")]
    table.write_text("\n".join(["file,roll", "a.png,roll7", "b.png,roll0", *rows]))
    given: list[tuple[int, list[str] | None]] = []

    def stop(images: list[NDArray[np.uint8]], out: Path, *, groups: list[str] | None, **_: object) -> None:
        given.append((len(images), groups))
        raise ConfigError("seen enough")

    monkeypatch.setattr("models.one_class.train_one_class", stop)
    words = ["train", "film", "--method", "one-class", "--good", str(good), "--labelled", str(labelled)]
    for more in ([], ["--groups", f"{table}:roll"]):
        assert main([*words, "--out", str(tmp_path / "net"), *more]) == CONFIG_INVALID
    (count, nothing), (_, groups) = given
    names = sorted(path.name for path in labelled.glob("images/good/*"))
    assert (count, nothing) == (26, None)
    assert groups == ["roll7", "roll0", *(name.split("_")[0] for name in names)]


def test_good_pictures_beside_labels_keep_their_parts_in_supervised_training(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / "more"
    write(good / "roll9_good.png", film(7))
    given: list[LabelledSet] = []

    def stop(known: LabelledSet, *_: object, **__: object) -> None:
        given.append(known)
        raise ConfigError("seen enough")

    monkeypatch.setattr("models.supervised.require_torch", lambda: None)
    monkeypatch.setattr("models.supervised.train_supervised", stop)
    words = ["--method", "supervised", "--labelled", str(labelled), "--good", str(good)]
    out = str(tmp_path / "net")
    assert main(["train", "film", *words, "--group-pattern", "^(roll[0-9]+)_", "--out", out]) == CONFIG_INVALID
    [known] = given
    assert {image.group for image in known.images if image.path.stem in {"roll9_good", "roll9_100"}} == {"roll9"}


@pytest.mark.parametrize("channels", [[], ["--channels", "BF,DF,TX"], ["--channels", "BF"]])
@pytest.mark.parametrize(("words", "name"), [([], "net"), (["--name", "mine"], "mine")])
def test_a_model_of_rendered_film_has_the_name_that_was_given(
    channels: list[str], words: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def stop(out: Path, **options: object) -> None:
        given.append(options["name"])
        raise ConfigError("seen enough")

    monkeypatch.setattr("models.film_candidates.train_candidates", stop)
    out = str(tmp_path / "net")
    assert main(["train", "film", "--renderer", "--out", out, *channels, *words]) == CONFIG_INVALID
    assert given == [name]


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


def test_inspecting_with_a_supervised_model_leaves_masks_and_classes_in_the_same_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    summary = msgspec.json.decode((out / "summary.json").read_bytes(), type=FilmSummary)
    assert (summary.image_auroc, summary.false_reject_fraction, summary.recall_fraction) == (1.0, 0.0, 1.0)
    said = capsys.readouterr().out
    assert "false rejects 0.0 % of 1 good pictures, at the model's own limits" in said
    assert "recall 100.0 % of 1 pictures with defects, at the model's own limits" in said


def test_false_rejects_and_missed_defects_are_told_even_where_truth_has_one_kind_only(tmp_path: Path) -> None:
    net = dark_net(tmp_path / "dark-net")
    dark, light = np.full((80, 90), 30, np.uint8), np.full((80, 90), 160, np.uint8)
    for name, image in (("a", dark), ("b", light), ("c", light), ("d", light)):
        write(tmp_path / f"good/{name}.png", image)
        write(tmp_path / f"bad/{name}.png", image)
        write(tmp_path / f"masks/bad/{name}.png", np.full((80, 90), 255, np.uint8))
    (tmp_path / "none").mkdir()
    found = []
    for pictures, masks in (("good", "none"), ("bad", "masks")):
        out = tmp_path / f"out-{pictures}"
        words = ["inspect", "film", str(tmp_path / pictures), "--model", str(net.path), "--out", str(out)]
        assert main([*words, "--truth", str(tmp_path / masks)]) == OK
        summary = msgspec.json.decode((out / "summary.json").read_bytes(), type=FilmSummary)
        found.append((summary.image_auroc, summary.false_reject_fraction, summary.recall_fraction))
    assert found == [(None, 0.25, None), (None, None, 0.25)]


def test_a_folder_without_pictures_is_not_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    net = dark_net(tmp_path / "dark-net")
    words = ["inspect", "film", str(empty), "--model", str(net.path), "--out", str(tmp_path / "out")]
    assert main(words) == NOT_FOUND
    assert f"{empty}: no picture in this folder" in capsys.readouterr().err


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

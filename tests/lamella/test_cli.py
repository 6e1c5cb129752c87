"""The command line as a user meets it: what it prints, what it leaves behind, how it ends."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from lamella.cli import VERBS, main
from lamella.exit_codes import CONFIG_INVALID, DEPENDENCY_UNREACHABLE, FAILURE, NOT_FOUND, OK
from lamella.roles import ROLES
from line.bundle import open_bundle
from line.inspection_files import FilmImageResult, FilmSummary, XrayStackResult
from models.one_class import OneClassSettings, train_one_class


def film(seed: int, *, defect: bool = False) -> NDArray[np.uint8]:
    """A picture of grainy film, with a dark spot or without."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 30, (160, 160)), (0, 0), 2)
    image = 150 + grain
    if defect:
        cv2.circle(image, (80, 70), 9, 40, -1)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "grainy"
    train_one_class((film(seed) for seed in range(24)), out, name="grainy", seed=1, settings=OneClassSettings())
    return out


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "good.png"), film(100))
    cv2.imwrite(str(folder / "bad.png"), film(101, defect=True))
    (folder / "broken.png").write_bytes((folder / "good.png").read_bytes()[:500])
    (folder / "empty.png").touch()
    cv2.imwrite(str(folder / "tiny.png"), film(102)[:47])
    return folder


def test_inspecting_film_leaves_results_overlays_and_a_summary_and_bad_files_do_not_stop_it(
    model: Path, pictures: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((160, 160), np.uint8)
    cv2.circle(mask, (80, 70), 9, 255, -1)
    cv2.imwrite(str(masks / "bad_mask.png"), mask)
    out = tmp_path / "out"
    arguments = ["inspect", "film", str(pictures), "--model", str(model), "--truth", str(masks), "--out", str(out)]
    assert main(arguments) == OK
    lines = (out / "results.jsonl").read_bytes().splitlines()
    rows = {Path(row.file).name: row for row in (msgspec.json.decode(line, type=FilmImageResult) for line in lines)}
    assert rows["bad.png"].score > rows["good.png"].score  # type: ignore[operator]
    assert rows["bad.png"].verdict == "reject"
    [region] = [
        region for region in rows["bad.png"].regions if region.score == max(r.score for r in rows["bad.png"].regions)
    ]
    assert region.x_px <= 80 <= region.x_px + region.width_px
    assert region.y_px <= 70 <= region.y_px + region.height_px
    assert rows["bad.png"].region_threshold is not None
    assert f"a place of {max(each.score for each in rows['bad.png'].regions):.3g} above" in rows["bad.png"].reason
    assert all((row.verdict == "reject") == bool(row.reason) for row in rows.values())
    for name in ("broken.png", "empty.png", "tiny.png"):
        assert rows[name].verdict == "uninspected"
        assert name in (rows[name].error or "")
    with (out / "results.csv").open(newline="") as file:
        table = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert list(table) == sorted(rows)
    assert table["bad.png"]["reason"] == rows["bad.png"].reason
    assert table["bad.png"]["providers"] == "; ".join(rows["bad.png"].providers) != ""
    assert table["bad.png"]["region_threshold"] == f"{rows['bad.png'].region_threshold:.6g}"
    assert len(list((out / "overlays").glob("*.png"))) == 2
    summary = msgspec.json.decode((out / "summary.json").read_bytes(), type=FilmSummary)
    assert (summary.files_count, summary.refused_count, summary.image_auroc) == (5, 3, 1.0)
    assert (summary.pixel_average_precision or 0) > 0.5
    assert not list(out.rglob("*.tmp"))


def test_a_mask_of_another_size_is_refused_naming_both(model: Path, pictures: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    cv2.imwrite(str(masks / "bad.png"), np.full((10, 20), 255, np.uint8))
    out = tmp_path / "out"
    main([
        "inspect",
        "film",
        str(pictures / "bad.png"),
        "--model",
        str(model),
        "--truth",
        str(masks),
        "--out",
        str(out),
    ])
    [line] = (out / "results.jsonl").read_bytes().splitlines()
    error = msgspec.json.decode(line, type=FilmImageResult).error or ""
    assert "20 x 10 px" in error
    assert "160 x 160 px" in error


def test_training_from_the_command_line_makes_a_model_that_inspects(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.mkdir()
    for seed in range(24):
        cv2.imwrite(str(good / f"roll{seed // 4}_{seed}.png"), film(seed))
    (good / "broken.png").write_bytes(b"no picture")
    words = ["train", "film", "--good", str(good), "--group-pattern", "^(roll[0-9]+)_"]
    assert main([*words, "--out", str(tmp_path / "my-film")]) == OK
    assert "whole groups of 6" in open_bundle(tmp_path / "my-film").manifest.provenance
    assert main(["model", "verify", str(tmp_path / "my-film")]) == OK
    out = str(tmp_path / "out")
    assert (
        main(["inspect", "film", str(good / "roll0_0.png"), "--model", str(tmp_path / "my-film"), "--out", out]) == OK
    )


def test_a_model_that_was_altered_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    copy = tmp_path / "altered"
    shutil.copytree(model, copy)
    manifest = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(manifest.replace('"seed":1', '"seed":2').replace('"seed": 1', '"seed": 2'))
    assert main(["model", "verify", str(copy)]) == FAILURE
    assert "altered" in capsys.readouterr().err


def test_pictures_that_are_no_stacks_are_refused_by_name(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["inspect", "stack", "--view", "xray", str(pictures), "--out", str(out)]) == FAILURE
    lines = (out / "results.jsonl").read_bytes().splitlines()
    for row in (msgspec.json.decode(line, type=XrayStackResult) for line in lines):
        assert row.plates_count is None
        assert Path(row.file).name in (row.error or "")


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["line", "check", "nowhere.toml"], CONFIG_INVALID, "nowhere.toml"),
        (["--set", "plant.sped=3", "config", "show"], CONFIG_INVALID, "plant.speed"),
        (["config", "show", "--set", "plant.speed=fast"], CONFIG_INVALID, "fast"),
        (["config", "show", "--set", "plant.speed"], CONFIG_INVALID, "KEY=VALUE"),
        (["model", "verify", "no-such-model"], NOT_FOUND, "film-candidates"),
        (["inspect", "film", "nowhere/", "--model", "film-candidates", "--out", "out"], NOT_FOUND, "nowhere"),
        (["wires", "replay", "nowhere/"], NOT_FOUND, "lamella wires record"),
        (["run", "--scenario", "F08"], NOT_FOUND, "F01"),
        (["--state", "nowhere", "wires", "record", "--out", "rec"], DEPENDENCY_UNREACHABLE, "lamella run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_each_kind_of_fault_has_its_status_and_says_what_to_do(
    arguments: list[str], status: int, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == status
    said = capsys.readouterr()
    assert part in said.err
    assert said.out == ""
    assert "Traceback" not in said.err


def test_wrong_usage_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["dance"])
    assert caught.value.code == 2
    capsys.readouterr()


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb.words))
def test_every_verb_has_help_with_an_example(verb: object, capsys: pytest.CaptureFixture[str]) -> None:
    words = list(verb.words)  # type: ignore[attr-defined]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    assert f"lamella {' '.join(words)}" in capsys.readouterr().out


def test_doctor_says_what_is_missing_and_ends_with_4_for_a_plc_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = str(tmp_path / "state")
    main(["doctor", "--json", "--state", state])
    checks = {row["name"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["film model"]["state"] == "ok"
    assert "CPUExecutionProvider" in checks["film model"]["detail"]
    assert all(row["next_step"] for row in checks.values() if row["state"] != "ok")
    settings = ["--set", "plc.endpoint=opc.tcp://127.0.0.1:1", "--state", state]
    assert main(["doctor", *settings]) == DEPENDENCY_UNREACHABLE
    assert "opc.tcp://127.0.0.1:1 does not answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        ("fins-1=genicam:NOBODY", DEPENDENCY_UNREACHABLE, "fins-1=genicam:NOBODY: no camera NOBODY answers"),
        ("fins-1=folder:/nowhere", DEPENDENCY_UNREACHABLE, "/nowhere: no such folder"),
        ("fins-7=genicam:1", FAILURE, "no film camera 'fins-7'"),
    ],
)
def test_doctor_names_a_camera_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, status: int, says: str
) -> None:
    assert main(["doctor", "--set", f"vision.sources={source}", "--state", str(tmp_path / "state")]) == status
    assert says in capsys.readouterr().out


def test_the_line_model_is_shown_with_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["line", "show", "--station", "S00"]) == OK
    said = capsys.readouterr().out
    assert "frost point" in said
    assert main(["line", "show", "--json"]) == OK
    assert len(json.loads(capsys.readouterr().out)["stations"]) == 19


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("folder:/nowhere", "vision.sources: value 'fins-1=folder:/nowhere': /nowhere: nothing there to play"),
        ("folder:{}", "strips.csv: row 1: column strip: 'x': not a whole number"),
        ("foreign:{}/none.toml", "none.toml: cannot be read: No such file"),
        ("foreign:{}/bad.toml", "bad.toml: "),
        ("genicam:{}/none.toml", "none.toml: cannot be read: No such file"),
        ("genicam:{}/bad.toml", "bad.toml: "),
    ],
)
def test_a_wrong_source_of_film_ends_the_run_before_any_role_starts(
    source: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "strips.csv").write_text("roll,strip,BF\nFR-1,x,a.png\n")
    (tmp_path / "bad.toml").write_text("camera = 7\n")
    setting = f"vision.sources=fins-1={source.format(tmp_path)}"
    assert main(["run", "--state", str(tmp_path / "state"), "--set", setting]) == CONFIG_INVALID
    said = capsys.readouterr().err
    assert says in said
    assert said.startswith("lamella: ") and said.count("\n") == 1
    assert not (tmp_path / "state" / "logs").exists(), "no role was started"


@pytest.mark.parametrize("words", [*(["--role", role] for role in ROLES), ["--set", "broker.kind=external"]])
def test_a_broker_port_that_nobody_knows_is_refused_with_what_to_set(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words, "--state", str(tmp_path / "state")]) == CONFIG_INVALID
    said = capsys.readouterr().err
    assert said.startswith("lamella: broker.port: is 0")
    assert "--set broker.port=1883, the same for every role" in said

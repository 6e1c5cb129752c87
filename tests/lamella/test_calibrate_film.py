"""`lamella calibrate film` as somebody at the camera meets it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from lamella.cli import main
from lamella.exit_codes import CONFIG_INVALID, FAILURE, GATE_NOT_MET, NOT_FOUND, OK, USAGE
from line.calibration import read_calibration
from line.frames import SpoolWriter, waiting
from tests.vision.made_target import MadeTarget

WIDTH_PX, LINES = 1400, 256
NOW_NS = time.time_ns()
Planes = NDArray[np.uint8]


@pytest.fixture(scope="module")
def made() -> MadeTarget:
    return MadeTarget(width_px=WIDTH_PX, lines=3 * LINES, squares_across=2, pixel_um=20.02, blur_px=0.7)


@pytest.fixture(scope="module")
def planes(made: MadeTarget) -> Planes:
    return made.planes()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder, and a line whose film camera is narrow."""
    text = (files("line") / "lines" / "assb-20-agc.toml").read_text(encoding="utf-8")
    (tmp_path / "line.toml").write_text(text.replace("width_px = 15_000", f"width_px = {WIDTH_PX}"), encoding="utf-8")
    monkeypatch.setenv("LAMELLA_LINE__MODEL", str(tmp_path / "line.toml"))
    monkeypatch.setenv("LAMELLA_LINE__STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state"


Expose = Callable[..., Path]


@pytest.fixture
def expose(state: Path, made: MadeTarget) -> Expose:
    """Puts a picture into the camera's spool, strip by strip."""

    def exposed(planes: Planes, *, first: int = 0, left_out: int = -1, age_h: float = 0) -> Path:
        folder = state / "spool" / "fins-1"
        spool = SpoolWriter(folder)
        for number in range(planes.shape[1] // LINES):
            if number != left_out:
                strip = planes[:, number * LINES : (number + 1) * LINES]
                header = made.header(first + number)
                at_ns = NOW_NS - round(age_h * 3.6e12) + header.strip * 307_200_000
                assert spool.write(msgspec.structs.replace(header, at_ns=at_ns), strip)
        return folder

    return exposed


def test_the_target_in_the_spool_puts_the_camera_in_force(
    state: Path, expose: Expose, planes: Planes, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = expose(planes)
    assert main(["calibrate", "film", "--person", "ada"]) == OK
    said = capsys.readouterr().out
    assert "in force until" in said
    assert "lp/mm" in said
    assert len(waiting(folder)) == 3
    calibration = read_calibration(state, "fins-1")
    assert calibration is not None
    assert (calibration.person, calibration.frames_count, calibration.failures) == ("ada", 3, ())
    assert calibration.pixel_um == pytest.approx(20.02, rel=1e-4)
    assert (calibration.valid_until_ns - calibration.at_ns) / 3.6e12 == pytest.approx(8)


def test_a_camera_outside_its_limits_ends_with_5_and_is_on_record(
    state: Path, expose: Expose, planes: Planes, capsys: pytest.CaptureFixture[str]
) -> None:
    expose(planes)
    assert main(["calibrate", "film", "--white", "BF=150", "--json"]) == GATE_NOT_MET
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["passed"] is False
    assert said["calibration"]["camera"] == "fins-1"
    assert "does not pass: white BF is 199.8 DN" in err
    calibration = read_calibration(state, "fins-1")
    assert calibration is not None and calibration.failures


def test_the_reference_tile_renews_what_the_target_has_put_in_force(
    state: Path, expose: Expose, made: MadeTarget, planes: Planes
) -> None:
    expose(planes)
    assert main(["calibrate", "film"]) == OK
    before = read_calibration(state, "fins-1")
    for path in waiting(state / "spool" / "fins-1"):
        path.unlink()
    expose(made.planes(seed=1), first=40_000)
    assert main(["calibrate", "film", "--reference-tile", "--person", "bob"]) == OK
    after = read_calibration(state, "fins-1")
    assert before is not None and after is not None and after.tile is not None
    assert after.calibration == before.calibration
    assert after.in_force_until_ns > before.in_force_until_ns
    assert after.tile.person == "bob"


def test_a_reference_tile_is_not_renewed_with_pictures_that_were_used_before(
    state: Path, made: MadeTarget, planes: Planes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However new the files: those of the calibration, of this look and of the look before are refused."""

    def calibrated(name: str, seen: Planes, *words: str) -> int:
        images = []
        for channel, plane in zip(("BF", "DF", "TX"), seen, strict=True):
            assert cv2.imwrite(str(tmp_path / f"{name}-{channel}.png"), plane)
            images += ["--image", f"{channel}={tmp_path / name}-{channel}.png"]
        return main(["calibrate", "film", *images, *words])

    first, second = made.planes(seed=1), made.planes(seed=2)
    assert calibrated("target", planes) == OK
    assert calibrated("first", first, "--reference-tile") == OK
    assert calibrated("second", second, "--reference-tile") == OK
    before = read_calibration(state, "fins-1")
    for name, seen in (("target", planes), ("first", first), ("second", second)):
        assert calibrated(name, seen, "--reference-tile") == FAILURE
        assert "were used before" in (said := capsys.readouterr().err)
        assert "take new ones of the reference tile" in said
    assert read_calibration(state, "fins-1") == before
    assert calibrated("target", made.planes(seed=3)) == OK
    assert calibrated("first", first, "--reference-tile") == FAILURE, "nor after another calibration"


def test_a_blurred_camera_is_said_in_a_line_a_channel(
    state: Path, expose: Expose, planes: Planes, capsys: pytest.CaptureFixture[str]
) -> None:
    expose(planes)
    assert main(["calibrate", "film", "--least-mtf50", "0.5"]) == GATE_NOT_MET
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert len(lines) == 3
    for channel, line in zip(("BF", "DF", "TX"), lines, strict=True):
        failed = sum(f" {channel} " in row for row in out.splitlines() if row.startswith("FAIL"))
        assert f" {channel} is 0." in line and line.endswith(f"; allowed: at least 0.5, and {failed - 1} more")


def test_a_target_whose_figures_would_overlap_is_not_drawn(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "target.svg"
    for words in (["--pitch-um", "500"], ["--square-um", "7000"], ["--mark-um", "2000"], ["--pitch-um", "1233"]):
        assert main(["calibrate", "film", "--draw-target", str(file), *words]) == CONFIG_INVALID
        assert "--pitch-um: is " in (said := capsys.readouterr().err)
        assert "would overlap; more than" in said
    assert not file.exists()
    assert main(["calibrate", "film", "--draw-target", str(file), "--pitch-um", "1240"]) == OK


def test_a_reference_tile_under_a_dimmed_lamp_ends_with_5(state: Path, expose: Expose, planes: Planes) -> None:
    expose(planes)
    assert main(["calibrate", "film"]) == OK
    dimmed = planes.copy()
    dimmed[0] = np.rint(planes[0] * 0.8).astype(np.uint8)
    for path in waiting(state / "spool" / "fins-1"):
        path.unlink()
    expose(dimmed, first=3)
    assert main(["calibrate", "film", "--reference-tile"]) == GATE_NOT_MET
    calibration = read_calibration(state, "fins-1")
    assert calibration is not None
    assert {(row.quantity, row.channel) for row in calibration.failures} == {("white", "BF")}


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_frames_older_than_a_shift_put_nothing_in_force(
    state: Path, expose: Expose, planes: Planes, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    expose(planes, age_h=30)
    assert main(["calibrate", "film", *words]) == GATE_NOT_MET
    out, err = capsys.readouterr()
    assert "in force until" not in out
    assert not words or (json.loads(out)["passed"], json.loads(out)["expired"]) == (False, True)
    assert "the reference tile is due, with new frames" in err


def test_a_reference_tile_does_not_renew_what_must_be_calibrated_again(
    state: Path, expose: Expose, made: MadeTarget, planes: Planes, capsys: pytest.CaptureFixture[str]
) -> None:
    expose(planes, age_h=30)
    assert main(["calibrate", "film", "--valid-days", "1"]) == GATE_NOT_MET
    for path in waiting(state / "spool" / "fins-1"):
        path.unlink()
    expose(made.planes(seed=1))
    assert main(["calibrate", "film", "--reference-tile"]) == GATE_NOT_MET
    assert "the target is due" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--shift-hours", "nan"], ["--valid-days", "-1"], ["--pitch-um", "0"]])
def test_figures_that_cannot_be_are_refused(state: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["calibrate", "film", *words])
    assert raised.value.code == USAGE


def test_a_white_of_no_channel_and_a_drawing_nowhere_are_named(
    state: Path, expose: Expose, planes: Planes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "film", "--white", "XX=3"]) == CONFIG_INVALID
    assert main(["calibrate", "film", "--white", "BF=x"]) == CONFIG_INVALID
    assert "--white: 'BF=x' is no CHANNEL=GREY" in capsys.readouterr().err, "before frames are looked for"
    expose(planes)
    assert main(["calibrate", "film", "--draw-target", str(tmp_path / "none" / "a.svg")]) == CONFIG_INVALID
    assert "cannot be written" in capsys.readouterr().err


def test_a_reference_tile_before_any_calibration_says_what_to_do_first(
    state: Path, expose: Expose, planes: Planes, capsys: pytest.CaptureFixture[str]
) -> None:
    expose(planes)
    assert main(["calibrate", "film", "--reference-tile"]) == NOT_FOUND
    assert "never calibrated" in capsys.readouterr().err


def test_a_target_cut_by_a_lost_strip_is_not_pieced_together(
    state: Path, expose: Expose, planes: Planes, capsys: pytest.CaptureFixture[str]
) -> None:
    expose(planes, left_out=1)
    assert main(["calibrate", "film"]) in {OK, GATE_NOT_MET, FAILURE}
    calibration = read_calibration(state, "fins-1")
    assert calibration is None or calibration.frames_count == 1


def test_following_says_focus_scale_and_light_frame_by_frame_and_writes_nothing(
    state: Path, expose: Expose, planes: Planes, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = expose(planes[:, LINES : 2 * LINES])
    assert main(["calibrate", "film", "--follow", "--count", "1", "--discard"]) == OK
    (said,) = capsys.readouterr().out.splitlines()
    assert said.count("MTF50 0.2") == 3
    assert "20.02" in said and "um/px" in said
    assert said.count("white") == 3
    assert read_calibration(state, "fins-1") is None
    assert not waiting(folder)


def images(folder: Path, planes: Planes, *ages_h: float) -> list[str]:
    """Words that name a picture a channel, written so long ago."""
    words = []
    for channel, plane, age_h in zip(("BF", "DF", "TX"), planes, ages_h or (0, 0, 0), strict=True):
        file = folder / f"{channel}.png"
        assert cv2.imwrite(str(file), plane)
        at_ns = NOW_NS - round(age_h * 3.6e12)
        os.utime(file, ns=(at_ns, at_ns))
        words += ["--image", f"{channel}={file}"]
    return words


def test_pictures_do_in_place_of_frames_and_are_of_when_the_newest_file_was_written(
    state: Path, planes: Planes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "film", *images(tmp_path, planes, 7, 2, 3)]) == OK
    calibration = read_calibration(state, "fins-1")
    assert calibration is not None and not calibration.simulated
    assert calibration.at_ns == pytest.approx(NOW_NS - 2 * 3.6e12, abs=1e9)
    assert (calibration.in_force_until_ns - NOW_NS) / 3.6e12 == pytest.approx(6)
    said = capsys.readouterr().err
    assert "pictures say no time of their own" in said
    assert f"{tmp_path / 'DF.png'} was written" in said


def test_old_pictures_put_nothing_in_force_until_a_new_look_at_the_tile(
    state: Path, made: MadeTarget, planes: Planes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "film", *images(tmp_path, planes, 30, 30, 30)]) == GATE_NOT_MET
    out, err = capsys.readouterr()
    assert "in force until" not in out
    assert "passes, but expired" in err and "the reference tile is due, with new frames" in err
    assert main(["calibrate", "film", "--reference-tile", *images(tmp_path, made.planes(seed=1))]) == OK


def test_pictures_older_than_the_latest_look_do_not_take_a_camera_out_of_force(
    state: Path, made: MadeTarget, planes: Planes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "film", *images(tmp_path, planes, 5, 5, 5)]) == OK
    assert main(["calibrate", "film", "--reference-tile", *images(tmp_path, made.planes(seed=1), 2, 2, 2)]) == OK
    before = read_calibration(state, "fins-1")
    older = images(tmp_path, made.planes(seed=2), 3, 3, 3)
    for words in (older, [*older, "--reference-tile"]):
        assert main(["calibrate", "film", *words]) == FAILURE
        assert "before the latest look at the camera" in capsys.readouterr().err
    assert read_calibration(state, "fins-1") == before


def test_a_picture_of_the_future_is_refused_by_its_name(
    state: Path, planes: Planes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "film", *images(tmp_path, planes, 1, -2, 1)]) == FAILURE
    assert f"{tmp_path / 'DF.png'}: was written" in (said := capsys.readouterr().err)
    assert "set this machine's clock" in said
    assert read_calibration(state, "fins-1") is None


def test_a_missing_channel_is_named_with_what_is_needed(
    state: Path, planes: Planes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), planes[0])
    assert main(["calibrate", "film", "--image", f"BF={tmp_path / 'a.png'}"]) == FAILURE
    assert "--image BF=FILE --image DF=FILE --image TX=FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["target.png"], "'target.png' is no CHANNEL=FILE; write for example BF=target.png"),
        (["BF="], "'BF=' is no CHANNEL=FILE"),
        (["XX=target.png"], "'XX=target.png': fins-1 has BF, DF, TX"),
        (["BF=a.png", "BF=b.png"], "'BF=b.png': BF has a.png already"),
    ],
)
def test_a_picture_that_is_given_wrongly_is_told_what_is_wrong(
    state: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    given = [part for word in words for part in ("--image", word)]
    assert main(["calibrate", "film", *given]) == CONFIG_INVALID
    assert f"--image: {says}" in capsys.readouterr().err


@pytest.mark.parametrize("camera", ["nobody", "sins-1"])
def test_an_unknown_camera_is_told_the_film_cameras_alone(
    state: Path, capsys: pytest.CaptureFixture[str], camera: str
) -> None:
    assert main(["calibrate", "film", "--camera", camera]) == NOT_FOUND
    said = capsys.readouterr().err
    assert f"'{camera}' is no film camera" in said
    assert said.strip().endswith("it has fins-1, lins-1")


def test_an_empty_spool_says_where_the_target_should_be(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "film"]) == NOT_FOUND
    assert "put the target under fins-1" in capsys.readouterr().err


def test_the_drawn_target_is_what_is_looked_for(state: Path, tmp_path: Path) -> None:
    """Drawn by hand from the file at the camera's pixel, it calibrates the camera."""
    file = tmp_path / "target.svg"
    assert main(["calibrate", "film", "--draw-target", str(file)]) == OK
    root = ElementTree.parse(file).getroot()
    fine = 4
    scale = fine * 1000 / 20
    canvas = np.full((round(16 * scale), WIDTH_PX * fine), 200, np.uint8)
    for shape in root:
        value = {name: float(text) for name, text in shape.attrib.items() if name != "transform"}
        if shape.tag.endswith("circle"):
            at = round(value["cx"] * scale * 16), round(value["cy"] * scale * 16)
            cv2.circle(canvas, at, round(value["r"] * scale * 16), 20, -1, cv2.LINE_AA, 4)
        else:
            middle = value["x"] + value["width"] / 2, value["y"] + value["height"] / 2
            box = ((middle[0] * scale, middle[1] * scale), (value["width"] * scale, value["height"] * scale), 5.0)
            cv2.fillPoly(canvas, [np.rint(cv2.boxPoints(box) * 16).astype(np.int32)], 20, cv2.LINE_AA, 4)
    seen = cv2.resize(cv2.GaussianBlur(canvas, (0, 0), 0.6 * fine), None, fx=1 / fine, fy=1 / fine,
                      interpolation=cv2.INTER_AREA)  # fmt: skip
    assert cv2.imwrite(str(tmp_path / "seen.png"), seen)
    images = [word for channel in ("BF", "DF", "TX") for word in ("--image", f"{channel}={tmp_path / 'seen.png'}")]
    assert main(["calibrate", "film", *images, "--white", "DF=200"]) == OK
    calibration = read_calibration(state, "fins-1")
    assert calibration is not None
    assert calibration.pixel_um == pytest.approx(20.0, rel=1e-4)

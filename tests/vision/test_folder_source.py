from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from line.errors import FrameError
from line.frames import SpoolWriter, StripHeader, waiting
from line.model import Camera, load_line
from vision.folder_source import FolderSource
from vision.sources import Taken

AT_UM = 8_000_000


def camera_row(**changes: object) -> Camera:
    row = load_line().camera("fins-1")
    return msgspec.structs.replace(row, **({"width_px": 32, "strip_lines": 16, "line_rate_hz": 1600.0} | changes))


def all_of(source: FolderSource, seconds: float = 5.0) -> list[Taken]:
    found = []
    deadline = time.monotonic() + seconds
    while not source.ended:
        assert time.monotonic() < deadline
        if (frame := source.take()) is not None:
            found.append(frame)
            source.done(frame)
    return found


def headers_of(frames: list[Taken]) -> list[StripHeader]:
    return [frame.header for frame in frames if isinstance(frame.header, StripHeader)]


def planes(level: int) -> NDArray[np.uint8]:
    return np.stack([np.full((16, 32), level + channel, np.uint8) for channel in range(3)])


def written(folder: Path, strips: list[int], roll: str = "FR-1") -> Path:
    """A recording of frames."""
    writer = SpoolWriter(folder)
    for strip in strips:
        header = StripHeader(
            camera="other", roll=roll, strip=strip, encoder_um=AT_UM + strip * 320, lines=16, width_px=32,
            pixel_um=20.0, channels=("BF", "DF", "TX"), at_ns=1_800_000_000_000_000_000 + strip, wall_ns=5,
        )  # fmt: skip
        assert writer.write(header, planes(strip))
    return folder


def pictures(folder: Path, strips: list[int], roll: str = "FR-1") -> Path:
    folder.mkdir(exist_ok=True)
    for strip in strips:
        for channel, plane in zip(("BF", "DF", "TX"), planes(strip), strict=True):
            cv2.imwrite(str(folder / f"{roll}_{strip:04d}_{channel}.png"), plane)
    return folder


def test_frames_are_played_as_the_cameras_own_and_stay(tmp_path: Path) -> None:
    folder = written(tmp_path / "rec", [0, 1, 2])
    before = time.time_ns()
    frames = all_of(FolderSource(camera_row(), str(folder), speed=0))
    headers = headers_of(frames)
    assert [header.strip for header in headers] == [0, 1, 2]
    assert {header.camera for header in headers} == {"fins-1"}
    assert all(header.wall_ns >= before for header in headers)
    assert [header.at_ns % 10 for header in headers] == [0, 1, 2]
    assert [int(frame.planes[2, 0, 0]) for frame in frames if frame.planes is not None] == [2, 3, 4]
    assert len(waiting(folder)) == 3


def test_holes_in_the_numbering_are_missing_lines(tmp_path: Path) -> None:
    frames = all_of(FolderSource(camera_row(), str(written(tmp_path / "rec", [0, 1, 4, 5, 9])), speed=0))
    assert [header.missed_lines_count for header in headers_of(frames)] == [0, 0, 32, 0, 48]


def test_pictures_by_name_are_strips_at_their_place(tmp_path: Path) -> None:
    frames = all_of(FolderSource(camera_row(), str(pictures(tmp_path / "p", [0, 1, 3])), speed=0))
    headers = headers_of(frames)
    assert [(header.roll, header.strip) for header in headers] == [("FR-1", 0), ("FR-1", 1), ("FR-1", 3)]
    assert [header.encoder_um - AT_UM for header in headers] == [0, 320, 960]
    assert [header.missed_lines_count for header in headers] == [0, 0, 16]
    assert frames[2].planes is not None
    assert (frames[2].planes == planes(3)).all()


def test_several_folders_are_meant_by_a_pattern(tmp_path: Path) -> None:
    pictures(tmp_path / "a", [0, 1], "FR-1")
    pictures(tmp_path / "b", [0], "FR-2")
    frames = all_of(FolderSource(camera_row(), f"{tmp_path}/*/", speed=0))
    assert [(header.roll, header.strip) for header in headers_of(frames)] == [("FR-1", 0), ("FR-1", 1), ("FR-2", 0)]


def test_a_picture_that_is_missing_makes_its_strip_unusable_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", [0, 1, 2])
    (folder / "FR-1_0001_DF.png").unlink()
    (folder / "FR-1_0002_TX.png").write_bytes(b"\x89PNG")
    frames = all_of(FolderSource(camera_row(), str(folder), speed=0))
    assert [frame.planes is None for frame in frames] == [False, True, True]
    assert "no picture of channel DF" in frames[1].error
    assert "FR-1_0002_TX.png" in frames[2].error
    assert headers_of(frames)[1].strip == 1


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_table_says_encoder_time_and_missed_lines(tmp_path: Path, kind: str) -> None:
    pictures(tmp_path, [0, 1])
    rows = [
        {"roll": "FR-9", "strip": 7 + number, "BF": f"FR-1_000{number}_BF.png", "DF": f"FR-1_000{number}_DF.png",
         "TX": f"FR-1_000{number}_TX.png", "encoder_um": 9_000_000 + 400 * number, "at_ns": 1_800_000_000_000_000_000,
         "missed_lines": 4 * number}
        for number in range(2)
    ]  # fmt: skip
    if kind == "json":
        (tmp_path / "strips.json").write_text(json.dumps(rows))
    else:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        (tmp_path / "strips.csv").write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    headers = headers_of(all_of(FolderSource(camera_row(), str(tmp_path), speed=0)))
    assert [(header.roll, header.strip, header.encoder_um) for header in headers] == [
        ("FR-9", 7, 9_000_000), ("FR-9", 8, 9_000_400),
    ]  # fmt: skip
    assert [header.missed_lines_count for header in headers] == [0, 4]
    assert {header.at_ns for header in headers} == {1_800_000_000_000_000_000}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("roll,strip,BF\nFR-1,x,a.png\n", "row 1: column strip: 'x': not a whole number"),
        ("roll,strip,BF\n../../x,3,a.png\n", "row 1: column roll: '../../x': write letters, digits"),
        ("roll,strip,BF\nFR-1,3,a.png\na/+#b,4,b.png\n", "row 2: column roll: 'a/\\+#b'"),
        ("roll,strip,BF\n,3,a.png\n", "row 1: column roll: empty"),
        ("roll,strip,BF\nFR-1,-3,a.png\n", "row 1: column strip: '-3': out of all measure"),
        ("roll,strip,encoder_um\nFR-1,3,9999999999999999999\n", "column encoder_um: .* out of all measure"),
        ("roll,strip,missed_lines\nFR-1,3,-7\n", "column missed_lines: '-7': out of all measure"),
        ("roll,strip,BF\nFR-1,3,../../etc/a.png\n", "lies outside the table's folder"),
    ],
)
def test_a_wrong_table_is_refused_by_row_and_column(tmp_path: Path, table: str, says: str) -> None:
    (tmp_path / "strips.csv").write_text(table)
    with pytest.raises(FrameError, match=says):
        FolderSource(camera_row(), str(tmp_path))


def test_names_that_say_nothing_and_empty_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="nothing there to play"):
        FolderSource(camera_row(), str(tmp_path / "nowhere"))
    with pytest.raises(FrameError, match=r"no \.frame file and no picture"):
        FolderSource(camera_row(), str(tmp_path))
    cv2.imwrite(str(tmp_path / "holiday.png"), planes(0)[0])
    with pytest.raises(FrameError, match="ROLL_STRIP_CHANNEL with a channel of BF, DF, TX"):
        FolderSource(camera_row(), str(tmp_path))


@pytest.mark.parametrize("roll", ["..", "a+#b", "FR 1", "-", "R" * 65])
def test_a_roll_that_is_no_plain_name_is_refused_by_file(tmp_path: Path, roll: str) -> None:
    pictures(tmp_path, [0], roll)
    with pytest.raises(FrameError, match=r"_0000_BF\.png: roll '.*': rename it: letters, digits"):
        FolderSource(camera_row(), str(tmp_path))


def test_playing_at_pace_takes_as_long_as_the_film_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """21 strips of 16 lines at 1,600 lines a second, half as fast, by a clock that is looked at each millisecond."""
    now_s = 100.0
    monkeypatch.setattr(
        "vision.folder_source.time", SimpleNamespace(monotonic=lambda: now_s, time_ns=lambda: round(now_s * 1e9))
    )
    source = FolderSource(camera_row(), str(written(tmp_path / "rec", list(range(21)))), speed=0.5)
    taken_s = []
    while not source.ended:
        assert now_s < 101
        if source.take() is not None:
            taken_s.append(now_s - 100)
        now_s += 0.001
    # Each strip is due 20 ms after the one before, and none is early.
    assert taken_s == pytest.approx([0.020 * strip for strip in range(21)], abs=0.0011)
    assert all(at_s > 0.020 * strip - 1e-9 for strip, at_s in enumerate(taken_s))

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from line.errors import FrameError
from line.frames import SpoolWriter, StripHeader, waiting
from vision.sources import REFUSED_LIMIT_COUNT, SpoolSource, pictures, replayed, taken


def header(strip: int) -> StripHeader:
    return StripHeader(
        camera="fins-1",
        roll="FR-1",
        strip=strip,
        encoder_um=8_000_000,
        lines=8,
        width_px=16,
        pixel_um=20.0,
        channels=("BF", "DF", "TX"),
        at_ns=1,
        wall_ns=2,
    )


def spool(folder: Path, count: int) -> Path:
    writer = SpoolWriter(folder)
    for strip in range(count):
        assert writer.write(header(strip), np.full((3, 8, 16), strip, np.uint8))
    return folder


def truncated(path: Path, keep_bytes: int) -> Path:
    path.write_bytes(path.read_bytes()[:keep_bytes])
    return path


def strip_of(frame: object) -> int:
    taken_header = getattr(frame, "header", None)
    assert isinstance(taken_header, StripHeader)
    return taken_header.strip


def test_frames_come_oldest_first_and_each_once(tmp_path: Path) -> None:
    source = SpoolSource(spool(tmp_path / "s", 3), tmp_path / "refused")
    frames = [source.take() for _ in range(4)]
    assert [strip_of(frame) for frame in frames[:3]] == [0, 1, 2]
    assert frames[3] is None


def test_a_frame_stays_until_it_is_done_with(tmp_path: Path) -> None:
    folder = spool(tmp_path / "s", 2)
    source = SpoolSource(folder, tmp_path / "refused")
    frame = source.take()
    assert frame is not None
    assert len(waiting(folder)) == 2
    source.done(frame)
    assert len(waiting(folder)) == 1


def test_a_new_reader_begins_with_what_was_not_done(tmp_path: Path) -> None:
    folder = spool(tmp_path / "s", 2)
    SpoolSource(folder, tmp_path / "refused").take()
    again = SpoolSource(folder, tmp_path / "refused").take()
    assert strip_of(again) == 0


def test_a_spool_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    assert SpoolSource(tmp_path / "later", tmp_path / "refused").take() is None


def test_a_frame_whose_planes_are_cut_off_still_gives_its_header(tmp_path: Path) -> None:
    folder = spool(tmp_path / "s", 1)
    truncated(waiting(folder)[0], 400)
    frame = taken(waiting(folder)[0])
    assert frame.planes is None
    assert strip_of(frame) == 0
    assert "truncated" in frame.error


@pytest.mark.parametrize("keep_bytes", [0, 3, 8, 40])
def test_a_frame_whose_header_is_cut_off_gives_none(tmp_path: Path, keep_bytes: int) -> None:
    folder = spool(tmp_path / "s", 1)
    frame = taken(truncated(waiting(folder)[0], keep_bytes))
    assert frame.header is None
    assert frame.error


def test_a_header_that_claims_to_be_endless_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "000000000000.frame"
    path.write_bytes(b"LMF1\xff\xff\xff\xff" + b"{" * 100)
    assert taken(path).header is None


def test_refused_frames_are_moved_aside_and_only_the_latest_kept(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    refused = tmp_path / "refused"
    source = SpoolSource(folder, refused)
    folder.mkdir()
    for number in range(REFUSED_LIMIT_COUNT + 4):
        (folder / f"{number:012d}.frame").write_bytes(b"not a frame")
        frame = source.take()
        assert frame is not None
        source.refuse(frame)
    assert not waiting(folder)
    assert len(list(refused.iterdir())) == REFUSED_LIMIT_COUNT


def test_a_recording_is_played_in_order_and_left_as_it_is(tmp_path: Path) -> None:
    folder = spool(tmp_path / "s", 3)
    single = waiting(folder)[1]
    assert [strip_of(frame) for frame in replayed([folder, single])] == [0, 1, 2, 1]
    assert len(waiting(folder)) == 3


def test_a_path_that_is_not_there_and_a_folder_without_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no such file"):
        list(replayed([tmp_path / "nowhere"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FrameError, match=r"no \.frame file"):
        list(replayed([tmp_path / "empty"]))


def test_pictures_of_a_folder_come_with_the_error_of_a_bad_one(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8), 7, np.uint8))
    (tmp_path / "b.png").write_bytes(b"nothing")
    found = dict(pictures([tmp_path]))
    assert isinstance(found[tmp_path / "b.png"], FrameError)
    good = found[tmp_path / "a.png"]
    assert not isinstance(good, FrameError)
    assert good.grey[0, 0] == 7

"""Cameras over their real protocol: Debian's aravis fake camera, and one that loses packets, on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
import viva_genicam
from viva_genicam.testing import FakeGigeCamera

from line.errors import ConfigError, LinkError
from line.film_sources import CameraFile
from line.frames import SpoolWriter, StripHeader, read_frame, waiting
from line.model import Camera, load_line
from tests.conftest import absent
from vision.genicam import found_camera, genicam_stream
from vision.live_source import LiveSource
from vision.sources import Taken

SERIAL = "LAMELLA-TEST"
PROGRAM = shutil.which("arv-fake-gv-camera-0.8")
BLOCK_LINES = 170
"""Web lines of a block: 510 lines of the camera, BF, DF and TX in turn."""
AT_UM = 8_000_000


def camera_row(**changes: object) -> Camera:
    row = load_line().camera("fins-1")
    return msgspec.structs.replace(row, **({"width_px": 512, "strip_lines": BLOCK_LINES} | changes))


def camera_file(**changes: object) -> CameraFile:
    file = CameraFile(
        camera=SERIAL,
        interface="127.0.0.1",
        features=("PixelFormat=Mono8", "Width=512", "Height=510", "AcquisitionFrameRate=25"),
        roll="FR-1",
    )
    return msgspec.structs.replace(file, **changes)


def is_taken() -> bool:
    """Whether a program answers as a camera on loopback."""
    return bool(viva_genicam.discover(timeout_ms=100, iface="127.0.0.1"))


@contextmanager
def aravis(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The camera of aravis, switched on while inside."""
    if PROGRAM is None:
        absent("arv-fake-gv-camera-0.8", "install Debian's package aravis-tools")
        raise AssertionError
    assert not is_taken(), "another camera answers on 127.0.0.1"
    command = [PROGRAM, "-i", "127.0.0.1", "-s", SERIAL, *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 5
            while not is_taken():
                assert time.monotonic() < deadline, "the camera does not come up"
            yield process
        finally:
            process.kill()


def taken_within(source: LiveSource, count: int, seconds: float = 15.0) -> list[Taken]:
    """So many strips, each done at once."""
    found: list[Taken] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} strips; {source.link}"
        frame = source.take()
        if frame is None:
            time.sleep(0.01)
            continue
        found.append(frame)
        source.done(frame)
    return found


def header_of(frame: Taken) -> StripHeader:
    assert isinstance(frame.header, StripHeader)
    return frame.header


def wait_for_link(source: LiveSource, state: str, seconds: float = 10.0) -> str:
    deadline = time.monotonic() + seconds
    while source.link.state != state or not source.link.detail:
        assert time.monotonic() < deadline, source.link
        time.sleep(0.02)
    return source.link.detail


def assert_film_adds_up(headers: list[StripHeader]) -> None:
    """Strips and the lines that are missing before them make the film without a gap and without an overlap."""
    for before, after in pairwise(headers):
        end_um = before.encoder_um + before.lines * 20
        assert after.encoder_um - end_um == pytest.approx(after.missed_lines_count * 20, abs=40)
        assert after.strip > before.strip


def open_sockets() -> int:
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    return sum(link.is_symlink() and "socket" in str(link.readlink()) for link in links)


def test_a_camera_streams_strips_of_a_roll(tmp_path: Path) -> None:
    with aravis(), LiveSource(camera_row(), camera_file(), tmp_path / "place.json") as source:
        frames = taken_within(source, 20)
        assert source.link.state == "up"
        assert "no encoder" in source.link.detail
    headers = [header_of(frame) for frame in frames]
    assert [header.strip for header in headers] == list(range(20))
    assert [header.encoder_um for header in headers] == [AT_UM + number * BLOCK_LINES * 20 for number in range(20)]
    assert {header.missed_lines_count for header in headers} == {0}
    assert {header.channels for header in headers} == {("BF", "DF", "TX")}
    # Camera time: 25 blocks a second.
    seconds = (headers[-1].at_ns - headers[4].at_ns) / 1e9
    assert 15 / seconds == pytest.approx(25, rel=0.2)
    assert 0 < headers[-1].encoder_uncertainty_um < 0.01 * (headers[-1].encoder_um - AT_UM) + 40


def test_lines_in_turn_are_those_of_the_camera(tmp_path: Path) -> None:
    """The fake camera draws grey that grows by one each line, from 0 to 254; every third line is one channel's."""
    with aravis(), LiveSource(camera_row(), camera_file(), tmp_path / "place.json") as source:
        (frame,) = taken_within(source, 1)
    assert frame.planes is not None
    grey = frame.planes.astype(np.int16)
    assert ((grey[1] - grey[0]) % 255 == 1).all()
    assert ((grey[2] - grey[1]) % 255 == 1).all()
    assert (np.diff(grey[0], axis=0) % 255 == 3).all()


def test_frames_of_a_camera_go_through_a_spool_unchanged(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    with aravis(), LiveSource(camera_row(), camera_file(), tmp_path / "place.json") as source:
        frames = taken_within(source, 3)
    for frame in frames:
        assert frame.header is not None
        assert frame.planes is not None
        assert writer.write(frame.header, frame.planes)
    for path, frame in zip(waiting(tmp_path / "spool"), frames, strict=True):
        header, planes = read_frame(path)
        assert header == frame.header
        assert (planes == frame.planes).all()


def test_a_camera_that_vanishes_is_found_again_and_the_film_between_is_missing(tmp_path: Path) -> None:
    with LiveSource(camera_row(), camera_file(), tmp_path / "place.json") as source:
        with aravis() as process:
            before = taken_within(source, 25)
            process.kill()
            gone_s = time.monotonic()
            detail = wait_for_link(source, "down")
        assert time.monotonic() - gone_s < 5
        assert "does not answer" in detail or "no camera" in detail
        with aravis():
            wait_for_link(source, "up")
            away_s = time.monotonic() - gone_s
            after = taken_within(source, 25)
        counters = source.counters()
    headers = [header_of(frame) for frame in before + after]
    assert_film_adds_up(headers)
    assert len(headers) == 50
    missing = sum(header.missed_lines_count for header in headers)
    # By the speed before: 25 blocks of 170 lines a second.
    assert missing == pytest.approx(25 * BLOCK_LINES * away_s, rel=0.3)
    assert counters["camera_reconnects_total"] == 1
    doubts = [header.encoder_uncertainty_um for header in headers]
    assert doubts[-1] > 0.4 * missing * 20 > doubts[20]


def test_nothing_is_left_behind_when_a_camera_is_closed(tmp_path: Path) -> None:
    with aravis():
        # The library keeps threads of its own once it was used.
        with LiveSource(camera_row(), camera_file(), tmp_path / "place.json") as source:
            taken_within(source, 1)
        threads, sockets = len(os.listdir("/proc/self/task")), open_sockets()  # noqa: PTH208
        for _ in range(3):
            with LiveSource(camera_row(), camera_file(), tmp_path / "place.json") as source:
                taken_within(source, 1)
        assert len(os.listdir("/proc/self/task")) <= threads  # noqa: PTH208
        assert open_sockets() <= sockets
        with genicam_stream(camera_file()) as stream:
            assert stream.next_block(2.0) is not None


def test_a_source_that_is_closed_while_the_camera_is_dead_ends_too(tmp_path: Path) -> None:
    with LiveSource(camera_row(), camera_file(), tmp_path / "place.json") as source, aravis() as process:
        taken_within(source, 2)
        process.kill()
        process.wait()
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5
    assert not source._thread.is_alive()


def test_packets_lost_for_good_are_lost_blocks_and_missing_lines(tmp_path: Path) -> None:
    """One packet in fifty is lost, and this camera does not send again: small blocks, so that some come through."""
    file = camera_file(features=("Width=512", "Height=30", "AcquisitionFrameRate=100"))
    row = camera_row(strip_lines=10)
    with aravis("-r", "20"), LiveSource(row, file, tmp_path / "place.json") as source:
        headers = [header_of(frame) for frame in taken_within(source, 60, 30)]
        counters = source.counters()
    missing = sum(header.missed_lines_count for header in headers)
    assert_film_adds_up(headers)
    assert missing > 0
    assert missing % 10 == 0
    assert counters["camera_packets_missing_total"] > 0
    assert counters["camera_blocks_lost_total"] >= missing // 10


def test_dropped_packets_are_holes_at_their_place_by_the_cameras_own_count(tmp_path: Path) -> None:
    """Position comes from a chunk; blocks 20 and 31 to 33 lose a packet each."""
    lost = (20, 31, 32, 33)
    file = CameraFile(
        camera="127.0.0.1",
        interface="127.0.0.1",
        features=("TriggerSelector=FrameStart", "TriggerMode=Off"),
        encoder="ChunkFrameID",
        encoder_chunk="FrameID",
        um_per_count=200.0,
        roll="FR-7",
    )
    row = camera_row(strip_lines=10)
    drops = [(block, 1) for block in lost]
    with (
        FakeGigeCamera(width=512, height=30, fps=25, packet_resend=False, drop_packets=drops),
        LiveSource(row, file, tmp_path / "place.json") as source,
    ):
        headers = [header_of(frame) for frame in taken_within(source, 60)]
        assert "ChunkFrameID" in source.link.detail
    assert_film_adds_up(headers)
    # The first blocks may be lost before anybody takes them.
    holes = [(header.encoder_um, header.missed_lines_count) for header in headers[8:] if header.missed_lines_count]
    assert [count for _, count in holes] == [10, 30]
    assert holes[1][0] - holes[0][0] == (34 - 21) * 200
    assert {header.encoder_uncertainty_um for header in headers} == {0.0}


def test_what_inspection_has_no_time_for_is_dropped_and_counted(tmp_path: Path) -> None:
    with aravis(), LiveSource(camera_row(), camera_file(), tmp_path / "place.json", limit_count=4) as source:
        deadline = time.monotonic() + 10
        while source.counters()["camera_strips_dropped_total"] < 5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        headers = [header_of(frame) for frame in taken_within(source, 10)]
    assert_film_adds_up(headers)
    assert [header.strip for header in headers[:4]] == [0, 1, 2, 3]
    assert headers[4].strip >= 9
    assert headers[4].missed_lines_count == (headers[4].strip - 4) * BLOCK_LINES


def test_the_place_on_the_roll_survives_a_restart(tmp_path: Path) -> None:
    with aravis():
        with LiveSource(camera_row(), camera_file(), tmp_path / "place.json") as source:
            before = taken_within(source, 10)
        with LiveSource(camera_row(), camera_file(), tmp_path / "place.json") as source:
            after = taken_within(source, 5)
    headers = [header_of(frame) for frame in before + after]
    assert {header.roll for header in headers} == {"FR-1"}
    assert_film_adds_up(headers)
    assert headers[10].missed_lines_count > 0


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        ("LineRate=800", "no feature 'LineRate'"),
        ("width=512", "it has Width"),
        ("TriggerSelector=LineStart", "it takes FrameStart, AcquisitionStart"),
        ("Width=wide", "does not take 'wide'"),
    ],
)
def test_a_feature_that_the_camera_does_not_have_is_named(feature: str, says: str) -> None:
    with (
        aravis(),
        pytest.raises(ConfigError, match=says) as raised,
        genicam_stream(camera_file(features=(feature,))),
    ):
        pass
    assert repr(feature) in str(raised.value)


def test_blocks_of_the_wrong_size_put_the_link_down_and_say_what_to_set(tmp_path: Path) -> None:
    file = camera_file(features=("Height=512",))
    with aravis(), LiveSource(camera_row(), file, tmp_path / "place.json") as source:
        deadline = time.monotonic() + 10
        while "multiple of 3 lines" not in source.link.detail:
            assert time.monotonic() < deadline, source.link
            time.sleep(0.05)
        assert source.link.state == "down"


def test_a_camera_is_found_by_its_serial_number_and_others_are_named() -> None:
    with aravis():
        assert found_camera(camera_file()).ip == "127.0.0.1"
        assert found_camera(camera_file(camera="127.0.0.1")).model == "Fake"
        with pytest.raises(LinkError, match=f"no camera NOBODY answers; found: {SERIAL} "):
            found_camera(camera_file(camera="NOBODY"))


def test_without_a_camera_it_says_what_to_check() -> None:
    assert not is_taken()
    with pytest.raises(LinkError, match="found: none: check cable"):
        found_camera(camera_file())


def test_without_the_package_the_command_that_installs_it_is_named() -> None:
    code = (
        "import sys; sys.modules['viva_genicam'] = None\n"
        "from vision.genicam import viva\n"
        "from line.errors import ConfigError\n"
        "try: viva()\n"
        "except ConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "lamella[genicam]"' in done.stdout

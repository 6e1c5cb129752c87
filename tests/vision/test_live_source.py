"""What a live source does between blocks, with a camera whose silence and falls are scripted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from line.errors import LinkError
from line.film_sources import CameraFile
from line.model import Camera, load_line
from vision import live_source
from vision.genicam import Transport
from vision.live_source import BlockStream, LiveSource
from vision.web_travel import Block


class Scripted:
    """A camera that sends some blocks and then is silent, or gone."""

    def __init__(self, blocks: int, *, gone: bool) -> None:
        self.opened_count = 0
        self._blocks = blocks
        self._gone = gone
        self._left = 0

    @contextmanager
    def open(self, file: CameraFile) -> Iterator[BlockStream]:
        self.opened_count += 1
        self._left = self._blocks
        yield self

    def next_block(self, wait_s: float) -> Block | None:
        if self._left:
            self._left -= 1
            lines = np.zeros((24, 64), np.uint8)
            return Block(lines=lines, count=None, lost_blocks_count=0, arrived_ns=time.time_ns())
        if self._gone:
            raise LinkError("cable pulled")
        time.sleep(wait_s)
        return None

    def require_alive(self) -> None:
        pass

    def transport(self) -> Transport:
        return Transport()


@pytest.fixture
def camera() -> Camera:
    return msgspec.structs.replace(load_line().camera("fins-1"), width_px=64, strip_lines=8)


Opened = Callable[[CameraFile], AbstractContextManager[BlockStream]]


def source(camera: Camera, opened: Opened, folder: Path) -> LiveSource:
    return LiveSource(camera, CameraFile(camera="X", roll="FR-1"), folder / "place.json", opened=opened)


def test_a_camera_that_came_back_is_soon_tried_again_when_it_falls(camera: Camera, tmp_path: Path) -> None:
    script = Scripted(1, gone=True)
    with source(camera, script.open, tmp_path) as live:
        time.sleep(3.3)
        assert live.counters()["camera_reconnects_total"] >= 4
        assert live.link.detail == "cable pulled"
    assert 5 <= script.opened_count <= 8


def test_a_camera_that_never_comes_is_tried_less_and_less_often(camera: Camera, tmp_path: Path) -> None:
    script = Scripted(0, gone=True)
    with source(camera, script.open, tmp_path) as live:
        time.sleep(3.3)
        assert live.link.state == "down"
        assert live.counters()["camera_reconnects_total"] == 0
    assert script.opened_count <= 3


def test_a_camera_that_answers_without_sending_is_stale_not_down(
    camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_source, "_SILENT_S", 0.1)
    monkeypatch.setattr(live_source, "_STALE_S", 0.4)
    script = Scripted(2, gone=False)
    with source(camera, script.open, tmp_path) as live:
        deadline = time.monotonic() + 5
        while live.link.state != "stale":
            assert time.monotonic() < deadline, live.link
            time.sleep(0.02)
        assert "no trigger arrives" in live.link.detail
    assert script.opened_count == 1


def test_a_place_that_cannot_be_read_begins_anew(camera: Camera, tmp_path: Path) -> None:
    (tmp_path / "place.json").write_text("{cut off")
    with source(camera, Scripted(2, gone=False).open, tmp_path) as live:
        deadline = time.monotonic() + 5
        while (frame := live.take()) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        live.done(frame)
    assert (tmp_path / "place.json").read_text().startswith('{"rolls":')


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_told_to_whoever_takes_frames(camera: Camera, tmp_path: Path) -> None:
    def broken(file: CameraFile) -> AbstractContextManager[BlockStream]:
        raise SystemExit

    with source(camera, broken, tmp_path) as live:
        live._thread.join(5)
        with pytest.raises(LinkError, match="thread that reads it has died"):
            live.take()

"""The target under a camera that streams, which has no spool."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lamella.calibrate_film import followed, picture_of_frames
from lamella.target_frames import TARGET_ROLL, StreamFrames
from line.film_sources import CameraFile
from line.model import Camera, load_line
from tests.vision.made_target import CHANNELS, MadeTarget
from vision.calibration import Limits, target_figures
from vision.genicam import Transport
from vision.live_source import LiveSource
from vision.web_travel import Block

WIDTH_PX, LINES = 1400, 64
MADE = MadeTarget(width_px=WIDTH_PX, lines=640, squares_across=2)


class Stream:
    """A camera that exposes the target again and again, ten blocks a turn, its channels line by line."""

    def __init__(self) -> None:
        turned = MADE.planes().transpose(1, 0, 2).reshape(-1, WIDTH_PX)
        self._blocks = itertools.cycle(np.array_split(turned, 10))

    def next_block(self, wait_s: float) -> Block | None:
        time.sleep(0.002)
        return Block(lines=next(self._blocks), count=None, lost_blocks_count=0, arrived_ns=time.time_ns())

    def require_alive(self) -> None: ...

    def transport(self) -> Transport:
        return Transport()


@pytest.fixture
def camera() -> Camera:
    return msgspec.structs.replace(load_line().camera("fins-1"), width_px=WIDTH_PX, strip_lines=LINES)


@pytest.fixture
def source(camera: Camera, tmp_path: Path) -> Iterator[LiveSource]:
    @contextmanager
    def opened(_file: CameraFile) -> Iterator[Stream]:
        yield Stream()

    file = CameraFile(camera="X", roll=TARGET_ROLL)
    with LiveSource(camera, file, tmp_path / "place.json", opened=opened) as source:
        yield source


def test_a_camera_that_streams_is_calibrated_without_a_spool(source: LiveSource) -> None:
    picture = picture_of_frames(StreamFrames(source))
    assert picture.channels == CHANNELS
    assert not picture.simulated
    assert picture.planes.shape[0] == 3
    assert picture.planes.shape[1] >= 1_000
    # The stream repeats a target, and one whole turn of it is in the picture.
    piece = picture.planes[:, :640]
    figures = target_figures(piece, picture.channels, MADE.target, nominal_um=20.0, limits=Limits())
    assert figures.pixel_um == pytest.approx(20.0, rel=1e-4)


def test_a_camera_that_streams_is_followed_strip_by_strip(source: LiveSource, camera: Camera) -> None:
    said = list(followed(StreamFrames(source), camera, MADE.target, count=3))
    assert len(said) == 3
    assert all(text.startswith("strip ") and "white" in text for text in said)

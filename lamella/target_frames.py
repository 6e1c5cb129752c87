"""Frames of a calibration target: from a spool or recording, or from a camera that streams."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from line.config import Site
from line.errors import FrameError, LinkError, NotFoundError
from line.film_sources import camera_file, source_of
from line.frames import StripHeader, read_frame, waiting
from line.model import Camera
from vision.live_source import LiveSource
from vision.sources import Taken, replayed

Exposure: TypeAlias = tuple[StripHeader, NDArray[np.uint8]]

TARGET_ROLL = "target"
"""Stands for the roll, since a target is on none."""
_POLL_S = 0.05
_STREAM_S = 30.0
"""Longest wait for enough of the target from a camera that streams."""


class TargetFrames(Protocol):
    """Where pictures of the target come from."""

    where: str
    """For messages."""

    @property
    def silence(self) -> str:
        """Why no strip may come, for messages."""
        ...

    def some(self, lines: int) -> Iterator[Exposure]:
        """Strips in order: all of a folder, or as many as come until there are so many lines."""
        ...

    def newest(self) -> Exposure | None:
        """The newest strip that was not shown yet; None while there is none."""
        ...


class FolderFrames:
    """Frames in a spool or recording.

    Args:
        folder: of the camera.
        camera: whose frames count.
        discard: remove what was passed, so that a spool does not fill up and stall its camera.
    """

    def __init__(self, folder: Path, camera: Camera, *, discard: bool = False) -> None:
        self.where = str(folder)
        self._folder = folder
        self._camera = camera
        self._discard = discard
        self._latest = ""

    @property
    def silence(self) -> str:
        """Why no strip may come, for messages."""
        return (
            "is the camera triggered, is its spool full (--discard empties it), or does the vision service take them?"
        )

    def some(self, lines: int) -> Iterator[Exposure]:
        """All readable strips of the folder.

        Raises:
            NotFoundError: there is none at all.
        """
        if not waiting(self._folder):
            raise NotFoundError(
                f"{self._folder}: no frames there: put the target under {self._camera.id} and let it run, or give "
                "--frames or --image"
            )
        for frame in replayed([self._folder]):
            exposure = _exposure(frame, self._camera)
            if exposure is not None:
                yield exposure

    def newest(self) -> Exposure | None:
        """The newest strip that was not shown yet.

        Raises:
            FrameError: it cannot be read, as when the service that inspects has just taken it away.
        """
        paths = waiting(self._folder)
        if not paths or paths[-1].name <= self._latest:
            return None
        self._latest = paths[-1].name
        try:
            header, planes = read_frame(paths[-1])
            if not isinstance(header, StripHeader) or header.camera != self._camera.id:
                return None
            # A copy: the file may be gone before it is looked at.
            return header, np.array(planes)
        finally:
            for path in paths if self._discard else ():
                path.unlink(missing_ok=True)


class StreamFrames:
    """Strips of a camera that streams."""

    def __init__(self, source: LiveSource) -> None:
        self.where = source.camera.id
        self._source = source

    @property
    def silence(self) -> str:
        """Why no strip may come, for messages."""
        link = self._source.link
        return f"{link.state}: {link.detail or 'not reached yet'}"

    def some(self, lines: int) -> Iterator[Exposure]:
        """Strips until there are so many lines.

        Raises:
            LinkError: the camera does not send, or not enough of it.
        """
        until_s, count = time.monotonic() + _STREAM_S, 0
        while count < lines:
            exposure = self._take()
            if exposure is None:
                if time.monotonic() > until_s:
                    link = self._source.link
                    raise LinkError(
                        f"{self.where}: {count} lines of {lines} in {_STREAM_S:.0f} s, {link.state}: {link.detail}"
                    )
                time.sleep(_POLL_S)
                continue
            count += exposure[0].lines
            yield exposure

    def newest(self) -> Exposure | None:
        """The newest strip; older ones are passed over."""
        found = None
        while (exposure := self._take()) is not None:
            found = exposure
        return found

    def _take(self) -> Exposure | None:
        frame = self._source.take()
        return None if frame is None else _exposure(frame, self._source.camera)


@contextmanager
def target_frames(site: Site, camera: Camera, folder: Path | None, *, discard: bool) -> Iterator[TargetFrames]:
    """Where a camera's frames come from by the settings, or a folder instead; a camera streams while inside."""
    setting = source_of(site.vision.sources, camera)
    if folder is None and setting.kind == "genicam":
        file = msgspec.structs.replace(camera_file(setting.place), roll=TARGET_ROLL)
        with tempfile.TemporaryDirectory() as scratch:
            source = LiveSource(camera, file, Path(scratch) / "place.json")
            with source:
                yield StreamFrames(source)
        return
    if folder is None:
        folder = Path(setting.place) if setting.kind == "folder" else site.state_dir / "spool" / camera.id
    yield FolderFrames(folder, camera, discard=discard)


def _exposure(frame: Taken, camera: Camera) -> Exposure | None:
    header = frame.header
    if not isinstance(header, StripHeader) or header.camera != camera.id or frame.planes is None:
        return None
    if header.channels != camera.channels or header.width_px != camera.width_px:
        raise FrameError(
            f"{frame.name}: {header.width_px} px of {', '.join(header.channels)}; {camera.id} has {camera.width_px} px "
            f"of {', '.join(camera.channels)}: is it of this camera, and its row right?"
        )
    return header, frame.planes

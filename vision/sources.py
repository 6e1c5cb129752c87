"""Where frames come from: a spool that a camera fills, or recorded frames and pictures that are played again.

A frame of a spool is taken, inspected and only then removed, when its results are durable. One that cannot be read is
moved aside into a small folder for whoever wants to know why.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from line.errors import FrameError
from line.frames import MAGIC, SUFFIX, CornerHeader, Header, StripHeader, read_frame, waiting
from vision.images import Image, iter_images

log = logging.getLogger(__name__)

REFUSED_LIMIT_COUNT = 16
"""Unreadable frames kept for inspection by people; beyond it the oldest go."""
_LONGEST_HEADER_BYTES = 1_000_000
_decoder = msgspec.json.Decoder(Header)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A frame that was taken from a source. Without planes it cannot be used, and `error` says why."""

    name: str
    """For messages: a file, or camera, roll and strip."""
    path: Path | None = None
    """None for a frame that is in no file."""
    header: StripHeader | CornerHeader | None
    planes: NDArray[np.uint8] | None
    error: str = ""


class FrameSource(Protocol):
    """Where the frames of one camera come from. None of its methods waits for a frame."""

    @property
    def ended(self) -> bool:
        """Whether no frame will ever come again."""
        ...

    def take(self) -> Taken | None:
        """The oldest frame that was not taken yet; None while there is none."""
        ...

    def done(self, frame: Taken) -> None:
        """The frame's results are durable."""
        ...

    def refuse(self, frame: Taken) -> None:
        """The frame cannot be used."""
        ...


class SpoolSource:
    """Frames of one camera group, oldest first, each once.

    Args:
        folder: of the spool; need not exist yet.
        refused: where unreadable frames go.
    """

    ended = False

    def __init__(self, folder: Path, refused: Path) -> None:
        self._folder = folder
        self._refused = refused
        self._taken: set[Path] = set()

    def take(self) -> Taken | None:
        """The oldest frame that was not taken yet; None while there is none."""
        for path in waiting(self._folder):
            if path not in self._taken:
                self._taken.add(path)
                return taken(path)
        return None

    def done(self, frame: Taken) -> None:
        """Remove a frame whose results are durable."""
        if frame.path is not None:
            frame.path.unlink(missing_ok=True)
            self._taken.discard(frame.path)

    def refuse(self, frame: Taken) -> None:
        """Move a frame aside that cannot be read."""
        if frame.path is None:
            return
        self._refused.mkdir(parents=True, exist_ok=True)
        kept = sorted(self._refused.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
        for old in kept[: max(0, len(kept) - REFUSED_LIMIT_COUNT + 1)]:
            old.unlink(missing_ok=True)
        if frame.path.exists():
            frame.path.replace(self._refused / f"{self._folder.name}-{frame.path.name}")
        self._taken.discard(frame.path)


def taken(path: Path) -> Taken:
    """A frame file, read as far as it can be."""
    try:
        header, planes = read_frame(path)
    except FrameError as error:
        return Taken(name=str(path), path=path, header=readable_header(path), planes=None, error=str(error))
    return Taken(name=str(path), path=path, header=header, planes=planes)


def readable_header(path: Path) -> StripHeader | CornerHeader | None:
    """The header of a frame whose planes are damaged; None when the header is, too."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start[4:], "little")
            if start[:4] != MAGIC or not 0 < length <= _LONGEST_HEADER_BYTES:
                return None
            header: StripHeader | CornerHeader = _decoder.decode(file.read(length))
    except (OSError, msgspec.DecodeError):
        return None
    return header


def replayed(paths: Iterable[Path]) -> Iterator[Taken]:
    """Recorded frames from files and folders, in order of their names; nothing is removed.

    Raises:
        FrameError: a path does not exist, or a folder holds no frame.
    """
    for path in paths:
        if path.is_dir():
            found = waiting(path)
            if not found:
                raise FrameError(f"{path}: no {SUFFIX} file in this folder: give a spool or a recording")
            yield from (taken(frame) for frame in found)
        elif path.is_file():
            yield taken(path)
        else:
            raise FrameError(f"{path}: no such file or folder: check the path")


def pictures(paths: Iterable[Path]) -> Iterator[tuple[Path, Image | FrameError]]:
    """Picture files from files and folders, one in memory at a time; a bad one comes as its error."""
    return iter_images(paths)

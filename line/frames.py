"""Frames on disk, between whoever exposes them and whoever inspects them.

A spool is a folder a camera; a frame is one file: `LMF1`, the length of the header, the header as JSON, then the
planes as raw uint8. It appears by rename, so a reader never sees half of one. The reader removes what it is done
with. When the spool is full the writer drops the frame and counts its lines: a camera does not wait.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from line.errors import FrameError

MAGIC = b"LMF1"
SUFFIX = ".frame"


class StripHeader(Struct, frozen=True, kw_only=True, tag_field="frame", tag="strip"):
    """What a line-scan camera knows of a strip of film; planes are (lines, width) per channel."""

    camera: str
    roll: str
    strip: int
    """Contiguous per roll from 0; a hole is film nobody looked at."""
    encoder_um: int
    """Web travel since the roll's zero was under the die lip, when the first line was exposed."""
    encoder_uncertainty_um: float = 0.0
    """Expanded, k=2, where lines were counted or time was, for want of an encoder."""
    lines: int
    width_px: int
    pixel_um: float
    channels: tuple[str, ...]
    at_ns: int
    """Plant time of the last line."""
    wall_ns: int
    """Wall clock when the last line was exposed, for latency."""
    missed_lines_count: int = 0
    """Lines dropped since the frame before."""
    simulated: bool = False
    recipe: str = ""


class CornerHeader(Struct, frozen=True, kw_only=True, tag_field="frame", tag="corner"):
    """What a corner camera knows of a placed layer; one plane (height, width) per corner, corners 1 to 4 in order."""

    station: str
    stack: str
    layer: int
    kind: Literal["laminate", "cathode"]
    height_px: int
    width_px: int
    pixel_um: float
    cameras: tuple[str, ...]
    at_ns: int
    wall_ns: int
    simulated: bool = False


Header = StripHeader | CornerHeader
_decoder = msgspec.json.Decoder(Header)


def _shape(header: Header) -> tuple[int, int, int]:
    if isinstance(header, StripHeader):
        return len(header.channels), header.lines, header.width_px
    return len(header.cameras), header.height_px, header.width_px


class SpoolWriter:
    """Writes frames of one camera group into its folder.

    Args:
        folder: made when absent.
        limit_count: frames that may wait; above it `write` refuses by returning False.
    """

    def __init__(self, folder: Path, limit_count: int = 64) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("*.tmp"):
            stale.unlink(missing_ok=True)
        self._folder = folder
        self._limit_count = limit_count
        self._number = max((int(path.stem) for path in folder.glob(f"*{SUFFIX}")), default=-1) + 1

    def write(self, header: Header, planes: NDArray[np.uint8]) -> bool:
        """Put a frame in the spool; False when it is full and the frame is lost.

        Args:
            planes: shape (channels or corners, height, width).
        """
        if planes.shape != _shape(header) or planes.dtype != np.uint8:
            raise FrameError(f"planes are {planes.dtype} {planes.shape}, the header says uint8 {_shape(header)}")
        if waiting_count(self._folder) >= self._limit_count:
            return False
        head = msgspec.json.encode(header)
        path = self._folder / f"{self._number:012d}{SUFFIX}"
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(MAGIC + len(head).to_bytes(4, "little") + head)
            file.write(np.ascontiguousarray(planes).data)
        temporary.replace(path)
        self._number += 1
        return True


def waiting(folder: Path) -> Sequence[Path]:
    """Frames that wait in a spool, oldest first; none when the folder does not exist yet."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    except FileNotFoundError:
        return ()


def waiting_count(folder: Path) -> int:
    """How many frames wait."""
    with os.scandir(folder) as entries:
        return sum(entry.name.endswith(SUFFIX) for entry in entries)


def read_frame(path: Path) -> tuple[Header, NDArray[np.uint8]]:
    """A frame's header and planes, shape (channels or corners, height, width), mapped from the file.

    Raises:
        FrameError: not a frame, truncated, or a header that does not follow its type.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            if start[:4] != MAGIC:
                raise FrameError(f"{path}: not a frame, it begins with {start[:4]!r} instead of {MAGIC!r}")
            length = int.from_bytes(start[4:], "little")
            header = _decoder.decode(file.read(length))
    except (OSError, msgspec.DecodeError) as error:
        raise FrameError(f"{path}: header cannot be read: {error}") from error
    shape = _shape(header)
    expected = 8 + length + int(np.prod(shape))
    if path.stat().st_size != expected:
        raise FrameError(f"{path}: {path.stat().st_size} bytes, {expected} expected for {shape}; the file is truncated")
    return header, np.memmap(path, np.uint8, "r", 8 + length, shape)

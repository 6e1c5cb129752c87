"""The one reader of picture files for all of vision.

What leaves it is grey, uint8 or uint16, as the file has it: the file's sample format decides, never what is in the
picture, so that a dark picture and its bright neighbour are treated alike. The header is read before any pixel, so
that a file that claims a huge size is refused before memory is taken.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from line.errors import FrameError
from vision.image_headers import ImageHeader, image_header

log = logging.getLogger(__name__)

LARGEST_PIXELS = 1_000_000_000
LARGEST_FILE_BYTES = 4_000_000_000
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".webp"})

_BAND_ROWS = 1024
_GREY_WEIGHTS = "0.299 R + 0.587 G + 0.114 B"


Samples: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""What a file holds: 8 or 16 bit, never anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What a file was before it became grey."""

    path: Path
    width_px: int
    height_px: int
    format: str
    """For example PNG."""
    file_bits: int
    """Bits of one sample in the file."""
    file_channels: int
    sha256: str
    """Of the file's bytes, in hexadecimal."""
    notes: tuple[str, ...]
    """What was changed on the way, in words; empty when the array is what the file holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture file, read."""

    grey: Samples
    """Shape (height, width)."""
    info: ImageInfo

    def grey8(self) -> tuple[NDArray[np.uint8], ImageInfo]:
        """The picture in 8 bit: 16 bit is divided by 257, whatever the values are; the info says so."""
        if self.grey.dtype == np.uint8:
            return self.grey.astype(np.uint8, copy=False), self.info
        scaled = np.empty(self.grey.shape, np.uint8)
        for first in range(0, len(self.grey), _BAND_ROWS):
            # In bands, or the rounding would need several times the picture's memory.
            band = self.grey[first : first + _BAND_ROWS].astype(np.uint32)
            scaled[first : first + _BAND_ROWS] = (band + 128) // 257
        note = "16 bit scaled to 8 by value/257 (65535 becomes 255)"
        return scaled, replace(self.info, notes=(*self.info.notes, note))


def read_image(path: Path) -> Image:
    """Read one picture as grey.

    Args:
        path: a PNG, JPEG, TIFF, BMP, WebP, PGM or PPM file of at most 1 gigapixel.

    Returns:
        uint8 for files of up to 8 bit a sample, uint16 for 16 bit. Colour becomes grey by
        0.299 R + 0.587 G + 0.114 B and transparency is dropped; the info notes both. A JPEG's rotation tag is not
        applied: pixel coordinates are those of the sensor.

    Raises:
        FrameError: the file cannot be used; the message names it, says what is wrong and what to do.
    """
    data = _bytes(path)
    header = image_header(data)
    if header is None:
        raise FrameError(
            f"{path}: not a picture (starts with {data[:8].hex(' ')}): "
            "give a PNG, JPEG, TIFF, BMP, WebP, PGM or PPM file"
        )
    _check_header(path, header, len(data))
    decoded = _decoded(path, data, header)
    return _grey(path, decoded, header, hashlib.sha256(data).hexdigest())


def image_paths(paths: Iterable[Path]) -> Iterator[Path]:
    """The picture files meant by files and folders: folders recursively, sorted, by suffix; files as they are.

    Hidden files and folders inside a given folder are passed over. A file that is named is always given, so that
    a wrong one gets its error instead of silence.

    Raises:
        FrameError: a path does not exist, or a folder holds no picture.
    """
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise FrameError(f"{path}: no such file or folder: check the path")
            yield path
            continue
        found = False
        for inside in _sorted_files(path):
            if inside.suffix.lower() in SUFFIXES:
                found = True
                yield inside
        if not found:
            raise FrameError(
                f"{path}: no picture in this folder: give one with {' '.join(sorted(SUFFIXES))} files in it or below"
            )


def iter_images(paths: Iterable[Path]) -> Iterator[tuple[Path, Image | FrameError]]:
    """Read pictures one after the other: one is in memory at a time, and a bad one does not stop the rest.

    Args:
        paths: files and folders, expanded as by ``image_paths``.

    Yields:
        The file's path with the picture, or with the error that says why there is none.
    """
    for path in paths:
        try:
            for file in image_paths([path]):
                yield file, _read_or_error(file)
        except FrameError as error:
            yield path, error


def _read_or_error(path: Path) -> Image | FrameError:
    try:
        return read_image(path)
    except FrameError as error:
        log.warning("%s", error)
        return error


def _sorted_files(folder: Path) -> Iterator[Path]:
    """Depth first and sorted; a folder at a time is in memory. Links to folders are not followed."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise FrameError(f"{folder}: cannot be listed ({error.strerror}): check the rights") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not entry.is_symlink():
                yield from _sorted_files(entry)
        elif entry.is_file():
            yield entry


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise FrameError(f"{path}: a folder, not a picture: give a file, or let the folder be expanded by image_paths")
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE_BYTES:
            raise FrameError(
                f"{path}: {size / 1e9:.1f} GB, at most {LARGEST_FILE_BYTES / 1e9:.0f} GB are read: cut it into strips"
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise FrameError(f"{path}: no such file: check the path") from None
    except OSError as error:
        raise FrameError(f"{path}: cannot be read ({error.strerror}): check the rights and the disk") from error
    if not data:
        raise FrameError(f"{path}: empty file (0 bytes): copy or record it again")
    return data


def _check_header(path: Path, header: ImageHeader, file_bytes: int) -> None:
    size = f"{header.width_px}x{header.height_px} px"
    pixels = header.width_px * header.height_px
    if pixels > LARGEST_PIXELS:
        raise FrameError(
            f"{path}: header says {size} ({pixels / 1e9:.3g} gigapixel), at most {LARGEST_PIXELS / 1e9:.0f} gigapixel "
            "is read: cut it into strips, or record it again if it should be smaller"
        )
    if not header.complete:
        raise FrameError(f"{path}: {header.format} file ends early after {file_bytes} bytes: copy or record it again")
    if pixels < 1:
        raise FrameError(f"{path}: header says {size}: the file is damaged, copy or record it again")


def _decoded(path: Path, data: bytes, header: ImageHeader) -> Samples:
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FrameError(f"{path}: {header.format} file cannot be decoded ({error.err}): record it again") from error
    except MemoryError:
        raise FrameError(
            f"{path}: {header.width_px}x{header.height_px} px do not fit into memory: cut it into strips"
        ) from None
    if decoded is None:
        raise FrameError(
            f"{path}: {header.format} file of {header.width_px}x{header.height_px} px is damaged or of a kind "
            "that is not supported: copy it again, or save it as PNG"
        )
    if decoded.dtype == np.uint8:
        return np.asarray(decoded, dtype=np.uint8)
    if decoded.dtype == np.uint16:
        return np.asarray(decoded, dtype=np.uint16)
    raise FrameError(
        f"{path}: samples are {decoded.dtype}, 8 or 16 bit unsigned are read: save it as 16-bit PNG or TIFF "
        "with the scale you mean"
    )


def _grey(path: Path, decoded: Samples, header: ImageHeader, sha256: str) -> Image:
    notes = ["first of several pages"] if header.more_pages else []
    channels = 1 if decoded.ndim == 2 else decoded.shape[2]
    if channels == 1:
        grey: Samples = decoded.reshape(decoded.shape[:2])
    elif channels in {3, 4}:
        turned = cv2.cvtColor(decoded, cv2.COLOR_BGR2GRAY if channels == 3 else cv2.COLOR_BGRA2GRAY)
        grey = np.asarray(turned, dtype=np.uint8) if decoded.dtype == np.uint8 else np.asarray(turned, dtype=np.uint16)
        notes.append(f"colour turned to grey by {_GREY_WEIGHTS}")
        if channels == 4:
            notes.append("transparency dropped")
    else:
        raise FrameError(f"{path}: {channels} channels, 1, 3 or 4 are read: save one channel as grey")
    info = ImageInfo(
        path=path,
        width_px=grey.shape[1],
        height_px=grey.shape[0],
        format=header.format,
        file_bits=8 * decoded.dtype.itemsize,
        file_channels=channels,
        sha256=sha256,
        notes=tuple(notes),
    )
    return Image(grey=grey, info=info)

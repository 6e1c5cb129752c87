"""Size and completeness of a picture file from its header alone, before a decoder takes memory for it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

_PNM = re.compile(rb"P([1-6])(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s(?:(?:\s|#[^\n]*\n)*(\d{1,5})\s)?")
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
_TIFF_SIZES = {1: "B", 2: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What a file says of itself."""

    format: str
    width_px: int
    height_px: int
    complete: bool
    """False when the file ends before its own structure does; decoders fill the rest with grey and say nothing."""
    more_pages: bool = False


def image_header(data: bytes) -> ImageHeader | None:
    """The header of a PNG, JPEG, TIFF, BMP, WebP or PNM file; None when it is none of these.

    A header that breaks off gives 0x0 px and ``complete=False``.
    """
    for name, begins, read in _FORMATS:
        if begins(data):
            try:
                return read(data)
            except (struct.error, IndexError):
                return ImageHeader(format=name, width_px=0, height_px=0, complete=False)
    return None


def _png(data: bytes) -> ImageHeader:
    width, height = struct.unpack_from(">II", data, 16)
    at = 8
    complete = False
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if kind == b"IEND":
            complete = at <= len(data)
            break
    return ImageHeader(format="PNG", width_px=width, height_px=height, complete=complete)


def _jpeg(data: bytes) -> ImageHeader:
    width = height = 0
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        marker = data[at + 1]
        length = int(struct.unpack_from(">H", data, at + 2)[0])
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
        at += 2 + length
        if marker == 0xDA or data[at] != 0xFF:
            break
    return ImageHeader(format="JPEG", width_px=width, height_px=height, complete=data.find(b"\xff\xd9", at) > 0)


def _tiff(data: bytes) -> ImageHeader:
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    offset_type, count_type, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    start = int(struct.unpack_from(order + offset_type, data, 8 if big else 4)[0])
    entries = int(struct.unpack_from(order + count_type, data, start)[0])
    at = start + struct.calcsize(count_type)
    tags: dict[int, tuple[int, ...]] = {}
    for k in range(entries):
        tag, values = _tiff_entry(data, order, at + k * entry_bytes, big=big)
        tags[tag] = values
    following = int(struct.unpack_from(order + offset_type, data, at + entries * entry_bytes)[0])
    starts = tags.get(273, ()) + tags.get(324, ())
    sizes = tags.get(279, ()) + tags.get(325, ())
    ends = [begin + size for begin, size in zip(starts, sizes, strict=False)]
    return ImageHeader(
        format="TIFF",
        width_px=(tags.get(256) or (0,))[0],
        height_px=(tags.get(257) or (0,))[0],
        complete=bool(ends) and max(ends) <= len(data),
        more_pages=following != 0,
    )


def _tiff_entry(data: bytes, order: str, at: int, *, big: bool) -> tuple[int, tuple[int, ...]]:
    """Tag number and its values; no values for the types that are not looked at."""
    tag, kind = struct.unpack_from(f"{order}HH", data, at)
    count = int(struct.unpack_from(order + ("Q" if big else "I"), data, at + 4)[0])
    value_at, inline = (at + 12, 8) if big else (at + 8, 4)
    if tag not in {256, 257, 273, 279, 324, 325} or kind not in _TIFF_SIZES:
        return tag, ()
    size = struct.calcsize(_TIFF_SIZES[kind])
    if count * size > inline:
        value_at = int(struct.unpack_from(order + ("Q" if big else "I"), data, value_at)[0])
    if value_at + count * size > len(data):
        raise IndexError
    return tag, struct.unpack_from(f"{order}{count}{_TIFF_SIZES[kind]}", data, value_at)


def _bmp(data: bytes) -> ImageHeader:
    pixels_at, _, width, height = struct.unpack_from("<IIii", data, 10)
    bits, compression = struct.unpack_from("<HI", data, 28)
    needed = pixels_at + (width * bits + 31) // 32 * 4 * abs(height) if compression == 0 else pixels_at
    return ImageHeader(format="BMP", width_px=width, height_px=abs(height), complete=needed <= len(data))


def _webp(data: bytes) -> ImageHeader:
    complete = struct.unpack_from("<I", data, 4)[0] + 8 <= len(data)
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return ImageHeader(format="WebP", width_px=width, height_px=height, complete=complete)


def _pnm(data: bytes) -> ImageHeader:
    match = _PNM.match(data)
    if match is None:
        raise IndexError
    kind, width, height = (int(match[k]) for k in (1, 2, 3))
    samples = width * height * (3 if kind in {3, 6} else 1)
    if kind == 4:
        needed = (width + 7) // 8 * height
    elif kind in {5, 6}:
        needed = samples * (2 if int(match[4] or 0) > 255 else 1)
    else:
        needed = samples
    return ImageHeader(format="PNM", width_px=width, height_px=height, complete=match.end() + needed <= len(data))


def _starts(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(magics)


_FORMATS: tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes], ImageHeader]], ...] = (
    ("PNG", _starts(b"\x89PNG\r\n\x1a\n"), _png),
    ("JPEG", _starts(b"\xff\xd8\xff"), _jpeg),
    ("TIFF", _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    ("BMP", _starts(b"BM"), _bmp),
    ("WebP", lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    ("PNM", lambda data: re.match(rb"P[1-6]\s", data) is not None, _pnm),
)

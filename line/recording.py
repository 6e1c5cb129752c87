"""A recording of the wires: what an OPC-UA server said, the frames, and the events, with the time of each.

recording.json   what, when, how long
opcua.jsonl      value changes and part records
frames.jsonl     when each frame appeared, and in which spool
frames/<spool>/  the frames
events.jsonl     every event on the bus
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from line.errors import MessageError, NotFoundError
from line.events import Quality

HEADER_FILE = "recording.json"
OPCUA_FILE = "opcua.jsonl"
FRAMES_FILE = "frames.jsonl"
EVENTS_FILE = "events.jsonl"


class RecordingHeader(Struct, frozen=True, kw_only=True):
    """What a recording is of."""

    line: str
    """Name of the line model."""
    started_ns: int
    """Wall time."""
    seconds: float
    simulated: bool
    version: str


class RecordedChange(Struct, frozen=True, kw_only=True, tag_field="row", tag="change"):
    """A variable of the address space changed."""

    after_s: float
    """Wall time since the start."""
    path: str
    """Identifier of the node, as `line.address` spells it."""
    value: float | int | str | bool | None
    quality: Quality
    source_ns: int


class RecordedPart(Struct, frozen=True, kw_only=True, tag_field="row", tag="part"):
    """A station wrote a part record."""

    after_s: float
    station: str
    counter: int
    record: str


class RecordedFrame(Struct, frozen=True, kw_only=True):
    """A frame appeared."""

    after_s: float
    spool: str
    file: str


class RecordedEvent(Struct, frozen=True, kw_only=True):
    """An event was on the bus."""

    after_s: float
    topic: str
    event: msgspec.Raw


_Row = TypeVar("_Row")


def read_header(folder: Path) -> RecordingHeader:
    """What a recording is of.

    Raises:
        NotFoundError: the folder holds no recording.
        MessageError: its header is wrong.
    """
    for header in read_rows(folder / HEADER_FILE, RecordingHeader):
        return header
    raise NotFoundError(f"{folder}: no recording; `lamella wires record` makes one")


def read_rows(path: Path, kind: type[_Row]) -> Iterator[_Row]:
    """Rows of one of the files, in order; none when it does not exist.

    Raises:
        MessageError: names file, line and field of a row that is wrong.
    """
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            try:
                yield decoder.decode(text)
            except msgspec.DecodeError as error:
                raise MessageError(f"{path}, line {number}: {error}") from error

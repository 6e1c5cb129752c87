"""Identifiers: time-ordered event ids and the readable names of rolls, sheets, stacks and cells."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC, datetime

_NS_PER_MS = 1_000_000
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PLAIN_IS = "letters, digits and . _ -, at most 64, the first a letter or digit"
"""For messages: what `is_plain` holds of."""


def event_id(at_ns: int, key: str | None = None) -> str:
    """A UUIDv7 (RFC 9562) for an event at plant time `at_ns`.

    With a `key` the random part is a hash of it, so that reading the same record twice gives the same id:
    a part record re-read from a PLC after a reconnect is recognised as the one already known.
    """
    noise = hashlib.sha256(f"{at_ns}:{key}".encode()).digest()[:10] if key is not None else os.urandom(10)
    value = (at_ns // _NS_PER_MS) << 80 | int.from_bytes(noise, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def roll_id(web: str, at_ns: int, line_number: int, number: int) -> str:
    """`R-YYMMDD-line-nnn` with the web's letter in front: `FR-261124-1-003` is a film roll."""
    day = datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%y%m%d")
    return f"{web[0].upper()}R-{day}-{line_number}-{number:03d}"


def sheet_id(roll: str, lane: int, start_um: int) -> str:
    """Roll, lane and start position: the content of the sheet's data-matrix code."""
    return f"{roll}/{lane}/{start_um // 1000:06d}"


def is_plain(name: str) -> bool:
    """Whether a name from outside can stand in addresses, file names and the identifiers made of it."""
    return _PLAIN.fullmatch(name) is not None


def iso(at_ns: int) -> str:
    """Plant time as ISO 8601 with milliseconds and `Z`, as shown outside."""
    moment = datetime.fromtimestamp(at_ns // _NS_PER_MS / 1e3, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Part records: read from a station's ring until its counter is reached, so that none is missed unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from line import events
from line.address import RING_SIZE
from line.errors import MessageError
from line.events import MaterialEvent
from line.ids import event_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What a look at a ring brought."""

    found: tuple[MaterialEvent, ...]
    lost_count: int
    """Records overwritten before they were read."""
    refused: tuple[str, ...]
    """What is wrong with the records that are none."""


def records_between(ring: Sequence[str], seen: int, counter: int) -> Records:
    """Records `seen + 1` to `counter` of a station.

    Args:
        ring: record n as JSON at index n % RING_SIZE.
        seen: the last record known; 0 for none.
        counter: records ever written. Lower than `seen` means that the PLC began anew, then all are read.

    An event's id is a hash of its station, time and number: a record read twice is one event.
    """
    start = seen if seen <= counter else 0
    oldest = max(start, counter - RING_SIZE)
    found: list[MaterialEvent] = []
    refused: list[str] = []
    for number in range(oldest + 1, counter + 1):
        try:
            event = events.decoded(ring[number % RING_SIZE])
        except MessageError as error:
            refused.append(f"record {number}: {error}")
            continue
        if isinstance(event, MaterialEvent) and event.counter == number:
            found.append(event)
        else:
            refused.append(f"record {number}: a {type(event).__name__} with another number stands there")
    return Records(found=tuple(found), lost_count=oldest - start, refused=tuple(refused))


def part_id(event: MaterialEvent) -> str:
    """The id that a part record always gets."""
    return event.id or event_id(event.at_ns, f"{event.station}:{event.counter}")

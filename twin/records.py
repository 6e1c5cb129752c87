"""Records of rolls and sheets, and which of two records of the same thing counts: the later, whatever came first."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from line.events import Event, TagSample

_Key = TypeVar("_Key")
_Record = TypeVar("_Record", bound=tuple[object, ...])
_E = TypeVar("_E", bound=Event)


class Cut(NamedTuple):
    """A sheet was cut out of a roll. The latest record of a sheet counts."""

    at_ns: int
    seq: int
    sheet: str
    kind: str
    roll: str
    lane: int
    start_um: int
    end_um: int
    outcome: str


class RollRecord(NamedTuple):
    """A roll was started or ended. The latest record counts."""

    at_ns: int
    seq: int
    web: str
    batch: str
    length_um: int
    recipe: str = ""


def keep(table: dict[_Key, _Record], key: _Key, record: _Record) -> None:
    """Put a record in its place unless a larger one stands there."""
    known = table.get(key)
    if known is None or record > known:
        table[key] = record


def keep_event(table: dict[str, _E], key: str, event: _E) -> None:
    """Put an event in its place unless a later one stands there."""
    known = table.get(key)
    if known is None or event_order(event) > event_order(known):
        table[key] = event


def event_order(event: Event) -> tuple[int, int, str, str]:
    """By which the later of two events is told."""
    return event.at_ns, event.seq, event.source, event.id


def sample_order(sample: TagSample) -> tuple[int, str, bool, float]:
    """By which the later of two samples of a tag is told."""
    return sample.source_ns, sample.quality, sample.value is not None, sample.value or 0.0

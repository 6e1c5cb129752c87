"""Stacks and cells: their layers, the stations they have passed, and where they are.

The position of a unit is the largest progress that was heard of it, progress being station in line order, visit and
phase. That is a join: order and repetition do not matter, and a later event repairs a lost one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from line.events import LayerInspected, Reading
from line.queries import StepView

ENTERED = 0
LEFT = 1

Progress = tuple[int, int, int]
"""Station in line order, visit, phase."""
NOWHERE: Progress = (-1, 0, 0)

_inspection_encoder = msgspec.msgpack.Encoder()
_inspection_decoder = msgspec.msgpack.Decoder(LayerInspected)


class Move(NamedTuple):
    """A unit entered or left a station. Of two for the same progress the larger one counts."""

    at_ns: int
    seq: int
    place: str
    outcome: str
    reason: str
    readings: tuple[Reading, ...]


class Placed(NamedTuple):
    """A sheet lies on a stack. The latest one counts."""

    at_ns: int
    seq: int
    stack: str
    layer: int
    sheet: str
    kind: str


class Looked(NamedTuple):
    """A layer was inspected; the event as bytes, which take a quarter of its memory."""

    at_ns: int
    seq: int
    payload: bytes

    @classmethod
    def at(cls, event: LayerInspected) -> Looked:
        """The record of an inspection."""
        return cls(event.at_ns, event.seq, _inspection_encoder.encode(event))

    @property
    def event(self) -> LayerInspected:
        """The inspection as it was heard."""
        return _inspection_decoder.decode(self.payload)


class Unit:
    """Anything that moves through stations: a batch, a roll, a sheet, a stack, a cell."""

    __slots__ = ("moves", "progress", "scrap", "unit")

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.moves: dict[Progress, Move] = {}
        self.progress = NOWHERE
        self.scrap: tuple[int, int, str] | None = None
        """First station, time and reason at which it was scrapped."""

    def add(self, progress: Progress, move: Move) -> None:
        """Take note of a move."""
        known = self.moves.get(progress)
        if known is None or move > known:
            self.moves[progress] = move
        self.advance(progress)
        if move.outcome == "scrap":
            scrap = (progress[0], move.at_ns, move.reason)
            self.scrap = scrap if self.scrap is None else min(self.scrap, scrap)

    def advance(self, progress: Progress) -> None:
        """It has come at least so far."""
        if progress > self.progress:
            self.progress = progress


class Stack:
    """A stack: what lies on it and what was seen of that."""

    __slots__ = ("layers", "looks", "stack", "started_ns")

    def __init__(self, stack: str) -> None:
        self.stack = stack
        self.layers: dict[int, Placed] = {}
        self.looks: dict[int, Looked] = {}
        self.started_ns = 0
        """Earliest plant time heard of it, 0 while there is none."""

    def since(self, at_ns: int) -> None:
        """It existed at this time."""
        if self.started_ns == 0 or at_ns < self.started_ns:
            self.started_ns = at_ns


def steps_of(units: Iterable[Unit], stations: tuple[str, ...]) -> tuple[StepView, ...]:
    """Stays at stations in line order, of one thing under its several names; a time that is not known is 0."""
    stays: dict[tuple[int, int], dict[int, Move]] = {}
    for unit in units:
        for (station, visit, phase), move in unit.moves.items():
            stay = stays.setdefault((station, visit), {})
            stay[phase] = max(move, stay.get(phase, move))
    return tuple(_steps(stays, stations))


def _steps(stays: dict[tuple[int, int], dict[int, Move]], stations: tuple[str, ...]) -> Iterator[StepView]:
    for (station, _visit), phases in sorted(stays.items()):
        entered, left = phases.get(ENTERED), phases.get(LEFT)
        both = [move for move in (entered, left) if move is not None]
        last = both[-1]
        readings = {reading.tag: reading.value for move in both for reading in move.readings}
        yield StepView(
            station=stations[station],
            entered_ns=entered.at_ns if entered else 0,
            left_ns=left.at_ns if left else 0,
            place=last.place or both[0].place,
            outcome=last.outcome,
            readings=tuple(sorted(readings.items())),
        )

"""The engine of the line's discrete events: a heap of what comes next, the stations' states, the part records.

What comes next is kept by name (`side`, `method`, arguments), so that a line can be saved in the middle of a stack. A
part record that lies ahead waits until its time; counters and ids are given when it is due, in order of time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from line.events import Material, MaterialEvent, PackMLState, StationState, UnitMode
from line.ids import event_id
from line.model import LineModel
from plant.hidden import Hidden
from plant.shifts import NS, Shifts

UNMANNED = frozenset({"S00", "S16", "S17", "S18"})
"""Stations that run day and night."""


class Side(Protocol):
    """A part of the line that acts when its time has come."""

    name: str


@dataclass(slots=True, kw_only=True)
class Machine:
    """A station's state, counters, and how long it will still run before it fails."""

    code: str
    state: PackMLState = "Idle"
    mode: UnitMode = "Producing"
    reason: str = ""
    since_ns: int = 0
    speed: float = 0.0
    blocked: bool = False
    starved: bool = False
    processed: int = 0
    defective: int = 0
    counter: int = 0
    changes: int = 0
    until_failure_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A breakdown within a piece of work."""

    after_s: float
    """Of work done."""
    repair_s: float
    reason: str


class Engine:
    """Heap, states and records.

    Args:
        began_ns: when the line's life begins.
    """

    def __init__(self, line: LineModel, hidden: Hidden, *, seed: int, began_ns: int) -> None:
        self.line = line
        self.hidden = hidden
        self.shifts = Shifts(line.calendar)
        self.rng = np.random.default_rng([seed, 0xF0])
        self.now_ns = began_ns
        self.name = "engine"
        self.sides: dict[str, Side] = {"engine": self}
        self._number = 0
        self._coming: list[tuple[int, int, str, str, tuple[Any, ...]]] = []
        self._records: list[tuple[int, int, type[Material], dict[str, Any]]] = []
        self._due: list[MaterialEvent] = []
        self._changes: list[StationState] = []
        self.machines: dict[str, Machine] = {}
        for row in line.stations:
            self.machines[row.code] = Machine(
                code=row.code,
                state="Execute" if row.code in UNMANNED else "Stopped",
                since_ns=began_ns,
                until_failure_s=float(self.rng.exponential(row.mtbf_h * 3600)),
            )

    def call_at(self, at_ns: int, side: Side, method: str, *arguments: Any) -> None:
        """Let a method of a side be called when the time has come."""
        if at_ns < self.now_ns:
            raise ValueError(f"{side.name}.{method} at {at_ns} ns lies before now, {self.now_ns} ns")
        self._number += 1
        heapq.heappush(self._coming, (at_ns, self._number, side.name, method, arguments))

    def advance(self, to_ns: int) -> None:
        """Let everything happen that is due up to a time."""
        while self._coming and self._coming[0][0] <= to_ns:
            at_ns, _, side, method, arguments = heapq.heappop(self._coming)
            self.now_ns = at_ns
            act: Callable[..., None] = getattr(self.sides[side], method)
            act(*arguments)
        self.now_ns = to_ns
        self._release(to_ns)

    def work(self, code: str, work_s: float, side: Side, then: str, *arguments: Any) -> int:
        """Let a station work, breakdowns included, and call a method of a side when it is done; returns when."""
        stops = self.worked(code, work_s)
        self.turn(code, "Execute")
        at_ns = self.now_ns
        for stop in stops:
            down_ns = at_ns + seconds(stop.after_s)
            self.call_at(down_ns, self, "break_down", code, stop.reason)
            self.call_at(down_ns + seconds(stop.repair_s), self, "repaired", code)
            at_ns += seconds(stop.repair_s)
        end_ns = at_ns + seconds(work_s)
        self.call_at(end_ns, side, then, *arguments)
        return end_ns

    def break_down(self, code: str, reason: str) -> None:
        """A station stands still until it is mended."""
        self.turn(code, "Held", reason=reason, mode="Maintenance")

    def repaired(self, code: str) -> None:
        """A station goes on where it stopped."""
        self.turn(code, "Execute")

    def record(self, at_ns: int, event: type[Material], station: str, /, **fields: Any) -> None:
        """Write a part record, now or for a time ahead."""
        self._number += 1
        fields["station"] = station
        heapq.heappush(self._records, (at_ns, self._number, event, fields))

    def take_records(self) -> list[MaterialEvent]:
        """Part records that became due since the last take."""
        taken, self._due = self._due, []
        return taken

    def take_changes(self) -> list[StationState]:
        """Changes of state since the last take."""
        taken, self._changes = self._changes, []
        return taken

    def states(self) -> list[StationState]:
        """Every station now."""
        return [self._state_of(machine) for machine in self.machines.values()]

    def turn(
        self, code: str, state: PackMLState, *, reason: str = "", mode: UnitMode = "Producing",
        blocked: bool = False, starved: bool = False,
    ) -> None:  # fmt: skip
        """Put a station into a state; nothing happens when it is in it."""
        machine = self.machines[code]
        if (state, mode, reason, blocked, starved) == (
            machine.state, machine.mode, machine.reason, machine.blocked, machine.starved,
        ):  # fmt: skip
            return
        machine.state, machine.mode, machine.reason = state, mode, reason
        machine.blocked, machine.starved = blocked, starved
        machine.since_ns = self.now_ns
        machine.changes += 1
        row = self.line.station(code)
        machine.speed = (row.speed_m_per_min or 1.0) if state == "Execute" else 0.0
        self._changes.append(self._state_of(machine))

    def manned(self, code: str = "S03") -> bool:
        """Whether a station may start something now."""
        return code in UNMANNED or self.shifts.interval_at(self.now_ns) is not None

    def closes_ns(self) -> int:
        """End of the present shift; now when nobody is there."""
        interval = self.shifts.interval_at(self.now_ns)
        return interval[1] if interval else self.now_ns

    def worked(self, code: str, work_s: float) -> list[Stop]:
        """Let a station work; returns the breakdowns that happen within that work, in order."""
        machine, row = self.machines[code], self.line.station(code)
        stops, done_s = [], 0.0
        while machine.until_failure_s < work_s - done_s:
            done_s += machine.until_failure_s
            stops.append(
                Stop(
                    after_s=done_s,
                    repair_s=float(self.rng.lognormal(-0.125, 0.5)) * row.mttr_min * 60,
                    reason=str(self.rng.choice(row.stop_causes)),
                )
            )
            machine.until_failure_s = float(self.rng.exponential(row.mtbf_h * 3600))
        machine.until_failure_s -= work_s - done_s
        return stops

    def scrap_fraction(self, code: str, fraction: float | None = None) -> float:
        """Share of parts that a station spoils, on this line."""
        row = self.line.station(code)
        published = 1 - (row.step_yield_fraction or 1.0) if fraction is None else fraction
        return min(published * self.hidden.scrap_factor.get(code, 1.0), 1.0)

    def spoils(self, code: str, fraction: float | None = None) -> str:
        """Why a station spoils the part before it; empty when it does not."""
        if self.rng.random() >= self.scrap_fraction(code, fraction):
            return ""
        return str(self.rng.choice(self.line.station(code).stop_causes))

    def _release(self, to_ns: int) -> None:
        while self._records and self._records[0][0] <= to_ns:
            at_ns, _, kind, fields = heapq.heappop(self._records)
            machine = self.machines[fields["station"]]
            machine.counter += 1
            identity = event_id(at_ns, f"{machine.code}:{machine.counter}")
            event: Any = kind(at_ns=at_ns, simulated=True, id=identity, counter=machine.counter, **fields)
            self._due.append(event)

    def _state_of(self, machine: Machine) -> StationState:
        return StationState(
            at_ns=machine.since_ns,
            simulated=True,
            id=event_id(machine.since_ns, f"{machine.code}:state:{machine.changes}"),
            station=machine.code,
            state=machine.state,
            mode=machine.mode,
            stop_reason=machine.reason,
            speed=machine.speed,
            blocked=machine.blocked,
            starved=machine.starved,
            processed_count=machine.processed,
            defective_count=machine.defective,
        )


def seconds(value: float) -> int:
    """Seconds as nanoseconds."""
    return int(value * NS)

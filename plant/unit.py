"""A stack on its way to become a cell, and its part records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from line.events import Phase, Reading, UnitKind, UnitMoved
from plant.cells import CellFate, Layer, PressCycle
from plant.flow import Engine


@dataclass(slots=True, kw_only=True)
class Unit:
    """A stack, which becomes a cell."""

    stack: str
    began_ns: int
    layers: list[Layer]
    cell: str = ""
    number: int = 0
    overhang_um: float = 0.0
    waits_since_ns: int = 0
    press: PressCycle | None = None
    bagged_ns: int = 0
    fate: CellFate | None = None
    place: str = ""

    @property
    def name(self) -> str:
        return self.cell or self.stack

    @property
    def kind(self) -> UnitKind:
        return "cell" if self.cell else "stack"

    def record(
        self, engine: Engine, code: str, phase: Phase, *, readings: tuple[Reading, ...] = (), reason: str = ""
    ) -> None:
        """Write that it entered or left a station; a reason on leaving says that it goes no further."""
        engine.record(
            engine.now_ns,
            UnitMoved,
            code,
            unit=self.name,
            kind=self.kind,
            phase=phase,
            place=self.place,
            outcome="scrap" if reason and phase == "left" else "ok",
            reason=reason,
            readings=readings,
        )


class Names:
    """Names of stacks and cells: letter, day, line and number of the day."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def next(self, letter: str, at_ns: int) -> str:
        """The next name of a day, `ST-261124-1-007`."""
        key = f"{letter}-{datetime.fromtimestamp(at_ns / 1e9, UTC):%y%m%d}"
        self._numbers[key] = self._numbers.get(key, 0) + 1
        return f"{key}-1-{self._numbers[key]:03d}"

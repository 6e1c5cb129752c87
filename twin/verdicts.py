"""How stacks and cells end, and the lots they make.

A test at end of line; scrap at formation or later counts as failed; scrap in pressing, welding or sealing is a loss of
that step and says nothing of the film (censored); a scrapped stack never was a cell. To leave formation is half a
verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from line.ids import iso
from line.model import LineModel
from twin.state import LineState
from twin.units import LEFT


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a unit ended."""

    at_ns: int
    passed: bool
    electrical: bool
    """False where a step before formation lost it, or where it never was a cell."""
    cell: bool
    """False for a stack that was scrapped before it was pressed."""


@dataclass(slots=True, kw_only=True)
class Lot:
    """Stacks begun on one day."""

    name: str
    units: list[str] = field(default_factory=list)
    open_count: int = 0
    counted: int = 0
    """Cells with a verdict; scrapped stacks are none."""
    passed: int = 0
    ended_ns: int = 0

    @property
    def finished(self) -> bool:
        """Whether all have their verdict, but for one in twenty that may have been lost from sight."""
        return self.counted > 0 and 20 * self.open_count <= len(self.units)


class Judge:
    """Reads verdicts out of a line's state."""

    def __init__(self, line: LineModel, state: LineState) -> None:
        self._state = state
        self.press = next(i for i, row in enumerate(line.stations) if row.kind == "press")
        """Place of the press in line order; a stack that comes so far is a cell to be."""
        names = [row.name for row in line.stations]
        self.formation = names.index("FORM") if "FORM" in names else len(names) - 3
        """Place of formation in line order."""

    def verdict(self, unit: str) -> Verdict | None:
        """How a unit ended, None while it has not."""
        test = self._state.test(unit)
        if test is not None:
            return Verdict(at_ns=test.at_ns, passed=test.passed, electrical=True, cell=True)
        scrap = self._state.scrap(unit)
        if scrap is None:
            return None
        station, at_ns, _ = scrap
        return Verdict(at_ns=at_ns, passed=False, electrical=station >= self.formation, cell=station >= self.press)

    def formed(self, unit: str) -> tuple[int, bool] | None:
        """When a cell left formation and whether it came through; None while it has not left it."""
        scrap = self._state.scrap(unit)
        left = (self.formation, 1, LEFT)
        if self._state.progress(unit) < left or (scrap and scrap[0] < self.formation):
            return None
        moves = [row.moves[left].at_ns for row in self._state.names_of(unit) if left in row.moves]
        return min(moves, default=self._state.started_ns(unit)), not (scrap and scrap[0] == self.formation)

    def step_counts(self, units: Iterable[str]) -> tuple[list[int], list[int]]:
        """Of each step from the press to formation: how many units came through, how many were lost in it."""
        steps = self.formation - self.press
        through, lost = [0] * steps, [0] * steps
        for unit in units:
            scrap = self._state.scrap(unit)
            station = scrap[0] if scrap else self._state.progress(unit)[0]
            for step in range(min(steps, max(0, station - self.press))):
                through[step] += 1
            if scrap and 0 <= station - self.press < steps:
                lost[station - self.press] += 1
        return through, lost

    def lots(self, units: Iterable[str], verdicts: Mapping[str, Verdict]) -> dict[str, Lot]:
        """Lots by name, oldest first."""
        lots: dict[str, Lot] = {}
        for started_ns, unit in sorted((self._state.started_ns(unit), unit) for unit in units):
            name = iso(started_ns)[:10]
            lot = lots.setdefault(name, Lot(name=name))
            lot.units.append(unit)
            verdict = verdicts.get(unit)
            if verdict is None:
                lot.open_count += 1
            elif verdict.cell:
                lot.counted += 1
                lot.passed += verdict.passed
                lot.ended_ns = max(lot.ended_ns, verdict.at_ns)
        return lots

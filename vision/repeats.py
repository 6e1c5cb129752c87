"""Repeats of one class on one roll: found, followed as more arrive, and ended when they stop. Bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log, log1p
from statistics import median

from vision.marks import Mark
from vision.rollers import LEAST_COUNT, PHASE_TOLERANCE, Circumference, folded

LIMIT_P = 1e-3
"""Chance of a false repeat that a roll may have, of all classes, rollers and tests together."""

_NEAR_CD_UM = 3_000
_REMEMBERED = 64
_WHOLE_WIDTH = (12, 24, 48)
"""Latest defects that are folded wherever they lie across the web."""
_LONGEST_TURN = 0.1
"""Of the shortest circumference; what is longer is a line and comes back with nothing."""
_QUIET_P = 1e-3
"""Chance that a repeat which goes on shows nothing for so long; then it has ended."""
_LEAST_QUIET_TURNS = 4


@dataclass(slots=True, kw_only=True)
class Repeat:
    """Defects that come back with a roller."""

    first: str
    """Defect with which it set in, by which the repeat is known."""
    circumference: Circumference
    period_um: float
    p_value: float
    count: int
    turns: int
    """Over which they were counted, those without one too."""
    first_um: int
    latest: deque[Mark]
    ended: bool = False

    @property
    def cd_low_um(self) -> int:
        return min(mark.cd_um for mark in self.latest)

    @property
    def cd_high_um(self) -> int:
        return max(mark.cd_um for mark in self.latest)

    def holds(self, mark: Mark) -> bool:
        """Whether a defect lies where the repeat is due."""
        away = (mark.md_um - self.latest[-1].md_um) / self.period_um
        at_phase = abs(away - round(away)) <= PHASE_TOLERANCE and round(away) >= 1
        across = self.cd_high_um - self.cd_low_um > 2 * _NEAR_CD_UM
        return at_phase and (across or abs(mark.cd_um - median(row.cd_um for row in self.latest)) <= _NEAR_CD_UM)

    def add(self, mark: Mark) -> None:
        """Take in a defect that it holds."""
        self.turns += round((mark.md_um - self.latest[-1].md_um) / self.period_um)
        self.count += 1
        self.latest.append(mark)

    def over_at(self, md_um: int) -> bool:
        """Whether film without it has gone by for longer than chance explains."""
        shown = min(0.99, self.count / (self.turns + 1))
        quiet = max(_LEAST_QUIET_TURNS, ceil(log(_QUIET_P) / log1p(-shown)))
        return md_um - self.latest[-1].md_um > quiet * self.period_um


class RepeatWatch:
    """Repeats of one class on the present roll.

    Args:
        rollers: before the camera.
        classes_count: classes that are folded, over which chance is shared out.
    """

    def __init__(self, rollers: Sequence[Circumference], classes_count: int) -> None:
        self._rollers = rollers
        self._shares = max(1, len(rollers)) * classes_count
        self._longest_um = _LONGEST_TURN * min((row.um for row in rollers), default=0.0)
        self._marks: deque[Mark] = deque(maxlen=_REMEMBERED)
        self._tests = 0
        self.active: list[Repeat] = []

    def forget(self) -> None:
        """Begin a roll."""
        self._marks.clear()
        self._tests = 0
        self.active.clear()

    def grew(self, mark: Mark) -> None:
        """A defect that turned out to be a line is none that can come back."""
        if mark.length_um > self._longest_um:
            kept = [known for known in self._marks if known.defect != mark.defect]
            self._marks = deque(kept, maxlen=_REMEMBERED)

    def came(self, mark: Mark) -> Repeat | None:
        """Take in a defect; the repeat that it belongs to, new or known."""
        if mark.length_um > self._longest_um:
            return None
        for repeat in self.active:
            if repeat.holds(mark):
                repeat.add(mark)
                return repeat
        self._marks.append(mark)
        near = [known for known in self._marks if abs(known.cd_um - mark.cd_um) <= _NEAR_CD_UM]
        found = self._found(near)
        for count in _WHOLE_WIDTH:
            if found is None and len(self._marks) >= count:
                found = self._found(list(self._marks)[-count:])
        return found

    def went_by(self, md_um: int) -> list[Repeat]:
        """Take in how far the film has come; repeats that have ended."""
        over = [repeat for repeat in self.active if repeat.over_at(md_um)]
        for repeat in over:
            repeat.ended = True
            self.active.remove(repeat)
        return over

    def _found(self, marks: Sequence[Mark]) -> Repeat | None:
        if len(marks) < LEAST_COUNT:
            return None
        self._tests += 1
        fold = folded([mark.md_um for mark in marks], self._rollers)
        if fold is None:
            return None
        p_value = min(1.0, fold.p_value * self._shares * self._tests)
        if p_value > LIMIT_P:
            return None
        members = sorted((marks[k] for k in fold.members), key=lambda mark: mark.md_um)
        gone = {mark.defect for mark in members}
        self._marks = deque((mark for mark in self._marks if mark.defect not in gone), maxlen=_REMEMBERED)
        repeat = Repeat(
            first=members[0].defect,
            circumference=fold.circumference,
            period_um=fold.period_um,
            p_value=p_value,
            count=len(members),
            turns=round((members[-1].md_um - members[0].md_um) / fold.period_um),
            first_um=members[0].md_start_um,
            latest=deque(members, maxlen=16),
        )
        self.active.append(repeat)
        return repeat

"""Lines along the web that stay at one place across it: what makes them stays there, too.

A lip that is blocked, or something that touches the film, makes one line after another at the same CD. Their lengths
at one place are added up until so long a line is rarer than the stated rate of false alarms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import hypot, log
from statistics import NormalDist

from line.defect_rows import DefectClass
from vision.marks import Mark

_SAME_PLACE_UM = 1_500
_GAP_UM = 5_000_000
"""Film without the line after which a line at the same place is another one."""
_LENGTH_SPREAD = 1.0
"""Standard deviation of the logarithm of a line's length, its width apart (D)."""
_LEAST_UM = 1_000_000
"""A shorter line does not last, however rare it is."""
_MOST_PLACES = 32
"""Remembered for each class; the one not seen for longest goes."""
_MOST_PIECES = 16


@dataclass(slots=True, kw_only=True)
class Place:
    """A place across the web where lines of a class were seen."""

    first: str
    """What the place is known by: the line with which it set in."""
    cd_um: int
    md_start_um: int
    md_end_um: int
    marks: dict[str, Mark] = field(default_factory=dict)
    """The latest lines, by defect, as long as each is known."""
    earlier_um: int = 0
    """Length of those that are no longer in `marks`."""

    @property
    def length_um(self) -> int:
        return self.earlier_um + sum(mark.length_um for mark in self.marks.values())

    def holds(self, mark: Mark) -> bool:
        """Whether a mark of the class is a piece of what lasts here."""
        here = abs(mark.cd_um - self.cd_um) <= _SAME_PLACE_UM and self.md_start_um <= mark.md_um <= self.md_end_um
        return here and all(mark.roll == row.roll for row in self.marks.values())


class LastingLines:
    """Lines of one class on one roll.

    Args:
        row: a class that is measured by its width.
        rate_per_m2: at which it is usually reported.
        budget_per_m2: false alarms that this class may raise.
    """

    def __init__(self, row: DefectClass, rate_per_m2: float, budget_per_m2: float) -> None:
        self._usual_um = (row.aspect or 1.0) * (row.median_um or 1.0)
        self._spread = hypot(row.sigma_ln or 0.0, _LENGTH_SPREAD)
        self._limit = min(1.0, budget_per_m2 / rate_per_m2)
        self._places: list[Place] = []

    def forget(self) -> None:
        """Begin a roll."""
        self._places.clear()

    def chance(self, length_um: int) -> float:
        """Chance that a line at random is at least as long."""
        return NormalDist().cdf(-log(max(length_um, 1) / self._usual_um) / self._spread)

    def came(self, mark: Mark) -> Place | None:
        """Take in a line, or a longer sighting of one; its place when it lasts."""
        place = next((row for row in self._places if mark.defect in row.marks), None) or self._near(mark)
        if place is None:
            place = Place(
                first=f"line {mark.defect}", cd_um=mark.cd_um, md_start_um=mark.md_start_um, md_end_um=mark.md_end_um
            )
            self._places.append(place)
            if len(self._places) > _MOST_PLACES:
                self._places.remove(min(self._places, key=lambda row: row.md_end_um))
        place.marks[mark.defect] = mark
        if len(place.marks) > _MOST_PIECES:
            place.earlier_um += place.marks.pop(next(iter(place.marks))).length_um
        place.cd_um = mark.cd_um
        place.md_end_um = max(place.md_end_um, mark.md_end_um)
        lasts = place.length_um >= _LEAST_UM and self.chance(place.length_um) <= self._limit
        return place if lasts else None

    def went_by(self, md_um: int) -> list[Place]:
        """Take in how far the film has come; places whose lines have ended."""
        over = [row for row in self._places if md_um - row.md_end_um > _GAP_UM]
        if over:
            self._places = [row for row in self._places if row not in over]
        return over

    def _near(self, mark: Mark) -> Place | None:
        here = [row for row in self._places if abs(row.cd_um - mark.cd_um) <= _SAME_PLACE_UM]
        return min(here, key=lambda row: abs(row.cd_um - mark.cd_um), default=None)

"""What lies between the stations of the web half, as it really is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from line.events import SheetKind
from line.relations_cell import moisture_factor
from plant.film_roll import FilmRoll
from plant.shifts import NS

_USUAL_HOOD_PA = 0.535
"""Water over ice at -65 °C."""
_CASTER_UM = 10_000_000
"""From the die to the rewinder."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """A slurry batch."""

    batch: str
    values: dict[str, float]
    left_um: int
    """Film that can still be coated from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Where the film on one face of a laminate really comes from."""

    roll: FilmRoll
    pieces: tuple[tuple[int, int, int, int], ...]
    """Start and end on the laminate, start and end on the film as coated; reversed where start is above end."""

    def film_um(self, start_um: float, end_um: float) -> list[tuple[float, float]]:
        """Film that lies under a stretch of the laminate, low end first."""
        found = []
        for child_start, child_end, parent_start, parent_end in self.pieces:
            low, high = max(start_um, child_start), min(end_um, child_end)
            if low < high:
                share = (parent_end - parent_start) / (child_end - child_start)
                ends = (parent_start + (low - child_start) * share, parent_start + (high - child_start) * share)
                found.append((min(ends), max(ends)))
        return found


@dataclass(slots=True, kw_only=True)
class LaminateRoll:
    """Anode foil with film on both faces, as it really is."""

    roll: str
    length_um: int
    faces: dict[str, Face]
    stretch: float = 0.0
    porosity: float = 0.45
    line_load: float = 400.0
    roll_temperature_c: float = 60.0


@dataclass(slots=True, kw_only=True)
class CathodeRoll:
    """A coated cathode web."""

    roll: str
    length_um: int
    loading_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A sheet that lies in a magazine."""

    sheet: str
    kind: SheetKind
    web: LaminateRoll | CathodeRoll
    lane: int
    start_um: int
    end_um: int
    cut_ns: int
    error_x_um: float
    error_y_um: float


@dataclass(slots=True, kw_only=True)
class FilmRun:
    """The film roll that is being coated, and how far its web has come."""

    roll: FilmRoll
    batch: Batch
    encoder_um: int = 0
    """At the last step or stop."""
    since_ns: int = 0
    speed_m_per_min: float = 1.0
    running: bool = True
    step: int = 0

    def encoder_at(self, at_ns: int) -> int:
        """Web travel at a time after the last step."""
        if not self.running:
            return self.encoder_um
        travelled = self.speed_m_per_min * 1e6 / 60 * (at_ns - self.since_ns) / NS
        return min(self.encoder_um + int(travelled), (self.step + 1) * self.roll.step_um)


@dataclass(slots=True, kw_only=True)
class Cutting:
    """A web that lies under the laser, and how much of it is cut."""

    web: LaminateRoll | CathodeRoll
    row: int = 0


@dataclass(slots=True, kw_only=True)
class Stores:
    """What lies between the stations of the web half."""

    batches: deque[Batch] = field(default_factory=deque)
    film: deque[FilmRoll] = field(default_factory=deque)
    anode: deque[str] = field(default_factory=deque)
    cathode: deque[CathodeRoll] = field(default_factory=deque)
    laminate: deque[LaminateRoll] = field(default_factory=deque)
    calendered: deque[LaminateRoll] = field(default_factory=deque)
    sheets: dict[str, deque[Sheet]] = field(default_factory=lambda: {"laminate": deque(), "cathode": deque()})


def film_moisture(roll: FilmRoll, md_um: float, scale: float) -> float:
    """Water dose of film while it ran through the caster, above the usual one [Pa h]."""
    if len(roll.moments) < 2:
        return 0.0
    first = min(max(int(md_um // roll.step_um), 0), len(roll.moments) - 1)
    last = min(first + _CASTER_UM // roll.step_um, len(roll.moments) - 1)
    before, after = roll.moments[first], roll.moments[last]
    hours = (after.at_ns - before.at_ns) / 3.6e12
    return scale * max(after.hood_dose_pa_h - before.hood_dose_pa_h - _USUAL_HOOD_PA * hours, 0.0)


def conductivity_left(excess_dose_pa_h: float) -> float:
    """Share of conductivity left after a dose above the usual one (R09)."""
    left: float = moisture_factor(max(excess_dose_pa_h, 0.0))
    return left

"""What is so at this moment everywhere on the line: tags, conditions, faults, moisture, the cameras' health."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from typing import Any

import numpy as np

from line.model import LineModel
from line.relations_cell import water_pressure_pa
from plant.film_roll import Locus
from plant.hidden import Hidden
from plant.scenario import ActiveScenario, RollChange
from plant.tags import TagField, Values, door_open
from plant.truth_types import CameraHealth

_KEPT_S = 20 * 86400.0


class Surroundings:
    """Everything that acts on material, as a function of plant time.

    Args:
        began_ns: when the line's life began.
    """

    def __init__(self, line: LineModel, hidden: Hidden, *, seed: int, began_ns: int) -> None:
        self.line = line
        self.hidden = hidden
        self.seed = seed
        self.tags = TagField(line, hidden, seed=seed, began_ns=began_ns)
        self.active: list[ActiveScenario] = []
        self.hours_since_die_clean = 0.0
        self.pump_hours = float(np.random.default_rng([seed, 0x90]).uniform(100.0, 600.0))
        self._conditions = {row.name: row.nominal for row in line.conditions}
        self._half = {row.name: row.half_range or 1.0 for row in line.conditions}
        self._now_ns = began_ns
        self._values: Values | None = None
        self._dose_ns: list[int] = [began_ns]
        self._room_dose: list[float] = [0.0]
        self.hood_dose_pa_h = 0.0
        self._water_pa: tuple[float, float] | None = None
        self._used: set[tuple[int, int]] = set()

    def at(self, at_ns: int) -> Values:
        """Move on to a time and say what is so; only events of the line may call this, in order of time."""
        if self._values is None or at_ns > self._now_ns:
            step_h = (at_ns - self._now_ns) / 3.6e12
            self.tags.step(at_ns)
            self._values = self.look(at_ns)
            self._now_ns = at_ns
            self._expose(at_ns, step_h)
        return self._values

    def look(self, at_ns: int) -> Values:
        """What is so at a time close by, without moving anything."""
        values = self.tags.process(at_ns, self.active, door_open=door_open(self.seed, at_ns))
        lines = self.health(at_ns).dropped_lines_per_strip
        if lines:
            strips_per_min = values[self.tags.index["S05.LineRate"]] * 60 / 256
            values[self.tags.index["S05.DroppedLines"]] += lines * strips_per_min
        return values

    def tidy(self, now_ns: int) -> None:
        """Let go of scenarios that were lifted, once no film of theirs is on the way any more."""
        self.active = [row for row in self.active if row.ends_ns is None or row.ends_ns > now_ns - 3600 * 1_000_000_000]

    def renew(self) -> None:
        """Forget what was so at this moment: a scenario came or went."""
        self._values = None

    def moved(self, tag: str, at_ns: int) -> float:
        """How far faults have moved a once-per-part value, in its unit; what is so and what is said alike."""
        row = self.line.tag(tag)
        return sum(
            scenario.scaled(change, at_ns) * change.amount(row.nominal, row.half_range)
            for scenario in self.active
            for change in scenario.scenario.tags
            if change.tag == tag
        )

    def conditions(self, at_ns: int) -> dict[str, float]:
        """Value of every condition that no tag shows."""
        found = dict(self._conditions)
        if "wear.hours_since_die_clean" in found:
            found["wear.hours_since_die_clean"] = self.hours_since_die_clean
        if "wear.pump_hours" in found:
            found["wear.pump_hours"] = self.pump_hours
        if "event.door_open" in found:
            found["event.door_open"] = float(door_open(self.seed, at_ns))
        for scenario in self.active:
            for row in scenario.scenario.conditions:
                share = scenario.scaled(row, at_ns)
                found[row.condition] += share * (row.to - self._conditions[row.condition])
        return found

    def condition_z(self, name: str, value: float) -> float:
        """Deviation of a condition."""
        return (value - self._conditions[name]) / self._half[name]

    def rates(self, at_ns: int) -> dict[str, float]:
        """Factors on defect classes by faults, and by what no sensor sees."""
        found: dict[str, float] = {}
        for scenario in self.active:
            for row in scenario.scenario.rates:
                share = scenario.scaled(row, at_ns)
                if share and row.factor != 1.0:
                    found[row.defect] = found.get(row.defect, 1.0) * max(1 + share * (row.factor - 1), 0.0)
        for cause in self.hidden.causes:
            level = max(self.tags.causes[cause.name], 0.0)
            for defect in cause.defects:
                found[defect] = found.get(defect, 1.0) * math.exp(cause.beta * level)
        return found

    def loci(self, at_ns: int) -> tuple[Locus, ...]:
        """Places across the web where a fault makes its flaws."""
        found = []
        for scenario in self.active:
            for row in scenario.scenario.rates:
                share = scenario.scaled(row, at_ns)
                if share > 0 and row.cd_um is not None:
                    roller = self.line.roller(row.roller) if row.roller else None
                    found.append(
                        Locus(
                            defect=row.defect,
                            cd_um=row.cd_um,
                            share=share,
                            persistent=row.persistent,
                            size_um=row.size_um,
                            period_um=math.pi * roller.diameter_mm * 1000 if roller else None,
                            mass_fraction=row.mass_fraction,
                            cause=scenario.scenario.name,
                        )
                    )
        return tuple(found)

    def roll_change(self, at_ns: int) -> RollChange | None:
        """What happens to a film roll that is taken now and stands in no record; each happens once."""
        for scenario in self.active:
            for number, row in enumerate(scenario.scenario.rolls):
                key = (scenario.began_ns, number)
                if key not in self._used and scenario.scaled(row, at_ns):
                    self._used.add(key)
                    return row
        return None

    def health(self, at_ns: int) -> CameraHealth:
        """How the film camera sees."""
        health = CameraHealth()
        for scenario in self.active:
            for row in scenario.scenario.camera:
                share = scenario.scaled(row, at_ns)
                if share:
                    moved = getattr(health, row.field) + share * (row.to - getattr(CameraHealth(), row.field))
                    changed: dict[str, Any] = {row.field: round(moved) if row.field == "wander_um" else moved}
                    health = replace(health, **changed)
        return health

    def corner_shift_um(self, corner: int, at_ns: int) -> float:
        """How far a stack camera has moved, along x and y alike."""
        return sum(
            scenario.scaled(row, at_ns) * row.shift_um
            for scenario in self.active
            for row in scenario.scenario.stack_camera
            if row.corner == corner
        )

    def room_dose_pa_h(self, from_ns: int, to_ns: int) -> float:
        """Water pressure of the room, integrated between two times."""
        return self._room_dose_at(to_ns) - self._room_dose_at(from_ns)

    def _room_dose_at(self, at_ns: int) -> float:
        place = bisect_right(self._dose_ns, at_ns)
        if place == 0:
            return self._room_dose[0]
        if place == len(self._dose_ns):
            return self._room_dose[-1]
        before_ns, after_ns = self._dose_ns[place - 1], self._dose_ns[place]
        share = (at_ns - before_ns) / (after_ns - before_ns)
        return self._room_dose[place - 1] + share * (self._room_dose[place] - self._room_dose[place - 1])

    def _expose(self, at_ns: int, step_h: float) -> None:
        assert self._values is not None
        index = self.tags.index
        room_pa: float = water_pressure_pa(float(self._values[index["S00.DewPointSupply"]]))
        hood_pa: float = water_pressure_pa(float(self._values[index["S00.DewPointCasterHood"]]))
        before = self._water_pa or (room_pa, hood_pa)
        self._water_pa = (room_pa, hood_pa)
        if step_h <= 0:
            return
        self.hood_dose_pa_h += 0.5 * (before[1] + hood_pa) * step_h
        self._dose_ns.append(at_ns)
        self._room_dose.append(self._room_dose[-1] + 0.5 * (before[0] + room_pa) * step_h)
        if len(self._dose_ns) > 20_000:
            keep = bisect_right(self._dose_ns, at_ns - int(_KEPT_S * 1e9))
            del self._dose_ns[:keep], self._room_dose[:keep]

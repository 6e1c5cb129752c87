"""The cell half of the line behind the stacker: pressing, tabs, sealing, formation, ageing, end-of-line test."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from line.events import CellMade, CellTested, Reading
from plant.cells import CellFate, CellMaker, PressCycle
from plant.floor import Floor
from plant.flow import seconds
from plant.shifts import NS
from plant.stacking import Stacker
from plant.unit import Names, Unit

_PRESS_WAIT_S = 7200.0
"""How long the oldest stack waits for a full press."""
_CLEAR_S = 1200.0
"""Between the end of the last press cycle and of the shift."""
_PRESS_TAGS = ("VesselPressure", "MediumTemp", "DwellTime", "PressRampRate", "DepressRate", "WaterConductivity")
_NEVER_STOP = ("S00", "S16", "S17", "S18")


@dataclass(slots=True, kw_only=True)
class Bench:
    """A station that takes single units: places side by side, a queue in front, a place to wait for the next one."""

    code: str
    follows: str
    cycle_s: float
    places: int
    queue_limit: int
    queue: deque[Unit] = field(default_factory=deque)
    at_work: dict[int, Unit] = field(default_factory=dict)
    stuck: deque[tuple[int, Unit]] = field(default_factory=deque)
    """Done, but the next station's queue is full."""
    down: bool = False

    def full(self) -> bool:
        return len(self.queue) >= self.queue_limit


class CellSide:
    """The cell half."""

    def __init__(self, floor: Floor, stacker: Stacker, maker: CellMaker, names: Names, *, seed: int) -> None:
        self.name = "cell"
        self._engine = floor.engine
        self._around = floor.around
        self._line = floor.line
        self._stacker = stacker
        self._maker = maker
        self._names = names
        self._rng = np.random.default_rng([seed, 0xCE11])
        self._press_queue: deque[Unit] = deque()
        self._pressing = False
        self._press_number = 0
        self._held: list[Unit] = []
        self._made = 0
        self.fates: list[tuple[int, str, str, CellFate]] = []
        self.benches: dict[str, Bench] = {}
        for code, follows, cycle_s in (
            ("S14", "S15", None),
            ("S15", "S16", None),
            ("S16", "S17", self._line.finishing.formation.hours * 3600),
            ("S17", "S18", sum(step.days for step in self._line.finishing.ageing) * 86400),
            ("S18", "", self._line.finishing.end_of_line.hours * 3600),
        ):
            row = self._line.station(code)
            places = {"S16": self._line.finishing.formation.channels, "S18": self._line.finishing.end_of_line.channels}
            self.benches[code] = Bench(
                code=code,
                follows=follows,
                cycle_s=cycle_s or row.cycle_s or 20.0,
                places=places.get(code, 1 if row.parallel == 1 and code != "S17" else 100_000),
                queue_limit=row.buffer_parts if row.buffer_parts is not None else 1_000_000,
            )
        self._engine.sides[self.name] = self
        stacker.press = self

    def open_life(self) -> None:
        """Stations that never stop begin to age; people come when it is the hour."""
        for code in _NEVER_STOP:
            self._engine.call_at(self._engine.now_ns + self._failure_ns(code), self, "fail", code)
        if self._engine.manned():
            self.open_shift()
        else:
            self._engine.call_at(self._engine.shifts.next_begin_ns(self._engine.now_ns), self, "open_shift")

    def open_shift(self) -> None:
        """People come."""
        engine, now_ns = self._engine, self._engine.now_ns
        interval = engine.shifts.interval_at(now_ns)
        assert interval is not None
        for code in ("S13", "S14", "S15"):
            engine.turn(code, "Idle")
        self._stacker.open_shift(first=now_ns == interval[0])
        # what waits is pressed, so that nothing stays in its bag until the next shift
        press_s = self._line.finishing.press.cycle_min * 60
        engine.call_at(max(interval[1] - seconds(press_s + _CLEAR_S), now_ns), self, "plan_press")
        engine.call_at(interval[1], self, "close_shift")
        engine.call_at(engine.shifts.next_begin_ns(now_ns), self, "open_shift")
        self.plan_press()
        for code in ("S14", "S15"):
            self._pull(self.benches[code])

    def close_shift(self) -> None:
        """People go."""
        if self._engine.manned():
            return
        for code, busy in (
            ("S11", self._stacker.stacking), ("S12", self._stacker.stacking), ("S13", self._pressing),
            ("S14", bool(self.benches["S14"].at_work)), ("S15", bool(self.benches["S15"].at_work)),
        ):  # fmt: skip
            if not busy:
                self._engine.turn(code, "Stopped", reason="out of shift")

    def full(self) -> bool:
        """Whether no further stack may wait for the press."""
        return len(self._press_queue) >= (self._line.station("S13").buffer_parts or 48)

    def arrive(self, unit: Unit) -> None:
        """A stack waits for the press."""
        unit.waits_since_ns = self._engine.now_ns
        self._press_queue.append(unit)
        self.plan_press()
        self._engine.call_at(self._engine.now_ns + seconds(_PRESS_WAIT_S), self, "plan_press")

    def plan_press(self) -> None:
        """Close the press when it is full, or when somebody has waited long enough, or when people will go."""
        engine, press = self._engine, self._line.finishing.press
        if self._pressing or self._held or not self._press_queue or not engine.manned():
            return
        cycle_s = press.cycle_min * 60
        waited_s = (engine.now_ns - self._press_queue[0].waits_since_ns) / NS
        ending = engine.now_ns + seconds(cycle_s + _CLEAR_S) >= engine.closes_ns()
        if len(self._press_queue) < press.cells_per_cycle and waited_s < _PRESS_WAIT_S and not ending:
            return
        if engine.now_ns + seconds(cycle_s) > engine.closes_ns() + seconds(600.0):
            return
        units = [self._press_queue.popleft() for _ in range(min(press.cells_per_cycle, len(self._press_queue)))]
        self._pressing = True
        self._press_number += 1
        for slot, unit in enumerate(units, 1):
            unit.bagged_ns = engine.now_ns
            unit.place = f"{self._press_number}/{slot}"
            unit.record(engine, "S13", "entered")
        engine.work("S13", cycle_s, self, "pressed", units)

    def pressed(self, units: list[Unit]) -> None:
        """A press cycle is over."""
        engine, tags = self._engine, self._around.tags
        self._pressing = False
        values = self._around.at(engine.now_ns)
        names = [f"S13.{name}" for name in _PRESS_TAGS if f"S13.{name}" in tags.index]
        drawn = {name: float(values[tags.index[name]]) for name in names}
        readings = tuple(Reading(name, round(value, 3)) for name, value in drawn.items())
        cycle = PressCycle(
            pressure_mpa=drawn.get("S13.VesselPressure", 490.0),
            temperature_c=drawn.get("S13.MediumTemp", 85.0),
            dwell_s=drawn.get("S13.DwellTime", 300.0),
            ramp_mpa_per_s=drawn.get("S13.PressRampRate", 5.0),
            depress_z=tags.deviation(values, "S13.DepressRate"),
        )
        good = []
        for unit in units:
            unit.press = cycle
            reason = engine.spoils("S13")
            engine.machines["S13"].processed += 1
            engine.machines["S13"].defective += bool(reason)
            unit.record(engine, "S13", "left", readings=readings, reason=reason)
            if not reason:
                good.append(unit)
        self._held = good
        self._unload_press()
        self._stacker.plan_stack()

    def _unload_press(self) -> None:
        """Hand pressed stacks on, as far as there is room."""
        bench = self.benches["S14"]
        while self._held and not bench.full():
            bench.queue.append(self._held.pop(0))
        if self._held:
            self._engine.turn("S13", "Suspended", reason="S14 full", blocked=True)
        elif not self._pressing:
            self._rest("S13")
            self.plan_press()
        self._pull(bench)

    def _pull(self, bench: Bench) -> None:
        """Let a station begin whatever waits before it."""
        engine = self._engine
        if bench.down or not engine.manned(bench.code):
            return
        while bench.queue and len(bench.at_work) + len(bench.stuck) < bench.places:
            unit = bench.queue.popleft()
            place = next(
                number
                for number in range(1, bench.places + 1)
                if number not in bench.at_work and number not in {row[0] for row in bench.stuck}
            )
            bench.at_work[place] = unit
            unit.place = str(place) if bench.places > 1 else ""
            if bench.code == "S15":
                self._seal(unit)
            unit.record(engine, bench.code, "entered")
            if bench.code in {"S14", "S15"}:
                engine.work(bench.code, bench.cycle_s, self, "bench_done", bench.code, place)
            else:
                engine.call_at(
                    engine.now_ns + seconds(self._stay_s(bench, unit)), self, "bench_done", bench.code, place
                )
        self._before(bench)

    def _stay_s(self, bench: Bench, unit: Unit) -> float:
        if bench.code == "S16" and unit.fate is not None and unit.fate.stage == "formation":
            # a hard short ends its charge early
            return bench.cycle_s * (0.2 + 0.6 * self._rng.random())
        return bench.cycle_s

    def bench_done(self, code: str, place: int) -> None:
        """A station is done with a unit."""
        bench = self.benches[code]
        unit = bench.at_work.pop(place)
        scrapped = self._judge(bench, unit)
        machine = self._engine.machines[code]
        machine.processed += 1
        machine.defective += scrapped
        if not scrapped and bench.follows:
            follows = self.benches[bench.follows]
            if follows.full():
                bench.stuck.append((place, unit))
                self._engine.turn(code, "Suspended", reason=f"{bench.follows} full", blocked=True)
                return
            follows.queue.append(unit)
            self._pull(follows)
        self._pull(bench)
        if code in {"S14", "S15"} and not bench.at_work and not bench.stuck:
            self._rest(code)

    def _before(self, bench: Bench) -> None:
        """There may be room now for what a station before this one could not hand on."""
        if bench.code == "S14":
            if self._held and not bench.full():
                self._unload_press()
            return
        before = self.benches[{"S15": "S14", "S16": "S15", "S17": "S16", "S18": "S17"}[bench.code]]
        moved = False
        while before.stuck and not bench.full():
            bench.queue.append(before.stuck.popleft()[1])
            moved = True
        if moved:
            if before.code in {"S14", "S15"} and not before.at_work:
                self._rest(before.code)
            self._pull(before)
            self._pull(bench)

    def _judge(self, bench: Bench, unit: Unit) -> bool:
        """What a station finds, written as its part record; True when the unit goes no further."""
        engine, tags = self._engine, self._around.tags
        if bench.code in {"S14", "S15"}:
            names = [name for name in tags.names if name.startswith(bench.code) and tags.event_driven[tags.index[name]]]
            drawn = tags.part_values(names, self._around.at(engine.now_ns), self._rng)
            reason = engine.spoils(bench.code)
            unit.record(engine, bench.code, "left", readings=_readings(drawn), reason=reason)
            return bool(reason)
        fate = unit.fate
        assert fate is not None
        if bench.code == "S16":
            drawn = self._measured(
                {"S16.FirstChargeCapacity": fate.capacity_ah / fate.coulombic_fraction,
                 "S16.ICE": 100 * fate.coulombic_fraction, "S16.CellVoltageEnd": fate.end_voltage_v}
            )  # fmt: skip
            reason = "hard short" if fate.stage == "formation" else ""
            unit.record(engine, "S16", "left", readings=_readings(drawn), reason=reason)
            return bool(reason)
        if bench.code == "S17":
            drawn = self._measured(
                {"S17.OCVStart": fate.ocv_mv, "S17.dOCV": fate.self_discharge_mv_per_d,
                 "S17.OCVvsBatchMedian": fate.ocv_mv - 3680.0}
            )  # fmt: skip
            unit.fate = replace(fate, self_discharge_mv_per_d=drawn["S17.dOCV"])
            unit.record(engine, "S17", "left", readings=_readings(drawn))
            return False
        return self._test(unit, fate)

    def _test(self, unit: Unit, fate: CellFate) -> bool:
        """The end-of-line test, by what its meters say; True when the cell fails."""
        engine = self._engine
        drawn = self._measured(
            {"S18.Capacity": fate.capacity_ah, "S18.DCIR10s": fate.dcir_mohm, "S18.ACIR1k": fate.acir_mohm,
             "S18.OCV": fate.ocv_mv - 9 * fate.self_discharge_mv_per_d, "S18.Insulation": fate.insulation_mohm,
             "S18.Thickness": fate.thickness_mm, "S18.Mass": fate.mass_g}
        )  # fmt: skip
        said = replace(
            fate,
            capacity_ah=drawn["S18.Capacity"],
            dcir_mohm=drawn["S18.DCIR10s"],
            acir_mohm=drawn["S18.ACIR1k"],
            insulation_mohm=drawn["S18.Insulation"],
            thickness_mm=drawn["S18.Thickness"],
            mass_g=drawn["S18.Mass"],
        )
        codes = self._maker.fail_codes(said)
        engine.record(
            engine.now_ns, CellTested, "S18", cell=unit.cell, passed=not codes, grade=self._maker.grade(said, codes),
            capacity_ah=round(said.capacity_ah, 4), dcir_mohm=round(said.dcir_mohm, 4),
            ocv_drop_mv_per_d=round(said.self_discharge_mv_per_d, 4),
            first_coulombic_fraction=round(said.coulombic_fraction, 5), insulation_mohm=round(said.insulation_mohm, 1),
            thickness_mm=round(said.thickness_mm, 4), mass_g=round(said.mass_g, 2), fail_codes=codes,
        )  # fmt: skip
        unit.record(engine, "S18", "left", readings=_readings(drawn), reason=", ".join(codes))
        return bool(codes)

    def _measured(self, values: dict[str, float]) -> dict[str, float]:
        """What a station's meters say of a cell; it stands as reported until the next cell."""
        now_ns = self._engine.now_ns
        said = {tag: value + self._around.moved(tag, now_ns) for tag, value in values.items()}
        self._around.tags.give(said)
        return said

    def _seal(self, unit: Unit) -> None:
        """A stack gets its pouch and its serial, and its fate is sealed with it."""
        engine = self._engine
        self._made += 1
        unit.number = self._made
        unit.cell = self._names.next("C", engine.now_ns)
        engine.record(engine.now_ns, CellMade, "S15", cell=unit.cell, stack=unit.stack)
        press = unit.press
        assert press is not None
        unit.fate = self._maker.fate(
            unit.layers, press, unit.began_ns, unit.bagged_ns, number=unit.number, overhang_um=unit.overhang_um
        )
        self.fates.append((engine.now_ns, unit.cell, unit.stack, unit.fate))
        # its sheets are known from the records; the film under them need not be kept for it any longer
        unit.layers = []

    def fail(self, code: str) -> None:
        """A station that runs day and night breaks down; what is in it stays, nothing new begins."""
        row = self._line.station(code)
        if code in self.benches:
            self.benches[code].down = True
        self._engine.turn(code, "Held", reason=str(self._rng.choice(row.stop_causes)), mode="Maintenance")
        repair_s = float(self._rng.lognormal(-0.125, 0.5)) * row.mttr_min * 60
        self._engine.call_at(self._engine.now_ns + seconds(repair_s), self, "mended", code)

    def mended(self, code: str) -> None:
        """It runs again."""
        self._engine.turn(code, "Execute")
        if code in self.benches:
            self.benches[code].down = False
            self._pull(self.benches[code])
        self._engine.call_at(self._engine.now_ns + self._failure_ns(code), self, "fail", code)

    def _failure_ns(self, code: str) -> int:
        return seconds(float(self._rng.exponential(self._line.station(code).mtbf_h * 3600)))

    def _rest(self, code: str) -> None:
        if self._engine.manned():
            self._engine.turn(code, "Idle")
        else:
            self._engine.turn(code, "Stopped", reason="out of shift")


def _readings(values: dict[str, float]) -> tuple[Reading, ...]:
    return tuple(Reading(name, round(value, 4)) for name, value in values.items())

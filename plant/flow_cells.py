"""The cell half of the line: stacking, pressing, tabs, sealing, formation, ageing, end-of-line test."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from line.events import CellMade, CellTested, LayerPlaced, Reading, SheetKind, UnitKind, UnitMoved
from line.relations_cell import slip_probability
from plant.cells import CellFate, CellMaker, Layer, PressCycle
from plant.flow import Engine, seconds
from plant.flow_web import Sheet, WebSide
from plant.shifts import NS
from plant.surroundings import Surroundings
from plant.truth_types import PlacedSheet

_START_S = 300.0
"""From the shift's beginning until the first stack."""
_PRESS_WAIT_S = 7200.0
"""How long the oldest stack waits for a full press."""
_PRESS_TAGS = ("VesselPressure", "MediumTemp", "DwellTime", "PressRampRate", "DepressRate", "WaterConductivity")


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

    def __init__(
        self, engine: Engine, surroundings: Surroundings, web: WebSide, maker: CellMaker, *, seed: int
    ) -> None:
        self.name = "cell"
        self._engine = engine
        self._around = surroundings
        self._web = web
        self._maker = maker
        self._line = engine.line
        self._rng = np.random.default_rng([seed, 0xCE11])
        self._placements: list[tuple[int, PlacedSheet]] = []
        self._stacking = False
        self._next_stack_ns = 0
        self._gripper = 0
        self._press_queue: deque[Unit] = deque()
        self._pressing = False
        self._press_number = 0
        self._held: list[Unit] = []
        self._numbers: dict[str, int] = {}
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
        engine.sides[self.name] = self

    def open_life(self) -> None:
        """Stations that never stop begin to age; people come when it is the hour."""
        for code in ("S00", "S16", "S17", "S18"):
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
        for code in ("S11", "S12", "S13", "S14", "S15"):
            engine.turn(code, "Idle")
        self._next_stack_ns = now_ns + (seconds(_START_S) if now_ns == interval[0] else 0)
        engine.call_at(self._next_stack_ns, self, "plan_stack")
        # what waits is pressed, so that nothing stays in its bag until the next shift
        press_s = self._line.finishing.press.cycle_min * 60
        engine.call_at(max(interval[1] - seconds(press_s + 1200.0), now_ns), self, "plan_press")
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
            ("S11", self._stacking), ("S12", self._stacking), ("S13", self._pressing),
            ("S14", bool(self.benches["S14"].at_work)), ("S15", bool(self.benches["S15"].at_work)),
        ):  # fmt: skip
            if not busy:
                self._engine.turn(code, "Stopped", reason="out of shift")

    def take_placements(self, to_ns: int) -> list[tuple[int, PlacedSheet]]:
        """Layers placed up to a time that were not taken yet."""
        taken = [row for row in self._placements if row[0] <= to_ns]
        self._placements = [row for row in self._placements if row[0] > to_ns]
        return taken

    # Stacking

    def plan_stack(self) -> None:
        """Begin a stack if it is time and everything is there."""
        engine = self._engine
        if self._stacking or not engine.manned():
            return
        if engine.now_ns < self._next_stack_ns:
            return
        product, sheets = self._line.product(), self._web.stores.sheets
        kinds = [product.sheet_kind(layer) for layer in range(1, product.placements + 1)]
        if any(len(sheets[kind]) < kinds.count(kind) for kind in sheets):
            engine.turn("S11", "Idle", starved=True)
            engine.turn("S12", "Idle", starved=True)
            return
        limit = self._line.station("S13").buffer_parts or 48
        if len(self._press_queue) >= limit:
            engine.turn("S11", "Suspended", reason="S13 full", blocked=True)
            return
        self._stack(kinds)

    def _stack(self, kinds: list[SheetKind]) -> None:
        engine, now_ns = self._engine, self._engine.now_ns
        tolerance, row = self._line.product().stack, self._line.station("S11")
        work_s = row.cycle_s or 95.0
        values = self._around.at(now_ns)
        tags = self._around.tags
        # a worn cup holds less: the gauge reads nearer to zero
        vacuum_z = tags.deviation(values, "S11.GripperVacuum")
        slip: float = slip_probability(vacuum_z, nominal=tolerance.slip_probability)
        stops = engine.worked("S11", work_s)
        stack = self._named("ST", now_ns)
        self._stacking = True
        for code in ("S11", "S12"):
            engine.turn(code, "Execute")
        engine.record(now_ns, UnitMoved, "S11", unit=stack, kind="stack", phase="entered")
        engine.record(now_ns, UnitMoved, "S12", unit=stack, kind="stack", phase="entered")
        layers: list[Layer] = []
        lost_s = 0.0
        pending = list(stops)
        draws = self._rng.standard_normal((len(kinds), 8)).tolist()
        for number, kind in enumerate(kinds, 1):
            done_s = number * tolerance.place_s
            while pending and pending[0].after_s < done_s:
                stop = pending.pop(0)
                at_ns = now_ns + seconds(stop.after_s + lost_s)
                engine.call_at(at_ns, self, "stacker_stop", stop.reason)
                lost_s += stop.repair_s
                engine.call_at(now_ns + seconds(stop.after_s + lost_s), self, "stacker_go")
            at_ns = now_ns + seconds(done_s + lost_s)
            layers.append(self._place(stack, number, kind, at_ns, slip, draws[number - 1]))
        end_ns = now_ns + seconds(work_s + lost_s + sum(stop.repair_s for stop in pending))
        unit = Unit(stack=stack, began_ns=now_ns, layers=layers)
        self._next_stack_ns = now_ns + seconds(self._line.plan.takt_min * 60)
        engine.call_at(end_ns, self, "stacked", unit)

    def _place(
        self, stack: str, layer: int, kind: SheetKind, at_ns: int, slip: float, draws: list[float]
    ) -> Layer:
        """One sheet from the magazine onto the stack."""
        tolerance, hidden = self._line.product().stack, self._engine.hidden
        sheet: Sheet = self._web.stores.sheets[kind].popleft()
        creep = tolerance.creep_um_per_placement * layer
        x_um = hidden.bias_x_um + creep + tolerance.placement_sigma_um * draws[0]
        y_um = hidden.bias_y_um + tolerance.placement_sigma_um * draws[1]
        turn_urad = math.radians(tolerance.rotation_sigma_deg) * 1e6 * draws[2]
        reported = (x_um + 10 * draws[5], y_um + 10 * draws[6], turn_urad)
        slipped = 0.5 * math.erfc(-draws[7] / math.sqrt(2)) < slip
        if slipped:
            # the sheet moves after the machine has let go, so the machine does not know
            x_um += tolerance.slip_sigma_um * draws[3]
            y_um += tolerance.slip_sigma_um * draws[4]
        design = self._line.product().sheet(kind)
        size_x = design.cd_um + sheet.error_x_um
        size_y = design.md_um + sheet.error_y_um
        framed_x, framed_y = design.outline_cd_um - design.cd_um, design.outline_md_um - design.md_um
        placed = PlacedSheet(
            stack=stack,
            layer=layer,
            kind=kind,
            offset_x_um=x_um,
            offset_y_um=y_um,
            rotation_urad=turn_urad,
            size_x_um=size_x,
            size_y_um=size_y,
            frame_x_um=size_x + framed_x,
            frame_y_um=size_y + framed_y,
            slipped=slipped,
        )
        self._gripper = self._gripper % 2 + 1
        self._placements.append((at_ns, placed))
        self._engine.record(
            at_ns, LayerPlaced, "S11", stack=stack, layer=layer, sheet=sheet.sheet, kind=kind, gripper=self._gripper,
            offset_x_um=round(reported[0], 1), offset_y_um=round(reported[1], 1), rotation_urad=round(reported[2], 1),
        )  # fmt: skip
        return Layer(sheet=sheet, placed=placed, at_ns=at_ns)

    def stacker_stop(self, reason: str) -> None:
        """The stacker stands in the middle of a stack."""
        self._engine.turn("S11", "Held", reason=reason, mode="Maintenance")
        self._engine.turn("S12", "Suspended", reason="S11 stands", starved=True)

    def stacker_go(self) -> None:
        """The stacker goes on."""
        self._engine.turn("S11", "Execute")
        self._engine.turn("S12", "Execute")

    def stacked(self, unit: Unit) -> None:
        """A stack is complete."""
        engine, now_ns, rng = self._engine, self._engine.now_ns, self._rng
        self._stacking = False
        unit.overhang_um = self._maker.least_overhang_um(unit.layers)
        last = unit.layers[-1].placed
        height_mm = round(4.98 + 0.012 * float(rng.standard_normal()), 4)
        self._around.tags.give(
            {
                "S11.StackHeight": height_mm,
                "S11.OffsetX": last.offset_x_um / 1000,
                "S11.OffsetY": last.offset_y_um / 1000,
                "S11.OffsetTheta": math.degrees(last.rotation_urad * 1e-6),
                "S12.OverhangMin": unit.overhang_um / 1000,
            }
        )
        reason = engine.spoils("S11")
        # a stack out of tolerance is for the cameras to find; what S12 itself spoils is handling
        inspected = reason or engine.spoils("S12", 0.005)
        engine.machines["S11"].processed += 1
        engine.machines["S12"].processed += 1
        readings = (Reading("S11.StackHeight", height_mm),)
        self._moved("S11", unit, "left", readings=readings, reason=reason)
        self._moved("S12", unit, "left", reason=inspected)
        if inspected:
            engine.machines["S11" if reason else "S12"].defective += 1
        else:
            unit.waits_since_ns = now_ns
            self._press_queue.append(unit)
            self.plan_press()
            engine.call_at(now_ns + seconds(_PRESS_WAIT_S), self, "plan_press")
        for code in ("S11", "S12"):
            if engine.manned():
                engine.turn(code, "Idle")
            else:
                engine.turn(code, "Stopped", reason="out of shift")
        if self._next_stack_ns > now_ns:
            engine.call_at(self._next_stack_ns, self, "plan_stack")
        self._web.plan()
        self.plan_stack()

    # Pressing

    def plan_press(self) -> None:
        """Close the press when it is full, or when somebody has waited long enough, or when people will go."""
        engine, press = self._engine, self._line.finishing.press
        if self._pressing or self._held or not self._press_queue or not engine.manned():
            return
        cycle_s = press.cycle_min * 60
        waited_s = (engine.now_ns - self._press_queue[0].waits_since_ns) / NS
        ending = engine.now_ns + seconds(cycle_s + 1200.0) >= engine.closes_ns()
        if len(self._press_queue) < press.cells_per_cycle and waited_s < _PRESS_WAIT_S and not ending:
            return
        if engine.now_ns + seconds(cycle_s) > engine.closes_ns() + seconds(600.0):
            return
        units = [
            self._press_queue.popleft() for _ in range(min(press.cells_per_cycle, len(self._press_queue)))
        ]
        self._pressing = True
        self._press_number += 1
        for slot, unit in enumerate(units, 1):
            unit.bagged_ns = engine.now_ns
            unit.place = f"{self._press_number}/{slot}"
            self._moved("S13", unit, "entered")
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
            self._moved("S13", unit, "left", readings=readings, reason=reason)
            if not reason:
                good.append(unit)
        self._held = good
        self._unload_press()
        if engine.manned():
            self.plan_stack()

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

    # Benches

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
            self._moved(bench.code, unit, "entered")
            if bench.code in {"S14", "S15"}:
                engine.work(bench.code, bench.cycle_s, self, "bench_done", bench.code, place)
            else:
                engine.call_at(engine.now_ns + seconds(self._stay_s(bench, unit)), self, "bench_done", bench.code, place)
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
        engine, tags, rng = self._engine, self._around.tags, self._rng
        values = self._around.at(engine.now_ns)
        if bench.code in {"S14", "S15"}:
            names = [name for name in tags.names if name.startswith(bench.code) and tags.event_driven[tags.index[name]]]
            drawn = tags.part_values(names, values, rng)
            reason = engine.spoils(bench.code)
            self._moved(bench.code, unit, "left", readings=_readings(drawn), reason=reason)
            return bool(reason)
        fate = unit.fate
        assert fate is not None
        if bench.code == "S16":
            drawn = {"S16.FirstChargeCapacity": fate.capacity_ah / fate.coulombic_fraction,
                     "S16.ICE": 100 * fate.coulombic_fraction, "S16.CellVoltageEnd": fate.end_voltage_v}  # fmt: skip
            tags.give(drawn)
            reason = "hard short" if fate.stage == "formation" else ""
            self._moved("S16", unit, "left", readings=_readings(drawn), reason=reason)
            return bool(reason)
        if bench.code == "S17":
            drawn = {"S17.OCVStart": fate.ocv_mv, "S17.dOCV": fate.self_discharge_mv_per_d,
                     "S17.OCVvsBatchMedian": fate.ocv_mv - 3680.0}  # fmt: skip
            tags.give(drawn)
            self._moved("S17", unit, "left", readings=_readings(drawn))
            return False
        drawn = {"S18.Capacity": fate.capacity_ah, "S18.DCIR10s": fate.dcir_mohm, "S18.ACIR1k": fate.acir_mohm,
                 "S18.OCV": fate.ocv_mv - 9 * fate.self_discharge_mv_per_d, "S18.Insulation": fate.insulation_mohm,
                 "S18.Thickness": fate.thickness_mm, "S18.Mass": fate.mass_g}  # fmt: skip
        tags.give(drawn)
        codes = self._maker.fail_codes(fate)
        engine.record(
            engine.now_ns, CellTested, "S18", cell=unit.cell, passed=not codes, grade=self._maker.grade(fate, codes),
            capacity_ah=round(fate.capacity_ah, 4), dcir_mohm=round(fate.dcir_mohm, 4),
            ocv_drop_mv_per_d=round(fate.self_discharge_mv_per_d, 4),
            first_coulombic_fraction=round(fate.coulombic_fraction, 5), insulation_mohm=round(fate.insulation_mohm, 1),
            thickness_mm=round(fate.thickness_mm, 4), mass_g=round(fate.mass_g, 2), fail_codes=codes,
        )  # fmt: skip
        self._moved("S18", unit, "left", readings=_readings(drawn), reason=", ".join(codes))
        return bool(codes)

    def _seal(self, unit: Unit) -> None:
        """A stack gets its pouch and its serial, and its fate is sealed with it."""
        engine = self._engine
        self._made += 1
        unit.number = self._made
        unit.cell = self._named("C", engine.now_ns)
        engine.record(engine.now_ns, CellMade, "S15", cell=unit.cell, stack=unit.stack)
        press = unit.press
        assert press is not None
        unit.fate = self._maker.fate(
            unit.layers, press, unit.began_ns, unit.bagged_ns, number=unit.number, overhang_um=unit.overhang_um
        )
        self.fates.append((engine.now_ns, unit.cell, unit.stack, unit.fate))
        # its sheets are known from the records; the film under them need not be kept for it any longer
        unit.layers = []

    # Stations that never stop

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

    # Small things

    def _moved(self, code: str, unit: Unit, phase: str, *, readings: tuple[Reading, ...] = (), reason: str = "") -> None:
        fields: dict[str, Any] = {"unit": unit.name, "kind": unit.kind, "phase": phase, "place": unit.place}
        outcome = "scrap" if reason and phase == "left" else "ok"
        self._engine.record(
            self._engine.now_ns, UnitMoved, code, outcome=outcome, reason=reason, readings=readings, **fields
        )

    def _rest(self, code: str) -> None:
        if self._engine.manned():
            self._engine.turn(code, "Idle")
        else:
            self._engine.turn(code, "Stopped", reason="out of shift")

    def _named(self, letter: str, at_ns: int) -> str:
        day = datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%y%m%d")
        key = f"{letter}-{day}"
        self._numbers[key] = self._numbers.get(key, 0) + 1
        return f"{key}-1-{self._numbers[key]:03d}"


def _readings(values: dict[str, float]) -> tuple[Reading, ...]:
    return tuple(Reading(name, round(value, 4)) for name, value in values.items())

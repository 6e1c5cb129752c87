"""The stacking station and its corner cameras: 37 sheets from two magazines, one upon the other."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from line.events import LayerPlaced, Reading, SheetKind
from line.relations_cell import slip_probability
from plant.cells import CellMaker, Layer
from plant.floor import Floor
from plant.flow import seconds
from plant.stock import Sheet
from plant.truth_types import PlacedSheet
from plant.unit import Names, Unit

_START_S = 300.0
"""From the shift's beginning until the first stack."""


class Press(Protocol):
    """Where stacks go."""

    def full(self) -> bool:
        """Whether there is no room for another stack."""
        ...

    def arrive(self, unit: Unit) -> None:
        """A stack is there."""
        ...


class Stacker:
    """Stacking."""

    def __init__(self, floor: Floor, maker: CellMaker, names: Names, *, seed: int) -> None:
        self.name = "stacker"
        self._floor = floor
        self._engine = floor.engine
        self._around = floor.around
        self._line = floor.line
        self._maker = maker
        self._names = names
        self._rng = np.random.default_rng([seed, 0x57AC])
        self._placements: list[tuple[int, PlacedSheet]] = []
        self._next_stack_ns = 0
        self._gripper = 0
        self.stacking = False
        self.press: Press | None = None
        self._engine.sides[self.name] = self

    def open_shift(self, *, first: bool) -> None:
        """People come."""
        for code in ("S11", "S12"):
            self._engine.turn(code, "Idle")
        self._next_stack_ns = self._engine.now_ns + (seconds(_START_S) if first else 0)
        self._engine.call_at(self._next_stack_ns, self, "plan_stack")

    def take_placements(self, to_ns: int) -> list[tuple[int, PlacedSheet]]:
        """Layers placed up to a time that were not taken yet."""
        taken = [row for row in self._placements if row[0] <= to_ns]
        self._placements = [row for row in self._placements if row[0] > to_ns]
        return taken

    def plan_stack(self) -> None:
        """Begin a stack if it is time and everything is there."""
        engine = self._engine
        if self.stacking or not engine.manned():
            return
        if engine.now_ns < self._next_stack_ns:
            return
        product, sheets = self._line.product(), self._floor.stores.sheets
        kinds = [product.sheet_kind(layer) for layer in range(1, product.placements + 1)]
        if any(len(sheets[kind]) < kinds.count(kind) for kind in set(kinds)):
            engine.turn("S11", "Idle", starved=True)
            engine.turn("S12", "Idle", starved=True)
            return
        if self.press is not None and self.press.full():
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
        # the stacker fails by hours of its shift, and what fails while it waits shows when it starts again
        takt_s = max(self._line.plan.takt_min * 60, work_s)
        stops = engine.worked("S11", takt_s)
        stack = self._names.next("ST", now_ns)
        self.stacking = True
        for code in ("S11", "S12"):
            engine.turn(code, "Execute")
        layers: list[Layer] = []
        unit = Unit(stack=stack, began_ns=now_ns, layers=layers)
        for code in ("S11", "S12"):
            unit.record(engine, code, "entered")
        lost_s = 0.0
        pending = list(stops)
        draws = self._rng.standard_normal((len(kinds), 8)).tolist()
        for number, kind in enumerate(kinds, 1):
            done_s = number * tolerance.place_s
            while pending and (after_s := pending[0].after_s * work_s / takt_s) < done_s:
                stop = pending.pop(0)
                engine.call_at(now_ns + seconds(after_s + lost_s), self, "stacker_stop", stop.reason)
                lost_s += stop.repair_s
                engine.call_at(now_ns + seconds(after_s + lost_s), self, "stacker_go")
            at_ns = now_ns + seconds(done_s + lost_s)
            layers.append(self._place(stack, number, kind, at_ns, slip, draws[number - 1]))
        end_ns = now_ns + seconds(work_s + lost_s + sum(stop.repair_s for stop in pending))
        self._next_stack_ns = now_ns + seconds(self._line.plan.takt_min * 60)
        engine.call_at(end_ns, self, "stacked", unit)

    def _place(self, stack: str, layer: int, kind: SheetKind, at_ns: int, slip: float, draws: list[float]) -> Layer:
        """One sheet from the magazine onto the stack."""
        tolerance, hidden = self._line.product().stack, self._engine.hidden
        sheet: Sheet = self._floor.stores.sheets[kind].popleft()
        creep = tolerance.creep_um_per_placement * layer
        x_um = creep + tolerance.placement_sigma_um * draws[0]
        y_um = tolerance.placement_sigma_um * draws[1]
        turn_urad = math.radians(tolerance.rotation_sigma_deg) * 1e6 * draws[2]
        if kind == "cathode":
            # laminates are the datum: what moves both alike moves nothing
            x_um += hidden.bias_x_um + 1000 * self._around.moved("S11.OffsetX", at_ns)
            y_um += hidden.bias_y_um + 1000 * self._around.moved("S11.OffsetY", at_ns)
            turn_urad += math.radians(self._around.moved("S11.OffsetTheta", at_ns)) * 1e6
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
        self.stacking = False
        unit.overhang_um = self._maker.least_overhang_um(unit.layers)
        last = unit.layers[-1].placed
        height_mm = round(4.98 + 0.012 * float(rng.standard_normal()), 4)
        self._around.tags.give({
            "S11.StackHeight": height_mm,
            "S11.OffsetX": last.offset_x_um / 1000,
            "S11.OffsetY": last.offset_y_um / 1000,
            "S11.OffsetTheta": math.degrees(last.rotation_urad * 1e-6),
            "S12.OverhangMin": unit.overhang_um / 1000,
        })
        reason = engine.spoils("S11")
        # a stack out of tolerance is for the cameras to find; what S12 itself spoils is handling
        inspected = reason or engine.spoils("S12", 0.005)
        engine.machines["S11"].processed += 1
        engine.machines["S12"].processed += 1
        readings = (Reading("S11.StackHeight", height_mm),)
        unit.record(engine, "S11", "left", readings=readings, reason=reason)
        unit.record(engine, "S12", "left", reason=inspected)
        if inspected:
            engine.machines["S11" if reason else "S12"].defective += 1
        else:
            if self.press is not None:
                self.press.arrive(unit)
        for code in ("S11", "S12"):
            if engine.manned():
                engine.turn(code, "Idle")
            else:
                engine.turn(code, "Stopped", reason="out of shift")
        if self._next_stack_ns > now_ns:
            engine.call_at(self._next_stack_ns, self, "plan_stack")
        engine.call_at(now_ns, engine.sides["web"], "plan")
        self.plan_stack()

"""The web half of the line: foils, lamination, calender, and sheets out of the laser; it tells the caster when to coat.

Webs are made to stock and cut when stacking needs sheets. A film roll is unwound from its outer end at lamination, so
its metre x lies at L - x of the laminate; what is really so stands in `Face`, what the records say may differ.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from line import web_steps
from line.events import RollEnded, RollStarted, SheetCut, UnitMoved, WebMapped, WebName
from line.ids import sheet_id
from line.relations_film import calendered_porosity
from plant.caster import SET_UP_S, Caster
from plant.film import FilmProcess
from plant.film_roll import FilmRoll
from plant.floor import WEB_STATIONS, Floor
from plant.flow import seconds
from plant.stock import CathodeRoll, Cutting, Face, LaminateRoll, Sheet

_SET_UPS_S = {"S03": SET_UP_S, "S06": 900.0, "S02": 1200.0, "S07": 1500.0, "S08": 1200.0, "S09": 300.0}
"""From the shift's beginning until a station may start."""
_SHEETS_LOW = 150
"""Sheets of a kind in the magazine, below which more are cut."""
_ROWS_PER_RUN = 25


class WebSide:
    """Everything from foil to sheet."""

    def __init__(self, floor: Floor, caster: Caster, process: FilmProcess, *, seed: int) -> None:
        self.name = "web"
        self._floor = floor
        self._caster = caster
        self._engine = floor.engine
        self._around = floor.around
        self._line = floor.line
        self._process = process
        self._rng = np.random.default_rng([seed, 0x3EB])
        self._engine.sides[self.name] = self

    def open_life(self) -> None:
        """What is there when life begins: one batch, and people if it is the hour."""
        self._caster.open_life()
        if self._engine.manned():
            self.open_shift()
        else:
            self._engine.call_at(self._engine.shifts.next_begin_ns(self._engine.now_ns), self, "open_shift")

    def open_shift(self) -> None:
        """People come; machines are set up."""
        engine, now_ns = self._engine, self._engine.now_ns
        interval = engine.shifts.interval_at(now_ns)
        assert interval is not None
        self._caster.open_shift()
        for code in WEB_STATIONS:
            if code not in self._floor.busy:
                engine.turn(code, "Idle")
        if now_ns == interval[0]:
            for code, after_s in _SET_UPS_S.items():
                self._floor.not_before[code] = now_ns + seconds(after_s)
                engine.call_at(self._floor.not_before[code], self, "plan")
        engine.call_at(interval[1], self, "close_shift")
        engine.call_at(engine.shifts.next_begin_ns(now_ns), self, "open_shift")
        self.plan()

    def close_shift(self) -> None:
        """People go; what still runs is finished."""
        if self._engine.manned():
            return
        for code in WEB_STATIONS:
            if code not in self._floor.busy:
                self._engine.turn(code, "Stopped", reason="out of shift")

    def plan(self) -> None:
        """Start whatever can and should be started now."""
        if not self._engine.manned():
            return
        self._caster.plan()
        self._plan_roll("S06", "anode", len(self._floor.stores.anode) < 2)
        cathode_m = sum(roll.length_um for roll in self._floor.stores.cathode) * 1e-6
        self._plan_roll("S02", "cathode", cathode_m < 100.0)
        self._plan_lamination()
        self._plan_calender()
        self._plan_cut()

    def _plan_roll(self, code: str, web: WebName, wanted: bool) -> None:
        engine = self._engine
        row, station = self._line.web(web), self._line.station(code)
        run_s = row.roll_length_um * 60e-6 / (station.speed_m_per_min or 1.0)
        if not wanted or not self._floor.free(code, run_s):
            return
        roll = self._floor.next_roll(web)
        self._floor.busy.add(code)
        engine.record(engine.now_ns, RollStarted, code, roll=roll, web=web, order=self._floor.order())
        engine.work(code, run_s, self, "foil_done", code, web, roll)

    def foil_done(self, code: str, web: WebName, roll: str) -> None:
        """A coated foil is complete."""
        engine, length_um = self._engine, self._line.web(web).roll_length_um
        engine.record(engine.now_ns, RollEnded, code, roll=roll, length_um=length_um)
        engine.machines[code].processed += 1
        if web == "anode":
            self._floor.stores.anode.append(roll)
        else:
            values = self._around.at(engine.now_ns)
            loading = float(values[self._around.tags.index["S02.ArealMassSide"]]) / 250.0
            self._floor.stores.cathode.append(CathodeRoll(roll=roll, length_um=length_um, loading_ratio=loading))
        self._floor.rest(code)
        self.plan()

    def _plan_lamination(self) -> None:
        engine, stores = self._engine, self._floor.stores
        ready = len(stores.film) >= 2 and bool(stores.anode)
        run_s = self._line.web("film").roll_length_um * 60e-6
        if not ready or not self._floor.free("S07", run_s):
            return
        top, bottom, anode = stores.film.popleft(), stores.film.popleft(), stores.anode.popleft()
        self._floor.busy.add("S07")
        for roll in (top.roll, bottom.roll, anode):
            engine.record(engine.now_ns, UnitMoved, "S07", unit=roll, kind="roll", phase="entered")
        self._floor.under_way_um["S07"] = min(top.length_um, bottom.length_um)
        engine.work("S07", run_s, self, "laminated", top, bottom, anode)

    def laminated(self, top: FilmRoll, bottom: FilmRoll, anode: str) -> None:
        """Film of two rolls lies on the two faces of an anode foil."""
        engine, now_ns = self._engine, self._engine.now_ns
        self._floor.under_way_um.pop("S07")
        change = self._around.roll_change(now_ns)
        values = self._around.at(now_ns)
        length_um = min(top.length_um, bottom.length_um, self._line.web("anode").roll_length_um)
        if change is not None and change.what == "missing_splice":
            length_um = min(length_um, top.length_um - change.length_um)
        name = self._floor.next_roll("laminate")
        z = self._around.tags.deviations(values)
        faces: dict[str, Face] = {}
        for face, film in (("top", top), ("bottom", bottom)):
            self._process.later(film, "S07", z, now_ns)
            full, start = film.length_um, film.length_um
            pieces: tuple[tuple[int, int, int, int], ...] = ((0, length_um, start, start - length_um),)
            if face == "top" and change is not None:
                if change.what == "wrong_direction":
                    pieces = ((0, length_um, 0, length_um),)
                else:
                    half, gap = length_um // 2, change.length_um
                    pieces = (
                        (0, half, full, full - half),
                        (half, length_um, full - half - gap, full - length_um - gap),
                    )
            faces[face] = Face(roll=film, pieces=pieces)
        recorded = {"top": top.roll, "bottom": bottom.roll, "foil": anode}
        lengths = {"top": top.length_um, "bottom": bottom.length_um, "foil": self._line.web("anode").roll_length_um}
        for face, parent in recorded.items():
            # as if the roll had been unwound straight from its outer end
            segments = web_steps.rewind(parent, length_um, start_um=lengths[face] - length_um)
            engine.record(
                now_ns, WebMapped, "S07", child=name, web="laminate", operation="lamination", face=face,
                segments=segments,
            )  # fmt: skip
        engine.record(now_ns, RollEnded, "S07", roll=name, length_um=length_um)
        engine.record(now_ns, UnitMoved, "S07", unit=name, kind="roll", phase="left")
        self._floor.stores.laminate.append(LaminateRoll(roll=name, length_um=length_um, faces=faces))
        engine.machines["S07"].processed += 1
        self._floor.rest("S07")
        self.plan()

    def _plan_calender(self) -> None:
        engine = self._engine
        if not self._floor.stores.laminate:
            return
        run_s = self._floor.stores.laminate[0].length_um * 60e-6
        if not self._floor.free("S08", run_s):
            return
        web = self._floor.stores.laminate.popleft()
        self._floor.busy.add("S08")
        engine.record(engine.now_ns, UnitMoved, "S08", unit=web.roll, kind="roll", phase="entered")
        self._floor.under_way_um["S08"] = web.length_um
        engine.work("S08", run_s, self, "calendered", web)

    def calendered(self, web: LaminateRoll) -> None:
        """A laminate is denser and longer."""
        self._floor.under_way_um.pop("S08")
        engine, now_ns = self._engine, self._engine.now_ns
        values = self._around.at(now_ns)
        at = self._around.tags.index
        z = self._around.tags.deviations(values)
        for face in web.faces.values():
            self._process.later(face.roll, "S08", z, now_ns)
        segments = web_steps.stretch(web.roll, web.length_um, self._line.web("laminate").stretch_fraction)
        child = f"{web.roll}c"
        web.stretch = segments[0].child_end_um / web.length_um - 1
        web.length_um = segments[0].child_end_um
        web.roll = child
        web.line_load = float(values[at["S08.LineLoad"]])
        web.roll_temperature_c = float(0.5 * (values[at["S08.RollTempTop"]] + values[at["S08.RollTempBottom"]]))
        web.porosity = float(calendered_porosity(web.line_load, web.roll_temperature_c))
        engine.record(now_ns, WebMapped, "S08", child=child, web="laminate", operation="calendering", segments=segments)
        engine.record(now_ns, RollEnded, "S08", roll=child, length_um=web.length_um)
        engine.record(now_ns, UnitMoved, "S08", unit=child, kind="roll", phase="left")
        self._floor.stores.calendered.append(web)
        engine.machines["S08"].processed += 1
        self._floor.rest("S08")
        self.plan()

    def _plan_cut(self) -> None:
        """Cut a run of rows of whatever kind the stacker is shorter of."""
        engine, stores = self._engine, self._floor.stores
        if not self._floor.free("S09", 120.0):
            return
        for kind in sorted(stores.sheets, key=lambda name: len(stores.sheets[name])):
            if len(stores.sheets[kind]) >= _SHEETS_LOW:
                continue
            cutting = self._floor.cutting.get(kind)
            if cutting is None:
                source: deque[LaminateRoll] | deque[CathodeRoll] = (
                    stores.calendered if kind == "laminate" else stores.cathode
                )
                if not source:
                    continue
                web = source.popleft()
                cutting = self._floor.cutting[kind] = Cutting(web=web)
                if isinstance(web, LaminateRoll):
                    self._burrs(web)
                engine.record(engine.now_ns, UnitMoved, "S09", unit=web.roll, kind="roll", phase="entered")
            self._cut(kind, cutting)
            return
        engine.turn("S09", "Idle")

    def _burrs(self, web: LaminateRoll) -> None:
        values = self._around.at(self._engine.now_ns)
        z = self._around.tags.deviations(values)
        for face in web.faces.values():
            self._process.later(face.roll, "S09", z, self._engine.now_ns)

    def _cut(self, kind: str, cutting: Cutting) -> None:
        engine = self._engine
        row = self._line.product().sheet(kind)
        lanes = self._line.web(row.web).lanes
        rows_left = int((cutting.web.length_um - row.md_um) // row.pitch_um) + 1 - cutting.row
        rows = min(_ROWS_PER_RUN, rows_left)
        row_s = (self._line.station("S09").cycle_s or 2.0) * len(lanes) / (self._line.station("S09").parallel or 1)
        sigma_um = self._line.product().stack.cut_sigma_um * math.sqrt(2)
        self._floor.busy.add("S09")
        # both kinds are cut to size by the same laser, and the tags speak of the larger one
        drift_um = [1000 * self._around.moved(f"S09.{name}", engine.now_ns) for name in ("SheetLength", "SheetWidth")]
        sheets: list[Sheet] = []
        spoilt = 0
        for number in range(rows):
            at_ns = engine.now_ns + seconds((number + 1) * row_s)
            start_um = (cutting.row + number) * row.pitch_um
            for lane in lanes:
                reason = engine.spoils("S09")
                name = sheet_id(cutting.web.roll, lane.number, start_um)
                engine.record(
                    at_ns, SheetCut, "S09", sheet=name, kind=row.kind, roll=cutting.web.roll, lane=lane.number,
                    start_um=start_um, end_um=start_um + row.md_um, outcome="scrap" if reason else "ok", reason=reason,
                )  # fmt: skip
                if reason:
                    spoilt += 1
                    continue
                errors = sigma_um * self._rng.standard_normal(2) + drift_um
                sheets.append(
                    Sheet(
                        sheet=name,
                        kind=row.kind,
                        web=cutting.web,
                        lane=lane.number,
                        start_um=start_um,
                        end_um=start_um + row.md_um,
                        cut_ns=at_ns,
                        error_x_um=float(errors[0]),
                        error_y_um=float(errors[1]),
                    )
                )
        cutting.row += rows
        engine.machines["S09"].processed += rows * len(lanes)
        engine.machines["S09"].defective += spoilt
        engine.work("S09", rows * row_s, self, "cut_done", kind, sheets)

    def cut_done(self, kind: str, sheets: list[Sheet]) -> None:
        """Sheets go to the stacker, cathodes by way of the frame."""
        engine = self._engine
        cutting = self._floor.cutting[kind]
        row = self._line.product().sheet(kind)
        if cutting.row * row.pitch_um + row.md_um > cutting.web.length_um:
            engine.record(engine.now_ns, UnitMoved, "S09", unit=cutting.web.roll, kind="roll", phase="left")
            del self._floor.cutting[kind]
        self._floor.busy.discard("S09")
        if kind == "laminate":
            self._floor.stores.sheets["laminate"].extend(sheets)
        else:
            self._floor.busy.add("S10")
            engine.work("S10", (self._line.station("S10").cycle_s or 2.0) * len(sheets), self, "framed", sheets)
        self.plan()
        self._tell_stacker()

    def framed(self, sheets: list[Sheet]) -> None:
        """Cathodes have their frames."""
        engine = self._engine
        good = []
        for sheet in sheets:
            reason = engine.spoils("S10")
            engine.machines["S10"].processed += 1
            if reason:
                engine.machines["S10"].defective += 1
                engine.record(
                    engine.now_ns, UnitMoved, "S10", unit=sheet.sheet, kind="sheet", phase="left", outcome="scrap",
                    reason=reason,
                )  # fmt: skip
            else:
                good.append(sheet)
        self._floor.stores.sheets["cathode"].extend(good)
        self._floor.rest("S10")
        self.plan()
        self._tell_stacker()

    def _tell_stacker(self) -> None:
        self._engine.call_at(self._engine.now_ns, self._engine.sides["stacker"], "plan_stack")

"""The web half of the line: slurry, film, anode, cathode, lamination, calender, and sheets out of the laser.

Webs are made to stock and cut when stacking needs sheets. A film roll is unwound from its outer end at lamination, so
its metre x lies at L - x of the laminate; what is really so stands in `Face`, what the records say may differ.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from line import web_steps
from line.events import BatchMixed, RollEnded, RollStarted, SheetCut, SheetKind, UnitMoved, WebMapped, WebName
from line.ids import roll_id, sheet_id
from line.relations_cell import moisture_factor
from line.relations_film import calendered_porosity
from plant.film import PAST_STEP_UM, STEP_UM, FilmProcess, FilmRoll, Moment
from plant.flow import Engine, seconds
from plant.shifts import NS
from plant.surroundings import Surroundings

_SET_UP_S = 3600.0
"""From the shift's beginning until the first film is coated."""
_TURN_S = 1200.0
"""Between two film rolls."""
_FILM_STOCK_M = (300.0, 150.0)
"""Film in store, in metres of one face, above which a first and a second roll of a shift are not needed."""
_SHEETS_LOW = 150
"""Sheets of a kind in the magazine, below which more are cut."""
_ROWS_PER_RUN = 25
_WEB_LETTER = {"film": "film", "anode": "anode", "cathode": "cathode", "laminate": "laminate"}


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


class WebSide:
    """The web half.

    Args:
        opens_ns: when somebody begins to watch; before, the tags are looked at less often.
    """

    def __init__(
        self, engine: Engine, surroundings: Surroundings, process: FilmProcess, *, seed: int, opens_ns: int
    ) -> None:
        self.name = "web"
        self._engine = engine
        self._around = surroundings
        self._process = process
        self._line = engine.line
        self._seed = seed
        self._opens_ns = opens_ns
        self._rng = np.random.default_rng([seed, 0x3EB])
        self.stores = Stores()
        self.film: FilmRun | None = None
        self.rolls: dict[str, FilmRoll] = {}
        """Film rolls by name, as long as a cell may hold some of them."""
        self._busy: set[str] = set()
        self._not_before: dict[str, int] = {}
        self._shift_rolls = 0
        self._cutting: dict[str, Cutting] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._film_count = 0
        self._batch_count = 0
        self._mixing = False
        self._cast_offset_um = self._line.position("rewinder").offset_um
        self._camera_um = self._line.position("camera").offset_um
        self._gauge_um = self._line.position("mass_gauge").offset_um
        self.cut_waiting = ""
        engine.sides[self.name] = self

    def open_life(self) -> None:
        """What is there when life begins: one batch, and people if it is the hour."""
        self._add_batch(self._next_batch())
        if self._engine.manned():
            self.open_shift()
        else:
            self._engine.call_at(self._engine.shifts.next_begin_ns(self._engine.now_ns), self, "open_shift")

    def open_shift(self) -> None:
        """People come; machines are set up."""
        engine, now_ns = self._engine, self._engine.now_ns
        interval = engine.shifts.interval_at(now_ns)
        assert interval is not None
        first = now_ns == interval[0]
        self._shift_rolls = 0
        for code in ("S01", "S02", "S03", "S04", "S05", "S06", "S07", "S08", "S09", "S10"):
            if code not in self._busy:
                engine.turn(code, "Idle")
        if first:
            self._not_before["S03"] = now_ns + seconds(_SET_UP_S)
            for code, after_s in (("S06", 900.0), ("S02", 1200.0), ("S07", 1500.0), ("S08", 1200.0), ("S09", 300.0)):
                self._not_before[code] = now_ns + seconds(after_s)
        for at_ns in sorted(set(self._not_before.values())):
            if at_ns > now_ns:
                engine.call_at(at_ns, self, "plan")
        engine.call_at(interval[1], self, "close_shift")
        engine.call_at(engine.shifts.next_begin_ns(now_ns), self, "open_shift")
        self.plan()

    def close_shift(self) -> None:
        """People go; what still runs is finished."""
        if self._engine.manned():
            return
        for code in ("S01", "S02", "S03", "S04", "S05", "S06", "S07", "S08", "S09", "S10"):
            if code not in self._busy:
                self._engine.turn(code, "Stopped", reason="out of shift")

    def plan(self) -> None:
        """Start whatever can and should be started now."""
        if not self._engine.manned():
            return
        self._plan_mix()
        self._plan_film()
        self._plan_roll("S06", "anode", len(self.stores.anode) < 2)
        cathode_m = sum(roll.length_um for roll in self.stores.cathode) * 1e-6
        self._plan_roll("S02", "cathode", cathode_m < 100.0)
        self._plan_lamination()
        self._plan_calender()
        self._plan_cut()

    # Slurry

    def _plan_mix(self) -> None:
        engine = self._engine
        cycle_s = self._line.station("S01").cycle_s or 14400.0
        enough = sum(batch.left_um for batch in self.stores.batches) > 2.5 * self._line.web("film").roll_length_um
        if self._mixing or enough or not self._free("S01", cycle_s):
            return
        self._mixing = True
        self._busy.add("S01")
        batch = self._next_batch()
        engine.record(engine.now_ns, UnitMoved, "S01", unit=batch, kind="batch", phase="entered")
        engine.work("S01", cycle_s * float(self._rng.normal(1.0, 0.02)), self, "mixed", batch)

    def mixed(self, batch: str) -> None:
        """A batch is ready; its laboratory values are known."""
        self._mixing = False
        self._add_batch(batch)
        self._engine.record(self._engine.now_ns, UnitMoved, "S01", unit=batch, kind="batch", phase="left")
        self._rest("S01")
        self.plan()

    def _add_batch(self, batch: str) -> None:
        engine = self._engine
        values = self._around.tags.batch_values(self._around.at(engine.now_ns), self._rng)
        self._around.tags.give(values)
        engine.machines["S01"].processed += 1
        number = engine.machines["S01"].processed
        engine.record(
            engine.now_ns, BatchMixed, "S01", batch=batch, powder_lot=f"LPSCL-{1 + number // 6:03d}",
            binder_lot=f"HNBR-{1 + number // 15:02d}", mass_kg=10.0,
        )  # fmt: skip
        # 10 kg last 5 h at 2.0 kg/h, at 1.0 m/min
        self.stores.batches.append(Batch(batch=batch, values=values, left_um=300_000_000))

    def _next_batch(self) -> str:
        self._batch_count += 1
        return f"B-{self._batch_count:04d}"

    # Film

    def _plan_film(self) -> None:
        engine = self._engine
        length_um = self._line.web("film").roll_length_um
        stock_m = sum(roll.length_um for roll in self.stores.film) * 1e-6
        stock_m += 2e-6 * sum(roll.length_um for roll in (*self.stores.laminate, *self.stores.calendered))
        while self.stores.batches and self.stores.batches[0].left_um < length_um:
            self.stores.batches.popleft()
        wanted = stock_m < _FILM_STOCK_M[min(self._shift_rolls, 1)]
        # whoever opens the line to look at it shall see it coat
        wanted |= self._opens_ns - seconds(_SET_UP_S) <= engine.now_ns <= self._opens_ns
        run_s = (length_um + self._cast_offset_um) * 60e-6
        if self.film is not None or not wanted or not self.stores.batches or not self._free("S03", run_s):
            return
        batch = self.stores.batches[0]
        batch.left_um -= length_um
        self._shift_rolls += 1
        self._film_count += 1
        roll = FilmRoll(
            roll=self._next_roll("film"),
            batch=batch.batch,
            number=self._film_count,
            length_um=length_um,
            rng=np.random.default_rng([self._seed, 0xF11, self._film_count]),
            step_um=STEP_UM if engine.now_ns >= self._opens_ns else PAST_STEP_UM,
        )
        self.rolls[roll.roll] = roll
        product = self._line.product()
        engine.record(
            engine.now_ns, RollStarted, "S03", roll=roll.roll, web="film", batch=batch.batch,
            order=self._order(), recipe=product.name,
        )  # fmt: skip
        self.film = FilmRun(roll=roll, batch=batch, since_ns=engine.now_ns)
        for code in ("S03", "S04", "S05"):
            self._busy.add(code)
            engine.turn(code, "Execute")
        self._look(self.film)
        self._roll_on(roll.step_um)

    def film_step(self) -> None:
        """The film's web has travelled one step."""
        run = self.film
        assert run is not None
        run.step += 1
        run.encoder_um = run.step * run.roll.step_um
        run.since_ns = self._engine.now_ns
        self._look(run)
        self._process.finish_steps(run.roll, run.encoder_um)
        self._gauges(run)
        if run.encoder_um >= run.roll.length_um + self._cast_offset_um:
            self._end_film(run)
        else:
            self._roll_on(run.roll.step_um)

    def film_stop(self, code: str, reason: str, repair_s: float) -> None:
        """A station of the caster fails; the web stands."""
        run = self.film
        assert run is not None
        run.encoder_um = run.encoder_at(self._engine.now_ns)
        run.running = False
        for other in ("S03", "S04", "S05"):
            if other == code:
                self._engine.turn(other, "Held", reason=reason, mode="Maintenance")
            else:
                self._engine.turn(other, "Suspended", reason=f"{code} stands", blocked=other < code, starved=other > code)
        self._engine.call_at(self._engine.now_ns + seconds(repair_s), self, "film_resume")

    def film_resume(self) -> None:
        """The web runs again."""
        run = self.film
        assert run is not None
        run.running = True
        run.since_ns = self._engine.now_ns
        for code in ("S03", "S04", "S05"):
            self._engine.turn(code, "Execute")
        self._roll_on((run.step + 1) * run.roll.step_um - run.encoder_um)

    def _roll_on(self, distance_um: int) -> None:
        """Travel on to the next step, or to the breakdown before it."""
        engine, run = self._engine, self.film
        assert run is not None
        step_s = distance_um * 60e-6 / run.speed_m_per_min
        self._around.hours_since_die_clean += step_s / 3600
        self._around.pump_hours += step_s / 3600
        for code in ("S03", "S04", "S05"):
            stops = engine.worked(code, step_s)
            if stops:
                stop = stops[0]
                at_ns = engine.now_ns + seconds(stop.after_s)
                engine.call_at(at_ns, self, "film_stop", code, stop.reason, stop.repair_s)
                return
        engine.call_at(engine.now_ns + seconds(step_s), self, "film_step")

    def _look(self, run: FilmRun) -> None:
        """Keep what is so on the caster at this step, and take its speed from it."""
        around, tags, now_ns = self._around, self._around.tags, self._engine.now_ns
        values = tags.with_batch(around.at(now_ns), run.batch.values)
        at = tags.index
        conditions = around.conditions(now_ns)
        run.speed_m_per_min = float(np.clip(values[at["S03.WebSpeed"]], 0.2, 5.0))
        of_tags = (values - tags.nominal) / tags.divisor
        z = np.array(
            [
                of_tags[at[name]] if name in at else around.condition_z(name, conditions[name])
                for name in self._process.variables
            ]
        )
        run.roll.moments.append(
            Moment(
                at_ns=now_ns,
                z=z,
                zone1_c=float(values[at["S04.Zone1Temp"]]),
                zone1_air_m_per_s=float(values[at["S04.Zone1AirSpeed"]]),
                speed_m_per_min=run.speed_m_per_min,
                wet_um=float(values[at["S03.WetThickness"]]),
                viscosity_pa_s=float(values[at["S01.Viscosity100"]]) * 1e-3,
                gap_um=float(values[at["S03.CoatGap"]]),
                mass_ratio=float(values[at["S05.ArealMass"]]) / 50.0,
                hood_dose_pa_h=around.hood_dose_pa_h,
                binder_wt_percent=conditions.get("recipe.binder_wt", 3.0),
                rates=around.rates(now_ns),
                loci=around.loci(now_ns),
            )
        )

    def _gauges(self, run: FilmRun) -> None:
        """What stands under the gauges now was coated some metres ago."""
        roll, tags = run.roll, self._around.tags
        md_um = run.encoder_um - self._gauge_um
        given: dict[str, float] = {}
        if 0 <= md_um < roll.length_um:
            moment = roll.moments[min(md_um // roll.step_um, len(roll.moments) - 1)]
            scan_um = abs((self._engine.now_ns / NS * 15_000) % 600_000 - 300_000)
            local = sum(locus.mass_fraction * locus.share for locus in moment.loci if abs(locus.cd_um - scan_um) < 10_000)
            given["S05.ArealMass"] = 50.0 * moment.mass_ratio * (1 + local)
            given["S05.ThicknessDry"] = 50.0 * moment.mass_ratio
        seen_um = run.encoder_um - self._camera_um
        if seen_um > 0:
            window_um = 2e12 / self._process.width_um
            seen = roll.between(int(max(seen_um - window_um, 0)), min(seen_um, roll.length_um))
            limits = {row.code: row.reject_um for row in self._line.defects}
            rejects = sum(1 for flaw in seen if flaw.size_um > (limits.get(flaw.kind) or 1e9))
            given["S05.RejectDensity"] = rejects / 2.0
        tags.give(given)

    def _end_film(self, run: FilmRun) -> None:
        engine, roll = self._engine, run.roll
        engine.record(engine.now_ns, RollEnded, "S05", roll=roll.roll, length_um=roll.length_um)
        engine.record(engine.now_ns, UnitMoved, "S05", unit=roll.roll, kind="roll", phase="left", place="rewinder")
        self.stores.film.append(roll)
        self.film = None
        for code in ("S03", "S04", "S05"):
            engine.machines[code].processed += 1
            self._rest(code)
        pause_s = _TURN_S
        if self._around.hours_since_die_clean > 6.0:
            self._around.hours_since_die_clean = 0.0
            pause_s = 2700.0
            engine.turn("S03", "Stopped", reason="die clean", mode="Maintenance")
            engine.call_at(engine.now_ns + seconds(pause_s), self, "die_clean")
        self._not_before["S03"] = engine.now_ns + seconds(pause_s)
        engine.call_at(self._not_before["S03"], self, "plan")
        self.plan()

    def die_clean(self) -> None:
        """The die is clean again."""
        if "S03" not in self._busy:
            self._rest("S03")

    # Foils

    def _plan_roll(self, code: str, web: WebName, wanted: bool) -> None:
        engine = self._engine
        row, station = self._line.web(web), self._line.station(code)
        run_s = row.roll_length_um * 60e-6 / (station.speed_m_per_min or 1.0)
        if not wanted or not self._free(code, run_s):
            return
        roll = self._next_roll(web)
        self._busy.add(code)
        engine.record(engine.now_ns, RollStarted, code, roll=roll, web=web, order=self._order())
        engine.work(code, run_s, self, "foil_done", code, web, roll)

    def foil_done(self, code: str, web: WebName, roll: str) -> None:
        """A coated foil is complete."""
        engine, length_um = self._engine, self._line.web(web).roll_length_um
        engine.record(engine.now_ns, RollEnded, code, roll=roll, length_um=length_um)
        engine.machines[code].processed += 1
        if web == "anode":
            self.stores.anode.append(roll)
        else:
            values = self._around.at(engine.now_ns)
            loading = float(values[self._around.tags.index["S02.ArealMassSide"]]) / 250.0
            self.stores.cathode.append(CathodeRoll(roll=roll, length_um=length_um, loading_ratio=loading))
        self._rest(code)
        self.plan()

    # Laminate

    def _plan_lamination(self) -> None:
        engine, stores = self._engine, self.stores
        wanted = not stores.laminate and not stores.calendered and "S08" not in self._busy
        ready = len(stores.film) >= 2 and bool(stores.anode)
        run_s = self._line.web("film").roll_length_um * 60e-6
        if not wanted or not ready or not self._free("S07", run_s):
            return
        top, bottom, anode = stores.film.popleft(), stores.film.popleft(), stores.anode.popleft()
        self._busy.add("S07")
        for roll in (top.roll, bottom.roll, anode):
            engine.record(engine.now_ns, UnitMoved, "S07", unit=roll, kind="roll", phase="entered")
        engine.work("S07", run_s, self, "laminated", top, bottom, anode)

    def laminated(self, top: FilmRoll, bottom: FilmRoll, anode: str) -> None:
        """Film of two rolls lies on the two faces of an anode foil."""
        engine, now_ns = self._engine, self._engine.now_ns
        change = self._around.roll_change(now_ns)
        values = self._around.at(now_ns)
        length_um = min(top.length_um, bottom.length_um, self._line.web("anode").roll_length_um)
        if change is not None and change.what == "missing_splice":
            length_um = min(length_um, top.length_um - change.length_um)
        name = self._next_roll("laminate")
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
                    pieces = ((0, half, full, full - half), (half, length_um, full - half - gap, full - length_um - gap))
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
        self.stores.laminate.append(LaminateRoll(roll=name, length_um=length_um, faces=faces))
        engine.machines["S07"].processed += 1
        self._rest("S07")
        self.plan()

    def _plan_calender(self) -> None:
        engine = self._engine
        if not self.stores.laminate:
            return
        run_s = self.stores.laminate[0].length_um * 60e-6
        if not self._free("S08", run_s):
            return
        web = self.stores.laminate.popleft()
        self._busy.add("S08")
        engine.record(engine.now_ns, UnitMoved, "S08", unit=web.roll, kind="roll", phase="entered")
        engine.work("S08", run_s, self, "calendered", web)

    def calendered(self, web: LaminateRoll) -> None:
        """A laminate is denser and longer."""
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
        engine.record(
            now_ns, WebMapped, "S08", child=child, web="laminate", operation="calendering", segments=segments
        )
        engine.record(now_ns, RollEnded, "S08", roll=child, length_um=web.length_um)
        engine.record(now_ns, UnitMoved, "S08", unit=child, kind="roll", phase="left")
        self.stores.calendered.append(web)
        engine.machines["S08"].processed += 1
        self._rest("S08")
        self.plan()

    # Sheets

    def _plan_cut(self) -> None:
        """Cut a run of rows of whatever kind the stacker is shorter of."""
        engine, stores = self._engine, self.stores
        if not self._free("S09", 120.0):
            return
        for kind in sorted(stores.sheets, key=lambda name: len(stores.sheets[name])):
            if len(stores.sheets[kind]) >= _SHEETS_LOW:
                continue
            cutting = self._cutting.get(kind)
            if cutting is None:
                source: deque[LaminateRoll] | deque[CathodeRoll] = (
                    stores.calendered if kind == "laminate" else stores.cathode
                )
                if not source:
                    continue
                web = source.popleft()
                cutting = self._cutting[kind] = Cutting(web=web)
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
        sigma_um = self._line.product().stack.cut_sigma_um * np.sqrt(2)
        self._busy.add("S09")
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
                errors = sigma_um * self._rng.standard_normal(2)
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
        cutting = self._cutting[kind]
        row = self._line.product().sheet(kind)
        if cutting.row * row.pitch_um + row.md_um > cutting.web.length_um:
            engine.record(engine.now_ns, UnitMoved, "S09", unit=cutting.web.roll, kind="roll", phase="left")
            del self._cutting[kind]
        self._busy.discard("S09")
        if kind == "laminate":
            self.stores.sheets["laminate"].extend(sheets)
        else:
            self._busy.add("S10")
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
        self.stores.sheets["cathode"].extend(good)
        self._rest("S10")
        self.plan()
        self._tell_stacker()

    def _tell_stacker(self) -> None:
        if "cell" in self._engine.sides:
            self._engine.call_at(self._engine.now_ns, self._engine.sides["cell"], "plan_stack")

    # Small things

    def _free(self, code: str, work_s: float) -> bool:
        """Whether a station may start work that it should finish before people go."""
        engine = self._engine
        return (
            code not in self._busy
            and engine.now_ns >= self._not_before.get(code, 0)
            and engine.now_ns + seconds(work_s) <= engine.closes_ns() + seconds(900.0)
        )

    def _rest(self, code: str) -> None:
        self._busy.discard(code)
        if self._engine.manned():
            self._engine.turn(code, "Idle")
        else:
            self._engine.turn(code, "Stopped", reason="out of shift")

    def _next_roll(self, web: WebName) -> str:
        name = roll_id(web, self._engine.now_ns, 1, 0)
        key = (web, name[:-3])
        self._numbers[key] = self._numbers.get(key, 0) + 1
        return roll_id(web, self._engine.now_ns, 1, self._numbers[key])

    def _order(self) -> str:
        interval = self._engine.shifts.interval_at(self._engine.now_ns)
        week = (interval[0] if interval else self._engine.now_ns) // (7 * 86400 * NS)
        return f"WO-{week:04d}"


def film_moisture(roll: FilmRoll, md_um: float, scale: float) -> float:
    """Water dose of film while it ran through the caster, above the usual one [Pa h]."""
    if len(roll.moments) < 2:
        return 0.0
    first = min(max(int(md_um // roll.step_um), 0), len(roll.moments) - 1)
    last = min(first + 10_000_000 // roll.step_um, len(roll.moments) - 1)
    before, after = roll.moments[first], roll.moments[last]
    hours = (after.at_ns - before.at_ns) / 3.6e12
    # frost point -65 °C is 0.535 Pa
    return scale * max(after.hood_dose_pa_h - before.hood_dose_pa_h - 0.535 * hours, 0.0)


def conductivity_left(excess_dose_pa_h: float) -> float:
    """Share of conductivity left after a dose above the usual one (R09)."""
    left: float = moisture_factor(max(excess_dose_pa_h, 0.0))
    return left

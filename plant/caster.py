"""Slurry and electrolyte film: the mixer, and the caster with its dryer and inspection, which run as one web."""

from __future__ import annotations

import numpy as np

from line.events import BatchMixed, RollEnded, RollStarted, UnitMoved
from plant.film import FilmProcess
from plant.film_roll import PAST_STEP_UM, STEP_UM, FilmRoll, Moment
from plant.floor import Floor
from plant.flow import seconds
from plant.shifts import NS
from plant.stock import Batch, FilmRun
from plant.tags import MIXER_TAGS

SET_UP_S = 3600.0
"""From the shift's beginning until the first film is coated."""
_TURN_S = 1200.0
"""Between two film rolls."""
_CLEAN_S = 2700.0
_CLEAN_AFTER_H = 6.0
_STOCK_SHIFTS = (2.6, 1.7)
"""Shifts that film, laminate and sheets must last, so that a first and a second roll of a shift are not needed."""
_BATCH_UM = 300_000_000
"""10 kg last 5 h at 2.0 kg/h and 1.0 m/min."""


class Caster:
    """Mixer and caster.

    Args:
        opens_ns: when somebody begins to watch; before, the tags are looked at less often.
    """

    def __init__(self, floor: Floor, process: FilmProcess, *, seed: int, opens_ns: int) -> None:
        self.name = "caster"
        self._floor = floor
        self._engine = floor.engine
        self._around = floor.around
        self._line = floor.line
        self._process = process
        self._seed = seed
        self._opens_ns = opens_ns
        self._rng = np.random.default_rng([seed, 0xCA5])
        self.film: FilmRun | None = None
        self.rolls: dict[str, FilmRoll] = {}
        """Film rolls by name, as long as a cell may hold some of them."""
        self._shift_rolls = 0
        self._film_count = 0
        self._batch_count = 0
        self._mixing = False
        self._rewinder_um = self._line.position("rewinder").offset_um
        self._camera_um = self._line.position("camera").offset_um
        self._gauge_um = self._line.position("mass_gauge").offset_um
        self._engine.sides[self.name] = self

    def open_life(self) -> None:
        """One batch is ready."""
        self._add_batch(self._next_batch())

    def open_shift(self) -> None:
        """A shift's first roll has not been coated yet."""
        self._shift_rolls = 0

    def plan(self) -> None:
        """Mix and coat if it is time."""
        self._plan_mix()
        self._plan_film()

    def _plan_mix(self) -> None:
        engine = self._engine
        cycle_s = self._line.station("S01").cycle_s or 14400.0
        left_um = sum(batch.left_um for batch in self._floor.stores.batches)
        enough = left_um > 2.5 * self._line.web("film").roll_length_um
        if self._mixing or enough or not self._floor.free("S01", cycle_s):
            return
        self._mixing = True
        self._floor.busy.add("S01")
        batch = self._next_batch()
        engine.record(engine.now_ns, UnitMoved, "S01", unit=batch, kind="batch", phase="entered")
        self._around.tags.follow(MIXER_TAGS)
        engine.work("S01", cycle_s * float(self._rng.normal(1.0, 0.02)), self, "mixed", batch)

    def mixed(self, batch: str) -> None:
        """A batch is ready; its laboratory values are known."""
        self._mixing = False
        self._add_batch(batch)
        self._engine.record(self._engine.now_ns, UnitMoved, "S01", unit=batch, kind="batch", phase="left")
        self._floor.rest("S01")
        self._engine.call_at(self._engine.now_ns, self._engine.sides["web"], "plan")

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
        self._floor.stores.batches.append(Batch(batch=batch, values=values, left_um=_BATCH_UM))

    def _next_batch(self) -> str:
        self._batch_count += 1
        return f"B-{self._batch_count:04d}"

    def _plan_film(self) -> None:
        engine = self._engine
        length_um = self._line.web("film").roll_length_um
        while self._floor.stores.batches and self._floor.stores.batches[0].left_um < length_um:
            self._floor.stores.batches.popleft()
        wanted = self._floor.stock_shifts() < _STOCK_SHIFTS[min(self._shift_rolls, 1)]
        # whoever opens the line to look at it shall see it coat
        wanted |= self._opens_ns - seconds(SET_UP_S) <= engine.now_ns <= self._opens_ns
        run_s = (length_um + self._rewinder_um) * 60e-6
        if self.film is not None or not wanted or not self._floor.stores.batches or not self._floor.free("S03", run_s):
            return
        batch = self._floor.stores.batches[0]
        batch.left_um -= length_um
        self._shift_rolls += 1
        self._film_count += 1
        roll = FilmRoll(
            roll=self._floor.next_roll("film"),
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
            order=self._floor.order(), recipe=product.name,
        )  # fmt: skip
        self.film = FilmRun(roll=roll, batch=batch, since_ns=engine.now_ns)
        for code in ("S03", "S04", "S05"):
            self._floor.busy.add(code)
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
        if run.encoder_um >= run.roll.length_um + self._rewinder_um:
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
                self._engine.turn(
                    other, "Suspended", reason=f"{code} stands", blocked=other < code, starved=other > code
                )
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
        z = np.array([
            of_tags[at[name]] if name in at else around.condition_z(name, conditions[name])
            for name in self._process.variables
        ])
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
            local = sum(
                locus.mass_fraction * locus.share for locus in moment.loci if abs(locus.cd_um - scan_um) < 10_000
            )
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
        self._floor.stores.film.append(roll)
        self.film = None
        for code in ("S03", "S04", "S05"):
            engine.machines[code].processed += 1
            self._floor.rest(code)
        pause_s = _TURN_S
        if self._around.hours_since_die_clean > _CLEAN_AFTER_H:
            self._around.hours_since_die_clean = 0.0
            pause_s = _CLEAN_S
            engine.turn("S03", "Stopped", reason="die clean", mode="Maintenance")
            engine.call_at(engine.now_ns + seconds(pause_s), self, "die_clean")
        self._floor.not_before["S03"] = engine.now_ns + seconds(pause_s)
        engine.call_at(self._floor.not_before["S03"], engine.sides["web"], "plan")
        self._engine.call_at(self._engine.now_ns, self._engine.sides["web"], "plan")

    def die_clean(self) -> None:
        """The die is clean again."""
        if "S03" not in self._floor.busy:
            self._floor.rest("S03")

    # Foils

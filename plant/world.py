"""The physical line as a whole: tags, film, flow, cells and faults under one clock that only `advance` moves."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

from line.errors import ConfigError
from line.events import MaterialEvent, StationState
from line.model import LineModel
from plant.caster import Caster
from plant.cells import CellMaker
from plant.film import FilmProcess
from plant.floor import Floor
from plant.flow import Engine, seconds
from plant.flow_cells import CellSide
from plant.flow_web import WebSide
from plant.hidden import Hidden, HiddenDefect, drawn_hidden
from plant.scenario import ActiveScenario, Scenario
from plant.shifts import NS, Shifts
from plant.stacking import Stacker
from plant.stock import FilmRun
from plant.surroundings import Surroundings
from plant.truth import CellTruth, FaultTruth, FlawTruth, HiddenTruth, TruthRecord
from plant.truth_types import CameraHealth, Flaw, PlacedSheet
from plant.unit import Names

SAVE_VERSION = 1
_LOOK_MANNED_S = 300.0
_LOOK_UNMANNED_S = 1800.0
_ROLLS_KEPT_NS = 40 * 86400 * NS


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmView:
    """What stands before the film camera. MD in view is `encoder_um` less the camera's place on the web."""

    roll: str
    encoder_um: int
    """Web travel since the roll's zero was under the die lip; grows past the roll's length while the web runs out."""
    coated_um: int
    """Film coated so far; the roll's length once coating has stopped."""
    complete: bool
    """Whether coating has stopped, so that `coated_um` is the roll's length."""
    running: bool
    web_speed_m_per_min: float


class World:
    """A simulated line. Nothing happens but in `advance`; the same seeds give the same events however it is called.

    Args:
        line: the line model.
        seed: what happens by chance.
        hidden_seed: strengths and structure that nobody is told; 0 is the line as published.
        opens_at_ns: when the line opens; its life begins then, or earlier after `begin`.

    Raises:
        ConfigError: the line has no tag that the simulated physics needs.
    """

    def __init__(self, line: LineModel, *, seed: int, hidden_seed: int, opens_at_ns: int) -> None:
        self.line = line
        self.seed = seed
        self.opens_at_ns = opens_at_ns
        self.hidden: Hidden = drawn_hidden(line, hidden_seed)
        self._alive = False
        self._build(opens_at_ns)

    def _build(self, began_ns: int) -> None:
        self.began_ns = began_ns
        try:
            self._around = Surroundings(self.line, self.hidden, seed=self.seed, began_ns=began_ns)
            self._around.look(began_ns)
        except KeyError as error:
            raise ConfigError(
                f"line {self.line.name}: the simulated plant needs tag {error}; run this line without a plant"
            ) from error
        self._engine = Engine(self.line, self.hidden, seed=self.seed, began_ns=began_ns)
        floor = Floor(self._engine, self._around)
        process = FilmProcess(self.line, self.hidden)
        self._caster = Caster(floor, process, seed=self.seed, opens_ns=self.opens_at_ns)
        self._web = WebSide(floor, self._caster, process, seed=self.seed)
        maker, names = CellMaker(self.line, self.hidden, self._around, seed=self.seed), Names()
        self._stacker = Stacker(floor, maker, names, seed=self.seed)
        self._cells = CellSide(floor, self._stacker, maker, names, seed=self.seed)
        self.name = "world"
        self._engine.sides[self.name] = self
        self._truths: list[TruthRecord] = [HiddenTruth(at_ns=began_ns, hidden=self.hidden)]

    @property
    def now_ns(self) -> int:
        """Plant time."""
        return self._engine.now_ns

    def hidden_defects(self) -> tuple[HiddenDefect, ...]:
        """Defect classes that no table names; the renderer needs their looks."""
        return self.hidden.unnamed()

    def begin(self, at_ns: int) -> None:
        """Let the world's life begin earlier than it opens; before the first `advance` only."""
        if self._alive:
            raise ValueError(f"the line lives since {self.began_ns} ns; begin comes before the first advance")
        self._build(at_ns)

    def advance(self, to_ns: int) -> None:
        """Let plant time go on to `to_ns`; an earlier time does nothing."""
        if not self._alive:
            self._alive = True
            self.look_around()
            self._web.open_life()
            self._cells.open_life()
        if to_ns >= self._engine.now_ns:
            self._engine.advance(to_ns)

    def look_around(self) -> None:
        """Keep what is so in the room, also while nothing happens there."""
        engine = self._engine
        self._around.at(engine.now_ns)
        self._around.tidy(engine.now_ns)
        pause_s = _LOOK_MANNED_S if engine.manned() else _LOOK_UNMANNED_S
        engine.call_at(engine.now_ns + seconds(pause_s), self, "look_around")

    def take_material(self) -> list[MaterialEvent]:
        """Part records since the last take, in order of plant time, with station, counter and id."""
        return self._engine.take_records()

    def take_states(self) -> list[StationState]:
        """Changes of state since the last take."""
        return self._engine.take_changes()

    def station_states(self) -> list[StationState]:
        """Every station's state now; `at_ns` is since when."""
        return self._engine.states()

    def running_stations(self) -> list[str]:
        """Codes of the stations that run now."""
        return [code for code, machine in self._engine.machines.items() if machine.state == "Execute"]

    def take_placements(self) -> list[tuple[int, PlacedSheet]]:
        """Layers placed since the last take, with the plant time of each."""
        return self._stacker.take_placements(self.now_ns)

    def take_truth(self) -> list[TruthRecord]:
        """What was really so, since the last take; for the sealed file only."""
        taken, self._truths = self._truths, []
        for roll in self._caster.rolls.values():
            taken += [FlawTruth.of(flaw) for flaw in roll.fresh]
            roll.fresh.clear()
        taken += [CellTruth.of(at_ns, cell, stack, fate) for at_ns, cell, stack, fate in self._cells.fates]
        self._cells.fates.clear()
        return taken

    def tags(self) -> dict[str, float]:
        """Every tag as its sensor reports it now, in its unit."""
        around, now_ns = self._around, self.now_ns
        idle = [code for code, machine in self._engine.machines.items() if machine.state != "Execute"]
        values = around.tags.reported(now_ns, around.look(now_ns), around.active, idle)
        return dict(zip(around.tags.names, values.tolist(), strict=True))

    def inject(self, scenario: Scenario, strength: float = 1.0, *, lasts_s: float | None = None) -> None:
        """Start a fault now.

        Args:
            strength: 1 is as the scenario says.
            lasts_s: lift it as a whole after so many plant seconds; without it, it lasts as its rows say.
        """
        now_ns = self.now_ns
        ends_ns = None if lasts_s is None else now_ns + seconds(lasts_s)
        self._around.active.append(
            ActiveScenario(scenario=scenario, strength=strength, began_ns=now_ns, ends_ns=ends_ns)
        )
        self._around.renew()
        self._truths.append(
            FaultTruth(at_ns=now_ns, scenario=scenario.name, title=scenario.title, strength=strength, ends_ns=ends_ns)
        )

    def film_view(self) -> FilmView | None:
        """What is before the film camera; None while no roll is on the caster."""
        run: FilmRun | None = self._caster.film
        if run is None:
            return None
        encoder_um = run.encoder_at(self.now_ns)
        return FilmView(
            roll=run.roll.roll,
            encoder_um=encoder_um,
            coated_um=min(encoder_um, run.roll.length_um),
            complete=encoder_um >= run.roll.length_um,
            running=run.running,
            web_speed_m_per_min=run.speed_m_per_min if run.running else 0.0,
        )

    def flaws_between(self, roll: str, md_start_um: int, md_end_um: int) -> list[Flaw]:
        """Real flaws that reach into a stretch of film that has passed the dryer; none of an unknown roll."""
        found = self._caster.rolls.get(roll)
        return [] if found is None else found.between(md_start_um, md_end_um)

    def film_passed(self) -> list[tuple[str, int]]:
        """Film rolls in the order of coating, and how much of each has passed the camera [um]."""
        camera_um = self.line.position("camera").offset_um
        view = self.film_view()
        return [
            (name, roll.length_um if view is None or view.roll != name
             else min(max(view.encoder_um - camera_um, 0), roll.length_um))
            for name, roll in self._caster.rolls.items()
        ]  # fmt: skip

    def roll_length_um(self, roll: str) -> int:
        """As-coated length of a film roll."""
        return self._caster.rolls[roll].length_um

    def at_camera_ns(self, roll: str, md_um: int) -> int:
        """When a place of a film roll passed the camera, or passes it at present speed."""
        run, found = self._caster.film, self._caster.rolls[roll]
        encoder_um = md_um + self.line.position("camera").offset_um
        if run is not None and run.roll is found and encoder_um >= run.encoder_um:
            return run.since_ns + seconds((encoder_um - run.encoder_um) * 60e-6 / run.speed_m_per_min)
        return found.passed_ns(encoder_um)

    def camera_health_at(self, at_ns: int) -> CameraHealth:
        """How the film camera saw at a time not long ago."""
        return self._around.health(at_ns)

    def camera_health(self) -> CameraHealth:
        """How the film camera sees now."""
        return self._around.health(self.now_ns)

    def corner_shift_um(self, corner: int) -> float:
        """How far a stack camera (1-4) has moved from where its calibration says, along x and y."""
        return self._around.corner_shift_um(corner, self.now_ns)

    def forget(self) -> None:
        """Let go of film that no cell will be made of any more."""
        horizon_ns = self.now_ns - _ROLLS_KEPT_NS
        for name, roll in list(self._caster.rolls.items()):
            if roll.moments and roll.moments[-1].at_ns < horizon_ns:
                del self._caster.rolls[name]

    def save(self, path: Path) -> None:
        """Write the world to a file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            pickle.dump((SAVE_VERSION, self), file, protocol=pickle.HIGHEST_PROTOCOL)
        temporary.chmod(0o600)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> World:
        """The world of a file that `save` wrote; only ever a file of one's own state folder, since it is a pickle.

        Raises:
            ConfigError: not such a file, or of another version.
        """
        try:
            with path.open("rb") as file:
                version, world = pickle.load(file)
        except (OSError, pickle.UnpicklingError, EOFError, TypeError, ValueError, AttributeError, ImportError) as error:
            raise ConfigError(f"cannot be read as a saved line: {error}; remove it to begin anew", file=path) from error
        if version != SAVE_VERSION or not isinstance(world, cls):
            raise ConfigError(
                f"is a saved line of version {version}, this Lamella reads {SAVE_VERSION}; remove it to begin anew",
                file=path,
            )
        return world


def default_opening_ns(line: LineModel, now_ns: int) -> int:
    """Two hours into the latest shift before now."""
    return Shifts(line.calendar).latest_opening_ns(now_ns)

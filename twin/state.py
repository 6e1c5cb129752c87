"""The line as it is believed to be: a pure fold of events, and a join.

Whatever order events come in, however often, the state is the same (`LineState.digest`): of what says the same thing
twice the largest counts, intervals are unions, a position is the largest progress. A late event repairs what was wrong
before it, and what is not known by type is passed over. Times and counts of the hearing itself (`revision`) and the
lists of what was touched are about the fold, not about the line, and no part of the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from line import events
from line.events import Event
from line.model import LineModel
from twin.digest import digest_of
from twin.records import Cut, RollRecord, event_order, keep, keep_event, sample_order
from twin.rolls import RollMap
from twin.units import ENTERED, LEFT, NOWHERE, Looked, Move, Placed, Progress, Stack, Unit


class LineState:
    """Everything heard, joined.

    `touched_units` and `touched_rolls` collect what changed since somebody took them away (`take_touched`).
    """

    def __init__(self, line: LineModel) -> None:
        self.line = line
        self.stations = tuple(row.code for row in line.stations)
        self.order = {code: index for index, code in enumerate(self.stations)}
        self.revision = 0
        self.at_ns = 0
        self.simulated = False
        self.rolls: dict[str, RollMap] = {}
        self.started: dict[str, RollRecord] = {}
        self.ended: dict[str, RollRecord] = {}
        self.webs: dict[str, dict[tuple[int, int, str, str, str], events.WebMapped]] = {}
        self.webs_version = 0
        self.sheets: dict[str, Cut] = {}
        self.sheets_of: dict[str, list[str]] = {}
        """An index: sheets that were once recorded on a roll, again for each change; what counts is in `sheets`."""
        self.placed: dict[str, Placed] = {}
        self.stacks: dict[str, Stack] = {}
        self.cell_of: dict[str, tuple[int, int, str]] = {}
        self.stack_of: dict[str, tuple[int, int, str]] = {}
        self.tests: dict[str, events.CellTested] = {}
        self.units: dict[str, Unit] = {}
        self.cells: dict[str, None] = {}
        self.station_states: dict[str, events.StationState] = {}
        self.services: dict[str, events.ServiceState] = {}
        self.recipe: events.RecipeActivated | None = None
        self.order_released: events.OrderReleased | None = None
        self.tags: dict[str, events.TagSample] = {}
        self.cameras: dict[str, events.CameraChecked] = {}
        """The latest word of each camera on itself."""
        self._film_cameras = {row.id: row for row in line.cameras if row.kind == "film"}
        self.predicted: dict[str, tuple[int, int, float]] = {}
        self.forecasts: dict[str, events.YieldForecast] = {}
        self.scores: dict[str, events.ForecastScored] = {}
        self.touched_units: set[str] = set()
        self.touched_rolls: set[str] = set()
        self._handlers: dict[type[Event], Callable[..., None]] = {
            events.FilmDefect: self._defect,
            events.StripInspected: self._strip,
            events.FilmPattern: self._pattern,
            events.FilmProfile: self._profile,
            events.CameraChecked: self._camera_checked,
            events.RollStarted: self._roll_started,
            events.RollEnded: self._roll_ended,
            events.WebMapped: self._web_mapped,
            events.SheetCut: self._sheet_cut,
            events.LayerPlaced: self._layer_placed,
            events.LayerInspected: self._layer_inspected,
            events.UnitMoved: self._unit_moved,
            events.CellMade: self._cell_made,
            events.CellTested: self._cell_tested,
            events.TagBatch: self._tags_changed,
            events.StationState: self._station_state,
            events.ServiceState: self._service_state,
            events.RecipeActivated: self._recipe_activated,
            events.OrderReleased: self._order_released,
            events.CellPredicted: self._cell_predicted,
            events.YieldForecast: self._yield_forecast,
            events.ForecastScored: self._forecast_scored,
        }

    def apply(self, event: Event) -> None:
        """Fold one event."""
        self.revision += 1
        handler = self._handlers.get(type(event))
        if handler is None:
            return
        if event.at_ns > self.at_ns and type(event) not in _WALL_TIMED:
            self.at_ns = event.at_ns
        if event.simulated:
            self.simulated = True
        handler(event)

    def apply_all(self, heard: Iterable[Event]) -> None:
        """Fold many."""
        for event in heard:
            self.apply(event)

    def take_touched(self) -> tuple[set[str], set[str]]:
        """Units and rolls that changed since the last call."""
        taken = self.touched_units, self.touched_rolls
        self.touched_units, self.touched_rolls = set(), set()
        return taken

    def stack_name(self, unit: str) -> str:
        """The stack that a cell was; anything else is itself."""
        known = self.stack_of.get(unit)
        return known[2] if known else unit

    def cell_name(self, stack: str) -> str:
        """The cell that a stack became, empty before that."""
        known = self.cell_of.get(stack)
        return known[2] if known else ""

    def unit_names(self) -> list[str]:
        """Every stack, and every cell whose stack is not known."""
        return [*self.stacks, *(cell for cell in self.cells if cell not in self.stack_of)]

    def names_of(self, unit: str) -> list[Unit]:
        """The records of one unit under its names, stack first."""
        names = dict.fromkeys((unit, self.cell_name(unit)))
        return [self.units[name] for name in names if name in self.units]

    def progress(self, unit: str) -> Progress:
        """How far a stack or cell has come."""
        return max((row.progress for row in self.names_of(unit)), default=NOWHERE)

    def station(self, unit: str) -> str:
        """The station a unit is at, or left last; empty when nothing was heard of it."""
        station = self.progress(unit)[0]
        return self.stations[station] if station >= 0 else ""

    def scrap(self, unit: str) -> tuple[int, int, str] | None:
        """Station, time and reason of its scrapping, None while it lives."""
        return min((row.scrap for row in self.names_of(unit) if row.scrap), default=None)

    def test(self, unit: str) -> events.CellTested | None:
        """The end-of-line verdict of a stack or cell."""
        return self.tests.get(self.cell_name(unit) or unit)

    def started_ns(self, unit: str) -> int:
        """Earliest time heard of a stack or cell."""
        stack = self.stacks.get(unit)
        if stack is not None and stack.started_ns:
            return stack.started_ns
        return min((move.at_ns for row in self.names_of(unit) for move in row.moves.values()), default=0)

    def web_of(self, roll: str) -> str:
        """The web that a roll is of, empty when nothing says so."""
        if roll in self.started:
            return self.started[roll].web
        return next((record.web for record in self.webs.get(roll, {}).values()), "")

    def length_um(self, roll: str) -> int:
        """Length of a roll, while it grows as far as is known."""
        ended = self.ended.get(roll)
        if ended is not None:
            return ended.length_um
        seen = self.rolls[roll].seen_um if roll in self.rolls else 0
        made = max(
            (row.child_end_um for record in self.webs.get(roll, {}).values() for row in record.segments), default=0
        )
        return max(seen, made)

    def digest(self) -> str:
        """SHA-256 over all that is believed, the same for every order and repetition of the same events."""
        return digest_of(self)

    def _roll(self, roll: str) -> RollMap:
        known = self.rolls.get(roll)
        if known is None:
            known = self.rolls[roll] = RollMap(roll)
        return known

    def _unit(self, unit: str) -> Unit:
        known = self.units.get(unit)
        if known is None:
            known = self.units[unit] = Unit(unit)
        return known

    def _stack(self, stack: str) -> Stack:
        known = self.stacks.get(stack)
        if known is None:
            known = self.stacks[stack] = Stack(stack)
        return known

    def _defect(self, event: events.FilmDefect) -> None:
        if self._roll(event.roll).add_defect(event):
            self.touched_rolls.add(event.roll)

    def _strip(self, event: events.StripInspected) -> None:
        roll, camera = self._roll(event.roll), self._film_cameras.get(event.camera)
        roll.add_strip(event, pixel_um=camera.pixel_um if camera else 0.0)
        if camera is not None and camera.position_um is not None and camera.web == "film":
            roll.add_passage(event.md_end_um + camera.position_um, event.at_ns)
        self.touched_rolls.add(event.roll)

    def _pattern(self, event: events.FilmPattern) -> None:
        self._roll(event.roll).add_pattern(event)

    def _profile(self, event: events.FilmProfile) -> None:
        self._roll(event.roll).add_profile(event)

    def _camera_checked(self, event: events.CameraChecked) -> None:
        keep_event(self.cameras, event.camera, event)

    def _roll_started(self, event: events.RollStarted) -> None:
        keep(self.started, event.roll, RollRecord(event.at_ns, event.seq, event.web, event.batch, 0, event.recipe))
        self._roll(event.roll)
        self.touched_rolls.add(event.roll)

    def _roll_ended(self, event: events.RollEnded) -> None:
        keep(self.ended, event.roll, RollRecord(event.at_ns, event.seq, "", "", event.length_um))
        self.touched_rolls.add(event.roll)

    def _web_mapped(self, event: events.WebMapped) -> None:
        records = self.webs.setdefault(event.child, {})
        key = (event.at_ns, event.seq, event.face, event.operation, event.id)
        if key not in records:
            records[key] = event
            self.webs_version += 1
            self.touched_rolls.add(event.child)

    def _sheet_cut(self, event: events.SheetCut) -> None:
        sheet = event.sheet
        cut = Cut(
            event.at_ns,
            event.seq,
            sheet,
            event.kind,
            event.roll,
            event.lane,
            event.start_um,
            event.end_um,
            event.outcome,
        )
        known = self.sheets.get(sheet)
        if known is not None and cut <= known:
            return
        self.sheets[sheet] = cut
        for roll in {cut.roll, known.roll} if known else (cut.roll,):
            self.sheets_of.setdefault(roll, []).append(sheet)
            self.touched_rolls.add(roll)
        if sheet in self.placed:
            self.touched_units.add(self.placed[sheet].stack)

    def _layer_placed(self, event: events.LayerPlaced) -> None:
        placed = Placed(event.at_ns, event.seq, event.stack, event.layer, event.sheet, event.kind)
        stack = self._stack(event.stack)
        stack.since(event.at_ns)
        keep(stack.layers, event.layer, placed)
        keep(self.placed, event.sheet, placed)
        self._at(event.stack, event.station, ENTERED)
        self.touched_units.add(event.stack)

    def _layer_inspected(self, event: events.LayerInspected) -> None:
        stack = self._stack(event.stack)
        stack.since(event.at_ns)
        keep(stack.looks, event.layer, Looked.at(event))
        self.touched_units.add(event.stack)

    def _unit_moved(self, event: events.UnitMoved) -> None:
        station = self.order.get(event.station)
        if station is None:
            return
        progress = (station, event.visit, ENTERED if event.phase == "entered" else LEFT)
        move = Move(event.at_ns, event.seq, event.place, event.outcome, event.reason, event.readings)
        self._unit(event.unit).add(progress, move)
        if event.kind == "stack":
            self._stack(event.unit).since(event.at_ns)
        elif event.kind == "cell":
            self.cells[event.unit] = None
        else:
            return
        self.touched_units.add(event.unit)

    def _cell_made(self, event: events.CellMade) -> None:
        keep(self.cell_of, event.stack, (event.at_ns, event.seq, event.cell))
        keep(self.stack_of, event.cell, (event.at_ns, event.seq, event.stack))
        self._stack(event.stack)
        self.cells[event.cell] = None
        self._at(event.cell, event.station, ENTERED)
        self.touched_units.add(event.stack)

    def _cell_tested(self, event: events.CellTested) -> None:
        keep_event(self.tests, event.cell, event)
        self.cells[event.cell] = None
        self._at(event.cell, event.station, LEFT)
        self.touched_units.add(event.cell)

    def _at(self, unit: str, station: str, phase: int) -> None:
        index = self.order.get(station)
        if index is not None:
            self._unit(unit).advance((index, 1, phase))

    def _tags_changed(self, event: events.TagBatch) -> None:
        for sample in event.samples:
            known = self.tags.get(sample.tag)
            if known is None or sample_order(sample) > sample_order(known):
                self.tags[sample.tag] = sample

    def _station_state(self, event: events.StationState) -> None:
        keep_event(self.station_states, event.station, event)

    def _service_state(self, event: events.ServiceState) -> None:
        """The last one heard is what is so: it has no number, is never replayed, and a last will bears the time at
        which the service began, so its time says nothing."""
        self.services[event.service] = event

    def _recipe_activated(self, event: events.RecipeActivated) -> None:
        if self.recipe is None or event_order(event) > event_order(self.recipe):
            self.recipe = event

    def _order_released(self, event: events.OrderReleased) -> None:
        if self.order_released is None or event_order(event) > event_order(self.order_released):
            self.order_released = event

    def _cell_predicted(self, event: events.CellPredicted) -> None:
        keep(self.predicted, event.unit, (event.at_ns, event.seq, event.p_pass))

    def _yield_forecast(self, event: events.YieldForecast) -> None:
        keep_event(self.forecasts, event.forecast, event)

    def _forecast_scored(self, event: events.ForecastScored) -> None:
        keep_event(self.scores, event.forecast, event)


_WALL_TIMED: frozenset[type[Event]] = frozenset({events.ServiceState, events.Heartbeat})
"""Their `at_ns` is wall time, which says nothing of plant time."""

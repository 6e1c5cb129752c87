"""The line as a whole: what flows, what is conserved, what is reproducible."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace as replaced

from line.errors import ConfigError
from line.events import (
    BatchMixed,
    CellMade,
    CellTested,
    LayerPlaced,
    MaterialEvent,
    RollEnded,
    RollStarted,
    SheetCut,
    StationState,
    UnitMoved,
    WebMapped,
)
from line.model import LineModel
from line.web import WebMap
from plant.shifts import Shifts
from plant.stock import LaminateRoll
from plant.truth import CellTruth, FlawTruth, HiddenTruth, TruthRecord
from plant.truth_types import PlacedSheet
from plant.world import World, default_opening_ns

H = 3600 * 10**9
WorldOf = Callable[..., World]


@dataclass(frozen=True)
class Lived:
    world: World
    material: list[MaterialEvent]
    states: list[StationState]
    placed: list[tuple[int, PlacedSheet]]
    truth: list[TruthRecord]

    def of(self, kind: type) -> list:  # type: ignore[type-arg]
        return [event for event in self.material if isinstance(event, kind)]


@pytest.fixture(scope="module")
def lived(world_of: WorldOf, opens_ns: int) -> Lived:
    """A published line after 15 days; nothing was taken in between."""
    world = world_of()
    world.begin(opens_ns - 15 * 24 * H)
    world.advance(opens_ns)
    return Lived(world, world.take_material(), world.take_states(), world.take_placements(), world.take_truth())


def ids_of(world: World, opens_ns: int, hours: float, step_s: float, *, look: bool) -> list[str]:
    found: list[str] = []
    at_ns, end_ns = opens_ns, opens_ns + int(hours * H)
    while at_ns < end_ns:
        at_ns = min(at_ns + int(step_s * 1e9), end_ns)
        world.advance(at_ns)
        if look:
            world.tags()
            world.film_view()
            found += [event.id for event in world.take_material()]
    return found + [event.id for event in world.take_material()]


def test_the_same_seeds_give_the_same_events_however_time_is_cut_and_whoever_looks(
    world_of: WorldOf, opens_ns: int
) -> None:
    fine = ids_of(world_of(hidden_seed=2), opens_ns, 50, 23.3, look=True)
    coarse = ids_of(world_of(hidden_seed=2), opens_ns, 50, 86400, look=False)
    assert len(fine) > 2000
    assert fine == coarse


@pytest.mark.parametrize("other", [{"seed": 6}, {"hidden_seed": 3}])
def test_other_seeds_give_another_line(world_of: WorldOf, opens_ns: int, other: dict[str, int]) -> None:
    assert ids_of(world_of(hidden_seed=2), opens_ns, 3, 1e4, look=False) != ids_of(
        world_of(**({"hidden_seed": 2} | other)), opens_ns, 3, 1e4, look=False
    )


def test_part_records_come_in_order_with_contiguous_counters_and_unique_ids(lived: Lived) -> None:
    counters: dict[str, int] = defaultdict(int)
    last_ns = 0
    for event in lived.material:
        assert event.at_ns >= last_ns
        last_ns = event.at_ns
        counters[event.station] += 1
        assert event.counter == counters[event.station]
        assert event.simulated
    assert len({event.id for event in lived.material}) == len(lived.material)


def test_each_sheet_comes_from_a_web_once_and_is_placed_at_most_once(lived: Lived) -> None:
    cut = {event.sheet: event for event in lived.of(SheetCut)}
    assert len(cut) == len(lived.of(SheetCut))
    placed = lived.of(LayerPlaced)
    assert len({event.sheet for event in placed}) == len(placed)
    for event in placed:
        sheet = cut[event.sheet]
        assert sheet.outcome == "ok" and sheet.at_ns < event.at_ns and sheet.kind == event.kind
    ends = {event.roll: event.length_um for event in lived.of(RollEnded)}
    by_lane = defaultdict(list)
    for sheet in cut.values():
        assert 0 <= sheet.start_um < sheet.end_um <= ends[sheet.roll]
        by_lane[sheet.roll, sheet.lane].append((sheet.start_um, sheet.end_um))
    for spans in by_lane.values():
        for before, after in itertools.pairwise(sorted(spans)):
            assert before[1] <= after[0]


def test_each_stack_holds_37_sheets_of_alternating_kind(line: LineModel, lived: Lived) -> None:
    stacks = defaultdict(list)
    for event in lived.of(LayerPlaced):
        stacks[event.stack].append(event)
    whole = {event.unit for event in lived.of(UnitMoved) if event.station == "S11" and event.phase == "left"}
    assert len(whole) > 350
    for stack in whole:
        rows = stacks[stack]
        assert [row.layer for row in rows] == list(range(1, 38))
        assert [row.kind for row in rows] == [line.product().sheet_kind(row.layer) for row in rows]


def test_no_cell_is_lost_between_the_stacker_and_the_test(lived: Lived) -> None:
    good = {
        (event.station, event.unit) for event in lived.of(UnitMoved) if event.phase == "left" and event.outcome == "ok"
    }
    entered = {(event.station, event.unit) for event in lived.of(UnitMoved) if event.phase == "entered"}
    for station, follows in (("S11", "S12"), ("S14", None), ("S16", "S17"), ("S17", "S18")):
        left = {unit for code, unit in good if code == station}
        if follows:
            assert {unit for code, unit in entered if code == follows} <= left | {
                unit for code, unit in entered if code == "S11"
            }
    made = {event.stack: event.cell for event in lived.of(CellMade)}
    assert len(set(made.values())) == len(made)
    tested = {event.cell for event in lived.of(CellTested)}
    assert tested <= set(made.values())
    aged = {unit for code, unit in good if code == "S17"}
    assert tested <= aged
    assert len(tested) > 60


def test_formation_ageing_and_press_keep_their_places_and_times(line: LineModel, lived: Lived) -> None:
    spans: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    began: dict[tuple[str, str], int] = {}
    for event in lived.of(UnitMoved):
        if event.phase == "entered":
            began[event.station, event.unit] = event.at_ns
        elif (event.station, event.unit) in began and event.outcome == "ok":
            spans[event.station][event.unit] = (began[event.station, event.unit], event.at_ns)
    assert {round((end - start) / H) for start, end in spans["S16"].values()} == {60}
    assert {round((end - start) / H) for start, end in spans["S17"].values()} == {9 * 24}
    together = [row for span in spans["S16"].values() for row in ((span[0], 1), (span[1], -1))]
    level = most = 0
    for _, step in sorted(together):
        level += step
        most = max(most, level)
    assert 40 < most <= line.finishing.formation.channels
    cycles = Counter(span for span in spans["S13"].values())
    assert max(cycles.values()) <= line.finishing.press.cells_per_cycle


def test_stacks_are_begun_in_the_shift_at_the_takt(line: LineModel, lived: Lived) -> None:
    shifts = Shifts(line.calendar)
    starts = [event.at_ns for event in lived.of(UnitMoved) if event.station == "S11" and event.phase == "entered"]
    assert all(shifts.interval_at(at_ns) for at_ns in starts)
    gaps = [(after - before) / 1e9 for before, after in itertools.pairwise(starts)]
    assert min(gaps) >= 8 * 60 - 1


def test_web_maps_compose_and_say_where_the_film_really_is(lived: Lived) -> None:
    maps: dict[tuple[str, str], WebMap] = {}
    lengths = {event.roll: event.length_um for event in lived.of(RollEnded)}
    for event in lived.of(RollStarted):
        if event.roll in lengths:
            maps[event.roll, ""] = WebMap.as_coated(event.roll, length_um=lengths[event.roll], width_um=300_000)
    for event in lived.of(WebMapped):
        faces = [event.face] if event.face else ["top", "bottom", "foil"]
        for face in faces:
            parents = {
                segment.parent: maps.get((segment.parent, "")) or maps[segment.parent, face]
                for segment in event.segments
            }
            maps[event.child, face] = WebMap.composed(event.segments, parents)
    floor = lived.world._web._floor
    webs = [row.web for row in floor.cutting.values() if isinstance(row.web, LaminateRoll)] + [*floor.stores.calendered]
    assert webs
    for web in webs:
        for face in ("top", "bottom"):
            known = maps[web.roll, face]
            assert known.end_um == web.length_um
            for md_um in (1_000, 31_234_567, web.length_um - 1_000):
                point = known.as_coated_um(md_um, 112_000)
                assert point is not None and point.roll == web.faces[face].roll.roll
                ((low, high),) = web.faces[face].film_um(md_um / (1 + web.stretch), (md_um + 1) / (1 + web.stretch))
                assert low - 3 <= point.md_um <= high + 3


def test_yields_are_those_of_a_pilot_line(lived: Lived) -> None:
    fates = [record for record in lived.truth if isinstance(record, CellTruth)]
    film = sum(record.cause == "film" for record in fates) / len(fates)
    assert len(fates) > 350
    # film-limited yield 0.79, clustered, of some 500 cells
    assert 1 - film == pytest.approx(0.79, abs=0.06)
    tested = lived.of(CellTested)
    scrapped = [event for event in lived.of(UnitMoved) if event.station == "S16" and event.outcome == "scrap"]
    formed = [event for event in lived.of(UnitMoved) if event.station == "S16" and event.phase == "left"]
    # 55 % of killers show as a hard short in formation, 35 % as self-discharge, and the test then finds most of these
    assert len(scrapped) / len(formed) == pytest.approx(0.55 * 0.21 + 0.01, abs=0.05)
    assert sum(event.passed for event in tested) / len(tested) == pytest.approx(0.91, abs=0.05)
    good = [event.dcir_mohm for event in tested if event.passed]
    assert sum(good) / len(good) == pytest.approx(5.46, abs=0.08)
    assert sum(event.capacity_ah for event in tested) / len(tested) == pytest.approx(20.16, abs=0.15)


def test_every_station_works_and_stations_fail_with_their_own_causes(line: LineModel, lived: Lived) -> None:
    ran = {state.station for state in lived.states if state.state == "Execute"}
    assert ran >= {f"S{number:02d}" for number in range(1, 16)}
    assert {state.station for state in lived.world.station_states()} == {row.code for row in line.stations}
    failures = [state for state in lived.states if state.state == "Held"]
    assert len(failures) > 10
    for state in failures:
        assert state.stop_reason in line.station(state.station).stop_causes
        assert state.mode == "Maintenance"
    assert {state.state for state in lived.states if state.blocked or state.starved} <= {"Suspended", "Idle"}


def test_every_killer_in_a_cell_lies_in_film_that_its_truth_names(lived: Lived) -> None:
    flaws = {record.flaw: record for record in lived.truth if isinstance(record, FlawTruth)}
    named = [flaw for record in lived.truth if isinstance(record, CellTruth) for _, _, flaw in record.killers]
    assert len(named) > 80
    assert all(flaws[name].killer for name in named)
    assert all(flaws[name].cd_um + flaws[name].width_um / 2 >= 9_000 - 200 for name in named)
    assert isinstance(lived.truth[0], HiddenTruth)


def test_batches_last_three_rolls_and_name_their_lots(lived: Lived) -> None:
    used = Counter(event.batch for event in lived.of(RollStarted) if event.web == "film")
    assert max(used.values()) <= 3
    mixed = [event.at_ns for event in lived.of(BatchMixed)]
    first = {event.batch: event.at_ns for event in reversed(lived.of(RollStarted)) if event.web == "film"}
    batches = {event.batch: event.at_ns for event in lived.of(BatchMixed)}
    assert len(mixed) >= 4
    assert all(batches[batch] <= at_ns for batch, at_ns in first.items())


def test_a_line_that_opens_in_the_shift_coats_film_at_once(world_of: WorldOf, opens_ns: int) -> None:
    world = world_of()
    assert world.film_view() is None
    world.advance(opens_ns + 60 * 10**9)
    view = world.film_view()
    assert view is not None and view.running
    assert view.encoder_um == pytest.approx(1_000_000, rel=0.05)
    assert view.coated_um == view.encoder_um and not view.complete


def test_film_before_the_camera_has_all_the_flaws_it_will_be_seen_with(world_of: WorldOf, opens_ns: int) -> None:
    world = world_of(hidden_seed=3)
    seen: dict[int, list[str]] = {}
    for second in range(0, 7200, 30):
        world.advance(opens_ns + second * 10**9)
        view = world.film_view()
        if view is None or view.encoder_um < 8_100_000:
            continue
        start_um = view.encoder_um - 8_000_000
        seen[start_um] = [flaw.flaw for flaw in world.flaws_between(view.roll, start_um, start_um + 10_000)]
        roll = view.roll
    for start_um, names in seen.items():
        assert [flaw.flaw for flaw in world.flaws_between(roll, start_um, start_um + 10_000)] == names
    assert sum(map(len, seen.values())) > 0


def test_a_world_that_was_saved_goes_on_as_if_it_had_not_been(tmp_path: Path, world_of: WorldOf, opens_ns: int) -> None:
    world = world_of(hidden_seed=2)
    world.advance(opens_ns + 30 * H)
    world.save(tmp_path / "world.pickle")
    restored = World.load(tmp_path / "world.pickle")
    for one in (world, restored):
        one.take_material()
        one.advance(opens_ns + 50 * H)
    assert [event.id for event in world.take_material()] == [event.id for event in restored.take_material()]
    assert world.tags() == restored.tags()
    assert (tmp_path / "world.pickle").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x80\x04K\x01."])
def test_a_file_that_is_no_world_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "world.pickle"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="begin anew"):
        World.load(path)


def test_a_world_of_another_version_is_refused(
    tmp_path: Path, world_of: WorldOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    world_of().save(tmp_path / "world.pickle")
    monkeypatch.setattr("plant.world.SAVE_VERSION", 99)
    with pytest.raises(ConfigError, match="version 1, this Lamella reads 99"):
        World.load(tmp_path / "world.pickle")


def test_life_cannot_begin_twice(world_of: WorldOf, opens_ns: int) -> None:
    world = world_of()
    world.advance(opens_ns + H)
    with pytest.raises(ValueError, match="begin comes before"):
        world.begin(opens_ns - H)


def test_the_line_opens_two_hours_into_the_latest_shift(line: LineModel, opens_ns: int) -> None:
    assert default_opening_ns(line, opens_ns + 5 * 60 * 10**9) == opens_ns
    assert default_opening_ns(line, opens_ns - 60 * 10**9) == opens_ns - 3 * 24 * H
    assert default_opening_ns(line, opens_ns + 15 * H) == opens_ns


def test_a_line_of_short_rolls_runs_as_well(line: LineModel, world_of: WorldOf, opens_ns: int) -> None:
    short = replaced(line, webs=tuple(replaced(web, roll_length_um=20_250_000) for web in line.webs))
    world = world_of(line_model=short)
    world.advance(opens_ns + 30 * H)
    material = world.take_material()
    lengths = {event.roll: event.length_um for event in material if isinstance(event, RollEnded)}
    assert {length for roll, length in lengths.items() if roll.startswith("FR")} == {20_250_000}
    assert sum(isinstance(event, CellMade) for event in material) > 5
    assert all(flaw.md_um < 20_250_000 for roll in lengths for flaw in world.flaws_between(roll, 0, 10**9))


def test_a_line_without_a_tag_that_the_physics_needs_is_refused_by_its_name(line: LineModel, world_of: WorldOf) -> None:
    stations = tuple(
        replaced(row, tags=tuple(tag for tag in row.tags if tag.name != "Zone2AirSpeed")) for row in line.stations
    )
    with pytest.raises(ConfigError, match=r"S04\.Zone2AirSpeed"):
        world_of(line_model=replaced(line, stations=stations))


def test_the_mixer_shows_what_it_does_while_it_mixes_and_then_holds_it(world_of: WorldOf, opens_ns: int) -> None:
    world = world_of(hidden_seed=2)
    vacuum = []
    for minute in range(0, 26 * 60, 10):
        world.advance(opens_ns + minute * 60 * 10**9)
        mixing = "S01" in world.running_stations()
        vacuum.append((mixing, world.tags()["S01.DegasVacuum"]))
    live = [value for mixing, value in vacuum if mixing]
    held = [value for mixing, value in vacuum if not mixing]
    assert len(set(live)) > 0.9 * len(live) > 10
    assert len(set(held)) <= 3

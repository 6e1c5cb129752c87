"""A past that is lived in seconds and written as a journal."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from line.bundle import ModelRef
from line.events import (
    AnyEvent,
    CellTested,
    FilmDefect,
    LayerInspected,
    LayerPlaced,
    Material,
    StationState,
    StripInspected,
    TagBatch,
    decoded,
)
from line.journal import Entry, read_entries
from line.model import LineModel
from plant.history import Past, live_past
from plant.score import inspection_score
from plant.truth import FaultTruth, FlawTruth, TruthFile, read_truth
from plant.world import World

WEEK_NS = 7 * 86400 * 10**9
WorldOf = Callable[..., World]
T = TypeVar("T")


@dataclass(frozen=True)
class Lived:
    world: World
    past: Past
    entries: list[Entry]
    events: list[AnyEvent]
    told: list[float]
    truth: Path


@pytest.fixture(scope="module")
def lived(world_of: WorldOf, model: ModelRef, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("past")
    world = world_of(hidden_seed=2)
    told: list[float] = []
    with TruthFile(folder / "truth.jsonl") as truth:
        past = live_past(world, 2, folder / "past.journal", told.append, model=model, box="box-7", truth=truth)
    entries = list(read_entries(folder / "past.journal"))
    return Lived(world, past, entries, [decoded(entry.payload) for entry in entries], told, folder / "truth.jsonl")


def of(events: list[AnyEvent], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


def test_the_past_ends_when_the_line_opens_and_the_world_stands_there(lived: Lived) -> None:
    assert lived.world.now_ns == lived.world.opens_at_ns
    assert lived.past.entries_count == len(lived.entries) > 30_000
    assert lived.past.cells_made_count > 350
    assert lived.past.cells_tested_count == len(of(lived.events, CellTested)) > 30
    assert min(event.at_ns for event in lived.events) >= lived.world.opens_at_ns - 2 * WEEK_NS
    assert max(event.at_ns for event in lived.events) <= lived.world.opens_at_ns


def test_entries_are_as_the_services_of_a_real_line_would_have_left_them(lived: Lived) -> None:
    sources = {(type(event), event.source) for event in lived.events}
    vision = {FilmDefect, StripInspected, LayerInspected}
    assert all(source == ("vision@box-7" if kind in vision else "plc@box-7") for kind, source in sources)
    assert all(event.simulated and event.seq == 0 and event.id for event in lived.events)
    assert not any(entry.own for entry in lived.entries)
    assert len({entry.id for entry in lived.entries}) == len(lived.entries)
    by_topic = {entry.topic.rsplit("/", 2)[-1] for entry in lived.entries}
    assert by_topic >= {"sheet_cut", "tag_batch", "strip_inspected", "layer_inspected", "cell_tested", "station_state"}
    assert all(entry.topic.startswith("lamella/v1/lamella/pilot/assb/line-1/") for entry in lived.entries[:500])


def test_time_does_not_run_back_by_more_than_a_few_minutes(lived: Lived) -> None:
    at_ns = [entry.at_ns for entry in lived.entries]
    assert max(before - after for before, after in itertools.pairwise(at_ns)) < 3600 * 10**9


def test_tags_are_told_once_in_five_minutes_of_production(line: LineModel, lived: Lived) -> None:
    batches = of(lived.events, TagBatch)
    at_ns = defaultdict(list)
    for batch in batches:
        at_ns[batch.station].append(batch.at_ns)
    assert set(at_ns) >= {"S00", "S01", "S03", "S04", "S05", "S11", "S16"}
    for times in at_ns.values():
        assert min((after - before) / 1e9 for before, after in itertools.pairwise(times)) >= 299
    for batch in batches[:200]:
        assert all(sample.tag in line.all_tags() and sample.quality == "good" for sample in batch.samples)


def test_all_film_was_inspected_in_whole_strips(lived: Lived) -> None:
    strips = defaultdict(list)
    for event in of(lived.events, StripInspected):
        assert event.method == "drawn"
        strips[event.roll].append((event.md_start_um, event.md_end_um))
    assert len(strips) > 8
    for spans in strips.values():
        assert spans[0][0] == 0
        for before, after in itertools.pairwise(spans):
            assert before[1] == after[0]
    finished = list(strips)[:-1]
    assert all(strips[roll][-1][1] == 100_000_000 for roll in finished)


def test_every_cathode_was_measured(lived: Lived) -> None:
    placed = {(event.stack, event.layer) for event in of(lived.events, LayerPlaced) if event.kind == "cathode"}
    seen = {(event.stack, event.layer) for event in of(lived.events, LayerInspected) if event.overhangs}
    assert len(placed ^ seen) <= 40
    assert len(seen) > 5000


def test_the_past_has_faults_and_found_what_its_curves_let_it_find(lived: Lived) -> None:
    truth = list(read_truth(lived.truth))
    assert len([record for record in truth if isinstance(record, FaultTruth)]) >= 1
    score = inspection_score(
        [record for record in truth if isinstance(record, FlawTruth)],
        of(lived.events, FilmDefect),
        of(lived.events, StripInspected),
        least_um=100.0,
    )
    assert score.of("AGG").recall > 0.85
    assert score.position_error_um[1] < 1000
    assert score.false_alarms_per_m2 < 0.1
    unnamed = lived.world.hidden_defects()[0].code
    assert score.of(unnamed).found_count > 3
    assert Counter(event.kind for event in of(lived.events, FilmDefect))["unknown"] > 3


def test_the_world_goes_on_live_with_the_next_counters(lived: Lived) -> None:
    last: dict[str, int] = {}
    for event in lived.events:
        if isinstance(event, Material):
            last[event.station] = max(last.get(event.station, 0), event.counter)
    lived.world.advance(lived.world.now_ns + 1800 * 10**9)
    for event in lived.world.take_material():
        last[event.station] = last.get(event.station, 0) + 1
        assert event.counter == last[event.station]


def test_progress_rises_to_the_end(lived: Lived) -> None:
    assert len(lived.told) > 30
    assert lived.told == sorted(lived.told)
    assert 0.95 < lived.told[-1] <= 1.0


def test_states_of_the_past_are_told(lived: Lived) -> None:
    assert len(of(lived.events, StationState)) > 500


def test_a_past_that_breaks_off_leaves_no_journal(tmp_path: Path, world_of: WorldOf, model: ModelRef) -> None:
    class StopError(Exception):
        pass

    def stop(share: float) -> None:
        raise StopError

    with pytest.raises(StopError):
        live_past(world_of(), 0.2, tmp_path / "past.journal", stop, model=model)
    assert not (tmp_path / "past.journal").exists()


def test_a_world_that_lives_already_has_no_other_past(tmp_path: Path, world_of: WorldOf, model: ModelRef) -> None:
    world = world_of()
    world.advance(world.opens_at_ns + 1)
    with pytest.raises(ValueError, match="begin"):
        live_past(world, 1, tmp_path / "past.journal", model=model)

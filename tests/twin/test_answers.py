from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec
import pytest

from line import queries
from line.events import Event, RecipeActivated, RollStarted, StationState, TagBatch, TagSample
from line.model import LineModel
from line.unseen import unseen_classes
from twin.answers import answer
from twin.book import YieldBook
from twin.forecasts import Forecaster
from twin.genealogy import Genealogy
from twin.state import LineState
from twin.twin import Twin

if TYPE_CHECKING:
    from tests.twin.conftest import LineMaker

Fold = Callable[[Iterable[Event]], LineState]
Ask = Callable[[queries.AnyQuestion], queries.AnyAnswer]


def fresh(parts_count: int) -> queries.Freshness:
    return queries.Freshness(revision=7, at_ns=1, age_s=0.1, lag_ms=2.0, parts_count=parts_count, simulated=True)


def asker(line: LineModel, state: LineState) -> Ask:
    """Asks over the wire's own encoding, both ways."""
    genealogy = Genealogy(state)
    book = YieldBook(line, state, genealogy)
    book.update()
    twin = Twin(line=line, state=state, genealogy=genealogy, book=book, forecaster=Forecaster(state, book))

    def ask(question: queries.AnyQuestion) -> queries.AnyAnswer:
        sent = msgspec.json.decode(msgspec.json.encode(question), type=queries.AnyQuestion)
        given = answer(twin, sent, fresh, twin.forecaster.line_forecast())
        back: queries.AnyAnswer = msgspec.json.decode(msgspec.json.encode(given), type=queries.AnyAnswer)
        assert back == given
        return back

    return ask


@pytest.fixture
def ask(line: LineModel, small_past: list[Event], folded: Fold) -> Ask:
    return asker(line, folded(small_past))


def test_the_cell_page_names_each_layers_film_metre_and_defects(ask: Ask) -> None:
    view = ask(queries.AskCell(unit="CE-1"))
    assert isinstance(view, queries.CellView)
    assert (view.cell, view.stack, view.station) == ("CE-1", "ST-1", "S18")
    assert [row.layer for row in view.layers] == list(range(1, 38))
    assert [len(row.faces) for row in view.layers[:4]] == [2, 0, 2, 0]
    assert all(face.roll in {"FR-1", "FR-2"} and face.lane in {1, 2} for row in view.layers for face in row.faces)
    assert view.layers[1].inspection is not None
    assert len(view.layers[1].inspection.overhangs) == 8
    assert view.test is not None
    assert not view.test.passed
    assert view.layers_inspected_count == 37
    assert [row.station for row in view.steps] == ["S13", "S14", "S15", "S16", "S17", "S18"]
    assert view == ask(queries.AskCell(unit="ST-1"))


def test_a_defect_leads_to_its_cell_and_the_cell_back_to_the_defect(ask: Ask) -> None:
    found = ask(queries.AskDefect(defect="d2"))
    assert isinstance(found, queries.DefectView)
    (unit,) = found.units
    assert (unit.face, unit.lane) == ("bottom", 2)
    view = ask(queries.AskCell(unit=unit.cell))
    assert isinstance(view, queries.CellView)
    layer = next(row for row in view.layers if row.layer == unit.layer)
    (defect,) = next(row for row in layer.faces if row.face == "bottom").defects
    assert defect.defect == "d2"
    assert unit.p_pass == (view.prediction.p_pass if view.prediction else None)


def test_a_metre_of_film_leads_to_its_cells_with_where_they_are(ask: Ask) -> None:
    view = ask(queries.AskCellsOf(roll="FR-1", from_um=3_500_000, to_um=4_900_000, lane=1))
    assert isinstance(view, queries.CellsOfView)
    assert {row.cell for row in view.units} <= {"CE-0", "CE-1"}
    assert {(row.lane, row.face) for row in view.units} == {(1, "top")}
    assert {row.outcome for row in view.units} == {"passed", "failed"}
    assert {row.station for row in view.units} == {"S18"}
    assert view.complete
    assert view.fresh.parts_count == len(view.units) == pytest.approx(1_400 * 1.006 / 104 + 1, abs=1)


def test_a_roll_shows_what_was_not_inspected_its_streaks_and_its_sheets(ask: Ask) -> None:
    view = ask(queries.AskRoll(roll="FR-2"))
    assert isinstance(view, queries.RollView)
    assert [tuple(msgspec.to_builtins(row)) for row in view.uninspected] == [
        (2_000_000, 2_100_000, "not inspected"),
        (2_100_000, 2_200_000, "uncalibrated"),
        (2_200_000, 2_500_000, "not inspected"),
    ]
    assert [row.defect for row in view.defects] == ["d2"]
    assert len(view.sheets) == 96
    assert {row.unit for row in view.sheets} == {"", "CE-0", "CE-1", "CE-2", "ST-3"}
    part = ask(queries.AskRoll(roll="FR-1", from_um=1_000_000, to_um=1_200_000))
    assert isinstance(part, queries.RollView)
    assert [row.label for row in part.streaks] == ["STR at CD 60.0 mm"]
    assert {row.start_um < 1_200_000 and row.end_um > 1_000_000 for row in part.sheets} == {True}
    laminate = ask(queries.AskRoll(roll="LR-1c"))
    assert isinstance(laminate, queries.RollView)
    assert laminate.length_um == 5_030_000
    assert len(laminate.sheets) == 96


def test_a_roll_shows_its_patterns_and_profiles_within_the_part_asked_for(ask: Ask) -> None:
    view = ask(queries.AskRoll(roll="FR-1"))
    assert isinstance(view, queries.RollView)
    assert [(row.pattern, row.revision, row.roller) for row in view.patterns] == [("p1", 3, "idler")]
    assert [row.md_start_um for row in view.profiles] == [0, 1_000_000, 2_000_000]
    part = ask(queries.AskRoll(roll="FR-1", from_um=2_500_000, to_um=2_600_000))
    assert isinstance(part, queries.RollView)
    assert part.patterns == ()
    assert [row.md_start_um for row in part.profiles] == [2_000_000]


def test_the_line_shows_its_cameras_and_the_latest_patterns_of_the_roll_under_way(
    line: LineModel, maker: LineMaker, folded: Fold
) -> None:
    maker.film("FR-0", 1_000_000)
    maker.pattern("old", "FR-0", 500_000)
    maker.say(RollStarted, station="S03", roll="FR-1", web="film")
    for number in range(25):
        maker.pattern(f"p{number}", "FR-1", 100_000 * number)
    maker.camera("fault", "bright-field lamp at 88 %")
    view = asker(line, folded(maker.events))(queries.AskLine())
    assert isinstance(view, queries.LineView)
    assert [(row.camera, row.state, row.reason) for row in view.cameras] == [
        ("fins-1", "fault", "bright-field lamp at 88 %")
    ]
    assert [row.pattern for row in view.patterns] == [f"p{number}" for number in range(24, 4, -1)]


def test_classes_that_no_fitted_camera_could_see_are_named_on_the_cell(ask: Ask, line: LineModel) -> None:
    view = ask(queries.AskCell(unit="CE-1"))
    assert isinstance(view, queries.CellView)
    assert view.classes_uninspected == unseen_classes(line)
    assert "BLI" in view.classes_uninspected


def test_rolls_come_newest_first_with_what_was_inspected(ask: Ask) -> None:
    view = ask(queries.AskRolls())
    assert isinstance(view, queries.RollsView)
    assert [(row.roll, row.complete, row.defects_count, row.killers_count) for row in view.rolls] == [
        ("FR-2", True, 1, 1),
        ("FR-1", True, 1, 1),
    ]
    assert view.rolls[0].inspected_fraction == pytest.approx(0.9)
    webs = ask(queries.AskRolls(web="laminate"))
    assert isinstance(webs, queries.RollsView)
    assert {row.roll for row in webs.rolls} == {"LR-1", "LR-1c"}


def test_the_line_counts_what_is_where(ask: Ask) -> None:
    view = ask(queries.AskLine())
    assert isinstance(view, queries.LineView)
    assert (view.cells_open_count, view.cells_tested_count, view.cells_passed_count) == (2, 2, 1)
    assert view.coated_um == 10_000_000
    assert view.inspected_um == 9_500_000
    assert next(row for row in view.stations if row.code == "S11").units_count == 1
    assert view.forecast is not None


def test_a_cell_lost_in_formation_has_its_verdict_on_the_line_page_and_in_the_model(
    line: LineModel, maker: LineMaker, folded: Fold
) -> None:
    for index in range(4):
        maker.stack(f"ST-{index}", [f"LR-1/{index}/{layer}" for layer in range(19)])
    maker.move("ST-0", "stack", "S13", outcome="scrap")
    maker.cell("CE-1", "ST-1", passed=True)
    for index, station in ((2, "S16"), (3, "S17")):
        maker.cell(f"CE-{index}", f"ST-{index}")
        maker.move(f"CE-{index}", "cell", station, outcome="scrap", visit=2)
    view = asker(line, folded(maker.events))(queries.AskLine())
    assert isinstance(view, queries.LineView)
    assert (view.cells_open_count, view.cells_tested_count, view.cells_passed_count) == (0, 3, 1)


def test_abnormal_tags_states_and_the_recipe_are_shown(line: LineModel, maker: LineMaker, folded: Fold) -> None:
    sample = TagSample("S03.PumpPressure", 3.4, "good", 5)
    maker.say(TagBatch, station="S03", samples=(sample, TagSample("S03.WebSpeed", 1.0, "good", 5)))
    maker.say(StationState, station="S03", state="Execute")
    maker.say(
        RecipeActivated, recipe="R1", version=1, product="ASSB-20-AGC", set_points=(), cameras=(), light_percent={},
        model={"name": "m", "version": 1, "digest": "0" * 64}, person="p",
    )  # fmt: skip
    view = asker(line, folded(maker.events))(queries.AskLine())
    assert isinstance(view, queries.LineView)
    station = next(row for row in view.stations if row.code == "S03")
    assert station.abnormal_tags == ("S03.PumpPressure",)
    assert station.state is not None
    assert view.current_recipe == "R1"


def test_cells_come_newest_first_with_chance_and_verdict(ask: Ask) -> None:
    view = ask(queries.AskCells(limit=3))
    assert isinstance(view, queries.CellsView)
    assert [(row.unit, row.passed, row.layers_count) for row in view.cells] == [
        ("ST-3", None, 9),
        ("CE-2", None, 37),
        ("CE-1", False, 37),
    ]
    assert all(row.p_pass is not None and 0 < row.p_pass < 1 for row in view.cells)


def test_the_yield_page_has_lots_losses_and_the_record(ask: Ask) -> None:
    view = ask(queries.AskYield())
    assert isinstance(view, queries.YieldView)
    assert view.lots == (), "a lot with cells under way has no yield yet: its failures come first"
    assert {row.what for row in view.losses} == {"film seen", "film unseen", "alignment", "later stations"}
    assert (view.scored_count, view.inside_count) == (0, 0)


@pytest.mark.parametrize(
    ("question", "named"),
    [
        (queries.AskRoll(roll="FR-9"), "'FR-9'"),
        (queries.AskCell(unit="CE-77"), "'CE-77'"),
        (queries.AskDefect(defect="nothing"), "'nothing'"),
        (queries.AskCellsOf(roll="FR-9", from_um=0, to_um=1), "'FR-9'"),
        (queries.AskCellsOf(roll="FR-1", from_um=5, to_um=5), "from_um 5"),
    ],
)
def test_what_is_not_known_is_said_by_name(ask: Ask, question: queries.AnyQuestion, named: str) -> None:
    given = ask(question)
    assert isinstance(given, queries.Unknown)
    assert named in given.detail


def test_an_empty_twin_answers_every_question(line: LineModel, folded: Fold) -> None:
    ask = asker(line, folded([]))
    assert isinstance(ask(queries.AskLine()), queries.LineView)
    assert isinstance(ask(queries.AskRolls()), queries.RollsView)
    assert isinstance(ask(queries.AskCells()), queries.CellsView)
    assert isinstance(ask(queries.AskYield()), queries.YieldView)


def test_answers_of_a_cell_and_its_metres_take_milliseconds(ask: Ask) -> None:
    ask(queries.AskCell(unit="CE-1"))
    started = time.process_time()
    for _ in range(20):
        ask(queries.AskCell(unit="CE-1"))
        ask(queries.AskCellsOf(roll="FR-1", from_um=1_000_000, to_um=2_000_000))
    assert (time.process_time() - started) / 40 < 0.05

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from line.events import Event, FilmDefect, YieldForecast
from line.model import LineModel
from twin.book import YieldBook
from twin.forecasts import OPEN_CELLS, Forecaster
from twin.genealogy import Genealogy
from twin.state import LineState

if TYPE_CHECKING:
    from tests.twin.conftest import LineMaker

Fold = Callable[[Iterable[Event]], LineState]
LENGTH = 20_000_000


def book_of(line: LineModel, state: LineState) -> YieldBook:
    book = YieldBook(line, state, Genealogy(state))
    book.update()
    return book


@pytest.fixture
def supply(maker: LineMaker) -> list[str]:
    """All sheets of a laminate of two clean films."""
    maker.film("FR-1", LENGTH)
    maker.film("FR-2", LENGTH)
    child = maker.laminate("LR-1", "FR-1", "FR-2", LENGTH)
    return maker.sheets(child, round(LENGTH * 1.006))


def film_under(state: LineState, stack: str, layer: int, face: str) -> tuple[str, int, int]:
    """Roll, middle MD and middle CD of the film under a face."""
    sheet = state.stacks[stack].layers[layer].sheet
    origin = next(row for row in Genealogy(state).films(sheet) if row.face == face)
    return origin.roll, (origin.start_um + origin.end_um) // 2, (origin.cd_low_um + origin.cd_high_um) // 2


def test_a_killer_lowers_its_cell_alone_and_is_named_with_layer_and_metre(
    maker: LineMaker, supply: list[str], line: LineModel, folded: Fold
) -> None:
    for index in range(3):
        maker.stack(f"ST-{index}", supply[19 * index : 19 * index + 19])
    state = folded(maker.events)
    book = book_of(line, state)
    before = book.probabilities()
    roll, md_um, cd_um = film_under(state, "ST-1", 9, "top")
    maker.defect("killer", roll, md_um, cd_um, kind="MET", size_um=90.0)
    state.apply(maker.events[-1])
    book.update()
    after = book.probabilities()
    assert after["ST-1"] < 0.1 * before["ST-1"]
    assert after["ST-0"] == pytest.approx(before["ST-0"], abs=0.02)
    prediction = book.prediction("ST-1")
    assert prediction is not None
    assert prediction.reasons[0].what == "film seen"
    assert prediction.reasons[0].text == f"MET of 90 µm in layer 9 top, {roll} at {md_um / 1e6:.3f} m"
    assert sum(row.log_share for row in prediction.reasons) == pytest.approx(math.log(prediction.p_pass))
    assert prediction.p_low < prediction.p_pass < prediction.p_high


def test_a_defect_on_an_outer_face_or_beside_the_cathode_kills_nothing(
    maker: LineMaker, supply: list[str], line: LineModel, folded: Fold
) -> None:
    maker.stack("ST-0", supply[:19])
    state = folded(maker.events)
    clean = book_of(line, state).probability("ST-0")
    for name, layer, face, shift in (("a", 1, "bottom", 0), ("b", 37, "top", 0), ("c", 9, "top", 70_600)):
        roll, md_um, cd_um = film_under(state, "ST-0", layer, face)
        maker.defect(name, roll, md_um, cd_um + shift, kind="MET", size_um=90.0)
        state.apply(maker.events[-1])
    found = book_of(line, state).probability("ST-0")
    assert clean is not None
    assert found is not None
    # Only the density of what is unseen moves with three more particles.
    assert found.p == pytest.approx(clean.p, abs=0.03)


def test_a_streak_through_many_layers_counts_once(
    maker: LineMaker, supply: list[str], line: LineModel, folded: Fold
) -> None:
    maker.stack("ST-0", supply[:19])
    maker.defect("streak", "FR-1", 0, 112_000, kind="STR", size_um=900.0, length_um=LENGTH, width_um=900)
    book = book_of(line, folded(maker.events))
    vector = book.features["ST-0"].vector
    assert vector[book.risk.column("STR")] == pytest.approx(math.log(2))


def test_film_that_nobody_looked_at_costs_more_than_film_that_was_clean(
    maker: LineMaker, line: LineModel, folded: Fold
) -> None:
    maker.film("FR-1", LENGTH)
    maker.film("FR-2", LENGTH, inspected=[])
    for number, (top, bottom) in enumerate((("FR-1", "FR-1"), ("FR-2", "FR-2"))):
        child = maker.laminate(f"LR-{number}", top, bottom, LENGTH)
        maker.stack(f"ST-{number}", maker.sheets(child, 2_200_000)[:19])
    book = book_of(line, folded(maker.events))
    assert book.features["ST-0"].film_inspected_fraction == pytest.approx(1.0)
    assert book.features["ST-1"].film_inspected_fraction == 0.0
    assert book.probabilities()["ST-1"] < book.probabilities()["ST-0"] - 0.05


def test_layers_outside_their_overhang_limits_lower_the_cell(
    maker: LineMaker, supply: list[str], line: LineModel, folded: Fold
) -> None:
    maker.stack("ST-0", supply[:19])
    maker.stack("ST-1", supply[19:38], overhang_um=470.0)
    book = book_of(line, folded(maker.events))
    assert book.probabilities()["ST-1"] < 0.01 * book.probabilities()["ST-0"]
    prediction = book.prediction("ST-1")
    assert prediction is not None
    assert prediction.reasons[0].what == "alignment"
    assert "0.47 mm at 1x of layer 2" in prediction.reasons[0].text


def test_early_scrap_is_censored_and_scrap_in_formation_is_a_failure(
    maker: LineMaker, supply: list[str], line: LineModel, folded: Fold
) -> None:
    for index in range(4):
        maker.stack(f"ST-{index}", supply[19 * index : 19 * index + 19])
    maker.move("ST-0", "stack", "S12", outcome="scrap")
    maker.move("ST-1", "stack", "S13", outcome="scrap")
    maker.cell("CE-2", "ST-2")
    maker.move("CE-2", "cell", "S16", outcome="scrap", visit=2)
    maker.cell("CE-3", "ST-3", passed=True)
    book = book_of(line, folded(maker.events))
    assert book.model.labels_count == 2
    (lot,) = book.lots().values()
    assert (lot.counted, lot.passed, lot.open_count) == (3, 1, 0)
    assert not book.open_units()


def test_the_forecast_falls_when_a_streak_is_seen_on_film_that_waits(
    maker: LineMaker, line: LineModel, folded: Fold
) -> None:
    """F01: the lip is blocked at CD 112 mm while the roll is coated; no cell exists yet."""
    maker.film("FR-1", 60_000_000)
    state = folded(maker.events)
    book = book_of(line, state)
    forecaster = Forecaster(state, book)
    said = forecaster.line_forecast()
    assert said is not None
    assert said.cells_count == 30
    falls = [said.expected_fraction]
    for revision in range(1, 5):
        maker.defect(
            "streak",
            "FR-1",
            20_000_000,
            112_000,
            kind="STR",
            size_um=900.0,
            length_um=revision * 5_000_000,
            width_um=900,
            revision=revision,
        )
        state.apply(maker.events[-1])
        book.update()
        now = forecaster.line_forecast()
        assert now is not None
        falls.append(now.expected_fraction)
        assert now in forecaster.due_forecasts(said)
    assert all(later < earlier - 0.02 for earlier, later in pairwise(falls))


def test_film_leaves_the_pipeline_as_it_is_stacked(
    maker: LineMaker, supply: list[str], line: LineModel, folded: Fold
) -> None:
    before = book_of(line, folded(maker.events)).pipeline.cells_count
    for index in range(12):
        maker.stack(f"ST-{index}", supply[19 * index : 19 * index + 19])
    after = book_of(line, folded(maker.events)).pipeline.cells_count
    assert before == 20
    assert before - after == pytest.approx(12, abs=1)


def test_the_book_is_a_function_of_the_state(line: LineModel, small_past: list[Event], folded: Fold) -> None:
    whole = book_of(line, folded(small_past))
    state = LineState(line)
    piecewise = YieldBook(line, state, Genealogy(state))
    for event in small_past:
        state.apply(event)
        if isinstance(event, FilmDefect) or state.revision % 40 == 0:
            while piecewise.update(2):
                pass
    state.touched_units.update(state.unit_names())
    piecewise.update()
    piecewise.update()
    assert piecewise.probabilities() == pytest.approx(whole.probabilities(), abs=1e-9)
    assert piecewise.model.labels_count == 2


def test_a_prediction_is_said_when_a_stack_is_finished_and_again_only_when_it_moves(
    maker: LineMaker, supply: list[str], line: LineModel, folded: Fold
) -> None:
    maker.stack("ST-0", supply[:19])
    maker.stack("ST-1", supply[19:38], layers=20)
    state = folded(maker.events)
    book = book_of(line, state)
    forecaster = Forecaster(state, book)
    (said,) = forecaster.predictions()
    assert said.unit == "ST-0"
    state.apply(said)
    assert forecaster.predictions() == []
    roll, md_um, cd_um = film_under(state, "ST-0", 9, "top")
    maker.defect("late", roll, md_um, cd_um, kind="PIN", size_um=45.0)
    state.apply(maker.events[-1])
    book.update()
    (again,) = forecaster.predictions()
    assert again.p_pass < said.p_pass - 0.2


def test_a_forecast_is_scored_when_all_its_cells_have_a_verdict(
    maker: LineMaker, supply: list[str], line: LineModel, folded: Fold
) -> None:
    for index in range(10):
        maker.stack(f"ST-{index}", supply[19 * index : 19 * index + 19])
        maker.cell(f"CE-{index}", f"ST-{index}")
    state = folded(maker.events)
    book = book_of(line, state)
    forecaster = Forecaster(state, book)
    said = [row for row in forecaster.due_forecasts(None) if row.name == OPEN_CELLS]
    assert said[0].cells_count == 10
    state.apply_all(said)
    for index in range(10):
        assert forecaster.due_scores() == []
        maker.test(f"CE-{index}", passed=index > 0)
        state.apply_all(maker.events[-3:])
        book.update()
    (score,) = forecaster.due_scores()
    assert (score.cells_count, score.passed_count, score.inside) == (10, 9, True)
    state.apply(score)
    assert forecaster.due_scores() == []


def test_losses_add_up_to_the_cells_expected_to_fail(line: LineModel, small_past: list[Event], folded: Fold) -> None:
    state = folded(small_past)
    book = book_of(line, state)
    losses = Forecaster(state, book).losses()
    chances = book.probabilities()
    assert sum(row.cells for row in losses) == pytest.approx(sum(1 - chances[unit] for unit in book.open_units()))


def test_the_track_is_thinned_and_ends_with_the_newest(line: LineModel, folded: Fold) -> None:
    state = folded([])
    for at_ns in range(1, 5_002):
        state.apply(
            YieldForecast(
                at_ns=at_ns,
                forecast=f"line-{at_ns}",
                scope="line",
                name="n",
                cells_count=1,
                expected_fraction=0.5,
                low_fraction=0.4,
                high_fraction=0.6,
                model="m",
                labels_count=0,
            )
        )
    track = Forecaster(state, book_of(line, state)).track()
    assert len(track) <= 2_000
    assert track[-1].at_ns == 5_001
    assert [row.at_ns for row in track] == sorted(row.at_ns for row in track)

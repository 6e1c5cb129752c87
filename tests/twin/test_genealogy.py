from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from line.events import Event, LayerPlaced, SheetCut, WebMapped, WebSegment
from line.web import WebMap
from twin.genealogy import Genealogy
from twin.state import LineState

if TYPE_CHECKING:
    from tests.twin.conftest import LineMaker

Fold = Callable[[Iterable[Event]], LineState]

LENGTH = 20_000_000
STRETCH = 0.006
SHEET_UM = 102_000
LANE_1 = (8_000, 150_000)


@pytest.fixture
def laminate(maker: LineMaker) -> LineMaker:
    """Films FR-1 (top) and FR-2 (bottom) in LR-1c, all its sheets cut, ten stacks, eight of them cells."""
    maker.film("FR-1", LENGTH)
    maker.film("FR-2", LENGTH)
    child = maker.laminate("LR-1", "FR-1", "FR-2", LENGTH)
    sheets = maker.sheets(child, round(LENGTH * (1 + STRETCH)))
    for index in range(10):
        maker.stack(f"ST-{index}", sheets[19 * index : 19 * index + 19])
        if index < 8:
            maker.cell(f"CE-{index}", f"ST-{index}")
    return maker


@pytest.fixture
def genealogy(laminate: LineMaker, folded: Fold) -> Genealogy:
    return Genealogy(folded(laminate.events))


def expected_cells(maker: LineMaker, from_um: int, to_um: int, lane: int) -> set[tuple[str, int]]:
    """Stacks and layers over lane-1 film of FR-1, by arithmetic alone: x' = (L - x) 1.006."""
    placed = {event.sheet: (event.stack, event.layer) for event in maker.events if isinstance(event, LayerPlaced)}
    found = set()
    for event in maker.events:
        if isinstance(event, SheetCut) and event.lane == lane and event.sheet in placed:
            ends = [LENGTH - place / (1 + STRETCH) for place in (event.start_um, event.end_um)]
            if min(ends) < to_um and max(ends) > from_um:
                found.add(placed[event.sheet])
    return found


def test_a_streak_on_lane_1_is_in_exactly_the_lane_1_sheets_of_its_metres(laminate: LineMaker, folded: Fold) -> None:
    """The streak stands at CD 112 mm; the film is reversed at lamination and stretched by 0.6 % at the calender."""
    start, end = 12_345_678, 15_111_111
    laminate.defect("streak", "FR-1", start, 112_000, kind="STR", size_um=600.0, length_um=end - start, width_um=600)
    genealogy = Genealogy(folded(laminate.events))
    found = genealogy.sheets_of("FR-1", start, end, lane=1)
    assert {(row.stack, row.layer) for row in found if row.layer} == expected_cells(laminate, start, end, 1)
    assert len(found) == pytest.approx((end - start) * 1.006 / 104_000, abs=1.5)
    assert {row.cut.lane for row in found} == {1}
    assert {row.origin.face for row in found} == {"top"}
    assert all(row.origin.cd_low_um == LANE_1[0] and row.origin.cd_high_um == LANE_1[1] for row in found)


def test_the_way_back_lands_on_the_metre_that_arithmetic_gives(laminate: LineMaker, folded: Fold) -> None:
    state = folded(laminate.events)
    genealogy = Genealogy(state)
    for sheet in itertools.islice(state.sheets, 0, None, 17):
        cut = state.sheets[sheet]
        top, bottom = genealogy.films(sheet)
        assert (top.roll, top.face, bottom.roll, bottom.face) == ("FR-1", "top", "FR-2", "bottom")
        for place in (top, bottom):
            assert place.end_um == pytest.approx(LENGTH - cut.start_um / 1.006, abs=2)
            assert place.start_um == pytest.approx(LENGTH - cut.end_um / 1.006, abs=2)


def test_the_web_map_of_the_line_agrees_to_two_micrometres(laminate: LineMaker, folded: Fold) -> None:
    state = folded(laminate.events)
    maps = {"FR-1": WebMap.as_coated("FR-1", length_um=LENGTH, width_um=300_000)}
    for child, face in (("LR-1", "top"), ("LR-1c", "")):
        records = [row for row in state.webs[child].values() if row.face == face]
        maps[child] = WebMap.composed([part for row in records for part in row.segments], maps, width_um=300_000)
    for sheet in itertools.islice(state.sheets, 0, None, 29):
        cut = state.sheets[sheet]
        (span,) = maps["LR-1c"].as_coated_spans(cut.start_um, cut.end_um)
        top = Genealogy(state).films(sheet)[0]
        assert abs(span.md_start_um - top.start_um) <= 2
        assert abs(span.md_end_um - top.end_um) <= 2


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(-1_000, LENGTH),
    length=st.integers(1, 3_000_000),
    lane=st.integers(0, 2),
    film=st.sampled_from(["FR-1", "FR-2"]),
)
def test_both_ways_never_disagree(genealogy: Genealogy, place: int, length: int, lane: int, film: str) -> None:
    cd_low, cd_high = {0: (0, 300_000), 1: LANE_1, 2: (150_000, 292_000)}[lane]
    forth = {row.cut.sheet for row in genealogy.sheets_of(film, place, place + length, lane)}
    back = {
        sheet
        for sheet in genealogy._state.sheets
        for origin in genealogy.films(sheet)
        if origin.roll == film and origin.start_um < place + length and origin.end_um > place
        and origin.cd_low_um < cd_high and origin.cd_high_um > cd_low
    }  # fmt: skip
    assert forth == back


def test_a_flipped_film_swaps_the_lanes(maker: LineMaker, folded: Fold) -> None:
    maker.film("FR-1", 1_000_000)
    maker.say(
        WebMapped, station="S07", child="LR-1", web="laminate", operation="lamination", face="bottom",
        segments=(WebSegment(0, 1_000_000, "FR-1", 0, 1_000_000, True, 300_000),),
    )  # fmt: skip
    maker.sheets("LR-1", 1_000_000)
    found = Genealogy(folded(maker.events)).sheets_of("FR-1", 0, 100_000, lane=1)
    assert [(row.cut.lane, row.origin.cd_low_um, row.origin.cd_high_um) for row in found] == [(2, 8_000, 150_000)]


def test_a_sheet_over_a_splice_has_two_pieces_of_film(maker: LineMaker, folded: Fold) -> None:
    maker.film("FR-1", 1_000_000)
    maker.film("FR-2", 1_000_000)
    segments = (WebSegment(0, 50_000, "FR-1", 50_000, 0), WebSegment(50_000, 1_000_000, "FR-2", 1_000_000, 50_000))
    maker.say(
        WebMapped, station="S07", child="LR-1", web="laminate", operation="lamination", face="top", segments=segments
    )
    sheet = maker.sheets("LR-1", 1_000_000)[0]
    films = Genealogy(folded(maker.events)).films(sheet)
    assert [(row.roll, row.start_um, row.end_um) for row in films] == [
        ("FR-1", 0, 50_000),
        ("FR-2", 948_000, 1_000_000),
    ]


def test_a_later_record_of_a_web_holds_where_it_speaks_and_the_earlier_elsewhere(
    maker: LineMaker, folded: Fold
) -> None:
    maker.film("FR-1", 2_000_000)
    for start, end, shift in ((0, 1_000_000, 0), (500_000, 600_000, 77)):
        maker.say(
            WebMapped, station="S07", child="LR-1", web="laminate", operation="lamination", face="top",
            segments=(WebSegment(start, end, "FR-1", start + shift, end + shift),),
        )  # fmt: skip
    sheets = maker.sheets("LR-1", 1_000_000)
    genealogy = Genealogy(folded(maker.events[::-1]))
    assert [row.start_um for row in genealogy.films(sheets[0])] == [0]
    shifted = next(sheet for sheet in sheets if sheet.endswith("/1/000520"))
    assert [(row.start_um, row.end_um) for row in genealogy.films(shifted)] == [(520_077, 600_077), (600_000, 622_000)]


def test_without_the_record_of_the_web_the_way_ends_at_the_laminate(laminate: LineMaker, folded: Fold) -> None:
    kept = [event for event in laminate.events if not isinstance(event, WebMapped)]
    state = folded(kept)
    genealogy = Genealogy(state)
    assert genealogy.films(next(iter(state.sheets))) == []
    assert genealogy.sheets_of("FR-1", 0, LENGTH) == []
    assert genealogy.sheets_of("LR-1c", 0, 200_000)
    state.apply_all(event for event in laminate.events if isinstance(event, WebMapped))
    assert len(genealogy.films(next(iter(state.sheets)))) == 2


def test_a_piece_is_complete_only_when_sheets_were_cut_from_all_of_it(laminate: LineMaker, folded: Fold) -> None:
    state = folded(laminate.events)
    assert Genealogy(state).fully_cut("FR-1", 2_000_000, 19_000_000)
    half = [row for row in laminate.events if not isinstance(row, SheetCut) or row.start_um < 10_000_000]
    genealogy = Genealogy(folded(half))
    assert genealogy.fully_cut("FR-1", 11_000_000, 19_000_000)
    assert not genealogy.fully_cut("FR-1", 9_000_000, 19_000_000)
    assert not genealogy.fully_cut("FR-1", 2_000_000, 2_050_000)


def test_a_web_that_names_itself_as_parent_ends(maker: LineMaker, folded: Fold) -> None:
    maker.say(
        WebMapped, station="S07", child="LR-1", web="laminate", operation="resync",
        segments=(WebSegment(0, 1_000_000, "LR-1", 0, 1_000_000),),
    )  # fmt: skip
    sheet = maker.sheets("LR-1", 500_000)[0]
    genealogy = Genealogy(folded(maker.events))
    assert genealogy.films(sheet) == []
    assert genealogy.sheets_of("LR-1", 0, 100_000)

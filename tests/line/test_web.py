"""Web maps know where film lies after rewinding, stretching, cutting and splicing, and where it came from."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from line import web_steps
from line.errors import NotFoundError, WebMapError
from line.events import WebSegment
from line.web import NOWHERE_UM, CoatedPoint, Fiducial, WebMap, WebMapRecord, WebPoint, lane_of, lanes_of
from line.web_lookup import Positions
from line.web_piece import scaled

M = 1_000_000
MM = 1_000
LENGTH = 400 * M
WIDTH = 300 * MM
ROLL = "R-260101-1-001"


def film(length_um: int = LENGTH, roll: str = ROLL) -> WebMap:
    return WebMap.as_coated(roll, length_um=length_um, width_um=WIDTH)


class Op(NamedTuple):
    """One operation; `a` and `b` place its cut within the web as shares, `fraction` is its stretch."""

    name: str
    a: float = 0.0
    b: float = 0.0
    fraction: float = 0.0


shares = st.floats(0, 1)
rewinds, flips = st.just(Op("rewind")), st.just(Op("flip"))
cuts = st.builds(lambda a, b: Op("cut", min(a, b), max(a, b)), shares, shares)
stretches = st.builds(lambda fraction: Op("stretch", fraction=fraction), st.floats(-0.05, 0.05))
lengths = st.integers(10 * MM, 2000 * M)


def cut_of(op: Op, web: WebMap) -> tuple[int, int] | None:
    low_um, high_um = (web.start_um + round(share * web.length_um) for share in (op.a, op.b))
    return (low_um, high_um) if 0 < high_um - low_um < web.length_um - 10 else None


def done(web: WebMap, op: Op) -> WebMap:
    match op.name:
        case "rewind":
            return web.rewound()
        case "flip":
            return web.flipped()
        case "stretch":
            return web.stretched(op.fraction)
        case _:
            cut = cut_of(op, web)
            return web.cut_out(*cut) if cut else web


# Each operation by itself


def test_as_coated_film_lies_where_it_was_coated() -> None:
    assert film().current_um(123_456_789, 42_000) == WebPoint(123_456_789, 42_000)
    assert film().as_coated_um(123_456_789, 42_000) == CoatedPoint(ROLL, 123_456_789, 42_000)


def test_rewinding_counts_from_the_other_end() -> None:
    assert film().rewound().current_um(123_456_789, 42_000) == WebPoint(LENGTH - 123_456_789, 42_000)


def test_flipping_counts_from_the_other_edge() -> None:
    assert film().flipped().current_um(123_456_789, 42_000) == WebPoint(123_456_789, WIDTH - 42_000)
    assert film().flipped().as_coated_um(123_456_789, 42_000) == CoatedPoint(ROLL, 123_456_789, WIDTH - 42_000)


def test_stretching_lengthens_from_the_start() -> None:
    web = film().stretched(0.006)
    assert web.length_um == LENGTH * 1006 // 1000
    assert web.current_um(100 * M, 0) == WebPoint(100_600_000, 0)


def test_a_position_between_two_micrometres_goes_to_the_even_one() -> None:
    web = film(1000).stretched(0.05)
    assert [web.current_um(md_um, 0) for md_um in (10, 30)] == [WebPoint(10, 0), WebPoint(32, 0)]  # 10.5 and 31.5


def test_three_metres_cut_out_move_what_follows_by_exactly_three_metres_and_keep_as_coated() -> None:
    web = film().cut_out(120 * M, 123 * M)
    assert web.length_um == LENGTH - 3 * M
    assert web.current_um(119 * M + 1, 5) == WebPoint(119 * M + 1, 5)
    assert web.current_um(121_500_000, 5) is None
    assert web.current_um(250_000_007, 5) == WebPoint(247_000_007, 5)
    assert web.as_coated_um(247_000_007, 5) == CoatedPoint(ROLL, 250_000_007, 5)


def test_a_cut_takes_its_first_place_and_leaves_its_last() -> None:
    web = film().cut_out(120 * M, 123 * M)
    assert web.current_um(120 * M - 1, 0) == WebPoint(120 * M - 1, 0)
    assert web.current_um(120 * M, 0) is None
    assert web.current_um(123 * M - 1, 0) is None
    assert web.current_um(123 * M, 0) == WebPoint(120 * M, 0)
    assert web.as_coated_um(120 * M, 0) == CoatedPoint(ROLL, 123 * M, 0)


def test_a_joint_keeps_its_place_when_the_roll_is_rewound() -> None:
    web = film().cut_out(120 * M, 123 * M).rewound()
    assert web.as_coated_um(web.length_um - 120 * M, 0) == CoatedPoint(ROLL, 123 * M, 0)
    assert web.current_um(120 * M, 0) is None


def test_a_cut_at_either_end_leaves_a_web_with_both_its_ends() -> None:
    for uncut in (film(), film().rewound()):
        web = uncut.cut_out(390 * M, LENGTH).cut_out(0, 10 * M)
        first, last = (10 * M, 390 * M) if uncut == film() else (390 * M, 10 * M)
        assert web.current_um(first, 0) == WebPoint(0, 0)
        assert web.current_um(last, 0) == WebPoint(380 * M, 0)
        assert web.current_um(10 * M - 1, 0) is None
        assert web.current_um(390 * M + 1, 0) is None
        assert web.as_coated_um(0, 0) == CoatedPoint(ROLL, first, 0)
        assert web.as_coated_um(380 * M, 0) == CoatedPoint(ROLL, last, 0)


def test_places_beside_and_beyond_the_web_are_nowhere() -> None:
    web = film().rewound()
    for md_um, cd_um in [(-1, 0), (LENGTH + 1, 0), (5, -1), (5, WIDTH + 1)]:
        assert web.current_um(md_um, cd_um) is None
        assert web.as_coated_um(md_um, cd_um) is None
    assert web.current_um(LENGTH, WIDTH) == WebPoint(0, WIDTH)
    assert web.current_um(5, 5, "R-other") is None


def test_a_slit_lane_counts_from_its_own_edge() -> None:
    first, second = film().slit([(40 * MM, 144 * MM), (156 * MM, 260 * MM)])
    assert first.width_um == second.width_um == 104 * MM
    assert second.current_um(7, 160 * MM) == WebPoint(7, 4 * MM)
    assert first.current_um(7, 160 * MM) is None
    assert second.as_coated_um(7, 4 * MM) == CoatedPoint(ROLL, 7, 160 * MM)


def test_a_lane_slit_from_a_flipped_web_finds_its_film() -> None:
    (lane,) = film().flipped().slit([(0, 100 * MM)])
    assert lane.as_coated_um(7, 1 * MM) == CoatedPoint(ROLL, 7, WIDTH - 1 * MM)
    assert lane.flipped().as_coated_um(7, 1 * MM) == CoatedPoint(ROLL, 7, WIDTH - 99 * MM)


def test_a_web_of_several_rolls_knows_each_place_by_its_roll() -> None:
    web = film(10 * M, "A").spliced(film(20 * M, "B").rewound(), film(5 * M, "C").section(1 * M, 3 * M))
    assert web.length_um == 32 * M
    assert web.rolls == ("A", "B", "C")
    assert web.current_um(2 * M, 0, "B") == WebPoint(28 * M, 0)
    assert web.current_um(2 * M, 0, "C") == WebPoint(31 * M, 0)
    assert web.current_um(4 * M, 0, "C") is None
    assert web.as_coated_um(28 * M, 0) == CoatedPoint("B", 2 * M, 0)
    with pytest.raises(WebMapError, match="from rolls A, B, C: name one"):
        web.current_um(2 * M, 0)


def test_both_lanes_of_a_roll_may_follow_each_other_on_one_web() -> None:
    first, second = film(10 * M).slit([(0, 100 * MM), (100 * MM, 200 * MM)])
    web = first.spliced(second)
    assert web.current_um(3 * M, 150 * MM) == WebPoint(13 * M, 50 * MM)
    assert web.current_um(3 * M, 50 * MM) == WebPoint(3 * M, 50 * MM)


# Whole histories


@settings(max_examples=150, deadline=None)
@given(length_um=lengths, history=st.lists(st.one_of(rewinds, flips, cuts), max_size=8), data=st.data())
def test_without_stretch_every_place_is_found_exactly_and_maps_back_exactly(
    length_um: int, history: list[Op], data: st.DataObject
) -> None:
    web = film(length_um)
    md = np.array(data.draw(st.lists(st.integers(0, length_um), min_size=1, max_size=20)))
    cd = np.full_like(md, 12_345)
    # where each place is after each step by plain arithmetic; a place on a cut's very edge is left out
    md_now, cd_now, kept, certain = md.copy(), cd.copy(), np.ones(md.shape, bool), np.ones(md.shape, bool)
    for op in history:
        if op.name == "rewind":
            md_now = web.length_um - md_now
        elif op.name == "flip":
            cd_now = WIDTH - cd_now
        elif cut := cut_of(op, web):
            certain &= (md_now != cut[0]) & (md_now != cut[1])
            kept &= ~((md_now > cut[0]) & (md_now < cut[1]))
            md_now = np.where(md_now >= cut[1], md_now - (cut[1] - cut[0]), md_now)
        web = done(web, op)
    points = web.currents_um(md, cd)
    assert (points.found == kept)[certain].all()
    assert (points.md_um == md_now)[certain & kept].all()
    assert (points.cd_um == cd_now)[certain & kept].all()
    assert (points.md_um == NOWHERE_UM)[~points.found].all()
    back = web.as_coateds_um(points.md_um[points.found], points.cd_um[points.found])
    assert back.found.all()
    assert (back.md_um == md[points.found]).all()
    assert (back.cd_um == cd[points.found]).all()


@settings(max_examples=150, deadline=None)
@given(
    length_um=lengths,
    history=st.lists(st.one_of(rewinds, flips, cuts, stretches), max_size=8),
    data=st.data(),
)
def test_any_history_is_true_to_one_micrometre_a_step_and_there_and_back_to_two(
    length_um: int, history: list[Op], data: st.DataObject
) -> None:
    web = film(length_um)
    md = data.draw(st.integers(0, length_um))
    exact, edge_distance, cut_away = Fraction(md), Fraction(10**12), False
    for op in history:
        if op.name == "rewind":
            exact = web.length_um - exact
        elif op.name == "stretch":
            exact *= 1 + Fraction(op.fraction)
        elif op.name == "cut" and not cut_away and (cut := cut_of(op, web)):
            edge_distance = min(edge_distance, *(abs(exact - edge) for edge in cut))
            cut_away = cut[0] < exact < cut[1]
            exact -= cut[1] - cut[0] if exact >= cut[1] else 0
        web = done(web, op)
    point = web.current_um(md, 7)
    if edge_distance > 2 * len(history):
        assert (point is None) == cut_away
        assert point is None or abs(point.md_um - exact) <= len(history)
    if point is not None:
        back = web.as_coated_um(point.md_um, point.cd_um)
        assert back is not None
        assert abs(back.md_um - md) <= 2
        assert back.cd_um == 7


@settings(deadline=None)
@given(length_um=lengths, fraction=st.floats(-0.2, 0.2), share=shares)
def test_there_and_back_over_a_stretch_is_within_one_micrometre(length_um: int, fraction: float, share: float) -> None:
    web, md_um = film(length_um).stretched(fraction), round(share * length_um)
    point = web.current_um(md_um, 0)
    assert point is not None
    assert abs(point.md_um - Fraction(md_um) * (1 + Fraction(fraction))) <= 1
    back = web.as_coated_um(point.md_um, 0)
    assert back is not None
    assert abs(back.md_um - md_um) <= 1


@settings(deadline=None)
@given(cut=cuts, share=shares, fraction=st.floats(-0.05, 0.05), backwards=st.booleans())
def test_a_cut_out_of_a_stretched_web_shifts_by_its_very_length(
    cut: Op, share: float, fraction: float, backwards: bool
) -> None:
    before = film().stretched(fraction)
    before = before.rewound() if backwards else before
    section = cut_of(cut, before)
    if section is None:
        return
    after, md_um = before.cut_out(*section), round(share * LENGTH)
    was, now = before.current_um(md_um, 0), after.current_um(md_um, 0)
    assert was is not None
    if section[0] < was.md_um < section[1]:
        assert now is None
    elif now is not None:
        assert was.md_um - now.md_um == (section[1] - section[0] if was.md_um >= section[1] else 0)
    else:
        assert was.md_um in section


@settings(deadline=None)
@given(history=st.lists(st.one_of(flips, cuts, stretches), max_size=5))
def test_rewinding_twice_and_flipping_twice_are_nothing(history: list[Op]) -> None:
    web = film()
    for op in history:
        web = done(web, op)
    assert web.rewound().rewound() == web
    assert web.flipped().flipped() == web


@settings(deadline=None)
@given(history=st.lists(st.one_of(rewinds, flips, cuts, stretches), max_size=6))
def test_a_map_crosses_a_wire_whole(history: list[Op]) -> None:
    web = film()
    for op in history:
        web = done(web, op)
    wire = msgspec.json.encode(web.record())
    assert WebMap.from_record(msgspec.json.decode(wire, type=WebMapRecord)) == web


@settings(deadline=None)
@given(history=st.lists(st.one_of(rewinds, flips, cuts, stretches), max_size=6), a=shares, b=shares)
def test_spans_come_in_order_cover_what_is_left_and_agree_both_ways(history: list[Op], a: float, b: float) -> None:
    web = film()
    for op in history:
        web = done(web, op)
    low_um, high_um = sorted((round(a * web.length_um), round(b * web.length_um)))
    spans = web.as_coated_spans(low_um, high_um)
    assert sum(span.end_um - span.start_um for span in spans) == high_um - low_um
    for before, after in pairwise(spans):
        assert before.end_um == after.start_um
        assert not before.backwards or before.md_start_um >= after.md_end_um
        assert before.backwards or before.md_end_um <= after.md_start_um
    for span in spans:
        again = web.current_spans(span.md_start_um, span.md_end_um)
        if span.md_start_um < span.md_end_um:
            assert abs(again[0].start_um - span.start_um) <= 2
            assert abs(again[-1].end_um - span.end_um) <= 2


@pytest.mark.parametrize("fraction", [-0.2, -0.03, 0.0, 0.03, 0.2])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_cut_takes_every_place_that_lies_in_it_and_no_other(fraction: float, backwards: bool) -> None:
    md = np.arange(0, 1001)
    before = film(1000).stretched(fraction)
    before = before.rewound() if backwards else before
    was = before.currents_um(md, 0).md_um
    for low_um, high_um in [(1, 2), (100, 101), (200, 333), (417, 418)]:
        now = before.cut_out(low_um, high_um).currents_um(md, 0)
        # against the web's direction of coating the section's far edge is the one that begins there
        gone = (was > low_um) & (was <= high_um) if backwards else (was >= low_um) & (was < high_um)
        assert (now.found == ~gone).all()
        moved = was - np.where(was >= high_um, high_um - low_um, 0)
        assert (now.md_um[~gone] == moved[~gone]).all()


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("later", [-0.2, -0.01, 0.01, 0.2])
def test_no_place_changes_sides_at_a_joint_that_is_stretched_later(later: float, backwards: bool) -> None:
    md = np.arange(0, 1001)
    for earlier in np.linspace(-0.2, 0.2, 21):
        web = film(1000).stretched(float(earlier))
        for low_um in range(300, 320):
            joined = (web.rewound() if backwards else web).cut_out(low_um, low_um + 100).stretched(later)
            points = joined.currents_um(md, 0)
            back = joined.as_coateds_um(points.md_um[points.found], 0)
            assert np.abs(back.md_um - md[points.found]).max() <= 2


# Stretches of web


def test_a_joint_splits_a_stretch_of_web_in_two_as_coated_stretches() -> None:
    spans = film().cut_out(120 * M, 123 * M).as_coated_spans(119 * M, 121 * M)
    assert [(row.md_start_um, row.md_end_um) for row in spans] == [(119 * M, 120 * M), (123 * M, 124 * M)]
    assert [(row.start_um, row.end_um) for row in spans] == [(119 * M, 120 * M), (120 * M, 121 * M)]


def test_a_suspect_stretch_with_a_cut_inside_lies_in_two_parts() -> None:
    spans = film().cut_out(120 * M, 123 * M).rewound().current_spans(119 * M, 125 * M)
    end = LENGTH - 3 * M
    assert [(row.start_um, row.end_um) for row in spans] == [
        (end - 122 * M, end - 120 * M),
        (end - 120 * M, end - 119 * M),
    ]
    assert [(row.md_start_um, row.md_end_um) for row in spans] == [(123 * M, 125 * M), (119 * M, 120 * M)]
    assert all(row.backwards for row in spans)


def test_a_cut_out_stretch_lies_nowhere() -> None:
    assert film().cut_out(120 * M, 123 * M).current_spans(121 * M, 122 * M) == ()


def test_re_synchronising_does_not_split_what_is_in_one_piece() -> None:
    marks = [Fiducial(i * M // 2, i * M // 2 + i % 3) for i in range(1, 20)]
    for web in (film(10 * M).resynced(marks), film(10 * M).resynced(marks).rewound()):
        (span,) = web.current_spans(1 * M, 9 * M)
        assert (span.md_start_um, span.md_end_um) == (1 * M, 9 * M)


# Fiducials


def test_fiducials_lie_where_they_were_seen_and_film_between_them_in_proportion() -> None:
    web = film(2 * M).resynced([
        Fiducial(500_000, 500_300),
        Fiducial(1_000_000, 1_000_900),
        Fiducial(1_500_000, 1_501_000),
    ])
    assert web.current_um(500_000, 0) == WebPoint(500_300, 0)
    assert web.current_um(1_000_000, 0) == WebPoint(1_000_900, 0)
    assert web.current_um(750_000, 0) == WebPoint(750_600, 0)
    assert web.current_um(100_000, 0) == WebPoint(100_300, 0)
    assert web.current_um(1_900_000, 0) == WebPoint(1_901_000, 0)
    assert web.as_coated_um(750_600, 0) == CoatedPoint(ROLL, 750_000, 0)


def test_a_web_whose_marks_lie_off_its_start_is_rewound_to_its_new_start_and_stretched_about_its_zero() -> None:
    web = film(2 * M).resynced([Fiducial(1 * M, 1 * M + 2_000)])
    assert (web.start_um, web.end_um) == (2_000, 2 * M + 2_000)
    assert web.current_um(0, 0) == WebPoint(2_000, 0)
    assert web.rewound().current_um(0, 0) == WebPoint(2 * M, 0)
    assert web.stretched(0.01).current_um(0, 0) == WebPoint(2_020, 0)
    assert web.cut_out(2_000, 3_000).current_um(2_000, 0) == WebPoint(3_000, 0)
    assert film(5, "A").spliced(web.section(2_000, 3_000)).current_um(7, 0, ROLL) == WebPoint(12, 0)


def test_what_fiducials_leave_open_is_known() -> None:
    marks = [Fiducial(500_000, 500_000), Fiducial(1_000_000, 1_000_200), Fiducial(1_500_000, 1_500_000)]
    assert film(2 * M).resynced(marks).residual_um == 200
    assert film(2 * M).resynced(marks[:2]).residual_um is None
    assert film(2 * M).resynced(marks).rewound().cut_out(0, 100).residual_um == 200
    assert film(2 * M).resynced(marks).spliced(film(2 * M, "B")).residual_um is None


def test_a_web_that_slips_is_placed_to_three_tenths_of_a_millimetre_by_fiducials_every_half_metre() -> None:
    def true_um(md: Positions) -> Positions:
        at: Positions = np.rint(md * 1.006 + 2_500 * np.sin(md / (4 * M))).astype(np.int64)
        return at

    marks = np.arange(250_000, 100 * M, 500_000)
    seen = true_um(marks)
    before = film(100 * M).stretched(0.006)
    after = before.resynced([Fiducial(int(md), int(at)) for md, at in zip(marks, seen, strict=True)])
    md = np.random.default_rng(5).integers(marks[0], marks[-1], 2_000)
    assert np.abs(before.currents_um(md, 0).md_um - true_um(md)).max() > 2_000
    error = np.abs(after.currents_um(md, 0).md_um - true_um(md)).max()
    assert error <= 300
    assert after.residual_um is not None
    assert error <= after.residual_um + 2


@settings(max_examples=60, deadline=None)
@given(
    history=st.lists(st.one_of(rewinds, cuts, stretches), max_size=5),
    slips=st.lists(st.integers(-300, 300), min_size=1, max_size=30),
    data=st.data(),
)
def test_there_and_back_over_a_re_synchronised_web_is_within_two_micrometres(
    history: list[Op], slips: list[int], data: st.DataObject
) -> None:
    web = film(50 * M)
    for op in history:
        web = done(web, op)
    printed = np.linspace(0, 50 * M, len(slips) + 2).astype(np.int64)[1:-1]
    seen = web.currents_um(printed, 0)
    marks = [
        Fiducial(int(md), int(at) + slip)
        for md, at, slip, found in zip(printed, seen.md_um, slips, seen.found, strict=True)
        if found
    ]
    if not marks or web.length_um < 1 * M:
        return
    synced = web.resynced(marks)
    for mark in marks:
        point = synced.current_um(mark.md_um, 0)
        assert point is not None
        assert abs(point.md_um - mark.observed_um) <= 1
    md = np.array(data.draw(st.lists(st.integers(0, 50 * M), min_size=1, max_size=20)))
    points = synced.currents_um(md, 0)
    back = synced.as_coateds_um(points.md_um[points.found], points.cd_um[points.found])
    assert (np.abs(back.md_um - md[points.found]) <= 2).all()


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ([], "0 expected and 0 observed"),
        ([Fiducial(125 * M, 1)], "was cut out"),
        ([Fiducial(10 * M, 10 * M), Fiducial(11 * M, 9 * M)], "a splice or a change of direction is missing"),
    ],
)
def test_fiducials_that_contradict_the_web_are_refused(marks: list[Fiducial], message: str) -> None:
    with pytest.raises(WebMapError, match=message):
        film().cut_out(120 * M, 130 * M).resynced(marks)


# Events, refusals, helpers


def test_a_map_follows_the_events_of_its_web_through_two_parents() -> None:
    maps = {"A": film(100 * M, "A"), "B": film(100 * M, "B")}
    maps["A2"] = WebMap.composed(web_steps.rewind("A", 100 * M), maps)
    joined = web_steps.splice([("A2", 0, 40 * M), ("B", 10 * M, 60 * M)])
    maps["L"] = WebMap.composed(joined, maps)
    maps["C"] = WebMap.composed(web_steps.stretch("L", 90 * M, 0.006), maps)
    assert maps["C"] == film(100 * M, "A").rewound().section(0, 40 * M).spliced(
        film(100 * M, "B").section(10 * M, 60 * M)
    ).stretched(0.006)
    assert maps["C"].as_coated_um(50_300_000, 9) == CoatedPoint("B", 20 * M, 9)


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([WebSegment(0, 10, "A", 0, 10), WebSegment(11, 20, "A", 11, 20)], "ends at 10 µm and the next begins at 11"),
        ([WebSegment(0, 10, "A", 95, 105)], "within the parent, which is 0 to 100 µm"),
        ([WebSegment(0, 0, "A", 5, 10)], "expected a length above 0"),
        ([WebSegment(0, 10, "A", 5, 15), WebSegment(10, 20, "A", 10, 20)], "from 10 to 15 µm lies twice on a web"),
        ([], "a web of 0 pieces"),
    ],
)
def test_segments_that_make_no_web_are_refused(segments: list[WebSegment], message: str) -> None:
    with pytest.raises(WebMapError, match=message):
        WebMap.composed(segments, {"A": film(100, "A")})


def test_an_unknown_parent_and_unlike_widths_are_refused_by_name() -> None:
    with pytest.raises(NotFoundError, match="no map of web 'Z'; known are A"):
        WebMap.composed([WebSegment(0, 10, "Z", 0, 10)], {"A": film(100, "A")})
    with pytest.raises(WebMapError, match="100 and 300000 µm width"):
        film().spliced(WebMap.as_coated("N", length_um=10, width_um=100))


@pytest.mark.parametrize(("low_um", "high_um"), [(5, 5), (6, 5), (-1, 5), (5, LENGTH + 1), (0, LENGTH)])
def test_a_cut_that_is_no_part_of_the_web_is_refused(low_um: int, high_um: int) -> None:
    with pytest.raises(WebMapError, match="expected a part of the web, which is 0 to 400000000 µm"):
        film().cut_out(low_um, high_um)


def test_a_percent_is_refused_as_a_stretch() -> None:
    with pytest.raises(WebMapError, match=r"stretch of 0\.6: expected a fraction"):
        film().stretched(0.6)


def test_a_lane_outside_the_web_is_refused() -> None:
    with pytest.raises(WebMapError, match="lane from 200000 to 304000 µm"):
        film().slit([(200 * MM, 304 * MM)])


def test_millimetres_as_floats_are_refused() -> None:
    with pytest.raises(WebMapError, match="position in µm of type float64"):
        film().currents_um(np.array([1.5]), np.array([1]))


def test_a_record_that_leaves_a_gap_is_refused() -> None:
    first, second = film(10).pieces[0], film(20).section(12, 20).pieces[0]
    with pytest.raises(WebMapError, match="ends at 10 µm and the next begins at 0"):
        WebMap.from_record(WebMapRecord(width_um=WIDTH, pieces=(first, second)))


def test_twenty_kilometres_stretched_by_one_percent_stay_exact() -> None:
    web, md = film(20_000 * M).stretched(0.01), np.arange(0, 20_000 * M, 999_999_937)
    assert web.currents_um(md, 0).md_um.tolist() == [round(Fraction(int(x) * 101, 100)) for x in md]


def test_a_piece_too_long_for_int64_is_refused_instead_of_overflowing() -> None:
    with pytest.raises(WebMapError, match="too long and too stretched for int64"):
        film(10**11).stretched(0.1)


def test_arrays_and_single_places_agree_and_broadcast() -> None:
    web = film().stretched(0.006).cut_out(10 * M, 20 * M).rewound().flipped()
    md = np.array([[1 * M], [15 * M], [399 * M]])
    cd = np.array([0, 150 * MM])
    points = web.currents_um(md, cd)
    assert points.md_um.shape == (3, 2)
    assert points.md_um.dtype == np.int64
    for i in range(3):
        for j in range(2):
            point = web.current_um(int(md[i, 0]), int(cd[j]))
            assert (point is not None) == points.found[i, j]
            assert point is None or point == WebPoint(int(points.md_um[i, j]), int(points.cd_um[i, j]))
    assert web.currents_um([], []).md_um.shape == (0,)


@settings(deadline=None)
@given(distance=st.integers(-(10**10), 10**10), run=st.integers(1, 10**9), of=st.integers(1, 10**9))
def test_scaling_rounds_half_to_even_alike_for_numbers_and_arrays(distance: int, run: int, of: int) -> None:
    distance %= of
    expected = round(Fraction(distance * run, of))
    assert scaled(distance, run, of) == expected
    assert scaled(np.array([distance]), np.array([run]), np.array([of])).tolist() == [expected]


def test_a_lane_is_told_from_the_margins() -> None:
    lanes = [(40 * MM, 144 * MM), (144 * MM, 248 * MM)]
    assert [lane_of(cd_um, lanes) for cd_um in (0, 40 * MM, 144 * MM - 1, 144 * MM, 248 * MM)] == [0, 1, 1, 2, 0]
    assert lanes_of(np.array([0, 150 * MM]), lanes).tolist() == [0, 2]

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from line.events import Event, StripInspected
from twin.rolls import RollMap
from twin.state import LineState

if TYPE_CHECKING:
    from tests.twin.conftest import LineMaker

Fold = Callable[[Iterable[Event]], LineState]


def test_adjacent_strips_become_one_interval(maker: LineMaker, folded: Fold) -> None:
    for number in range(1_000):
        maker.strip("FR-1", number * 5_120, (number + 1) * 5_120, number)
    roll = folded(maker.events[::-1]).rolls["FR-1"]
    assert [list(row) for row in roll.looked.values()] == [[(0, 5_120_000)]]
    assert roll.seen_um == 5_120_000


def test_what_nobody_looked_at_is_said_with_its_reason(maker: LineMaker, folded: Fold) -> None:
    maker.strip("FR-1", 0, 100)
    maker.strip("FR-1", 150, 200, state="over_capacity")
    maker.strip("FR-1", 300, 400)
    roll = folded(maker.events).rolls["FR-1"]
    assert roll.uninspected(0, 450) == [
        (100, 150, "not inspected"),
        (150, 200, "over capacity"),
        (200, 300, "not inspected"),
        (400, 450, "not inspected"),
    ]


def test_lines_that_were_dropped_are_film_nobody_looked_at(maker: LineMaker, folded: Fold) -> None:
    maker.strip("FR-1", 0, 5_120)
    maker.strip("FR-1", 5_160, 10_280, 1)
    maker.strip("FR-1", 10_280, 15_400, 2, state="uncalibrated")
    maker.strip("FR-1", 15_400, 20_520, 3, state="learning")
    heard = [
        replace(row, missed_lines_count=2) if isinstance(row, StripInspected) and row.strip == 1 else row
        for row in maker.events
    ]
    assert folded(heard).rolls["FR-1"].uninspected(0, 20_520) == [
        (5_120, 5_160, "lines dropped"),
        (10_280, 15_400, "uncalibrated"),
        (15_400, 20_520, "learning"),
    ]


def test_inspected_share_is_of_area_when_cameras_see_parts_of_the_width(maker: LineMaker, folded: Fold) -> None:
    maker.strip("FR-1", 0, 1_000_000)
    half = maker.events[0]
    roll = folded([]).rolls.get("FR-1") or RollMap("FR-1")
    for cds, mds in (((0, 150_000), (0, 1_000_000)), ((100_000, 300_000), (500_000, 1_000_000))):
        roll.add_strip(_replaced(half, cds, mds))
    assert roll.inspected_fraction(0, 1_000_000, 0, 300_000) == pytest.approx(0.75)
    assert roll.inspected_fraction(0, 1_000_000, 150_000, 300_000) == pytest.approx(0.5)
    assert roll.inspected_fraction(0, 500_000, 0, 150_000) == pytest.approx(1.0)
    assert roll.inspected_fraction(5, 5, 0, 150_000) == 0.0


def test_sightings_of_one_streak_are_one_span_and_another_cd_is_another(maker: LineMaker, folded: Fold) -> None:
    for number in range(20):
        maker.defect(f"a{number}", "FR-1", number * 250_000, 112_000, kind="STR", length_um=240_000, width_um=400)
    maker.strip("FR-1", 0, 10_000_000)
    maker.defect("b", "FR-1", 1_000_000, 200_000, kind="STR", length_um=300_000, width_um=400)
    maker.defect("c", "FR-1", 9_000_000, 112_000, kind="STR", length_um=300_000, width_um=400)
    maker.defect("d", "FR-1", 1_200_000, 112_000, kind="SCR", length_um=300_000, width_um=60)
    maker.defect("point", "FR-1", 1_200_000, 112_000)
    spans = [(row.start_um, row.end_um, row.label) for row in folded(maker.events).rolls["FR-1"].streaks()]
    assert spans == [
        (0, 4_990_000, "STR at CD 112.0 mm"),
        (1_000_000, 1_300_000, "STR at CD 200.0 mm"),
        (1_200_000, 1_500_000, "SCR at CD 112.0 mm"),
        (9_000_000, 9_300_000, "STR at CD 112.0 mm"),
    ]


def test_a_streak_goes_on_over_film_that_nobody_looked_at(maker: LineMaker, folded: Fold) -> None:
    for number in range(36):
        start_um = number * 5_000_000
        maker.strip("FR-1", start_um, start_um + 300_000, number)
        maker.defect(
            f"a{number}", "FR-1", start_um, 112_000 + 400 * (number % 2), kind="STR", length_um=280_000, width_um=300
        )
    roll = folded(maker.events).rolls["FR-1"]
    assert [(row.start_um, row.end_um) for row in roll.streaks()] == [(0, 175_280_000)]
    assert len(roll.defects) == 36


def test_a_streak_ends_where_film_was_looked_at_or_another_cd_or_class_begins(maker: LineMaker, folded: Fold) -> None:
    maker.strip("FR-1", 0, 5_000_000)
    for name, start_um, cd_um, kind in (
        ("first", 0, 112_000, "STR"), ("after a metre", 1_250_000, 112_500, "STR"),
        ("after more", 3_000_000, 112_000, "STR"), ("aside", 8_000_000, 114_000, "STR"),
        ("other", 8_000_000, 112_000, "SCR"),
    ):  # fmt: skip
        maker.defect(name, "FR-1", start_um, cd_um, kind=kind, length_um=300_000, width_um=100)
    spans = [(row.kind, row.start_um, row.end_um) for row in folded(maker.events).rolls["FR-1"].streaks()]
    assert spans == [
        ("STR", 0, 1_550_000),
        ("STR", 3_000_000, 3_300_000),
        ("SCR", 8_000_000, 8_300_000),
        ("STR", 8_000_000, 8_300_000),
    ]


def test_a_long_defect_is_found_from_a_rectangle_far_behind_its_start(maker: LineMaker, folded: Fold) -> None:
    maker.defect("long", "FR-1", 1_000_000, 112_000, kind="STR", length_um=30_000_000, width_um=400)
    maker.defect("short", "FR-1", 20_000_000, 112_000)
    maker.defect("other lane", "FR-1", 20_000_000, 250_000)
    roll = folded(maker.events).rolls["FR-1"]
    assert [row.defect for row in roll.defects_within(19_999_000, 20_101_000, 8_000, 150_000)] == ["long", "short"]
    assert not list(roll.defects_within(31_000_000, 31_100_000, 8_000, 150_000))


def _replaced(strip: Event, cds: tuple[int, int], mds: tuple[int, int]) -> StripInspected:
    assert isinstance(strip, StripInspected)
    return replace(strip, cd_start_um=cds[0], cd_end_um=cds[1], md_start_um=mds[0], md_end_um=mds[1])

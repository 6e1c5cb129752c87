from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from line.model import load_line
from tests.vision.made_defects import mark
from vision.marks import Mark
from vision.repeats import LIMIT_P, Repeat, RepeatWatch
from vision.rollers import Circumference, rollers_before

CLASSES = 14


@pytest.fixture(scope="module")
def rollers() -> tuple[Circumference, ...]:
    line = load_line()
    return rollers_before(line, line.camera("fins-1"))


@pytest.fixture
def watch(rollers: tuple[Circumference, ...]) -> RepeatWatch:
    return RepeatWatch(rollers, CLASSES)


def at_random(rng: np.random.Generator, count: int, length_um: int) -> list[Mark]:
    return [
        mark(md, cd) for md, cd in zip(rng.integers(0, length_um, count), rng.integers(0, 300_000, count), strict=True)
    ]


def planted(rng: np.random.Generator, period_um: float, length_um: int, *, found: float) -> list[Mark]:
    """Once a turn at CD 40 mm, half a millimetre off, some of them missed."""
    turns = np.arange(int(length_um / period_um))
    turns = turns[rng.random(turns.size) < found]
    start = rng.random() * period_um
    return [mark(start + turn * period_um + rng.normal(0, 500), 40_000 + rng.normal(0, 300)) for turn in turns]


def told(watch: RepeatWatch, marks: list[Mark]) -> list[Repeat]:
    found = [watch.came(row) for row in sorted(marks, key=lambda row: row.md_um)]
    return [row for row in found if row is not None]


@pytest.mark.parametrize("name", ["idler", "backing"])
@pytest.mark.parametrize(("found", "within_turns"), [(0.8, 16), (0.3, 70)])
def test_a_roller_is_named_among_random_defects_though_some_turns_are_missed(
    watch: RepeatWatch, rollers: tuple[Circumference, ...], name: str, found: float, within_turns: int
) -> None:
    period = next(row.um for row in rollers if row.roller == name)
    for seed in range(8):
        watch.forget()
        rng = np.random.default_rng(seed)
        length = int(80 * period)
        spots = planted(rng, period, length, found=found)
        repeats = told(watch, [*spots, *at_random(rng, 20, length)])
        assert repeats
        first = repeats[0]
        assert first.circumference.roller == name
        assert first.p_value < LIMIT_P
        assert 36_500 < first.cd_low_um <= first.cd_high_um < 43_500
        assert all(row is first for row in repeats)
        assert first.count >= len(spots) - 1
        assert first.turns <= 80
        assert first.latest.maxlen == 16
        assert told(RepeatWatch(rollers, CLASSES), spots[: sum(row.md_um < within_turns * period for row in spots)])


def test_random_film_shows_repeats_no_more_often_than_promised(watch: RepeatWatch) -> None:
    rng = np.random.default_rng(11)
    rolls = 150
    false = 0
    for _ in range(rolls):
        watch.forget()
        false += bool(told(watch, at_random(rng, 30, 100_000_000)))
    # A class has a fourteenth of 1 in 1,000 rolls: none is expected in 150 of them.
    assert false == 0


def test_a_line_along_the_web_is_no_repeat(watch: RepeatWatch, rollers: tuple[Circumference, ...]) -> None:
    period = rollers[1].um
    assert told(watch, [mark(k * period, 40_000, length_um=60_000) for k in range(40)]) == []
    pieces = [mark(k * 5_120, 40_000, length_um=5_000) for k in range(600)]
    assert told(watch, pieces) == []


def test_a_defect_that_grows_into_a_line_is_taken_out_again(
    watch: RepeatWatch, rollers: tuple[Circumference, ...]
) -> None:
    period = rollers[1].um
    for turn in range(12):
        start = mark(turn * period, 40_000, length_um=5_000)
        if watch.came(start) is not None:
            pytest.fail("a growing line was folded")
        watch.grew(replace(start, md_end_um=start.md_start_um + 100_000))


def test_a_repeat_ends_when_it_stops_and_not_at_a_missed_turn(
    watch: RepeatWatch, rollers: tuple[Circumference, ...]
) -> None:
    period = rollers[1].um
    repeats = told(watch, [mark(k * period, 40_000) for k in range(20)])
    assert watch.went_by(int(22 * period)) == []
    (ended,) = watch.went_by(int(30 * period))
    assert ended is repeats[0]
    assert ended.ended
    assert watch.active == []


def test_two_spots_of_one_roller_are_two_repeats(watch: RepeatWatch, rollers: tuple[Circumference, ...]) -> None:
    period = rollers[0].um
    marks = [mark(k * period, 40_000) for k in range(20)] + [mark(k * period + 100_000, 200_000) for k in range(20)]
    assert len({row.first for row in told(watch, marks)}) == 2

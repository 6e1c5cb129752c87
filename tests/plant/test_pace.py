"""The simulated clock and the thinning of tags."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from line.model import load_line
from plant.pace import FASTEST, Pace
from plant.shifts import Shifts
from plant.tag_schedule import WRITES_PER_S, TagSchedule

LINE = load_line()
SHIFTS = Shifts(LINE.calendar)


def at(day: int, hour: int, minute: int = 0) -> int:
    """Plant time in November 2026; the 24th is a Tuesday, the shift lasts from 6 to 14 UTC."""
    return int(datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()) * 10**9


def test_plant_time_is_wall_time_times_speed() -> None:
    pace = Pace(SHIFTS, at(24, 8), speed=4.0)
    pace.step(100.0)
    assert pace.step(100.25) - at(24, 8) == pytest.approx(1e9, abs=10)
    pace.set_speed(60.0)
    before = pace.now_ns
    assert pace.step(100.35) - before == pytest.approx(6e9, abs=10)


def test_a_speed_outside_its_bounds_is_refused_with_the_bounds() -> None:
    pace = Pace(SHIFTS, at(24, 8), speed=1.0)
    with pytest.raises(ValueError, match=r"601 is outside 0\.1 to 600"):
        pace.set_speed(601)


def test_a_night_passes_at_full_speed_and_ends_exactly_at_the_shift() -> None:
    pace = Pace(SHIFTS, at(24, 13, 59), speed=10.0)
    pace.step(0.0)
    wall_s, speeds = 0.0, set()
    while not (pace.manned and pace.now_ns > at(24, 14)):
        wall_s += 0.1
        pace.step(wall_s)
        speeds.add(pace.speed)
    assert pace.now_ns == at(25, 6), "no step passes the beginning of a shift"
    assert speeds == {10.0, FASTEST}
    assert wall_s == pytest.approx(60 / 10 + 16 * 3600 / FASTEST, abs=0.5)


def test_nights_may_pass_as_slowly_as_days() -> None:
    pace = Pace(SHIFTS, at(24, 20), speed=2.0, nights_pass_fast=False)
    assert not pace.manned
    assert pace.speed == 2.0


def test_a_step_that_took_too_long_is_lost_and_said() -> None:
    pace = Pace(SHIFTS, at(24, 8), speed=100.0)
    wall_s = 0.0
    for _ in range(20):
        pace.step(wall_s)
        wall_s += 1.0
    assert pace.actual_speed == pytest.approx(50.0, rel=0.01)
    assert pace.lost_s == pytest.approx(0.5 * 19)
    assert pace.wanted_speed == 100.0


def written_per_s(schedule: TagSchedule, speed: float, *, seconds: float = 20.0) -> dict[str, float]:
    counts = dict.fromkeys(LINE.all_tags(), 0)
    values = dict.fromkeys(LINE.all_tags(), 0.0)
    schedule.due(values, 0.0, speed)
    for tick in range(1, int(seconds * 10)):
        for name in schedule.due({name: float(tick) for name in values}, tick / 10, speed):
            counts[name] += 1
    return {name: count / seconds for name, count in counts.items()}


@pytest.mark.parametrize("speed", [1.0, 4.0, 60.0, 600.0])
def test_tags_stay_within_the_budget_at_every_speed(speed: float) -> None:
    schedule = TagSchedule({name: tag.sampling_ms for name, tag in LINE.all_tags().items()})
    rates = written_per_s(schedule, speed)
    assert sum(rates.values()) <= 1.05 * WRITES_PER_S
    assert sum(rates.values()) >= 0.6 * WRITES_PER_S
    # A tag sampled once a minute keeps its own pace until the budget cannot have it.
    slow = rates["S00.Particles05"]
    assert slow == pytest.approx(min(speed / 60, rates["S03.WebSpeed"]), abs=0.2)


def test_the_first_time_everything_is_due_and_a_reading_per_part_only_when_it_changed() -> None:
    schedule = TagSchedule({"S14.WeldEnergy": 0, "S03.WebSpeed": 100})
    values = {"S14.WeldEnergy": 180.0, "S03.WebSpeed": 1.0}
    assert schedule.due(values, 5.0, 1.0) == values
    later = [schedule.due(values, 5.0 + tick / 10, 1.0) for tick in range(1, 40)]
    assert all("S14.WeldEnergy" not in found for found in later)
    assert sum("S03.WebSpeed" in found for found in later) > 30
    assert "S14.WeldEnergy" in schedule.due(values | {"S14.WeldEnergy": 181.0}, 20.0, 1.0)

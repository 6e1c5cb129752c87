"""When the line is manned."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from line.model_rows import Shift, ShiftCalendar
from plant.shifts import Shifts

WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri")


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture
def day() -> Shifts:
    return Shifts(ShiftCalendar(timezone="UTC", shifts=(Shift(name="day", days=WEEK, start="06:00", end="14:00"),)))  # type: ignore[arg-type]


def test_a_time_lies_in_its_shift_or_in_none(day: Shifts) -> None:
    assert day.interval_at(ns("2026-09-21T06:00")) == (ns("2026-09-21T06:00"), ns("2026-09-21T14:00"))
    assert day.interval_at(ns("2026-09-21T14:00")) is None
    assert day.interval_at(ns("2026-09-20T10:00")) is None


def test_after_friday_comes_monday(day: Shifts) -> None:
    assert day.next_begin_ns(ns("2026-09-18T06:00")) == ns("2026-09-21T06:00")


def test_a_night_shift_ends_on_the_next_day() -> None:
    night = Shifts(ShiftCalendar(timezone="UTC", shifts=(Shift(name="n", days=("Fri",), start="22:00", end="06:00"),)))
    assert night.interval_at(ns("2026-09-19T05:00")) == (ns("2026-09-18T22:00"), ns("2026-09-19T06:00"))


def test_a_calendar_keeps_its_time_zone() -> None:
    berlin = Shifts(
        ShiftCalendar(timezone="Europe/Berlin", shifts=(Shift(name="d", days=WEEK, start="06:00", end="14:00"),))  # type: ignore[arg-type]
    )
    assert berlin.next_begin_ns(ns("2026-09-20T12:00")) == ns("2026-09-21T04:00")


def test_working_time_of_a_week_is_40_hours(day: Shifts) -> None:
    assert day.working_s(ns("2026-09-21T00:00"), ns("2026-09-28T00:00")) == 40 * 3600
    assert day.working_s(ns("2026-09-21T10:00"), ns("2026-09-21T11:00")) == 3600


def test_a_calendar_without_shifts_is_said_to_be_one() -> None:
    empty = Shifts(ShiftCalendar(timezone="UTC", shifts=()))
    with pytest.raises(ValueError, match="no shift"):
        empty.next_begin_ns(0)

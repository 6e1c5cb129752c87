"""When the line is manned, by the calendar of the line model."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from line.model_rows import ShiftCalendar

NS = 1_000_000_000
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class Shifts:
    """Answers when somebody is there."""

    def __init__(self, calendar: ShiftCalendar) -> None:
        self._calendar = calendar
        self._latest: tuple[int, int] = (0, 0)
        """The shift that was asked for last: nearly always the answer to the next question too."""

    def interval_at(self, at_ns: int) -> tuple[int, int] | None:
        """Begin and end of the shift that a time lies in; None when nobody is there."""
        if self._latest[0] <= at_ns < self._latest[1]:
            return self._latest
        day = datetime.fromtimestamp(at_ns / 1e9, UTC).date()
        for offset in (-1, 0, 1):
            for begin, end in _of_day(self._calendar, day + timedelta(days=offset)):
                if begin <= at_ns < end:
                    self._latest = (begin, end)
                    return begin, end
        return None

    def next_begin_ns(self, at_ns: int) -> int:
        """When the next shift begins, after `at_ns`."""
        day = datetime.fromtimestamp(at_ns / 1e9, UTC).date()
        for offset in range(-1, 15):
            for begin, _ in _of_day(self._calendar, day + timedelta(days=offset)):
                if begin > at_ns:
                    return begin
        raise ValueError("the shift calendar names no shift within two weeks")

    def latest_opening_ns(self, now_ns: int, *, after_s: float = 7200.0) -> int:
        """Two hours (`after_s`) into the latest shift that had gone on for so long by `now_ns`."""
        day = datetime.fromtimestamp(now_ns / 1e9, UTC).date()
        for offset in range(15):
            for begin, end in reversed(_of_day(self._calendar, day - timedelta(days=offset))):
                opening = begin + int(after_s * NS)
                if opening < end and opening <= now_ns:
                    return opening
        raise ValueError("the shift calendar names no shift of sufficient length within two weeks")

    def working_s(self, from_ns: int, to_ns: int) -> float:
        """Manned seconds between two times."""
        return sum((min(end, to_ns) - begin) / NS for begin, end in self.between(from_ns, to_ns))

    def between(self, from_ns: int, to_ns: int) -> list[tuple[int, int]]:
        """Shifts, or what of them is behind `from_ns`, that begin before a time."""
        found = []
        current = self.interval_at(from_ns)
        if current is not None:
            found.append((from_ns, current[1]))
        begin = self.next_begin_ns(from_ns)
        while begin < to_ns:
            interval = self.interval_at(begin)
            if interval is not None:
                found.append(interval)
            begin = self.next_begin_ns(begin)
        return found


@lru_cache(maxsize=4096)
def _of_day(calendar: ShiftCalendar, day: date) -> tuple[tuple[int, int], ...]:
    """Shifts that begin on a day, as nanoseconds."""
    zone = ZoneInfo(calendar.timezone)
    found = []
    for shift in calendar.shifts:
        if _DAYS[day.weekday()] in shift.days:
            begin = datetime.combine(day, datetime.strptime(shift.start, "%H:%M").time(), zone)  # noqa: DTZ007 (time of day)
            end = datetime.combine(day, datetime.strptime(shift.end, "%H:%M").time(), zone)  # noqa: DTZ007 (time of day)
            if end <= begin:
                end += timedelta(days=1)
            found.append((int(begin.timestamp()) * NS, int(end.timestamp()) * NS))
    return tuple(sorted(found))

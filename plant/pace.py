"""The simulated clock: wall time in, plant time out, at a speed that may change at any moment.

Outside the shifts of the line's calendar nobody works and nothing is rendered, so the clock runs at full speed there
unless told otherwise: nights pass fast. A wall step that took too long is not made good afterwards; the plant then runs
slower than it should, and `actual_speed` says so.
"""

from __future__ import annotations

from collections import deque

from plant.shifts import Shifts

SLOWEST, FASTEST = 0.1, 600.0
"""Plant seconds per wall second."""
LONGEST_STEP_S = 0.5
"""Wall time that one step may stand for; what goes beyond is lost to the plant."""
_WINDOW_S = 5.0


class Pace:
    """The clock of one plant.

    Args:
        shifts: when the line is manned.
        now_ns: plant time to begin with.
        speed: plant seconds per wall second.
        nights_pass_fast: run at `FASTEST` outside the shifts.
    """

    def __init__(self, shifts: Shifts, now_ns: int, *, speed: float, nights_pass_fast: bool = True) -> None:
        self._shifts = shifts
        self._now_ns = now_ns
        self._speed = _within(speed)
        self._nights_pass_fast = nights_pass_fast
        self._manned, self._until_ns = self._look()
        self._wall_s: float | None = None
        self._past: deque[tuple[float, int]] = deque()
        self.lost_s = 0.0
        """Wall time that the plant did not make use of, since the start."""

    @property
    def now_ns(self) -> int:
        """Plant time."""
        return self._now_ns

    @property
    def manned(self) -> bool:
        """Whether a shift works."""
        return self._manned

    @property
    def wanted_speed(self) -> float:
        """What was asked for."""
        return self._speed

    @property
    def speed(self) -> float:
        """What applies now: what was asked for, or full speed outside the shifts."""
        return FASTEST if self._nights_pass_fast and not self._manned else self._speed

    @property
    def actual_speed(self) -> float:
        """What was reached over the last seconds; `speed` before anything could be measured."""
        if len(self._past) < 2 or self._past[-1][0] <= self._past[0][0]:
            return self.speed
        return (self._past[-1][1] - self._past[0][1]) / 1e9 / (self._past[-1][0] - self._past[0][0])

    def set_speed(self, speed: float) -> None:
        """Run at another speed from now on.

        Raises:
            ValueError: outside `SLOWEST` to `FASTEST`.
        """
        self._speed = _within(speed)
        self._past.clear()

    def step(self, wall_s: float) -> int:
        """Plant time at a moment of the wall's monotonic clock [s]; to be called a few times a second.

        A step never passes the end of a shift or of a night: the next one goes on with the other speed.
        """
        if self._wall_s is not None:
            elapsed_s = max(0.0, wall_s - self._wall_s)
            self.lost_s += max(0.0, elapsed_s - LONGEST_STEP_S)
            step_ns = round(min(elapsed_s, LONGEST_STEP_S) * self.speed * 1e9)
            self._now_ns = min(self._now_ns + step_ns, self._until_ns)
        self._wall_s = wall_s
        if self._now_ns >= self._until_ns:
            self._manned, self._until_ns = self._look()
            self._past.clear()
        self._past.append((wall_s, self._now_ns))
        while self._past[0][0] < wall_s - _WINDOW_S:
            self._past.popleft()
        return self._now_ns

    def _look(self) -> tuple[bool, int]:
        """Whether a shift works now, and until when that stays so."""
        interval = self._shifts.interval_at(self._now_ns)
        return (True, interval[1]) if interval else (False, self._shifts.next_begin_ns(self._now_ns))


def _within(speed: float) -> float:
    if not SLOWEST <= speed <= FASTEST:
        raise ValueError(f"speed {speed:g} is outside {SLOWEST:g} to {FASTEST:g} plant seconds per wall second")
    return float(speed)

"""Clocks. Wall time stamps what a service does; plant time comes with the events and is never read from here."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time; tests bring their own."""

    def now_ns(self) -> int:
        """UTC nanoseconds since 1970."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back, for durations and watchdogs."""
        ...


class WallClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        return time.monotonic()

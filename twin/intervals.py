"""Sets of int64 intervals that merge as they grow: what was inspected of a roll, what was cut of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class IntervalSet:
    """A union of half-open intervals, the same in whatever order and however often they are added.

    Adding at the upper end, which is how a camera works, takes constant time; elsewhere a binary search.
    """

    __slots__ = ("ends", "starts")

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        for start, end in intervals:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Include `[start, end)`; an empty one changes nothing."""
        if end <= start:
            return
        starts, ends = self.starts, self.ends
        if not ends or start > ends[-1]:
            starts.append(start)
            ends.append(end)
            return
        if start >= starts[-1]:
            ends[-1] = max(ends[-1], end)
            return
        first = bisect_left(ends, start)
        last = bisect_right(starts, end)
        if first < last:
            start = min(start, starts[first])
            end = max(end, ends[last - 1])
        starts[first:last] = [start]
        ends[first:last] = [end]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.starts, self.ends, strict=True)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def total(self) -> int:
        """Length of all intervals together."""
        return sum(self.ends) - sum(self.starts)

    def within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts that lie between two places, in order."""
        for index in range(bisect_right(self.ends, start), len(self.starts)):
            if self.starts[index] >= end:
                return
            yield max(start, self.starts[index]), min(end, self.ends[index])

    def covered(self, start: int, end: int) -> int:
        """How much of `[start, end)` belongs to the set."""
        return sum(high - low for low, high in self.within(start, end))

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of `[start, end)` that do not belong to the set, in order."""
        found = []
        at = start
        for low, high in self.within(start, end):
            if low > at:
                found.append((at, low))
            at = high
        if at < end:
            found.append((at, end))
        return found

"""Which tags are due: each by its own sampling in plant time, but no more writes a second than a PLC would make.

At high speed all fast tags are thinned to one common interval of wall time, the shortest that keeps the sum of all
writes within the budget; a slow tag that keeps within it anyway is written as often as it is sampled.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

WRITES_PER_S = 300.0
"""Tag writes per wall second in total."""
_ONCE_PER_PART_MS = 1000
"""How often a tag is looked at that is measured once per part; it is written when it has changed."""


class TagSchedule:
    """Says which tags to write.

    Args:
        sampling_ms: by tag, in plant time; 0 is once per part.
        writes_per_s: budget.
    """

    def __init__(self, sampling_ms: Mapping[str, int], *, writes_per_s: float = WRITES_PER_S) -> None:
        self._sampling_s = {name: (ms or _ONCE_PER_PART_MS) / 1e3 for name, ms in sampling_ms.items()}
        self._once_per_part = frozenset(name for name, ms in sampling_ms.items() if not ms)
        self._writes_per_s = writes_per_s
        # Spread over the first interval, so that equal tags do not all come in one tick.
        count = len(self._sampling_s)
        self._due_s = {name: index / max(count, 1) * 0.5 for index, name in enumerate(self._sampling_s)}
        self._written: dict[str, float] = {}
        self._first = True

    def interval_s(self, speed: float) -> float:
        """The shortest wall interval between writes of a tag at a speed; 0 when all fit as they are sampled."""
        natural = sorted(sampling / speed for sampling in self._sampling_s.values())
        total = sum(1 / interval for interval in natural)
        if total <= self._writes_per_s:
            return 0.0
        # The k fastest share what the others leave; the first k whose share is not faster than their own sampling.
        for k, taken in enumerate(accumulate((1 / interval for interval in natural), initial=0.0)):
            room = self._writes_per_s - (total - taken)
            if k and room > 0 and k / room >= natural[k - 1] and (k == len(natural) or k / room <= natural[k]):
                return k / room
        return len(natural) / self._writes_per_s

    def due(self, values: Mapping[str, float], wall_s: float, speed: float) -> dict[str, float]:
        """What to write now of all values; the first time everything.

        Args:
            values: all tags as they are now.
            wall_s: the wall's monotonic clock.
            speed: plant seconds per wall second.
        """
        if self._first:
            self._first = False
            self._due_s = {name: wall_s + share for name, share in self._due_s.items()}
            self._written = dict(values)
            return dict(values)
        least_s = self.interval_s(speed)
        found = {}
        for name, value in values.items():
            if wall_s < self._due_s[name]:
                continue
            self._due_s[name] = max(self._due_s[name] + max(self._sampling_s[name] / speed, least_s), wall_s)
            if name in self._once_per_part and self._written.get(name) == value:
                continue
            found[name] = self._written[name] = value
        return found

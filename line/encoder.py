"""When which metre passed: the encoder joins plant time and web position.

A reading is a time and a count; between readings the web runs at constant speed. MD counts from the roll's start, that
is from the place that lay under the die lip when the counter stood at `zero_count`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from line.errors import WebMapError
from line.web_lookup import Positions, whole_numbers


class Encoder:
    """The log of an encoder.

    Args:
        times_ns: shape (n,), n >= 2, plant time of each reading, rising.
        counts: shape (n,), counter at each reading; it may stand still or run back.
        um_per_count: web length per count.
        zero_count: counter at the roll's start.

    Raises:
        WebMapError: fewer than two readings, lengths that differ, or times that do not rise.
    """

    def __init__(self, times_ns: ArrayLike, counts: ArrayLike, *, um_per_count: float, zero_count: int = 0) -> None:
        self._times_ns = whole_numbers(times_ns, "time in ns").copy()
        count = whole_numbers(counts, "count")
        if self._times_ns.ndim != 1 or self._times_ns.shape != count.shape or len(count) < 2:
            raise WebMapError(f"{self._times_ns.shape} times and {count.shape} counts: expected as many, 2 or more")
        if um_per_count <= 0:
            raise WebMapError(f"um_per_count {um_per_count}: expected above 0")
        if not (np.diff(self._times_ns) > 0).all():
            i = int(np.argmin(np.diff(self._times_ns) > 0))
            raise WebMapError(f"encoder reading {i + 1} at {self._times_ns[i + 1]} ns is not after the one before it")
        self._um = np.rint((count - zero_count) * um_per_count).astype(np.int64)
        self._reached_um = np.maximum.accumulate(self._um)

    @property
    def first_ns(self) -> int:
        """Time of the first reading."""
        return int(self._times_ns[0])

    @property
    def last_ns(self) -> int:
        """Time of the last reading."""
        return int(self._times_ns[-1])

    def covers(self, at_ns: ArrayLike) -> NDArray[np.bool_]:
        """Which times lie within the log."""
        at = whole_numbers(at_ns, "time in ns")
        return np.asarray((at >= self.first_ns) & (at <= self.last_ns))

    def mds_um(self, at_ns: ArrayLike) -> Positions:
        """MD under the die lip at each time, to 1 µm.

        Raises:
            WebMapError: a time is outside the log; the web may have stopped there or not.
        """
        at = whole_numbers(at_ns, "time in ns")
        outside = ~self.covers(at)
        if outside.any():
            raise WebMapError(
                f"time {at[outside].flat[0]} ns is outside the encoder log {self.first_ns} to {self.last_ns} ns"
            )
        i = np.clip(np.searchsorted(self._times_ns, at, side="right") - 1, 0, len(self._um) - 2)
        share = (at - self._times_ns[i]) / (self._times_ns[i + 1] - self._times_ns[i])
        md: Positions = self._um[i] + np.rint(share * (self._um[i + 1] - self._um[i])).astype(np.int64)
        return md

    def md_um(self, at_ns: int) -> int:
        """`mds_um` of one time."""
        return int(self.mds_um(at_ns))

    def times_ns(self, md_um: ArrayLike) -> Positions:
        """When each MD was first under the die lip.

        Raises:
            WebMapError: an MD was not reached within the log.
        """
        md = whole_numbers(md_um)
        low_um, high_um = int(self._um[0]), int(self._reached_um[-1])
        outside = (md < low_um) | (md > high_um)
        if outside.any():
            raise WebMapError(f"MD {md[outside].flat[0]} µm is outside the encoder log {low_um} to {high_um} µm")
        after = np.clip(np.searchsorted(self._reached_um, md, side="left"), 1, None)
        run_um = self._um[after] - self._um[after - 1]
        # Where the first reading itself is meant nothing may have run yet.
        share = np.divide(md - self._um[after - 1], run_um, out=np.zeros(md.shape), where=run_um > 0)
        step_ns = self._times_ns[after] - self._times_ns[after - 1]
        at: Positions = self._times_ns[after - 1] + np.rint(share * step_ns).astype(np.int64)
        return at

    def at_ns(self, md_um: int) -> int:
        """`times_ns` of one MD."""
        return int(self.times_ns(md_um))


def placed_on_web(tag_ns: ArrayLike, position_um: ArrayLike, encoder: Encoder) -> Positions:
    """MD that lay at a point of the machine at a time: what a tag that acts there did it to.

    Args:
        tag_ns: plant time of each reading.
        position_um: the point, in web length downstream of the die lip.
        encoder: of the web that runs there.

    Returns:
        MD from the roll's start; below 0 on the roll before.

    Raises:
        WebMapError: a time is outside the encoder's log.
    """
    return encoder.mds_um(tag_ns) - whole_numbers(position_um)


def seen_at_ns(md_um: ArrayLike, position_um: ArrayLike, encoder: Encoder) -> Positions:
    """When each MD first passed a point of the machine; the inverse of `placed_on_web`.

    Raises:
        WebMapError: it had not passed there when the encoder's log ended.
    """
    return encoder.times_ns(whole_numbers(md_um) + whole_numbers(position_um))

"""The areal-mass gauge beside the camera's own profiles: what it read on the same film.

The gauge stands some way upstream of the camera, so the film of a profile passed it earlier. When is known from the
strips: each says at what plant time the web had travelled how far since the roll's start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from line.encoder import Encoder, seen_at_ns
from line.errors import WebMapError
from line.events import FilmProfile
from line.model import LineModel
from twin.rolls import RollMap

GAUGE = "ArealMass"
"""Name of the gauge's tag, at the station of the camera."""
READINGS_MOST = 20_000
"""Readings that one answer asks the historian for: five hours of one a second. Beyond it gives extremes of bins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passings:
    """When the film of some profiles lay under the gauge."""

    tag: str
    spans_ns: tuple[tuple[int, int] | None, ...]
    """By profile: from its first to its last line; None where nobody can say."""

    @property
    def from_ns(self) -> int:
        """When the first of them came."""
        return min((span[0] for span in self.spans_ns if span), default=0)

    @property
    def to_ns(self) -> int:
        """When the last of them had gone."""
        return max((span[1] for span in self.spans_ns if span), default=0)

    def means(
        self, times_ns: Sequence[int], values: Sequence[float | None], nominal: float
    ) -> tuple[float | None, ...]:
        """By profile: the mean of what was read on its film, over nominal; None where nothing was read.

        Args:
            times_ns: of the gauge's readings, rising.
            values: in the gauge's unit; None where it gave none.
            nominal: what it reads on good film.
        """
        read = [(at, value) for at, value in zip(times_ns, values, strict=True) if value is not None]
        times = np.array([at for at, _ in read], np.int64)
        sums = np.concatenate([[0.0], np.cumsum([value for _, value in read])])
        found: list[float | None] = []
        for span in self.spans_ns:
            first, last = np.searchsorted(times, span) if span else (0, 0)
            found.append(float(sums[last] - sums[first]) / int(last - first) / nominal if last > first else None)
        return tuple(found)


def passings_of(line: LineModel, roll: RollMap, started_ns: int, profiles: Sequence[FilmProfile]) -> Passings | None:
    """When the film of profiles of one roll lay under the gauge; None on a line or a web without one.

    Before the first strip the web is taken to have run at one speed since the roll's start.

    Args:
        started_ns: plant time at which the roll's zero was under the die lip; 0 when nobody said.
    """
    tag = next((f"{row.station}.{GAUGE}" for row in profiles), "")
    position_um = line.web_position_um(tag) if tag in line.all_tags() else None
    if position_um is None:
        return None
    log = _log(roll, started_ns)
    return Passings(tag=tag, spans_ns=tuple(_span_ns(row, position_um, log) for row in profiles))


def _log(roll: RollMap, started_ns: int) -> Encoder | None:
    points = sorted((at_ns, travel_um) for travel_um, at_ns in roll.passages.values())
    if started_ns:
        points = [(started_ns, 0), *(point for point in points if point[0] > started_ns)]
    by_time = dict(points)
    if len(by_time) < 2:
        return None
    return Encoder(list(by_time), list(by_time.values()), um_per_count=1.0)


def _span_ns(profile: FilmProfile, position_um: int, log: Encoder | None) -> tuple[int, int] | None:
    if log is None:
        return None
    try:
        first, last = seen_at_ns([profile.md_start_um, profile.md_end_um], position_um, log)
    except WebMapError:
        return None
    return int(first), int(last)

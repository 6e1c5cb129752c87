"""Every pixel of a strip against what good film looks like: where a closer look is due.

Three kinds of test. The gate compares each pixel with limits of its column, which finds what is small and strong. Maps
of averages over 4 to 32 pixels find what is large and faint. Column means, over one strip and over the last few, find
lines along the web fainter than either. One pass over the full resolution (`vision/pixels.py`) serves them all; the
rest runs on a sixteenth of it, in pieces that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.gates import Gates
from vision.parallel import ALONE, Crew
from vision.parts import Parts, parts_of
from vision.pixels import Scan, cells_outside, scans
from vision.pyramid import (
    QUARTER,
    Floats,
    block_means,
    coarse_step,
    column_profile,
    places,
    relative_change,
)
from vision.streaks import Line, StreakMemory, lines_along
from vision.strengths import BESIDE_STREAK, map_strengths

__all__ = ["CROWDED_FRACTION", "Screened", "Spot", "StreakMemory", "Surveyed", "Test", "screened", "surveyed"]

Test = Literal["pixel", "map", "streak", "net"]

CROWDED_FRACTION = 0.25
"""Of a strip's area; more than this standing out is no set of defects any more."""

_JUST_OUTSIDE = np.float32(1.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Part of a strip that differs from good film, in full-resolution pixels; ends are exclusive."""

    row_start: int
    row_end: int
    column_start: int
    column_end: int
    strength: float
    """Largest deviation over its limit, 1 being just outside."""
    test: Test
    strips_count: int = 1
    """Strips that a streak was averaged over, this one the last."""

    @property
    def height(self) -> int:
        return self.row_end - self.row_start

    @property
    def width(self) -> int:
        return self.column_end - self.column_start


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """A strip after screening."""

    spots: tuple[Spot, ...]
    """Strongest first; at most as many as were allowed."""
    found_count: int
    """Before the cap."""
    crowded: bool
    """So much stands out that single spots mean nothing."""
    gain: Floats
    """Light of each channel against that when the film was learnt."""
    mean_grey: tuple[float, ...]
    quarters: tuple[NDArray[np.uint8], ...]
    changes: tuple[Floats, ...]
    """Relative change of each channel at a quarter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """A strip against good film under the present light, with the lines along it, before anything else is judged."""

    scanned: tuple[Scan, ...]
    gain: Floats
    changes: tuple[Floats, ...]
    streaks: tuple[Spot, ...]

    def screened(self, parts: Parts | None, test: Test | None, most_spots: int) -> Screened:
        """The strip with what was found on it.

        Args:
            parts: in cells of the quarter image; None where so much stands out that there are no parts to speak of.
            test: that found them; None: that of the pixels or that of the maps, by their strength.
            most_spots: cap on the spots.
        """
        found_count = len(self.streaks) + (len(parts) if parts else 0)
        spots = sorted([*self.streaks, *_spots(parts, test, most_spots)], key=lambda spot: -spot.strength)
        if found_count > most_spots:
            # Streaks first: a line that is lost for one strip would be reported as two.
            spots.sort(key=lambda spot: spot.test != "streak")
        quarters = tuple(scan.quarter for scan in self.scanned)
        return Screened(
            spots=tuple(spots[:most_spots]),
            found_count=found_count,
            crowded=parts is None,
            gain=self.gain,
            mean_grey=tuple(float(cv2.mean(plane)[0]) for plane in quarters),
            quarters=quarters,
            changes=self.changes,
        )


def surveyed(planes: NDArray[np.uint8], gates: Gates, memory: StreakMemory, crew: Crew = ALONE) -> Surveyed:
    """Bring a strip to a quarter, follow the light, and look for lines along the web; parameters as of `screened`."""
    scanned = scans(planes, crew)
    quarters = tuple(scan.quarter for scan in scanned)
    gain = gates.light(quarters)

    def looked_at(channel: int) -> _View:
        return _view(quarters[channel], gates.quarter_level[channel], float(gain[channel]), gates.margin)

    views = crew.each(looked_at, range(len(planes)))
    memory.add(np.stack([view.profile for view in views]), np.stack([view.blocks for view in views]))
    lines = lines_along(memory, gates, planes.shape[1])
    memory.held = [(line.start, line.end) for line in lines]
    return Surveyed(
        scanned=scanned,
        gain=gain,
        changes=tuple(view.change for view in views),
        streaks=tuple(_streak_spot(line, planes.shape[1] // QUARTER * QUARTER) for line in lines),
    )


def screened(
    planes: NDArray[np.uint8], gates: Gates, memory: StreakMemory, *, most_spots: int, crew: Crew = ALONE
) -> Screened:
    """Screen every pixel of a strip.

    Args:
        planes: shape (channels, lines, width); width as learnt, at least 32 lines.
        gates: of this camera; its followed light is updated.
        memory: of this roll; takes in this strip.
        most_spots: cap on the spots returned.
        crew: shares the work; the result is the same without.
    """
    strip = surveyed(planes, gates, memory, crew)
    fine, coarse = map_strengths(strip.changes, gates, memory.held, crew)

    def cells(channel: int) -> NDArray[np.bool_]:
        columns = gates.columns(channel, float(strip.gain[channel]))
        return cells_outside(planes[channel], strip.scanned[channel], *columns)

    # A pixel outside its gate counts as just outside, whatever its surroundings average to.
    rows, columns = _off_streaks(crew.each(cells, range(len(planes))), memory.held)
    fine[rows, columns] = np.maximum(fine[rows, columns], _JUST_OUTSIDE)
    step = coarse_step(len(fine))
    for strength, margin in ((fine, gates.margin), (coarse, -(-gates.margin // step))):
        strength[:, :margin] = strength[:, strength.shape[1] - margin :] = 0
    return strip.screened(parts_of(fine, coarse, CROWDED_FRACTION), None, most_spots)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One channel of a strip against good film."""

    change: Floats
    blocks: Floats
    profile: Floats


def _view(quartered: NDArray[np.uint8], level: Floats, gain: float, margin: int) -> _View:
    change = relative_change(quartered, level, gain)
    # Where the web wanders there may be bare liner: it must not be what the film beside it is compared with.
    change[:, :margin] = change[:, change.shape[1] - margin :] = 0
    blocks = block_means(change)
    return _View(change=change, blocks=blocks, profile=column_profile(blocks, margin))


def _streak_spot(line: Line, height: int) -> Spot:
    return Spot(
        row_start=0,
        row_end=height,
        column_start=QUARTER * line.start,
        column_end=QUARTER * line.end,
        strength=line.strength,
        test="streak",
        strips_count=line.strips_count,
    )


def _off_streaks(
    cells: Sequence[NDArray[np.bool_]], streaks: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of cells that are set in any channel and lie on no streak."""
    found = cells[0]
    for other in cells[1:]:
        found |= other
    for start, end in streaks:
        found[:, max(0, start - BESIDE_STREAK) : end + BESIDE_STREAK] = False
    return places(found)


def _spots(parts: Parts | None, test: Test | None, most: int) -> list[Spot]:
    """The strongest parts."""
    return (
        []
        if parts is None
        else [
            Spot(
                row_start=QUARTER * int(parts.row_start[number]),
                row_end=QUARTER * int(parts.row_end[number]),
                column_start=QUARTER * int(parts.column_start[number]),
                column_end=QUARTER * int(parts.column_end[number]),
                strength=float(parts.strength[number]),
                test=test or ("pixel" if parts.strength[number] <= _JUST_OUTSIDE else "map"),
            )
            for number in np.argsort(-parts.strength, kind="stable")[:most]
        ]
    )

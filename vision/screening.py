"""Every pixel of a strip against what good film looks like: where a closer look is due.

Three kinds of test. The gate compares each pixel with limits of its column, which finds what is small and strong. Maps
of averages over 4 to 32 pixels find what is large and faint. Column means, over one strip and over the last few, find
lines along the web fainter than either. Only the gate touches the full resolution, as uint8 and in bands that stay in
the cache; all else runs on a sixteenth of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.gates import BAND_LINES, Gates
from vision.pyramid import QUARTER, Floats, block_means, column_profile, quarter, relative_change, scale_maps
from vision.streaks import Line, StreakMemory, lines_along

__all__ = ["CROWDED_FRACTION", "Screened", "Spot", "StreakMemory", "Test", "screened"]

Test = Literal["pixel", "map", "streak"]

CROWDED_FRACTION = 0.25
"""Of a strip's area; more than this standing out is no set of defects any more."""

_JUST_OUTSIDE = np.float32(1.01)
_BESIDE_STREAK = 3
_OWN_CHANGE = 1.5
_CLOUD_CELLS = 9
"""Parts of a cloud this near to each other, 0.6 mm at 20 µm/px, are one."""


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


def screened(planes: NDArray[np.uint8], gates: Gates, memory: StreakMemory, *, most_spots: int) -> Screened:
    """Screen every pixel of a strip.

    Args:
        planes: shape (channels, lines, width); width as learnt, at least 32 lines.
        gates: of this camera; its followed light is updated.
        memory: of this roll; takes in this strip.
        most_spots: cap on the spots returned.
    """
    quarters = tuple(quarter(plane) for plane in planes)
    gain = gates.light(quarters)
    changes = tuple(
        relative_change(plane, level, float(factor))
        for plane, level, factor in zip(quarters, gates.look.quarter_level, gain, strict=True)
    )
    blocks = [block_means(change) for change in changes]
    memory.add(np.stack([column_profile(means) for means in blocks]), np.stack(blocks))
    lines = lines_along(memory, gates, planes.shape[1])
    memory.held = [(line.start, line.end) for line in lines]
    streaks = [_streak_spot(line, planes.shape[1] // QUARTER * QUARTER) for line in lines]
    fine, coarse = _map_strengths(changes, gates, memory.held)
    pixels = _pixel_mask(planes, gates, gain, (fine.shape[0], fine.shape[1]))
    for start, end in memory.held:
        pixels[:, max(0, start - _BESIDE_STREAK) : end + _BESIDE_STREAK] = 0
    # A pixel outside its gate counts as just outside, whatever its surroundings average to.
    np.maximum(fine, _JUST_OUTSIDE * pixels, out=fine)
    for strength in (fine, coarse):
        strength[:, : gates.margin] = strength[:, strength.shape[1] - gates.margin :] = 0
    crowded = bool(np.count_nonzero((fine > 1) | (coarse > 1)) > CROWDED_FRACTION * fine.size)
    spots = streaks if crowded else sorted([*streaks, *_spots(fine, coarse)], key=lambda spot: -spot.strength)
    if len(spots) > most_spots:
        # Streaks first: a line that is lost for one strip would be reported as two.
        spots = sorted(spots, key=lambda spot: (spot.test != "streak", -spot.strength))
    return Screened(
        spots=tuple(spots[:most_spots]),
        found_count=len(spots),
        crowded=crowded,
        gain=gain,
        mean_grey=tuple(float(plane.mean()) for plane in quarters),
        quarters=quarters,
        changes=changes,
    )


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


def _map_strengths(
    changes: Sequence[Floats], gates: Gates, streaks: Sequence[tuple[int, int]]
) -> tuple[Floats, Floats]:
    """Largest deviation over its limit of all channels, at a quarter: of the two fine maps, of the two coarse ones."""
    rows, columns = changes[0].shape[0], changes[0].shape[1]
    fine, coarse = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    for change, sigmas, limits in zip(changes, gates.look.scale_sigma, gates.limits.scale, strict=True):
        flat, own = _without_lines(change, streaks)
        for number, (image, sigma, limit) in enumerate(zip(scale_maps(flat), sigmas, limits, strict=True)):
            ratio = np.abs(image)
            ratio *= np.float32(1 / (sigma * limit))
            if streaks:
                # A line that comes and goes is still that line: what differs by more than it does is another thing.
                ratio /= 1 + _shrunk_columns(own, image.shape[1]) * np.float32(_OWN_CHANGE / (sigma * limit))
            if number < 2:
                np.maximum(fine, ratio, out=fine)
            elif ratio.max() > 1:
                large = cv2.resize(ratio, (columns, rows), interpolation=cv2.INTER_NEAREST)
                np.maximum(coarse, np.asarray(large, np.float32), out=coarse)
    return fine, coarse


def _without_lines(change: Floats, streaks: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
    """The change with its lines taken off, and by columns how high they were, shape (columns,)."""
    lost = np.zeros(change.shape[1], np.float32)
    if not streaks:
        return change, lost
    flat = change.copy()
    for start, end in streaks:
        beside = slice(max(0, start - _BESIDE_STREAK), end + _BESIDE_STREAK)
        line = np.median(flat[:, beside], axis=0)
        flat[:, beside] -= line
        # A line that wanders by a cell changes its neighbours by as much as it is high.
        lost[beside] = np.maximum(lost[beside], np.abs(line).max())
    return flat, lost


def _shrunk_columns(values: Floats, columns: int) -> Floats:
    """The largest of neighbouring values for each column of a smaller map."""
    factor = values.size // columns
    if factor < 2:
        return values
    widest = cv2.dilate(values[None], np.ones((1, 2 * factor + 1), np.uint8))[0]
    return np.asarray(widest[np.arange(columns) * factor + factor // 2], np.float32)


def _pixel_mask(planes: NDArray[np.uint8], gates: Gates, gain: Floats, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Cells of the quarter image that hold a pixel outside the gate of its column."""
    mask = np.zeros(shape, np.uint8)
    rows, columns = shape
    inside = np.empty((BAND_LINES, planes.shape[2]), np.uint8)
    for channel, plane in enumerate(planes):
        low, high = gates.band(channel, float(gain[channel]))
        for top in range(0, len(plane), BAND_LINES):
            band = plane[top : top + BAND_LINES]
            count = len(band)
            within = cv2.inRange(band, low[:count], high[:count], dst=inside[:count])
            if cv2.countNonZero(within) < band.size:
                outside = cv2.findNonZero(cv2.bitwise_not(within)).reshape(-1, 2)
                mask[
                    np.minimum((outside[:, 1] + top) // QUARTER, rows - 1),
                    np.minimum(outside[:, 0] // QUARTER, columns - 1),
                ] = 1
    return mask


def _spots(fine: Floats, coarse: Floats) -> list[Spot]:
    """Connected parts of what is outside, parts nearer than two cells taken as one.

    A part is as large as the scale says at which it stands out most: a hole is strongest in the fine maps, although
    the coarse ones notice it in all of their large cells; a cloud the other way round.
    """
    clouds = cv2.morphologyEx(
        (coarse > 1).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((_CLOUD_CELLS, _CLOUD_CELLS), np.uint8)
    )
    mask = np.asarray((fine > 1) | (clouds > 0), np.uint8)
    spots = []
    for part, inside in _parts(mask):
        strongest_fine, strongest_coarse = float(fine[part][inside].max()), float(coarse[part][inside].max())
        if strongest_coarse > strongest_fine or strongest_coarse <= 1:
            spots.append(_spot(part, mask.shape, max(strongest_fine, strongest_coarse)))
            continue
        within = np.zeros_like(mask)
        within[part] = (fine[part] > 1) & inside
        spots += [_spot(small, mask.shape, float(fine[small][cells].max())) for small, cells in _parts(within)]
    return spots


def _parts(mask: NDArray[np.uint8]) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """Boxes of the connected parts of a mask dilated by a cell, and which cells of the box belong to the part."""
    if not cv2.countNonZero(mask):
        return
    joined = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8, ltype=cv2.CV_32S)
    for label in range(1, count):
        left, top, width, height = (int(value) for value in stats[label, :4])
        box = slice(top, top + height), slice(left, left + width)
        yield box, labels[box] == label


def _spot(box: tuple[slice, slice], shape: tuple[int, ...], strength: float) -> Spot:
    """A spot from a dilated box: what the dilation added is taken off, except where the strip's border cut it off."""
    rows, columns = box
    return Spot(
        row_start=QUARTER * (rows.start + int(rows.start > 0)),
        row_end=QUARTER * (rows.stop - int(rows.stop < shape[0])),
        column_start=QUARTER * (columns.start + int(columns.start > 0)),
        column_end=QUARTER * (columns.stop - int(columns.stop < shape[1])),
        strength=strength,
        test="pixel" if strength <= _JUST_OUTSIDE else "map",
    )

"""Every pixel of a strip against what good film looks like: where a closer look is due.

Three kinds of test. The gate compares each pixel with limits of its column, which finds what is small and strong. Maps
of averages over 4 to 32 pixels find what is large and faint. Column means, over one strip and over the last few, find
lines along the web fainter than either. Only the gate touches the full resolution, as uint8 and in bands that stay in
the cache; all else runs on a sixteenth of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.gates import BAND_LINES, Gates
from vision.pyramid import (
    QUARTER,
    STREAK_STRIPS,
    STREAK_WIDTHS,
    Floats,
    column_profile,
    quarter,
    relative_change,
    scale_maps,
    widened,
)

Test = Literal["pixel", "map", "streak"]

CROWDED_FRACTION = 0.25
"""Of a strip's area; more than this standing out is no set of defects any more."""

FAINTEST_STREAK = 0.035
"""Relative change below which a line along the web is structure of sound film. A streak at its accept limit changes
transmission by seven times as much (table 2.2)."""

_STREAKS_COUNT = 24
_HELD_FRACTION = 0.5
"""Of the limit; a streak that is known goes on until it falls below this."""


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


class StreakMemory:
    """Column profiles of the latest strips of one roll, for lines too faint for one strip."""

    def __init__(self) -> None:
        self._profiles: deque[Floats] = deque(maxlen=max(STREAK_STRIPS))
        self.held: list[tuple[int, int]] = []
        """Quarter columns of streaks found in the strip before."""

    def add(self, profiles: Floats) -> None:
        """Take in the profiles of a strip, shape (channels, quarter columns)."""
        self._profiles.append(profiles)

    def mean(self, count: int) -> Floats | None:
        """Over the latest `count` strips; None while there are fewer."""
        if len(self._profiles) < count:
            return None
        latest = list(self._profiles)[-count:]
        return np.asarray(np.mean(latest, axis=0), np.float32) if count > 1 else latest[0]

    def began(self, channel: int, start: int, end: int) -> int:
        """Strips since a line in these quarter columns set in, this one counted: the likeliest step in its contrast."""
        seen = np.array([float(profile[channel, start:end].mean()) for profile in self._profiles])[::-1]
        contrast = float(np.mean(seen[: max(1, min(4, seen.size))]))
        gain = np.cumsum((seen - contrast / 2) * np.sign(contrast))
        return int(np.argmax(gain)) + 1


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
    memory.add(np.stack([column_profile(change) for change in changes]))
    streaks = _streaks(memory, gates, planes.shape[1] // QUARTER * QUARTER)
    memory.held = [(spot.column_start // QUARTER, -(-spot.column_end // QUARTER)) for spot in streaks]
    strength = _map_strength(changes, gates, memory.held)
    rows, columns = strength.shape[0], strength.shape[1]
    pixels = _pixel_mask(planes, gates, gain, (rows, columns))
    for start, end in memory.held:
        pixels[:, start:end] = 0
    mask = (strength > 1).astype(np.uint8) | pixels
    mask[:, : gates.margin] = mask[:, mask.shape[1] - gates.margin :] = 0
    crowded = cv2.countNonZero(mask) > CROWDED_FRACTION * mask.size
    spots = streaks if crowded else sorted([*streaks, *_spots(mask, strength)], key=lambda spot: -spot.strength)
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


def _map_strength(changes: Sequence[Floats], gates: Gates, streaks: Sequence[tuple[int, int]]) -> Floats:
    """Largest deviation over its limit of all maps and channels, at a quarter."""
    rows, columns = changes[0].shape[0], changes[0].shape[1]
    strongest = np.zeros((rows, columns), np.float32)
    for change, sigmas, limits in zip(changes, gates.look.scale_sigma, gates.limits.scale, strict=True):
        flat = change
        if streaks:
            flat = change.copy()
            for start, end in streaks:
                flat[:, start:end] -= np.median(flat[:, start:end], axis=0)
        for image, sigma, limit in zip(scale_maps(flat), sigmas, limits, strict=True):
            scale = float(1 / (sigma * limit))
            high = cv2.convertScaleAbs(image, alpha=100 * scale)
            if cv2.minMaxLoc(high)[1] <= 100 and image.shape != strongest.shape:
                continue
            ratio = np.abs(image) * np.float32(scale)
            if ratio.shape != strongest.shape:
                ratio = np.asarray(cv2.resize(ratio, (columns, rows), interpolation=cv2.INTER_NEAREST), np.float32)
            np.maximum(strongest, ratio, out=strongest)
    return strongest


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
                outside_rows, outside_columns = np.nonzero(within == 0)
                mask[
                    np.minimum((outside_rows + top) // QUARTER, rows - 1),
                    np.minimum(outside_columns // QUARTER, columns - 1),
                ] = 1
    return mask


def _spots(mask: NDArray[np.uint8], strength: Floats) -> list[Spot]:
    """Connected parts of the mask, parts nearer than two cells taken as one."""
    if not cv2.countNonZero(mask):
        return []
    joined = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8, ltype=cv2.CV_32S)
    rows, columns = mask.shape
    spots = []
    for label in range(1, count):
        left, top, width, height = (int(value) for value in stats[label, :4])
        part = np.s_[top : top + height, left : left + width]
        strongest = float(strength[part][labels[part] == label].max())
        # What the dilation added is taken off again, except where the strip cut it off.
        inset_left, inset_top = int(left > 0), int(top > 0)
        inset_right, inset_bottom = int(left + width < columns), int(top + height < rows)
        spots.append(
            Spot(
                row_start=QUARTER * (top + inset_top),
                row_end=QUARTER * (top + height - inset_bottom),
                column_start=QUARTER * (left + inset_left),
                column_end=QUARTER * (left + width - inset_right),
                strength=max(strongest, 1.0),
                test="map" if strongest > 1 else "pixel",
            )
        )
    return spots


def _streaks(memory: StreakMemory, gates: Gates, lines: int) -> list[Spot]:
    """Lines along the web, strongest first, none overlapping a stronger one."""
    # A median over n strips scatters by pi/2 more than their mean does.
    floor = np.sqrt(np.pi / 2 / gates.look.strips_count)
    shortness = max(1.0, gates.look.strip_lines / max(lines, 1))
    found: list[tuple[float, int, int, int]] = []
    for strips in STREAK_STRIPS:
        mean = memory.mean(strips)
        if mean is None:
            break
        for channel, profile in enumerate(mean):
            # Averaging over strips helps until only the scatter of what was learnt is left.
            spread = gates.look.streak_sigma[channel] * np.sqrt((shortness / strips + floor**2) / (1 + floor**2))
            for width, image, sigma, limit in zip(
                STREAK_WIDTHS, widened(profile), spread, gates.limits.streak, strict=True
            ):
                ratio: Floats = np.abs(image) * np.float32(1 / max(float(sigma * limit), FAINTEST_STREAK))
                if ratio.max() > _HELD_FRACTION:
                    found.extend(_lines(ratio, profile, width, strips, channel, memory, gates.margin))
    taken: list[tuple[float, int, int, int]] = []
    for strength, start, end, strips in sorted(found, reverse=True):
        near = [line for line in taken if start <= line[2] + _reach(line) and end >= line[1] - _reach(line)]
        if not near and len(taken) < _STREAKS_COUNT:
            taken.append((strength, start, end, strips))
        elif near and near[0][0] > 0 and strength > 1:
            # A groove and its banks are one line.
            line = near[0]
            taken[taken.index(line)] = (line[0], min(line[1], start), max(line[2], end), max(line[3], strips))
    return [
        Spot(
            row_start=0,
            row_end=lines,
            column_start=QUARTER * start,
            column_end=QUARTER * end,
            strength=strength,
            test="streak",
            strips_count=strips,
        )
        for strength, start, end, strips in taken
    ]


def _reach(line: tuple[float, int, int, int]) -> int:
    """How far beside a line its banks lie, in cells."""
    return max(1, (line[2] - line[1]) // 2)


def _lines(
    ratio: Floats, profile: Floats, width: int, strips: int, channel: int, memory: StreakMemory, margin: int
) -> list[tuple[float, int, int, int]]:
    """Peaks of one profile at one width: strength, first and end column at half height, strips since it began."""
    lines = []
    held = np.zeros(ratio.size, bool)
    for start, end in memory.held:
        middle = (start + end) // 2
        held[max(0, middle - 1) : middle + 2] = True
    wanted = np.where((ratio > 1) | (held & (ratio > _HELD_FRACTION)), ratio, 0)
    wanted[:margin] = wanted[wanted.size - margin :] = 0
    for _ in range(_STREAKS_COUNT):
        peak = int(np.argmax(wanted))
        strength = float(wanted[peak])
        if not strength:
            break
        reach = max(width, 3)
        centre = slice(max(0, peak - reach), peak + reach + 1)
        height = profile[centre][np.argmax(np.abs(profile[centre]))]
        above = profile * np.sign(height) > abs(height) / 2
        middle = centre.start + int(np.argmax(np.abs(profile[centre])))
        start, end = _run(above, middle)
        began = min(memory.began(channel, start, end), max(STREAK_STRIPS)) if strips > 1 else 1
        lines.append((strength, start, end, began))
        wanted[max(0, min(start, peak) - 2 * reach) : max(end, peak) + 2 * reach] = 0
    return lines


def _run(above: NDArray[np.bool_], middle: int) -> tuple[int, int]:
    """Start and end of the run of true values around `middle`."""
    left = np.flatnonzero(~above[:middle])
    right = np.flatnonzero(~above[middle + 1 :])
    start = int(left[-1]) + 1 if left.size else 0
    end = middle + 1 + (int(right[0]) if right.size else above.size - middle - 1)
    return start, end

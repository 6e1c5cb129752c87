"""A calibration target in a picture: its marks to a hundredth of a pixel, its slanted squares, its white. Pure.

The target is dark on white in every channel: round marks on a square grid, with slanted squares in between. Where the
squares stand and how much of the target is in view does not matter; a turn of up to two degrees does not either.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from line.calibration import Target
from line.errors import UnusableFrameError
from vision.focus import LEAST_ROWS, LEAST_TILT, MOST_TILT, Sharpness, sharpness

Floats = NDArray[np.float64]

WHITE_FLAT = 200
"""Grey of the white in a flattened picture."""
LEAST_MARKS = 12

_LEAST_CONTRAST = 0.25
_MARK_AREA = (0.55, 1.7)
_SQUARE_SIDE = (0.8, 1.4)
_SQUARE_FILL = 0.6
_EDGE_SHARE = 0.56
"""Of a square's side that is used; the rest is near its corners."""
_BESIDE_EDGE_PX = 18
_SMOOTHING_PX = 601
_SAMPLED_ROWS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A slanted square in view, or a part of one."""

    column: float
    """Of its centre."""
    across: tuple[Sharpness, ...]
    """Of its edges along the web: what the camera resolves across it."""
    along: tuple[Sharpness, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """The target as one channel sees it."""

    marks: Floats
    """Shape (n, 2): column and row of each mark, 0 at the centre of the first pixel."""
    squares: tuple[Square, ...]
    white: float
    """Mean grey of the white."""
    profile: Floats
    """Shape (n,): grey of the white by stretches of columns, from the left."""
    noise: float
    """Standard deviation of grey from line to line, on white."""
    contrast: float
    """How much darker than white the marks are, as a share of the white."""


def seen_target(plane: NDArray[np.uint8], target: Target, nominal_um: float) -> TargetView:
    """The target in one channel.

    Args:
        plane: shape (lines, width).
        target: its measures.
        nominal_um: pixel, to a percent.

    Raises:
        UnusableFrameError: no dark marks on white.
    """
    lines, width = plane.shape
    background = _background(plane)
    flat = np.empty_like(plane)
    scale = (WHITE_FLAT / background).astype(np.float32)
    for top in range(0, lines, 256):
        flat[top : top + 256] = np.clip(np.rint(plane[top : top + 256] * scale), 0, 255)
    few = flat[:: max(1, lines // _SAMPLED_ROWS)]
    dark = float(np.quantile(few, 0.01))
    contrast = 1 - dark / WHITE_FLAT
    if contrast < _LEAST_CONTRAST:
        raise UnusableFrameError(
            f"no target in view: nothing is more than {contrast:.0%} darker than the white around it, "
            f"{_LEAST_CONTRAST:.0%} needed"
        )
    mask = (flat < (WHITE_FLAT + dark) / 2).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    mark_px, side_px = target.mark_um / nominal_um, target.square_um / nominal_um
    marks: list[tuple[float, float]] = []
    squares: list[Square] = []
    for left, top, wide, high, area in stats[1:count].tolist():
        box = (left, top, left + wide, top + high)
        inside = left > 3 and top > 3 and box[2] < width - 3 and box[3] < lines - 3
        if _MARK_AREA[0] <= area / (np.pi / 4 * mark_px**2) <= _MARK_AREA[1] and inside and 0.7 < wide / high < 1.43:
            marks.append(_centre(flat, box, contrast))
        elif _SQUARE_SIDE[0] <= wide / side_px <= _SQUARE_SIDE[1] and area > _SQUARE_FILL * wide * high:
            squares.append(_square(flat, mask, box))
    white = cv2.dilate(mask, np.ones((19, 19), np.uint8)) == 0
    profile, level, noise = _white(plane, white)
    return TargetView(
        marks=np.array(marks, np.float64).reshape(-1, 2),
        squares=tuple(sorted((row for row in squares if row.across or row.along), key=lambda row: row.column)),
        white=level,
        profile=profile,
        noise=noise,
        contrast=contrast,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Marks with their places on the grid, and the straight picture of it that fits best."""

    places: NDArray[np.int64]
    """Shape (n, 2): number of the mark across and along."""
    marks: Floats
    """Shape (n, 2), as in the view; only those that lie on the grid."""
    across: Floats
    """Shape (2,): column and row from mark to mark across the web."""
    along: Floats
    spread_px: float
    """Standard deviation of marks about the fit, a coordinate."""
    sigma: tuple[float, float]
    """Standard deviation of the steps across and along [px]."""
    off: Floats
    """Shape (n, 2): marks less the fit."""


def grid(marks: Floats, pitch_px: float) -> Grid:
    """The grid that marks lie on.

    Args:
        marks: shape (n, 2).
        pitch_px: to two percent.

    Raises:
        UnusableFrameError: too few marks on one grid, or only one row or column of it.
    """
    if len(marks) < LEAST_MARKS:
        raise UnusableFrameError(f"{len(marks)} marks of the target found, {LEAST_MARKS} needed")
    steps = (_step(marks, (pitch_px, 0.0)), _step(marks, (0.0, pitch_px)))
    numbers = _numbered(marks, steps, 0.15 * pitch_px)
    on_grid = np.array(sorted(numbers), np.int64)
    places = np.array([numbers[index] for index in on_grid.tolist()], np.int64)
    found = marks[on_grid]
    for _ in range(3):
        design = np.column_stack([places, np.ones(len(places))]).astype(np.float64)
        fit, *_ = np.linalg.lstsq(design, found, rcond=None)
        off = found - design @ fit
        far = np.hypot(off[:, 0], off[:, 1])
        kept = far <= max(6 * float(np.median(far)), 0.3)
        if kept.all():
            break
        places, found = places[kept], found[kept]
    if len(found) < LEAST_MARKS or not np.ptp(places, axis=0).all():
        raise UnusableFrameError(
            f"{len(found)} marks on one grid, {LEAST_MARKS} in two rows or more needed: is more of the target in view?"
        )
    freedom = max(len(found) - 3, 1)
    spread = float(np.sqrt((off**2).sum() / (2 * freedom)))
    covariance = np.linalg.inv(design.T @ design)
    return Grid(
        places=places,
        marks=found,
        across=fit[0],
        along=fit[1],
        spread_px=spread,
        sigma=(spread * float(np.sqrt(covariance[0, 0])), spread * float(np.sqrt(covariance[1, 1]))),
        off=off,
    )


def _background(plane: NDArray[np.uint8]) -> Floats:
    """Grey of the white by column: what most of a column is, smoothed over more than a square."""
    rows = np.ascontiguousarray(plane[:: max(1, len(plane) // _SAMPLED_ROWS)].T)
    high = np.partition(rows, int(0.8 * (rows.shape[1] - 1)), axis=1)[:, int(0.8 * (rows.shape[1] - 1))]
    step = 8
    padded = np.pad(high[::step], _SMOOTHING_PX // step // 2, mode="edge").astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHING_PX // step // 2 * 2 + 1)
    smooth = np.median(windows, axis=-1)
    return np.maximum(np.interp(np.arange(len(high)), np.arange(len(smooth)) * step, smooth), 1.0)


def _centre(flat: NDArray[np.uint8], box: tuple[int, int, int, int], contrast: float) -> tuple[float, float]:
    """Centre of a mark by its darkness, left out where that is but noise."""
    left, top, right, bottom = box[0] - 3, box[1] - 3, box[2] + 3, box[3] + 3
    dark = 1 - flat[top:bottom, left:right].astype(np.float64) / WHITE_FLAT
    dark[dark < 0.06 * contrast] = 0
    total = dark.sum()
    column = float(dark.sum(axis=0) @ np.arange(left, right) / total)
    row = float(dark.sum(axis=1) @ np.arange(top, bottom) / total)
    return column, row


def _square(flat: NDArray[np.uint8], mask: NDArray[np.uint8], box: tuple[int, int, int, int]) -> Square:
    left, top, right, bottom = box
    across = _edges(flat, mask, box)
    along = _edges(flat.T, mask.T, (top, left, bottom, right))
    return Square(column=(left + right - 1) / 2, across=across, along=along)


def _edges(flat: NDArray[np.uint8], mask: NDArray[np.uint8], box: tuple[int, int, int, int]) -> tuple[Sharpness, ...]:
    """Sharpness of the two edges of a square that run downwards, as far as they are in view."""
    left, top, right, bottom = box
    middle, half = (top + bottom) // 2, int(_EDGE_SHARE * (bottom - top) / 2)
    rows = slice(middle - half, middle + half)
    if 2 * half < LEAST_ROWS:
        return ()
    inside = mask[rows, left:right]
    found = []
    for places in (left + inside.argmax(axis=1), right - inside[:, ::-1].argmax(axis=1)):
        reach = _BESIDE_EDGE_PX + int(np.ptp(places) // 2)
        at = int(np.median(places))
        if at - reach < 0 or at + reach > flat.shape[1] or not LEAST_TILT <= np.ptp(places) / half / 2 <= MOST_TILT:
            continue
        try:
            found.append(sharpness(flat[rows, at - reach : at + reach].astype(np.float32)))
        except UnusableFrameError:
            continue
    return tuple(found)


def _white(plane: NDArray[np.uint8], white: NDArray[np.bool_]) -> tuple[Floats, float, float]:
    """Grey of the white in fifty stretches of columns, over all, and its noise from line to line."""
    totals = np.where(white, plane, 0).sum(axis=0, dtype=np.float64)
    counts = white.sum(axis=0)
    parts = np.array_split(np.arange(plane.shape[1]), 50)
    profile = np.array([totals[part].sum() / max(int(counts[part].sum()), 1) for part in parts])
    both = white[1::4] & white[:-1:4][: len(white[1::4])]
    change = plane[1::4].astype(np.int16) - plane[:-1:4][: len(plane[1::4])]
    noise = float(np.std(change[both])) / np.sqrt(2) if both.any() else 0.0
    return profile, float(totals.sum() / max(int(counts.sum()), 1)), noise


def _step(marks: Floats, guess: tuple[float, float]) -> Floats:
    """From a mark to its neighbour in a direction, by the median over marks."""
    pitch = float(np.hypot(*guess))
    found = []
    for mark in marks[:: max(1, len(marks) // 300)]:
        off = marks - mark - guess
        far = np.hypot(off[:, 0], off[:, 1])
        nearest = int(np.argmin(far))
        if far[nearest] < 0.15 * pitch:
            found.append(marks[nearest] - mark)
    if len(found) < 3:
        raise UnusableFrameError(f"marks do not lie {pitch:.1f} px apart: is the target's pitch as stated?")
    return np.asarray(np.median(found, axis=0), np.float64)


def _numbered(marks: Floats, steps: tuple[Floats, Floats], reach_px: float) -> dict[int, tuple[int, int]]:
    """Numbers across and along of all marks that can be walked to from the middle one, mark to mark."""
    start = int(np.argmin(np.hypot(*(marks - np.median(marks, axis=0)).T)))
    numbers = {start: (0, 0)}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        i, j = numbers[here]
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            off = marks - (marks[here] + di * steps[0] + dj * steps[1])
            far = np.abs(off).max(axis=1)
            nearest = int(np.argmin(far))
            if far[nearest] < reach_px and nearest not in numbers:
                numbers[nearest] = (i + di, j + dj)
                waiting.append(nearest)
    return numbers

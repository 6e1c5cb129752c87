"""Straight edges and round marks in a picture, to a fraction of a pixel. Pure.

Along an edge every row gives one position, by a Gaussian through the steepest gradient and its neighbours (bias below
0.03 px at a blur of 1 px); a line through them is fitted with outliers weighted down, so that chips, burr and glints
do not pull it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from line.errors import UnusableFrameError

Floats = NDArray[np.float64]

_SMOOTHING_PX = 1.0
_HALF_WINDOW_PX = 7
_GUESS_SIGMA_PX = 2.5
_BLOCKS = 12
_STEEPEST_SLOPE = 0.02
_TUKEY = 4.685
"""Tuning constant of the biweight for 95 % efficiency on normal errors (Holland and Welsch 1977)."""
_LEAST_ROWS_FRACTION = 0.35
_ROUGHNESS_PX = 5.0
"""Rows over which the roughness of a cut edge is alike: neighbouring rows are no independent witnesses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A line found in a picture piece: position = at + slope * (row - middle)."""

    at: float
    """Position at the middle row, 0 at the centre of the first column."""
    slope: float
    middle: float
    sigma_at: float
    """Standard deviation of `at`."""
    sigma_slope: float
    residual: float
    """Robust standard deviation of the rows about the line."""
    offsets: NDArray[np.float32]
    """Shape (rows,): each row about the line, NaN where the row is an outlier: the edge's fingerprint."""
    share: float
    """Of the rows that lie on the line."""
    width: float
    """Sigma of the steep part, with blur and smoothing; wider where two edges lie side by side."""
    inside: float
    """Grey before the edge."""
    outside: float
    """Grey behind the edge."""

    def position(self, row: float) -> float:
        """Where the line is in a row."""
        return self.at + self.slope * (row - self.middle)


def first_edge(piece: NDArray[np.uint8], *, falling: bool, least_step: float) -> Edge:
    """The first edge of its kind from the left of a picture piece in which it runs roughly downwards.

    Args:
        piece: shape (rows, columns), at least 64 x 40; the edge crosses all rows, tilted by at most 1 column in 50.
        falling: bright on the left.
        least_step: grey that it must change by.

    Raises:
        UnusableFrameError: no such edge, or in too few rows.
    """
    rows, columns = piece.shape
    sign = -1.0 if falling else 1.0
    blocks = np.array_split(np.arange(rows), _BLOCKS)
    centres = np.array([block.mean() for block in blocks])
    rough = np.array([_first_step(piece[block[0] : block[-1] + 1], sign, least_step) for block in blocks])
    found = np.isfinite(rough)
    if found.sum() < 3:
        raise UnusableFrameError(
            f"no {'falling' if falling else 'rising'} edge of {least_step:.0f} grey or more in {rows} x {columns} px"
        )
    slope, at = _common_line(centres[found], rough[found])
    guess: Floats = at + slope * np.arange(rows, dtype=np.float64)
    start = np.clip(np.rint(guess).astype(int) - _HALF_WINDOW_PX, 0, columns - 2 * _HALF_WINDOW_PX - 1)
    window = start[:, None] + np.arange(2 * _HALF_WINDOW_PX + 1)
    smooth = cv2.GaussianBlur(piece.astype(np.float32), (0, 0), _SMOOTHING_PX)
    gradient = np.empty_like(smooth)
    gradient[:, 1:-1] = sign * (smooth[:, 2:] - smooth[:, :-2]) / 2
    gradient[:, 0] = gradient[:, -1] = 0
    near = np.take_along_axis(gradient, window, axis=1)
    # Another sheet's edge a few pixels on may be the steeper one.
    nearness = np.exp(-0.5 * ((window - guess[:, None]) / _GUESS_SIGMA_PX) ** 2)
    peak = np.clip((near * nearness).argmax(axis=1), 1, near.shape[1] - 2)
    index = np.arange(rows)
    heights = np.stack([near[index, peak + step] for step in (-1, 0, 1)])
    usable = (heights.min(axis=0) > 1e-3) & (heights[1] > 0.15 * least_step / _SMOOTHING_PX)
    logs = np.log(np.maximum(heights, 1e-6))
    curvature = logs[0] - 2 * logs[1] + logs[2]
    usable &= curvature < -1e-3
    position = window[index, peak] + 0.5 * (logs[0] - logs[2]) / np.where(usable, curvature, -1.0)
    if usable.sum() < _LEAST_ROWS_FRACTION * rows:
        raise UnusableFrameError(f"an edge in {usable.sum()} of {rows} rows only")
    slope, at, weights = _robust_line(index[usable].astype(float), position[usable])
    offsets = np.full(rows, np.nan, np.float32)
    offsets[index[usable][weights > 0.1]] = (position[usable] - at - slope * index[usable])[weights > 0.1]
    kept = offsets[np.isfinite(offsets)]
    if kept.size < _LEAST_ROWS_FRACTION * rows:
        raise UnusableFrameError(f"an edge that is straight in {kept.size} of {rows} rows only")
    residual = float(np.sqrt(np.mean(kept.astype(float) ** 2)))
    witnesses = max(kept.size / _ROUGHNESS_PX, 4.0)
    middle = (rows - 1) / 2
    return Edge(
        at=at + slope * middle,
        slope=slope,
        middle=middle,
        sigma_at=residual / np.sqrt(witnesses),
        sigma_slope=residual / np.sqrt(witnesses) * np.sqrt(12) / rows,
        residual=residual,
        offsets=offsets,
        share=kept.size / rows,
        width=float(np.sqrt(np.median(-1 / curvature[usable]))),
        inside=_grey(piece, guess, -12, -5),
        outside=_grey(piece, guess, 4, 9),
    )


def same_edge(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Correlation of two fingerprints, 0 when they share too few rows: near 1 for one and the same cut edge."""
    size = min(one.size, other.size)
    both = np.isfinite(one[:size]) & np.isfinite(other[:size])
    if both.sum() < 100:
        return 0.0
    first, second = one[:size][both] - one[:size][both].mean(), other[:size][both] - other[:size][both].mean()
    return float(first @ second / max(float(np.sqrt((first @ first) * (second @ second))), 1e-9))


def disc_centre(
    picture: NDArray[np.uint8], expected: tuple[float, float], radius: float, *, reach: float
) -> tuple[float, float, float]:
    """Centre of a bright disc on dark ground, as (u, v), and its standard deviation.

    Args:
        picture: shape (height, width).
        expected: (u, v) of its centre.
        radius: of the disc [px].
        reach: how far it may be from where it is expected [px].

    Raises:
        UnusableFrameError: it is not there, or not round.
    """
    centre = _rough_centre(picture, expected, radius, reach)
    for _ in range(2):
        centre, spread, mean_radius = _rim_fit(picture, centre, radius)
    if abs(mean_radius / radius - 1) > 0.05:
        raise UnusableFrameError(f"a mark of radius {mean_radius:.1f} px where {radius:.1f} px is expected")
    return centre[0], centre[1], spread


def _rough_centre(
    picture: NDArray[np.uint8], expected: tuple[float, float], radius: float, reach: float
) -> tuple[float, float]:
    """From the middle of what is bright; on every fourth pixel."""
    half = radius + reach
    left, top = max(0, int(expected[0] - half)), max(0, int(expected[1] - half))
    piece = picture[top : int(expected[1] + half) + 1 : 4, left : int(expected[0] + half) + 1 : 4]
    if piece.size == 0:
        raise UnusableFrameError(f"a mark expected at u {expected[0]:.0f}, v {expected[1]:.0f} px is out of view")
    low, high = np.quantile(piece, (0.05, 0.95))
    bright = piece > (float(low) + float(high)) / 2
    area = float(bright.sum()) * 16
    if high - low < 60 or not 0.7 < area / (np.pi * radius**2) < 1.4:
        raise UnusableFrameError(f"no bright disc near u {expected[0]:.0f}, v {expected[1]:.0f} px")
    rows, columns = np.nonzero(bright)
    return left + 4 * float(np.median(columns)), top + 4 * float(np.median(rows))


def _rim_fit(
    picture: NDArray[np.uint8], centre: tuple[float, float], radius: float
) -> tuple[tuple[float, float], float, float]:
    """Circle through the rim on 96 rays: centre, its standard deviation, radius."""
    angles = np.arange(96) * (2 * np.pi / 96)
    reach = np.arange(-9.0, 9.25, 0.5)
    along = radius + reach
    u = (centre[0] + np.outer(np.cos(angles), along)).astype(np.float32)
    v = (centre[1] + np.outer(np.sin(angles), along)).astype(np.float32)
    rays = cv2.remap(picture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    smooth = cv2.GaussianBlur(rays, (0, 0), sigmaX=2.0, sigmaY=0.1)
    gradient = smooth[:, :-2] - smooth[:, 2:]
    index = np.arange(len(angles))
    peak = np.clip(gradient.argmax(axis=1), 1, gradient.shape[1] - 2)
    logs = np.log(np.maximum(np.stack([gradient[index, peak + step] for step in (-1, 0, 1)]), 1e-3))
    curvature = np.minimum(logs[0] - 2 * logs[1] + logs[2], -1e-3)
    found = along[1:-1][peak] + 0.5 * np.clip(0.5 * (logs[0] - logs[2]) / curvature, -1, 1)
    design = np.stack((np.cos(angles), np.sin(angles), np.ones_like(angles)), axis=1)
    weights = np.ones_like(found)
    for _ in range(4):
        root = np.sqrt(weights)[:, None]
        solution, *_ = np.linalg.lstsq(design * root, found * root[:, 0], rcond=None)
        errors = found - design @ solution
        scale = max(1.4826 * float(np.median(np.abs(errors))), 0.02)
        weights = np.clip(1 - (errors / (_TUKEY * scale)) ** 2, 0, None) ** 2
    if np.count_nonzero(weights > 0.1) < 60 or scale > 1.0:
        raise UnusableFrameError(f"a mark at u {centre[0]:.0f}, v {centre[1]:.0f} px whose rim is not round")
    moved = (centre[0] + float(solution[0]), centre[1] + float(solution[1]))
    return moved, scale * float(np.sqrt(2 / len(angles))), float(solution[2])


def _first_step(block: NDArray[np.uint8], sign: float, least_step: float) -> float:
    """Rough position of the first step of enough grey in the mean of some rows; NaN when there is none."""
    profile = cv2.GaussianBlur(block.mean(axis=0, dtype=np.float32)[None], (0, 0), 2.0)[0]
    # Grey gained over 10 columns: a step of two neighbouring edges counts once, by the first.
    gained = sign * (profile[10:] - profile[:-10])
    above = np.flatnonzero(gained > least_step)
    if above.size == 0:
        return float("nan")
    run = gained[above[0] : above[0] + 12]
    slopes = sign * np.gradient(profile)[above[0] : above[0] + 5 + int(np.argmax(run)) + 6]
    return float(above[0] + int(np.argmax(slopes > 0.6 * slopes.max())) + _until_peak(slopes))


def _until_peak(slopes: Floats) -> float:
    """From the first steep place on to the top of that slope."""
    first = int(np.argmax(slopes > 0.6 * slopes.max()))
    step = first
    while step + 1 < slopes.size and slopes[step + 1] >= slopes[step]:
        step += 1
    return float(step - first)


def _common_line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and intercept of the line through two points that most others lie near: some may show another edge."""
    first, second = np.triu_indices(x.size, 1)
    slopes = (y[second] - y[first]) / (x[second] - x[first])
    usable = np.abs(slopes) <= _STEEPEST_SLOPE
    if not usable.any():
        raise UnusableFrameError("an edge that is not straight")
    slopes, starts = slopes[usable], (y[first] - slopes * x[first])[usable]
    near = np.abs(y - starts[:, None] - slopes[:, None] * x) < 2.0
    best = int(near.sum(axis=1).argmax())
    slope, at, _ = _robust_line(x[near[best]], y[near[best]], scale=2.0)
    return slope, at


def _robust_line(x: Floats, y: Floats, *, scale: float | None = None) -> tuple[float, float, Floats]:
    """Slope, intercept and weights of a biweight line fit, begun from a median that survives a third of outliers."""
    middle = float(np.median(x))
    half = x > middle
    slope = 0.0
    if half.any() and (~half).any():
        slope = float((np.median(y[half]) - np.median(y[~half])) / max(np.median(x[half]) - np.median(x[~half]), 1e-9))
    at = float(np.median(y - slope * x))
    weights = np.ones_like(y)
    for _ in range(8):
        errors = y - at - slope * x
        spread = scale or max(1.4826 * float(np.median(np.abs(errors))), 0.03)
        weights = np.clip(1 - (errors / (_TUKEY * spread)) ** 2, 0, None) ** 2
        if weights.sum() < 2:
            weights = np.ones_like(y)
        mean_x, mean_y = np.average(x, weights=weights), np.average(y, weights=weights)
        variance = float((weights * (x - mean_x) ** 2).sum())
        slope = float((weights * (x - mean_x) * (y - mean_y)).sum() / max(variance, 1e-9))
        at = float(mean_y - slope * mean_x)
    return slope, at, weights


def _grey(piece: NDArray[np.uint8], guess: Floats, start: int, end: int) -> float:
    """Median grey of a band beside a line."""
    columns = np.clip(np.rint(guess).astype(int)[:, None] + np.arange(start, end), 0, piece.shape[1] - 1)
    return float(np.median(np.take_along_axis(piece, columns, axis=1)))

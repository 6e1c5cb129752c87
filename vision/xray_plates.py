"""The plates of a stack in its resampled view: which lines are plates, and where each ends."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.xray_band import band_px, blurred, body_share, darker_lines, stack_rows, tip_line
from vision.xray_find import CANONICAL_SPACING_PX
from vision.xray_ridges import RIDGE_CLEARANCE_PX, Ridge, band_ridges, merged_ridges, ridges_apart, ridges_spaced

# All lengths are in pixels of the resampled view, in which plates are 10 px apart. Shares are of what is usual
# around the middle of the stack; they were chosen on one half of 50 real side views of one machine.
_LEAST_STEP_SHARE = 0.3
_LEAST_DARKNESS_SHARE = 0.12
_LARGEST_SHARE_BEYOND = 0.8
_LEAST_VALLEY_SHARE = 0.02
_LARGEST_GAP_PX = 2.4 * CANONICAL_SPACING_PX
_WIDEST_SMEAR_PX = 3.2 * CANONICAL_SPACING_PX
_TIP_WINDOW_PX = 16
_TIP_SIGMA_PX = 1.5
_TIP_RISE_SHARE = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """One plate, in view coordinates."""

    tip_x: float
    tip_y: float
    row: float
    """Row at the middle of the band, where a bent tip does not matter."""
    clarity: float
    seen_share: float
    """Share of the band's width over which its line is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeEnds:
    """What was found in one view."""

    plates: tuple[Plate, ...]
    band_px: float
    """How far the plates reach beyond the body."""
    body_share: float
    """Darkening from the plates to the body, in units of the brightening at the tips; none where no body is."""
    score: float
    """How clearly the lines end: 0 for not at all; compare the two sides of a stack by it."""
    gap_below: bool
    """Plates were left out below the last because what lies behind them hides them."""


def free_ends(grey: NDArray[np.float32]) -> FreeEnds:
    """Find the plates that end to the right in a view whose middle lies in the stack.

    Args:
        grey: shape (rows, columns), plates dark, 10 px apart, body to the left.

    Returns:
        Plates from top to bottom; none when no line of tips is found.
    """
    lines = darker_lines(grey)
    tips = tip_line(grey, lines)
    if tips.score <= 0:
        return FreeEnds(plates=(), band_px=0.0, body_share=0.0, score=0.0, gap_below=False)
    band = band_px(grey, tips.columns)
    ridges = merged_ridges(band_ridges(lines, tips.columns, band), band)
    plates, hidden = _plates(grey, lines, tips.columns, band, ridges)
    if not plates:
        return FreeEnds(plates=(), band_px=float(band), body_share=0.0, score=tips.score, gap_below=False)
    top, bottom = (int(np.clip(plate.row, 0, len(grey) - 1)) for plate in (plates[0], plates[-1]))
    return FreeEnds(
        plates=plates,
        band_px=float(band),
        body_share=body_share(grey, tips.columns, band, (top, bottom)),
        score=tips.score,
        gap_below=hidden,
    )


def _plates(
    grey: NDArray[np.float32],
    lines: NDArray[np.float32],
    tips: NDArray[np.int64],
    band: int,
    ridges: list[Ridge],
) -> tuple[tuple[Plate, ...], bool]:
    """Keep the ridges that end in a tip and follow one another; measure each tip."""
    middle = grey.shape[0] // 2
    smooth = blurred(grey, 1.5, 2.5)
    levels = np.array([_levels_grey(smooth, tips, band, ridge) for ridge in ridges]).reshape(-1, 2)
    steps = levels[:, 1] - levels[:, 0]
    beyond = np.array([_darkness_beyond(lines, tips, ridge) for ridge in ridges])
    darkness = np.array([ridge.darkness_grey for ridge in ridges])
    rows = np.array([ridge.middle_row for ridge in ridges])
    central = np.abs(rows - middle) < 50
    if not central.any():
        return (), False
    usual_step, usual_darkness = float(np.median(steps[central])), float(np.median(darkness[central]))
    if usual_step <= 0:
        return (), False
    # The edge of a tray behind the stack is a line too, but it does not end at the tips.
    ends = (
        (steps > _LEAST_STEP_SHARE * usual_step)
        & (darkness > _LEAST_DARKNESS_SHARE * usual_darkness)
        & (beyond < _LARGEST_SHARE_BEYOND * darkness)
    )
    kept = _run(rows, ends, stack_rows(smooth, tips, band, usual_step), middle)
    if not kept:
        return (), False
    apart = ridges_apart([ridges[k] for k in kept], grey, tips, band, _LEAST_VALLEY_SHARE * usual_step)
    chosen = ridges_spaced(apart, band)
    profiled = blurred(grey, 0.1, 1.0)
    plates = tuple(_plate(profiled, lines, tips, band, ridge) for ridge in chosen)
    last = kept[-1]
    hidden = (
        last + 1 < len(rows)
        and rows[last + 1] - rows[last] < _LARGEST_GAP_PX
        and darkness[last + 1] > 0.05 * usual_darkness
        and levels[last + 1, 1] < levels[last, 1] - 0.5 * usual_step
    )
    return plates, bool(hidden)


def _run(rows: NDArray[np.float64], ends: NDArray[np.bool_], stack_rows: NDArray[np.bool_], middle: int) -> list[int]:
    """Indices around the middle, out to the first gap that neither a missing plate nor unclear stack explains."""

    def joined(above: float, below: float) -> bool:
        if below - above < _LARGEST_GAP_PX:
            return True
        if below - above > _WIDEST_SMEAR_PX:
            return False
        return bool(stack_rows[round(above) : round(below) + 1].mean() > 0.8)

    good = np.flatnonzero(ends)
    if not len(good):
        return []
    low = high = int(np.abs(rows[good] - middle).argmin())
    while low > 0 and joined(rows[good[low - 1]], rows[good[low]]):
        low -= 1
    while high < len(good) - 1 and joined(rows[good[high]], rows[good[high + 1]]):
        high += 1
    return [int(k) for k in good[low : high + 1]]


def _levels_grey(smooth: NDArray[np.float32], tips: NDArray[np.int64], band: int, ridge: Ridge) -> tuple[float, float]:
    """Mean grey along a ridge and behind its tip."""
    last_row = len(tips) - 1
    row, end_row = round(min(ridge.middle_row, last_row)), round(min(float(ridge.rows[-1]), last_row))
    inside = smooth[row, max(0, tips[row] - band // 2) : tips[row] - 5]
    outside = smooth[end_row, tips[end_row] + 8 : tips[end_row] + 18]
    return float(inside.mean()), float(outside.mean())


def _darkness_beyond(lines: NDArray[np.float32], tips: NDArray[np.int64], ridge: Ridge) -> float:
    """How dark the line still is well behind the tips."""
    row = min(round(float(ridge.rows[-1])), len(tips) - 1)
    near = lines[max(0, row - 3) : row + 4, tips[row] + 14 : tips[row] + 34]
    return float(near.max(0).mean()) if near.size else 0.0


def _plate(
    grey: NDArray[np.float32], lines: NDArray[np.float32], tips: NDArray[np.int64], band: int, ridge: Ridge
) -> Plate:
    """Follow the ridge on to its tip and place the tip where its grey rises most steeply."""
    columns, rows = _carried_on(lines, tips, band, ridge)
    sampled = cv2.remap(
        grey,
        columns.astype(np.float32).reshape(1, -1),
        rows.astype(np.float32).reshape(1, -1),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    profile = np.asarray(cv2.GaussianBlur(sampled, (0, 0), sigmaX=_TIP_SIGMA_PX)).ravel().astype(np.float64)
    rise = np.maximum(np.gradient(profile), 1e-3)
    expected = tips[min(max(round(float(rows[-1])), 0), len(tips) - 1)]
    nearness = np.exp(-0.5 * ((columns - expected) / _TIP_WINDOW_PX) ** 2)
    peak = _outermost_peak(rise * nearness)
    # The gradient of a blurred step is a Gaussian, and three points of its logarithm give its top.
    low, mid, high = np.log(rise[peak - 1 : peak + 2])
    curve = low - 2 * mid + high
    shift = float(np.clip(0.5 * (low - high) / curve, -0.5, 0.5)) if curve < 0 else 0.0
    return Plate(
        tip_x=float(columns[peak]) + shift,
        tip_y=float(np.interp(columns[peak] + shift, columns, rows)),
        row=ridge.middle_row,
        clarity=ridge.clarity,
        seen_share=len(ridge.rows) / (band - 2 * RIDGE_CLEARANCE_PX),
    )


def _outermost_peak(rise: NDArray[np.float64]) -> int:
    """Index of the last local maximum that is not small beside the largest.

    A plate tilted in depth ends twice, with its near and its far edge; its tip is where the farther one ends.
    """
    inner = rise[1:-1]
    peaks = np.flatnonzero((inner > rise[:-2]) & (inner >= rise[2:]) & (inner >= _TIP_RISE_SHARE * inner.max())) + 1
    return int(peaks[-1]) if len(peaks) else int(inner.argmax()) + 1


def _carried_on(
    lines: NDArray[np.float32], tips: NDArray[np.int64], band: int, ridge: Ridge
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows of the plate from a little before to a little behind the line of tips."""
    height, width = lines.shape
    known = np.clip(np.round(ridge.rows).astype(np.int64), 0, height - 1)
    columns = tips[known] - band + RIDGE_CLEARANCE_PX + ridge.first_column + np.arange(len(known))
    tail = ridge.rows[-16:]
    slope = float((tail[-1] - tail[0]) / max(1, len(tail) - 1))
    first = int(columns[-1]) + 1
    last = min(int(tips[known[-1]]) + _TIP_WINDOW_PX + 6, width - 1)
    row = float(ridge.rows[-1])
    further: list[float] = []
    for column in range(first, last):
        row = min(max(row + slope, 1.0), height - 2.0)
        near = round(row)
        near = min(max(near, 1), height - 2)
        pull = lines[near - 1 : near + 2, column]
        if pull.max() > 0.4 * ridge.darkness_grey:
            # Follow the line while it is there; behind the tip carry straight on.
            row += 0.3 * float(np.clip(near - 1 + int(pull.argmax()) - row, -1.0, 1.0))
        further.append(row)
    all_columns = np.r_[columns.astype(np.float64), np.arange(first, first + len(further), dtype=np.float64)]
    all_rows = np.r_[ridge.rows, np.array(further)]
    grid = np.arange(float(all_columns.min()), float(all_columns.max()) + 1)
    order = np.argsort(all_columns, kind="stable")
    near_tip = grid >= tips[known[-1]] - 2 * _TIP_WINDOW_PX
    return grid[near_tip], np.interp(grid, all_columns[order], all_rows[order])[near_tip]

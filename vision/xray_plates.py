"""The plates of a stack in its resampled view: the line of their tips, one ridge a plate, one tip a ridge."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.xray_find import CANONICAL_SPACING_PX

# All lengths below are in pixels of the resampled view, in which plates are 10 px apart.
_TIP_REACH_PX = 40
_LEAST_BAND_PX = 20
_LARGEST_BAND_PX = 110
_RIDGE_CLEARANCE_PX = 4
_LEAST_RIDGE_SHARE = 0.35
_LEAST_STEP_SHARE = 0.3
_LEAST_DARKNESS_SHARE = 0.12
_LARGEST_GAP_PX = 2.4 * CANONICAL_SPACING_PX
_LEAST_VALLEY_SHARE = 0.035
_LARGEST_SHARE_BEYOND = 0.8
_TIP_WINDOW_PX = 16
_TIP_SIGMA_PX = 1.5
_TIP_RISE_SHARE = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """A dark line across the band of free ends: where it is and how well it is seen."""

    rows: NDArray[np.float64]
    """Row per column from ``first_column`` on; columns count from the band's left edge."""
    first_column: int
    darkness_grey: float
    """Mean grey by which the line is darker than its surroundings."""
    clarity: float
    """The same in units of the lines around it: near 1 for a clear plate."""

    @property
    def last_column(self) -> int:
        """Last column of the band in which the line is seen."""
        return self.first_column + len(self.rows) - 1

    @property
    def middle_row(self) -> float:
        """Row at the middle of the line."""
        return float(np.median(self.rows))


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
    step_share: float
    """Brightening at its tip, in units of the median plate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeEnds:
    """What was found in one view."""

    plates: tuple[Plate, ...]
    band_px: float
    """How far the plates reach beyond the body."""
    score: float
    """How clearly the lines end: 0 for not at all; compare the two sides of a stack by it."""
    gap_below: bool
    """Plates were left out below the last because what lies behind them hides them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _TipLine:
    columns: NDArray[np.int64]
    score: float


def free_ends(grey: NDArray[np.float32]) -> FreeEnds:
    """Find the plates that end to the right in a view whose middle lies in the stack.

    Args:
        grey: shape (rows, columns), plates dark, 10 px apart, body to the left.

    Returns:
        Plates from top to bottom; none when no line of tips is found.
    """
    lines = _lines(grey)
    tips = _tip_line(grey, lines)
    if tips.score <= 0:
        return FreeEnds(plates=(), band_px=0.0, score=0.0, gap_below=False)
    band = _band_px(grey, tips.columns)
    ridges = _merged(_ridges(lines, tips.columns, band), band)
    plates, hidden = _plates(grey, lines, tips.columns, band, ridges)
    return FreeEnds(plates=plates, band_px=float(band), score=tips.score, gap_below=hidden)


def _blurred(grey: NDArray[np.float32], sigma_x: float, sigma_y: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y), dtype=np.float32)


def _lines(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey by which each place is darker than what lies above and below it."""
    return _blurred(grey, 3.0, 5.0) - _blurred(grey, 3.0, 1.3)


def _ending(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """0-1: how much of the line energy to the left of a place is gone to the right of it."""
    energy = np.minimum(np.abs(lines), 20.0)
    energy = np.asarray(cv2.blur(energy, (25, 31)), dtype=np.float32)
    left = np.roll(energy, 17, axis=1)
    right = np.roll(energy, -22, axis=1)
    left[:, :17] = 0
    right[:, -22:] = right[:, -23:-22]
    ending: NDArray[np.float32] = np.maximum(0.0, left - right) / (left + right + 0.3)
    return ending


def _tip_line(grey: NDArray[np.float32], lines: NDArray[np.float32]) -> _TipLine:
    """The column of the tips per row: brightening to the right where lines end, smooth from row to row."""
    rows, columns = grey.shape
    middle = rows // 2
    near = slice(middle - 40, middle + 40)
    smooth = _blurred(grey, 2.0, 6.0)
    rise = np.maximum(np.gradient(smooth, axis=1), 0.0) * _ending(lines)
    profile = np.asarray(cv2.GaussianBlur(rise[near].mean(0).reshape(1, -1), (0, 0), sigmaX=4.0)).ravel()
    profile[: _LARGEST_BAND_PX // 2] = 0
    profile[-_TIP_REACH_PX - 25 :] = 0
    start = int(profile.argmax())
    score = float(profile[start])
    if score <= 0:
        return _TipLine(columns=np.full(rows, start), score=0.0)
    low = max(start - _TIP_REACH_PX, 0)
    reach = rise[:, low : start + _TIP_REACH_PX]
    gain = np.minimum(reach / (np.median(reach[near].max(1)) + 1e-6), 1.0)
    seed = gain[middle] - 0.1 * np.abs(np.arange(gain.shape[1]) - (start - low))
    path = np.empty(rows, np.int64)
    path[middle:] = _best_path(gain[middle:], seed)
    path[: middle + 1] = _best_path(gain[middle::-1], seed)[::-1]
    return _TipLine(columns=path + low, score=score)


def _best_path(gain: NDArray[np.float32], seed: NDArray[np.float32]) -> NDArray[np.int64]:
    """Dynamic programming down the rows: the column per row with the largest sum of gain less bending."""
    bend = np.array([0.6, 0.15, 0.0, 0.15, 0.6])
    width = gain.shape[1]
    total = seed.astype(np.float64)
    steps = np.empty((len(gain), width), np.int64)
    for row in range(1, len(gain)):
        padded = np.pad(total, 2, constant_values=-1e9)
        options = np.stack([padded[k : k + width] - bend[k] for k in range(5)])
        steps[row] = options.argmax(0)
        total = gain[row] + options.max(0)
    path = np.empty(len(gain), np.int64)
    path[-1] = int(total.argmax())
    for row in range(len(gain) - 1, 0, -1):
        path[row - 1] = path[row] + steps[row, path[row]] - 2
    return path


def _straightened(
    values: NDArray[np.float32], tips: NDArray[np.int64], first: int, last: int
) -> NDArray[np.float32]:
    """Columns ``first`` to ``last`` (exclusive) relative to the line of tips."""
    index = np.clip(tips[:, None] + np.arange(first, last)[None], 0, values.shape[1] - 1)
    return np.take_along_axis(values, index, 1)


def _band_px(grey: NDArray[np.float32], tips: NDArray[np.int64]) -> int:
    """Distance from the body's edge (the next strong brightening to the left) to the tips."""
    middle = len(tips) // 2
    straight = _straightened(_blurred(grey, 2.0, 6.0), tips, -_LARGEST_BAND_PX - 10, 0)
    profile = straight[middle - 40 : middle + 40].mean(0)
    rise = np.asarray(cv2.GaussianBlur(np.gradient(profile).reshape(1, -1).astype(np.float32), (0, 0), sigmaX=2.0))
    inside = rise.ravel()[10 : 10 + _LARGEST_BAND_PX - _LEAST_BAND_PX]
    return _LARGEST_BAND_PX - int(inside.argmax())


def _ridges(lines: NDArray[np.float32], tips: NDArray[np.int64], band: int) -> list[Ridge]:
    """Dark lines inside the band, each a chain of row-wise maxima."""
    inside = _straightened(lines, tips, -band + _RIDGE_CLEARANCE_PX, -_RIDGE_CLEARANCE_PX)
    local = np.sqrt(cv2.blur((inside**2).mean(1).reshape(-1, 1), (1, 31)).ravel())
    clear = inside / (local[:, None] + 0.5)
    above, below = np.roll(clear, 1, 0), np.roll(clear, -1, 0)
    crest = (clear > above) & (clear >= below) & (clear > 0.15)
    count, labels = cv2.connectedComponents(crest.astype(np.uint8), connectivity=8)
    ys, xs = np.nonzero(labels)
    chain = labels[ys, xs]
    order = np.lexsort((xs, chain))
    ys, xs, chain = ys[order], xs[order], chain[order]
    bounds = np.searchsorted(chain, np.arange(1, count + 1))
    found: list[Ridge] = []
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        x, y = xs[first:last], ys[first:last]
        if x[-1] - x[0] < 8:
            continue
        grid = np.arange(x[0], x[-1] + 1)
        unique, start = np.unique(x, return_index=True)
        mean_y = np.add.reduceat(y.astype(np.float64), start) / np.diff(np.r_[start, len(y)])
        found.append(
            Ridge(
                rows=np.interp(grid, unique, mean_y),
                first_column=int(x[0]),
                darkness_grey=float(inside[y, x].mean()),
                clarity=float(clear[y, x].mean()),
            )
        )
    return found


def _merged(ridges: list[Ridge], band: int) -> list[Ridge]:
    """Join pieces of one line, drop pieces too short to be a plate, sort from top to bottom."""
    width = band - 2 * _RIDGE_CLEARANCE_PX
    left_to_right = sorted(ridges, key=lambda ridge: (ridge.first_column, ridge.middle_row))
    joined: list[Ridge] = []
    for piece in left_to_right:
        for index, before in enumerate(joined):
            overlap = before.last_column - piece.first_column
            if overlap < 0.2 * len(piece.rows) and abs(_row_at(before, piece) - piece.rows[0]) < 3.5:
                joined[index] = _joined(before, piece)
                break
        else:
            joined.append(piece)
    long = [ridge for ridge in joined if len(ridge.rows) >= _LEAST_RIDGE_SHARE * width]
    return sorted(long, key=lambda ridge: ridge.middle_row)


def _row_at(ridge: Ridge, piece: Ridge) -> float:
    """Row of the ridge carried on to where the piece begins."""
    tail = ridge.rows[-12:]
    slope = (tail[-1] - tail[0]) / max(1, len(tail) - 1)
    return float(tail[-1] + slope * (piece.first_column - ridge.last_column))


def _joined(before: Ridge, piece: Ridge) -> Ridge:
    grid = np.arange(before.first_column, max(before.last_column, piece.last_column) + 1)
    known = np.r_[np.arange(before.first_column, before.last_column + 1), piece.first_column + np.arange(len(piece.rows))]
    rows = np.r_[before.rows, piece.rows]
    order = np.argsort(known, kind="stable")
    share = len(before.rows) / (len(before.rows) + len(piece.rows))
    return Ridge(
        rows=np.interp(grid, known[order], rows[order]),
        first_column=before.first_column,
        darkness_grey=share * before.darkness_grey + (1 - share) * piece.darkness_grey,
        clarity=share * before.clarity + (1 - share) * piece.clarity,
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
    smooth = _blurred(grey, 1.5, 2.5)
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
    kept = _run(rows, ends, _stack_rows(smooth, tips, band, usual_step), middle)
    if not kept:
        return (), False
    apart = _apart([ridges[k] for k in kept], grey, tips, band, _LEAST_VALLEY_SHARE * usual_step)
    chosen = _spaced(apart, band)
    step_of = dict(zip((id(ridge) for ridge in ridges), steps / usual_step, strict=True))
    plates = tuple(_plate(grey, lines, tips, band, ridge, float(step_of[id(ridge)])) for ridge in chosen)
    last = kept[-1]
    hidden = (
        last + 1 < len(rows)
        and rows[last + 1] - rows[last] < _LARGEST_GAP_PX
        and darkness[last + 1] > 0.05 * usual_darkness
        and levels[last + 1, 1] < levels[last, 1] - 0.5 * usual_step
    )
    return plates, bool(hidden)


def _stack_rows(
    smooth: NDArray[np.float32], tips: NDArray[np.int64], band: int, usual_step: float
) -> NDArray[np.bool_]:
    """Per row: is there stack to the left of the tips and none to the right?"""
    inside = _straightened(smooth, tips, -band // 2, -5).mean(1)
    outside = _straightened(smooth, tips, 8, 18).mean(1)
    present: NDArray[np.bool_] = outside - inside > 0.2 * usual_step
    return present


def _run(
    rows: NDArray[np.float64], ends: NDArray[np.bool_], stack_rows: NDArray[np.bool_], middle: int
) -> list[int]:
    """Indices around the middle, out to the first gap that neither a missing plate nor unclear stack explains."""

    def joined(above: float, below: float) -> bool:
        if below - above < _LARGEST_GAP_PX:
            return True
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


def _apart(
    ridges: list[Ridge], grey: NDArray[np.float32], tips: NDArray[np.int64], band: int, least_valley_grey: float
) -> list[Ridge]:
    """Of two lines with nothing brighter between them keep the darker: they are the two borders of one plate.

    The outermost plates are seen at a slant, as a grey wedge with a dark line along each border.
    """
    straight = _straightened(_blurred(grey, 3.0, 1.0), tips, -band + _RIDGE_CLEARANCE_PX, -_RIDGE_CLEARANCE_PX)
    kept: list[Ridge] = []
    for ridge in ridges:
        if kept and _valley_grey(straight, kept[-1], ridge) < least_valley_grey:
            if ridge.darkness_grey > kept[-1].darkness_grey:
                kept[-1] = ridge
        else:
            kept.append(ridge)
    return kept


def _valley_grey(straight: NDArray[np.float32], above: Ridge, below: Ridge) -> float:
    """Mean brightening between two lines over the columns where both are seen; infinite where there are none."""
    first, last = max(above.first_column, below.first_column), min(above.last_column, below.last_column)
    depths: list[float] = []
    for column in range(first, last + 1):
        top = round(float(above.rows[column - above.first_column]))
        bottom = round(float(below.rows[column - below.first_column]))
        if bottom > top:
            part = straight[top : bottom + 1, column]
            depths.append(float(part.max() - max(part[0], part[-1])))
    return float(np.mean(depths)) if depths else np.inf


def _spaced(ridges: list[Ridge], band: int) -> list[Ridge]:
    """Of lines closer than plates can be keep the best sum of quality: dynamic programming from top to bottom."""
    if not ridges:
        return []
    width = band - 2 * _RIDGE_CLEARANCE_PX
    worth = [min(ridge.clarity, 1.0) * len(ridge.rows) / width for ridge in ridges]
    rows = [ridge.middle_row for ridge in ridges]
    best = list(worth)
    before = [-1] * len(ridges)
    for here in range(len(ridges)):
        for above in range(here):
            value = worth[here] + best[above] - _spacing_cost(rows[here] - rows[above])
            if value > best[here]:
                best[here], before[here] = value, above
    chosen = [max(range(len(ridges)), key=best.__getitem__)]
    while before[chosen[-1]] >= 0:
        chosen.append(before[chosen[-1]])
    return [ridges[k] for k in reversed(chosen)]


def _spacing_cost(gap_px: float) -> float:
    """0 near the usual spacing, above 1 (no plate is worth more) below 0.4 of it."""
    ratio = gap_px / CANONICAL_SPACING_PX
    return 0.0 if ratio > 0.7 else 0.6 * float(np.log2(0.7 / max(ratio, 0.05))) ** 2 / 0.65


def _levels_grey(
    smooth: NDArray[np.float32], tips: NDArray[np.int64], band: int, ridge: Ridge
) -> tuple[float, float]:
    """Mean grey along a ridge and behind its tip."""
    last_row = len(tips) - 1
    row, end_row = round(min(ridge.middle_row, last_row)), round(min(float(ridge.rows[-1]), last_row))
    inside = smooth[row, max(0, tips[row] - band // 2) : tips[row] - 5]
    outside = smooth[end_row, tips[end_row] + 8 : tips[end_row] + 18]
    return float(inside.mean()), float(outside.mean())


def _darkness_beyond(lines: NDArray[np.float32], tips: NDArray[np.int64], ridge: Ridge) -> float:
    row = round(float(ridge.rows[-1]))
    near = lines[max(0, row - 3) : row + 4, tips[min(row, len(tips) - 1)] + 14 : tips[min(row, len(tips) - 1)] + 34]
    return float(near.max(0).mean()) if near.size else 0.0


def _plate(
    grey: NDArray[np.float32], lines: NDArray[np.float32], tips: NDArray[np.int64], band: int, ridge: Ridge, step: float
) -> Plate:
    """Follow the ridge on to its tip and place the tip where its grey rises most steeply."""
    columns, rows = _carried_on(lines, tips, band, ridge)
    sampled = cv2.remap(
        _blurred(grey, 0.1, 1.0),
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
        seen_share=len(ridge.rows) / (band - 2 * _RIDGE_CLEARANCE_PX),
        step_share=step,
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
    columns = tips[known] - band + _RIDGE_CLEARANCE_PX + ridge.first_column + np.arange(len(known))
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

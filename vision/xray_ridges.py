"""Dark lines across the band of free ends, one a plate: chained, joined, and told from the borders of a wedge."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.xray_band import blurred, straightened
from vision.xray_find import CANONICAL_SPACING_PX

# All lengths are in pixels of the resampled view.
RIDGE_CLEARANCE_PX = 4
"""Lines are looked for this far from the body's edge and from the tips."""

_LEAST_RIDGE_SHARE = 0.35


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


def band_ridges(lines: NDArray[np.float32], tips: NDArray[np.int64], band: int) -> list[Ridge]:
    """Dark lines inside the band, each a chain of row-wise maxima."""
    inside = straightened(lines, tips, -band + RIDGE_CLEARANCE_PX, -RIDGE_CLEARANCE_PX)
    # The running sum of a blur can end a rounding error below zero.
    local = np.sqrt(np.maximum(cv2.blur((inside**2).mean(1).reshape(-1, 1), (1, 31)).ravel(), 0.0))
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
    for first, last in pairwise(bounds):
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


def merged_ridges(ridges: list[Ridge], band: int) -> list[Ridge]:
    """Join pieces of one line, drop pieces too short to be a plate, sort from top to bottom."""
    width = band - 2 * RIDGE_CLEARANCE_PX
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
    known = np.r_[
        np.arange(before.first_column, before.last_column + 1), piece.first_column + np.arange(len(piece.rows))
    ]
    rows = np.r_[before.rows, piece.rows]
    order = np.argsort(known, kind="stable")
    share = len(before.rows) / (len(before.rows) + len(piece.rows))
    return Ridge(
        rows=np.interp(grid, known[order], rows[order]),
        first_column=before.first_column,
        darkness_grey=share * before.darkness_grey + (1 - share) * piece.darkness_grey,
        clarity=share * before.clarity + (1 - share) * piece.clarity,
    )


def ridges_apart(
    ridges: list[Ridge], grey: NDArray[np.float32], tips: NDArray[np.int64], band: int, least_valley_grey: float
) -> list[Ridge]:
    """Of two lines with nothing brighter between them keep the darker: they are the two borders of one plate.

    The outermost plates are seen at a slant, as a grey wedge with a dark line along each border.
    """
    straight = straightened(blurred(grey, 3.0, 1.0), tips, -band + RIDGE_CLEARANCE_PX, -RIDGE_CLEARANCE_PX)
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


def ridges_spaced(ridges: list[Ridge], band: int) -> list[Ridge]:
    """Of lines closer than plates can be keep the best sum of quality: dynamic programming from top to bottom."""
    if not ridges:
        return []
    width = band - 2 * RIDGE_CLEARANCE_PX
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
    """0 from 0.7 of the usual spacing on, 1 (more than most plates are worth) at 0.4 of it, and steeply more below."""
    ratio = max(gap_px / CANONICAL_SPACING_PX, 0.05)
    return 0.0 if ratio > 0.7 else float((np.log2(0.7 / ratio) / np.log2(0.7 / 0.4)) ** 2)

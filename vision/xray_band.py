"""The band of free ends in a stack's resampled view: the line of the tips, the body's edge, the grey on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# All lengths are in pixels of the resampled view, in which plates are 10 px apart.
_TIP_REACH_PX = 40
_LEAST_BAND_PX = 20
_LARGEST_BAND_PX = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class TipLine:
    """Column of the tips per row, and how clearly lines end there (0 for not at all)."""

    columns: NDArray[np.int64]
    score: float


def blurred(grey: NDArray[np.float32], sigma_x: float, sigma_y: float) -> NDArray[np.float32]:
    """Gaussian smoothing, across and down."""
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y), dtype=np.float32)


def darker_lines(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey by which each place is darker than what lies above and below it."""
    return blurred(grey, 3.0, 5.0) - blurred(grey, 3.0, 1.3)


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


def tip_line(grey: NDArray[np.float32], lines: NDArray[np.float32]) -> TipLine:
    """The column of the tips per row: brightening to the right where lines end, smooth from row to row."""
    rows = len(grey)
    middle = rows // 2
    near = slice(middle - 40, middle + 40)
    smooth = blurred(grey, 2.0, 6.0)
    rise = np.maximum(np.gradient(smooth, axis=1), 0.0) * _ending(lines)
    profile = np.asarray(cv2.GaussianBlur(rise[near].mean(0).reshape(1, -1), (0, 0), sigmaX=4.0)).ravel()
    profile[: _LARGEST_BAND_PX // 2] = 0
    profile[-_TIP_REACH_PX - 25 :] = 0
    start = int(profile.argmax())
    score = float(profile[start])
    if score <= 0:
        return TipLine(columns=np.full(rows, start), score=0.0)
    low = max(start - _TIP_REACH_PX, 0)
    reach = rise[:, low : start + _TIP_REACH_PX]
    gain = np.minimum(reach / (np.median(reach[near].max(1)) + 1e-6), 1.0)
    seed = gain[middle] - 0.1 * np.abs(np.arange(gain.shape[1]) - (start - low))
    path = np.empty(rows, np.int64)
    path[middle:] = _best_path(gain[middle:], seed)
    path[: middle + 1] = _best_path(gain[middle::-1], seed)[::-1]
    return TipLine(columns=path + low, score=score)


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


def straightened(values: NDArray[np.float32], tips: NDArray[np.int64], first: int, last: int) -> NDArray[np.float32]:
    """Columns ``first`` to ``last`` (exclusive) relative to the line of tips."""
    index = np.clip(tips[:, None] + np.arange(first, last)[None], 0, values.shape[1] - 1)
    return np.take_along_axis(values, index, 1)


def band_px(grey: NDArray[np.float32], tips: NDArray[np.int64]) -> int:
    """Distance from the body's edge (the next strong brightening to the left) to the tips."""
    middle = len(tips) // 2
    straight = straightened(blurred(grey, 2.0, 6.0), tips, -_LARGEST_BAND_PX - 10, 0)
    profile = straight[middle - 40 : middle + 40].mean(0)
    rise = np.asarray(cv2.GaussianBlur(np.gradient(profile).reshape(1, -1).astype(np.float32), (0, 0), sigmaX=2.0))
    inside = rise.ravel()[10 : 10 + _LARGEST_BAND_PX - _LEAST_BAND_PX]
    return _LARGEST_BAND_PX - int(inside.argmax())


def body_share(grey: NDArray[np.float32], tips: NDArray[np.int64], band: int, rows: tuple[int, int]) -> float:
    """Darkening from the plates to the body between two rows, in units of the brightening at the tips."""
    straight = straightened(grey, tips, -band - 20, 20)[rows[0] : rows[1] + 1].mean(0)
    body, plate, outside = straight[:15].mean(), straight[22 : 20 + band - 3].mean(), straight[-14:].mean()
    return float((plate - body) / max(outside - plate, 1.0))


def stack_rows(smooth: NDArray[np.float32], tips: NDArray[np.int64], band: int, usual_step: float) -> NDArray[np.bool_]:
    """Per row: is there stack to the left of the tips and none to the right?"""
    inside = straightened(smooth, tips, -band // 2, -5).mean(1)
    outside = straightened(smooth, tips, 8, 18).mean(1)
    present: NDArray[np.bool_] = outside - inside > 0.2 * usual_step
    return present

"""Film at several scales: what screening tests and what learning measures are the same functions.

Averages run over squares of `SCALES_PX` pixels. Everything here is at most a sixteenth of the frame, so it may be
float; the frame itself is only ever touched as uint8.
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

QUARTER = 4
"""Full-resolution pixels along the side of a cell of the quarter image."""
SCALES_PX = (4, 12, 16, 32)
"""Side of the square that each map of `scale_maps` averages over."""
STREAK_WIDTHS = (1, 3, 9, 27)
"""Cells of the quarter image that a column profile is averaged over to look for streaks."""
STREAK_STRIPS = (1, 4, 16)
"""Numbers of latest strips whose mean profile is looked at for streaks."""

_BACKGROUND_CELLS = (63, 31)
"""Across and along the web, 5.0 x 2.5 mm at 20 µm/px: the widest defect that is judged at the finest scales."""
NEAR_CELLS = 32
"""Cells to either side that the finer maps depend on: half of the surroundings, and one more."""
_PIECE_CELLS = 1024
_BLOCKS = 8
_MEDIAN_STEPS = 31
"""Half of it to each side, 20 mm at 20 µm/px: more than twice the widest defect that is judged at the coarse scale."""

Floats = NDArray[np.float32]
Cell = TypeVar("Cell", np.float32, np.bool_)


def quarter(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The plane averaged over 4 x 4 pixels; rows and columns beyond a multiple of 4 are left out.

    Args:
        plane: shape (lines, width), at least 4 x 4.
    """
    lines, width = (size // QUARTER * QUARTER for size in plane.shape)
    # Halving twice is five times as fast as quartering once (13.9 against 2.8 GPix/s), and rounds once more.
    half = cv2.resize(plane[:lines, :width], (width // 2, lines // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(half, (width // 4, lines // 4), interpolation=cv2.INTER_AREA), np.uint8)


def relative_change(quartered: NDArray[np.uint8], level: Floats, gain: float) -> Floats:
    """Grey against good film of the same column under the same light, less 1.

    Args:
        quartered: shape (rows, columns).
        level: shape (columns,), grey of good film.
        gain: present light over that when `level` was learnt.
    """
    change: Floats = quartered.astype(np.float32)
    change *= 1.0 / (level * np.float32(gain))
    change -= 1
    return change


def pieces(columns: int) -> list[slice]:
    """Columns of a quarter image in pieces that stay in the cache, each beginning at a multiple of 8."""
    return [slice(start, min(start + _PIECE_CELLS, columns)) for start in range(0, columns, _PIECE_CELLS)]


def scale_maps(change: Floats) -> tuple[Floats, ...]:
    """Relative change without its surroundings, averaged over each of `SCALES_PX`.

    Args:
        change: shape (rows, columns) at a quarter.

    Returns:
        Two maps of the same shape, one of a quarter of it, one of an eighth.
    """
    return (*near_maps(change), coarse_map(change))


def near_maps(change: Floats, columns: slice = slice(None)) -> tuple[Floats, Floats, Floats]:
    """The first three of `scale_maps`, of some columns.

    Args:
        change: shape (rows, columns), with `NEAR_CELLS` more at either side of those that are wanted unless the
            image ends there.
        columns: that are wanted, beginning at a multiple of 4; the third map is of these alone.
    """
    near = np.asarray(cv2.subtract(change, cv2.blur(change, _BACKGROUND_CELLS)), np.float32)
    # Zeros beyond the border: mirrored rows would count twice and scatter more than the rest.
    mean = np.asarray(cv2.blur(near, (3, 3), borderType=cv2.BORDER_CONSTANT), np.float32)
    own = near[:, columns]
    return near, mean, shrunk(own, coarse_step(len(change)))


def coarse_step(rows: int) -> int:
    """Cells of the quarter image along one of the third map: 4, if there are as many rows."""
    return 4 if rows >= 4 else 1


def coarse_map(change: Floats) -> Floats:
    """The last of `scale_maps`."""
    coarse = shrunk(change, 8)
    return coarse - running_median(coarse.mean(axis=0), _MEDIAN_STEPS)


def enlarged(small: NDArray[Cell], shape: tuple[int, int], factor: int) -> NDArray[Cell]:
    """A shrunk image or mask at its former size again, its last cells repeated over what was left out."""
    large: NDArray[Cell] = small
    for axis, size in ((1, shape[1]), (0, shape[0])):
        counts = np.full(small.shape[axis], factor)
        counts[-1] += max(0, size - counts.sum())
        large = np.repeat(large, counts, axis=axis)
    return large[: shape[0], : shape[1]]


def block_means(change: Floats) -> Floats:
    """Means over 8 blocks of lines of a quarter image, shape (blocks, columns); fewer blocks of fewer lines."""
    blocks = np.array_split(change, min(_BLOCKS, len(change)))
    return np.stack([block.mean(axis=0, dtype=np.float32) for block in blocks])


def column_profile(means: Floats, margin: int = 0) -> Floats:
    """Change of each column without slow changes across the web, shape (columns,).

    The median over blocks of lines: a hole in one block is no line through all of them. At either end a slow change is
    taken to go on as it came: film stands up at its edges, and that is no line along them.

    Args:
        means: as `block_means` gives them.
        margin: columns at either end that are not judged: 0 in the profile, and not compared with.
    """
    # Few blocks: sorting them all is twice as fast as their median.
    ranked, middle = np.sort(means, axis=0), (len(means) - 1) // 2
    columns: Floats = (ranked[middle] + ranked[len(means) // 2]) * np.float32(0.5)
    judged = columns[margin : columns.size - margin]
    steps = max(1, judged.size // 8)
    decimated = np.asarray(cv2.resize(judged[None], (steps, 1), interpolation=cv2.INTER_AREA), np.float32)[0]
    slow = running_median(decimated, _MEDIAN_STEPS, going_on=True)
    profile = np.zeros_like(columns)
    smooth = cv2.resize(slow[None], (judged.size, 1), interpolation=cv2.INTER_LINEAR)[0]
    profile[margin : columns.size - margin] = judged - smooth
    return profile


def widened(profile: Floats) -> tuple[Floats, ...]:
    """A column profile averaged over each of `STREAK_WIDTHS`."""
    return tuple(np.asarray(cv2.blur(profile[None], (width, 1))[0], np.float32) for width in STREAK_WIDTHS)


def running_median(values: Floats, window: int, *, going_on: bool = False) -> Floats:
    """Median over `window` neighbours, an odd number. Shape (n,).

    Args:
        going_on: a trend goes on beyond the ends; otherwise they are mirrored.
    """
    half = min(window // 2, max(0, values.size - 1))
    padded = np.pad(values, half, mode="reflect", reflect_type="odd" if going_on else "even") if half else values
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.asarray(np.partition(windows, half, axis=-1)[:, half], np.float32)


def shrunk(image: Floats, factor: int) -> Floats:
    """Means over squares of `factor` cells; cells beyond a multiple of it are left out, unless there are no others."""
    rows, columns = (size // factor * factor or size for size in image.shape)
    small = max(1, columns // factor), max(1, rows // factor)
    return np.asarray(cv2.resize(image[:rows, :columns], small, interpolation=cv2.INTER_AREA), np.float32)


def places(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns that are set, as `np.nonzero` gives them but 15 times as fast where they are few."""
    return np.divmod(np.flatnonzero(mask), mask.shape[1])

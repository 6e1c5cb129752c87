"""How far a strip's averages over 4 to 32 pixels deviate, against what good film may.

Works at a quarter, in pieces of columns that stay in the cache, each with as much on either side as its maps depend on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vision.gates import Gates
from vision.parallel import ALONE, Crew
from vision.pyramid import NEAR_CELLS, Floats, coarse_map, coarse_step, enlarged, near_maps, pieces

BESIDE_STREAK = 3
"""Cells on either side of a line that still belong to it."""
_OWN_CHANGE = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """What the maps of one channel are held against."""

    flat: Floats
    """The change without its lines."""
    scales: tuple[Floats, ...]
    """What the finer maps are multiplied with to be 1 at their limits: shape (), or (columns,) where lines were."""
    coarsest: Floats
    """Of the coarsest map, the deviation over its limit."""


def map_strengths(
    changes: Sequence[Floats], gates: Gates, streaks: Sequence[tuple[int, int]], crew: Crew = ALONE
) -> tuple[Floats, Floats]:
    """Largest deviation over its limit of all channels: of the two fine maps at a quarter, of the two coarse ones.

    Args:
        changes: relative change of each channel, shape (rows, columns) at a quarter.
        gates: of the camera.
        streaks: columns of lines along the web, from and to, ends exclusive; what they change is taken off.
        crew: shares the work.

    Returns:
        Shapes (rows, columns) and (rows // 4, columns // 4), of fewer than 4 rows as many as there are.
    """
    rows, columns = changes[0].shape[0], changes[0].shape[1]
    step = coarse_step(rows)
    fine = np.empty((rows, columns), np.float32)
    coarse = np.zeros((rows // step, columns // step), np.float32)

    def measure(channel: int) -> _Measure:
        return _measure(changes[channel], gates.look.scale_sigma[channel], gates.limits.scale[channel], streaks)

    measures = crew.each(measure, range(len(changes)))

    def piece(own: slice) -> None:
        _piece_strengths(measures, own, fine[:, own], coarse[:, own.start // step : own.stop // step])

    crew.each(piece, pieces(columns))
    for each_measure in measures:
        large = enlarged(each_measure.coarsest, (coarse.shape[0], coarse.shape[1]), 8 // step)
        np.maximum(coarse, large, out=coarse)
    return fine, coarse


def _piece_strengths(measures: Sequence[_Measure], own: slice, fine: Floats, coarse: Floats) -> None:
    """The three finer maps of some columns, the two finest into `fine`, the third into `coarse`."""
    around = slice(max(0, own.start - NEAR_CELLS), own.stop + NEAR_CELLS)
    inner = slice(own.start - around.start, own.stop - around.start)
    fine[...] = 0
    for measure in measures:
        near, mean, small = near_maps(measure.flat[:, around], inner)
        step = coarse_step(len(fine))
        ratio = np.abs(small) * _of(measure.scales[2], slice(own.start // step, own.stop // step))
        np.maximum(coarse, ratio, out=coarse)
        for image, scale in zip((near, mean), measure.scales, strict=False):
            np.abs(image, out=image)
            image *= _of(scale, around)
            # Not by NumPy, which is a third as fast on a part of an image.
            cv2.max(fine, image[:, inner], dst=fine)


def _of(scale: Floats, columns: slice) -> Floats:
    return scale[columns] if scale.ndim else scale


def _measure(change: Floats, sigmas: Floats, limits: Floats, streaks: Sequence[tuple[int, int]]) -> _Measure:
    scales = [np.asarray(1 / (sigma * limit), np.float32) for sigma, limit in zip(sigmas, limits, strict=True)]
    flat = change
    if streaks:
        flat, lost = _without_lines(change, streaks)
        # A line that comes and goes is still that line: what differs by more than it does is another thing.
        for number, factor in enumerate((1, 1, coarse_step(len(change)), 8)):
            allowed = _shrunk_columns(lost, factor) * np.float32(_OWN_CHANGE)
            scales[number] = np.asarray(scales[number] / (1 + allowed * scales[number]), np.float32)
    return _Measure(flat=flat, scales=tuple(scales[:3]), coarsest=np.abs(coarse_map(flat)) * scales[3])


def _without_lines(change: Floats, streaks: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
    """The change with its lines taken off, and by columns how high they were, shape (columns,)."""
    lost = np.zeros(change.shape[1], np.float32)
    flat = change.copy()
    for start, end in streaks:
        beside = slice(max(0, start - BESIDE_STREAK), end + BESIDE_STREAK)
        line = np.median(flat[:, beside], axis=0)
        flat[:, beside] -= line
        # A line that wanders by a cell changes its neighbours by as much as it is high.
        lost[beside] = np.maximum(lost[beside], np.abs(line).max())
    return flat, lost


def _shrunk_columns(values: Floats, factor: int) -> Floats:
    """The largest of neighbouring values for each column of a map smaller by a factor."""
    if factor < 2:
        return values
    widest = cv2.dilate(values[None], np.ones((1, 2 * factor + 1), np.uint8))[0]
    count = max(1, values.size // factor)
    return np.asarray(widest[np.minimum(np.arange(count) * factor + factor // 2, values.size - 1)], np.float32)

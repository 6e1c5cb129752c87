"""Connected parts of what stands out, as boxes: all at once, so that thousands of them cost little more than ten."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.pyramid import Floats, coarse_step, enlarged, places

_CLOUD_GAP = 8
"""Cells; parts of a cloud that are no further apart, 0.6 mm at 20 µm/px, are one."""
_REACH = 2

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Parts of a strip, in no order: each array has shape (n,); rows and columns in cells, ends exclusive."""

    row_start: Indices
    row_end: Indices
    column_start: Indices
    column_end: Indices
    strength: Floats

    def __len__(self) -> int:
        return len(self.strength)


def parts_of(fine: Floats, coarse: Floats, most_fraction: float = 1.0) -> Parts | None:
    """Connected parts of what is above 1, parts nearer than two cells taken as one.

    A part is as large as the scale says at which it stands out most: a hole is strongest in the fine maps, although
    the coarse ones notice it in all of their large cells; a cloud the other way round.

    Args:
        fine: deviation over its limit in the finer maps, shape (rows, columns).
        coarse: in the coarser ones, shape (rows // step, columns // step) with the step of `pyramid.coarse_step`.
        most_fraction: of the area; where more is above 1 there are no parts to speak of, and None is returned.
    """
    outside, clouds = fine > 1, coarse > 1
    cloudy = bool(clouds.any())
    covered = outside | _over(clouds, outside) if cloudy else outside
    if np.count_nonzero(covered) > most_fraction * covered.size:
        return None
    if not cloudy:
        cells = _Cells.of(outside)
        return cells.boxes(cells.highest(fine))
    step = coarse_step(len(fine))
    square = np.ones((_CLOUD_GAP // step + 1,) * 2, np.uint8)
    closed = cv2.morphologyEx(clouds.view(np.uint8), cv2.MORPH_CLOSE, square) > 0
    if not np.array_equal(closed, clouds):
        covered = outside | _over(closed, outside)
    cells = _Cells.of(covered)
    strongest_fine, strongest_coarse = cells.highest(fine), cells.highest(coarse, step)
    strength = np.maximum(strongest_fine, strongest_coarse)
    small = (strongest_coarse > 1) & (strongest_coarse <= strongest_fine)
    if not small.any():
        return cells.boxes(strength)
    large = cells.boxes(strength, ~small)
    cells = cells.some(small[cells.part] & outside[cells.rows, cells.columns])
    return _joined(large, cells.boxes(cells.highest(fine)))


def _over(coarse: NDArray[np.bool_], fine: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A coarse mask on the cells of a finer one."""
    shape = fine.shape[0], fine.shape[1]
    return enlarged(coarse, shape, coarse_step(shape[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """Cells of a mask and which part each belongs to."""

    rows: Indices
    columns: Indices
    part: Indices
    count: int
    """Of parts."""
    shape: tuple[int, ...]

    @staticmethod
    def of(mask: NDArray[np.bool_]) -> _Cells:
        """All that are set."""
        rows, columns = places(mask)
        return _parted(rows, columns, mask.shape)

    def some(self, chosen: NDArray[np.bool_]) -> _Cells:
        """Those that are chosen, parted anew."""
        return _parted(self.rows[chosen], self.columns[chosen], self.shape)

    def highest(self, image: Floats, step: int = 1) -> Floats:
        """Highest value in each part, of an image whose cells are `step` of these wide."""
        found = np.zeros(self.count, np.float32)
        rows, columns = (
            ends if step == 1 else np.minimum(ends // step, size - 1)
            for ends, size in zip((self.rows, self.columns), image.shape, strict=True)
        )
        np.maximum.at(found, self.part, image[rows, columns])
        return found

    def boxes(self, strength: Floats, chosen: NDArray[np.bool_] | None = None) -> Parts:
        """The parts' boxes; what lies next to the strip's border is taken to reach it."""
        bounds = []
        for ends, size in ((self.rows, self.shape[0]), (self.columns, self.shape[1])):
            first, last = np.full(self.count, size, np.intp), np.zeros(self.count, np.intp)
            np.minimum.at(first, self.part, ends)
            np.maximum.at(last, self.part, ends)
            bounds += [np.where(first <= 1, 0, first), np.where(last >= size - 2, size, last + 1)]
        row_start, row_end, column_start, column_end = (bound if chosen is None else bound[chosen] for bound in bounds)
        return Parts(
            row_start=row_start,
            row_end=row_end,
            column_start=column_start,
            column_end=column_end,
            strength=strength if chosen is None else strength[chosen],
        )


def _parted(rows: Indices, columns: Indices, shape: tuple[int, ...]) -> _Cells:
    """Cells whose surroundings of one cell touch or overlap, in any direction, belong to the same part."""
    if not rows.size:
        return _Cells(rows=rows, columns=columns, part=rows, count=0, shape=shape)
    # Columns that lie further than two from any cell are left out: where so many go, parts still do not touch.
    kept = np.zeros(shape[1] + 2 * _REACH, np.bool_)
    for shift in range(2 * _REACH + 1):
        kept[columns + shift] = True
    narrow = np.cumsum(kept) - 1
    mask = np.zeros((shape[0], int(narrow[-1]) + 1), np.uint8)
    places_in = narrow[columns + _REACH]
    mask[rows, places_in] = 1
    count, labels = cv2.connectedComponents(cv2.dilate(mask, np.ones((3, 3), np.uint8)), connectivity=8)
    part = labels[rows, places_in].astype(np.intp) - 1
    return _Cells(rows=rows, columns=columns, part=part, count=count - 1, shape=shape)


def _joined(first: Parts, second: Parts) -> Parts:
    return Parts(
        row_start=np.concatenate((first.row_start, second.row_start)),
        row_end=np.concatenate((first.row_end, second.row_end)),
        column_start=np.concatenate((first.column_start, second.column_start)),
        column_end=np.concatenate((first.column_end, second.column_end)),
        strength=np.concatenate((first.strength, second.strength)),
    )

"""The only pass over the full resolution: a strip at a quarter, the extremes of each column, and who left the gate.

Bands of lines that stay in the cache are read once. Most columns of most bands are cleared by their highest and lowest
grey, before anybody knows under which light to judge; single pixels are only looked at where one of the two is outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.parallel import ALONE, Crew
from vision.pyramid import QUARTER, places

BAND_LINES = 128
"""Lines that are read at once and that extremes are taken over: fewer make more calls, more fall out of the cache."""
_SPARSE = 32
"""Where more than one in so many columns has something outside, every pixel of the band is compared."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What one pass over a plane keeps of it."""

    quarter: Bytes
    """The plane averaged over 4 x 4 pixels, as `pyramid.quarter` gives it."""
    highest: Bytes
    """Shape (bands, width): of each column in each band of `BAND_LINES`."""
    lowest: Bytes


def scans(planes: Bytes, crew: Crew = ALONE) -> tuple[Scan, ...]:
    """Scan every plane of a strip.

    Args:
        planes: shape (channels, lines, width), at least 4 x 4 each.
        crew: shares the work.
    """
    _, lines, width = planes.shape
    bands = -(-lines // BAND_LINES)
    made = tuple(
        Scan(
            quarter=np.empty((lines // QUARTER, width // QUARTER), np.uint8),
            highest=np.empty((bands, width), np.uint8),
            lowest=np.empty((bands, width), np.uint8),
        )
        for _ in planes
    )

    def scan_band(job: tuple[Bytes, Scan, int]) -> None:
        plane, scan, top = job
        _scan_band(plane[top : top + BAND_LINES], scan, top)

    tops = range(0, lines, BAND_LINES)
    crew.each(scan_band, [(plane, scan, top) for plane, scan in zip(planes, made, strict=True) for top in tops])
    return made


def _scan_band(band: Bytes, scan: Scan, top: int) -> None:
    np.maximum.reduce(band, axis=0, out=scan.highest[top // BAND_LINES])
    np.minimum.reduce(band, axis=0, out=scan.lowest[top // BAND_LINES])
    quarter = scan.quarter[top // QUARTER : top // QUARTER + len(band) // QUARTER]
    rows, columns = quarter.shape
    if rows:
        # Halving twice is five times as fast as quartering once, and rounds once more.
        half = cv2.resize(
            band[: QUARTER * rows, : QUARTER * columns], (2 * columns, 2 * rows), interpolation=cv2.INTER_AREA
        )
        cv2.resize(half, (columns, rows), dst=quarter, interpolation=cv2.INTER_AREA)


def cells_outside(plane: Bytes, scan: Scan, low: Bytes, high: Bytes) -> NDArray[np.bool_]:
    """Cells of the quarter image that hold a pixel outside the gate of its column.

    Args:
        plane: shape (lines, width).
        scan: of the plane.
        low: lowest good grey by column, shape (width,).
        high: highest.
    """
    last_row, last_column = (size - 1 for size in scan.quarter.shape)
    cells = np.zeros((last_row + 1, last_column + 1), np.bool_)
    suspect = (scan.highest > high) | (scan.lowest < low)
    for band in np.flatnonzero(suspect.any(axis=1)):
        top = int(band) * BAND_LINES
        lines, suspects = plane[top : top + BAND_LINES], np.flatnonzero(suspect[band])
        if _SPARSE * suspects.size > suspect.shape[1]:
            outside = (lines > high) | (lines < low)
            for axis in (0, 1):
                starts = np.arange(0, lines.shape[axis], QUARTER)
                outside = np.logical_or.reduceat(outside, starts, axis=axis)
            rows, columns = places(outside)
        else:
            few = lines[:, suspects]
            rows, within = places((few > high[suspects]) | (few < low[suspects]))
            rows, columns = rows // QUARTER, suspects[within] // QUARTER
        # What is left over at the end belongs to the last cell.
        cells[np.minimum(rows + top // QUARTER, last_row), np.minimum(columns, last_column)] = True
    return cells

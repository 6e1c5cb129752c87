"""A network's answer for an image of any size, put together from overlapping tiles that are mirrored at its borders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MARGIN_PX = 64
"""What a tile shows beyond the part that counts."""
TILE_PX = 512
"""Side of the part that counts; larger tiles gain less than 5 % and take more memory."""


def mapped(
    image: NDArray[np.uint8],
    answer: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    cell_px: int,
    multiple_px: int,
) -> NDArray[np.float32]:
    """A network's answer for a whole image, put together from its tiles.

    Args:
        answer: from a tile, shape (1, 1, height, width), to its map, shape (channels, rows, columns).
        cell_px: pixels per cell of that map; divides ``MARGIN_PX``.
        multiple_px: height and width of a tile are multiples of this.

    Returns:
        Shape (channels, ceil(height / cell_px), ceil(width / cell_px)).
    """
    height, width = image.shape
    margin = MARGIN_PX // cell_px
    bands = []
    for top in range(0, height, TILE_PX):
        rows = _mirrored(top - MARGIN_PX, min(TILE_PX, height - top), height, multiple_px)
        parts = []
        for left in range(0, width, TILE_PX):
            columns = _mirrored(left - MARGIN_PX, min(TILE_PX, width - left), width, multiple_px)
            tile = np.ascontiguousarray(image[rows[:, None], columns])
            inner = answer(tile[None, None])[:, margin:, margin:]
            parts.append(inner[:, : _cells(height - top, cell_px), : _cells(width - left, cell_px)])
        bands.append(np.concatenate(parts, axis=2))
    return np.concatenate(bands, axis=1)


def _cells(length_px: int, cell_px: int) -> int:
    return -(-min(length_px, TILE_PX) // cell_px)


def _mirrored(start: int, length: int, size: int, multiple: int) -> NDArray[np.intp]:
    """Indices from ``start`` over ``length`` and two margins, up to a multiple, mirrored at both ends of an axis."""
    total = -(-(length + 2 * MARGIN_PX) // multiple) * multiple
    indices = np.arange(start, start + total)
    if size == 1:
        return np.zeros(total, np.intp)
    period = 2 * (size - 1)
    folded = np.abs(indices) % period
    return np.asarray(np.minimum(folded, period - folded), np.intp)

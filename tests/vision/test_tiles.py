"""A map put together from tiles is that of the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vision.tiles import mapped

CELL_PX = 8


def cell_means(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows, columns = (size // CELL_PX for size in tile.shape[2:])
    return np.asarray(tile.reshape(1, rows, CELL_PX, columns, CELL_PX).mean(axis=(2, 4)), np.float32)


@pytest.mark.parametrize("shape", [(8, 8), (9, 200), (515, 40), (512, 512), (1100, 1300)])
def test_each_cell_has_the_answer_for_its_own_pixels_whatever_the_tiles(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    (cells,) = mapped(image, cell_means, CELL_PX, 32)
    assert cells.shape == tuple(-(-size // CELL_PX) for size in shape)
    rows, columns = (size // CELL_PX for size in shape)
    whole = image[: rows * CELL_PX, : columns * CELL_PX]
    np.testing.assert_allclose(cells[:rows, :columns], cell_means(whole[None, None])[0], atol=1e-3)

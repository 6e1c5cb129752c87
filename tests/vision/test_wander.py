"""Where the web is taken to lie: both edges must say so."""

from __future__ import annotations

import numpy as np
import pytest

from vision.pyramid import Floats
from vision.wander import Wander

CELLS, MARGIN, PIXEL_UM = 1_200, 18, 20.0
SHIFT_CELLS = 3


def coat(shift_cells: float) -> Floats:
    """Grey of a coat with a bead of 8 % at either edge, moved across the camera, shape (1, columns)."""
    columns = np.arange(CELLS) - shift_cells
    beads = np.exp(-columns / 40) + np.exp(-(CELLS - 1 - columns) / 40)
    return np.asarray(100 * (1 - 0.08 * beads), np.float32)[None]


def shown(ratios: Floats) -> int:
    wander = Wander(coat(0), MARGIN, PIXEL_UM)
    for _ in range(20):
        wander.followed(ratios)
    return wander.shift_um


@pytest.mark.parametrize("cells", [-SHIFT_CELLS, SHIFT_CELLS])
def test_beads_that_move_alike_are_a_web_that_moved(cells: int) -> None:
    assert shown(coat(cells) / coat(0)) == pytest.approx(cells * 4 * PIXEL_UM, abs=60)


@pytest.mark.parametrize("side", [slice(0, CELLS // 2), slice(CELLS // 2, CELLS)])
def test_a_cloud_at_one_edge_moves_no_web(side: slice) -> None:
    ratios = np.ones((1, CELLS), np.float32)
    ratios[:, side] = (coat(SHIFT_CELLS) / coat(0))[:, side]
    assert shown(ratios) == 0

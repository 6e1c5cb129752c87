from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vision.parallel import Crew
from vision.pixels import BAND_LINES, cells_outside, scans
from vision.pyramid import quarter


def plane_of(lines: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(lines).normal(100, 3, (lines, width)).round().astype(np.uint8)


def expected_cells(plane: NDArray[np.uint8], low: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[np.bool_]:
    cells = np.zeros((plane.shape[0] // 4, plane.shape[1] // 4), bool)
    for row, column in np.argwhere((plane < low) | (plane > high)):
        cells[min(row // 4, cells.shape[0] - 1), min(column // 4, cells.shape[1] - 1)] = True
    return cells


@pytest.mark.parametrize("lines", [8, 41, BAND_LINES, BAND_LINES + 3, 2 * BAND_LINES + 30])
@pytest.mark.parametrize("width", [400, 403])
@pytest.mark.parametrize("sigmas", [1.0, 3.5, 6.0])
def test_cells_with_a_pixel_outside_the_gate_are_found(lines: int, width: int, sigmas: float) -> None:
    plane = plane_of(lines, width)
    plane[-1, -1], plane[0, 0] = 255, 0
    level = np.linspace(99, 101, width)
    low, high = ((level + sign * 3 * sigmas).round().astype(np.uint8) for sign in (-1, 1))
    (scan,) = scans(plane[None])
    expected = expected_cells(plane, low, high)
    assert np.array_equal(cells_outside(plane, scan, low, high), expected)
    assert expected[0, 0] and expected[-1, -1]


@pytest.mark.parametrize("lines", [8, 41, 2 * BAND_LINES + 30])
def test_a_scan_holds_the_plane_at_a_quarter_and_the_extremes_of_its_columns(lines: int) -> None:
    planes = np.stack([plane_of(lines, 402), plane_of(lines + 1, 402)[:lines]])
    with Crew(2) as crew:
        for plane, scan in zip(planes, scans(planes, crew), strict=True):
            assert np.array_equal(scan.quarter, quarter(plane))
            assert np.array_equal(scan.highest.max(axis=0), plane.max(axis=0))
            assert np.array_equal(scan.lowest[-1], plane[(lines - 1) // BAND_LINES * BAND_LINES :].min(axis=0))

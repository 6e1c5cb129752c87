from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vision.parts import Parts, parts_of

Box = tuple[int, int, int, int]
NOTHING = np.zeros((16, 50), np.float32)


def fine_of(cells: dict[tuple[int, int], float], shape: tuple[int, int] = (64, 200)) -> NDArray[np.float32]:
    fine = np.zeros(shape, np.float32)
    for place, strength in cells.items():
        fine[place] = strength
    return fine


def found(fine: NDArray[np.float32], coarse: NDArray[np.float32] = NOTHING) -> dict[Box, float]:
    parts = parts_of(fine, coarse)
    assert isinstance(parts, Parts)
    ends = (parts.row_start, parts.row_end, parts.column_start, parts.column_end)
    return {
        (int(a), int(b), int(c), int(d)): round(float(strength), 3)
        for a, b, c, d, strength in zip(*ends, parts.strength, strict=True)
    }


@pytest.mark.parametrize("step", [(0, 3), (3, 0), (3, 3), (3, -3)])
def test_cells_with_two_between_them_are_one_part(step: tuple[int, int]) -> None:
    assert len(found(fine_of({(30, 90): 2.0, (30 + step[0], 90 + step[1]): 3.0}))) == 1


@pytest.mark.parametrize("step", [(0, 4), (4, 0), (4, 4), (4, -3), (0, 5), (2, 60)])
def test_cells_further_apart_are_two(step: tuple[int, int]) -> None:
    parts = found(fine_of({(30, 90): 2.0, (30 + step[0], 90 + step[1]): 3.0}))
    assert sorted(parts.values()) == [2.0, 3.0]


def test_a_part_at_the_border_reaches_it() -> None:
    parts = found(fine_of({(1, 40): 2.0, (62, 80): 3.0, (30, 198): 4.0, (30, 2): 5.0}))
    assert parts == {(0, 2, 40, 41): 2.0, (62, 64, 80, 81): 3.0, (30, 31, 198, 200): 4.0, (30, 31, 2, 3): 5.0}


def test_a_hole_that_the_coarse_map_notices_too_is_as_small_as_the_fine_map_says() -> None:
    coarse = NOTHING.copy()
    coarse[7, 22] = 1.5
    assert found(fine_of({(30, 90): 4.0, (31, 90): 3.0}), coarse) == {(30, 32, 90, 91): 4.0}


def test_a_cloud_is_as_large_as_the_coarse_map_says_and_gaps_in_it_are_closed() -> None:
    coarse = NOTHING.copy()
    coarse[4:8, 20] = coarse[4:8, 23] = 2.0
    assert found(fine_of({(20, 82): 1.2}), coarse) == {(16, 32, 80, 96): 2.0}


def test_more_than_allowed_above_the_limit_gives_no_parts() -> None:
    fine = fine_of({})
    fine[:32] = 2.0
    assert parts_of(fine, NOTHING, 0.49) is None
    assert parts_of(fine, NOTHING, 0.51) is not None

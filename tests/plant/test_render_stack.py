"""Corner pictures against the sheets that lie there, measured by an erf fit of their edges."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from line.stack_geometry import (
    CORNERS,
    HEIGHT_PX,
    PIXEL_UM,
    WIDTH_PX,
    corner_um,
    fiducials_um,
    machine_um,
    outward,
    overhang_um,
    pixel_of,
)
from plant.render_stack import StackBank, render_corners, stack_bank
from plant.truth_types import PlacedSheet

Profile = NDArray[np.float64]


@lru_cache
def bank() -> StackBank:
    return stack_bank(5)


def laminate(layer: int = 1, *, x: float = 0.0, y: float = 0.0, turn: float = 0.0) -> PlacedSheet:
    return PlacedSheet(
        stack="K-1", layer=layer, kind="laminate", offset_x_um=x, offset_y_um=y, rotation_urad=turn,
        size_x_um=142_013.0, size_y_um=101_991.0, frame_x_um=142_013.0, frame_y_um=101_991.0,
    )  # fmt: skip


def cathode(layer: int = 2, *, x: float = 0.0, y: float = 0.0, turn: float = 0.0) -> PlacedSheet:
    return PlacedSheet(
        stack="K-1", layer=layer, kind="cathode", offset_x_um=x, offset_y_um=y, rotation_urad=turn,
        size_x_um=139_989.0, size_y_um=100_017.0, frame_x_um=142_000.0, frame_y_um=102_000.0,
    )  # fmt: skip


def erf_edge_px(profile: Profile) -> float:
    """Place of the one edge in a profile: the erf of sigma 1 px that fits best, from its steepest point on."""
    place = np.arange(len(profile))
    at = float(np.argmax(np.abs(np.convolve(profile, [1, 0, -1], "valid")))) + 1
    for _ in range(20):
        step = np.array([0.5 * (1 + math.erf((p - at) / math.sqrt(2))) for p in place])
        slope = -np.exp(-((place - at) ** 2) / 2) / math.sqrt(2 * math.pi)
        level = np.linalg.lstsq(np.stack((np.ones_like(step), step), axis=1), profile, rcond=None)[0]
        left = profile - level[0] - level[1] * step
        at += float((left * slope).sum() / ((slope**2).sum() * level[1]))
    return at


def corner_from(picture: NDArray[np.uint8], near: tuple[float, float], corner: int) -> tuple[float, float]:
    """The corner (u, v) in a picture where two edges meet: lines through erf fits of averaged profiles, intersected."""
    sign_x, sign_y = outward(corner)
    u, v = round(near[0]), round(near[1])
    across, down = [], []
    for start in range(30, 1010, 20):
        # Inside is against the outward signs; rows grow against y.
        rows = sorted((v + sign_y * start, v + sign_y * (start + 20)))
        columns = sorted((u - sign_x * start, u - sign_x * (start + 20)))
        strip_x = picture[rows[0] : rows[1], u - 14 : u + 15].mean(axis=0)
        strip_y = picture[v - 14 : v + 15, columns[0] : columns[1]].mean(axis=1)
        across.append((np.mean(rows) - 0.5, u - 14 + erf_edge_px(strip_x)))
        down.append((np.mean(columns) - 0.5, v - 14 + erf_edge_px(strip_y)))
    (slope_x, at_x), (slope_y, at_y) = (robust_line(np.array(points)) for points in (across, down))
    found_v = (at_y + slope_y * at_x) / (1 - slope_x * slope_y)
    return at_x + slope_x * found_v, found_v


def robust_line(points: Profile) -> tuple[float, float]:
    """Slope and value at 0 of a line, without the tenth that lies farthest off: chips and burr."""
    kept = points
    for _ in range(3):
        slope, at = np.polyfit(kept[:, 0], kept[:, 1], 1)
        off = np.abs(points[:, 1] - at - slope * points[:, 0])
        kept = points[off <= np.quantile(off, 0.9)]
    return float(slope), float(at)


def test_pixels_and_machine_places_are_each_other_s_inverse_at_every_corner() -> None:
    for corner in CORNERS:
        for point in fiducials_um(corner):
            u, v = pixel_of(corner, *point)
            assert 220 < u < WIDTH_PX - 220
            assert 220 < v < HEIGHT_PX - 220
            assert machine_um(corner, u, v) == pytest.approx(point)


def test_corners_go_anticlockwise_from_the_operator_side_upstream() -> None:
    points = [corner_um(corner, 2.0, 2.0, 0.0, 0.0, 0.0) for corner in CORNERS]
    assert points[0] == (-1.0, -1.0)
    assert all(a[0] * b[1] - a[1] * b[0] > 0 for a, b in pairwise(points))
    with pytest.raises(ValueError, match="corner 5"):
        outward(5)


def corner_errors_px(sheet: PlacedSheet, below: list[PlacedSheet]) -> Profile:
    """Found less true place of the four corners, shape (4, 2)."""
    pictures = render_corners(sheet, below, bank())
    lies = (sheet.size_x_um, sheet.size_y_um, sheet.offset_x_um, sheet.offset_y_um, sheet.rotation_urad)
    truths = [pixel_of(corner, *corner_um(corner, *lies)) for corner in CORNERS]
    found = [corner_from(pictures[corner - 1], truth, corner) for corner, truth in zip(CORNERS, truths, strict=True)]
    errors: Profile = np.array(found) - np.array(truths)
    return errors


def test_a_laminate_s_corners_are_where_they_were_put_to_a_twentieth_of_a_pixel() -> None:
    errors = corner_errors_px(laminate(x=37.0, y=-61.0, turn=350.0), [])
    assert np.sqrt((errors**2).mean()) < 0.05
    assert np.abs(errors).max() < 0.1


def test_a_cathode_s_active_corners_are_the_border_of_black_and_frame() -> None:
    errors = corner_errors_px(cathode(x=-52.0, y=44.0, turn=-420.0), [laminate()])
    assert np.sqrt((errors**2).mean()) < 0.05
    assert np.abs(errors).max() < 0.1


def test_overhang_from_two_pictures_is_that_of_the_sheets_to_a_micrometre_or_two() -> None:
    lower, upper = laminate(x=20.0, y=-30.0, turn=200.0), cathode(x=-70.0, y=90.0, turn=-150.0)
    first, second = render_corners(lower, [], bank()), render_corners(upper, [lower], bank())
    for corner in CORNERS:
        points, truths = [], []
        for sheet, pictures in ((lower, first), (upper, second)):
            truth = corner_um(
                corner, sheet.size_x_um, sheet.size_y_um, sheet.offset_x_um, sheet.offset_y_um, sheet.rotation_urad
            )
            found = corner_from(pictures[corner - 1], pixel_of(corner, *truth), corner)
            truths.append(truth)
            points.append(machine_um(corner, *found))
        assert overhang_um(corner, *points) == pytest.approx(overhang_um(corner, *truths), abs=1.5)


def test_the_frame_hides_the_laminate_and_what_stands_out_shows() -> None:
    covered = render_corners(cathode(), [laminate()], bank(), noise_dn=0.0)[0]
    slipped = render_corners(cathode(x=400.0), [laminate()], bank(), noise_dn=0.0)[0]
    u, v = (round(place) for place in pixel_of(1, -71_000 + 200, -44_000))
    assert float(covered[v, u]) == pytest.approx(106, abs=12)
    assert float(slipped[v, u]) == pytest.approx(172, abs=20), (
        "400 µm of grey-white film stand out on the operator side"
    )


def test_fiducials_stand_still_while_sheets_move_and_move_when_the_camera_did() -> None:
    def centres(picture: NDArray[np.uint8], corner: int) -> list[tuple[float, float]]:
        found = []
        for point in fiducials_um(corner):
            u, v = (round(place) for place in pixel_of(corner, *point))
            # The window holds disc and plate, and nothing of the table.
            rows, columns = np.nonzero(picture[v - 140 : v + 141, u - 140 : u + 141] > 110)
            found.append((float(u - 140 + columns.mean()), float(v - 140 + rows.mean())))
        return found

    shifted = render_corners(laminate(x=300.0), [], bank(), shifts_um=(0.0, 0.0, 150.0, 0.0))
    for corner in CORNERS:
        moved_px = 150.0 / PIXEL_UM if corner == 3 else 0.0
        for found, point in zip(centres(shifted[corner - 1], corner), fiducials_um(corner), strict=True):
            u, v = pixel_of(corner, *point)
            # A camera that moved along x and y sees everything move against it; rows grow against y.
            assert found == pytest.approx((u - moved_px, v + moved_px), abs=0.05)


def test_the_same_placement_is_the_same_bytes_and_two_layers_differ() -> None:
    first = render_corners(laminate(), [], bank(), seed=3)
    assert np.array_equal(first, render_corners(laminate(), [], bank(), seed=3))
    other = render_corners(laminate(layer=3), [], bank(), seed=3)
    assert (first != other).mean() > 0.5

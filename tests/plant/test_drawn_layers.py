"""Readings of layers that no picture was taken of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from line import stack_geometry
from line.model import LineModel
from plant.drawn_layers import LayerDrawer
from plant.truth_types import PlacedSheet


def placed(layer: int, **changes: object) -> PlacedSheet:
    cathode = layer % 2 == 0
    sheet = PlacedSheet(
        stack="ST", layer=layer, kind="cathode" if cathode else "laminate", offset_x_um=0.0, offset_y_um=0.0,
        rotation_urad=0.0, size_x_um=140_000.0 if cathode else 142_000.0, size_y_um=100_000.0 if cathode else 102_000.0,
        frame_x_um=142_000.0, frame_y_um=102_000.0,
    )  # fmt: skip
    return replace(sheet, **changes)  # type: ignore[arg-type]


def test_a_layer_reads_the_true_overhang_of_every_corner_within_its_repeatability(line: LineModel) -> None:
    drawer = LayerDrawer(line, seed=1, sigma_um=0.0)
    laminate = placed(1, offset_x_um=30.0, offset_y_um=-20.0, rotation_urad=400.0)
    cathode = placed(2, offset_x_um=-80.0, offset_y_um=55.0, rotation_urad=-900.0, size_x_um=140_040.0)
    drawer.layer(laminate, 1, {})
    event = drawer.layer(cathode, 2, {})
    values = {row.place: row.value_um for row in event.overhangs}
    for corner in stack_geometry.CORNERS:
        points = [
            stack_geometry.corner_um(
                corner, row.size_x_um, row.size_y_um, row.offset_x_um, row.offset_y_um, row.rotation_urad
            )
            for row in (laminate, cathode)
        ]
        x_um, y_um = stack_geometry.overhang_um(corner, points[0], points[1])
        assert values[f"{corner}x"] == pytest.approx(x_um, abs=0.06)
        assert values[f"{corner}y"] == pytest.approx(y_um, abs=0.06)
    assert event.method == "drawn" and event.simulated


@pytest.mark.parametrize(
    ("offset_um", "verdict"), [(0.0, "pass"), (430.0, "mark"), (560.0, "reject"), (-560.0, "reject")]
)
def test_a_layer_is_judged_by_the_tolerances(line: LineModel, offset_um: float, verdict: str) -> None:
    drawer = LayerDrawer(line, seed=1, sigma_um=1.0)
    drawer.layer(placed(1), 1, {})
    assert drawer.layer(placed(2, offset_x_um=offset_um), 2, {}).verdict == verdict


def test_readings_scatter_by_the_repeatability_and_a_moved_camera_shows_at_its_corner(line: LineModel) -> None:
    drawer = LayerDrawer(line, seed=1)
    readings = []
    for stack in range(400):
        drawer.layer(placed(1, stack=f"S{stack}"), 1, {})
        event = drawer.layer(placed(2, stack=f"S{stack}"), 2, {1: 150.0})
        readings.append({row.place: row.value_um for row in event.overhangs})
    assert np.std([row["3x"] for row in readings]) == pytest.approx(8.0, rel=0.15)
    assert np.mean([row["1x"] for row in readings]) == pytest.approx(850, abs=2)
    assert np.mean([row["3x"] for row in readings]) == pytest.approx(1000, abs=2)


def test_a_laminate_has_no_readings_and_a_cathode_without_a_picture_below_is_uninspected(line: LineModel) -> None:
    drawer = LayerDrawer(line, seed=1)
    assert drawer.layer(placed(3), 1, {}).overhangs == ()
    event = drawer.layer(placed(2), 2, {})
    assert (event.overhangs, event.verdict) == ((), "uninspected")

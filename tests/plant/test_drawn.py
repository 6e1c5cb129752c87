"""Inspection results drawn through a detection curve."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replaced

from line import stack_geometry
from line.bundle import DetectionCurve, ModelRef
from line.events import FilmDefect, StripInspected
from line.model import LineModel
from line.relations_defects import detection_probability
from plant.drawn import FilmDrawer, LayerDrawer
from plant.hidden import drawn_hidden
from plant.truth_types import CameraHealth, Flaw, PlacedSheet

M = 1_000_000


def flaw_of(number: int, **changes: object) -> Flaw:
    flaw = Flaw(
        flaw=f"R/f{number}", roll="R", kind="AGG", md_um=500_000, cd_um=100_000, size_um=200.0, length_um=200.0,
        width_um=200.0, depth_fraction=0.3, angle_rad=0.0, born_ns=0, killer=False,
    )  # fmt: skip
    return replace(flaw, **changes)  # type: ignore[arg-type]


def drawer_of(line: LineModel, model: ModelRef, *, seed: int = 1, **more: object) -> FilmDrawer:
    return FilmDrawer(line, seed=seed, model=model, **more)  # type: ignore[arg-type]


def defects_of(events: list[FilmDefect | StripInspected]) -> list[FilmDefect]:
    return [event for event in events if isinstance(event, FilmDefect)]


@pytest.fixture
def quiet(line: LineModel) -> LineModel:
    """A line without false alarms."""
    return replaced(line, defect_model=replaced(line.defect_model, false_alarms_per_m2=0.0))


@pytest.mark.parametrize("size_um", [40.0, 60.0, 90.0])
def test_flaws_are_found_as_often_as_the_measured_curve_says(quiet: LineModel, model: ModelRef, size_um: float) -> None:
    curve = DetectionCurve(a50_um=55.0, s=0.3, measured=True, how="made")
    drawer = drawer_of(quiet, model, curves={"AGG": curve})
    flaws = [flaw_of(n, size_um=size_um, md_um=n * 100) for n in range(4000)]
    found = defects_of(drawer.strip("R", 0, M, flaws, CameraHealth(), 10))
    expected: float = detection_probability(size_um, 55.0, 0.3)
    assert len(found) / 4000 == pytest.approx(expected, abs=0.04)


def test_without_a_measured_curve_the_line_models_own_holds(quiet: LineModel, model: ModelRef) -> None:
    row = quiet.defect("PIN")
    flaws = [flaw_of(n, kind="PIN", size_um=row.pod_a50_um, md_um=n * 100) for n in range(3000)]
    found = defects_of(drawer_of(quiet, model).strip("R", 0, M, flaws, CameraHealth(), 10))
    assert len(found) / 3000 == pytest.approx(0.5, abs=0.04)


def test_a_strip_without_a_finding_was_still_inspected(quiet: LineModel, model: ModelRef) -> None:
    (event,) = drawer_of(quiet, model).strip("R", 2 * M, 3 * M, [], CameraHealth(), 77)
    assert isinstance(event, StripInspected)
    assert (event.md_start_um, event.md_end_um, event.cd_end_um) == (2 * M, 3 * M, 300_000)
    assert event.method == "drawn" and event.simulated and event.model == model and event.at_ns == 77
    assert event.defects_count == 0 and event.state == "inspected"


def test_a_finding_has_size_and_place_within_its_stated_uncertainty(quiet: LineModel, model: ModelRef) -> None:
    flaws = [flaw_of(n, md_um=1000 * n + 500, cd_um=1000 * (n % 290) + 2000) for n in range(900)]
    drawer = drawer_of(quiet, model)
    found = defects_of(drawer.strip("R", 0, M, flaws, CameraHealth(), 10))
    assert len(found) > 850
    away = [(event.md_start_um + event.md_end_um) / 2 % 1000 - 500 for event in found]
    assert np.mean(np.abs(away) < found[0].position_uncertainty_um) > 0.9
    assert np.mean([abs(event.size_um - 200) < event.size_uncertainty_um for event in found]) > 0.9
    assert {event.lane for event in found} == {0, 1, 2}
    right = np.mean([event.kind == "AGG" for event in found])
    assert 0.93 < right < 1.0
    assert len({event.defect for event in found}) == len(found)


def test_a_flaw_between_two_strips_is_told_once(quiet: LineModel, model: ModelRef) -> None:
    drawer = drawer_of(quiet, model)
    flaw = flaw_of(1, md_um=M - 1, size_um=900.0, length_um=900.0)
    both = [drawer.strip("R", start, start + M, [flaw], CameraHealth(), 10) for start in (0, M)]
    assert [len(defects_of(events)) for events in both] == [1, 0]


def test_a_line_across_strips_keeps_its_name_and_grows_by_revision(quiet: LineModel, model: ModelRef) -> None:
    drawer = drawer_of(quiet, model)
    pieces = [
        flaw_of(
            n,
            kind="STR",
            size_um=900.0,
            md_um=n * 500_000 + 250_000,
            length_um=503_000.0,
            width_um=900.0,
            cd_um=112_000,
        )
        for n in range(8)
    ]
    seen: list[FilmDefect] = []
    for start in range(0, 4 * M, M):
        inside = [
            piece
            for piece in pieces
            if piece.md_um + piece.length_um / 2 >= start and piece.md_um - piece.length_um / 2 <= start + M
        ]
        seen += defects_of(drawer.strip("R", start, start + M, inside, CameraHealth(), start))
    assert len({event.defect for event in seen}) == 1
    assert [event.revision for event in seen] == [1, 2, 3, 4]
    assert seen[-1].md_end_um - seen[-1].md_start_um == pytest.approx(4 * M, abs=10_000)
    assert len({event.id for event in seen}) == 4


def test_looking_twice_finds_the_same(quiet: LineModel, model: ModelRef) -> None:
    flaws = [flaw_of(n, size_um=60.0, md_um=n * 1000) for n in range(200)]
    first, second = (drawer_of(quiet, model).strip("R", 0, M, flaws, CameraHealth(), 10) for _ in range(2))
    assert first == second
    other = drawer_of(quiet, model, seed=2).strip("R", 0, M, flaws, CameraHealth(), 10)
    assert {event.md_start_um for event in defects_of(first)} != {event.md_start_um for event in defects_of(other)}


def test_what_no_table_names_comes_as_unknown_for_review(quiet: LineModel, model: ModelRef) -> None:
    unnamed = drawn_hidden(quiet, 2).unnamed()
    drawer = drawer_of(quiet, model, unnamed=unnamed)
    (event, _) = drawer.strip("R", 0, M, [flaw_of(1, kind=unnamed[0].code, size_um=2000.0)], CameraHealth(), 10)
    assert isinstance(event, FilmDefect)
    assert (event.kind, event.verdict) == ("unknown", "review")
    assert event.contrast_bf * unnamed[0].contrast_bf > 0


@pytest.mark.parametrize(
    ("kind", "size_um", "depth", "verdict", "severity"),
    [
        ("PIN", 31.0, 0.9, "reject", "A"),
        ("PIN", 29.0, 0.9, "pass", "A"),
        ("AGG", 151.0, 0.2, "reject", "B"),
        ("AGG", 100.0, 0.6, "pass", "A"),
        ("SCR", 61.0, 0.1, "reject", "B"),
    ],
)
def test_verdicts_follow_the_reject_limits_of_the_line_model(
    line: LineModel, model: ModelRef, kind: str, size_um: float, depth: float, verdict: str, severity: str
) -> None:
    found = drawer_of(line, model).judged(kind, size_um, depth)
    assert found[:2] == (severity, verdict)
    assert ("above" in found[2]) == (verdict == "reject")


def test_flaws_that_come_after_the_camera_are_not_seen(quiet: LineModel, model: ModelRef) -> None:
    later = flaw_of(1, kind="BLI", size_um=9000.0, born_ns=11)
    assert defects_of(drawer_of(quiet, model).strip("R", 0, M, [later], CameraHealth(), 10)) == []


def test_an_aged_lamp_gives_seven_times_the_false_alarms_and_finds_less(line: LineModel, model: ModelRef) -> None:
    drawer = drawer_of(line, model)
    aged = CameraHealth(lamp_bf=0.88)
    counts = [
        sum(len(defects_of(drawer.strip("R", n * 100 * M, (n + 1) * 100 * M, [], health, n))) for n in range(60))
        for health in (CameraHealth(), aged)
    ]
    assert counts[0] == pytest.approx(0.02 * 1800, rel=0.5)
    assert counts[1] / counts[0] == pytest.approx(math.exp(2), rel=0.5)
    flaws = [flaw_of(n, size_um=60.0, md_um=n * 100) for n in range(2000)]
    seen, dim = (
        len(defects_of(drawer_of(line, model).strip("R", 0, M, flaws, health, 1))) for health in (CameraHealth(), aged)
    )
    assert dim < 0.8 * seen


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

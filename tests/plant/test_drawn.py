"""Inspection results drawn through a detection curve."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replaced

from line.bundle import DetectionCurve, ModelRef
from line.events import FilmDefect, StripInspected
from line.model import LineModel
from line.relations_defects import detection_probability
from plant.drawn import FilmDrawer
from plant.hidden import drawn_hidden
from plant.truth_types import CameraHealth, Flaw

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
    assert (event.mean_grey_bf, event.mean_grey_df, event.mean_grey_tx) == (150.0, 25.0, 90.0)


def test_a_camera_without_transmission_has_no_grey_of_it(quiet: LineModel, model: ModelRef) -> None:
    cameras = tuple(replaced(row, channels=("BF", "DF")) if row.kind == "film" else row for row in quiet.cameras)
    (event,) = drawer_of(replaced(quiet, cameras=cameras), model).strip("R", 0, M, [], CameraHealth(), 77)
    assert isinstance(event, StripInspected)
    assert (event.mean_grey_bf, event.mean_grey_df, event.mean_grey_tx) == (150.0, 25.0, None)


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


def sides_of(quiet: LineModel, model: ModelRef, **changes: object) -> FilmDefect:
    """What is drawn of a large flaw that is named as what it is."""
    drawer = drawer_of(quiet, model)
    for number in range(10):
        (event, *_) = drawer.strip("R", 0, M, [flaw_of(number, **changes)], CameraHealth(), 10)
        if isinstance(event, FilmDefect) and event.kind == changes["kind"]:
            return event
    raise AssertionError("never named as what it is")


def test_the_sides_follow_from_the_size_by_the_classs_own_measure(quiet: LineModel, model: ModelRef) -> None:
    disc = sides_of(quiet, model, kind="AGG", size_um=400.0)
    aspect = quiet.defect("AGG").aspect or 1.0
    assert disc.length_um * disc.width_um == pytest.approx(disc.size_um**2, rel=0.01)
    assert disc.length_um / disc.width_um == pytest.approx(aspect, rel=0.01)
    assert disc.area_um2 == pytest.approx(math.pi / 4 * disc.size_um**2, rel=0.01)
    thread = sides_of(quiet, model, kind="FIB", size_um=900.0, length_um=600.0, width_um=700.0)
    assert thread.length_um == thread.size_um
    assert thread.width_um == pytest.approx(thread.size_um / 4, rel=0.01)
    line = sides_of(quiet, model, kind="SCR", size_um=200.0, length_um=16_000.0)
    assert line.length_um == pytest.approx(16_000, abs=2)
    assert line.width_um == line.size_um
    assert line.area_um2 == pytest.approx(line.length_um * line.width_um, rel=0.01)


def test_a_depth_lies_within_its_stated_uncertainty_of_the_true_one(quiet: LineModel, model: ModelRef) -> None:
    flaws = [flaw_of(n, md_um=1000 * n + 500, depth_fraction=0.2 + 0.0005 * n) for n in range(900)]
    true = {event.defect: flaw.depth_fraction for event, flaw in drawn_one_by_one(quiet, model, flaws)}
    found = [event for event, _ in drawn_one_by_one(quiet, model, flaws) if event.kind == "AGG"]
    assert len(found) > 800
    inside = []
    for event in found:
        assert event.depth_fraction is not None and event.depth_uncertainty_fraction is not None
        inside.append(abs(event.depth_fraction - true[event.defect]) < event.depth_uncertainty_fraction)
    assert 0.92 < np.mean(inside) < 0.98
    # Grave is what is seen as deep, not what is.
    assert all((event.severity == "A") == ((event.depth_fraction or 0) >= 0.5) for event in found)


def drawn_one_by_one(quiet: LineModel, model: ModelRef, flaws: list[Flaw]) -> list[tuple[FilmDefect, Flaw]]:
    drawer = drawer_of(quiet, model)
    both = [(drawer.strip("R", flaw.md_um - 500, flaw.md_um + 500, [flaw], CameraHealth(), 10), flaw) for flaw in flaws]
    return [(event, flaw) for events, flaw in both for event in defects_of(events)]


@pytest.mark.parametrize(("kind", "size_um"), [("MET", 400.0), ("CRK", 2000.0), ("PIN", 39.0)])
def test_light_tells_no_depth_of_what_is_no_film_or_too_small(
    quiet: LineModel, model: ModelRef, kind: str, size_um: float
) -> None:
    curves = {kind: DetectionCurve(a50_um=5.0, s=0.1, measured=True, how="made")}
    drawer = drawer_of(quiet, model, curves=curves)
    found = defects_of(drawer.strip("R", 0, M, [flaw_of(1, kind=kind, size_um=size_um)], CameraHealth(), 10))
    assert [(event.depth_fraction, event.depth_uncertainty_fraction) for event in found] == [(None, None)]


def test_a_streak_is_as_deep_as_its_deepest_piece(quiet: LineModel, model: ModelRef) -> None:
    drawer = drawer_of(quiet, model)
    told = []
    for number, depth in enumerate((0.05, 0.6, 0.1)):
        piece = flaw_of(number, kind="STR", size_um=900.0, width_um=900.0, depth_fraction=depth, length_um=1_003_000.0,
                        md_um=number * M + M // 2)  # fmt: skip
        told += defects_of(drawer.strip("R", number * M, (number + 1) * M, [piece], CameraHealth(), number))
    first, second, third = (event.depth_fraction for event in told)
    assert first is not None and first < 0.2
    assert second is not None and second > 0.3
    assert third == second


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
    assert [event.length_um for event in seen] == [event.md_end_um - event.md_start_um for event in seen]
    assert {event.width_um == event.size_um for event in seen} == {True}
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
    assert (event.contrast_bf or 0.0) * unnamed[0].contrast_bf > 0


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

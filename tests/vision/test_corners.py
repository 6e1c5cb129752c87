from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from line.errors import UnusableFrameError
from line.evidence import Evidence
from line.model import Product, load_line
from line.stack_geometry import CORNERS, PIXEL_UM, PLACES, overhang_um
from tests.vision.made_stack import Lying, cathode, corner_header, corner_pictures, laminate
from vision.corners import Outline, Reading, outline, overhangs
from vision.edges import disc_centre, first_edge, same_edge
from vision.stacks import StackInspector, judged

Pictures = NDArray[np.uint8]
LOWER = laminate(30, -45, 300)
UPPER = cathode(-80, 60, -400)


@pytest.fixture(scope="module")
def laminate_pictures() -> Pictures:
    return corner_pictures([LOWER])


@pytest.fixture(scope="module")
def cathode_pictures() -> Pictures:
    return corner_pictures([LOWER, UPPER], seed=1)


@pytest.fixture(scope="module")
def product() -> Product:
    return load_line().product()


def corner_errors_um(found: Outline, sheet: Lying) -> NDArray[np.float64]:
    return np.array([np.subtract(found.corners[corner], sheet.corner(corner)) for corner in CORNERS])


def edge_piece(at_px: float, tilt: float = 0.0, noise: float = 2.0, rows: int = 600) -> NDArray[np.uint8]:
    """A piece that is 170 on the left and 60 on the right of an edge."""
    from math import erf

    rng = np.random.default_rng(3)
    u, v = np.arange(120)[None, :], np.arange(rows)[:, None]
    distance = at_px + tilt * v - u
    share = 0.5 * (1 + np.vectorize(erf)(distance / np.sqrt(2)))
    grey = np.clip(np.rint(60 + 110 * share + noise * rng.standard_normal((rows, 120))), 0, 255)
    return np.asarray(grey, np.uint8)


@pytest.mark.parametrize("at_px", [50.0, 50.25, 50.5, 61.8])
def test_an_edge_is_found_to_a_fiftieth_of_a_pixel(at_px: float) -> None:
    edge = first_edge(edge_piece(at_px, tilt=0.003), falling=True, least_step=25)
    assert edge.position(0) == pytest.approx(at_px, abs=0.02)
    assert edge.slope == pytest.approx(0.003, abs=1e-4)


def test_chips_in_a_fifth_of_the_edge_do_not_pull_it() -> None:
    piece = edge_piece(50.0)
    for row in range(100, 220):
        piece[row, 44:] = np.roll(piece[row], -4)[44:]
    assert first_edge(piece, falling=True, least_step=25).at == pytest.approx(50.0, abs=0.05)


def test_a_piece_without_an_edge_is_refused() -> None:
    flat = np.full((600, 120), 100, np.uint8)
    with pytest.raises(UnusableFrameError, match="no falling edge"):
        first_edge(flat, falling=True, least_step=25)


def test_the_fingerprint_tells_one_edge_from_another(laminate_pictures: Pictures) -> None:
    again = outline(corner_pictures([LOWER], seed=9), "laminate")
    found = outline(laminate_pictures, "laminate")
    assert same_edge(found.prints["1x"], again.prints["1x"]) > 0.8
    assert abs(same_edge(found.prints["1x"], again.prints["4x"])) < 0.3


def test_a_disc_is_found_to_a_fiftieth_of_a_pixel() -> None:
    v, u = np.mgrid[0:400, 0:400]
    rng = np.random.default_rng(1)
    picture = 16 + 206 * np.clip(100.5 - np.hypot(u - 203.3, v - 190.7), 0, 1) + 2 * rng.standard_normal((400, 400))
    # Light that falls off across the disc must not move it.
    picture *= 1 + 1e-4 * (u - 200)
    found = disc_centre(np.clip(np.rint(picture), 0, 255).astype(np.uint8), (220, 170), 100.0, reach=80)
    assert found[:2] == pytest.approx((203.3, 190.7), abs=0.03)


def test_the_corners_of_a_laminate_are_true_to_a_tenth_of_a_pixel(laminate_pictures: Pictures) -> None:
    found = outline(laminate_pictures, "laminate")
    assert np.abs(corner_errors_um(found, LOWER)).max() < 0.1 * PIXEL_UM
    assert found.offset_x_um == pytest.approx(30, abs=0.5)
    assert found.offset_y_um == pytest.approx(-45, abs=0.5)
    assert found.rotation_urad == pytest.approx(300, abs=15)


def test_the_active_corners_of_a_cathode_are_true_to_a_tenth_of_a_pixel(cathode_pictures: Pictures) -> None:
    assert np.abs(corner_errors_um(outline(cathode_pictures, "cathode"), UPPER)).max() < 0.1 * PIXEL_UM


def test_all_eight_overhangs_hold_the_truth_within_their_uncertainty(
    laminate_pictures: Pictures, cathode_pictures: Pictures
) -> None:
    readings = overhangs(outline(laminate_pictures, "laminate"), outline(cathode_pictures, "cathode"))
    assert tuple(reading.place for reading in readings) == PLACES
    for reading in readings:
        corner = int(reading.place[0])
        truth = overhang_um(corner, LOWER.corner(corner), UPPER.corner(corner))["xy".index(reading.place[1])]
        assert abs(reading.value_um - truth) <= reading.uncertainty_um
        # What moves when the next sheet is set down is the largest part of it.
        assert 10 <= reading.uncertainty_um <= 25


def test_a_camera_that_moved_changes_no_overhang(laminate_pictures: Pictures) -> None:
    moved = outline(corner_pictures([LOWER, UPPER], shifts_um=(150, 0, -80, 0), seed=2), "cathode")
    assert np.abs(corner_errors_um(moved, UPPER)).max() < 0.1 * PIXEL_UM
    assert moved.camera_shift_um[1] == pytest.approx((-150, -150), abs=1)
    assert moved.camera_shift_um[2] == pytest.approx((0, 0), abs=1)


def narrow_frame(x_um: float) -> Lying:
    """A cathode whose frame stands out along y and leaves room along x."""
    return replace(cathode(x_um), outline_um=(142_000.0, 102_200.0))


def test_an_edge_hidden_by_a_lower_laminate_follows_from_the_opposite_one() -> None:
    lower, frame, upper = laminate(90, 0), narrow_frame(-160), laminate(-40, 0)
    first = outline(corner_pictures([lower]), "laminate")
    found = outline(corner_pictures([lower, frame, upper], seed=4), "laminate", [first])
    assert found.inferred == ("2x", "3x")
    assert np.abs(corner_errors_um(found, upper)).max() < 2.0
    assert found.sigma_um["2x"] > 30


def test_a_sheet_that_would_be_too_large_is_not_believed() -> None:
    lower, frame, upper = laminate(160, 0), narrow_frame(-160), laminate(-40, 0)
    found = outline(corner_pictures([lower, frame, upper], seed=4), "laminate")
    assert {"2x", "3x"} <= set(found.inferred)
    assert found.sigma_um["2x"] > 30


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda pictures: pictures[2].fill(172), "corner 3: machine mark"),
        (lambda pictures: pictures[1, 400:1600, 700:].fill(172), "corner 2"),
    ],
)
def test_what_is_not_found_is_named(laminate_pictures: Pictures, spoil: Callable[[Pictures], None], says: str) -> None:
    pictures = laminate_pictures.copy()
    spoil(pictures)
    with pytest.raises(UnusableFrameError, match=says):
        outline(pictures, "laminate")


def test_a_cathode_in_the_place_of_a_laminate_is_not_measured_as_one(cathode_pictures: Pictures) -> None:
    with pytest.raises(UnusableFrameError, match="missing, flipped or of another kind"):
        outline(cathode_pictures, "laminate")


def readings_of(lowest_um: float, doubt_um: float = 12.0) -> tuple[Reading, ...]:
    values = [1000.0] * 7 + [lowest_um]
    return tuple(
        Reading(place=place, value_um=value, uncertainty_um=doubt_um)
        for place, value in zip(PLACES, values, strict=True)
    )


@pytest.mark.parametrize(
    ("value_um", "verdict"),
    [(499.0, "reject"), (505.0, "review"), (520.0, "pass"), (1000.0, "pass"), (1495.0, "review"), (1501.0, "reject")],
)
def test_a_layer_is_judged_by_its_worst_place_with_a_guard_band(
    product: Product, value_um: float, verdict: str
) -> None:
    answer, worst = judged(readings_of(value_um), product.stack)
    assert answer == verdict
    if verdict != "pass":
        assert worst.place == PLACES[-1]


def test_a_layer_that_lies_well_passes_with_its_numbers(
    product: Product, laminate_pictures: Pictures, cathode_pictures: Pictures
) -> None:
    inspector = StackInspector(product, now_ns=lambda: 30_000_000)
    first = inspector.inspect(corner_header(1, "laminate"), laminate_pictures)
    second = inspector.inspect(corner_header(2, "cathode"), cathode_pictures)
    assert (first.verdict, first.overhangs, first.kind) == ("pass", (), "laminate")
    assert (second.verdict, len(second.overhangs), second.method) == ("pass", 8, "pixels")
    assert second.offset_x_um == pytest.approx(-80, abs=1)
    assert second.latency_ms == 30.0
    assert second.calibration == "stack_geometry"
    assert second.images == ()


def test_a_layer_outside_its_limits_is_rejected_with_place_value_and_picture(
    product: Product, laminate_pictures: Pictures, tmp_path_factory: pytest.TempPathFactory
) -> None:
    evidence = Evidence(tmp_path_factory.mktemp("e"))
    inspector = StackInspector(product, now_ns=lambda: 0, evidence=evidence)
    inspector.inspect(corner_header(1, "laminate"), laminate_pictures)
    slipped = corner_pictures([LOWER, cathode(600, 0)], seed=5)
    layer = inspector.inspect(corner_header(2, "cathode"), slipped)
    assert layer.verdict == "reject"
    assert re.match(r"layer 2, 4x: overhang 1\.58\d ± 0\.01\d mm, allowed 0\.50 to 1\.50 mm", layer.reason), (
        layer.reason
    )
    assert evidence.get(layer.images[0]) is not None


def test_a_cathode_on_a_laminate_that_was_not_seen_is_uninspected(product: Product, cathode_pictures: Pictures) -> None:
    layer = StackInspector(product, now_ns=lambda: 0).inspect(corner_header(2, "cathode"), cathode_pictures)
    assert (layer.verdict, layer.overhangs) == ("uninspected", ())
    assert "layer 1, was not measured" in layer.reason


def test_a_layer_whose_edge_is_not_found_is_uninspected_and_says_which(
    product: Product, laminate_pictures: Pictures
) -> None:
    blank = laminate_pictures.copy()
    blank[0] = 60
    layer = StackInspector(product, now_ns=lambda: 0).inspect(corner_header(1, "laminate"), blank)
    assert layer.verdict == "uninspected"
    assert "corner 1" in layer.reason


def test_the_same_layer_has_the_same_id_again(product: Product, laminate_pictures: Pictures) -> None:
    ids = {
        StackInspector(product, now_ns=lambda: 0).inspect(corner_header(1, "laminate"), laminate_pictures).id
        for _ in range(2)
    }
    assert len(ids) == 1

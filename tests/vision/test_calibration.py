from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from line.calibration import Calibration, Target, holds
from line.errors import UnusableFrameError
from line.events import Measure
from tests.vision.made_target import CHANNELS, MadeTarget
from vision.calibration import Figures, Limits, lp_per_mm, target_figures, tile_measures
from vision.target import seen_target

SHIFTS = ((0.0, 0.0), (0.31, -0.12), (-0.24, 0.22))


def small(**changes: Any) -> MadeTarget:
    return MadeTarget(width_px=1400, lines=640, squares_across=2, **changes)


def figures_of(made: MadeTarget, planes: NDArray[np.uint8], limits: Limits | None = None) -> Figures:
    return target_figures(planes, CHANNELS, made.target, nominal_um=20.0, limits=limits or Limits())


def value(measures: tuple[Measure, ...], quantity: str, channel: str = "") -> Measure:
    (found,) = (row for row in measures if (row.quantity, row.channel) == (quantity, channel))
    return found


@pytest.fixture(scope="module")
def made() -> MadeTarget:
    """A camera whose pixel, lines and channels are a little off, and whose lens is a little tilted."""
    return small(pixel_um=20.031, line_um=19.962, shifts_px=SHIFTS, blur_px=0.5, blur_right_px=0.9)


@pytest.fixture(scope="module")
def planes(made: MadeTarget) -> NDArray[np.uint8]:
    return made.planes()


@pytest.fixture(scope="module")
def figures(made: MadeTarget, planes: NDArray[np.uint8]) -> Figures:
    return figures_of(made, planes)


def test_um_per_pixel_and_per_line_are_true_to_one_in_ten_thousand(figures: Figures) -> None:
    assert figures.pixel_um == pytest.approx(20.031, rel=1e-4)
    assert figures.line_um == pytest.approx(19.962, rel=1e-4)
    for quantity, truth in (("pixel", 20.031), ("line", 19.962)):
        row = value(figures.measures, quantity)
        assert row.uncertainty is not None
        assert abs(row.value - truth) <= row.uncertainty <= 2e-4 * truth


def test_registration_of_the_channels_is_true_to_a_twentieth_of_a_pixel(figures: Figures) -> None:
    for channel, (right, down) in zip(CHANNELS[1:], SHIFTS[1:], strict=True):
        assert value(figures.measures, "shift_cd", channel).value == pytest.approx(right, abs=0.05)
        assert value(figures.measures, "shift_md", channel).value == pytest.approx(down, abs=0.05)
        worst = value(figures.measures, "shift_worst", channel).value
        assert worst == pytest.approx(np.hypot(right, down), abs=0.05)


def test_focus_is_true_to_five_percent_where_each_square_stands(made: MadeTarget, figures: Figures) -> None:
    squares = [row for row in figures.measures if row.quantity.startswith("mtf50_cd@") and row.channel == "BF"]
    assert len(squares) == 2
    for row in squares:
        column = float(row.quantity.removeprefix("mtf50_cd@").removesuffix("mm")) * 1000 / 20
        blur_px = 0.5 + 0.4 * column / made.width_px
        assert row.value == pytest.approx(made.mtf50_cpp(blur_px), rel=0.05)
    left, right = (row.value for row in squares)
    assert left > 1.1 * right


def test_both_directions_and_all_channels_are_looked_at(figures: Figures) -> None:
    seen = {(row.quantity.partition("@")[0], row.channel) for row in figures.measures if "mtf50_" in row.quantity}
    assert seen == {(quantity, channel) for quantity in ("mtf50_cd", "mtf50_md") for channel in CHANNELS}


def test_white_noise_and_evenness_are_those_of_the_lamp(figures: Figures) -> None:
    assert value(figures.measures, "white", "BF").value == pytest.approx(200, rel=0.03)
    assert value(figures.measures, "white", "DF").value == pytest.approx(100, rel=0.03)
    assert value(figures.measures, "noise", "BF").value == pytest.approx(1.04, abs=0.1)
    assert value(figures.measures, "uneven", "BF").value == pytest.approx(0.2 / (1 - 0.2 / 3), abs=0.02)


def test_a_camera_within_its_limits_passes(figures: Figures) -> None:
    assert [row for row in figures.measures if not holds(row)] == []


def test_lp_per_mm_counts_on_the_film() -> None:
    assert lp_per_mm(0.25, 20.0) == pytest.approx(12.5)


@pytest.mark.parametrize(
    ("changes", "quantity"),
    [
        ({"pixel_um": 20.3}, "pixel"),
        ({"line_um": 20.2}, "line"),
        ({"blur_px": 1.4}, "mtf50"),
        ({"white": (150.0, 100.0, 200.0)}, "white"),
        ({"shifts_px": ((0.0, 0.0), (0.8, 0.0), (0.0, 0.0))}, "shift_cd"),
        ({"barrel_px": 20.0}, "distortion"),
    ],
)
def test_a_camera_outside_a_limit_does_not_pass_and_the_quantity_is_named(
    changes: dict[str, Any], quantity: str
) -> None:
    made = small(**changes)
    failed = {row.quantity for row in figures_of(made, made.planes()).measures if not holds(row)}
    assert quantity in failed


def test_only_what_fails_is_named(figures: Figures) -> None:
    made = small(white=(150.0, 100.0, 200.0))
    failed = [row for row in figures_of(made, made.planes()).measures if not holds(row)]
    assert [(row.quantity, row.channel) for row in failed] == [("white", "BF")]
    assert failed[0].low == pytest.approx(180)


def test_a_picture_of_film_is_no_target() -> None:
    film = np.random.default_rng(1).normal(150, 4, (640, 1400)).astype(np.uint8)
    with pytest.raises(UnusableFrameError, match="no target in view"):
        seen_target(film, Target(), 20.0)


def test_another_pitch_than_stated_is_refused_and_asked_about(planes: NDArray[np.uint8]) -> None:
    with pytest.raises(UnusableFrameError, match="is the target's pitch as stated"):
        target_figures(planes, CHANNELS, Target(pitch_um=2_600.0), nominal_um=20.0, limits=Limits())


def test_a_channel_that_does_not_see_the_target_is_named(made: MadeTarget, planes: NDArray[np.uint8]) -> None:
    dark = planes.copy()
    dark[2] = 40
    with pytest.raises(UnusableFrameError, match="TX: no target in view"):
        figures_of(made, dark)


def test_dirt_on_the_target_does_not_move_the_scale(made: MadeTarget, planes: NDArray[np.uint8]) -> None:
    dirty = planes.copy()
    rng = np.random.default_rng(3)
    for _ in range(40):
        row, column = int(rng.integers(600)), int(rng.integers(1350))
        dirty[:, row : row + 20, column : column + 24] = 30
    assert figures_of(made, dirty).pixel_um == pytest.approx(20.031, rel=1e-4)


@pytest.fixture(scope="module")
def calibration(made: MadeTarget, figures: Figures) -> Calibration:
    return Calibration(
        calibration="fins-1-x",
        camera="fins-1",
        station="S05",
        person="ada",
        at_ns=0,
        valid_until_ns=1,
        recalibrate_by_ns=2,
        pixel_um=figures.pixel_um,
        line_um=figures.line_um,
        nominal_um=20.0,
        target=made.target,
        frames_count=3,
        frames_digest="",
        simulated=False,
        measures=figures.measures,
    )


def test_the_reference_tile_says_that_nothing_has_changed(made: MadeTarget, calibration: Calibration) -> None:
    rows = tile_measures(made.planes(5), CHANNELS, calibration, limits=Limits())
    assert {row.quantity for row in rows} == {"white", "mtf50", "shift_cd", "shift_md"}
    assert all(holds(row) for row in rows)


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"white": (170.0, 100.0, 200.0)}, {("white", "BF")}),
        ({"blur_px": 1.0, "blur_right_px": 1.2}, {("mtf50", channel) for channel in CHANNELS}),
        ({"shifts_px": ((0.0, 0.0), (0.8, -0.12), (-0.24, 0.22))}, {("shift_cd", "DF")}),
    ],
)
def test_the_reference_tile_says_what_has_changed(
    made: MadeTarget, calibration: Calibration, changes: dict[str, Any], failed: set[tuple[str, str]]
) -> None:
    kept = {name: getattr(made, name) for name in ("pixel_um", "line_um", "shifts_px", "blur_px", "blur_right_px")}
    planes = small(**(kept | changes)).planes(6)
    rows = tile_measures(planes, CHANNELS, calibration, limits=Limits())
    assert {(row.quantity, row.channel) for row in rows if not holds(row)} == failed


def test_a_calibration_survives_its_file(calibration: Calibration) -> None:
    assert msgspec.json.decode(msgspec.json.encode(calibration), type=Calibration) == calibration

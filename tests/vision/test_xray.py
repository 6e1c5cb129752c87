"""X-ray side views: rendered stacks whose truth is known, and real ones where they are at hand."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from line.errors import FrameError, UnusableFrameError
from line.inspection_files import XrayStackResult
from vision.images import read_image
from vision.xray import XrayStack, inspect_xray
from vision.xray_overlay import xray_overlay

REAL = Path(__file__).parents[2].parent / "shared/data/xray_stack"
FINER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedStack:
    """A picture with the body to the left, and where its plates end."""

    image: NDArray[np.uint8]
    tips: NDArray[np.float64]


def rendered_stack(
    *,
    plates: int = 20,
    spacing_px: float = 10.0,
    spread_px: float = 3.0,
    slope: float = 0.02,
    noise_grey: float = 3.0,
    blur_px: float = 1.2,
    tray: bool = False,
    fork: bool = False,
    missing: int | None = None,
    seed: int = 1,
) -> RenderedStack:
    """Attenuation of thin plates and a body, eight times finer across than the picture, then optics, noise and 8 bit.

    Plates end sharply at known sub-pixel places before the blur, which is symmetric in brightness, so that the
    steepest rise is the tip.
    """
    rng = np.random.default_rng(seed)
    height, width = round(spacing_px * (plates + 22)), round(spacing_px * 50)
    tip_x = spacing_px * 28 + rng.normal(0, spread_px, plates)
    tip_y = spacing_px * (10 + np.arange(plates)) + rng.normal(0, 0.08 * spacing_px, plates)
    y = np.arange(height, dtype=np.float32)[:, None]
    x = ((np.arange(width * FINER, dtype=np.float32) + 0.5) / FINER - 0.5)[None]
    body_x = spacing_px * 22
    depth = np.zeros((height, width * FINER), np.float32)
    for k in range(plates):
        if k == missing:
            continue
        rows = slice(round(tip_y[k] - 2 * spacing_px), round(tip_y[k] + 2 * spacing_px))
        across = np.float32(tip_y[k]) - y[rows] + np.float32(slope) * (x - np.float32(tip_x[k]))
        depth[rows] += 0.9 * np.exp(-0.5 * (across / np.float32(0.17 * spacing_px)) ** 2) * (x < tip_x[k])
        across += np.float32(0.5 * spacing_px)
        depth[rows] += (
            0.04 * np.exp(-0.5 * (across / np.float32(0.1 * spacing_px)) ** 2) * (x < tip_x[k] + 7 * spacing_px)
        )
    top, bottom = tip_y[0] - 0.3 * spacing_px, tip_y[-1] + 0.3 * spacing_px
    depth += 1.4 * ((x < body_x) & (y > top + slope * (x - body_x)) & (y < bottom + slope * (x - body_x)))
    if tray:
        depth += 3.0 * (y > bottom + 1.5 * spacing_px)
    if fork:
        depth += 0.4 * ((x < spacing_px * 24.6) & (y < bottom))
    light = (215 * np.exp(-depth) + 12).reshape(height, width, FINER).mean(2)
    coarse = np.asarray(cv2.GaussianBlur(light, (0, 0), sigmaX=blur_px), dtype=np.float32)
    coarse = coarse + rng.normal(0, noise_grey, coarse.shape).astype(np.float32)
    kept = [k for k in range(plates) if k != missing]
    return RenderedStack(
        image=np.clip(np.round(coarse), 0, 255).astype(np.uint8), tips=np.stack([tip_x[kept], tip_y[kept]], axis=1)
    )


def flipped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image[:, ::-1])


def rescaled(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=way), dtype=np.uint8)


@pytest.mark.parametrize("plates", [7, 15, 23, 41])
@pytest.mark.parametrize("spacing_px", [8.0, 11.0])
def test_every_plate_is_counted(plates: int, spacing_px: float) -> None:
    stack = inspect_xray(rendered_stack(plates=plates, spacing_px=spacing_px).image)
    assert stack.plates_count == plates
    assert stack.body_side == "left"
    assert stack.spacing_px == pytest.approx(spacing_px, rel=0.05)


def test_tips_are_found_within_0_15_px_rms_at_a_noise_of_2_grey() -> None:
    errors = []
    for seed in range(4):
        scene = rendered_stack(seed=seed, noise_grey=2.0)
        errors.append(inspect_xray(scene.image).tips[:, 0] - scene.tips[:, 0])
    assert float(np.sqrt(np.mean(np.square(errors)))) < 0.15


def test_the_spread_of_the_tips_is_their_standard_deviation() -> None:
    for spread in (1.0, 5.0):
        scene = rendered_stack(spread_px=spread)
        found = inspect_xray(scene.image).overhang_spread_px
        assert found == pytest.approx(float(scene.tips[:, 0].std()), abs=0.4)


def test_a_stack_seen_from_the_other_side_gives_the_mirrored_result() -> None:
    scene = rendered_stack()
    here, there = inspect_xray(scene.image), inspect_xray(flipped(scene.image))
    assert there.body_side == "right"
    assert there.plates_count == here.plates_count
    np.testing.assert_allclose(scene.image.shape[1] - 1 - there.tips[:, 0], here.tips[:, 0], atol=0.7)


@pytest.mark.parametrize("factor", [0.5, 1.5, 3.0])
def test_another_resolution_gives_the_rescaled_result(factor: float) -> None:
    scene = rendered_stack()
    stack = inspect_xray(rescaled(scene.image, factor))
    assert stack.plates_count == len(scene.tips)
    expected = (scene.tips + 0.5) * factor - 0.5
    np.testing.assert_allclose(stack.tips, expected, atol=2.0 * max(factor, 1.0))


def test_a_tray_below_and_a_fork_behind_do_not_change_the_count() -> None:
    stack = inspect_xray(rendered_stack(tray=True, fork=True).image)
    assert stack.plates_count == 20
    assert stack.body_side == "left"


def test_a_missing_plate_lowers_confidence_and_is_named() -> None:
    whole, broken = inspect_xray(rendered_stack().image), inspect_xray(rendered_stack(missing=11).image)
    assert whole.confidence > 0.9
    assert broken.plates_count == 19
    assert broken.confidence < whole.confidence
    assert any("after plate 11" in note and "missing" in note for note in broken.notes)


def test_faint_lines_give_a_low_confidence_or_none_at_all() -> None:
    clear = rendered_stack(noise_grey=0.0).image.astype(np.float64)
    faint = np.clip(200 + 0.05 * (clear - 200) + np.random.default_rng(0).normal(0, 6, clear.shape), 0, 255)
    try:
        stack = inspect_xray(np.round(faint).astype(np.uint8))
    except UnusableFrameError:
        return
    assert stack.confidence < 0.5
    assert stack.notes


def test_lines_without_a_body_are_not_a_confident_stack() -> None:
    page = np.full((600, 600), 235, np.uint8)
    for row in range(80, 520, 20):
        page[row : row + 8, 60:400] = 40
    assert inspect_xray(page).confidence < 0.5


@pytest.mark.parametrize("what", ["black", "noise", "edge", "upright lines", "small"])
def test_a_picture_without_a_stack_is_refused(what: str) -> None:
    image = np.zeros((400, 400), np.uint8)
    if what == "noise":
        image = np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
    elif what == "edge":
        image[200:] = 220
    elif what == "upright lines":
        image[:, ::10] = 200
    elif what == "small":
        image = image[:20, :20]
    with pytest.raises(UnusableFrameError, match="stack"):
        inspect_xray(image)


def test_a_colour_or_16_bit_array_is_refused_by_shape_and_type() -> None:
    with pytest.raises(FrameError, match=r"\(50, 50, 3\) of uint8"):
        inspect_xray(np.zeros((50, 50, 3), np.uint8))
    with pytest.raises(FrameError, match="uint16"):
        inspect_xray(np.zeros((50, 50), np.uint16))


def test_the_same_picture_gives_the_same_bytes() -> None:
    image = rendered_stack().image
    first, second = inspect_xray(image), inspect_xray(image)
    assert first.tips.tobytes() == second.tips.tobytes()
    assert (first.roi, first.confidence, first.notes) == (second.roi, second.confidence, second.notes)


def test_the_region_holds_every_tip_and_lies_in_the_picture() -> None:
    scene = rendered_stack(plates=30)
    roi = inspect_xray(scene.image).roi
    assert 0 <= roi.x0 < scene.tips[:, 0].min() < scene.tips[:, 0].max() < roi.x1 <= scene.image.shape[1]
    assert 0 <= roi.y0 < scene.tips[0, 1] < scene.tips[-1, 1] < roi.y1 <= scene.image.shape[0]


def test_the_overlay_is_a_colour_picture_that_marks_the_tips() -> None:
    scene = rendered_stack()
    overlay = xray_overlay(scene.image, inspect_xray(scene.image))
    assert overlay.dtype == np.uint8
    assert overlay.shape[0] == 1000
    assert overlay.shape[2] == 3
    coloured = np.ptp(overlay.astype(np.int16), axis=2) > 60
    assert coloured.sum() > 500


def test_a_result_survives_its_json_line() -> None:
    result = result_of("cell.png", inspect_xray(rendered_stack().image))
    assert msgspec.json.decode(msgspec.json.encode(result), type=XrayStackResult) == result
    failed = XrayStackResult(file="broken.png", sha256="", error="broken.png: empty file")
    assert msgspec.json.decode(msgspec.json.encode(failed), type=XrayStackResult).plates_count is None


def result_of(file: str, stack: XrayStack) -> XrayStackResult:
    return XrayStackResult(
        file=file,
        sha256="0" * 64,
        plates_count=stack.plates_count,
        tips_px=[(float(x), float(y)) for x, y in stack.tips],
        overhang_spread_px=stack.overhang_spread_px,
        spacing_px=stack.spacing_px,
        body_side=stack.body_side,
        roi_px=(stack.roi.x0, stack.roi.y0, stack.roi.x1, stack.roi.y1),
        confidence=stack.confidence,
        notes=stack.notes,
    )


@pytest.fixture
def real_rows() -> list[dict[str, str]]:
    """The rows of the real set that nothing was chosen on: every second one."""
    if not (REAL / "index.csv").is_file():
        pytest.skip(f"real X-ray side views are absent: {REAL} does not exist")
    with (REAL / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))[1::2]


@pytest.mark.real_data
def test_real_stacks_are_found_and_counted_to_one_plate(real_rows: list[dict[str, str]]) -> None:
    """The labels leave out an outermost plate in many pictures, so exact agreement is not asked for."""
    off = []
    for row in real_rows:
        image, _ = read_image(REAL / "images" / row["file"]).grey8()
        stack = inspect_xray(image)
        assert stack.body_side == row["body_side"]
        off.append(stack.plates_count - int(row["n_plates"]))
    assert np.mean(np.abs(off) <= 1) >= 0.9
    assert np.mean(np.array(off) == 0) >= 0.4


@pytest.mark.real_data
def test_real_tips_lie_where_they_were_labelled(real_rows: list[dict[str, str]]) -> None:
    tips: dict[str, list[tuple[float, float]]] = {}
    with (REAL / "plates.csv").open(newline="") as file:
        for plate in csv.DictReader(file):
            tips.setdefault(plate["stem"], []).append((float(plate["tip_x"]), float(plate["tip_y"])))
    distances: list[float] = []
    for row in real_rows[::3]:
        image, _ = read_image(REAL / "images" / row["file"]).grey8()
        stack = inspect_xray(image)
        for x, y in tips[Path(row["file"]).stem]:
            nearest = int(np.abs(stack.tips[:, 1] - y).argmin())
            if abs(stack.tips[nearest, 1] - y) < 0.5 * stack.spacing_px:
                distances.append(abs(float(stack.tips[nearest, 0]) - x))
    assert len(distances) > 150
    assert float(np.median(distances)) < 3.5


@pytest.mark.real_data
def test_a_real_stack_mirrored_and_rescaled_has_as_many_plates(real_rows: list[dict[str, str]]) -> None:
    counts = []
    for row in real_rows[::6]:
        image, _ = read_image(REAL / "images" / row["file"]).grey8()
        count = inspect_xray(image).plates_count
        mirrored = inspect_xray(flipped(image))
        assert mirrored.body_side == "right"
        counts += [mirrored.plates_count - count, inspect_xray(rescaled(image, 1.4)).plates_count - count]
    assert np.mean(np.array(counts) == 0) >= 0.9

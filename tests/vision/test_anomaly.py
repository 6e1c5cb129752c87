"""Maps, scores and regions, with a network whose answer is known: the mean of each 8 x 8 cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from line.bundle import Bundle, InputSpec, OutputSpec, Threshold
from line.errors import BundleError, FrameError
from models.bundle_writer import BundleDraft, write_bundle
from vision.anomaly import SCORE_CELLS, AnomalyInspector, image_score, regions, seen
from vision.anomaly_overlay import anomaly_overlay

CELL_PX = 8


def cell_mean_model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["grey"], ["anomaly"], kernel_shape=[CELL_PX] * 2, strides=[CELL_PX] * 2),
    ]
    graph = helper.make_graph(
        nodes,
        "cell mean",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("anomaly", TensorProto.FLOAT, ["n", 1, "r", "c"])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def cell_mean_bundle(folder: Path, names: tuple[str, ...] = ("image", "region"), view_px: int | None = None) -> Bundle:
    draft = BundleDraft(
        name="cell-mean",
        version=1,
        task="film-one-class",
        input=InputSpec(tensor="image", channels=1, multiple_px=32, view_px=view_px),
        outputs=(OutputSpec(tensor="anomaly", meaning="mean grey", layout="N1HW", stride_px=CELL_PX),),
        licence="Apache-2.0",
        provenance="made in a test",
        opset=17,
        golden_tolerance=1e-3,
        thresholds={name: Threshold(value=100.0, false_alarm_fraction=0.05, how="made") for name in names},
    )
    golden = [np.zeros((1, 1, 32, 32), np.uint8)]
    return write_bundle(folder, draft, cell_mean_model(), card="# card\n", golden_inputs=golden)


@pytest.fixture
def inspector(tmp_path: Path) -> AnomalyInspector:
    return AnomalyInspector(cell_mean_bundle(tmp_path / "cell-mean"), "cpu")


def cell_means(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    height, width = (size // CELL_PX * CELL_PX for size in image.shape)
    grid = image[:height, :width].reshape(height // CELL_PX, CELL_PX, width // CELL_PX, CELL_PX)
    return np.asarray(grid.mean(axis=(1, 3)))


@pytest.mark.parametrize("shape", [(8, 8), (9, 200), (515, 40), (512, 512), (1100, 1300)])
def test_each_cell_has_the_answer_for_its_own_pixels_whatever_the_tiles(
    inspector: AnomalyInspector, shape: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    result = inspector.inspect(image)
    cells = result.cells
    assert cells.shape == tuple(-(-size // CELL_PX) for size in shape)
    expected = cell_means(image)
    np.testing.assert_allclose(cells[: expected.shape[0], : expected.shape[1]], expected, atol=1e-3)
    assert result.score_map.shape == shape
    assert result.score_map.dtype == np.float32


def test_a_planted_square_is_one_region_with_its_box_and_area(inspector: AnomalyInspector) -> None:
    image = np.zeros((600, 700), np.uint8)
    image[480:560, 400:464] = 200
    (region,) = inspector.inspect(image).regions
    # The map is enlarged between cell centres: at half its height it passes the threshold on the square's border.
    assert (region.x_px, region.y_px) == (400, 480)
    assert (region.width_px, region.height_px) == (64, 80)
    assert region.area_px == pytest.approx(64 * 80, rel=0.01)
    assert region.score == pytest.approx(200.0)


def test_regions_apart_by_a_cell_stay_apart_and_the_highest_comes_first() -> None:
    cells = np.zeros((10, 10), np.float32)
    cells[2, 2], cells[2, 4], cells[7, 7] = 110.0, 150.0, 120.0
    found = regions(cells, CELL_PX, 100.0, (80, 80))
    assert [region.score for region in found] == [150.0, 120.0, 110.0]
    assert (found[2].x_px, found[2].y_px, found[2].area_px) == (16, 16, 64)
    assert all(region.x_px + region.width_px <= 80 and region.y_px + region.height_px <= 80 for region in found)


def test_regions_never_reach_beyond_an_image_that_ends_inside_a_cell(inspector: AnomalyInspector) -> None:
    image = np.full((61, 45), 255, np.uint8)
    (region,) = inspector.inspect(image).regions
    assert (region.x_px, region.y_px, region.width_px, region.height_px) == (0, 0, 45, 61)
    assert region.area_px == 61 * 45


def test_the_score_is_the_mean_of_the_highest_cells_whatever_the_size() -> None:
    cells = np.zeros((50, 50), np.float32)
    cells.ravel()[:SCORE_CELLS] = 6.0
    assert image_score(cells) == pytest.approx(6.0)
    cells[0, 0] = 6.0 + SCORE_CELLS
    assert image_score(cells) == pytest.approx(7.0)
    assert image_score(np.array([[3.0, 5.0]], np.float32)) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((512, 300), (320, 188)), ((160, 80), (320, 160)), ((40, 20), (80, 40)), ((2048, 1024), (1280, 640))],
)
def test_what_is_seen_fills_the_view_whatever_the_size_of_the_picture(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    image = np.full(shape, 77, np.uint8)
    assert seen(image, 320).shape == expected
    assert seen(image, None) is image
    assert set(np.unique(seen(image, 320))) == {77}


@pytest.mark.parametrize("shape", [(200, 150), (500, 640), (1500, 900)])
def test_regions_and_map_of_a_resized_picture_lie_where_its_square_is(tmp_path: Path, shape: tuple[int, int]) -> None:
    inspector = AnomalyInspector(cell_mean_bundle(tmp_path / "resized", view_px=320), "cpu")
    image = np.zeros(shape, np.uint8)
    top, left, height, width = (share * shape[axis] // 20 for share, axis in ((6, 0), (4, 1), (8, 0), (10, 1)))
    image[top : top + height, left : left + width] = 220
    result = inspector.inspect(image)
    cell = CELL_PX * shape[0] / result.seen_shape[0]
    (region,) = result.regions
    assert abs(region.x_px - left) <= cell
    assert abs(region.y_px - top) <= cell
    assert abs(region.width_px - width) <= 2 * cell
    assert abs(region.height_px - height) <= 2 * cell
    assert region.area_px == pytest.approx(height * width, rel=0.2)
    assert result.score_map.shape == shape
    inside = result.score_map[top : top + height, left : left + width]
    assert inside.mean() > 190
    assert result.score_map.mean() == pytest.approx(image.mean(), rel=0.1)


@pytest.mark.parametrize(
    ("image", "named"),
    [
        (np.zeros((20, 20, 3), np.uint8), r"shape \(20, 20, 3\)"),
        (np.zeros((20, 20), np.uint16), "uint16"),
        (np.zeros((7, 400), np.uint8), "at least 8 x 8 px, got 400 x 7 px"),
    ],
)
def test_an_image_that_is_not_grey_8_bit_or_large_enough_is_refused(
    inspector: AnomalyInspector, image: NDArray[np.uint8], named: str
) -> None:
    with pytest.raises(FrameError, match=named):
        inspector.inspect(image)


def test_a_model_without_a_region_threshold_is_refused(tmp_path: Path) -> None:
    bundle = cell_mean_bundle(tmp_path / "half", names=("image",))
    with pytest.raises(BundleError, match="no threshold named 'region'"):
        AnomalyInspector(bundle, "cpu")


@pytest.mark.parametrize("shape", [(40, 30), (300, 500), (2600, 300)])
def test_an_overlay_keeps_good_film_grey_and_colours_what_is_not(
    inspector: AnomalyInspector, shape: tuple[int, int]
) -> None:
    image = np.full(shape, 40, np.uint8)
    image[: shape[0] // 2, : shape[1] // 2] = 220
    overlay = anomaly_overlay(image, inspector.inspect(image))
    assert overlay.dtype == np.uint8
    assert overlay.shape[2] == 3
    assert max(overlay.shape) <= 2434
    columns = round(shape[1] * (overlay.shape[0] - 34) / shape[0])
    good = overlay[-(overlay.shape[0] // 4) :, 3 * columns // 4 : columns].astype(int)
    np.testing.assert_array_equal(good[..., 0], good[..., 2])
    hot = overlay[34 + overlay.shape[0] // 5, columns // 5].astype(int)
    assert hot[2] - hot[0] > 20

"""Maps, scores and regions, with a network whose answer is known: the mean of each 4 x 4 cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from line.bundle import Bundle, EnsembleMember, InputSpec, OutputSpec, Threshold
from line.errors import BundleError, FrameError
from models.bundle_writer import BundleDraft, write_bundle
from vision.anomaly import SCORE_CELLS, AnomalyInspector, image_score, regions
from vision.anomaly_overlay import anomaly_overlay

CELL_PX = 4
BANNER_PX = 52


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


def cell_mean_bundle(
    folder: Path,
    names: tuple[str, ...] = ("image", "region"),
    *,
    view_px: int = 512,
    judged: str = "anomaly",
    image_limit: float = 1e6,
) -> Bundle:
    draft = BundleDraft(
        name="cell-mean",
        version=1,
        task="film-one-class",
        input=InputSpec(tensor="image", channels=1, multiple_px=32, view_px=view_px),
        outputs=(OutputSpec(tensor="anomaly", meaning="mean grey", layout="N1HW", stride_px=CELL_PX),),
        members=(
            EnsembleMember(
                tensor=judged,
                input="image",
                highest_count=3,
                weight=1,
                map_weight=1,
                score_mean=50,
                score_deviation=10,
                cell_mean=0,
                cell_deviation=1,
            ),
        ),
        licence="Apache-2.0",
        provenance="made in a test",
        opset=17,
        golden_tolerance=1e-3,
        thresholds={
            name: Threshold(value=image_limit if name == "image" else 100.0, false_alarm_fraction=0.05, how="made")
            for name in names
        },
    )
    golden = [np.zeros((1, 1, 32, 32), np.uint8)]
    return write_bundle(folder, draft, cell_mean_model(), card="# card\n", golden_inputs=golden)


@pytest.fixture
def inspector(tmp_path: Path) -> AnomalyInspector:
    return AnomalyInspector(cell_mean_bundle(tmp_path / "cell-mean"), "cpu")


@pytest.mark.parametrize("shape", [(512, 512), (1024, 1536), (300, 512)])
def test_the_map_is_that_of_the_network_whatever_the_parts(inspector: AnomalyInspector, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    result = inspector.inspect(image)
    rows, columns = (size // CELL_PX for size in shape)
    expected = image.reshape(rows, CELL_PX, columns, CELL_PX).mean(axis=(1, 3))
    np.testing.assert_allclose(result.cells, expected, atol=1e-2)
    assert result.score_map.shape == shape
    assert result.score_map.dtype == np.float32


@pytest.mark.parametrize("shape", [(48, 48), (57, 200), (515, 50), (767, 768), (1100, 1300)])
def test_any_size_gets_a_map_of_its_own_shape(inspector: AnomalyInspector, shape: tuple[int, int]) -> None:
    result = inspector.inspect(np.full(shape, 60, np.uint8))
    assert result.score_map.shape == shape
    np.testing.assert_allclose(result.score_map, 60, atol=1e-2)
    assert result.score == pytest.approx((60 - 50) / 10)
    assert not result.is_anomalous


def test_the_score_is_that_of_the_worst_part_in_spreads_of_good_film(inspector: AnomalyInspector) -> None:
    image = np.full((512, 1024), 50, np.uint8)
    image[100:116, 700:716] = 90
    assert inspector.inspect(image).score == pytest.approx(4.0)


def test_a_place_above_the_region_limit_rejects_a_picture_whose_score_is_low(tmp_path: Path) -> None:
    image = np.full((512, 512), 50, np.uint8)
    image[40:48, 40:48] = 200
    with AnomalyInspector(cell_mean_bundle(tmp_path / "high", image_limit=1e6), "cpu") as inspector:
        result = inspector.inspect(image)
        assert result.score < result.threshold
        assert result.regions
        assert result.is_anomalous
        assert not inspector.inspect(np.full((512, 512), 50, np.uint8)).is_anomalous
    with AnomalyInspector(cell_mean_bundle(tmp_path / "low", image_limit=3.0), "cpu") as inspector:
        assert inspector.inspect(np.full((512, 512), 99, np.uint8)).is_anomalous


def test_the_reason_names_each_limit_that_is_exceeded_in_its_own_scale(tmp_path: Path) -> None:
    image = np.full((512, 512), 50, np.uint8)
    image[40:56, 40:56] = 200
    with AnomalyInspector(cell_mean_bundle(tmp_path / "high", image_limit=1e6), "cpu") as inspector:
        assert inspector.inspect(image).reason == "a place of 200 above 100"
        assert inspector.inspect(np.full((512, 512), 50, np.uint8)).reason == ""
    with AnomalyInspector(cell_mean_bundle(tmp_path / "low", image_limit=4.8999), "cpu") as inspector:
        assert inspector.inspect(image).reason == "score 15 above 4.9 and a place of 200 above 100"
        # Digits enough to tell the two apart.
        assert inspector.inspect(np.full((512, 512), 99, np.uint8)).reason == "score 4.9 above 4.8999"


def test_a_planted_square_is_one_region_with_its_box_and_area(inspector: AnomalyInspector) -> None:
    image = np.zeros((512, 1024), np.uint8)
    image[400:480, 600:664] = 200
    (region,) = inspector.inspect(image).regions
    # The map is enlarged between cell centres: at half its height it passes the threshold on the square's border.
    assert (region.x_px, region.y_px) == (600, 400)
    assert (region.width_px, region.height_px) == (64, 80)
    assert region.area_px == pytest.approx(64 * 80, rel=0.01)
    assert region.score == pytest.approx(200.0)


def test_a_square_across_two_parts_is_one_region(inspector: AnomalyInspector) -> None:
    image = np.zeros((512, 1024), np.uint8)
    image[200:264, 480:560] = 200
    (region,) = inspector.inspect(image).regions
    assert (region.x_px, region.width_px) == (480, 80)


def test_regions_apart_by_a_cell_stay_apart_and_the_highest_comes_first() -> None:
    cells = np.zeros((10, 10), np.float32)
    cells[2, 2], cells[2, 4], cells[7, 7] = 110.0, 150.0, 120.0
    found = regions(cells, 8, 100.0, (80, 80))
    assert [region.score for region in found] == [150.0, 120.0, 110.0]
    assert (found[2].x_px, found[2].y_px, found[2].area_px) == (16, 16, 64)
    assert all(region.x_px + region.width_px <= 80 and region.y_px + region.height_px <= 80 for region in found)


def test_regions_never_reach_beyond_an_image_that_ends_inside_a_cell(inspector: AnomalyInspector) -> None:
    image = np.full((61, 49), 255, np.uint8)
    (region,) = inspector.inspect(image).regions
    assert (region.x_px, region.y_px, region.width_px, region.height_px) == (0, 0, 49, 61)
    assert region.area_px == 61 * 49


def test_the_score_is_the_mean_of_the_highest_cells_whatever_the_size() -> None:
    cells = np.zeros((50, 50), np.float32)
    cells.ravel()[:SCORE_CELLS] = 6.0
    assert image_score(cells) == pytest.approx(6.0)
    cells[0, 0] = 6.0 + SCORE_CELLS
    assert image_score(cells) == pytest.approx(7.0)
    assert image_score(np.array([[3.0, 5.0]], np.float32)) == pytest.approx(4.0)


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
        (np.zeros((47, 400), np.uint8), "at least 48 x 48 px, got 400 x 47 px"),
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


def test_a_model_that_does_not_say_who_judges_is_refused(tmp_path: Path) -> None:
    bundle = cell_mean_bundle(tmp_path / "other", judged="nobody")
    with pytest.raises(BundleError, match="does not say how its outputs become one score"):
        AnomalyInspector(bundle, "cpu")


@pytest.mark.parametrize("shape", [(60, 48), (300, 500), (2600, 300)])
def test_an_overlay_keeps_good_film_grey_and_colours_what_is_not(
    inspector: AnomalyInspector, shape: tuple[int, int]
) -> None:
    image = np.full(shape, 40, np.uint8)
    image[: shape[0] // 2, : shape[1] // 2] = 220
    overlay = anomaly_overlay(image, inspector.inspect(image))
    assert overlay.dtype == np.uint8
    assert overlay.shape[2] == 3
    assert max(overlay.shape) <= 2400 + BANNER_PX
    columns = round(shape[1] * (overlay.shape[0] - BANNER_PX) / shape[0])
    good = overlay[-(overlay.shape[0] // 4) :, 3 * columns // 4 : columns].astype(int)
    np.testing.assert_array_equal(good[..., 0], good[..., 2])
    hot = overlay[BANNER_PX + overlay.shape[0] // 5, columns // 5].astype(int)
    assert hot[2] - hot[0] > 20


def overlay_of(inspector: AnomalyInspector, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return anomaly_overlay(image, inspector.inspect(image))


def test_an_overlay_boxes_the_five_strongest_places_and_outlines_the_others(inspector: AnomalyInspector) -> None:
    image = np.full((512, 512), 40, np.uint8)
    tops = range(40, 480, 64)
    for number, top in enumerate(tops):
        image[top : top + 16, 200:216] = 150 + 10 * number
    shown = overlay_of(inspector, image)[BANNER_PX:].astype(int)
    red = (shown[..., 2] - shown[..., 1] > 120) & (shown[..., 2] > 200)
    outline = np.asarray(shown.min(axis=2) > 230)
    around = [slice(top - 8, top + 24) for top in tops]
    # The corner of a box lies outside the heat.
    assert [bool(red[rows, 190:199].any()) for rows in around] == [False, False, True, True, True, True, True]
    assert all(outline[rows, 196:220].any() for rows in around[:2])


def test_a_place_too_small_for_a_shrunk_overlay_is_outlined_all_the_same(inspector: AnomalyInspector) -> None:
    image = np.full((200, 8192), 40, np.uint8)
    for left in range(400, 400 + 6 * 1200, 1200):
        image[80:120, left : left + 40] = 250
    image[100:104, 8000:8004] = 102
    result = inspector.inspect(image)
    assert len(result.regions) == 7
    shown = anomaly_overlay(image, result)[BANNER_PX:].astype(int)
    column = 8000 * 2400 // 8192
    assert (shown[:, column - 2 : column + 4].min(axis=2) > 200).any()


def test_the_banner_tells_why_and_is_never_wider_than_the_picture(inspector: AnomalyInspector) -> None:
    calm = np.full((512, 512), 50, np.uint8)
    spoilt = calm.copy()
    spoilt[300:316, 300:316] = 220
    banners = [overlay_of(inspector, image)[:BANNER_PX] for image in (calm, spoilt)]
    assert (banners[0] != banners[1])[28:].any()
    for banner in banners:
        assert (banner[:, -6:] == 28).all()

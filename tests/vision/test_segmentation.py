"""A supervised model's answer says where, how large, of which class, and how sure."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from line.bundle import Bundle, open_bundle
from line.errors import BundleError, FrameError
from models.registry import released
from tests.vision.made_net import dark_net
from vision.segmentation import SegmentationInspector


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return dark_net(tmp_path_factory.mktemp("net") / "dark")


def test_a_supervised_model_rejects_by_its_score_alone_and_gives_no_other_reason(bundle: Bundle) -> None:
    image = np.full((80, 90), 160, np.uint8)
    image[40:42, 40:42] = 30
    with SegmentationInspector(bundle, "cpu") as inspector:
        speck = inspector.inspect(image)
        image[30:50, 30:50] = 30
        hole = inspector.inspect(image)
    assert speck.regions
    assert (speck.is_anomalous, speck.reason) == (False, "")
    assert (hole.is_anomalous, hole.reason) == (True, "score 0.999 above 0.5")


def film_with_two_defects() -> NDArray[np.uint8]:
    image = np.full((150, 701), 160, np.uint8)
    cv2.circle(image, (60, 40), 8, 30, cv2.FILLED)
    cv2.rectangle(image, (600, 90), (659, 119), 80, cv2.FILLED)
    return image


def test_each_region_has_place_area_and_class_also_across_tiles(bundle: Bundle) -> None:
    with SegmentationInspector(bundle, "cpu") as inspector:
        result = inspector.inspect(film_with_two_defects())
    found = dict(zip(result.kinds, result.regions, strict=True))
    assert found.keys() == {"hole", "stain"}
    assert found["hole"].x_px <= 60 <= found["hole"].x_px + found["hole"].width_px
    assert found["stain"].area_px == pytest.approx(60 * 30, rel=0.05)
    assert found["hole"].score > 0.99 > found["stain"].score
    assert result.is_anomalous


def test_the_mask_is_the_map_above_the_threshold_at_the_images_size(bundle: Bundle) -> None:
    image = film_with_two_defects()
    with SegmentationInspector(bundle, "cpu") as inspector:
        result = inspector.inspect(image)
        sound = inspector.inspect(np.full((33, 47), 160, np.uint8))
    assert result.mask.shape == image.shape
    assert set(np.unique(result.mask)) == {0, 255}
    agreement = (result.mask > 0) == (result.score_map > 0.5)
    assert agreement.mean() > 0.999
    assert not sound.mask.any()
    assert sound.regions == ()
    assert not sound.is_anomalous


def test_other_models_and_pictures_that_are_not_grey_are_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="a film-segmentation model is needed here"):
        SegmentationInspector(open_bundle(released("efficientnet-lite0-s32")), "cpu")
    with SegmentationInspector(bundle, "cpu") as inspector, pytest.raises(FrameError, match="grey uint8"):
        inspector.inspect(np.zeros((20, 20, 3), np.uint8))


def test_the_made_net_is_what_it_says(tmp_path: Path) -> None:
    with SegmentationInspector(dark_net(tmp_path / "net"), "cpu") as inspector:
        assert inspector.inspect(np.full((16, 16), 100, np.uint8)).score == pytest.approx(0.5, abs=1e-3)

"""A model trained on made film finds what is planted in it, and says what it was trained on."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from line.bundle import Bundle, open_bundle
from line.errors import BundleError, ConfigError, FrameError
from models.one_class import OneClassSettings, _held_out, limits_of, train_one_class
from models.one_class_steps import view_rows
from vision.anomaly import AnomalyInspector

SMALL = OneClassSettings(memory_patches=200, damaged_images=80, patches_per_image=40, workers=1)


def made_film(seed: int, height: int = 160, width: int = 192) -> NDArray[np.uint8]:
    """Grey film with correlated grain and a slow slope of light."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 1.3)
    light = 120 + 20 * np.linspace(-1, 1, width) * rng.uniform(0.5, 1)
    return np.asarray(np.clip(light + 7 * grain / grain.std(), 0, 255), np.uint8)


@pytest.fixture(scope="module")
def stages() -> list[tuple[str, float]]:
    return []


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, stages: list[tuple[str, float]]) -> Bundle:
    return train_one_class(
        [made_film(seed) for seed in range(24)],
        tmp_path_factory.mktemp("trained") / "film",
        name="made-film",
        seed=1,
        settings=SMALL,
        um_per_px=20.0,
        progress=lambda stage, fraction: stages.append((stage, fraction)),
    )


def test_planted_defects_are_found_where_they_are_and_good_film_scores_lower(bundle: Bundle) -> None:
    with AnomalyInspector(bundle, "cpu") as inspector:
        good = [inspector.inspect(made_film(seed)).score for seed in range(100, 110)]
        for seed, (y, x), contrast in ((200, (50, 60), -70), (201, (100, 140), 80), (202, (20, 170), -70)):
            film = made_film(seed)
            cv2.circle(film, (x, y), 7, int(film[y, x]) + contrast, cv2.FILLED)
            result = inspector.inspect(film)
            assert result.score > max(good)
            assert result.is_anomalous
            region = result.regions[0]
            assert region.x_px <= x <= region.x_px + region.width_px
            assert region.y_px <= y <= region.y_px + region.height_px


def test_the_manifest_says_what_it_was_trained_on(bundle: Bundle) -> None:
    manifest = open_bundle(bundle.path, task="film-one-class").manifest
    assert manifest.training_image_count == 24
    assert manifest.input.um_per_px == 20.0
    assert manifest.feature_extractor is not None
    assert str(manifest.feature_extractor) == "efficientnet-lite0-s32@v1"
    # Four of 24 images are held out: of so few no smaller share than one in five can be stated.
    assert manifest.metrics["held_out_images"] == 4
    assert manifest.thresholds["image"].false_alarm_fraction == pytest.approx(1 / 5)
    assert {member.tensor for member in manifest.members} == {output.tensor for output in manifest.outputs}
    assert {member.input for member in manifest.members} == {spec.tensor for spec in manifest.inputs}
    assert all(member.weight > 0 for member in manifest.members)
    assert len({member.cell_deviation for member in manifest.members}) == len(manifest.members)
    assert manifest.detection == {}
    assert f"`{manifest.training_data_digest}`" in (bundle.path / "card.md").read_text()


def test_progress_never_goes_back_and_ends_at_one(bundle: Bundle, stages: list[tuple[str, float]]) -> None:
    fractions = [fraction for _, fraction in stages]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len({stage for stage, _ in stages}) >= 4


def test_the_same_seed_and_images_give_the_same_network(bundle: Bundle, tmp_path: Path) -> None:
    images = [made_film(seed) for seed in range(24)]
    again = train_one_class(images, tmp_path / "again", name="made-film", seed=1, settings=SMALL, um_per_px=20.0)
    assert again.manifest.files["model.onnx"] == bundle.manifest.files["model.onnx"]


def test_no_thread_is_left_behind_by_training(bundle: Bundle) -> None:
    assert not [thread.name for thread in threading.enumerate() if "ThreadPool" in thread.name]


@pytest.mark.parametrize(("count", "share"), [(19, 1 / 20), (39, 2 / 40), (200, 10 / 201), (12, 1 / 13)])
def test_limits_are_set_so_that_both_together_reject_the_allowed_share(count: int, share: float) -> None:
    rng = np.random.default_rng(count)
    scores, peaks = rng.normal(0, 1, count), rng.gumbel(5, 2, count)
    limits = limits_of(scores.tolist(), peaks.tolist(), 0.05)
    rejected = (scores > limits["image"].value + 1e-9) | (peaks > limits["region"].value + 1e-9)
    assert rejected.sum() == round(share * (count + 1)) - 1
    assert [limit.false_alarm_fraction for limit in limits.values()] == [pytest.approx(share)] * 2


def test_new_good_images_are_rejected_as_seldom_as_stated() -> None:
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(200):
        values = rng.normal(0, 1, (2, 60)), rng.normal(0, 1, (2, 400))
        limits = limits_of(values[0][0].tolist(), values[0][1].tolist(), 0.05)
        above = (values[1][0] > limits["image"].value) | (values[1][1] > limits["region"].value)
        shares.append(above.mean())
    assert np.mean(shares) < 0.055


def test_images_of_one_group_are_held_out_together(tmp_path: Path) -> None:
    """Groups of unlike grey: limits come from groups that nothing was learnt from."""
    images = [made_film(seed) for seed in range(24)]
    groups = [f"part-{index % 6}" for index in range(24)]
    held = _held_out(images, groups, seed=3)
    assert {group for group, is_held in zip(groups, held, strict=True) if is_held}.isdisjoint(
        group for group, is_held in zip(groups, held, strict=True) if not is_held
    )
    assert 24 / 5 <= sum(held) < 24 / 2
    trained = train_one_class(images, tmp_path / "grouped", name="film", seed=3, settings=SMALL, groups=groups)
    assert trained.manifest.metrics["held_out_images"] == sum(held)
    assert "whole groups of 6" in trained.manifest.provenance


@pytest.mark.parametrize("groups", [["a"] * 24, ["a", "b"]])
def test_groups_that_cannot_be_held_out_are_refused(tmp_path: Path, groups: list[str]) -> None:
    images = [made_film(seed) for seed in range(24)]
    with pytest.raises(ConfigError, match="name one for each image, at least two different ones, or none"):
        train_one_class(images, tmp_path / "out", name="film", seed=0, settings=SMALL, groups=groups)
    assert not (tmp_path / "out").exists()


def test_a_model_of_pictures_of_several_parts_finds_a_spot_at_the_border_of_one(tmp_path: Path) -> None:
    images = [made_film(seed, 160, 900) for seed in range(20)]
    trained = train_one_class(images, tmp_path / "wide", name="wide", seed=2, settings=SMALL)
    film = made_film(99, 160, 900)
    cv2.circle(film, (452, 80), 8, 30, cv2.FILLED)
    with AnomalyInspector(trained, "cpu") as inspector:
        good, bad = inspector.inspect(made_film(98, 160, 900)), inspector.inspect(film)
    assert bad.score > good.score
    region = bad.regions[0]
    assert region.x_px - 4 <= 452 <= region.x_px + region.width_px + 4
    assert region.y_px - 4 <= 80 <= region.y_px + region.height_px + 4


def test_the_views_of_the_memories_are_mirrored_and_nothing_is_added_to_the_picture_as_it_is() -> None:
    first, *memories, picture = view_rows(OneClassSettings())
    assert not first.mirrored
    assert all(spec.mirrored for spec in memories)
    assert (picture.view_px, picture.multiple_px, picture.mirrored) == (None, 1, False)


def test_too_few_images_are_refused_with_the_missing_number(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="need at least 20 good images, have 14; add 6"):
        train_one_class([made_film(0)] * 14, tmp_path / "few", name="few", seed=0)
    assert not (tmp_path / "few").exists()


def test_an_image_that_is_not_grey_is_refused(tmp_path: Path) -> None:
    colour = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(FrameError, match=r"expected a grey uint8 image, got uint8 of shape \(64, 64, 3\)"):
        train_one_class([colour] * 20, tmp_path / "colour", name="colour", seed=0)


def test_a_folder_that_holds_something_else_is_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    images = [made_film(seed) for seed in range(20)]
    with pytest.raises(ConfigError, match="holds something that is not a model bundle"):
        train_one_class(images, tmp_path / "out", name="film", seed=0, settings=SMALL)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_a_backbone_is_not_taken_for_a_one_class_model() -> None:
    from models.registry import released

    with pytest.raises(BundleError, match="is a backbone model, a film-one-class model is needed"):
        AnomalyInspector(open_bundle(released("efficientnet-lite0-s32")), "cpu")

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import models
from line.bundle import Bundle, DetectionCurve, open_bundle
from line.errors import BundleError, ProviderError
from line.model import load_line
from models.candidate_bundle import NAME, VERSION, with_detection, write_candidates
from models.candidate_int8 import quantised
from models.candidate_network import LAYERS, Weights, layers, network
from models.candidate_scores import (
    KEPT_ABOVE,
    MOST_PASSED_FRACTION,
    Scores,
    agreement_fraction,
    keep_threshold,
    scores_of,
)
from models.film_candidates import Dataset, class_names, rendered_dataset, train_candidates
from models.film_patches import event_classes
from vision.candidates import CHANNELS, CLEAN, PATCH_PX, Classifier
from vision.session import ModelSession, verify_golden

SHIPPED = Path(models.__file__).parent / "registry" / NAME / f"v{VERSION}"
ACCURACY_FLOOR = 0.93
"""On all spots of rendered rolls nobody trained on, clean ones included."""
RECALL_FLOOR = 0.65


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return open_bundle(SHIPPED, task="film-candidates")


@pytest.fixture(scope="module")
def fresh() -> Dataset:
    """Patches of film that neither training nor validation has seen."""
    return rendered_dataset(seed=90_001, rolls=6, progress=lambda _stage, _share: None)


@pytest.fixture(scope="module")
def scores(shipped: Bundle, fresh: Dataset) -> Scores:
    return scores_of(onnx.load(shipped.model_path), fresh.images, fresh.labels, class_names())


def random_weights(seed: int, channels: tuple[str, ...] = CHANNELS) -> Weights:
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for number, (inward, outward, kernel, _) in enumerate(layers(channels)):
        weights[f"conv{number}_w"] = rng.normal(0, 0.1, (outward, inward, kernel, kernel)).astype(np.float32)
        weights[f"conv{number}_b"] = np.zeros(outward, np.float32)
    weights["head_w"] = rng.normal(0, 0.1, (len(class_names()), 2 * LAYERS[-1][1])).astype(np.float32)
    weights["head_b"] = np.zeros(len(class_names()), np.float32)
    return weights


def patches(count: int, seed: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, PATCH_PX, PATCH_PX), dtype=np.uint8)


def written(out: Path, seed: int) -> Bundle:
    model, names = network(random_weights(seed)), class_names()
    images = patches(4 * len(names))
    labels = np.arange(4 * len(names)) % len(names)
    return write_candidates(
        out, model=model, names=names, scores=scores_of(model, images, labels, names), float_accuracy_fraction=0.1,
        agreement_fraction=1.0, training_images=images, golden_images=images[:5], seed=seed, trained_s=1.0,
        framework="none",
    )  # fmt: skip


def test_a_network_of_two_channels_is_quantised_and_released_with_their_names(tmp_path: Path) -> None:
    channels, names = ("BF", "DF"), class_names()
    exact = network(random_weights(1, channels), channels)
    images = np.ascontiguousarray(patches(4 * len(names))[:, :2])
    small = quantised(exact, images, channels)
    assert agreement_fraction(small, exact, images) > 0.8
    labels = np.arange(len(images)) % len(names)
    scores = scores_of(small, images, labels, names, channels=channels)
    assert scores.without_tx_fraction is None
    bundle = write_candidates(
        tmp_path / "b", model=small, names=names, scores=scores, float_accuracy_fraction=0.1, agreement_fraction=1.0,
        training_images=images, golden_images=images[:5], seed=1, trained_s=1.0, framework="none", channels=channels,
        name="reflected",
    )  # fmt: skip
    assert str(bundle.ref) == "reflected@v1"
    assert (bundle.manifest.input.channels, bundle.manifest.input.channel_names) == (2, channels)
    assert "accuracy_without_tx_fraction" not in bundle.manifest.metrics
    assert "channels BF, DF" in (bundle.path / "card.md").read_text(encoding="utf-8")
    with ModelSession(bundle, "cpu") as session:
        assert Classifier(session).channels == channels
        assert len(Classifier(session).classify(images)) == len(images)


def test_film_is_rendered_as_a_camera_of_two_channels_sees_it() -> None:
    def told(_stage: str, _share: float) -> None:
        pass

    data = rendered_dataset(seed=7, rolls=2, channels=("BF", "DF"), progress=told)
    assert data.images.shape[1:] == (2, PATCH_PX, PATCH_PX)
    assert np.median(data.images, axis=(0, 2, 3)) == pytest.approx((150, 25), abs=2)
    assert set(data.labels.tolist()) > {class_names().index(CLEAN)}


def test_the_shipped_bundle_answers_its_golden_patches(shipped: Bundle) -> None:
    with ModelSession(shipped, "cpu") as session:
        assert verify_golden(session) < 1e-3


def test_the_shipped_bundle_takes_uint8_patches_of_three_channels_at_20_um(shipped: Bundle) -> None:
    taken = shipped.manifest.input
    assert (taken.dtype, taken.channels, taken.size_px, taken.um_per_px) == ("uint8", 3, 64, 20.0)
    shipped.require_fit(task="film-candidates", um_per_px=20.0)
    with pytest.raises(BundleError, match="10 um/px"):
        shipped.require_fit(task="film-candidates", um_per_px=10.0)


def test_its_classes_are_the_event_classes_of_the_line_model_and_clean(shipped: Bundle) -> None:
    assert shipped.manifest.classes == (*(row.code for row in event_classes(load_line())), CLEAN)
    assert set(shipped.manifest.detection) == set(shipped.manifest.classes) - {CLEAN}


def test_vision_takes_the_shipped_bundle_for_its_classifier(shipped: Bundle, fresh: Dataset) -> None:
    with ModelSession(shipped, "cpu") as session:
        classifier = Classifier(session)
        answers = classifier.classify(fresh.images[:20])
        assert len(answers) == 20
        assert 0 < classifier.passed_fraction() < 0.1


def test_fresh_patches_are_classified_above_the_stated_floor(scores: Scores) -> None:
    assert scores.accuracy_fraction > ACCURACY_FLOOR


def test_no_class_is_given_up(scores: Scores) -> None:
    seen = scores.confusion.sum(axis=1)
    recall = {name: scores.recall[name] for name, count in zip(scores.names, seen, strict=True) if count >= 10}
    assert len(recall) >= 8
    assert min(recall.values()) > RECALL_FLOOR, recall


def test_the_share_of_clean_patches_that_pass_is_about_what_the_manifest_says(shipped: Bundle, fresh: Dataset) -> None:
    with ModelSession(shipped, "cpu") as session:
        answers = Classifier(session).classify(fresh.images[fresh.labels == class_names().index(CLEAN)])
    passed = np.mean([answer.kind != CLEAN for answer in answers])
    assert passed < 3 * shipped.threshold("keep").false_alarm_fraction + 0.02


def test_detection_curves_say_whether_and_on_what_they_were_measured(shipped: Bundle) -> None:
    for curve in shipped.manifest.detection.values():
        assert curve.how
        assert not curve.measured or "rendered film" in curve.how


def test_a_camera_without_transmission_is_answered_nearly_as_well(scores: Scores) -> None:
    assert scores.without_tx_fraction is not None
    assert scores.without_tx_fraction > scores.accuracy_fraction - 0.15


def test_the_threshold_lets_so_many_clean_patches_pass_and_no_more_than_every_second_doubt(
    shipped: Bundle, fresh: Dataset
) -> None:
    model = onnx.load(shipped.model_path)
    keep = keep_threshold(model, fresh.images, fresh.labels, class_names())
    assert KEPT_ABOVE <= keep <= 0.98
    found = scores_of(model, fresh.images, fresh.labels, class_names(), keep=keep)
    assert found.passed_fraction <= MOST_PASSED_FRACTION + 1e-9 or keep in {KEPT_ABOVE, 0.98}


def test_a_network_agrees_with_itself_and_not_with_another() -> None:
    one, other = network(random_weights(1)), network(random_weights(2))
    assert agreement_fraction(one, one, patches(40)) == 1.0
    assert agreement_fraction(one, other, patches(40)) < 1.0


@pytest.mark.parametrize("count", [1, 8, 33])
def test_the_network_takes_any_number_of_patches_and_each_answer_is_its_own(count: int, tmp_path: Path) -> None:
    with ModelSession(written(tmp_path / "b", 1), "cpu") as session:
        together = session.run(patches(count))["logits"]
        alone = session.run(patches(count)[-1:])["logits"]
    assert together.shape == (count, len(class_names()))
    assert together[-1] == pytest.approx(alone[0], abs=1e-4)


def test_a_bundle_is_replaced_as_a_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    first, second = (written(tmp_path / "b", seed) for seed in (1, 2))
    assert first.digest != second.digest
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert open_bundle(tmp_path / "b").digest == second.digest


def test_measured_curves_replace_assumed_ones_and_the_network_stays(tmp_path: Path) -> None:
    before = written(tmp_path / "b", 1)
    curve = DetectionCurve(a50_um=21.0, s=0.2, measured=True, how="rendered film, 100 targets")
    after = with_detection(before, {"PIN": curve}, {"clean_m2": 2.0}, ["PIN is found from 21 µm."])
    assert after.manifest.detection["PIN"] == curve
    assert not after.manifest.detection["CRK"].measured
    assert after.manifest.files["model.onnx"] == before.manifest.files["model.onnx"]
    card = (after.path / "card.md").read_text(encoding="utf-8")
    assert "PIN is found from 21 µm." in card
    assert "Not measured" not in card


def test_training_without_torch_names_the_extra_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ProviderError, match=r"lamella\[train\]"):
        train_candidates(tmp_path / "b")
    assert not list(tmp_path.iterdir())

"""The supervised net: its graph, its split, its samples; and, where torch is installed, that it learns."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from line.bundle import open_bundle
from line.errors import ConfigError
from models.labelled import SOUND, UNKNOWN, LabelledImage, LabelledSet
from models.registry import released
from models.supervised import require_torch, split_by_group, train_supervised
from models.supervised_graph import DEFECT, KIND, finished_model, segmentation_graph, weights_of, with_weights
from models.supervised_samples import ARTIFICIAL, Pieces, component_weights, moved, reduced, smallest_defect_px
from models.supervised_settings import LearningSettings
from vision.segmentation import SegmentationInspector

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
KINDS = ("hole", "stain")


def surface(seed: int, shape: tuple[int, int] = (128, 144)) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), 1.2)
    return np.asarray(np.clip(130 + 6 * grain / grain.std(), 0, 255), np.uint8)


def labelled(seed: int, kind: str | None, group: str) -> LabelledImage:
    grey = surface(seed)
    target = np.zeros_like(grey)
    rng = np.random.default_rng((seed, 1))
    x, y = int(rng.integers(30, 110)), int(rng.integers(30, 95))
    if kind == "hole":
        cv2.circle(grey, (x, y), 4, 40, cv2.FILLED)
        cv2.circle(target, (x, y), 4, 1, cv2.FILLED)
    elif kind == "stain":
        cv2.ellipse(grey, (x, y), (24, 14), 20, 0, 360, 200, cv2.FILLED)
        cv2.ellipse(target, (x, y), (24, 14), 20, 0, 360, 2, cv2.FILLED)
    kinds = frozenset({kind}) if kind else frozenset()
    return LabelledImage(path=Path(f"{seed}.png"), grey=grey, target=target, kinds=kinds, group=group)


def made_set() -> LabelledSet:
    images = [labelled(k, KINDS[k % 2], f"part{k // 4}") for k in range(24)]
    images += [labelled(100 + k, None, f"sound{k // 2}") for k in range(30)]
    return LabelledSet(images=tuple(images), classes=KINDS, how="masks", grouped=True, left_out=())


@pytest.mark.parametrize("reduction", [1, 2])
def test_the_graph_answers_at_stride_2_of_what_it_sees_and_holds_nothing_of_training(reduction: int) -> None:
    graph = segmentation_graph(open_bundle(released("efficientnet-lite0-s32")), 3, seed=1)
    model = finished_model(graph, reduction, metadata={"task": "film-segmentation"})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == [DEFECT, KIND]
    defect, kind = session.run(None, {"image": np.full((1, 1, 48 * reduction, 80 * reduction), 127, np.uint8)})
    assert defect.shape == (1, 1, 24, 40)
    assert kind.shape == (1, 3, 24, 40)
    assert 0 < defect.min() <= defect.max() < 1
    assert np.allclose(kind.sum(axis=1), 1, atol=1e-5)
    assert not any("coarse" in name for name in weights_of(model))


def test_weights_are_replaced_by_name_and_the_others_stay() -> None:
    graph = segmentation_graph(open_bundle(released("efficientnet-lite0-s32")), 1, seed=1)
    before = weights_of(graph)
    after = weights_of(with_weights(graph, {"defect_logit_b": np.array([3], np.float32)}))
    assert after["defect_logit_b"] == pytest.approx([3])
    assert np.array_equal(after["stem_w"], before["stem_w"])


def test_no_group_stands_on_both_sides_and_each_class_is_on_both() -> None:
    split = split_by_group(made_set().images, seed=1)
    assert not {image.group for image in split.learn} & {image.group for image in split.held}
    for side in split:
        assert {kind for image in side for kind in image.kinds} == set(KINDS)
        assert any(image.is_sound for image in side)
    assert len(split.learn) + len(split.held) == 54


def test_each_defect_weighs_one_whatever_its_area() -> None:
    defect = np.zeros((40, 40), np.float32)
    defect[2:4, 2:4] = 1
    defect[10:30, 10:30] = 1
    weights = component_weights(defect)
    assert weights[:6, :6].sum() == pytest.approx(1)
    assert weights.sum() == pytest.approx(2)
    assert weights[0, 0] == 0


def test_pieces_repeat_by_seed_and_number_and_show_every_kind_of_target() -> None:
    images = made_set().images
    pieces, again, other = Pieces(images, KINDS, 96, 5), Pieces(images, KINDS, 96, 5), Pieces(images, KINDS, 96, 6)
    assert np.array_equal(pieces.piece(7).grey, again.piece(7).grey)
    assert not np.array_equal(pieces.piece(7).grey, other.piece(7).grey)
    drawn = [pieces.piece(number) for number in range(60)]
    values = {int(value) for piece in drawn for value in np.unique(piece.target)}
    assert values >= {SOUND, 1, 2, ARTIFICIAL}
    assert any(not piece.defective for piece in drawn)
    assert all(piece.target.any() or not piece.defective for piece in drawn if (piece.target != ARTIFICIAL).all())


def test_a_picture_without_located_defects_is_drawn_whole_with_an_unknown_target() -> None:
    image = labelled(1, "hole", "p")
    weak = LabelledImage(
        path=image.path, grey=image.grey, target=np.full_like(image.grey, UNKNOWN), kinds=image.kinds, group="p"
    )
    pieces = Pieces([weak, labelled(2, None, "q")], KINDS, 160, 1)
    drawn = [piece for number in range(20) if (piece := pieces.piece(number)).defective]
    assert any((piece.target == UNKNOWN).all() for piece in drawn)


def test_a_reduced_picture_keeps_what_is_half_defective_and_defects_decide_how_far_to_reduce() -> None:
    image = labelled(1, "hole", "p")
    half = reduced(image, 2)
    assert half.grey.shape == (64, 72)
    assert half.target.sum() == pytest.approx(image.target.sum() / 4, rel=0.3)
    assert reduced(image, 1) is image
    assert smallest_defect_px([image]) == pytest.approx(np.sqrt(4 * image.target.sum() / np.pi))
    assert smallest_defect_px([labelled(2, None, "q")]) == 0


def test_a_moved_defect_keeps_its_contrast_at_the_grey_of_where_it_lands() -> None:
    donor = np.full((64, 64), 100, np.uint8)
    target = np.zeros_like(donor)
    cv2.circle(donor, (32, 32), 6, 60, cv2.FILLED)
    cv2.circle(target, (32, 32), 6, 1, cv2.FILLED)
    grey, moved_target = moved(donor, target, np.full((64, 64), 180, np.uint8), np.zeros_like(donor))
    assert np.array_equal(moved_target, target)
    assert grey[32, 32] == pytest.approx(140, abs=3)
    assert grey[5, 5] == 180


def test_too_few_pictures_are_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.supervised.torch_is_there", lambda: True)
    few = made_set()
    few = LabelledSet(images=few.images[:3], classes=KINDS, how="masks", grouped=True, left_out=())
    with pytest.raises(ConfigError, match="at least 8 pictures with defects, have 3; add 5"):
        train_supervised(few, tmp_path / "out", name="few", seed=1)
    assert not (tmp_path / "out").exists()


def test_without_torch_the_way_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.supervised.torch_is_there", lambda: False)
    with pytest.raises(ConfigError, match=r"pip install 'lamella\[train\]'"):
        require_torch()


@needs_torch
def test_training_and_inspection_run_one_and_the_same_graph() -> None:
    import torch

    from models.supervised_torch import LearningGraph

    model = segmentation_graph(open_bundle(released("efficientnet-lite0-s32")), 2, seed=3)
    images = np.stack([surface(seed, (96, 96)) for seed in range(4)])[:, None]
    graph = LearningGraph(model)
    for _ in range(120):
        # The running statistics of the norms come to those of these images.
        with torch.no_grad():
            answers = graph.run(torch.from_numpy(images.astype(np.float32)))
    shipped = with_weights(model, graph.numbers())
    session = onnxruntime.InferenceSession(shipped.SerializeToString(), providers=["CPUExecutionProvider"])
    for name, found in zip(answers, session.run(list(answers), {"image": images}), strict=True):
        # Training divides by one less when it sums up a batch's variance, so some thousandths remain.
        assert np.abs(found - answers[name].numpy()).mean() < 0.02


@needs_torch
@pytest.mark.timeout(300)
def test_it_learns_to_mark_small_holes_and_large_stains_and_says_how_well(tmp_path: Path) -> None:
    said: list[tuple[str, float]] = []
    bundle = train_supervised(
        made_set(),
        tmp_path / "net",
        name="net",
        seed=1,
        um_per_px=20.0,
        settings=LearningSettings(steps=60, batch=4, checks=2, threads=1, average=0.9),
        progress=lambda stage, share: said.append((stage, share)),
    )
    assert bundle.manifest.metrics["image_auroc"] > 0.9
    assert bundle.manifest.classes == KINDS
    assert [share for _, share in said] == sorted(share for _, share in said)
    image = labelled(500, "hole", "new")
    with SegmentationInspector(bundle, "cpu") as inspector:
        result = inspector.inspect(image.grey)
        sound = inspector.inspect(surface(501))
    assert result.score > sound.score
    ys, xs = np.nonzero(image.target)
    best = result.regions[0]
    assert best.x_px <= xs.mean() <= best.x_px + best.width_px
    assert best.y_px <= ys.mean() <= best.y_px + best.height_px
    assert result.mask.shape == image.grey.shape
    assert "Whole groups" in (bundle.path / "card.md").read_text(encoding="utf-8")

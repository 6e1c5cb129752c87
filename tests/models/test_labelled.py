"""Masks, boxes of three formats and class folders read the same; what is wrong is named with its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from line.errors import ConfigError, NotFoundError
from models.labelled import SOUND, UNKNOWN, LabelledSet, read_labelled
from models.labelled_formats import labels_in
from models.labelled_groups import grouped_by_pattern, grouped_by_table

BOX = (30, 20, 12, 8)
"""x, y, width, height of the one defect in every format."""


def picture(path: Path, shape: tuple[int, int] = (64, 80)) -> NDArray[np.uint8]:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full(shape, 120, np.uint8)
    cv2.imwrite(str(path), image)
    return image


def mask(path: Path, value: int = 255, shape: tuple[int, int] = (64, 80)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros(shape, np.uint8)
    x, y, width, height = BOX
    image[y : y + height, x : x + width] = value
    cv2.imwrite(str(path), image)


def read(folder: Path) -> LabelledSet:
    return read_labelled(folder, labels_in(folder))


def with_masks(root: Path) -> None:
    picture(root / "images/hole/a.png")
    picture(root / "images/good/b.png")
    mask(root / "masks/hole/a.png")


def with_coco(root: Path) -> None:
    picture(root / "a.png")
    picture(root / "b.png")
    labels = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"image_id": 1, "category_id": 7, "bbox": list(BOX)}],
        "categories": [{"id": 7, "name": "hole"}],
    }
    (root / "labels.json").write_text(json.dumps(labels), encoding="utf-8")


def with_yolo(root: Path) -> None:
    picture(root / "images/a.png")
    picture(root / "images/b.png")
    (root / "labels").mkdir()
    x, y, width, height = BOX
    row = f"0 {(x + width / 2) / 80} {(y + height / 2) / 64} {width / 80} {height / 64}\n"
    (root / "labels/a.txt").write_text(row, encoding="utf-8")
    (root / "labels/b.txt").write_text("", encoding="utf-8")
    (root / "classes.txt").write_text("hole\n", encoding="utf-8")


def with_voc(root: Path) -> None:
    picture(root / "images/a.png")
    picture(root / "images/b.png")
    (root / "Annotations").mkdir()
    x, y, width, height = BOX
    corners = f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + width}</xmax><ymax>{y + height}</ymax>"
    one = f"<annotation><object><name>hole</name><bndbox>{corners}</bndbox></object></annotation>"
    (root / "Annotations/a.xml").write_text(one, encoding="utf-8")
    (root / "Annotations/b.xml").write_text("<annotation/>", encoding="utf-8")


@pytest.mark.parametrize("write", [with_masks, with_coco, with_yolo, with_voc])
def test_every_format_says_where_the_defect_is_and_that_the_other_picture_is_sound(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    write(tmp_path)
    found = read(tmp_path)
    assert found.classes == ("hole",)
    defective, sound = sorted(found.images, key=lambda each: each.path.stem)
    assert (defective.path.stem, sound.path.stem) == ("a", "b")
    assert sound.is_sound
    assert not sound.target.any()
    x, y, width, height = BOX
    assert defective.kinds == {"hole"}
    assert defective.target[y + height // 2, x + width // 2] == 1
    inside = np.zeros((64, 80), bool)
    inside[y : y + height, x : x + width] = True
    assert (defective.target[~inside] == SOUND).all()
    assert (defective.target[inside] == 1).mean() > 0.6


def test_the_corners_of_a_box_are_unknown_and_a_mask_has_none(tmp_path: Path) -> None:
    with_coco(tmp_path / "boxes")
    with_masks(tmp_path / "masks")
    assert read(tmp_path / "boxes").images[0].target[BOX[1], BOX[0]] == UNKNOWN
    assert not (read(tmp_path / "masks").images[0].target == UNKNOWN).any()


def test_class_folders_say_only_that_a_defect_is_somewhere(tmp_path: Path) -> None:
    picture(tmp_path / "hole/a.png")
    picture(tmp_path / "Good/b.png")
    defective, sound = sorted(read(tmp_path).images, key=lambda each: each.path.stem)
    assert (defective.target == UNKNOWN).all()
    assert defective.kinds == {"hole"}
    assert sound.is_sound


def test_numbered_masks_take_their_classes_from_the_classes_file(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    mask(tmp_path / "masks/a.png", value=2)
    (tmp_path / "classes.txt").write_text("hole\ncrack\n", encoding="utf-8")
    assert read(tmp_path).images[0].kinds == {"crack"}


def test_pictures_of_one_name_in_two_folders_keep_their_own_masks(tmp_path: Path) -> None:
    for kind in ("hole", "crack"):
        picture(tmp_path / f"images/{kind}/a.png")
        mask(tmp_path / f"masks/{kind}/a.png")
    assert [image.kinds for image in read(tmp_path).images] == [{"crack"}, {"hole"}]


def test_what_cannot_be_used_is_left_out_and_named_with_the_next_step(tmp_path: Path) -> None:
    with_masks(tmp_path)
    picture(tmp_path / "images/hole/wrong.png")
    mask(tmp_path / "masks/hole/wrong.png", shape=(32, 40))
    picture(tmp_path / "images/hole/bare.png")
    picture(tmp_path / "images/hole/empty.png")
    mask(tmp_path / "masks/hole/empty.png", value=0)
    (tmp_path / "images/hole/broken.png").write_bytes(b"no picture")
    said = "\n".join(read(tmp_path).left_out)
    assert "wrong.png: the mask is 40 x 32 px" in said
    assert "save the mask at the picture's size" in said
    assert "bare.png: its folder says hole, but there is no" in said
    assert "empty.png: empty, but the folder of empty.png says hole" in said
    assert "broken.png: not a picture" in said


def test_two_kinds_of_labels_or_none_are_refused(tmp_path: Path) -> None:
    with_masks(tmp_path)
    (tmp_path / "labels").mkdir()
    with pytest.raises(ConfigError, match="labels of two kinds, masks/ and YOLO labels/"):
        labels_in(tmp_path)
    picture(tmp_path / "plain/a.png")
    with pytest.raises(NotFoundError, match="no labels there"):
        labels_in(tmp_path / "plain")
    picture(tmp_path / "bad/hole/a.png")
    with pytest.raises(NotFoundError, match="no folder of sound pictures"):
        labels_in(tmp_path / "bad")


def test_wrong_label_files_are_named_by_line(tmp_path: Path) -> None:
    with_yolo(tmp_path / "yolo")
    (tmp_path / "yolo/labels/a.txt").write_text("3 0.5 0.5 0.1 0.1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.txt: line 1: class 3, but the classes file names 1"):
        labels_in(tmp_path / "yolo")
    (tmp_path / "yolo/labels/a.txt").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="hold not one box"):
        labels_in(tmp_path / "yolo")
    with_coco(tmp_path / "coco")
    text = (tmp_path / "coco/labels.json").read_text(encoding="utf-8").replace('"category_id": 7', '"category_id": 9')
    (tmp_path / "coco/labels.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"annotations\[0\]: no category has id 9"):
        labels_in(tmp_path / "coco")
    with_voc(tmp_path / "voc")
    (tmp_path / "voc/Annotations/a.xml").write_text("<annotation>", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.xml: is no Pascal VOC file"):
        labels_in(tmp_path / "voc")


def test_groups_come_from_names_or_from_a_table(tmp_path: Path) -> None:
    assert grouped_by_pattern(r"^(roll\d+)_")(Path("x/roll7_0003.png")) == "roll7"
    assert grouped_by_pattern(r"^(roll\d+)_")(Path("other.png")) is None
    with pytest.raises(ConfigError, match="no group"):
        grouped_by_pattern("roll")
    table = tmp_path / "index.csv"
    table.write_text("stem,part\na,P1\nb,P2\n", encoding="utf-8")
    assert grouped_by_table(table, "part")(Path("a.jpg")) == "P1"
    with pytest.raises(ConfigError, match="needs a column 'file' or 'stem' and a column 'roll'"):
        grouped_by_table(table, "roll")
    with_masks(tmp_path / "set")
    found = read_labelled(tmp_path / "set", labels_in(tmp_path / "set"), grouping=grouped_by_pattern("^([ab])$"))
    assert {image.path.stem: image.group for image in found.images} == {"a": "a", "b": "b"}

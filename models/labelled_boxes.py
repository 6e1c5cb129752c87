"""Boxes around defects: COCO JSON, YOLO text and Pascal VOC XML, and how a box becomes a target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import msgspec
import numpy as np
from numpy.typing import NDArray

from line.errors import ConfigError, FrameError
from models.labelled import UNKNOWN

ONLY_CLASS = "defect"

Grey = NDArray[np.uint8]


class Box(NamedTuple):
    """Where a defect is, in pixels from the picture's top left."""

    kind: str
    x: float
    y: float
    width: float
    height: float


def drawn(boxes: Sequence[Box], classes: Sequence[str], path: Path, grey: Grey) -> tuple[Grey, frozenset[str]]:
    """Target and classes of a picture with these boxes.

    Raises:
        FrameError: a box reaches beyond the picture.
    """
    target = np.zeros_like(grey)
    height, width = grey.shape
    windows = []
    for box in boxes:
        if box.x < -1 or box.y < -1 or box.x + box.width > width + 1 or box.y + box.height > height + 1:
            raise FrameError(
                f"{path}: a box of {box.kind} reaches to x {box.x + box.width:g}, y {box.y + box.height:g}, the "
                f"picture is {width} x {height} px; was it labelled at another size?"
            )
        rows = slice(max(0, int(box.y)), max(int(box.y) + 1, int(np.ceil(box.y + box.height))))
        columns = slice(max(0, int(box.x)), max(int(box.x) + 1, int(np.ceil(box.x + box.width))))
        windows.append((rows, columns))
        target[rows, columns] = UNKNOWN
    # Ellipses after all corners: where boxes overlap, what is known of one stands.
    for box, (rows, columns) in zip(boxes, windows, strict=True):
        inside = target[rows, columns]
        y = np.arange(rows.start, rows.start + inside.shape[0])[:, None] + 0.5
        x = np.arange(columns.start, columns.start + inside.shape[1])[None, :] + 0.5
        across = (x - box.x - box.width / 2) / max(box.width / 2, 0.5)
        along = (y - box.y - box.height / 2) / max(box.height / 2, 0.5)
        inside[across**2 + along**2 <= 1] = classes.index(box.kind) + 1
    return target, frozenset(box.kind for box in boxes)


class _CocoImage(msgspec.Struct):
    id: int
    file_name: str


class _CocoAnnotation(msgspec.Struct):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]


class _CocoCategory(msgspec.Struct):
    id: int
    name: str


class _Coco(msgspec.Struct):
    images: list[_CocoImage]
    annotations: list[_CocoAnnotation]
    categories: list[_CocoCategory]


def coco_files(folder: Path) -> list[Path]:
    """Files that may be COCO: JSON beside the pictures or in `annotations/`."""
    return sorted({*folder.glob("*.json"), *folder.glob("annotations/*.json")})


def coco_boxes(files: Sequence[Path]) -> tuple[dict[str, list[Box]], tuple[str, ...]]:
    """Boxes by picture name, and classes; ConfigError names file and annotation."""
    boxes: dict[str, list[Box]] = {}
    classes: list[str] = []
    for file in files:
        try:
            labels = msgspec.json.decode(file.read_bytes(), type=_Coco)
        except msgspec.DecodeError as error:
            raise ConfigError(f"is no COCO file of boxes: {error}; export it as COCO detection", file=file) from error
        names = {each.id: each.name for each in labels.categories}
        stems = {each.id: Path(each.file_name).stem for each in labels.images}
        classes += [each.name for each in labels.categories if each.name not in classes]
        for stem in stems.values():
            boxes.setdefault(stem, [])
        for number, each in enumerate(labels.annotations):
            if each.category_id not in names:
                raise ConfigError(f"no category has id {each.category_id}; export it again", file=file,
                                  key=f"annotations[{number}]")  # fmt: skip
            if each.image_id not in stems:
                raise ConfigError(f"no image has id {each.image_id}; export it again", file=file,
                                  key=f"annotations[{number}]")  # fmt: skip
            boxes[stems[each.image_id]].append(Box(names[each.category_id], *each.bbox))
    return boxes, tuple(classes)


def yolo_rows(file: Path, classes: Sequence[str]) -> list[Box]:
    """Rows of one file: centre and size as shares of the picture; ConfigError names file and line."""
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            index, x, y, width, height = (float(value) for value in line.split()[:5])
        except ValueError as error:
            raise ConfigError(f"line {number} is not `class x y width height`; mend or remove it", file=file) from error
        if not 0 <= index < len(classes):
            raise ConfigError(
                f"line {number}: class {index:g}, but the classes file names {len(classes)}; add its name", file=file
            )
        rows.append(Box(classes[int(index)], x, y, width, height))
    return rows


def voc_files(folder: Path) -> list[Path]:
    """Files that may be Pascal VOC: in `Annotations/`, or beside the pictures."""
    named = folder / "Annotations"
    root = named if named.is_dir() else folder / "images" if (folder / "images").is_dir() else folder
    return sorted(root.rglob("*.xml"))


def voc_boxes(files: Sequence[Path]) -> tuple[dict[str, list[Box]], tuple[str, ...]]:
    """Boxes by picture name, and classes; ConfigError names the file."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    for file in files:
        try:
            root = ElementTree.fromstring(file.read_bytes())
            for each in root.iter("object"):
                left, top, right, bottom = (
                    float(each.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")
                )
                # Both corners are inside, counted from 1.
                boxes[file.stem].append(
                    Box(each.findtext("name", ONLY_CLASS), left - 1, top - 1, right - left + 1, bottom - top + 1)
                )
        except (ElementTree.ParseError, ValueError) as error:
            raise ConfigError(f"is no Pascal VOC file: {error}; export it again", file=file) from error
        boxes.setdefault(file.stem, [])
    return dict(boxes), tuple(sorted({box.kind for each in boxes.values() for box in each}))

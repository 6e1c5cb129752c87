"""Finds out how a folder of pictures is labelled, and reads those labels: masks, boxes in three formats, class folders.

=========  ===========================================================================================
masks      `masks/`, a picture each: 0 sound; 255 defect, of the class that the picture's folder names
           (else `defect`); or the numbers 1, 2, ... of the lines of `classes.txt`
COCO       one `*.json` with `images`, `annotations` and `categories`
YOLO       `classes.txt` and `labels/<picture>.txt`, lines `class x y width height` as shares of the picture
VOC        `Annotations/<picture>.xml`, or the XML beside the pictures
folders    `<class>/<picture>`; folders named good, ok, free, normal or sound hold sound pictures
=========  ===========================================================================================

A box says that a defect touches its four sides and no more: the ellipse inside it counts as defect, its corners as
unknown. A class folder says only that there is a defect somewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from line.errors import ConfigError, FrameError, NotFoundError
from models.labelled import (
    SOUND,
    UNKNOWN,
    Labels,
    by_stem,
    class_number,
    folder_kind,
    is_sound_folder,
    picture_paths,
)
from models.labelled_boxes import ONLY_CLASS, Box, coco_boxes, coco_files, drawn, voc_boxes, voc_files, yolo_rows
from vision.images import SUFFIXES, read_image

_CLASSES_FILES = ("classes.txt", "obj.names", "labels/classes.txt")

Grey = NDArray[np.uint8]
Answer = tuple[Grey, frozenset[str]]


def labels_in(folder: Path) -> Labels:
    """The labels of a folder.

    Raises:
        NotFoundError: no such folder, no pictures, or no labels.
        ConfigError: labels of two kinds, or a label file that does not follow its format.
    """
    pictures = picture_paths(folder)
    found = {
        "masks/": (folder / "masks").is_dir(),
        "COCO JSON": bool(coco_files(folder)),
        "YOLO labels/": (folder / "labels").is_dir(),
        "VOC XML": bool(voc_files(folder)),
    }
    names = [name for name, is_there in found.items() if is_there]
    if len(names) > 1:
        raise ConfigError(f"holds labels of two kinds, {' and '.join(names)}; leave one of them there", file=folder)
    if found["masks/"]:
        return _masks(folder, pictures)
    if found["COCO JSON"]:
        return _boxes(*coco_boxes(coco_files(folder)), "boxes (COCO)", folder)
    if found["YOLO labels/"]:
        return _yolo(folder)
    if found["VOC XML"]:
        return _boxes(*voc_boxes(voc_files(folder)), "boxes (Pascal VOC)", folder)
    return _folders(folder, pictures)


def _masks(folder: Path, pictures: Sequence[Path]) -> Labels:
    root = folder / "masks"
    files = [path for path in sorted(root.rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not files:
        raise NotFoundError(f"{root}: no masks there; save one as PNG by each picture's name")
    # By place first: two class folders may hold pictures of one name.
    by_place = {_place(root, path): path for path in files}
    by_name = {path.stem.removesuffix("_mask"): path for path in files}
    pictures_root = folder / "images" if (folder / "images").is_dir() else folder
    numbered = _classes_file(folder)
    kinds = {folder_kind(folder, path) for path in pictures}
    folders = sorted(kind for kind in kinds if kind and not is_sound_folder(kind))
    classes = numbered or tuple(folders) or (ONLY_CLASS,)

    def target(path: Path, grey: Grey) -> Answer:
        named = folder_kind(folder, path)
        expected = named if named and not is_sound_folder(named) and not numbered else None
        file = by_place.get(_place(pictures_root, path), by_name.get(path.stem))
        if file is None:
            if expected:
                raise FrameError(f"{path}: its folder says {expected}, but there is no {root / path.stem}.png; draw it")
            return np.zeros_like(grey), frozenset()
        mask, _ = read_image(file).grey8()
        _require_size(file, mask, path, grey)
        if numbered and int(mask.max()) <= len(classes):
            return mask, frozenset(classes[value - 1] for value in np.unique(mask) if value)
        above = mask > 127
        if expected and not above.any():
            raise FrameError(
                f"{file}: empty, but the folder of {path.name} says {expected}; draw it or move the picture"
            )
        if not above.any():
            return np.zeros_like(grey), frozenset()
        if numbered and len(classes) > 1:
            raise FrameError(
                f"{file}: has values above {len(classes)}, the number of classes in the classes file; "
                "write 1 for its first line, 2 for its second"
            )
        kind = expected or classes[0]
        return np.where(above, np.uint8(classes.index(kind) + 1), np.uint8(SOUND)), frozenset({kind})

    return Labels(classes=classes, how="masks", target=target)


def _place(root: Path, path: Path) -> str:
    """Folders and name below a root, without suffix."""
    return path.relative_to(root).with_name(path.stem.removesuffix("_mask")).as_posix()


def _boxes(boxes: dict[str, list[Box]], classes: tuple[str, ...], how: str, folder: Path) -> Labels:
    if not any(boxes.values()):
        raise ConfigError(f"the {how} hold not one box; draw the defects or give --good alone", file=folder)

    def target(path: Path, grey: Grey) -> Answer:
        named = folder_kind(folder, path)
        if path.stem not in boxes:
            if named and is_sound_folder(named):
                return np.zeros_like(grey), frozenset()
            raise FrameError(f"{path}: not among the labels; label it, with no box where it is sound")
        return drawn(boxes[path.stem], classes, path, grey)

    return Labels(classes=classes, how=how, target=target)


def _yolo(folder: Path) -> Labels:
    classes = _classes_file(folder)
    if not classes:
        raise NotFoundError(
            f"{folder}: YOLO labels need the names of the classes; write {folder / 'classes.txt'}, one name a line"
        )
    files = by_stem([path for path in sorted((folder / "labels").rglob("*.txt")) if path.name != "classes.txt"])
    rows = {stem: yolo_rows(file, classes) for stem, file in files.items()}
    if not any(rows.values()):
        raise ConfigError("the labels hold not one box; draw the defects or give --good alone", file=folder / "labels")

    def target(path: Path, grey: Grey) -> Answer:
        if path.stem not in rows:
            named = folder_kind(folder, path)
            if named and is_sound_folder(named):
                return np.zeros_like(grey), frozenset()
            raise FrameError(f"{path}: no {path.stem}.txt in {folder / 'labels'}; an empty one says that it is sound")
        height, width = grey.shape
        scaled = [
            Box(row.kind, (row.x - row.width / 2) * width, (row.y - row.height / 2) * height, row.width * width,
                row.height * height)
            for row in rows[path.stem]
        ]  # fmt: skip
        return drawn(scaled, classes, path, grey)

    return Labels(classes=classes, how="boxes (YOLO)", target=target)


def _folders(folder: Path, pictures: Sequence[Path]) -> Labels:
    kinds = {folder_kind(folder, path) for path in pictures}
    classes = tuple(sorted(kind for kind in kinds if kind and not is_sound_folder(kind)))
    if not classes:
        raise NotFoundError(
            f"{folder}: no labels there; add masks/, boxes (COCO, YOLO, VOC) or a folder for each class of defects"
        )
    if not any(kind and is_sound_folder(kind) for kind in kinds):
        raise NotFoundError(f"{folder}: no folder of sound pictures; name one of them {folder / 'good'}")

    def target(path: Path, grey: Grey) -> Answer:
        kind = folder_kind(folder, path)
        if kind is None:
            raise FrameError(f"{path}: in no class folder; move it into one")
        if is_sound_folder(kind):
            return np.zeros_like(grey), frozenset()
        return np.full_like(grey, UNKNOWN), frozenset({classes[class_number(classes, kind, path) - 1]})

    return Labels(classes=classes, how="class folders", target=target)


def _classes_file(folder: Path) -> tuple[str, ...]:
    for name in _CLASSES_FILES:
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
            names = tuple(line.strip() for line in lines if line.strip())
            if len(set(names)) != len(names) or not 0 < len(names) < 250:
                raise ConfigError("needs 1 to 249 different names, one a line", file=folder / name)
            return names
    return ()


def _require_size(file: Path, mask: Grey, path: Path, grey: Grey) -> None:
    if mask.shape != grey.shape:
        raise FrameError(
            f"{file}: the mask is {mask.shape[1]} x {mask.shape[0]} px, its picture {path} is {grey.shape[1]} x "
            f"{grey.shape[0]} px; save the mask at the picture's size"
        )

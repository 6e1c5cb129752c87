"""Labelled pictures, whatever tool they were labelled with, as one thing: a picture and what each pixel is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from line.errors import ConfigError, FrameError, NotFoundError
from vision.images import SUFFIXES, read_image

SOUND, UNKNOWN = 0, 255
"""Values of a target; 1 to 254 are classes, in the order of `LabelledSet.classes`."""
SOUND_FOLDERS = frozenset({"free", "good", "normal", "ok", "sound"})
"""Names of folders of pictures without a defect."""
SMALLEST_PX = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """One picture with its labels."""

    path: Path
    grey: NDArray[np.uint8]
    """Shape (height, width)."""
    target: NDArray[np.uint8]
    """By pixel, of the same shape: sound, a class from 1 on, or unknown."""
    kinds: frozenset[str]
    """Classes in it; empty for a picture of sound material."""
    group: str
    """The part, roll or batch that it shows; pictures of one group are never split."""

    @property
    def is_sound(self) -> bool:
        return not self.kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """What was read."""

    images: tuple[LabelledImage, ...]
    classes: tuple[str, ...]
    how: str
    """In words: masks, boxes or class folders."""
    grouped: bool
    """False: nothing said which pictures show one part."""
    left_out: tuple[str, ...]
    """Why a picture or its label was not used, with file and next step."""

    @property
    def sound_count(self) -> int:
        return sum(image.is_sound for image in self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels of a folder before the pictures are opened."""

    classes: tuple[str, ...]
    how: str
    target: Callable[[Path, NDArray[np.uint8]], tuple[NDArray[np.uint8], frozenset[str]]]
    """From a picture's path and pixels to its target and classes; FrameError when label and picture do not fit."""


Grouping = Callable[[Path], str | None]
"""From a picture's path to the part it shows; None when the rule does not know it."""


def read_labelled(folder: Path, labels: Labels, *, grouping: Grouping | None = None) -> LabelledSet:
    """Open the pictures of a folder with their labels; what cannot be used is left out and named.

    Raises:
        NotFoundError: no such folder, or not one picture in it can be used.
    """
    images, left_out = [], []
    for path in picture_paths(folder):
        try:
            grey, _ = read_image(path).grey8()
            if min(grey.shape) < SMALLEST_PX:
                raise FrameError(f"{path}: {grey.shape[1]} x {grey.shape[0]} px; at least {SMALLEST_PX} px are needed")
            target, kinds = labels.target(path, grey)
        except FrameError as error:
            left_out.append(str(error))
            continue
        group = grouping(path) if grouping else None
        if grouping and group is None:
            left_out.append(f"{path}: the rule for groups does not know it; add it to the table or mend the pattern")
            continue
        images.append(LabelledImage(path=path, grey=grey, target=target, kinds=kinds, group=group or str(path)))
    if not images:
        first = f"; the first: {left_out[0]}" if left_out else ""
        raise NotFoundError(f"{folder}: not one picture there can be used{first}")
    return LabelledSet(
        images=tuple(images),
        classes=labels.classes,
        how=labels.how,
        grouped=grouping is not None,
        left_out=tuple(left_out),
    )


def sound_images(pictures: Sequence[tuple[Path, NDArray[np.uint8]]]) -> tuple[LabelledImage, ...]:
    """Pictures of sound material, each a group of its own."""
    return tuple(
        LabelledImage(
            path=path, grey=grey, target=np.zeros_like(grey), kinds=frozenset(), group=f"{path.parent}/{path.stem}"
        )
        for path, grey in pictures
    )


def with_images(labelled: LabelledSet, more: Sequence[LabelledImage]) -> LabelledSet:
    """The same set with more pictures."""
    return replace(labelled, images=(*labelled.images, *more))


def picture_paths(folder: Path) -> list[Path]:
    """Pictures below `images/`, or below the folder itself where there is none, in order; never those of masks.

    Raises:
        NotFoundError: no such folder, or no picture.
    """
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; check the path")
    root = folder / "images" if (folder / "images").is_dir() else folder
    masks = folder / "masks"
    found = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and masks not in path.parents
    )
    if not found:
        raise NotFoundError(f"{folder}: no pictures there; put them below {folder / 'images'}")
    return found


def folder_kind(folder: Path, path: Path) -> str | None:
    """The class that a picture's folder names: its first folder below `images/` (or below the folder itself)."""
    root = folder / "images" if (folder / "images").is_dir() else folder
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


def is_sound_folder(name: str) -> bool:
    return name.lower() in SOUND_FOLDERS


def class_number(classes: Sequence[str], name: str, place: Path) -> int:
    """Value of a class in a target.

    Raises:
        ConfigError: the class is unknown.
    """
    try:
        return classes.index(name) + 1
    except ValueError:
        raise ConfigError(
            f"class {name!r} is not among {', '.join(classes)}; add it to the classes file or mend the label",
            file=place,
        ) from None


def by_stem(paths: Sequence[Path]) -> Mapping[str, Path]:
    """Files by their names without suffix."""
    return {path.stem: path for path in paths}

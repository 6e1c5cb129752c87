"""Labelled pictures of real parts for benchmarks, split so that no part is learnt from and judged."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from line.errors import FrameError
from vision.images import SUFFIXES, read_image

SOUND = "Free"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture and what is known of it."""

    stem: str
    kind: str
    """Class of the defect, or `SOUND`."""
    group: str
    """The part that it shows."""
    grey: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None
    """Defective pixels; none for a sound picture. May be empty: some labels of soft shading are."""

    @property
    def is_bad(self) -> bool:
        return self.kind != SOUND


def read_pictures(folder: Path) -> list[Picture]:
    """Pictures named by `index.csv` (columns `class`, `stem`, `tile_group`), with masks of more than half white.

    Raises:
        FrameError: a picture or a mask is missing, or they differ in shape.
    """
    pictures = []
    with (folder / "index.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            grey = _read(folder / "images" / row["class"], row["stem"])
            mask = None if row["class"] == SOUND else _read(folder / "masks" / row["class"], row["stem"]) > 127
            if mask is not None and mask.shape != grey.shape:
                raise FrameError(f"{folder}: mask of {row['stem']} has shape {mask.shape}, its picture {grey.shape}")
            pictures.append(Picture(stem=row["stem"], kind=row["class"], group=row["tile_group"], grey=grey, mask=mask))
    return pictures


def fold_numbers(pictures: Sequence[Picture], count: int, seed: int = 0) -> NDArray[np.int64]:
    """The fold of each picture. Groups with a defect and groups without are dealt out one by one at random."""
    rng = np.random.default_rng(seed)
    groups = sorted({picture.group for picture in pictures}, key=lambda name: (len(name), name))
    shuffled = [groups[place] for place in rng.permutation(len(groups))]
    bad = {picture.group for picture in pictures if picture.is_bad}
    dealt = {}
    for part in ([name for name in shuffled if name in bad], [name for name in shuffled if name not in bad]):
        dealt.update({name: place % count for place, name in enumerate(part)})
    return np.array([dealt[picture.group] for picture in pictures], np.int64)


def digest(pictures: Sequence[Picture]) -> str:
    """Of pictures and labels, in their order."""
    total = hashlib.sha256()
    for picture in pictures:
        total.update(repr((picture.stem, picture.kind, picture.group, picture.grey.shape)).encode())
        total.update(picture.grey.tobytes())
        if picture.mask is not None:
            total.update(picture.mask.tobytes())
    return total.hexdigest()


def _read(folder: Path, stem: str) -> NDArray[np.uint8]:
    for suffix in sorted(SUFFIXES):
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return read_image(path).grey8()[0]
    raise FrameError(f"{folder / stem}: no such picture; check index.csv")

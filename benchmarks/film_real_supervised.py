"""The supervised model among the methods of `film_real.py`: what `lamella train film --labelled` trains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.film_real_peers import Judge, Judgement
from benchmarks.film_real_set import Picture
from models.labelled import LabelledImage, LabelledSet
from models.supervised import train_supervised
from vision.segmentation import SegmentationInspector


def supervised(known: Sequence[Picture], scratch: Path, seed: int) -> tuple[Judge, float, float]:
    """A judge, and the wall and processor seconds of its training."""
    kinds = sorted({picture.kind for picture in known if picture.is_bad})
    images = tuple(
        LabelledImage(
            path=Path(picture.stem),
            grey=picture.grey,
            target=_target(picture, kinds),
            kinds=frozenset({picture.kind}) if picture.is_bad else frozenset(),
            group=picture.group,
        )
        for picture in known
        # As when a folder is read: a label that names a defect and shows none is left out.
        if not picture.is_bad or (picture.mask is not None and picture.mask.any())
    )
    labelled = LabelledSet(images=images, classes=tuple(kinds), how="masks", grouped=True, left_out=())
    wall, cpu = time.perf_counter(), time.process_time()
    bundle = train_supervised(labelled, scratch / "model", name="film-real", seed=seed)
    times = time.perf_counter() - wall, time.process_time() - cpu
    inspector = SegmentationInspector(bundle, "cpu")

    def judge(image: NDArray[np.uint8]) -> Judgement:
        result = inspector.inspect(image)
        return Judgement(score=result.score, score_map=result.score_map, is_rejected=result.is_anomalous)

    return judge, *times


def _target(picture: Picture, kinds: Sequence[str]) -> NDArray[np.uint8]:
    if picture.mask is None:
        return np.zeros_like(picture.grey)
    return np.where(picture.mask, np.uint8(kinds.index(picture.kind) + 1), np.uint8(0))

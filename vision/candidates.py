"""Spots to classes: one small picture a spot, one batched call of the classifier for all spots of a strip.

A patch shows a spot with its surroundings as `PATCH_PX` squared pixels of three channels. Small spots are shown at full
resolution, larger ones shrunk until all of them is seen. Patches are brought to the same film grey whatever the lamps,
the lens and the exposure do, by what was learnt from good film: never by the patch's own content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle
from line.errors import BundleError
from vision.gates import Gates
from vision.pyramid import QUARTER, Floats
from vision.screening import Screened, Spot
from vision.session import ModelSession

PATCH_PX = 64
CHANNELS = ("BF", "DF", "TX")
FILM_GREY = (150.0, 25.0, 90.0)
"""Grey of good film in every patch, by channel."""
CLEAN = "clean"
UNKNOWN = "unknown"

_FILLED_FRACTION = 0.75
"""Largest share of a patch's side that a spot takes; the rest is good film to compare with."""
_UNSURE_BELOW = 0.5
"""A class whose probability is lower is not believed, unless the bundle has a threshold `unknown`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """What the classifier says of a spot."""

    kind: str
    """Class code, `unknown`, or `clean`."""
    score: float
    """Probability of the class; for `unknown`, that it is not clean."""


def patch_side_px(height: int, width: int) -> int:
    """Side of the square of film that a patch shows of a spot of this height and width, in full-resolution pixels."""
    side = max(PATCH_PX, max(height, width) / _FILLED_FRACTION)
    return int(np.ceil(side / QUARTER)) * QUARTER


def patch(planes: NDArray[np.uint8], found: Screened, gates: Gates, spot: Spot) -> NDArray[np.uint8]:
    """The picture of a spot that the classifier sees, shape (channels, 64, 64).

    What would lie beyond the strip is mirrored at its border. A line through the whole strip fills the patch from end
    to end.

    Args:
        planes: shape (channels, lines, width).
        found: of these planes.
        gates: of the camera.
        spot: of `found`.
    """
    _, lines, width = planes.shape
    through = spot.height >= lines // QUARTER * QUARTER
    side = max(PATCH_PX, lines // QUARTER * QUARTER) if through else patch_side_px(spot.height, spot.width)
    side = max(side, patch_side_px(0, spot.width))
    top = _kept_inside((spot.row_start + spot.row_end - side) // 2, side, lines)
    left = _kept_inside((spot.column_start + spot.column_end - side) // 2, side, width)
    coarse = side >= QUARTER * PATCH_PX
    step = QUARTER if coarse else 1
    sources: Sequence[NDArray[np.uint8]] = found.quarters if coarse else tuple(planes)
    levels = gates.look.quarter_level if coarse else gates.look.level
    squares = [
        _square(image, level, float(gain), grey, top // step, left // step, side // step)
        for image, level, gain, grey in zip(sources, levels, found.gain, FILM_GREY, strict=False)
    ]
    return np.stack(squares)


class Classifier:
    """The classifier of candidates, in an open session."""

    def __init__(self, session: ModelSession) -> None:
        """Take a session of a `film-candidates` bundle.

        Raises:
            BundleError: made for something else, for other channels or another patch, or without its classes.
        """
        bundle = session.bundle
        bundle.require_fit(task="film-candidates")
        manifest = bundle.manifest
        if manifest.input.channels != len(CHANNELS) or manifest.input.size_px not in {PATCH_PX, None}:
            raise BundleError(
                f"{bundle.path}: {bundle.ref} takes {manifest.input.channels} channels of {manifest.input.size_px} px, "
                f"vision gives {len(CHANNELS)} ({', '.join(CHANNELS)}) of {PATCH_PX} px; train the model again"
            )
        if CLEAN not in manifest.classes:
            raise BundleError(f"{bundle.path}: {bundle.ref} has no class {CLEAN!r}; train the model again")
        self._session = session
        self._classes = manifest.classes
        self._output = manifest.outputs[0].tensor
        self._clean = manifest.classes.index(CLEAN)
        self._unsure_below = _threshold(bundle, UNKNOWN, _UNSURE_BELOW)
        self._kept_above = _threshold(bundle, "keep", 0.5)

    @property
    def bundle(self) -> Bundle:
        """The bundle that answers."""
        return self._session.bundle

    @property
    def providers(self) -> tuple[str, ...]:
        """On what it runs."""
        return self._session.provenance.providers

    def passed_fraction(self, default: float = 0.05) -> float:
        """Share of patches of good film that it takes for a defect, as its manifest states."""
        threshold = self.bundle.manifest.thresholds.get("keep")
        return default if threshold is None else max(threshold.false_alarm_fraction, 1e-4)

    def classify(self, patches: NDArray[np.uint8]) -> list[Classified]:
        """A class for each patch.

        Args:
            patches: shape (n, channels, 64, 64).

        Raises:
            BundleError: the network's answers have another shape than its manifest says.
        """
        if not len(patches):
            return []
        logits = self._session.run(patches)[self._output]
        if logits.shape != (len(patches), len(self._classes)):
            raise BundleError(
                f"{self.bundle.path}: {self.bundle.ref} answers {logits.shape}, its manifest lists "
                f"{len(self._classes)} classes for {len(patches)} patches; train the model again"
            )
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return [self._believed(row) for row in powers / powers.sum(axis=1, keepdims=True)]

    def _believed(self, probabilities: NDArray[np.float32]) -> Classified:
        clean = float(probabilities[self._clean])
        if 1 - clean <= self._kept_above:
            return Classified(kind=CLEAN, score=clean)
        dirty = probabilities.copy()
        dirty[self._clean] = 0
        best = int(np.argmax(dirty))
        # What is surely not clean may still be torn between two classes: judge its share of the rest.
        share = float(dirty[best]) / max(1 - clean, 1e-6)
        if self._classes[best] == UNKNOWN or share < self._unsure_below:
            return Classified(kind=UNKNOWN, score=min(1.0, 1 - clean))
        return Classified(kind=self._classes[best], score=float(dirty[best]))


def _threshold(bundle: Bundle, name: str, default: float) -> float:
    threshold = bundle.manifest.thresholds.get(name)
    return default if threshold is None else threshold.value


def _kept_inside(start: int, side: int, size: int) -> int:
    """Where a square begins, moved into the image as far as it fits, on a whole cell of the quarter image."""
    moved = min(max(start, 0), size - side) if side <= size else start
    return moved // QUARTER * QUARTER


def _square(
    image: NDArray[np.uint8], level: Floats, gain: float, grey: float, top: int, left: int, side: int
) -> NDArray[np.uint8]:
    """A square of an image brought to film grey and to the size of a patch."""
    rows, columns = image.shape
    row_from, row_to = max(0, top), min(rows, top + side)
    column_from, column_to = max(0, left), min(columns, left + side)
    piece = image[row_from:row_to, column_from:column_to] * (grey / (level[column_from:column_to] * gain))
    flat = np.clip(np.rint(piece), 0, 255).astype(np.uint8)
    beyond = (row_from - top, top + side - row_to, column_from - left, left + side - column_to)
    if any(beyond):
        flat = np.asarray(cv2.copyMakeBorder(flat, *beyond, cv2.BORDER_REFLECT), np.uint8)
    if side == PATCH_PX:
        return flat
    return np.asarray(cv2.resize(flat, (PATCH_PX, PATCH_PX), interpolation=cv2.INTER_AREA), np.uint8)

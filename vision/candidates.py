"""Spots to classes: one small picture a spot, one batched call of the classifier for all spots of a strip.

A patch shows a spot with its surroundings as `PATCH_PX` squared pixels of three channels. Small spots are shown at the
pixel that the classifier was trained at, larger ones shrunk until all of them is seen. Patches are brought to the same
film grey whatever the lamps, the lens and the exposure do, by what was learnt from good film: never by the patch's own
content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

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
_TORN_ABOVE = 0.5
"""Of the likeliest class's probability: a class that reaches it is a rival, unless the bundle has one `rival`."""
_STREAK_ABOVE = 0.4
"""Probability of not being clean from which a line that the column test has found is one: waves of the film's edge and
lines that good film has reach less, faint streaks of rendered film more."""
_STREAK_STRONG = 1.5
"""Of the column test's limit, from which a line is one whatever the classifier says."""
_STREAK_SHARE = 0.2
"""Of the budget for false alarms."""
_MOST_CANDIDATES_PER_M2 = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """What the classifier says of a spot."""

    kind: str
    """Class code, `unknown`, or `clean`."""
    score: float
    """Probability of the class; for `unknown`, that it is not clean."""
    rival: str = ""
    """Another class that it may as well be; empty when there is none."""
    rival_score: float = 0.0

    def strict(self, reject_um: Mapping[str, float | None]) -> Classified:
        """Itself, or its rival where that is rejected from a smaller size: what errs, errs to the stricter limit.

        Args:
            reject_um: by class code, from which size it is rejected.
        """
        own, other = reject_um.get(self.kind), reject_um.get(self.rival)
        if own is None or other is None or own <= other:
            return self
        return Classified(kind=self.rival, score=self.rival_score, rival=self.kind, rival_score=self.score)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Candidates on good film that gates may be set for."""

    candidates_per_m2: float
    """At pixels and maps; most are sorted out by the classifier."""
    streaks_per_m2: float
    """At the column test; little sorts out after it."""


def patch_side_px(height: int, width: int, camera_pixels: int = 1) -> int:
    """Side of the square of film that a patch shows of a spot of this height and width, in full-resolution pixels."""
    side = max(PATCH_PX * camera_pixels, max(height, width) / _FILLED_FRACTION)
    return int(np.ceil(side / QUARTER)) * QUARTER


def patch(
    planes: NDArray[np.uint8],
    found: Screened,
    gates: Gates,
    spot: Spot,
    *,
    camera_pixels: int = 1,
    channels: Sequence[str] = CHANNELS,
    wanted: Sequence[str] = CHANNELS,
) -> NDArray[np.uint8]:
    """The picture of a spot that the classifier sees, shape (channels wanted, 64, 64).

    What would lie beyond the strip is mirrored at its border. A line through the whole strip fills the patch from end
    to end. A channel that the camera does not have is shown as good film without grain.

    Args:
        planes: shape (channels, lines, width).
        found: of these planes.
        gates: of the camera.
        spot: of `found`.
        camera_pixels: along a pixel of the patch, see `Classifier.camera_pixels`.
        channels: of the camera, in the order of its planes.
        wanted: that the classifier takes, in the order in which it does.
    """
    _, lines, width = planes.shape
    through = spot.height >= lines // QUARTER * QUARTER
    least = PATCH_PX * camera_pixels
    side = max(least, lines // QUARTER * QUARTER) if through else patch_side_px(spot.height, spot.width, camera_pixels)
    side = max(side, patch_side_px(0, spot.width, camera_pixels))
    top = _kept_inside((spot.row_start + spot.row_end - side) // 2, side, lines)
    left = _kept_inside((spot.column_start + spot.column_end - side) // 2, side, width)
    coarse = side >= QUARTER * PATCH_PX
    step = QUARTER if coarse else 1
    sources: Sequence[NDArray[np.uint8]] = found.quarters if coarse else tuple(planes)
    levels = gates.look.quarter_level if coarse else gates.look.level
    squares = np.empty((len(wanted), PATCH_PX, PATCH_PX), np.uint8)
    for number, channel in enumerate(wanted):
        grey = FILM_GREY[CHANNELS.index(channel)]
        if channel not in channels:
            squares[number] = grey
            continue
        own = channels.index(channel)
        place = top // step, left // step, side // step
        squares[number] = _square(sources[own], levels[own], float(found.gain[own]), grey, *place)
    return squares


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """From probabilities to what is believed of a spot."""

    classes: tuple[str, ...]
    """Of the probabilities, `clean` among them."""
    kept_above: float
    """Probability of not being clean above which a spot is kept."""
    unsure_below: float = _UNSURE_BELOW
    torn_above: float = _TORN_ABOVE

    @classmethod
    def stated(cls, bundle: Bundle, classes: tuple[str, ...], kept_above: float) -> Self:
        """With the thresholds that a bundle states."""
        unsure, torn = _threshold(bundle, UNKNOWN, _UNSURE_BELOW), _threshold(bundle, "rival", _TORN_ABOVE)
        return cls(classes=classes, kept_above=kept_above, unsure_below=unsure, torn_above=torn)

    def of(self, probabilities: Floats) -> Classified:
        """What is believed of a spot.

        Args:
            probabilities: of the classes, shape (classes,); they add up to 1.
        """
        at_clean = self.classes.index(CLEAN)
        clean = float(probabilities[at_clean])
        if 1 - clean <= self.kept_above:
            return Classified(kind=CLEAN, score=clean)
        dirty = probabilities.copy()
        dirty[at_clean] = 0
        best = int(np.argmax(dirty))
        # What is surely not clean may still be torn between two classes: judge its share of the rest.
        share = float(dirty[best]) / max(1 - clean, 1e-6)
        if self.classes[best] == UNKNOWN or share < self.unsure_below:
            return Classified(kind=UNKNOWN, score=min(1.0, 1 - clean))
        score = float(dirty[best])
        dirty[best] = 0
        second = int(np.argmax(dirty))
        torn = dirty[second] > self.torn_above * score and self.classes[second] != UNKNOWN
        return Classified(
            kind=self.classes[best],
            score=score,
            rival=self.classes[second] if torn else "",
            rival_score=float(dirty[second]) if torn else 0.0,
        )


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
        self.channels = _channels(bundle)
        """That it takes, in order; a camera that it serves must have them all."""
        if manifest.input.size_px not in {PATCH_PX, None}:
            raise BundleError(
                f"{bundle.path}: {bundle.ref} takes patches of {manifest.input.size_px} px, vision gives {PATCH_PX}; "
                "train the model again"
            )
        if CLEAN not in manifest.classes:
            raise BundleError(f"{bundle.path}: {bundle.ref} has no class {CLEAN!r}; train the model again")
        self._session = session
        self._classes = manifest.classes
        self._output = manifest.outputs[0].tensor
        self._beliefs = Beliefs.stated(bundle, manifest.classes, _threshold(bundle, "keep", 0.5))

    @property
    def bundle(self) -> Bundle:
        """The bundle that answers."""
        return self._session.bundle

    @property
    def providers(self) -> tuple[str, ...]:
        """On what it runs."""
        return self._session.provenance.providers

    @property
    def device(self) -> str:
        """What that computes on."""
        return self._session.provenance.hardware

    def passed_fraction(self, default: float = 0.05) -> float:
        """Share of patches of good film that it takes for a defect, as its manifest states."""
        threshold = self.bundle.manifest.thresholds.get("keep")
        return default if threshold is None else max(threshold.false_alarm_fraction, 1e-4)

    def budget(self, false_alarms_per_m2: float) -> Budget:
        """What gates may let through so that about so many false alarms are left."""
        sorted_out = (1 - _STREAK_SHARE) * false_alarms_per_m2 / self.passed_fraction()
        return budget_of(sorted_out, false_alarms_per_m2)

    def camera_pixels(self, pixel_um: float) -> int:
        """Pixels of a camera along one of a patch: a camera that sees finer is shown at the classifier's own pixel.

        Raises:
            BundleError: the classifier's pixel is no whole multiple of the camera's.
        """
        own_um = self.bundle.manifest.input.um_per_px or pixel_um
        count = max(1, round(own_um / pixel_um))
        self.bundle.require_fit(task="film-candidates", um_per_px=count * pixel_um)
        return count

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
        return [self._beliefs.of(row) for row in powers / powers.sum(axis=1, keepdims=True)]


def budget_of(candidates_per_m2: float, false_alarms_per_m2: float) -> Budget:
    """What gates may let through, no more than a strip can be looked at."""
    return Budget(
        candidates_per_m2=min(candidates_per_m2, _MOST_CANDIDATES_PER_M2),
        streaks_per_m2=_STREAK_SHARE * false_alarms_per_m2,
    )


def settled(said: Classified, spot: Spot, reject_um: Mapping[str, float | None]) -> Classified:
    """What a spot counts as, after what is known beside the classifier's answer.

    Args:
        said: by the classifier.
        spot: that it was said of.
        reject_um: by class code, from which size the line rejects it.
    """
    doubted = 1 - said.score > _STREAK_ABOVE or spot.strength > _STREAK_STRONG
    if said.kind == CLEAN and spot.test == "streak" and doubted:
        # The mean over a whole strip shows lines that a picture of some of it hardly does.
        return Classified(kind="STR", score=1 - said.score)
    return said.strict(reject_um)


def _channels(bundle: Bundle) -> tuple[str, ...]:
    """Channels that a classifier takes; one that does not name them takes all three, in their order."""
    taken = bundle.manifest.input
    names = taken.channel_names or CHANNELS
    if taken.channels != len(names) or not set(names) <= set(CHANNELS):
        raise BundleError(
            f"{bundle.path}: {bundle.ref} takes {taken.channels} channel(s) and names {', '.join(names)}; needed is a "
            f"name for each, of {', '.join(CHANNELS)}; train the model again"
        )
    return names


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

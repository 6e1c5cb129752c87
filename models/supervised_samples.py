"""What the supervised net learns from: pieces of labelled pictures, turned, scaled, relit, and defects moved about.

Defects are few and small, and pictures of one part are much alike, so a net soon knows the parts by heart. Four kinds
of pieces keep it from that: real defects (each class, part and component equally often, so that a small hole counts as
much as a large uneven area), real defects moved onto other sound pictures, sound pictures with artificial defects, and
sound pieces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artificial_defects import damaged
from models.labelled import SOUND, UNKNOWN, LabelledImage
from vision.tiles import MARGIN_PX

_SMALLEST_COMPONENT_PX = 4
"""Specks of a label that are smaller are slips of the hand."""
ARTIFICIAL = 254
"""Value in a target: a defect of no class."""
_SHARES = {"real": 0.45, "moved": 0.2, "artificial": 0.1, "sound": 0.25}
_MIRROR = cv2.BORDER_REFLECT_101

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A square to learn from."""

    grey: Grey
    target: Grey
    """As `LabelledImage.target`, and `ARTIFICIAL`."""
    defective: bool
    """Whether the picture it was cut from is; where the target does not know, the piece may miss the defect."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A component of a defect."""

    image: LabelledImage
    points: NDArray[np.int64]
    """Some of its pixels as (x, y), shape (n, 2)."""
    located: bool = True
    """False: all that is known is that a defect is somewhere in the picture."""


class Pieces:
    """Draws pieces. The same seed and number give the same piece, whatever was drawn before.

    Args:
        images: to learn from.
        classes: in the order of the targets' values.
        side_px: of a piece.
        margin_px: of a picture's mirror image at its borders, that a piece may show.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        classes: Sequence[str],
        side_px: int,
        seed: int,
        margin_px: int = MARGIN_PX,
    ) -> None:
        self._side, self._seed, self._margin = side_px, seed, margin_px
        self._sound = [list(each) for each in _by_group([image for image in images if image.is_sound])]
        self._defects: dict[int, list[list[_Place]]] = {}
        groups: dict[tuple[int, str], list[_Place]] = defaultdict(list)
        for image in images:
            for kind, place in _components(image, classes):
                groups[kind, image.group].append(place)
        for (kind, _), places in groups.items():
            self._defects.setdefault(kind, []).append(places)
        self._kinds = sorted(self._defects)
        self._greys = [image.grey for image in images if image.is_sound]

    def piece(self, number: int) -> Piece:
        """One piece."""
        rng = np.random.default_rng((self._seed, number))
        names = [name for name in _SHARES if self._can(name)]
        shares = np.array([_SHARES[name] for name in names])
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        if name == "real":
            grey, target = self._real(rng)
        else:
            grey, target = self._sound_piece(rng)
            if name == "moved":
                grey, target = moved(*self._real(rng), grey, target)
            elif name == "artificial":
                grey, mask = damaged(grey, self._greys, rng)
                target = np.where(mask, np.uint8(ARTIFICIAL), np.uint8(SOUND))
        return Piece(grey=_relit(grey, rng), target=target, defective=name != "sound")

    def _can(self, name: str) -> bool:
        return bool(self._kinds if name in {"real", "moved"} else True) and bool(self._sound or name == "real")

    def _real(self, rng: np.random.Generator) -> tuple[Grey, Grey]:
        of_kind = self._defects[self._kinds[int(rng.integers(len(self._kinds)))]]
        places = of_kind[int(rng.integers(len(of_kind)))]
        place = places[int(rng.integers(len(places)))]
        x, y = place.points[int(rng.integers(len(place.points)))]
        if place.located:
            return self._cut(place.image, float(x), float(y), rng)
        # The whole picture where it fits, shrunk to half where it must: holes of a few pixels would not survive more.
        fit = self._side / max(place.image.grey.shape)
        return self._cut(place.image, float(x), float(y), rng, zoom=min(1.0, max(0.5, fit)), at_middle=fit >= 0.5)

    def _sound_piece(self, rng: np.random.Generator) -> tuple[Grey, Grey]:
        group = self._sound[int(rng.integers(len(self._sound)))]
        image = group[int(rng.integers(len(group)))]
        height, width = image.grey.shape
        return self._cut(image, rng.uniform(0, width), rng.uniform(0, height), rng)

    def _cut(
        self,
        image: LabelledImage,
        x: float,
        y: float,
        rng: np.random.Generator,
        *,
        zoom: float | None = None,
        at_middle: bool = False,
    ) -> tuple[Grey, Grey]:
        """A piece with (x, y) somewhere in it, turned, mirrored and scaled."""
        side = self._side
        zoom = zoom or float(np.exp(rng.uniform(np.log(0.75), np.log(1.4))))
        angle = np.pi / 2 * rng.integers(4) + rng.normal(0, 0.1)
        turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        if rng.random() < 0.5:
            turn[:, 0] *= -1
        at = np.full(2, 0.5 * side) if at_middle else rng.uniform(0.12, 0.88, 2) * side
        # Inspection mirrors a picture by a margin at its borders; a piece shows no more than that.
        centre = np.array((x, y)) + np.linalg.solve(turn, 0.5 * side - at)
        reach = 0.5 * side / zoom - self._margin
        far = np.array(image.grey.shape[::-1]) - reach
        centre = np.where(reach < far, np.clip(centre, reach, far), 0.5 * (reach + far))
        matrix = np.column_stack((turn, 0.5 * side - turn @ centre))
        size = (side, side)
        grey = cv2.warpAffine(image.grey, matrix, size, flags=cv2.INTER_LINEAR, borderMode=_MIRROR)
        target = cv2.warpAffine(image.target, matrix, size, flags=cv2.INTER_NEAREST, borderMode=_MIRROR)
        return np.asarray(grey, np.uint8), np.asarray(target, np.uint8)


def moved(donor: Grey, donor_target: Grey, sound: Grey, sound_target: Grey) -> tuple[Grey, Grey]:
    """The defects of a piece laid over a sound one, at its grey level, with a soft border."""
    mask = ((donor_target != SOUND) & (donor_target != UNKNOWN)).astype(np.uint8)
    if not mask.any() or mask.mean() > 0.5:
        return sound, sound_target
    around = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    cover = np.maximum(cv2.GaussianBlur(around.astype(np.float32), (0, 0), 1.5), mask.astype(np.float32))
    outside = (1 - around).astype(np.float32)
    blur = (0, 0), 12
    level = cv2.GaussianBlur(donor.astype(np.float32) * outside, *blur) / (cv2.GaussianBlur(outside, *blur) + 1e-3)
    ground = cv2.GaussianBlur(sound.astype(np.float32), *blur)
    new = donor - level + ground
    grey = np.clip(sound + cover * (new - sound), 0, 255)
    return np.round(grey).astype(np.uint8), np.asarray(np.where(mask > 0, donor_target, sound_target), np.uint8)


def reduced(image: LabelledImage, factor: int) -> LabelledImage:
    """The picture averaged over squares of so many pixels; a cell is defective when half of its pixels are."""
    if factor == 1:
        return image
    height, width = (size // factor * factor for size in image.grey.shape)
    grey = cv2.resize(image.grey[:height, :width], (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    cells = image.target[:height, :width].reshape(height // factor, factor, width // factor, factor)
    defect = (cells != SOUND) & (cells != UNKNOWN)
    kind = np.where(defect, cells, 0).max(axis=(1, 3))
    target = np.where(
        defect.mean(axis=(1, 3)) >= 0.5, kind, np.where((cells == UNKNOWN).any(axis=(1, 3)), UNKNOWN, SOUND)
    )
    return replace(image, grey=np.asarray(grey, np.uint8), target=target.astype(np.uint8))


def smallest_defect_px(images: Sequence[LabelledImage]) -> float:
    """Diameter that nine of ten labelled defects exceed; 0 where none is located."""
    diameters = []
    for image in images:
        defect = ((image.target != SOUND) & (image.target != UNKNOWN)).astype(np.uint8)
        if defect.any():
            _, _, stats, _ = cv2.connectedComponentsWithStats(defect, connectivity=8)
            areas = stats[1:, cv2.CC_STAT_AREA]
            diameters += np.sqrt(areas[areas >= _SMALLEST_COMPONENT_PX] * 4 / np.pi).tolist()
    return float(np.quantile(diameters, 0.1)) if diameters else 0.0


def component_weights(defect: NDArray[np.float32]) -> NDArray[np.float32]:
    """By cell, one over the area of the defect it is part of, so that each defect weighs 1; 0 elsewhere."""
    count, labels = cv2.connectedComponents((defect >= 0.25).astype(np.uint8), connectivity=8)
    areas = np.bincount(labels.ravel(), minlength=count).astype(np.float32)
    weights = 1 / np.maximum(areas, 1)
    weights[0] = 0
    return np.asarray(weights[labels], np.float32)


def _relit(grey: Grey, rng: np.random.Generator) -> Grey:
    """Other light, other sensor, other focus."""
    levels = np.arange(256) / 255
    curve = 255 * levels ** np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 12)
    relit: Grey = np.clip(curve, 0, 255).astype(np.uint8)[grey]
    if rng.random() < 0.2:
        relit = np.asarray(cv2.GaussianBlur(relit, (0, 0), rng.uniform(0.4, 1.1)), np.uint8)
    if rng.random() < 0.5:
        noise = rng.standard_normal(grey.shape, np.float32) * np.float32(rng.uniform(0.5, 5))
        relit = np.asarray(np.clip(relit + noise, 0, 255), np.uint8)
    return relit


def _components(image: LabelledImage, classes: Sequence[str]) -> list[tuple[int, _Place]]:
    """Class and pixels of each component; a defective picture without located defects is one place, its middle."""
    found = []
    for kind in np.unique(image.target):
        if kind in {SOUND, UNKNOWN}:
            continue
        count, labels = cv2.connectedComponents((image.target == kind).astype(np.uint8), connectivity=8)
        order = np.argsort(labels, axis=None, kind="stable")
        ends = np.cumsum(np.bincount(labels.ravel(), minlength=count))
        for label in range(1, count):
            pixels = order[ends[label - 1] : ends[label]]
            if pixels.size < _SMALLEST_COMPONENT_PX:
                continue
            picked = pixels[np.linspace(0, pixels.size - 1, min(pixels.size, 24)).astype(int)]
            ys, xs = np.unravel_index(picked, labels.shape)
            found.append((int(kind), _Place(image, np.column_stack((xs, ys)))))
    if not found and image.kinds:
        height, width = image.grey.shape
        middle = np.array([[width // 2, height // 2]])
        found = [(classes.index(kind) + 1, _Place(image, middle, located=False)) for kind in sorted(image.kinds)]
    return found


def _by_group(images: Sequence[LabelledImage]) -> list[list[LabelledImage]]:
    groups: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in images:
        groups[image.group].append(image)
    return list(groups.values())

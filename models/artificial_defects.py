"""Artificial defects drawn on images of good material, with their masks.

A one-class model sees no real defect in training. What it must learn is which changes of a surface matter beside its
normal texture; so surfaces are damaged in every way that we can draw without knowing the product: spots, scratches,
foreign texture, light or dark areas, rough or smooth areas; of either polarity, any direction and a wide range of
sizes. Nothing here is fitted to a data set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Grey: TypeAlias = NDArray[np.float32]

_MIRROR = cv2.BORDER_REFLECT_101


class Area(NamedTuple):
    """Where a defect lies: a window of the image and its cover, 0 to 1, inside the window."""

    window: tuple[slice, slice]
    cover: Grey


class Damaged(NamedTuple):
    """An image with artificial defects, and the pixels that they visibly changed."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def damaged(image: NDArray[np.uint8], others: Sequence[NDArray[np.uint8]], rng: np.random.Generator) -> Damaged:
    """The image mirrored at random, its exposure varied, with one to four artificial defects.

    Args:
        image: shape (height, width), at least 16 x 16.
        others: images of good material to take foreign texture from.
    """
    surface = image.astype(np.float32)
    surface = surface[:, :: rng.choice((1, -1))][:: rng.choice((1, -1))]
    surface = np.clip(surface * _spread(rng, 0.7, 1.4) + rng.uniform(-8, 8), 0, 255).astype(np.float32)
    surface = np.ascontiguousarray(surface)
    mask = np.zeros(surface.shape, np.bool_)
    grain = float(np.std(surface - cv2.GaussianBlur(surface, (0, 0), 3))) + 1.0
    for _ in range(int(rng.integers(1, 5))):
        draw = _KINDS[int(rng.integers(len(_KINDS)))]
        draw(surface, mask, grain, others, rng)
    return Damaged(np.round(surface).astype(np.uint8), mask)


def _spot(surface: Grey, mask: NDArray[np.bool_], grain: float, others: object, rng: np.random.Generator) -> None:
    """Hole, inclusion, agglomerate, chip at the border: small, compact, with a texture of its own."""
    area = _blob(surface.shape, _spread(rng, 1.5, 30), rng, softness_px=rng.uniform(0.5, 3))
    old = surface[area.window]
    flat = rng.uniform()
    ground = flat * cv2.GaussianBlur(old, (0, 0), 2, borderType=_MIRROR) + (1 - flat) * old
    own = cv2.GaussianBlur(rng.standard_normal(old.shape, np.float32), (0, 0), rng.uniform(0.7, 2.5))
    own = own * np.float32(rng.uniform() * grain / (float(own.std()) + 1e-6))
    _blend(surface, mask, grain, area, ground + own + _contrast(old, area.cover, grain, rng))


def _scratch(surface: Grey, mask: NDArray[np.bool_], grain: float, others: object, rng: np.random.Generator) -> None:
    """Scratch, crack or fibre: a wandering line of 1 to 5 px."""
    height, width = surface.shape
    length = _spread(rng, 12, max(13.0, min(250.0, 0.8 * max(height, width))))
    steps = int(rng.integers(2, 6))
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, steps))
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / steps)
    points = rng.uniform((0, 0), (width, height)) + np.cumsum(np.vstack([np.zeros(2), moves]), axis=0)
    cover = np.zeros(surface.shape, np.float32)
    # Three fractional bits: lines start and end between pixels.
    cv2.polylines(cover, [np.round(points * 8).astype(np.int32)], False, 1.0, round(_spread(rng, 1, 5)), cv2.LINE_AA, 3)
    area = Area(_EVERYWHERE, cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.4, 1.2)).astype(np.float32))
    _blend(surface, mask, grain, area, surface + _contrast(surface, area.cover, grain, rng))


def _foreign(
    surface: Grey, mask: NDArray[np.bool_], grain: float, others: Sequence[NDArray[np.uint8]], rng: np.random.Generator
) -> None:
    """A patch of another place, turned: right grey levels in the wrong place or direction (CutPaste)."""
    area = _blob(surface.shape, _spread(rng, 6, 70), rng, softness_px=rng.uniform(0.5, 3))
    old = surface[area.window]
    source = others[int(rng.integers(len(others)))]
    source = np.ascontiguousarray(np.rot90(source, int(rng.integers(4))))
    rows, columns = max(source.shape[0], old.shape[0]), max(source.shape[1], old.shape[1])
    if (rows, columns) != source.shape:
        source = cv2.resize(source, (columns, rows)).astype(np.uint8)
    top, left = rng.integers(rows - old.shape[0] + 1), rng.integers(columns - old.shape[1] + 1)
    patch = source[top : top + old.shape[0], left : left + old.shape[1]].astype(np.float32)
    if rng.random() < 0.5:
        patch += old.mean() - patch.mean()
    _blend(surface, mask, grain, Area(area.window, area.cover * np.float32(rng.uniform(0.4, 1))), patch)


def _shade(surface: Grey, mask: NDArray[np.bool_], grain: float, others: object, rng: np.random.Generator) -> None:
    """Thick, thin or stained: a larger area, lighter or darker, its texture kept."""
    area = _large_area(surface.shape, rng, smallest_px=15, largest_px=110)
    old = surface[area.window]
    change = max(_spread(rng, 0.1, 0.5) * float(old.mean()), grain) * rng.choice((-1, 1))
    _blend(surface, mask, grain, area, old + np.float32(change))


def _rough(surface: Grey, mask: NDArray[np.bool_], grain: float, others: object, rng: np.random.Generator) -> None:
    """Rough, smeared or glossy: a larger area with its fine texture amplified or wiped out."""
    area = _large_area(surface.shape, rng, smallest_px=15, largest_px=140)
    old = surface[area.window]
    smooth = cv2.GaussianBlur(old, (0, 0), rng.uniform(3, 10), borderType=_MIRROR)
    gain = _spread(rng, 0.2, 0.6) if rng.random() < 0.35 else _spread(rng, 1.5, 3.5)
    new = smooth + (old - smooth) * gain + old.mean() * rng.uniform(-0.2, 0.2)
    surface[area.window] = np.clip(old + area.cover * (new - old), 0, 255)
    # The change sits in the texture, not in each pixel, so all of the area counts.
    mask[area.window] |= area.cover > 0.5


_Draw: TypeAlias = Callable[[Grey, NDArray[np.bool_], float, Sequence[NDArray[np.uint8]], np.random.Generator], None]
# Spots twice: most of what kills a cell is small and compact.
_KINDS: tuple[_Draw, ...] = (_spot, _spot, _scratch, _foreign, _shade, _rough)
_EVERYWHERE = (slice(None), slice(None))


def _blend(surface: Grey, mask: NDArray[np.bool_], grain: float, area: Area, new: Grey) -> None:
    """Put the new grey levels in; only pixels that visibly changed are part of the defect."""
    old = surface[area.window].copy()
    surface[area.window] = np.clip(old + area.cover * (new - old), 0, 255)
    change = cv2.blur(np.abs(surface[area.window] - old), (3, 3), borderType=_MIRROR)
    mask[area.window] |= (area.cover > 0.3) & (change > max(3.0, 0.5 * grain))


def _blob(shape: tuple[int, ...], radius_px: float, rng: np.random.Generator, *, softness_px: float) -> Area:
    """An ellipse with a smooth or ragged outline, its centre anywhere, also at the border."""
    height, width = shape
    radius_px = min(radius_px, 0.45 * max(height, width))
    stretch = np.sqrt(_spread(rng, 1, 3))
    radii = np.array([radius_px * stretch, max(radius_px / stretch, 1.0)])
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    reach = int(1.8 * radii.max() + 4)
    rows = slice(max(0, int(row) - reach), min(height, int(row) + reach + 1))
    columns = slice(max(0, int(column) - reach), min(width, int(column) + reach + 1))
    y, x = np.mgrid[rows, columns].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    along = (np.cos(angle) * (x - column) + np.sin(angle) * (y - row)) / radii[0]
    across = (np.cos(angle) * (y - row) - np.sin(angle) * (x - column)) / radii[1]
    distance = np.hypot(along, across)
    coarse = rng.standard_normal((int(rng.integers(3, 7)),) * 2, np.float32)
    distance += rng.choice((0, 0.15, 0.35)) * cv2.resize(coarse, distance.shape[::-1], interpolation=cv2.INTER_CUBIC)
    cover = np.clip((1 - distance) * radii.min() / softness_px + 0.5, 0, 1)
    return Area((rows, columns), cover.astype(np.float32))


def _large_area(shape: tuple[int, ...], rng: np.random.Generator, *, smallest_px: float, largest_px: float) -> Area:
    """A blob, or everything on one side of a soft straight border, as a stop or a changed coat leaves it."""
    if rng.random() < 0.6:
        radius_px = _spread(rng, smallest_px, largest_px)
        return _blob(shape, radius_px, rng, softness_px=radius_px * rng.uniform(0.02, 0.3))
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.choice(4) * np.pi / 2 + rng.normal(0, 0.25)
    side = (x - rng.uniform(0.2, 0.8) * width) * np.cos(angle) + (y - rng.uniform(0.2, 0.8) * height) * np.sin(angle)
    return Area(_EVERYWHERE, np.clip(side / rng.uniform(2, 20) + 0.5, 0, 1).astype(np.float32))


def _contrast(old: Grey, cover: Grey, grain: float, rng: np.random.Generator) -> np.float32:
    """8 to 80 % of the grey level below, never less than one to three times the grain; darker more often."""
    under = old[cover > 0.3]
    level = float(under.mean()) if under.size else float(old.mean())
    amount = max(_spread(rng, 0.08, 0.8) * level, rng.uniform(1, 3) * grain)
    return np.float32(amount if rng.random() < 0.4 else -amount)


def _spread(rng: np.random.Generator, low: float, high: float) -> float:
    """Drawn evenly in the logarithm, so that each octave of sizes is as frequent as the next."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))

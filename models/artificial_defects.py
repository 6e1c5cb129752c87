"""Artificial defects drawn on images of good material, with their masks.

A one-class model sees no real defect in training. What it must learn is which changes of a surface matter beside its
normal texture; so surfaces are damaged in every way that we can draw without knowing the product: spots, scratches,
cracks, chipped borders, foreign texture, light or dark areas, rough or smooth areas; of either polarity, any direction
and a wide range of sizes. Nothing here is fitted to a data set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from models.artificial_areas import (
    EVERYWHERE,
    Area,
    Grey,
    Mask,
    blend,
    blend_texture,
    blob,
    blurred,
    contrast,
    large_area,
    log_uniform,
    noise,
)


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
    surface = np.clip(surface * log_uniform(rng, 0.7, 1.4) + rng.uniform(-8, 8), 0, 255).astype(np.float32)
    surface = np.ascontiguousarray(surface)
    mask = np.zeros(surface.shape, np.bool_)
    grain = float(np.std(surface - cv2.GaussianBlur(surface, (0, 0), 3))) + 1.0
    for _ in range(int(rng.integers(1, 5))):
        draw = _KINDS[int(rng.integers(len(_KINDS)))]
        draw(surface, mask, grain, others, rng)
    return Damaged(np.round(surface).astype(np.uint8), mask)


def _spot(surface: Grey, mask: Mask, grain: float, others: object, rng: np.random.Generator) -> None:
    """Hole, inclusion, agglomerate: small, compact, with a texture of its own."""
    area = blob(surface.shape, log_uniform(rng, 1.5, 30), rng, softness_px=rng.uniform(0.5, 3))
    _replace(surface, mask, grain, area, rng, own=rng.uniform(0, 1) * grain, sigma_px=rng.uniform(0.7, 2.5))


def _chip(surface: Grey, mask: Mask, grain: float, others: object, rng: np.random.Generator) -> None:
    """Chipped or frayed border: a ragged piece missing from a side, the ground or the fracture in its place."""
    height, width = surface.shape
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    centre = ((0.0, column), (float(height), column), (row, 0.0), (row, float(width)))[int(rng.integers(4))]
    area = blob(surface.shape, log_uniform(rng, 3, 45), rng, softness_px=rng.uniform(0.5, 2.5), centre=centre)
    _replace(surface, mask, grain, area, rng, own=rng.uniform(0.3, 2.5) * grain, sigma_px=log_uniform(rng, 0.7, 5))


def _replace(
    surface: Grey, mask: Mask, grain: float, area: Area, rng: np.random.Generator, *, own: float, sigma_px: float
) -> None:
    """Another grey level and, in part, another texture; ``own`` is the spread of that."""
    old = surface[area.window]
    flat = np.float32(rng.uniform())
    ground = flat * blurred(old, 2) + (1 - flat) * old
    texture = noise(old.shape, sigma_px, rng) * np.float32(own)
    blend(surface, mask, grain, area, ground + texture + contrast(old, area.cover, grain, rng))


def _scratch(surface: Grey, mask: Mask, grain: float, others: object, rng: np.random.Generator) -> None:
    """Scratch or fibre: a wandering line of 1 to 5 px."""
    height, width = surface.shape
    length = log_uniform(rng, 12, max(13.0, min(250.0, 0.8 * max(height, width))))
    steps = int(rng.integers(2, 6))
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, steps))
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / steps)
    points = rng.uniform((0, 0), (width, height)) + np.cumsum(np.vstack([np.zeros(2), moves]), axis=0)
    cover = np.zeros(surface.shape, np.float32)
    # Three fractional bits: lines start and end between pixels.
    thickness = round(log_uniform(rng, 1, 5))
    cv2.polylines(cover, [np.round(points * 8).astype(np.int32)], False, 1.0, thickness, cv2.LINE_AA, 3)
    area = Area(EVERYWHERE, blurred(cover, rng.uniform(0.4, 1.2)))
    blend(surface, mask, grain, area, surface + contrast(surface, area.cover, grain, rng))


def _crack(surface: Grey, mask: Mask, grain: float, others: object, rng: np.random.Generator) -> None:
    """Crack: thin, jagged, branching, fading out; often from the border inwards or along an axis of the image."""
    height, width = surface.shape
    length = log_uniform(rng, 12, max(14.0, min(220.0, 0.8 * max(height, width))))
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    side = int(rng.integers(4))
    if rng.random() < 0.5:
        start = ((column, 0.0), (width - 1.0, row), (column, height - 1.0), (0.0, row))[side]
        heading = (0.5, 1.0, -0.5, 0.0)[side] * np.pi + rng.normal(0, 0.4)
    else:
        start = (column, row)
        heading = side * np.pi / 2 + rng.normal(0, 0.1) if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi)
    cover = np.zeros(surface.shape, np.float32)
    _grow(cover, np.array(start), heading, length, log_uniform(rng, 1, 3.5), rng)
    cover = blurred(cover, rng.uniform(0.4, 1))
    amount = max(log_uniform(rng, 0.1, 0.8) * float(surface.mean()), rng.uniform(1, 3) * grain)
    polarity = 1 if rng.random() < 0.15 else -1
    blend(surface, mask, grain, Area(EVERYWHERE, cover), surface + np.float32(1.2 * polarity * amount))


def _grow(
    cover: Grey, point: NDArray[np.float64], heading: float, length: float, width: float, rng: np.random.Generator
) -> None:
    """Draw a crack from ``point`` (x, y) on, and its branches; those that would be shorter than 8 px are left out."""
    step, jag, bend = rng.uniform(2, 5), rng.uniform(0.1, 0.5), rng.normal(0, 0.03)
    branching = 0.5 * step / length
    count = max(3, int(length / step))
    for index in range(count):
        done = index / count
        heading += bend
        turned = heading + rng.normal(0, jag)
        end = point + step * np.array([np.cos(turned), np.sin(turned)])
        strength = float(np.clip(rng.uniform(0.6, 1.2) * (1 - done**3), 0.15, 1))
        first, last = (tuple(int(value) for value in np.round(place * 8)) for place in (point, end))
        cv2.line(cover, first, last, strength, max(1, round(width * (1 - 0.6 * done))), cv2.LINE_AA, 3)
        branch = length * rng.uniform(0.2, 0.6) * (1 - done)
        if branch > 8 and rng.random() < branching:
            _grow(cover, end, heading + rng.choice((-1, 1)) * rng.uniform(0.3, 1.2), branch, 0.8 * width, rng)
        point = end


def _foreign(
    surface: Grey, mask: Mask, grain: float, others: Sequence[NDArray[np.uint8]], rng: np.random.Generator
) -> None:
    """Texture of another place, turned: right grey levels in the wrong place or direction, of any extent (CutPaste)."""
    if rng.random() < 0.5:
        area = blob(surface.shape, log_uniform(rng, 6, 70), rng, softness_px=rng.uniform(0.5, 3))
    else:
        area = large_area(surface.shape, rng, smallest_px=20, largest_px=120)
    old = surface[area.window]
    is_own = rng.random() < 0.4
    source = surface.astype(np.uint8)[::-1] if is_own else others[int(rng.integers(len(others)))]
    source = np.ascontiguousarray(np.rot90(source, int(rng.integers(4))))
    rows, columns = max(source.shape[0], old.shape[0]), max(source.shape[1], old.shape[1])
    if (rows, columns) != source.shape:
        source = cv2.resize(source, (columns, rows)).astype(np.uint8)
    top, left = rng.integers(rows - old.shape[0] + 1), rng.integers(columns - old.shape[1] + 1)
    patch = source[top : top + old.shape[0], left : left + old.shape[1]].astype(np.float32)
    if rng.random() < 0.6:
        # The texture of the one place in the light of the other.
        sigma_px = rng.uniform(6, 25)
        light, own_light = blurred(old, sigma_px), blurred(patch, sigma_px)
        gain = log_uniform(rng, 0.6, 2) * (float(light.mean()) + 5) / (float(own_light.mean()) + 5)
        shade = 1 + rng.uniform(-0.12, 0.12) * (rng.random() < 0.5)
        new = light * np.float32(shade) + (patch - own_light) * np.float32(gain)
        blend_texture(surface, mask, grain, Area(area.window, area.cover * np.float32(rng.uniform(0.6, 1))), new)
    else:
        blend(surface, mask, grain, Area(area.window, area.cover * np.float32(rng.uniform(0.4, 1))), patch)


def _shade(surface: Grey, mask: Mask, grain: float, others: object, rng: np.random.Generator) -> None:
    """Thick, thin or stained: a larger area, lighter or darker, its texture kept."""
    area = large_area(surface.shape, rng, smallest_px=12, largest_px=110)
    old = surface[area.window]
    change = old * np.float32(log_uniform(rng, 0.06, 0.5) * rng.choice((-1, 1)))
    blend_texture(surface, mask, grain, area, old + change)


def _rough(surface: Grey, mask: Mask, grain: float, others: object, rng: np.random.Generator) -> None:
    """Rough, smeared or glossy: a larger area with its fine texture amplified or wiped out."""
    area = large_area(surface.shape, rng, smallest_px=12, largest_px=120)
    old = surface[area.window]
    smooth = blurred(old, rng.uniform(3, 10))
    gain = log_uniform(rng, 0.15, 0.6) if rng.random() < 0.45 else log_uniform(rng, 1.5, 3.5)
    shade = float(old.mean()) * rng.uniform(-0.2, 0.2) * (rng.random() < 0.6)
    blend_texture(surface, mask, grain, area, smooth + (old - smooth) * np.float32(gain) + np.float32(shade))


_Draw: TypeAlias = Callable[[Grey, Mask, float, Sequence[NDArray[np.uint8]], np.random.Generator], None]
# Twice what kills a cell most often and what is hardest to tell from a normal surface.
_KINDS: tuple[_Draw, ...] = (_spot, _spot, _scratch, _crack, _crack, _chip, _foreign, _foreign, _shade, _rough)

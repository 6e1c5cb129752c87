"""Where an artificial defect lies and how it is put in: areas of any outline, their contrast, their visible part."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Grey: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]

EVERYWHERE = (slice(None), slice(None))

_MIRROR = cv2.BORDER_REFLECT_101


class Area(NamedTuple):
    """Where a defect lies: a window of the image and its cover, 0 to 1, inside the window."""

    window: tuple[slice, slice]
    cover: Grey


def blob(
    shape: tuple[int, ...],
    radius_px: float,
    rng: np.random.Generator,
    *,
    softness_px: float,
    centre: tuple[float, float] | None = None,
) -> Area:
    """An ellipse with a smooth or ragged outline.

    Args:
        centre: row and column; anywhere in the image if left out, also at its border.
    """
    height, width = shape
    radius_px = min(radius_px, 0.45 * max(height, width))
    stretch = np.sqrt(log_uniform(rng, 1, 3))
    radii = np.array([radius_px * stretch, max(radius_px / stretch, 1.0)])
    row, column = centre or (rng.uniform(0, height), rng.uniform(0, width))
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


def large_area(shape: tuple[int, ...], rng: np.random.Generator, *, smallest_px: float, largest_px: float) -> Area:
    """A blob, or the smaller side of a soft straight border, as a stop or a changed tool leaves it."""
    if rng.random() < 0.6:
        radius_px = log_uniform(rng, smallest_px, largest_px)
        return blob(shape, radius_px, rng, softness_px=radius_px * rng.uniform(0.02, 0.3))
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.choice(4) * np.pi / 2 + rng.normal(0, 0.25)
    side = (x - rng.uniform(0.2, 0.8) * width) * np.cos(angle) + (y - rng.uniform(0.2, 0.8) * height) * np.sin(angle)
    cover = np.clip(side / rng.uniform(2, 20) + 0.5, 0, 1).astype(np.float32)
    # Nobody could tell which half of a surface is the defective one, so it is never the larger.
    return Area(EVERYWHERE, 1 - cover if cover.mean() > 0.5 else cover)


def blend(surface: Grey, mask: Mask, grain: float, area: Area, new: Grey) -> None:
    """Put the new grey levels in; only pixels that visibly changed are part of the defect."""
    old = surface[area.window].copy()
    surface[area.window] = np.clip(old + area.cover * (new - old), 0, 255)
    change = cv2.blur(np.abs(surface[area.window] - old), (3, 3), borderType=_MIRROR)
    mask[area.window] |= (area.cover > 0.3) & (change > max(2.0, 0.45 * grain))


def blend_texture(surface: Grey, mask: Mask, grain: float, area: Area, new: Grey) -> None:
    """As ``blend``, but a change that sits in the texture and not in each pixel counts over the whole area."""
    old = surface[area.window].copy()
    surface[area.window] = np.clip(old + area.cover * (new - old), 0, 255)
    change = cv2.GaussianBlur((surface[area.window] - old) ** 2, (0, 0), 3, borderType=_MIRROR)
    mask[area.window] |= (area.cover > 0.4) & (np.sqrt(change) > max(1.5, 0.4 * grain))


def contrast(old: Grey, cover: Grey, grain: float, rng: np.random.Generator) -> np.float32:
    """8 to 80 % of the grey level below, never less than one to three times the grain; darker more often."""
    under = old[cover > 0.3]
    level = float(under.mean()) if under.size else float(old.mean())
    amount = max(log_uniform(rng, 0.08, 0.8) * level, rng.uniform(1, 3) * grain)
    return np.float32(amount if rng.random() < 0.4 else -amount)


def blurred(image: Grey, sigma_px: float) -> Grey:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=_MIRROR), np.float32)


def noise(shape: tuple[int, ...], sigma_px: float, rng: np.random.Generator) -> Grey:
    """Correlated noise of mean 0 and spread 1."""
    values = blurred(rng.standard_normal(shape, np.float32), sigma_px)
    return np.asarray(values / (values.std() + np.float32(1e-6)), np.float32)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Drawn evenly in the logarithm, so that each octave of sizes is as frequent as the next."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))

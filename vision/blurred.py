"""What light says of the size of a thing that a camera blurs: pure mathematics of discs and bars, in pixels."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, expm1, hypot, inf, pi, sqrt

import cv2
import numpy as np

CONTRAST_SPREAD = 0.2
"""Relative standard deviation of the core contrast within a class (D)."""
SHAPE_SPREAD = 0.07
"""Relative standard deviation of a size because no defect is a disc or a bar (D)."""


def resolved_disc_px(ratio: float, blur: float) -> float:
    """Diameter of a blurred disc from its whole change over its highest; 0 where blur is all there is.

    ratio = (pi / 4) d^2 / (1 - exp(-d^2 / (8 blur^2))), solved for d.
    """
    return _solved(ratio, lambda d: -pi / 4 * d * d / expm1(-d * d / (8 * blur * blur)), sqrt(4 / pi * ratio))


def resolved_bar_px(ratio: float, blur: float) -> float:
    """Width of a blurred bar from its whole change across over its highest; 0 where blur is all there is.

    ratio = w / erf(w / (2 sqrt(2) blur)), solved for w.
    """
    return _solved(ratio, lambda w: w / erf(w / (2 * sqrt(2) * blur)), ratio)


def _solved(ratio: float, growing: Callable[[float], float], high: float) -> float:
    """Where a growing function takes a value, between nearly 0 and `high`; 0 when it is above it everywhere."""
    low = 0.05
    if growing(low) >= ratio:
        return 0.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if growing(middle) < ratio else (low, middle)
    return (low + high) / 2


def combined(
    total: float,
    core: float,
    blur: float,
    known: float,
    relative: float,
    resolved: Callable[[float, float], float],
    *,
    power: int,
) -> tuple[float, float]:
    """Size and its standard deviation from both views, weighted by their variances.

    Args:
        total: whole change.
        core: highest change.
        blur: sigma of the optics with pixel and smoothing.
        known: core contrast that the line model gives for the class; 0 where it gives none.
        relative: standard deviation of total and core, relative.
        resolved: size by the ratio of total and core.
        power: of the size that `total` is proportional to.
    """
    ratio = max(total, 1e-3) / core
    relative = min(relative, 0.9)
    own = resolved(ratio, blur)
    own_spread = (resolved(ratio * (1 + relative), blur) - resolved(ratio * (1 - relative), blur)) / 2
    # Near the size of the blur the ratio says only "small": the smallest size it tells apart is its uncertainty.
    own_spread = hypot(own_spread, SHAPE_SPREAD * own, 0.5 * blur if own < 2 * blur else 0.0) if own else inf
    if not known:
        return (own, own_spread) if own else (2 * blur, blur)
    scale = 4 / pi if power == 2 else 1.0
    by_light = (scale * max(total, 1e-3) / known) ** (1 / power)
    light_spread = max(by_light * hypot(CONTRAST_SPREAD, relative) / power, 0.1)
    if own > 4 * blur:
        # Resolved: what the film really has at its core is known better than what the class usually has.
        return own, own_spread
    weights = (1 / own_spread**2, 1 / light_spread**2)
    size = (own * weights[0] + by_light * weights[1]) / sum(weights)
    return size, sqrt(1 / sum(weights))


def clipped_disc_px(total: float, contrast: float, clip: float, blur: float) -> float:
    """Diameter of a blurred disc of known contrast whose core the sensor cut off at `clip`, from its whole change."""
    low, high = 0.2, 2 * sqrt(4 / pi * total / clip) + 1
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if _clipped_total(middle, contrast, clip, blur) < total else (low, middle)
    return (low + high) / 2


def _clipped_total(diameter: float, contrast: float, clip: float, blur: float) -> float:
    fine = 3
    half = int(np.ceil((diameter / 2 + 4 * blur) * fine))
    axis = np.arange(-half, half + 1, dtype=np.float32)
    distance = np.hypot(axis[:, None], axis)
    disc = np.clip(diameter / 2 * fine - distance + 0.5, 0, 1).astype(np.float32)
    blurred = contrast * cv2.GaussianBlur(disc, (0, 0), blur * fine)
    return float(np.minimum(blurred, clip).sum()) / fine**2

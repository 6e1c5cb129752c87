"""How large a defect is, where it lies and how much it stands out, in µm and with an uncertainty.

A defect smaller than the camera's blur shows how much light it changes, not how far it reaches. Both views are used:
from the ratio of the whole change to the change at the core follows a size that needs no knowledge of the defect but
fails below two or three pixels; from the whole change and the core contrast that the line model gives for the class
follows one that holds there. Each counts by its own uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, expm1, hypot, inf, pi, sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from line.defect_rows import DefectClass
from vision.gates import Gates
from vision.pyramid import QUARTER, Floats
from vision.screening import Screened, Spot

COVERAGE = 2.0
"""k of every stated uncertainty."""

SIZE_FACTOR = {"AGG": 1.25, "BUB": 1.38, "STR": 1.30, "MET": 1.05}
"""Size over the extent of half contrast in transmission. A bump has slopes, a bubble's rim lies outside its bright
core, a streak's banks are as high as its groove is deep. By rendered film; a study on real coupons replaces it."""

_MARGIN_PX = 14
_WIDEST_FINE_PX = 400
"""A spot that is larger is measured on the quarter image."""
_SMOOTHING_PX = 0.7
_TRANSMISSION = 2
_LEAST_TRANSMISSION = 0.2
"""Core contrast of a class from which transmission is the channel to measure in: it sees film, not gloss or shade."""
_CONTRAST_SPREAD = 0.2
"""Relative standard deviation of the core contrast within a class (D)."""
_SHAPE_SPREAD = 0.05
"""Relative standard deviation of a size because no defect is a disc or a bar (D)."""
_GRAIN_AREA_PX = 7.0
"""Pixels over which the grain of the film is correlated: noise of a sum over n pixels grows with sqrt(n times this)."""
_THROUGH_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """What measuring needs to know of a film camera."""

    pixel_um: float
    blur_px: float = 0.6
    """Sigma of the lens; the pixel's own width comes on top."""
    place_uncertainty_um: float = 40.0
    """Expanded, of where a pixel lies on the roll: two lines of the encoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A defect in full-resolution pixels of its strip, 0 being the first pixel's outer edge, and in µm."""

    row_start: float
    row_end: float
    column_start: float
    column_end: float
    size_um: float
    size_uncertainty_um: float
    """Expanded, k=2."""
    position_uncertainty_um: float
    """Expanded, k=2."""
    area_um2: float
    contrast: tuple[float, ...]
    """Relative grey change at the core by channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A spot cut out, per channel relative to the film around it."""

    changes: tuple[Floats, ...]
    smooth: tuple[Floats, ...]
    noise: tuple[float, ...]
    """Standard deviation of `smooth` where there is film."""
    inner: tuple[slice, slice]
    """The spot in the cut."""
    top: int
    left: int
    step: int
    """Full-resolution pixels a cell."""


def measured(
    planes: NDArray[np.uint8], found: Screened, gates: Gates, spot: Spot, row: DefectClass | None, optics: Optics
) -> Measured:
    """Measure a spot of a strip.

    Args:
        planes: shape (channels, lines, width).
        found: of these planes.
        gates: of the camera.
        spot: of `found`.
        row: of the class it was given; None for an unknown one, measured as if it were a disc.
        optics: of the camera.
    """
    lines = planes.shape[1]
    through = spot.height >= lines // QUARTER * QUARTER
    cut = _cut(planes, found, gates, spot, through=through)
    channel = _channel(cut, row)
    smooth, noise = cut.smooth[channel], cut.noise[channel]
    sign, core, mask = _masked(smooth, noise, cut.inner, row)
    change = sign * cut.changes[channel]
    total = float(change[_dilated(mask)].sum())
    blur = hypot(optics.blur_px / cut.step, 0.29, _SMOOTHING_PX)
    length, along, centre = _axis(change, mask, blur, through=through)
    measure = row.size_measure if row else "diameter"
    known = abs((row.contrast_bf, row.contrast_df, row.contrast_tx)[channel] or 0.0) if row else 0.0
    noise_total = float(np.median(gates.look.spread[channel] / gates.look.level[channel])) * sqrt(
        _GRAIN_AREA_PX * max(1, int(_dilated(mask).sum()))
    )
    relative = hypot(noise / core, noise_total / max(total, 1e-6)) if cut.step == 1 else noise / core
    match measure:
        case "length":
            size, spread = length, hypot(0.4, _SHAPE_SPREAD * length)
            area = max(total / core, 0.5)
        case "width" | "height":
            size, spread = _combined(total / max(length, 1.0), core, blur, known, relative, resolved_bar_px, power=1)
            area = size * length
        case "diameter":
            size, spread = _combined(total, core, blur, known, relative, resolved_disc_px, power=2)
            area = pi / 4 * size**2
    if channel == _TRANSMISSION and row:
        factor = SIZE_FACTOR.get(row.code, 1.0)
        size, spread, area = size * factor, spread * factor, area * factor ** (2 if measure == "diameter" else 1)
    rows, columns = _extents(mask, centre, size if measure == "diameter" and not through else None, along)
    pixel = optics.pixel_um * cut.step
    return Measured(
        row_start=0.0 if through else (cut.top + rows[0]) * cut.step,
        row_end=float(lines) if through else (cut.top + rows[1]) * cut.step,
        column_start=(cut.left + columns[0]) * cut.step,
        column_end=(cut.left + columns[1]) * cut.step,
        size_um=size * pixel,
        size_uncertainty_um=COVERAGE * spread * pixel,
        position_uncertainty_um=hypot(optics.place_uncertainty_um, COVERAGE * pixel * hypot(0.2, 0.5 * noise / core)),
        area_um2=area * pixel**2,
        contrast=tuple(_core_contrast(image, mask) for image in cut.smooth),
    )


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


def _combined(
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
    own_spread = hypot(own_spread, _SHAPE_SPREAD * own, 0.5 * blur if own < 2 * blur else 0.0) if own else inf
    if not known:
        return (own, own_spread) if own else (2 * blur, blur)
    scale = 4 / pi if power == 2 else 1.0
    by_light = (scale * max(total, 1e-3) / known) ** (1 / power)
    light_spread = max(by_light * hypot(_CONTRAST_SPREAD, relative) / power, 0.1)
    if own > 4 * blur:
        # Resolved: what the film really has at its core is known better than what the class usually has.
        return own, own_spread
    weights = (1 / own_spread**2, 1 / light_spread**2)
    size = (own * weights[0] + by_light * weights[1]) / sum(weights)
    return size, sqrt(1 / sum(weights))


def _cut(planes: NDArray[np.uint8], found: Screened, gates: Gates, spot: Spot, *, through: bool) -> _Cut:
    wide = spot.width if through else max(spot.width, spot.height)
    step = QUARTER if wide > _WIDEST_FINE_PX else 1
    margin = _MARGIN_PX + min(spot.width, _WIDEST_FINE_PX) // 4 // step
    height, width = (size // step for size in planes.shape[1:])
    top, bottom = max(0, spot.row_start // step - margin), min(height, -(-spot.row_end // step) + margin)
    left, right = max(0, spot.column_start // step - margin), min(width, -(-spot.column_end // step) + margin)
    inner = (
        slice(spot.row_start // step - top, -(-spot.row_end // step) - top),
        slice(spot.column_start // step - left, -(-spot.column_end // step) - left),
    )
    around = np.ones((bottom - top, right - left), bool)
    around[
        max(0, inner[0].start - 3) : inner[0].stop + 3, max(0, inner[1].start - 3) : inner[1].stop + 3
    ] = False
    changes, smooths, noises = [], [], []
    for channel, plane in enumerate(planes):
        if step == 1:
            level = gates.look.level[channel, left:right] * found.gain[channel]
            change = plane[top:bottom, left:right] / level - 1
        else:
            change = found.changes[channel][top:bottom, left:right]
        change = np.asarray(change - np.median(change[around]) if around.any() else change, np.float32)
        smooth = np.asarray(cv2.GaussianBlur(change, (0, 0), _SMOOTHING_PX), np.float32)
        if through:
            smooth = np.asarray(cv2.blur(smooth, (1, _THROUGH_ROWS)), np.float32)
        changes.append(change)
        smooths.append(smooth)
        film = smooth[around] if around.any() else smooth
        noises.append(1.4826 * float(np.median(np.abs(film - np.median(film)))) + 1e-4)
    return _Cut(
        changes=tuple(changes), smooth=tuple(smooths), noise=tuple(noises), inner=inner, top=top, left=left, step=step
    )


def _channel(cut: _Cut, row: DefectClass | None) -> int:
    """Transmission where the class shows in it and this defect does, else where it stands out most."""
    strength = [
        float(np.abs(smooth[cut.inner]).max()) / noise for smooth, noise in zip(cut.smooth, cut.noise, strict=True)
    ]
    best = int(np.argmax(strength))
    by_film = row is not None and abs(row.contrast_tx or 0.0) >= _LEAST_TRANSMISSION
    return _TRANSMISSION if by_film and len(strength) > _TRANSMISSION and strength[_TRANSMISSION] > 6 else best


def _masked(
    smooth: Floats, noise: float, inner: tuple[slice, slice], row: DefectClass | None
) -> tuple[int, float, NDArray[np.bool_]]:
    """Sign and height of the core, and what lies above half of it together with the core."""
    part = smooth[inner]
    peak = float(part.flat[int(np.argmax(np.abs(part)))])
    sign = 1 if peak > 0 else -1
    image = sign * smooth
    # The highest of many noisy values is too high: a large core is its upper quarter.
    above = part[sign * part > abs(peak) / 2] * sign
    core = abs(peak) if above.size < 12 else float(np.quantile(above, 0.75))
    share = 0.35 if row and row.size_measure == "length" else 0.5
    wanted = image > max(share * core, 3.5 * noise if core > 5 * noise else 0.5 * core)
    outside = np.ones_like(wanted)
    outside[max(0, inner[0].start - 2) : inner[0].stop + 2, max(0, inner[1].start - 2) : inner[1].stop + 2] = False
    wanted[outside] = False
    if share == 0.5:
        count, labels = cv2.connectedComponents(wanted.astype(np.uint8), connectivity=8)
        if count > 2:
            sums = np.bincount(labels.ravel(), weights=np.where(wanted, image, 0).ravel())
            if row is None or row.size_measure == "diameter":
                wanted = labels == int(np.argmax(sums))
    if not wanted.any():
        wanted[np.unravel_index(int(np.argmax(np.where(outside, -inf, image))), image.shape)] = True
    return sign, max(core, 1e-3), wanted


def _dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With the rim that blur adds."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _axis(
    change: Floats, mask: NDArray[np.bool_], blur: float, *, through: bool
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Length along the long axis, the axis as (row, column), and the centre as (row, column), edges at 0."""
    rim = _dilated(mask)
    rows, columns = np.nonzero(rim)
    weights = np.maximum(change[rim], 0) + 1e-6
    centre_row, centre_column = np.average(rows, weights=weights), np.average(columns, weights=weights)
    if through:
        return float(change.shape[0]), (1.0, 0.0), (float(centre_row) + 0.5, float(centre_column) + 0.5)
    offsets = np.stack((rows - centre_row, columns - centre_column))
    moments = (offsets * weights) @ offsets.T / weights.sum()
    values, vectors = np.linalg.eigh(moments)
    axis = (float(vectors[0, 1]), float(vectors[1, 1]))
    inside = np.stack(np.nonzero(mask))
    places = axis[0] * inside[0] + axis[1] * inside[1]
    extent = float(places.max() - places.min()) + 1
    if extent < 10:
        # The mask is coarse here; a bar of length L has a variance of L^2 / 12, and blur adds its own.
        extent = sqrt(12 * max(float(values[1]) - blur * blur + _SMOOTHING_PX**2, 0.04))
    return extent, axis, (float(centre_row) + 0.5, float(centre_column) + 0.5)


def _extents(
    mask: NDArray[np.bool_], centre: tuple[float, float], diameter: float | None, _axis: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Rows and columns that a defect covers: around its centre when it is a disc, else what is masked."""
    if diameter is not None:
        half = max(diameter, 0.5) / 2
        return (centre[0] - half, centre[0] + half), (centre[1] - half, centre[1] + half)
    rows, columns = np.nonzero(mask)
    return (float(rows.min()), float(rows.max()) + 1), (float(columns.min()), float(columns.max()) + 1)


def _core_contrast(image: Floats, mask: NDArray[np.bool_]) -> float:
    """Change at the core: the highest of a small defect, the upper quarter of a large one."""
    values = image[mask]
    if values.size < 12:
        return float(values[int(np.argmax(np.abs(values)))])
    return float(np.quantile(values, 0.75 if np.median(values) > 0 else 0.25))

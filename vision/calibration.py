"""Commissioning of a film camera: from pictures of the target to figures with uncertainty and limits. Pure.

Focus (MTF50 across and along, at each slanted square), µm per pixel across and per line along, distortion and
squareness of the picture, registration of the channels, white level, evenness and noise of each lamp. The reference
tile is the same kind of target, smaller, and is compared with the calibration instead of with absolute limits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from line.calibration import Calibration, Target
from line.errors import UnusableFrameError
from line.events import Measure
from vision.target import Grid, TargetView, grid, seen_target

Floats = NDArray[np.float64]

CYCLES = "{cycle}/{px}"
PIXELS = "{px}"
GREY = "{DN}"

_BANDS = 5
"""Parts of the field in which registration is looked at."""
_MTF_FLOOR = 0.015
"""Relative uncertainty of an MTF50 that repetition does not show, k=2: binning and the fit of the edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a camera must reach to be put in force."""

    least_mtf50_cpp: float = 0.18
    """At each slanted square; a pixel alone has 0.60, with a lens of 0.6 px blur 0.28."""
    scale_fraction: float = 0.005
    """Of µm per pixel and µm per line, against the line model."""
    most_shift_px: float = 0.5
    """Between channels."""
    most_distortion_px: float = 2.5
    most_skew_mrad: float = 2.0
    white_grey: tuple[tuple[str, float], ...] = (("BF", 200.0), ("DF", 100.0), ("TX", 200.0))
    """By channel, what the white of the target shall read."""
    white_fraction: float = 0.10
    most_uneven_fraction: float = 0.40
    most_noise_grey: float = 4.0
    tile_mtf50_fraction: float = 0.85
    """Of what the calibration found, at the reference tile."""
    tile_white_fraction: float = 0.10
    tile_shift_px: float = 0.3
    """That registration may have moved since the calibration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What pictures of a target say of a camera."""

    pixel_um: float
    line_um: float
    measures: tuple[Measure, ...]


def target_figures(
    planes: NDArray[np.uint8], channels: Sequence[str], target: Target, *, nominal_um: float, limits: Limits
) -> Figures:
    """All figures of a camera from the target.

    Args:
        planes: shape (channels, lines, width), as the camera took them, without gaps.
        channels: names, in order; the first is the one that the others are registered to.
        target: its measures.
        nominal_um: pixel and line by the line model.
        limits: that the measures are given.

    Raises:
        UnusableFrameError: the target is not in view of a channel, or too little of it.
    """
    views = _views(planes, channels, target, nominal_um)
    first, *others = views
    lattice = grid(first.marks, target.pitch_um / nominal_um)
    pixel_um, line_um = _scales(lattice, target)
    rows = [
        *_scale_measures(lattice, target, nominal_um, _distortion_px(lattice, planes.shape[2]), limits),
        *_shape_measures(lattice, planes.shape[2], limits),
    ]
    for name, view in zip(channels, views, strict=True):
        rows += _focus_measures(name, view, nominal_um, limits.least_mtf50_cpp)
        rows += _light_measures(name, view, limits)
    for name, view in zip(channels[1:], others, strict=True):
        rows += _shift_measures(name, lattice.marks, view.marks, planes.shape[2], limits.most_shift_px)
    if not any(row.quantity.startswith("mtf50") for row in rows):
        raise UnusableFrameError("no slanted square in view: focus cannot be told")
    return Figures(pixel_um=pixel_um, line_um=line_um, measures=tuple(rows))


def tile_measures(
    planes: NDArray[np.uint8], channels: Sequence[str], calibration: Calibration, *, limits: Limits
) -> tuple[Measure, ...]:
    """What the reference tile says, against the calibration.

    Args:
        planes: shape (channels, lines, width), with the reference tile somewhere in it.
        channels: names, in order.
        calibration: of this camera.
        limits: that count for the tile.

    Raises:
        UnusableFrameError: the tile is not in view of a channel.
    """
    views = _views(planes, channels, calibration.target, calibration.nominal_um)
    rows: list[Measure] = []
    for name, view in zip(channels, views, strict=True):
        white = calibration.value("white", name)
        if white is not None:
            low, high = (1 - limits.tile_white_fraction) * white, (1 + limits.tile_white_fraction) * white
            rows.append(_measure("white", name, view.white, 2 * view.noise, low, high, GREY))
        found = _mean_mtf50(view)
        known = calibration.value("mtf50", name)
        if found is not None and known is not None:
            rows.append(
                _measure("mtf50", name, found, _MTF_FLOOR * found, limits.tile_mtf50_fraction * known, None, CYCLES)
            )
    if not any(row.quantity == "mtf50" for row in rows):
        raise UnusableFrameError("no slanted square in view: focus cannot be told")
    first = views[0]
    for name, view in zip(channels[1:], views[1:], strict=True):
        for axis, quantity in enumerate(("shift_cd", "shift_md")):
            known = calibration.value(quantity, name) or 0.0
            shift, uncertainty = _shift(first.marks, view.marks, name)
            low, high = known - limits.tile_shift_px, known + limits.tile_shift_px
            rows.append(_measure(quantity, name, float(shift[axis]), uncertainty, low, high, PIXELS))
    return tuple(rows)


def frames_digest(planes: NDArray[np.uint8]) -> str:
    """sha256 over all pixels, in hexadecimal."""
    digest = hashlib.sha256()
    for plane in planes:
        digest.update(np.ascontiguousarray(plane).data)
    return digest.hexdigest()


def lp_per_mm(mtf50_cpp: float, pixel_um: float) -> float:
    """Cycles a pixel as line pairs a millimetre of film."""
    return mtf50_cpp * 1000 / pixel_um


def _views(
    planes: NDArray[np.uint8], channels: Sequence[str], target: Target, nominal_um: float
) -> tuple[TargetView, ...]:
    found = []
    for name, plane in zip(channels, planes, strict=True):
        try:
            found.append(seen_target(plane, target, nominal_um))
        except UnusableFrameError as error:
            raise UnusableFrameError(f"{name}: {error}") from error
    return tuple(found)


def _scales(lattice: Grid, target: Target) -> tuple[float, float]:
    """µm a pixel and µm a line: a target that lies turned in the picture is as long as it is."""
    pixel_um = target.pitch_um / float(np.hypot(lattice.across[0], lattice.along[0]))
    line_um = target.pitch_um / float(np.hypot(lattice.across[1], lattice.along[1]))
    return pixel_um, line_um


def _scale_measures(
    lattice: Grid, target: Target, nominal_um: float, distortion_px: float, limits: Limits
) -> list[Measure]:
    rows = []
    # Across, the scale is that of the whole field: bent, it is another in its middle and at its ends.
    bent = (4 * distortion_px / max(float(np.ptp(lattice.marks[:, 0])), 1.0), 0.0)
    low, high = (1 - limits.scale_fraction) * nominal_um, (1 + limits.scale_fraction) * nominal_um
    steps = float(np.hypot(*lattice.across)), float(np.hypot(*lattice.along))
    for quantity, value, sigma, step, bend in zip(
        ("pixel", "line"), _scales(lattice, target), lattice.sigma, steps, bent, strict=True
    ):
        relative = float(np.hypot(np.hypot(2 * sigma / step, target.pitch_uncertainty_fraction), bend))
        rows.append(_measure(quantity, "", value, relative * value, low, high, "um"))
    return rows


def _shape_measures(lattice: Grid, width: int, limits: Limits) -> list[Measure]:
    """Distortion across the field, and how far the lines of the camera are from square to the web."""
    distortion = _distortion_px(lattice, width)
    pixel, line = np.hypot(lattice.across[0], lattice.along[0]), np.hypot(lattice.across[1], lattice.along[1])
    skew = np.arctan2(-lattice.along[0] / pixel, lattice.across[0] / pixel) - np.arctan2(
        lattice.across[1] / line, lattice.along[1] / line
    )
    skew_mrad = float(abs(skew) * 1000)
    sigma_mrad = 1000 * float(np.hypot(lattice.sigma[0] / pixel, lattice.sigma[1] / line))
    return [
        _measure("distortion", "", distortion, 2 * lattice.spread_px, None, limits.most_distortion_px, PIXELS),
        _measure("skew", "", skew_mrad, 2 * sigma_mrad, None, limits.most_skew_mrad, "mrad"),
    ]


def _distortion_px(lattice: Grid, width: int) -> float:
    """How far marks lie beside a picture without distortion, at most, by a cubic across the field."""
    away = (lattice.marks[:, 0] - width / 2) / (width / 2)
    bend = np.polynomial.Polynomial.fit(away, lattice.off[:, 0], 3, domain=[-1, 1])
    return float(np.abs(bend(np.linspace(away.min(), away.max(), 101))).max())


def _focus_measures(name: str, view: TargetView, nominal_um: float, least: float) -> list[Measure]:
    """MTF50 at each slanted square, across and along, and its mean, which the reference tile is compared with."""
    pairs = [
        [edge.mtf50_cpp for edge in edges]
        for square in view.squares
        for edges in (square.across, square.along)
        if len(edges) == 2
    ]
    # Two edges of a square should tell the same: their difference is what one edge does not know.
    one = float(np.sqrt(np.mean([(a - b) ** 2 / 2 for a, b in pairs]))) if pairs else 0.0
    rows = []
    for square in view.squares:
        place_mm = (square.column + 0.5) * nominal_um / 1000
        for quantity, edges in (("mtf50_cd", square.across), ("mtf50_md", square.along)):
            if edges:
                value = float(np.mean([edge.mtf50_cpp for edge in edges]))
                uncertainty = float(np.hypot(2 * one / np.sqrt(len(edges)), _MTF_FLOOR * value))
                rows.append(_measure(f"{quantity}@{place_mm:.0f}mm", name, value, uncertainty, least, None, CYCLES))
    mean = _mean_mtf50(view)
    if mean is not None:
        rows.append(_measure("mtf50", name, mean, _MTF_FLOOR * mean, least, None, CYCLES))
    return rows


def _mean_mtf50(view: TargetView) -> float | None:
    values = [edge.mtf50_cpp for square in view.squares for edge in (*square.across, *square.along)]
    return float(np.mean(values)) if values else None


def _light_measures(name: str, view: TargetView, limits: Limits) -> list[Measure]:
    wanted = dict(limits.white_grey).get(name)
    low, high = (
        ((1 - limits.white_fraction) * wanted, min((1 + limits.white_fraction) * wanted, 250.0))
        if wanted is not None
        else (20.0, 250.0)
    )
    uneven = float(np.ptp(view.profile) / view.profile.mean())
    return [
        _measure("white", name, view.white, 2 * view.noise, low, high, GREY),
        _measure("uneven", name, uneven, None, None, limits.most_uneven_fraction, "1"),
        _measure("noise", name, view.noise, None, None, limits.most_noise_grey, GREY),
    ]


def _shift_measures(name: str, first: Floats, marks: Floats, width: int, most: float) -> list[Measure]:
    """How far a channel lies beside the first one, on average and where it is worst."""
    rows = []
    shift, uncertainty = _shift(first, marks, name)
    for axis, quantity in enumerate(("shift_cd", "shift_md")):
        rows.append(_measure(quantity, name, float(shift[axis]), uncertainty, -most, most, PIXELS))
    worst = 0.0
    for part in range(_BANDS):
        low, high = part * width / _BANDS, (part + 1) * width / _BANDS
        band = marks[(marks[:, 0] >= low) & (marks[:, 0] < high)]
        if len(band) >= 3:
            worst = max(worst, float(np.hypot(*_shift(first, band, name)[0])))
    rows.append(_measure("shift_worst", name, worst, uncertainty, None, most, PIXELS))
    return rows


def _shift(first: Floats, marks: Floats, name: str) -> tuple[Floats, float]:
    """Mean way from the marks of the first channel to those of another, and its uncertainty (k=2), in pixels."""
    if not len(marks) or not len(first):
        raise UnusableFrameError(f"{name}: no marks of the target in view: registration cannot be told")
    ways = []
    for mark in marks:
        off = mark - first
        nearest = int(np.argmin(np.abs(off).max(axis=1)))
        ways.append(off[nearest])
    found = np.array(ways)
    middle = np.median(found, axis=0)
    kept = found[np.hypot(*(found - middle).T) < 1.0]
    if len(kept) < max(3, len(found) // 2):
        raise UnusableFrameError(f"{name}: its marks do not fit those of the first channel: is it the same target?")
    return kept.mean(axis=0), 2 * float(kept.std(axis=0).max()) / float(np.sqrt(len(kept)))


def _measure(
    quantity: str,
    channel: str,
    value: float,
    uncertainty: float | None,
    low: float | None,
    high: float | None,
    unit: str,
) -> Measure:
    """A measure in plain numbers of six digits."""
    rounded = (None if number is None else float(f"{number:.6g}") for number in (value, uncertainty, low, high))
    figure, spread, least, most = rounded
    return Measure(quantity, channel, figure or 0.0, spread, least, most, unit)

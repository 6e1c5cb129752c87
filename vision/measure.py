"""How large a defect is, where it lies and how much it stands out, in µm and with an uncertainty.

A defect smaller than the camera's blur shows how much light it changes, not how far it reaches. Both views are used:
from the ratio of the whole change to the change at the core follows a size that needs no knowledge of the defect but
fails below two or three pixels; from the whole change and the core contrast that the line model gives for the class
follows one that holds there. Each counts by its own uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf, pi, sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from line.defect_rows import DefectClass, SizeMeasure
from vision.blurred import CONTRAST_SPREAD, SHAPE_SPREAD, clipped_disc_px, combined, resolved_bar_px, resolved_disc_px
from vision.cutout import Cut, View, channel_of, cut_out, view_of
from vision.depth import HOLE_CONTRAST, Depth, bar_dilution, depth_of, disc_dilution
from vision.gates import Gates
from vision.pyramid import Floats
from vision.screening import Screened, Spot

COVERAGE = 2.0
"""k of every stated uncertainty."""

SIZE_MODEL: dict[str, tuple[float, float, float]] = {
    "AGG": (1.11, 0.0, 0.06), "BUB": (1.45, 0.0, 0.05), "CRK": (0.98, 6.0, 0.0), "DIS": (1.28, 0.0, 0.14),
    "FIB": (0.97, 25.0, 0.0), "MET": (0.94, 0.0, 0.18), "SCR": (0.86, 0.0, 0.23), "STR": (1.27, 0.0, 0.04),
    "THK": (1.11, 0.0, 0.24), "WRK": (1.23, 0.0, 0.13),
}  # fmt: skip
"""Factor, µm to take off before, and relative standard deviation of the form: from the extent at half contrast to the
size of the class. A bump has slopes, a bubble's rim lies outside its bright core, a streak has banks beside its groove,
a fold tapers off, thin threads look a blur wider. Fitted to two renderers of film whose forms were drawn apart from one
another, midway between them; where they disagree the form is in doubt by as much. A study on real coupons replaces
it."""

_SATURATED_GREY = 250
_GRAIN_AREA_PX = 7.0
"""Pixels over which the grain of the film is correlated: noise of a sum over n pixels grows with sqrt(n times this)."""
_LINE_CELLS = 40
_LARGEST_ASPECT = 4.0
"""Of what is measured by its diameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """What measuring needs to know of a film camera."""

    pixel_um: float
    blur_px: float = 0.6
    """Sigma of the lens; the pixel's own width comes on top."""
    place_uncertainty_um: float = 40.0
    """Expanded, of where a pixel lies on the roll: two lines of the encoder."""
    hole_contrast: float = HOLE_CONTRAST
    """Change of transmission of an open hole, the scale of depths."""
    channels: tuple[str, ...] = ("BF", "DF", "TX")
    """In the order of the planes."""

    @property
    def transmission(self) -> int | None:
        """Number of that channel; None where the camera does not have it."""
        return self.channels.index("TX") if "TX" in self.channels else None


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
    length_um: float
    """Along the longer axis."""
    width_um: float
    """Across it."""
    area_um2: float
    """Of a disc or ellipse, or of a bar, of this length and width."""
    contrast: tuple[float, ...]
    """Relative grey change at the core by channel."""
    depth: Depth | None
    """From transmission; None for a class that is not more film or less, or without this channel."""


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
    cut = cut_out(planes, found, gates, spot)
    views = [view_of(change, cut) for change in cut.changes]
    channel = channel_of(cut, views, row, optics.transmission)
    view = views[channel]
    measure = row.size_measure if row else "diameter"
    sign, core, mask = _masked(view, cut, measure)
    change = sign * cut.changes[channel]
    rim = _dilated(mask, view.smoothing)
    blur = hypot(optics.blur_px / cut.step, 0.29, view.smoothing)
    length, along_rows, centre, aspect = _axis(change, mask, rim, blur, through=cut.through)
    known = _known_contrast(row, optics.channels[channel])
    grain = float(np.median(gates.look.spread[channel] / gates.look.level[channel])) / cut.step
    noise = view.noise / core
    pixel = optics.pixel_um * cut.step
    factor, halo_um, form = SIZE_MODEL.get(row.code, (1.0, 0.0, 0.0)) if row else (1.0, 0.0, 0.0)
    if measure == "diameter":
        total = float(change[rim].sum())
        relative = hypot(noise, grain * sqrt(_GRAIN_AREA_PX * rim.sum()) / max(total, 1e-6))
        clip = _clip(planes, found, gates, spot, channel) if sign > 0 and cut.step == 1 else inf
        if known > clip:
            narrow = clipped_disc_px(total, known, clip, hypot(optics.blur_px, 0.29))
            narrow_spread = hypot(0.15, 0.5 * CONTRAST_SPREAD * narrow)
        else:
            narrow, narrow_spread = combined(total, core, blur, known, relative, resolved_disc_px, power=2)
        raw, spread = narrow, narrow_spread
    else:
        total, peak = _across(change, view.smooth * sign, mask, rim, core, along_rows=along_rows)
        narrow, narrow_spread = combined(total, peak, blur, known, noise, resolved_bar_px, power=1)
        raw, spread = (length, hypot(0.6, SHAPE_SPREAD * length)) if measure == "length" else (narrow, narrow_spread)
    size = factor * max(raw - halo_um / pixel, 0.3 * raw)
    spread = hypot(factor * spread, form * size)
    match measure:
        case "diameter":
            sides = (size * sqrt(aspect), size / sqrt(aspect))
        case "length":
            sides = (size, min(narrow, size))
        case "width" | "height":
            sides = (max(length, size), size)
    # A thread looks wider than it is, and the light between its edges is all that there is of its depth.
    least = min(narrow, size) if measure != "length" else narrow
    rows, columns = _extents(mask, centre, size if measure == "diameter" and not cut.through else None)
    return Measured(
        row_start=0.0 if cut.through else (cut.top + rows[0]) * cut.step,
        row_end=float(lines) if cut.through else (cut.top + rows[1]) * cut.step,
        column_start=(cut.left + columns[0]) * cut.step,
        column_end=(cut.left + columns[1]) * cut.step,
        size_um=size * pixel,
        size_uncertainty_um=COVERAGE * spread * pixel,
        position_uncertainty_um=hypot(optics.place_uncertainty_um, COVERAGE * pixel * hypot(0.2, 0.5 * noise)),
        length_um=sides[0] * pixel,
        width_um=sides[1] * pixel,
        area_um2=(pi / 4 if measure == "diameter" else 1.0) * sides[0] * sides[1] * pixel**2,
        contrast=tuple(_core_contrast(each.smooth, mask) for each in views),
        depth=_depth(planes, cut, views, mask, spot, row, optics, least, least * spread / size),
    )


def _depth(
    planes: NDArray[np.uint8],
    cut: Cut,
    views: list[View],
    mask: NDArray[np.bool_],
    spot: Spot,
    row: DefectClass | None,
    optics: Optics,
    narrow: float,
    narrow_spread: float,
) -> Depth | None:
    """Depth from transmission, the contrast that the optics and smoothing took from a small defect given back.

    Args:
        narrow: its smaller size in cells, before the class's form is accounted for.
        narrow_spread: standard deviation of it.
    """
    transmission = optics.transmission
    if row is None or transmission is None:
        return None
    view = views[transmission]
    dilution = disc_dilution if row.size_measure == "diameter" else bar_dilution
    sigma = hypot(optics.blur_px / cut.step, 0.29, view.smoothing)
    seen = dilution(narrow, sigma)
    doubt = (dilution(narrow + narrow_spread, sigma) - dilution(max(narrow - narrow_spread, 0.05), sigma)) / 2
    part = planes[transmission, spot.row_start : spot.row_end, spot.column_start : spot.column_end]
    core = _core_contrast(view.smooth, mask)
    if row.size_measure == "width" and np.count_nonzero(mask) >= _LINE_CELLS:
        # A line is torn and sways: it is as deep as where it is whole.
        core = float(np.quantile(view.smooth[mask], 0.9 if core > 0 else 0.1))
    return depth_of(
        row,
        core,
        view.noise,
        dilution=seen,
        dilution_spread=doubt / max(seen, 1e-3),
        saturated=cut.step == 1 and part.size > 0 and int(part.max()) >= _SATURATED_GREY,
        hole=optics.hole_contrast,
    )


def _known_contrast(row: DefectClass | None, channel: str) -> float:
    """Core contrast of a class in a channel, by the line model; 0 where it states none."""
    known = {"BF": row.contrast_bf, "DF": row.contrast_df, "TX": row.contrast_tx} if row else {}
    return abs(known.get(channel) or 0.0)


def _clip(planes: NDArray[np.uint8], found: Screened, gates: Gates, spot: Spot, channel: int) -> float:
    """Relative change at which the sensor saturates there; without limit where it did not."""
    columns = slice(spot.column_start, spot.column_end)
    piece = planes[channel, spot.row_start : spot.row_end, columns]
    if piece.size == 0 or piece.max() < _SATURATED_GREY:
        return inf
    return 255 / float(np.median(gates.look.level[channel, columns]) * found.gain[channel]) - 1


def _masked(view: View, cut: Cut, measure: SizeMeasure) -> tuple[int, float, NDArray[np.bool_]]:
    """Sign and height of the core, and what lies above half of it together with the core."""
    part = view.smooth[cut.inner]
    peak = float(part.flat[int(np.argmax(np.abs(part)))])
    sign = 1 if peak > 0 else -1
    image = sign * view.smooth
    # The highest of many noisy values is too high: a large core is its upper quarter.
    above = part[sign * part > abs(peak) / 2] * sign
    core = max(_summit(sign * part) if above.size < 12 else float(np.quantile(above, 0.75)), 1e-3)
    wanted = image > (max(0.5 * core, 3.5 * view.noise) if core > 5 * view.noise else 0.5 * core)
    allowed = np.zeros_like(wanted)
    rows, columns = cut.inner
    allowed[max(0, rows.start - 2) : rows.stop + 2, max(0, columns.start - 2) : columns.stop + 2] = True
    wanted &= allowed
    summit = np.unravel_index(int(np.argmax(np.where(allowed, image, -inf))), image.shape)
    wanted[summit] = True
    if cut.through:
        wanted &= _run_at(np.asarray(wanted.any(axis=0)), int(summit[1]))
    elif measure == "diameter":
        _, labels = cv2.connectedComponents(wanted.astype(np.uint8), connectivity=8)
        weights = np.bincount(labels.ravel(), weights=np.where(wanted, image, 0).ravel())
        wanted = labels == int(np.argmax(weights))
    return sign, core, wanted


def _summit(image: Floats) -> float:
    """Highest value between the pixels: on them alone, a small spot looks fainter the further off it is centred."""
    row, column = np.unravel_index(int(np.argmax(image)), image.shape)
    near = np.ascontiguousarray(image[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3])
    finer = cv2.resize(near, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    return float(finer.max())


def _run_at(columns: NDArray[np.bool_], summit: int) -> NDArray[np.bool_]:
    """The run of true columns around one, shape (columns,)."""
    gaps = np.flatnonzero(~columns)
    start = int(gaps[gaps < summit].max(initial=-1)) + 1
    end = int(gaps[gaps > summit].min(initial=columns.size))
    run = np.zeros_like(columns)
    run[start:end] = True
    return run


def _dilated(mask: NDArray[np.bool_], smoothing: float) -> NDArray[np.bool_]:
    """With the rim that blur adds."""
    side = 2 * round(1.5 + smoothing) + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def _across(
    change: Floats, smooth: Floats, mask: NDArray[np.bool_], rim: NDArray[np.bool_], core: float, *, along_rows: bool
) -> tuple[float, float]:
    """Whole change across a line and its height, both averaged over where along the line it is clear."""
    along = 1 if along_rows else 0
    totals = np.where(rim, change, 0).sum(axis=along)
    peaks = np.where(rim, smooth, 0).max(axis=along)
    clear = mask.any(axis=along) & (peaks > core / 2)
    if not clear.any():
        clear = mask.any(axis=along)
    return float(totals[clear].mean()), max(float(peaks[clear].mean()), 1e-3)


def _axis(
    change: Floats, mask: NDArray[np.bool_], rim: NDArray[np.bool_], blur: float, *, through: bool
) -> tuple[float, bool, tuple[float, float], float]:
    """Length along the long axis, whether that runs along the rows' direction, the centre, edges at 0, the aspect."""
    rows, columns = np.nonzero(rim)
    weights = np.maximum(change[rim], 0) + 1e-6
    centre_row, centre_column = np.average(rows, weights=weights), np.average(columns, weights=weights)
    centre = (float(centre_row) + 0.5, float(centre_column) + 0.5)
    if through:
        return float(change.shape[0]), True, centre, 1.0
    offsets = np.stack((rows - centre_row, columns - centre_column))
    moments = (offsets * weights) @ offsets.T / weights.sum()
    values, vectors = np.linalg.eigh(moments)
    inside = np.stack(np.nonzero(mask))
    places = vectors[:, 1] @ inside
    extent = float(places.max() - places.min()) + 1
    if extent < 8:
        # The mask is coarse here; a bar of length L has a variance of L^2 / 12, and blur adds its own.
        extent = sqrt(12 * max(float(values[1]) - blur * blur / 2, 0.1))
    # Blur widens both axes alike: what it adds is taken off before they are compared.
    long, short = (max(float(value) - blur * blur, 0.15 * blur * blur) for value in (values[1], values[0]))
    return extent, bool(abs(vectors[0, 1]) > abs(vectors[1, 1])), centre, min(sqrt(long / short), _LARGEST_ASPECT)


def _extents(
    mask: NDArray[np.bool_], centre: tuple[float, float], diameter: float | None
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

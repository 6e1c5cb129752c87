"""What each class of film defect looks like to the three channels, drawn from the line model's rows.

A look is the relative change of grey that a defect makes, before noise: its form (`models/film_forms.py`) seen through
the optics.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, cos, sin

import cv2
import numpy as np

from line.defect_rows import DefectClass
from models.film_forms import FORMS, Floats, Grid, Target

CHANNELS = ("BF", "DF", "TX")

_SAMPLES = 250_000
_SOFT = frozenset({"DIS", "THK"})
"""Classes without a sharp edge: drawn on every fourth pixel where they are large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A target seen through the optics, on the pixels of its roll."""

    target: Target
    top: int
    """First line of the roll that it covers."""
    left: int
    contrast: Floats
    """Shape (3, lines, columns): relative change of grey."""

    @property
    def bottom(self) -> int:
        """The line after its last."""
        return self.top + int(self.contrast.shape[1])

    @property
    def right(self) -> int:
        return self.left + int(self.contrast.shape[2])


def stamp(target: Target, row: DefectClass, *, pixel_um: float, blur_px: float) -> Stamp:
    """Draw a target.

    Args:
        row: of the target's class.
        pixel_um: side of a pixel on the film.
        blur_px: sigma of the optics.
    """
    top, left, lines, columns = place_px(target, row, pixel_um=pixel_um, blur_px=blur_px)
    fine = next((factor for factor in (4.0, 2.0) if lines * columns * factor**2 <= _SAMPLES), 1.0)
    if row.size_measure == "width":
        fine = max(fine, 2.0)
    elif target.kind in _SOFT and lines * columns > 4 * _SAMPLES:
        fine = 0.25
    y, x = (
        ((np.arange(ceil(count * fine), dtype=np.float32) + 0.5) / fine + np.float32(start - centre - 0.5)) * pixel_um
        for count, start, centre in ((lines, top, target.line_px), (columns, left, target.column_px))
    )
    grid = Grid(y.astype(np.float32), x.astype(np.float32), pixel_um / fine)
    rng = np.random.default_rng(target.seed)
    channels = []
    for image in FORMS[target.kind](target, row, grid, rng):
        full = np.ascontiguousarray(np.broadcast_to(image, grid.shape), np.float32)
        blurred = cv2.GaussianBlur(full, (0, 0), blur_px * fine, borderType=cv2.BORDER_REPLICATE)
        shrinking = cv2.INTER_AREA if fine >= 1 else cv2.INTER_LINEAR
        channels.append(cv2.resize(blurred, (columns, lines), interpolation=shrinking))
    contrast = np.stack(channels).astype(np.float32) * np.float32(target.strength)
    return Stamp(target=target, top=top, left=left, contrast=contrast)


def place_px(target: Target, row: DefectClass, *, pixel_um: float, blur_px: float) -> tuple[int, int, int, int]:
    """First line and column of a target's stamp, its lines and columns; parameters as of `stamp`."""
    half_y, half_x = (ceil(reach / pixel_um + 4 * blur_px + 2) for reach in _reach_um(target, row))
    top, left = round(target.line_px) - half_y, round(target.column_px) - half_x
    return top, left, 2 * half_y + 1, 2 * half_x + 1


def _reach_um(target: Target, row: DefectClass) -> tuple[float, float]:
    """Half of what a target covers along and across the web."""
    size, aspect = target.size_um, row.aspect or 1.0
    if row.size_measure == "width":
        return target.extent_um / 2 + 60, 2.2 * size + 80 + abs(sin(target.angle_rad)) * target.extent_um / 2
    if row.size_measure == "diameter":
        longest = 0.9 * size * max(aspect, 1.2) ** 0.5 + 20
        return (longest + 2.5 * size, longest) if target.kind == "AGG" else (longest, longest)
    half, side = 0.55 * size + 30, (0.5 if target.kind in {"CRK", "FIB"} else 0.75) * size / min(aspect, 4) + 60
    along, across = abs(cos(target.angle_rad)), abs(sin(target.angle_rad))
    return along * half + across * side, across * half + along * side

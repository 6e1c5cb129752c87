"""What a camera would measure of a flaw beside its size: sides, area and depth. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from line.defect_rows import FILM_CLASSES, DefectClass
from plant.truth_types import Flaw

_DEPTH_SIGMA_FRACTION, _DEPTH_SIGMA = 0.15, 0.02
"""Relative, since the scale of depths is doubtful, and of the noise in transmission."""
_LEAST_FOR_DEPTH_PX = {"diameter": 2.0, "width": 1.0, "length": 1.0, "height": 1.0}
"""Of the narrower side, by the class's own measure: of what is smaller the optics leave too little contrast."""


class DrawnDepth(NamedTuple):
    """A depth as it is read from transmission."""

    fraction: float
    uncertainty_fraction: float
    """Expanded, k=2."""


def sides_um(row: DefectClass | None, size_um: float, along_um: float) -> tuple[float, float]:
    """Longer and shorter side of a defect whose size by its class's own measure is known.

    Args:
        row: its class; None for an unknown one, which is measured as if it were a disc.
        size_um: by its own measure.
        along_um: as far as it was seen along the web.
    """
    aspect = (row.aspect or 1.0) if row else 1.0
    match row.size_measure if row else "diameter":
        case "width" | "height":
            return max(along_um, size_um), size_um
        case "length":
            return size_um, size_um / aspect
        case _:
            return size_um * math.sqrt(aspect), size_um / math.sqrt(aspect)


def area_um2(row: DefectClass | None, sides: tuple[float, float]) -> float:
    """Area between two sides: of an ellipse where the class is measured by diameter."""
    return sides[0] * sides[1] * (math.pi / 4 if row is None or row.size_measure == "diameter" else 1.0)


def depth_of(row: DefectClass | None, flaw: Flaw, noise: float, pixel_um: float) -> DrawnDepth | None:
    """Depth of a flaw as it is read; None of a class or a size that light says nothing of.

    Args:
        row: class that the flaw is taken for.
        flaw: as it is.
        noise: of a standard normal distribution.
        pixel_um: of the camera.
    """
    if row is None or row.code not in FILM_CLASSES:
        return None
    if min(sides_um(row, flaw.size_um, 0.0)) < _LEAST_FOR_DEPTH_PX[row.size_measure] * pixel_um:
        return None
    sigma = math.hypot(_DEPTH_SIGMA, _DEPTH_SIGMA_FRACTION * flaw.depth_fraction)
    fraction = min(max(flaw.depth_fraction + sigma * noise, 0.0), 1.0)
    return DrawnDepth(round(fraction, 4), round(min(2 * sigma, 1.0), 4))

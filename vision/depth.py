"""How deep a defect is, from the light that comes through it. Pure.

The film is taken to absorb by Lambert and Beer: the logarithm of the light that comes through falls with what film is
left. An open hole sets the scale, since it is film of no thickness; a class whose row states a depth below 1 (the
depth that rejects a streak, that makes a scratch or a bump critical) is scaled so that the row's contrast is that
depth, because what a groove scatters is not what a hole lets through. Both scales are modelling choices (D) until the
areal-mass gauge or a study on coupons has set them; `SCALE_SPREAD` is the doubt about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, expm1, hypot, log1p, sqrt

from line.defect_rows import FILM_CLASSES, DefectClass

SCALE_SPREAD = 0.15
"""Relative standard deviation of a depth because of its scale (D)."""
HOLE_CONTRAST = 2.5
"""Of an open hole, where the line model has no pinhole."""
_LEAST_DILUTION = 0.3
"""Of a defect whose depth is told; less is left of what is smaller than the blur."""
_DARKEST = -0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Missing film (or added, of a bump) as a share of the film's thickness."""

    fraction: float
    uncertainty_fraction: float
    """Expanded, k=2."""


def hole_contrast(rows: dict[str, DefectClass]) -> float:
    """Change of transmission of an open hole."""
    pin = rows.get("PIN")
    return pin.contrast_tx if pin is not None and pin.contrast_tx else HOLE_CONTRAST


def thickness_change_fraction(contrast_tx: float, rows: dict[str, DefectClass]) -> float:
    """Relative change of thickness that a change of transmission means: Lambert-Beer, scaled by an open hole.

    A pinhole is film of no thickness, so ln(1 + its contrast) is the optical density of the film.
    """
    return -log1p(max(contrast_tx, _DARKEST)) / log1p(hole_contrast(rows))


def depth_fraction(row: DefectClass, contrast_tx: float, hole: float = HOLE_CONTRAST) -> float | None:
    """Depth (or height) at a core of this contrast, 0 to 1; None for a class that is not more film or less.

    Args:
        row: of the class.
        contrast_tx: relative change of transmission at the core, as if the optics were sharp.
        hole: the same of an open hole.
    """
    if row.code not in FILM_CLASSES:
        return None
    stated = next((rule.fraction for rule in row.accept if rule.kind == "depth_fraction_above"), None)
    stated = stated or row.critical_from_depth_fraction
    by_class = stated and stated < 1 and row.contrast_tx
    scale = stated / abs(log1p(row.contrast_tx)) if by_class and stated and row.contrast_tx else 1 / log1p(hole)
    return min(1.0, scale * abs(log1p(max(contrast_tx, _DARKEST))))


def depth_of(
    row: DefectClass,
    contrast_tx: float,
    noise: float,
    *,
    dilution: float = 1.0,
    dilution_spread: float = 0.0,
    saturated: bool = False,
    hole: float = HOLE_CONTRAST,
) -> Depth | None:
    """Depth of a measured defect and how sure it is; None for a class that is not more film or less, or one too small.

    Args:
        row: of the class.
        contrast_tx: as seen at the core.
        noise: standard deviation of it.
        dilution: share of the true contrast that the optics leave of so small a defect, 0 to 1.
        dilution_spread: relative standard deviation of it, from the doubt about the size.
        saturated: the sensor was: the depth lies between what it could still show and through.
        hole: contrast of an open hole.
    """
    if dilution < _LEAST_DILUTION:
        return None
    true = contrast_tx / dilution
    found = depth_fraction(row, true, hole)
    if found is None:
        return None
    if saturated:
        least = depth_fraction(row, contrast_tx, hole) or 0.0
        return Depth(fraction=(1 + least) / 2, uncertainty_fraction=max((1 - least) / 2, SCALE_SPREAD * least))
    spread = hypot(noise / dilution, dilution_spread * abs(true))
    steep = depth_fraction(row, true + spread, hole) or 0.0
    flat = depth_fraction(row, true - spread, hole) or 0.0
    by_contrast = max(abs(steep - found), abs(found - flat))
    return Depth(fraction=found, uncertainty_fraction=min(1.0, 2 * hypot(by_contrast, SCALE_SPREAD * found)))


def disc_dilution(diameter: float, blur: float) -> float:
    """Share of its contrast that a blurred disc shows at its centre; in any unit, `blur` is the sigma."""
    return -expm1(-((diameter / blur) ** 2) / 8)


def bar_dilution(width: float, blur: float) -> float:
    """Share of its contrast that a blurred bar shows in its middle."""
    return erf(width / (2 * sqrt(2) * blur))

"""The calibration target as a drawing to be plotted on film: round marks on a square grid, slanted squares between."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, radians, sin

from line.calibration import Target
from line.errors import ConfigError

ROWS = 7
"""Of marks, an odd number: the squares stand on the middle one."""
SQUARES = 5
"""Across the field, in the middle of each fifth; fewer where marks would not stand between them."""
SLANT_DEG = 5.0


def target_svg(target: Target, width_um: float) -> str:
    """The target for a field of a width, as SVG in millimetres; black is opaque, the rest clear or white.

    Args:
        target: its measures.
        width_um: of the field of the camera.

    Raises:
        ConfigError: its figures would overlap.
    """
    _require_white_between(target)
    pitch_mm, mark_mm, side_mm = target.pitch_um / 1000, target.mark_um / 1000, target.square_um / 1000
    width_mm, height_mm = width_um / 1000, (ROWS + 1) * pitch_mm
    columns = int(width_mm / pitch_mm / 2)
    count = max(1, min(SQUARES, columns // 3))
    squares = {round(((place + 0.5) / count - 0.5) * width_mm / pitch_mm) for place in range(count)}

    def figures() -> Iterator[str]:
        for i in range(-columns, columns + 1):
            x = width_mm / 2 + i * pitch_mm
            for j in range(-(ROWS // 2), ROWS // 2 + 1):
                y = height_mm / 2 + j * pitch_mm
                beside = min(abs(i - square) for square in squares)
                if beside == 0 and j == 0:
                    yield (
                        f'<rect x="{x - side_mm / 2:.4f}" y="{y - side_mm / 2:.4f}" width="{side_mm:.4f}" '
                        f'height="{side_mm:.4f}" transform="rotate({SLANT_DEG:g} {x:.4f} {y:.4f})"/>'
                    )
                elif beside > 1 or abs(j) > 1:
                    yield f'<circle cx="{x:.4f}" cy="{y:.4f}" r="{mark_mm / 2:.4f}"/>'

    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_mm:g}mm" height="{height_mm:g}mm" '
        f'viewBox="0 0 {width_mm:g} {height_mm:g}">',
        *figures(),
        "</svg>\n",
    ])


def _require_white_between(target: Target) -> None:
    """Marks next to each other, and a square with the marks two pitches from its middle, must not touch."""
    slant = radians(SLANT_DEG)
    least_um = max(target.mark_um, (target.square_um * (cos(slant) + sin(slant)) + target.mark_um) / 4)
    if target.pitch_um <= least_um:
        raise ConfigError(
            f"is {target.pitch_um:g} um: marks of {target.mark_um:g} um and squares of {target.square_um:g} um would "
            f"overlap; more than {least_um:.0f} um is needed, or smaller ones by --mark-um and --square-um",
            key="--pitch-um",
        )

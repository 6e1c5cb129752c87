"""Where the four corner cameras of the stack look, and which number is which edge. Shared by camera and inspection.

Machine frame: origin at the nominal centre of the stack, µm. x runs across the web, along the 142 mm side of a
laminate, and grows away from the operator; y runs along the web, along its 102 mm side, and grows downstream. Seen
from above, as all cameras see it::

                      y  downstream
                      ^
          4 +---------|---------+ 3          corners anticlockwise from operator side, upstream
            |         |         |
  operator  |         o-----------> x        camera image of every corner alike, not turned:
     side   |       centre      |              u (column) grows with  x
            |                   |              v (row)    grows with -y, so row 0 is downstream
          1 +-------------------+ 2
                   upstream

A field is 2,500 x 2,000 px of 8 µm, 20 x 16 mm, telecentric, centred `INWARD_UM` towards the stack's centre from the
nominal corner of a laminate, so most of it shows sheet. Pixel coordinates count centres: (u, v) = (0, 0) is the centre
of the first pixel. Two white discs on black plates, fixed to the machine and level with the topmost sheet, lie beside
the sheet in every field: one beyond its x edge (`FIDUCIAL_X`), one beyond its y edge (`FIDUCIAL_Y`). They never move;
when they do in a picture, it is the camera that moved.

The outline of a framed cathode equals a laminate's, so a cathode hides the edges of the laminate below it. Its overhang
is read from the laminate's corner in the picture of the layer before and the *active* corner of the cathode (where its
black meets the grey frame), both in machine coordinates.
"""

from __future__ import annotations

import math

WIDTH_PX = 2_500
HEIGHT_PX = 2_000
PIXEL_UM = 8.0

LAMINATE_X_UM = 142_000.0
"""Nominal outline, also that of a framed cathode."""
LAMINATE_Y_UM = 102_000.0
CATHODE_X_UM = 140_000.0
"""Nominal size of the active part."""
CATHODE_Y_UM = 100_000.0
FRAME_UM = 1_000.0
"""Nominal width of the insulating frame."""

CORNERS = (1, 2, 3, 4)
INWARD_UM = (3_000.0, 2_000.0)
"""From the nominal corner of a laminate to the centre of the field, towards the centre of the stack, along x and y."""
FIDUCIAL_DIAMETER_UM = 1_600.0
FIDUCIAL_PLATE_UM = 3_200.0
"""Side of the black square that a disc lies on."""

_FIDUCIAL_X_OUT_UM = (4_500.0, -5_000.0)
"""Of the disc beyond the x edge, outward from the nominal corner of a laminate along x and y."""
_FIDUCIAL_Y_OUT_UM = (-6_000.0, 3_800.0)

PLACES = tuple(f"{corner}{axis}" for corner in CORNERS for axis in "xy")
"""The eight overhang readings of a cathode layer: `1x` is corner 1 along x."""

Point = tuple[float, float]
"""x and y in the machine frame [µm], or u and v in a picture [px]."""


def outward(corner: int) -> tuple[int, int]:
    """Signs of x and y towards the outside of the stack: corner 1 is (-1, -1), corner 3 is (1, 1).

    Raises:
        ValueError: not one of 1 to 4.
    """
    try:
        return {1: (-1, -1), 2: (1, -1), 3: (1, 1), 4: (-1, 1)}[corner]
    except KeyError:
        raise ValueError(f"corner {corner} is not known; corners are 1 to 4") from None


def field_centre_um(corner: int) -> Point:
    """Machine point that the centre of a corner's picture shows."""
    sign_x, sign_y = outward(corner)
    return sign_x * (LAMINATE_X_UM / 2 - INWARD_UM[0]), sign_y * (LAMINATE_Y_UM / 2 - INWARD_UM[1])


def fiducials_um(corner: int) -> tuple[Point, Point]:
    """Machine points of the two disc centres in a corner's field: beyond the x edge, beyond the y edge."""
    sign_x, sign_y = outward(corner)
    first, second = (
        (sign_x * (LAMINATE_X_UM / 2 + out_x), sign_y * (LAMINATE_Y_UM / 2 + out_y))
        for out_x, out_y in (_FIDUCIAL_X_OUT_UM, _FIDUCIAL_Y_OUT_UM)
    )
    return first, second


def pixel_of(corner: int, x_um: float, y_um: float) -> Point:
    """Pixel (u, v) of a machine point in the picture of a corner whose camera stands as designed."""
    centre_x, centre_y = field_centre_um(corner)
    return (WIDTH_PX - 1) / 2 + (x_um - centre_x) / PIXEL_UM, (HEIGHT_PX - 1) / 2 - (y_um - centre_y) / PIXEL_UM


def machine_um(corner: int, u_px: float, v_px: float) -> Point:
    """Machine point [µm] of a pixel in the picture of a corner whose camera stands as designed."""
    centre_x, centre_y = field_centre_um(corner)
    return (
        centre_x + (u_px - (WIDTH_PX - 1) / 2) * PIXEL_UM,
        centre_y - (v_px - (HEIGHT_PX - 1) / 2) * PIXEL_UM,
    )


def corner_um(
    corner: int, size_x_um: float, size_y_um: float, offset_x_um: float, offset_y_um: float, rotation_urad: float
) -> Point:
    """Machine point of a corner of a rectangle.

    Args:
        corner: 1 to 4.
        size_x_um: full side along x.
        size_y_um: full side along y.
        offset_x_um: of its centre.
        offset_y_um: of its centre.
        rotation_urad: about its centre, anticlockwise seen from above.
    """
    sign_x, sign_y = outward(corner)
    cos, sin = math.cos(rotation_urad * 1e-6), math.sin(rotation_urad * 1e-6)
    half_x, half_y = sign_x * size_x_um / 2, sign_y * size_y_um / 2
    return offset_x_um + half_x * cos - half_y * sin, offset_y_um + half_x * sin + half_y * cos


def overhang_um(corner: int, laminate: Point, cathode: Point) -> tuple[float, float]:
    """How far a laminate stands out over the active cathode at a corner, along x and y [µm]; negative: it does not.

    Args:
        corner: 1 to 4.
        laminate: machine point of the laminate's corner, in the layer below.
        cathode: machine point of the active cathode's corner.
    """
    sign_x, sign_y = outward(corner)
    return sign_x * (laminate[0] - cathode[0]), sign_y * (laminate[1] - cathode[1])

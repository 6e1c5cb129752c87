"""Overhang of stacked sheets from pictures of their four corners. Pure.

Machine marks in every picture tell where the camera really looks. A laminate's outline is measured in the picture
after it was placed; the framed cathode on it hides that outline, so the overhang is the laminate's corner in picture
k-1 against the active cathode's corner in picture k, both in machine coordinates.

Film lies on film of the same grey: where a laminate further down stands out beyond the topmost one and the frame
between them does not, the edge that is seen is the lower one's. It gives itself away by its fingerprint, the roughness
of its cut, which was recorded when it lay on top, or by a sheet that would be too large. Such an edge is taken from
the opposite one and the nominal size; one that may be hidden is kept, with the uncertainty of the other way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from line.errors import UnusableFrameError
from line.stack_geometry import (
    CATHODE_X_UM,
    CATHODE_Y_UM,
    CORNERS,
    FIDUCIAL_DIAMETER_UM,
    HEIGHT_PX,
    LAMINATE_X_UM,
    LAMINATE_Y_UM,
    PIXEL_UM,
    WIDTH_PX,
    Point,
    fiducials_um,
    machine_um,
    outward,
    overhang_um,
    pixel_of,
)
from vision.edges import Edge, disc_centre, first_edge, same_edge

Kind = Literal["laminate", "cathode"]
Axis = Literal["x", "y"]
AXES: tuple[Axis, ...] = ("x", "y")

MOVEMENT_SIGMA_UM = 5.0
"""How far a laminate moves when the next sheet is set down on it (D)."""
SIZE_SIGMA_UM = 35.0
"""Of a laminate's size: two cut edges of 25 µm each (line model)."""
COVERAGE = 2.0

_REACH_PX = 150
"""How far an edge may lie from where it belongs: 1.2 mm, four placement tolerances."""
_MARK_REACH_PX = 80.0
_NEAR_CORNER_PX = 40
"""Along an edge from the expected corner that is left out, beyond the reach of the other edge."""
_NEAR_BORDER_PX = 12
_LEAST_STEP = {"laminate": 25.0, "cathode": 30.0}
_SAME_EDGE = 0.5
"""Correlation of fingerprints; that of different edges scatters by 0.06."""
_BARE_FRACTION = 0.48
"""Of the film's grey; a frame is brighter than this (0.62), the table darker (0.34)."""
_WHOLE_SHARE = 0.75
_PULLED = 0.7
_SIDES: tuple[tuple[tuple[int, int], float, Axis], ...] = (
    ((1, 2), LAMINATE_X_UM, "x"),
    ((4, 3), LAMINATE_X_UM, "x"),
    ((1, 4), LAMINATE_Y_UM, "y"),
    ((2, 3), LAMINATE_Y_UM, "y"),
)
_MARKS_AGREE_PX = 1.5
_GREY_FRACTION = {"laminate": (0.6, 1.2), "cathode": (0.0, 0.32)}
"""Grey of a sheet as a share of the white of the machine's marks: film 0.77, frame 0.48, active cathode 0.12."""
_SCALE_SIGMA = 0.0005
"""Of the pixel, relative (tag PixelScale: 8 ± 0.02 µm is its normal range)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A sheet's corners in machine coordinates."""

    kind: Kind
    corners: Mapping[int, Point]
    sigma_um: Mapping[str, float]
    """Standard deviation of each place, `1x`."""
    offset_x_um: float
    offset_y_um: float
    rotation_urad: float
    camera_shift_um: Mapping[int, Point]
    """How far each camera looks from where it should, by its marks."""
    prints: Mapping[str, NDArray[np.float32]]
    """Fingerprint of the edge that was seen at each place."""
    inferred: tuple[str, ...]
    """Places that were hidden and follow from the opposite edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Overhang at one place."""

    place: str
    value_um: float
    uncertainty_um: float
    """Expanded, k=2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One picture, measured."""

    corner: Point
    sigma_um: dict[Axis, float]
    edges: dict[Axis, Edge]
    shift_um: Point


def outline(pictures: NDArray[np.uint8], kind: Kind, below: Sequence[Outline] = ()) -> Outline:
    """Where the topmost sheet lies: a laminate's outline, a cathode's active part.

    Args:
        pictures: shape (4, 2000, 2500), corners 1 to 4.
        kind: of the topmost sheet.
        below: laminates further down, the last few are enough; for a laminate only.

    Raises:
        UnusableFrameError: a mark or an edge is not found; the message says which, in which picture.
    """
    if pictures.shape != (len(CORNERS), HEIGHT_PX, WIDTH_PX):
        raise UnusableFrameError(
            f"corner pictures of shape {pictures.shape}, expected {(len(CORNERS), HEIGHT_PX, WIDTH_PX)}"
        )
    seen = {corner: _seen(picture, corner, kind) for corner, picture in zip(CORNERS, pictures, strict=True)}
    corners = {corner: one.corner for corner, one in seen.items()}
    edges = {f"{corner}{axis}": one.edges[axis] for corner, one in seen.items() for axis in AXES}
    sigma = {f"{corner}{axis}": one.sigma_um[axis] for corner, one in seen.items() for axis in AXES}
    sharpest = min(edge.width for edge in edges.values())
    for place, edge in edges.items():
        # Two edges side by side are wider than one, and pull the position of the first towards the second.
        sigma[place] = hypot(sigma[place], PIXEL_UM * _PULLED * sqrt(max(0.0, edge.width**2 - sharpest**2 - 0.1)))
    hidden: list[str] = []
    if kind == "laminate":
        hidden, doubtful = _hidden(edges, corners, below)
        for place in doubtful:
            sigma[place] = hypot(sigma[place], SIZE_SIGMA_UM)
        for place in hidden:
            corners, sigma[place] = _inferred(place, corners, sigma, hidden)
    return Outline(
        kind=kind,
        corners=corners,
        sigma_um=sigma,
        offset_x_um=float(np.mean([corners[corner][0] for corner in CORNERS])),
        offset_y_um=float(np.mean([corners[corner][1] for corner in CORNERS])),
        rotation_urad=_rotation_urad(corners),
        camera_shift_um={corner: one.shift_um for corner, one in seen.items()},
        prints={place: edge.offsets for place, edge in edges.items()},
        inferred=tuple(hidden),
    )


def overhangs(laminate: Outline, cathode: Outline) -> tuple[Reading, ...]:
    """The eight readings of a cathode over the laminate below it, in the order of `line.stack_geometry.PLACES`."""
    readings = []
    for corner in CORNERS:
        values = overhang_um(corner, laminate.corners[corner], cathode.corners[corner])
        for axis, value in zip(AXES, values, strict=True):
            place = f"{corner}{axis}"
            spread = sqrt(
                laminate.sigma_um[place] ** 2
                + cathode.sigma_um[place] ** 2
                + MOVEMENT_SIGMA_UM**2
                + (_SCALE_SIGMA * value) ** 2
            )
            readings.append(Reading(place=place, value_um=value, uncertainty_um=COVERAGE * spread))
    return tuple(readings)


def _seen(picture: NDArray[np.uint8], corner: int, kind: Kind) -> _Seen:
    try:
        shift, mark_sigma = _shift_px(picture, corner)
    except UnusableFrameError as error:
        raise UnusableFrameError(f"corner {corner}: machine mark: {error}") from error
    edges: dict[Axis, Edge] = {}
    frames: dict[Axis, _Frame] = {}
    white = _white(picture, corner, shift)
    for axis in AXES:
        frames[axis] = _frame(corner, axis, kind, shift)
        try:
            edges[axis] = first_edge(
                frames[axis].cut(picture), falling=kind == "laminate", least_step=_LEAST_STEP[kind]
            )
        except UnusableFrameError as error:
            raise UnusableFrameError(f"corner {corner}: {axis} edge of the {kind}: {error}") from error
        low, high = _GREY_FRACTION[kind]
        if not low <= edges[axis].inside / white <= high:
            raise UnusableFrameError(
                f"corner {corner}: {axis} edge of the {kind}: grey {edges[axis].inside:.0f} before it, expected "
                f"{low * white:.0f} to {high * white:.0f}: is the sheet missing, flipped or of another kind?"
            )
    u, v = _crossing(edges, frames)
    along = {"x": _NEAR_CORNER_PX + _REACH_PX, "y": _NEAR_CORNER_PX + _REACH_PX}
    sigma = {
        axis: PIXEL_UM
        * hypot(edges[axis].sigma_at, edges[axis].sigma_slope * (edges[axis].middle + along[axis]), mark_sigma)
        for axis in AXES
    }
    return _Seen(
        corner=machine_um(corner, u - shift[0], v - shift[1]),
        sigma_um=sigma,
        edges=edges,
        shift_um=(shift[0] * PIXEL_UM, -shift[1] * PIXEL_UM),
    )


def _shift_px(picture: NDArray[np.uint8], corner: int) -> tuple[Point, float]:
    """By how much the machine's marks lie off their design place in the picture, and the standard deviation."""
    found = []
    for mark in fiducials_um(corner):
        expected = pixel_of(corner, *mark)
        u, v, sigma = disc_centre(picture, expected, FIDUCIAL_DIAMETER_UM / 2 / PIXEL_UM, reach=_MARK_REACH_PX)
        found.append((u - expected[0], v - expected[1], sigma))
    (u1, v1, sigma1), (u2, v2, sigma2) = found
    if hypot(u1 - u2, v1 - v2) > _MARKS_AGREE_PX:
        raise UnusableFrameError(
            f"the two marks are {hypot(u1 - u2, v1 - v2):.1f} px off their distance: is the camera turned?"
        )
    return ((u1 + u2) / 2, (v1 + v2) / 2), hypot(sigma1, sigma2) / 2


def _white(picture: NDArray[np.uint8], corner: int, shift: Point) -> float:
    """Grey of the machine's marks."""
    greys = []
    for mark in fiducials_um(corner):
        u, v = pixel_of(corner, *mark)
        row, column, half = round(v + shift[1]), round(u + shift[0]), round(FIDUCIAL_DIAMETER_UM / 4 / PIXEL_UM)
        greys.append(np.median(picture[row - half : row + half, column - half : column + half]))
    return float(np.mean(greys))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A piece of a picture turned so that an edge runs downwards and outside lies on the right."""

    axis: Axis
    top: int
    left: int
    height: int
    width: int
    flipped: bool

    def cut(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The piece: rows along the edge, columns outward."""
        piece = picture[self.top : self.top + self.height, self.left : self.left + self.width]
        turned = piece if self.axis == "x" else piece.T
        return np.ascontiguousarray(turned[:, ::-1] if self.flipped else turned)

    def line(self, edge: Edge) -> tuple[float, float]:
        """(a, b) with u = a + b v for an x edge, v = a + b u for a y edge, in the picture."""
        across_start, across = (self.left, self.width) if self.axis == "x" else (self.top, self.height)
        along_start = self.top if self.axis == "x" else self.left
        sign = -1.0 if self.flipped else 1.0
        at_zero = edge.at - edge.slope * (edge.middle + along_start)
        base = across_start + (across - 1 - at_zero if self.flipped else at_zero)
        return base, sign * edge.slope


def _frame(corner: int, axis: Axis, kind: Kind, shift: Point) -> _Frame:
    """Where to look for an edge: along it from beside the corner to the picture's border, across it by the reach."""
    size_x, size_y = (LAMINATE_X_UM, LAMINATE_Y_UM) if kind == "laminate" else (CATHODE_X_UM, CATHODE_Y_UM)
    sign_x, sign_y = outward(corner)
    u, v = pixel_of(corner, sign_x * size_x / 2, sign_y * size_y / 2)
    u, v = round(u + shift[0]), round(v + shift[1])
    # Outside lies right for positive x, and up, that is at smaller v, for positive y.
    gap = _REACH_PX + _NEAR_CORNER_PX
    columns = (_NEAR_BORDER_PX, u - gap) if sign_x > 0 else (u + gap, WIDTH_PX - _NEAR_BORDER_PX)
    rows = (v + gap, HEIGHT_PX - _NEAR_BORDER_PX) if sign_y > 0 else (_NEAR_BORDER_PX, v - gap)
    if axis == "x":
        left, right = max(0, u - _REACH_PX), min(WIDTH_PX, u + _REACH_PX + 1)
        return _Frame(
            axis=axis, top=rows[0], left=left, height=rows[1] - rows[0], width=right - left, flipped=sign_x < 0
        )
    top, bottom = max(0, v - _REACH_PX), min(HEIGHT_PX, v + _REACH_PX + 1)
    return _Frame(
        axis=axis, top=top, left=columns[0], height=bottom - top, width=columns[1] - columns[0], flipped=sign_y > 0
    )


def _crossing(edges: Mapping[Axis, Edge], frames: Mapping[Axis, _Frame]) -> Point:
    """(u, v) where the x edge and the y edge meet."""
    a, b = frames["x"].line(edges["x"])
    c, d = frames["y"].line(edges["y"])
    v = (c + d * a) / (1 - b * d)
    return a + b * v, v


def _hidden(
    edges: Mapping[str, Edge], corners: Mapping[int, Point], below: Sequence[Outline]
) -> tuple[list[str], list[str]]:
    """Places where the edge seen is that of a laminate further down, and places where it may be."""
    # Beside the sheet's own edge lies its frame's grey, or nothing: only then can it be another film's edge.
    bare = [place for place, edge in edges.items() if edge.outside < _BARE_FRACTION * edge.inside]
    hidden = {
        place
        for place in bare
        if any(same_edge(edges[place].offsets, lower.prints[place]) > _SAME_EDGE for lower in below)
    }
    for (one, other), nominal, axis in _SIDES:
        pair = [f"{one}{axis}", f"{other}{axis}"]
        size = abs(corners[one][AXES.index(axis)] - corners[other][AXES.index(axis)])
        suspects = [place for place in pair if place in bare and place not in hidden]
        if size - nominal > 3 * SIZE_SIGMA_UM and not hidden.intersection(pair) and suspects:
            # Both may be: the one whose lower edge was never seen on top is the likelier.
            unknown = [place for place in suspects if any(place in lower.inferred for lower in below)]
            hidden.update(unknown or suspects)
    doubtful = [
        place
        for place in bare
        if place not in hidden
        and (edges[place].share < _WHOLE_SHARE or any(place in lower.inferred for lower in below))
    ]
    return sorted(hidden), doubtful


def _inferred(
    place: str, corners: Mapping[int, Point], sigma: Mapping[str, float], hidden: Sequence[str]
) -> tuple[dict[int, Point], float]:
    """Corners with one coordinate taken from the opposite edge, and its standard deviation."""
    corner, axis = int(place[0]), place[1]
    opposite = {"x": {1: 2, 2: 1, 3: 4, 4: 3}, "y": {1: 4, 4: 1, 2: 3, 3: 2}}[axis][corner]
    moved = dict(corners)
    if f"{opposite}{axis}" in hidden:
        # Both sides hidden: what is seen is only a bound, half a placement spread away on average.
        return moved, 2 * SIZE_SIGMA_UM
    sign_x, sign_y = outward(corner)
    x, y = corners[corner]
    if axis == "x":
        x = corners[opposite][0] + sign_x * LAMINATE_X_UM
    else:
        y = corners[opposite][1] + sign_y * LAMINATE_Y_UM
    moved[corner] = (x, y)
    return moved, hypot(SIZE_SIGMA_UM, sigma[f"{opposite}{axis}"])


def _rotation_urad(corners: Mapping[int, Point]) -> float:
    """Mean turn of the four sides, anticlockwise, seen from above."""
    turns = []
    for start, end, across in ((1, 2, 0), (4, 3, 0), (1, 4, 1), (2, 3, 1)):
        step_x, step_y = corners[end][0] - corners[start][0], corners[end][1] - corners[start][1]
        turns.append(step_y / step_x if across == 0 else -step_x / step_y)
    return float(np.mean(turns)) * 1e6

"""Made corner pictures: sheets with straight erf edges, machine marks and noise, all of known place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, erf, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from line.frames import CornerHeader
from line.stack_geometry import (
    CORNERS,
    FIDUCIAL_DIAMETER_UM,
    FIDUCIAL_PLATE_UM,
    HEIGHT_PX,
    PIXEL_UM,
    WIDTH_PX,
    Point,
    corner_um,
    fiducials_um,
    machine_um,
    outward,
    pixel_of,
)

_STEPS = np.linspace(-6, 6, 1201)
_SPREAD = np.array([0.5 * (1 + erf(step / sqrt(2))) for step in _STEPS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """A sheet as it really lies."""

    kind: str
    offset_x_um: float = 0.0
    offset_y_um: float = 0.0
    rotation_urad: float = 0.0
    size_um: Point = (142_000.0, 102_000.0)
    """Of a laminate, or of a cathode's active part."""
    outline_um: Point = (142_000.0, 102_000.0)

    def corner(self, corner: int) -> Point:
        """Machine point of the corner that counts."""
        return corner_um(corner, *self.size_um, self.offset_x_um, self.offset_y_um, self.rotation_urad)


def laminate(x_um: float = 0.0, y_um: float = 0.0, rotation_urad: float = 0.0) -> Lying:
    return Lying(kind="laminate", offset_x_um=x_um, offset_y_um=y_um, rotation_urad=rotation_urad)


def cathode(x_um: float = 0.0, y_um: float = 0.0, rotation_urad: float = 0.0) -> Lying:
    return Lying(
        kind="cathode",
        offset_x_um=x_um,
        offset_y_um=y_um,
        rotation_urad=rotation_urad,
        size_um=(140_000.0, 100_000.0),
    )


def corner_pictures(
    sheets: Sequence[Lying], *, shifts_um: Sequence[float] = (0, 0, 0, 0), seed: int = 0, rough_px: float = 0.25
) -> NDArray[np.uint8]:
    """The four corners with sheets on each other, the last on top; a shifted camera looks that far up and right."""
    rng = np.random.default_rng(seed)
    pictures = [_picture(sheets, corner, shift, rough_px) for corner, shift in zip(CORNERS, shifts_um, strict=True)]
    noise = rng.standard_normal((len(CORNERS), HEIGHT_PX, WIDTH_PX), dtype=np.float32)
    return np.clip(np.rint(np.stack(pictures) + 2.0 * noise), 0, 255).astype(np.uint8)


def corner_header(layer: int, kind: str, *, stack: str = "S-1", wall_ns: int = 0) -> CornerHeader:
    return CornerHeader(
        station="S12",
        stack=stack,
        layer=layer,
        kind="laminate" if kind == "laminate" else "cathode",
        height_px=HEIGHT_PX,
        width_px=WIDTH_PX,
        pixel_um=PIXEL_UM,
        cameras=("sins-1", "sins-2", "sins-3", "sins-4"),
        at_ns=1_800_000_000_000_000_000 + layer,
        wall_ns=wall_ns,
        simulated=True,
    )


def _picture(sheets: Sequence[Lying], corner: int, shift_um: float, rough_px: float) -> NDArray[np.float32]:
    picture = np.full((HEIGHT_PX, WIDTH_PX), 58.0, np.float32)
    for mark in fiducials_um(corner):
        _mark(picture, pixel_of(corner, mark[0] - shift_um, mark[1] - shift_um))
    for number, sheet in enumerate(sheets):
        if sheet.kind == "laminate":
            _sheet(picture, sheet, sheet.size_um, 172.0, corner, shift_um, rough_px, number)
        else:
            _sheet(picture, sheet, sheet.outline_um, 106.0, corner, shift_um, 0.0, number)
            _sheet(picture, sheet, sheet.size_um, 27.0, corner, shift_um, 0.6 * rough_px, number)
    return picture


def _sheet(
    picture: NDArray[np.float32],
    sheet: Lying,
    size_um: Point,
    grey: float,
    corner: int,
    shift_um: float,
    rough_px: float,
    number: int,
) -> None:
    sign_x, sign_y = outward(corner)
    x0, y0 = machine_um(corner, 0, 0)
    x = x0 + shift_um - sheet.offset_x_um + np.arange(WIDTH_PX)[None, :] * PIXEL_UM
    y = y0 + shift_um - sheet.offset_y_um - np.arange(HEIGHT_PX)[:, None] * PIXEL_UM
    turn = sheet.rotation_urad * 1e-6
    rng = np.random.default_rng((number, corner, int(grey)))
    inside_x = (size_um[0] / 2 - sign_x * (x * cos(turn) + y * sin(turn))) / PIXEL_UM
    inside_y = (size_um[1] / 2 - sign_y * (y * cos(turn) - x * sin(turn))) / PIXEL_UM
    inside_x = inside_x + _rough(rng, HEIGHT_PX, rough_px)[:, None]
    inside_y = inside_y + _rough(rng, WIDTH_PX, rough_px)[None, :]
    cover = np.interp(inside_x, _STEPS, _SPREAD) * np.interp(inside_y, _STEPS, _SPREAD)
    picture += (cover * (grey - picture)).astype(np.float32)


def _rough(rng: np.random.Generator, count: int, rough_px: float) -> NDArray[np.float64]:
    knots = rng.standard_normal(count // 5 + 2)
    rough = rough_px * 1.2 * np.interp(np.arange(count), np.arange(knots.size) * 5.0, knots)
    return np.asarray(rough - rough.mean())


def _mark(picture: NDArray[np.float32], centre: Point) -> None:
    half = round(FIDUCIAL_PLATE_UM / 2 / PIXEL_UM) + 6
    top, left = max(0, round(centre[1]) - half), max(0, round(centre[0]) - half)
    window = picture[top : round(centre[1]) + half, left : round(centre[0]) + half]
    v = np.arange(top, top + window.shape[0])[:, None] - centre[1]
    u = np.arange(left, left + window.shape[1])[None, :] - centre[0]
    plate = FIDUCIAL_PLATE_UM / 2 / PIXEL_UM
    on_plate = np.interp(plate - np.abs(u), _STEPS, _SPREAD) * np.interp(plate - np.abs(v), _STEPS, _SPREAD)
    window += (on_plate * (16 - window)).astype(np.float32)
    on_disc = np.interp(FIDUCIAL_DIAMETER_UM / 2 / PIXEL_UM - np.hypot(u, v), _STEPS, _SPREAD)
    window += (on_disc * (222 - window)).astype(np.float32)

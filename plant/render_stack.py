"""Pictures of the four corner cameras above a stack: a pure function of what lies there, camera shifts and a seed.

Sheets are painted from below upwards with edges placed to a fraction of a pixel and blurred by an erf, as telecentric
optics do it; geometry and names are those of `line/stack_geometry.py`. Some 30 ms of one core for four pictures.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from line.stack_geometry import (
    CORNERS,
    FIDUCIAL_DIAMETER_UM,
    FIDUCIAL_PLATE_UM,
    HEIGHT_PX,
    PIXEL_UM,
    WIDTH_PX,
    fiducials_um,
    machine_um,
    outward,
    pixel_of,
)
from plant.truth_types import PlacedSheet

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

BLUR_PX = 1.0
"""Sigma of the edge spread."""
NOISE_DN = 2.0
TABLE_DN, FILM_DN, CATHODE_DN, FRAME_DN = 58.0, 172.0, 27.0, 106.0
DISC_DN, PLATE_DN = 222.0, 16.0
_ROLL_PX = 256
_LAYERS_SEEN = 2
"""Sheets below the topmost whose rims may still show."""
_MARGIN_PX = 9
"""Half the width of the window in which an edge is blended: blur, roughness and chips lie within it."""
_LIGHT_UNIT = 200
_STEPS = 128
_ERF = np.array([0.5 * (1 + math.erf(step / _STEPS / math.sqrt(2))) for step in range(-5 * _STEPS, 5 * _STEPS + 1)])
_ERF32 = _ERF.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackBank:
    """How table, film, cathode, frame, light and noise look. Made by `stack_bank`; some 40 MB."""

    table: Bytes
    film: Bytes
    cathode: Bytes
    frame: Bytes
    light: Bytes
    """In `_LIGHT_UNIT`ths."""
    noise: Bytes
    """Zero at 128, sigma 16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rim:
    """How an edge departs from a straight line, pixel by pixel along it."""

    outward_px: Floats
    glint_dn: Floats


def stack_bank(seed: int) -> StackBank:
    """The look of one stacking station; another seed is another one."""
    rng = np.random.default_rng((seed, 0x57AC))
    shape = HEIGHT_PX + _ROLL_PX, WIDTH_PX + _ROLL_PX
    brushed = _unit(rng, shape, 14.0, 0.7) + 0.5 * _unit(rng, shape, 90.0, 1.5)
    film = 0.018 * _unit(rng, shape, 1.3, 1.3) + 0.007 * _unit(rng, shape, 12.0, 12.0)
    cathode = 0.05 * _unit(rng, shape, 1.1, 1.1) + 0.05 * _unit(rng, shape, 4.0, 4.0)
    cathode += 0.5 * np.clip(_unit(rng, shape, 0.8, 0.8) - 3.2, 0, 1)
    frame = 0.010 * _unit(rng, shape, 2.0, 2.0) + 0.012 * _unit(rng, shape, 30.0, 30.0)
    v = np.linspace(-1, 1, HEIGHT_PX, dtype=np.float32)[:, None]
    u = np.linspace(-1, 1, WIDTH_PX, dtype=np.float32)[None, :]
    light = 1.03 - 0.07 * ((u - 0.12) ** 2 + 0.8 * (v + 0.08) ** 2)
    return StackBank(
        table=_bytes(TABLE_DN * (1 + 0.045 * brushed)),
        film=_bytes(FILM_DN * (1 + film)),
        cathode=_bytes(CATHODE_DN * (1 + cathode)),
        frame=_bytes(FRAME_DN * (1 + frame)),
        light=_bytes(_LIGHT_UNIT * light),
        noise=_bytes(128 + 16 * rng.standard_normal(shape, dtype=np.float32)),
    )


def render_corners(
    placed: PlacedSheet,
    below: Sequence[PlacedSheet],
    bank: StackBank,
    *,
    shifts_um: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
    seed: int = 0,
    noise_dn: float = NOISE_DN,
    out: Bytes | None = None,
) -> Bytes:
    """What the cameras see after a placement, shape (4, 2000, 2500), corners 1 to 4.

    Args:
        placed: the topmost sheet.
        below: sheets under it, lowest first; their rims show where the topmost leaves them uncovered.
        bank: how things look.
        shifts_um: how far each camera has moved along both x and y from where it should stand.
        seed: of the noise, together with stack and layer.
        noise_dn: sigma of the sensor.
        out: where to put them, to spare an allocation.
    """
    planes = np.empty((len(CORNERS), HEIGHT_PX, WIDTH_PX), np.uint8) if out is None else out
    rng = np.random.default_rng((seed, placed.layer, *placed.stack.encode()))
    weight = noise_dn / 16
    for corner, plane, shift_um in zip(CORNERS, planes, shifts_um, strict=True):
        plane[...] = _rolled(bank.table, corner * 37)
        for point in fiducials_um(corner):
            _paint_fiducial(plane, pixel_of(corner, point[0] - shift_um, point[1] - shift_um))
        for sheet in (*below[-_LAYERS_SEEN:], placed):
            _paint_sheet(plane, sheet, corner, shift_um, bank)
        cv2.multiply(plane, bank.light, dst=plane, scale=1 / _LIGHT_UNIT)
        noise = _rolled(bank.noise, int(rng.integers(_ROLL_PX * _ROLL_PX)))
        cv2.addWeighted(plane, 1.0, noise, weight, -128 * weight, dst=plane)
    return planes


def _paint_sheet(plane: Bytes, sheet: PlacedSheet, corner: int, shift_um: float, bank: StackBank) -> None:
    roll = int.from_bytes(hashlib.sha256(f"{sheet.stack}/{sheet.layer}/{corner}".encode()).digest()[:4], "big")
    if sheet.kind == "laminate":
        _paint(plane, sheet, (sheet.size_x_um, sheet.size_y_um), corner, shift_um, _rolled(bank.film, roll), "film")
    else:
        _paint(plane, sheet, (sheet.frame_x_um, sheet.frame_y_um), corner, shift_um, _rolled(bank.frame, roll), "frame")
        _paint(
            plane, sheet, (sheet.size_x_um, sheet.size_y_um), corner, shift_um, _rolled(bank.cathode, roll), "active"
        )


def _paint(
    plane: Bytes,
    sheet: PlacedSheet,
    size_um: tuple[float, float],
    corner: int,
    shift_um: float,
    texture: Bytes,
    part: str,
) -> None:
    """Paint a turned rectangle's corner: whole pixels inside, blended ones in two narrow windows along its edges."""
    sign_x, sign_y = outward(corner)
    cos, sin = math.cos(sheet.rotation_urad * 1e-6), math.sin(sheet.rotation_urad * 1e-6)
    first_x, first_y = machine_um(corner, 0, 0)
    away_x, away_y = first_x + shift_um - sheet.offset_x_um, first_y + shift_um - sheet.offset_y_um
    # Distance inside either edge [px] is affine in column u and row v.
    from_x = (size_um[0] / 2 - sign_x * (away_x * cos + away_y * sin)) / PIXEL_UM
    from_y = (size_um[1] / 2 - sign_y * (away_y * cos - away_x * sin)) / PIXEL_UM
    step_x, step_y = (-sign_x * cos, sign_x * sin), (sign_y * sin, sign_y * cos)
    columns = _split(from_x, step_x[0], step_x[1], HEIGHT_PX, WIDTH_PX)
    rows = _split(from_y, step_y[1], step_y[0], WIDTH_PX, HEIGHT_PX)
    if columns is None or rows is None:
        return
    inside_x, edge_x = columns
    inside_y, edge_y = rows
    plane[inside_y, inside_x] = texture[inside_y, inside_x]
    rims = _rims(sheet.stack, sheet.layer, corner, part)
    whole = slice(min(inside_y.start, edge_y.start), max(inside_y.stop, edge_y.stop))
    for window_y, window_x in ((whole, edge_x), (edge_y, inside_x)):
        v = np.arange(window_y.start, window_y.stop, dtype=np.float32)[:, None]
        u = np.arange(window_x.start, window_x.stop, dtype=np.float32)[None, :]
        in_x = np.float32(from_x) + np.float32(step_x[0]) * u + np.float32(step_x[1]) * v
        in_y = np.float32(from_y) + np.float32(step_y[0]) * u + np.float32(step_y[1]) * v
        in_x += rims[0].outward_px[window_y][:, None]
        in_y += rims[1].outward_px[window_x][None, :]
        cover = _spread(in_x) * _spread(in_y)
        under = plane[window_y, window_x].astype(np.float32)
        blended = under + cover * (texture[window_y, window_x] - under)
        blended += rims[0].glint_dn[window_y][:, None] * np.exp(-(in_x**2) / 2) * (in_y > 0)
        blended += rims[1].glint_dn[window_x][None, :] * np.exp(-(in_y**2) / 2) * (in_x > 0)
        plane[window_y, window_x] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)


def _split(start: float, step: float, tilt: float, along: int, length: int) -> tuple[slice, slice] | None:
    """Pixels surely inside an edge and pixels about it, on the axis that crosses it; None when none is in the picture.

    Args:
        start: distance inside the edge at the first pixel.
        step: of that distance per pixel across the edge, about 1 or -1.
        tilt: of that distance per pixel along the edge.
        along: pixels along the edge.
        length: pixels across the edge.
    """
    ends = [-(start + tilt * place) / step for place in (0, along)]
    low, high = math.floor(min(ends)) - _MARGIN_PX, math.ceil(max(ends)) + _MARGIN_PX + 1
    low, high = min(max(low, 0), length), min(max(high, 0), length)
    if step > 0:
        return None if low >= length else (slice(high, length), slice(low, high))
    return None if high <= 0 else (slice(0, low), slice(low, high))


@lru_cache(maxsize=64)
def _rims(stack: str, layer: int, corner: int, part: str) -> tuple[_Rim, _Rim]:
    """The x edge by row and the y edge by column: roughness of mean 0, chips and burr; the same in every picture."""
    key = hashlib.sha256(f"{stack}/{layer}/{corner}/{part}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(key[:8], "big"))
    rough_px = {"film": 0.22, "active": 0.16, "frame": 0.10}[part]
    return _rim(rng, HEIGHT_PX, rough_px, part), _rim(rng, WIDTH_PX, rough_px, part)


def _rim(rng: np.random.Generator, length: int, rough_px: float, part: str) -> _Rim:
    place = np.arange(length, dtype=np.float32)
    knots = rng.standard_normal(length // 2 + 2)
    rough = (rough_px * 1.2 * np.interp(place, np.arange(knots.size) * 2.0, knots)).astype(np.float32)
    rough -= rough.mean()
    glint = np.zeros(length, np.float32)
    if part == "film":
        for _ in range(rng.poisson(1.5)):
            rough -= rng.uniform(1, 4) * np.exp(-(((place - rng.uniform(0, length)) / rng.uniform(1.5, 5)) ** 2))
        for _ in range(rng.poisson(8)):
            glint += rng.uniform(15, 60) * np.exp(-(((place - rng.uniform(0, length)) / rng.uniform(1, 5)) ** 2))
    return _Rim(outward_px=rough, glint_dn=glint)


def _paint_fiducial(plane: Bytes, centre_px: tuple[float, float]) -> None:
    """Lay a white disc on a black square plate on the table."""
    u, v = math.floor(centre_px[0]), math.floor(centre_px[1])
    patch = _fiducial(round(centre_px[0] - u, 4), round(centre_px[1] - v, 4))
    reach = len(patch) // 2
    top, left = max(0, v - reach), max(0, u - reach)
    bottom, right = min(HEIGHT_PX, v + reach + 1), min(WIDTH_PX, u + reach + 1)
    plane[top:bottom, left:right] = patch[top - v + reach : bottom - v + reach, left - u + reach : right - u + reach]


@lru_cache(maxsize=64)
def _fiducial(part_u_px: float, part_v_px: float) -> Bytes:
    """Disc and plate whose centre lies a fraction of a pixel beyond that of the middle pixel."""
    half = FIDUCIAL_PLATE_UM / 2 / PIXEL_UM
    reach = math.ceil(half) + 4
    place = np.arange(-reach, reach + 1, dtype=np.float32)
    v, u = place[:, None] - np.float32(part_v_px), place[None, :] - np.float32(part_u_px)
    plate = _spread(np.float32(half) - np.abs(v)) * _spread(np.float32(half) - np.abs(u))
    disc = _spread(np.float32(FIDUCIAL_DIAMETER_UM / 2 / PIXEL_UM) - np.hypot(u, v))
    shown = TABLE_DN + plate * (PLATE_DN - TABLE_DN)
    return _bytes(shown + disc * (DISC_DN - shown))


def _spread(inside_px: Floats) -> Floats:
    """Share of light from inside an edge at a distance inside it, by the erf of the edge spread."""
    index = np.clip(inside_px * np.float32(_STEPS / BLUR_PX) + np.float32(5 * _STEPS + 0.5), 0, 10 * _STEPS)
    share: Floats = _ERF32[index.astype(np.int32)]
    return share


def _rolled(texture: Bytes, roll: int) -> Bytes:
    """A picture-sized piece of a texture."""
    top, left = roll % _ROLL_PX, roll // _ROLL_PX % _ROLL_PX
    return texture[top : top + HEIGHT_PX, left : left + WIDTH_PX]


def _unit(rng: np.random.Generator, shape: tuple[int, int], sigma_x: float, sigma_y: float) -> Floats:
    """A random field of variance 1 with this correlation: a quarter of it is made, and mirrored without a seam."""
    quarter = (shape[0] // 2, shape[1] // 2)
    shrink = max(1, int(min(sigma_x, sigma_y) / 1.5))
    noise = rng.standard_normal((quarter[0] // shrink + 1, quarter[1] // shrink + 1), dtype=np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma_x / shrink, sigmaY=sigma_y / shrink)
    if shrink > 1:
        field = cv2.resize(field, (quarter[1], quarter[0]), interpolation=cv2.INTER_CUBIC)
    part = np.asarray(field[: quarter[0], : quarter[1]] / field.std(), np.float32)
    half = np.concatenate((part, part[:, ::-1]), axis=1)
    return np.concatenate((half, half[::-1]))


def _bytes(field: Floats) -> Bytes:
    return np.clip(np.rint(field), 0, 255).astype(np.uint8)

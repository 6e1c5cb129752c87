"""The form of each class of film defect, drawn anew for every target.

Core contrast, aspect and size come from the class's row (table 2.2); outlines, courses, banks and shades are drawn at
random, so that a classifier learns the class and not one picture of it. These forms are this training set's own and
share nothing with those of the simulated line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from line.defect_rows import DefectClass

Floats = NDArray[np.floating[Any]]

_SIGMOID_LIMIT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A defect to be drawn on a film."""

    kind: str
    """Class code of the line model."""
    size_um: float
    """By the class's own measure."""
    line_px: float
    """Centre along the web, in lines since the roll began."""
    column_px: float
    """Centre across the web."""
    extent_um: float
    """Length along the web of a class that is measured by its width; 0 otherwise."""
    angle_rad: float
    """Of the long axis against the web direction."""
    strength: float
    """Factor on the row's core contrasts."""
    seed: int
    """Of its form."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Sample positions around a target's centre, in µm."""

    y: Floats
    x: Floats
    step: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.y.size, self.x.size

    def turned(self, angle_rad: float) -> tuple[Floats, Floats]:
        """Along and across an axis."""
        y, x = self.y[:, None], self.x[None, :]
        return y * np.float32(cos(angle_rad)) + x * np.float32(sin(angle_rad)), x * np.float32(
            cos(angle_rad)
        ) - y * np.float32(sin(angle_rad))

    def line(self, points: Floats, width_um: float) -> Floats:
        """Coverage of a thread through points (n, 2) of y and x; thinner than a sample, it is fainter."""
        canvas = np.zeros(self.shape, np.uint8)
        places = np.stack(
            ((points[:, 1] - self.x[0]) / self.step * 16, (points[:, 0] - self.y[0]) / self.step * 16), axis=1
        )
        thickness = max(1, round(width_um / self.step))
        cv2.polylines(canvas, [np.rint(places).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, shift=4)
        share = min(1.0, width_um / (thickness * self.step)) / 255
        return np.asarray(canvas * np.float32(share), np.float32)


Form = Callable[[Target, DefectClass, Grid, np.random.Generator], tuple[Floats, Floats, Floats]]


def _cores(row: DefectClass) -> tuple[float, float, float]:
    return row.contrast_bf or 0.0, row.contrast_df or 0.0, row.contrast_tx or 0.0


def _ramp(distance: Floats, width: float) -> Floats:
    """1 where `distance` is well below 0, 0 well above it, a smooth step of this width between."""
    scaled = np.clip(distance * np.float32(4 / width), -_SIGMOID_LIMIT, _SIGMOID_LIMIT)
    return np.asarray(1 / (1 + np.exp(scaled)), np.float32)


def _outlined(
    target: Target, grid: Grid, rng: np.random.Generator, aspect: float, roughness: float
) -> tuple[Floats, float]:
    """Distance from the centre in units where the target's outline is a circle, and its radius in µm."""
    along, across = grid.turned(target.angle_rad)
    along, across = along / np.float32(aspect**0.5), across * np.float32(aspect**0.5)
    angle = np.arctan2(across, along)
    outline = np.ones_like(angle)
    for order in range(2, 6):
        amplitude = np.float32(roughness * rng.normal() / order)
        outline += amplitude * np.cos(order * angle + np.float32(rng.uniform(0, 2 * pi)))
    return np.hypot(along, across) / np.clip(outline, 0.5, 1.6), target.size_um / 2


def _pinhole(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    away, radius = _outlined(target, grid, rng, rng.uniform(1.0, 1.4), 0.15)
    hole = _ramp(away - radius, max(0.25 * radius, 4))
    rim = np.exp(-(((away - 1.15 * radius) / (0.35 * radius + 4)) ** 2))
    return bf * hole, df * (rim + 0.3 * hole), tx * hole


def _metal(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    along, across = grid.turned(target.angle_rad)
    aspect = rng.uniform(1.0, 2.2)
    radius = target.size_um / 2
    # A chip is what lies inside a handful of straight edges.
    edges = rng.uniform(0.75, 1.15, int(rng.integers(4, 8)))
    turns = np.sort(rng.uniform(0, 2 * pi, edges.size)) + np.linspace(0, 2 * pi, edges.size)
    inside = np.full(grid.shape, -np.inf, np.float32)
    for edge, turn in zip(edges.tolist(), turns.tolist(), strict=True):
        plane = along / np.float32(aspect**0.5) * np.float32(cos(turn)) + across * np.float32(aspect**0.5 * sin(turn))
        np.maximum(inside, plane - np.float32(edge * radius), out=inside)
    np.maximum(inside, np.hypot(along / aspect**0.5, across * aspect**0.5) - 1.2 * radius, out=inside)
    chip = _ramp(inside, max(0.1 * radius, 4))
    facet = _ramp(along * np.float32(cos(1.0)) + across * np.float32(sin(1.0)), 0.3 * radius)
    glint = rng.uniform(0.5, 1.2)
    match int(rng.integers(3)):
        case 0:
            bright = bf * chip
        case 1:
            bright = -rng.uniform(0.5, 0.95) * chip
            # A chip that is black in bright field may be dull as well as turned away.
            glint *= rng.uniform(0.5, 1.0)
        case _:
            bright = chip * (bf * facet - 0.7 * (1 - facet))
    away = np.hypot(along, across)
    glare = 0.12 * np.exp(-away / np.float32(radius + 15))
    return bright, df * glint * (chip + glare), tx * chip


def _agglomerate(
    target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    radius = target.size_um / 2
    height = np.zeros(grid.shape, np.float32)
    for index in range(int(rng.integers(1, 5))):
        off_y, off_x = (rng.normal(0, 0.3 * radius, 2) if index else np.zeros(2)).tolist()
        part = radius * (rng.uniform(0.45, 0.8) if index else 0.85)
        square = ((grid.y[:, None] - off_y) ** 2 + (grid.x[None, :] - off_x) ** 2) / np.float32(part**2)
        np.maximum(height, np.exp(-(square ** np.float32(rng.uniform(1.0, 2.0)))), out=height)
    length, share = radius * rng.uniform(1.0, 4.0), rng.uniform(0.0, 0.4)
    behind = np.where(grid.y > 0, np.exp(-grid.y / np.float32(length)), 0).astype(np.float32)[:, None]
    tail = share * behind * np.exp(-((grid.x[None, :] / np.float32(0.6 * radius)) ** 2)) * (1 - height)
    slope = np.asarray(np.gradient(height, axis=0), np.float32) * np.float32(radius / grid.step)
    steep = rng.uniform(0.1, 1.1)
    lit = steep * np.clip(slope * rng.choice((-1.0, 1.0)), 0, None) + rng.uniform(0.9 - 0.7 * steep, 0.9) * height
    sign = 1.0 if rng.random() < 0.65 else -rng.uniform(0.7, 1.3)
    return sign * bf * (height + tail), df * (lit + 0.2 * tail), tx * (height + tail)


def _fibre(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    t = np.linspace(-0.5, 0.5, 40)
    bow, twist, wave = rng.normal(0, 0.35), rng.normal(0, 0.5), rng.normal(0, 0.03)
    along = t * target.size_um
    across = target.size_um * (bow * (t**2 - 0.08) + twist * (t**3 - 0.15 * t) + wave * np.sin(7 * t))
    thread = grid.line(_turned_path(along, across, target.angle_rad), _thread_um(target, row, rng))
    return bf * thread * rng.uniform(0.7, 1.3), df * thread, tx * thread


def _crack(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    width = float(np.clip(rng.uniform(0.3, 1.0) * target.size_um / (row.aspect or 12), 4, 32))
    mud = rng.random() < 0.6
    paths = [_jagged(rng, target.size_um, target.angle_rad, 0.25 if mud else 0.08)]
    for _ in range(int(rng.integers(1, 5)) if mud else int(rng.integers(0, 2))):
        root = paths[0][int(rng.integers(len(paths[0]) // 5, len(paths[0])))]
        turn = target.angle_rad + rng.choice((-1, 1)) * rng.uniform(0.6, 1.5)
        branch = _jagged(rng, target.size_um * rng.uniform(0.12, 0.35), turn, 0.3)
        paths.append(branch - branch[0] + root)
    core = np.max([grid.line(path, width * (1.0 if n == 0 else 0.7)) for n, path in enumerate(paths)], axis=0)
    wide = np.max([grid.line(path, width + 14) for path in paths], axis=0)
    return bf * core, df * np.maximum(wide - 0.4 * core, 0), tx * core


def _streak(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    half = target.size_um / 2
    drift = _slow(grid.y, rng, 6e3) * 0.1 * half
    across = (grid.x[None, :] - drift[:, None]) / np.float32(half)
    depth = (1 + 0.12 * _slow(grid.y, rng, 9e3))[:, None] * _ends(grid.y, target.extent_um, 3e3)[:, None]
    groove = np.exp(-(np.abs(across) ** np.float32(rng.uniform(2.0, 6.0))))
    banks = rng.uniform(0, 0.5) * np.exp(-(((np.abs(across) - 1.7) / 0.45) ** 2))
    sign = -0.7 if rng.random() < 0.08 else 1.0
    return sign * bf * depth * groove, df * depth * (0.6 * groove + 1.5 * banks), sign * tx * depth * (groove - banks)


def _scratch(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    path = np.float32(np.tan(np.clip(target.angle_rad, -0.2, 0.2))) * grid.y + 5 * _slow(grid.y, rng, 700)
    away = np.abs(grid.x[None, :] - path[:, None])
    torn = np.clip(1.0 + rng.uniform(0.1, 0.8) * _slow(grid.y, rng, 400), 0.1, 1.0)
    torn = (torn * _ends(grid.y, target.extent_um, 400))[:, None]
    groove = _ramp(away - target.size_um / 2, max(0.3 * target.size_um, 6)) * torn
    deep = float(np.clip(rng.lognormal(-0.5, 0.7), 0.05, 1.4))
    return bf * groove * rng.uniform(0.6, 1.4), df * groove * rng.uniform(0.6, 1.2), tx * deep * groove


def _bubble(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    away, radius = _outlined(target, grid, rng, rng.uniform(1.0, 1.25), 0.06)
    rim_um = max(rng.uniform(0.12, 0.28) * radius, 8)
    rim = np.exp(-(((away - radius + rim_um / 2) / np.float32(rim_um)) ** 2))
    crater = _ramp(away - 0.75 * radius, max(0.3 * radius, 5))
    shade = 1 + rng.uniform(0, 0.5) * np.clip(grid.y[:, None] / np.float32(radius), -1, 1)
    return (
        bf * crater - rng.uniform(0.4, 1.2) * bf * rim,
        df * rim * shade,
        tx * crater * rng.uniform(0.6, 1.2) - 0.1 * rim,
    )


def _blister(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    away, radius = _outlined(target, grid, rng, rng.uniform(1.0, 1.8), 0.12)
    dome = np.clip(1 - (away / radius) ** 2, 0, 1) ** np.float32(rng.uniform(0.4, 1.0))
    at_y, at_x = (rng.uniform(-0.45, 0.45, 2) * radius).tolist()
    glint = np.exp(
        -((grid.y[:, None] - at_y) ** 2 + (grid.x[None, :] - at_x) ** 2) / (rng.uniform(0.2, 0.45) * radius) ** 2
    )
    foot = np.exp(-(((away - radius) / (0.12 * radius + 10)) ** 2))
    return bf * (0.8 * dome + 0.8 * glint - 0.3 * foot), df * (0.5 * dome + glint + 0.2 * foot), tx * dome


def _cloud(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    away, radius = _outlined(target, grid, rng, rng.uniform(1.0, 1.8), 0.25)
    cells = max(3, int(rng.integers(5, 9)))
    field = cv2.resize(
        rng.standard_normal((cells, cells)).astype(np.float32), grid.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    cloud = _ramp(away - radius * (0.85 + 0.18 * np.asarray(field, np.float32)), rng.uniform(0.5, 1.0) * radius)
    tide = rng.uniform(0, 0.4) * np.exp(-(((cloud - 0.4) / 0.2) ** 2))
    return bf * (cloud + tide), df * cloud, tx * (cloud + 0.6 * tide)


def _wrinkle(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    along, across = grid.turned(target.angle_rad)
    half, width = target.size_um / 2, float(np.clip(target.size_um / rng.uniform(20, 45), 35, 350))
    light = np.zeros(grid.shape, np.float32)
    ridge = light.copy()
    bow, lean = rng.uniform(-0.1, 0.1), rng.choice((-1.0, 1.0))
    for fold in range(int(rng.integers(1, 4))):
        share = rng.uniform(0.5, 1.0) if fold else 1.0
        middle = bow * (along**2 / half - half / 3) + fold * width * rng.uniform(3.5, 7.0)
        place = (across - middle) / np.float32(width)
        fading = np.clip(1.1 - (np.abs(along) / np.float32(half * share)) ** 3, 0, 1)
        crest = np.exp(-(place**2)) * fading * np.float32(share)
        light += np.float32(2.3 * lean) * place * crest
        ridge += crest
    return bf * light, df * (0.6 * np.abs(light) + 0.5 * ridge), tx * (ridge + 0.3 * light)


def _thickness(target: Target, row: DefectClass, grid: Grid, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    bf, df, tx = _cores(row)
    along, across = grid.turned(target.angle_rad)
    half = target.size_um / 2
    away = (np.abs(along / half) ** 2.5 + np.abs(across / half * np.float32(row.aspect or 3)) ** 2.5) ** (1 / 2.5)
    # The cosine of what float32 takes for pi / 2 is below 0.
    hill = np.maximum(np.cos(np.pi / 2 * np.clip(away, 0, 1)), 0) ** np.float32(rng.uniform(0.8, 1.8))
    sign = 1.0 if rng.random() < 0.55 else -1.0
    return bf * hill, df * hill, sign * tx * hill


FORMS: dict[str, Form] = {
    "PIN": _pinhole, "CRK": _crack, "AGG": _agglomerate, "MET": _metal, "FIB": _fibre, "STR": _streak, "SCR": _scratch,
    "BUB": _bubble, "BLI": _blister, "DIS": _cloud, "WRK": _wrinkle, "THK": _thickness,
}  # fmt: skip


def _thread_um(target: Target, row: DefectClass, rng: np.random.Generator) -> float:
    return float(np.clip(target.size_um / (row.aspect or 4), 9, rng.uniform(14, 34)))


def _turned_path(along: NDArray[np.float64], across: NDArray[np.float64], angle_rad: float) -> Floats:
    """Points (n, 2) of y and x from coordinates along and across an axis."""
    y = along * cos(angle_rad) - across * sin(angle_rad)
    x = along * sin(angle_rad) + across * cos(angle_rad)
    return np.stack((y, x), axis=1).astype(np.float32)


def _jagged(rng: np.random.Generator, length_um: float, angle_rad: float, roughness: float) -> Floats:
    """A path of this length from end to end whose course is a sum of ever finer kinks."""
    count = int(np.clip(length_um / 35, 7, 150))
    along = np.linspace(-0.5, 0.5, count) * length_um
    across = np.zeros(count)
    for kinks in (3, 7, 17, 43):
        at = np.linspace(-0.5, 0.5, kinks + 1) * length_um
        across += np.interp(along, at, rng.normal(0, roughness * length_um / (2 * kinks), kinks + 1))
    return _turned_path(along, across - across.mean(), angle_rad)


def _slow(y: Floats, rng: np.random.Generator, period_um: float) -> Floats:
    """A smooth random course along the web with about unit variance."""
    total = np.zeros_like(y)
    for factor in (1.0, 1.7, 3.1):
        total += np.float32(0.8) * np.sin(y * np.float32(factor * 2 * pi / period_um) + np.float32(rng.uniform(0, 6.3)))
    return total


def _ends(y: Floats, extent_um: float, fading_um: float) -> Floats:
    """1 within an extent along the web, falling to 0 at its ends."""
    fading = min(fading_um, extent_um / 4 + 1)
    return np.asarray(np.clip((np.float32(extent_um / 2) - np.abs(y)) / np.float32(fading), 0, 1), np.float32)

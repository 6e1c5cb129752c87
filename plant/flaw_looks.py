"""What each class of film defect looks like in bright field, dark field and transmission (table 2.2 of the line).

A look is a function of the place on the film alone, with its randomness drawn from the flaw's own name: whichever
window of it is asked for, and however often, the same film shows. Contrasts are relative to sound film around it; the
optics make small flaws fainter than the table's core contrast, as they do on a real camera.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from plant.truth_types import Flaw

Floats = NDArray[np.floating[Any]]
Triple = tuple[float, float, float]
"""Bright field, dark field, transmission."""

CORE_CONTRAST: dict[str, Triple] = {
    "PIN": (-0.10, 0.2, 2.5), "CRK": (-0.35, 0.5, 0.6), "AGG": (0.12, 1.5, -0.35), "MET": (0.9, 6.0, -0.9),
    "FIB": (-0.30, 2.0, -0.5), "STR": (-0.08, 0.3, 0.25), "SCR": (-0.20, 3.0, 0.4), "BUB": (-0.15, 2.5, 0.8),
    "BLI": (0.10, 1.2, -0.05), "DIS": (-0.06, 0.1, -0.08), "WRK": (-0.25, 2.0, 0.1), "THK": (0.0, 0.0, 0.1),
}  # fmt: skip
_NAMELESS: Triple = (-0.14, 1.3, 0.18)
SMOOTH = frozenset({"BLI", "DIS", "THK", "WRK"})
"""Classes without detail finer than a sixtieth of their size."""
_ASPECT = {"PIN": 1.2, "AGG": 1.3, "MET": 1.6, "BUB": 1.1, "BLI": 1.5, "DIS": 1.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Where a look is asked for, in places relative to the flaw's centre [µm]."""

    y_um: Floats
    """Along the web, shape (rows, 1)."""
    x_um: Floats
    """Across the web, shape (1, columns)."""
    step_um: float
    """From one place to the next, both ways."""

    def turned(self, angle_rad: float) -> tuple[Floats, Floats]:
        """Places along and across an axis at an angle to the web."""
        cos, sin = np.float32(np.cos(angle_rad)), np.float32(np.sin(angle_rad))
        return self.y_um * cos + self.x_um * sin, self.x_um * cos - self.y_um * sin

    def thread(self, paths_um: list[Floats], width_um: float) -> Floats:
        """Share of each place that lines cover.

        Args:
            paths_um: each (points, 2), y and x.
            width_um: of the lines; thinner than a step is drawn as one step and fainter.
        """
        thickness = max(1, round(width_um / self.step_um))
        cover = np.zeros((self.y_um.size, self.x_um.size), np.uint8)
        origin = np.array([self.x_um[0, 0], self.y_um[0, 0]], np.float32)
        points = [np.rint((path[:, ::-1] - origin) / self.step_um * 16).astype(np.int32) for path in paths_um]
        cv2.polylines(cover, points, isClosed=False, color=255, thickness=thickness, lineType=cv2.LINE_AA, shift=4)
        share: Floats = cover.astype(np.float32) * np.float32(min(1.0, width_um / self.step_um) / 255)
        return share


Channels = tuple[Floats, Floats, Floats]
Look = Callable[[Flaw, Canvas, Triple, np.random.Generator], Channels]


def contrast_of(flaw: Flaw, canvas: Canvas, core: Triple | None = None) -> Channels:
    """Relative grey change by channel at every place of a canvas, before blur.

    Args:
        flaw: what lies there.
        canvas: where.
        core: contrast at the core by channel, for a class that no table names.
    """
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(flaw.flaw.encode()).digest()[:8], "big"))
    strength = np.float32(np.exp(np.clip(rng.normal(0, 0.12), -0.25, 0.25)))
    look = _LOOKS.get(flaw.kind, _ripples)
    bf, df, tx = look(flaw, canvas, CORE_CONTRAST.get(flaw.kind, core or _NAMELESS), rng)
    return bf * strength, df * strength, tx * strength


def reach_um(flaw: Flaw) -> tuple[float, float]:
    """How far a flaw's look extends from its centre along and across the web."""
    size = flaw.size_um
    along, across = abs(math.cos(flaw.angle_rad)), abs(math.sin(flaw.angle_rad))
    match flaw.kind:
        case "STR":
            return flaw.length_um / 2, 2.0 * size + 100
        case "SCR":
            return flaw.length_um / 2 + 50, size + 120
        case "THK":
            return flaw.length_um / 2, flaw.width_um / 2
        case "AGG":
            return 5.0 * size, 1.5 * size
        case "CRK" | "FIB":
            return size * (0.5 * along + 0.3), size * (0.5 * across + 0.3)
        case "WRK":
            return size * (0.5 * along + 0.1) + 500, size * (0.5 * across + 0.1) + 500
        case "PIN" | "MET" | "BUB" | "BLI" | "DIS":
            return 1.3 * size, 1.3 * size
        case _:
            return flaw.length_um * 0.7 + 100, flaw.width_um * 0.7 + 100


def _pinhole(flaw: Flaw, canvas: Canvas, core: Triple, _: np.random.Generator) -> Channels:
    bf, df, tx = core
    distance, radius = _ellipse(flaw, canvas)
    hole = _inside(distance, radius, canvas)
    rim = _inside(distance, radius + 22, canvas) - hole
    return bf * hole, df * rim, tx * hole


def _crack(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    width_um = float(np.clip(flaw.size_um / 60, 4, 40)) * rng.uniform(0.8, 1.2)
    trunk = _walk(rng, flaw.size_um, flaw.angle_rad, wander=0.28)
    paths = [trunk]
    for _ in range(int(rng.integers(1, 4)) if flaw.size_um > 250 else 0):
        start = trunk[int(rng.integers(len(trunk) // 5, 4 * len(trunk) // 5))]
        turn = flaw.angle_rad + rng.choice((-1, 1)) * rng.uniform(0.6, 1.3)
        branch = _walk(rng, flaw.size_um * rng.uniform(0.15, 0.35), turn, wander=0.35)
        paths.append(branch - branch[0] + start)
    line = canvas.thread(paths, width_um)
    edges = np.clip(canvas.thread(paths, width_um + 24) - 0.6 * line, 0, 1)
    return bf * line, df * edges, tx * line


def _agglomerate(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    sign = -1.0 if rng.random() < 0.3 else 1.0
    length = rng.uniform(3.0, 4.5) * flaw.size_um
    distance, radius = _ellipse(flaw, canvas)
    bump = np.exp(-((distance / (0.85 * radius)) ** 4))
    # The particle drags a thin trail under the lip: on film coated before it, which is downstream.
    behind = -canvas.y_um / length
    spread = 0.35 * flaw.size_um * (1 - 0.5 * np.clip(behind, 0, 1))
    tail = np.where(behind > 0, np.maximum(1 - behind, 0) ** 1.5 * (1 - np.exp(-((behind * 5) ** 2))), 0) * np.exp(
        -((canvas.x_um / spread) ** 2)
    )
    # Low light from upstream: the near side of the bump shines, the far side lies in its shade.
    lit = bump * np.clip(0.55 + canvas.y_um / radius, -0.25, 1.4)
    return sign * bf * (bump - 0.5 * tail), df * (lit + 0.12 * tail), tx * (bump - 0.35 * tail)


def _metal(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    glints = rng.random() < 0.75
    facets = rng.uniform(0.78, 1.12, 9).astype(np.float32)
    along, across = canvas.turned(flaw.angle_rad)
    aspect = _ASPECT["MET"] ** 0.5
    turn = np.arctan2(across * aspect, along / aspect) * np.float32(9 / (2 * np.pi)) % 9
    low = np.floor(turn).astype(np.int32) % 9
    radius = flaw.size_um / 2 * (facets[low] + (facets[(low + 1) % 9] - facets[low]) * (turn - np.floor(turn)))
    body = _inside(np.hypot(along / aspect, across * aspect), radius, canvas)
    if not glints:
        return -0.8 * body, 0.35 * df * body, tx * body
    shine = body * (0.75 + 0.5 * np.clip((canvas.y_um - canvas.x_um) / flaw.size_um, -0.6, 0.6))
    return bf * shine, df * shine, tx * body


def _fibre(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    bend, sag = rng.normal(0, 0.16, 2), rng.choice((-1, 1)) * rng.uniform(0.05, 0.22)
    t = np.linspace(-0.5, 0.5, 33)
    along = t * flaw.size_um
    across = flaw.size_um * (
        sag * (1 - 4 * t**2) + bend[0] * t**3 * 4 + 0.03 * np.sin(9 * t + bend[1] * 20) - 0.6 * sag
    )
    cos, sin = np.cos(flaw.angle_rad), np.sin(flaw.angle_rad)
    path = np.stack((along * cos - across * sin, along * sin + across * cos), axis=1).astype(np.float32)
    width_um = float(np.clip(flaw.size_um / 8, 10, 32))
    thread = canvas.thread([path], width_um)
    return bf * thread, df * thread, tx * thread


def _streak(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    sigma = np.float32(flaw.size_um / 2.6)
    phases, ridge = rng.uniform(0, 2 * np.pi, 3).tolist(), rng.uniform(0.25, 0.5)
    depth = np.float32(np.clip(flaw.depth_fraction / 0.10, 0.5, 1.6)) if flaw.depth_fraction > 0 else np.float32(1)
    # Slow change along the web, and ends that fade within some millimetres.
    y = canvas.y_um
    sway = np.sin(y / 3e3 + phases[0]) + np.sin(y / 11e3 + phases[1]) + np.sin(y / 41e3 + phases[2])
    ends = np.clip((flaw.length_um / 2 - np.abs(y)) / min(3e3, flaw.length_um / 4 + 1), 0, 1)
    along = ends * (1 + 0.12 * sway)
    x = canvas.x_um / sigma
    groove = np.exp(-((x / 1.1) ** 4))
    banks = np.exp(-((np.abs(x) - 1.75) ** 2) / 0.18)
    return (
        bf * depth * along * groove,
        df * along * (0.5 * groove + banks),
        tx * depth * along * (groove - ridge * banks),
    )


def _scratch(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    phases = rng.uniform(0, 2 * np.pi, 4).tolist()
    slope = float(np.clip(flaw.angle_rad, -0.02, 0.02))
    y = canvas.y_um
    wobble = 6 * np.sin(y / 900 + phases[0]) + 3 * np.sin(y / 310 + phases[1])
    breaks = np.clip(1.15 + np.sin(y / 700 + phases[2]) + 0.7 * np.sin(y / 190 + phases[3]), 0.12, 1)
    ends = np.clip((flaw.length_um / 2 - np.abs(y)) / min(600.0, flaw.length_um / 4 + 1), 0, 1)
    offset = np.abs(canvas.x_um - wobble - slope * y)
    line = _inside(offset, np.float32(flaw.size_um / 2) * (0.7 + 0.3 * breaks), canvas) * ends * breaks
    burr = np.exp(-(((offset - flaw.size_um / 2) / 14) ** 2)) * ends * breaks
    depth = np.float32(np.clip(flaw.depth_fraction / 0.30, 0.35, 1.5)) if flaw.depth_fraction > 0 else np.float32(1)
    return bf * (line - 0.2 * burr), df * np.maximum(line, 0.6 * burr), tx * depth * line


def _bubble(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    lean = rng.uniform(0.15, 0.4)
    distance, radius = _ellipse(flaw, canvas)
    heart = _inside(distance, 0.72 * radius, canvas)
    rim_width = max(0.16 * radius, 9.0)
    rim = np.exp(-(((distance - 0.88 * radius) / rim_width) ** 2))
    lit = rim * (1 + lean * np.clip(canvas.y_um / radius, -1.2, 1.2))
    return (
        bf * heart - 0.75 * bf * lit * (1 - heart),
        df * lit,
        tx * heart * (0.8 + 0.2 * (1 - distance / radius)) - 0.15 * rim,
    )


def _blister(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    where = rng.uniform(0.2, 0.4)
    distance, radius = _ellipse(flaw, canvas)
    dome = np.clip(1 - (distance / radius) ** 2, 0, 1)
    border = np.exp(-(((distance - radius) / (0.1 * radius + 15)) ** 2))
    gloss = np.exp(-(((canvas.y_um - where * radius) ** 2 + (canvas.x_um + 0.2 * radius) ** 2) / (0.3 * radius) ** 2))
    soft = dome**0.6
    return bf * (0.7 * soft + 0.4 * gloss - 0.35 * border), df * (0.3 * soft + 0.7 * gloss + 0.35 * border), tx * soft


def _cloud(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    lattice = rng.standard_normal((16, 16)).astype(np.float32)
    distance, radius = _ellipse(flaw, canvas)
    torn = 0.22 * _value_noise(canvas, lattice, flaw.size_um / 5) + 0.1 * _value_noise(
        canvas, lattice.T, flaw.size_um / 14
    )
    cloud = np.clip(1.25 * (1.05 - distance / radius + torn), 0, 1)
    cloud = cloud * cloud * (3 - 2 * cloud)
    tide = np.exp(-(((cloud - 0.35) / 0.18) ** 2))
    return bf * (cloud + 0.25 * tide), df * cloud, tx * (cloud + 0.15 * tide)


def _wrinkle(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    phase, bow, folds = rng.uniform(0, 2 * np.pi), rng.uniform(-0.06, 0.06), int(rng.integers(1, 3))
    along, across = canvas.turned(flaw.angle_rad)
    half = flaw.size_um / 2
    width = float(np.clip(flaw.size_um / 30, 45, 400))
    total: Floats = np.zeros(np.broadcast_shapes(along.shape, across.shape), np.float32)
    height = total.copy()
    for fold in range(folds):
        place = across - bow * half * ((along / half) ** 2 - 0.3) - fold * 5.5 * width
        place = (place - 0.25 * width * np.sin(along / (0.3 * half) + phase + fold)) / width
        taper = np.clip(1 - (np.abs(along + 0.2 * fold * half) / half) ** 2, 0, 1) * (1 - 0.35 * fold)
        crest = np.exp(-(place**2)) * taper
        total += crest * place * np.float32(2.33)
        height += crest
    return bf * total, df * np.abs(total) * (0.7 + 0.3 * np.sign(total)), tx * (height - 0.4 * total)


def _thickness(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    bf, df, tx = core
    sign = 1.0 if rng.random() < 0.6 else -1.0
    away = np.hypot(canvas.y_um / (flaw.length_um / 2 + 1), canvas.x_um / (flaw.width_um / 2 + 1))
    region = (0.5 + 0.5 * np.cos(np.pi * np.clip(away, 0, 1))) ** 0.7
    return bf * region, df * region, sign * tx * region


def _ripples(flaw: Flaw, canvas: Canvas, core: Triple, rng: np.random.Generator) -> Channels:
    """A class that no table names: a train of lens-shaped ripples, as when the bead chatters behind an obstacle."""
    bf, df, tx = core
    count, slant, phase = int(rng.integers(3, 6)), rng.uniform(0.35, 0.7), rng.uniform(0, 1)
    length, width = flaw.length_um, flaw.width_um
    pitch = length / count
    ridge_y = canvas.y_um + slant * canvas.x_um
    wave = np.sin(2 * np.pi * (ridge_y / pitch + phase))
    widening = 0.55 + 0.45 * np.clip(0.5 + canvas.y_um / length, 0, 1)
    hull = np.exp(-((canvas.x_um / (0.42 * width * widening)) ** 2)) * np.exp(-((canvas.y_um / (0.5 * length)) ** 6))
    sharp = np.sign(wave) * np.abs(wave) ** 0.7
    return bf * hull * sharp, df * hull * np.clip(0.2 + sharp, 0, 1), tx * hull * (0.35 + 0.65 * sharp)


_LOOKS: dict[str, Look] = {
    "PIN": _pinhole, "CRK": _crack, "AGG": _agglomerate, "MET": _metal, "FIB": _fibre, "STR": _streak, "SCR": _scratch,
    "BUB": _bubble, "BLI": _blister, "DIS": _cloud, "WRK": _wrinkle, "THK": _thickness,
}  # fmt: skip


def _ellipse(flaw: Flaw, canvas: Canvas) -> tuple[Floats, float]:
    """Distance in units where the flaw is a circle, and its radius: the area is that of a circle of its size."""
    aspect = _ASPECT[flaw.kind] ** 0.5
    along, across = canvas.turned(flaw.angle_rad)
    return np.hypot(along / np.float32(aspect), across * np.float32(aspect)), flaw.size_um / 2


def _inside(distance: Floats, radius: Floats | float, canvas: Canvas) -> Floats:
    """1 inside, 0 outside, a ramp as wide as a step between."""
    return np.clip((radius - distance) / np.float32(canvas.step_um) + np.float32(0.5), 0, 1)


def _walk(rng: np.random.Generator, length_um: float, angle_rad: float, *, wander: float) -> Floats:
    """A jagged path of a given length between its ends, centred: (points, 2), y and x."""
    count = int(np.clip(length_um / 45, 6, 120))
    turns, drift = rng.normal(0, 1.3 * wander, count), 0.0
    for index, kick in enumerate(rng.normal(0, wander, count).tolist()):
        drift = 0.9 * drift + kick
        turns[index] += drift
    steps = np.stack((np.cos(turns), np.sin(turns)), axis=1)
    path = np.concatenate((np.zeros((1, 2)), np.cumsum(steps, axis=0)))
    ends = path[-1] - path[0]
    scale, heading = length_um / max(float(np.hypot(*ends)), 1e-6), angle_rad - np.arctan2(ends[1], ends[0])
    cos, sin = np.cos(heading), np.sin(heading)
    turned: Floats = (scale * path @ np.array([[cos, sin], [-sin, cos]])).astype(np.float32)
    centred: Floats = turned - (turned[0] + turned[-1]) / 2
    return centred


def _value_noise(canvas: Canvas, lattice: Floats, cell_um: float) -> Floats:
    """Smooth random field through a lattice of values, cell by cell."""
    rows, columns = canvas.y_um.size, canvas.x_um.size
    y = np.broadcast_to(canvas.y_um / np.float32(cell_um) + 8, (rows, columns)).astype(np.float32)
    x = np.broadcast_to(canvas.x_um / np.float32(cell_um) + 8, (rows, columns)).astype(np.float32)
    noise: Floats = np.asarray(cv2.remap(lattice, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP), np.float32)
    return noise

"""Random fields that make up the texture of rendered film, each a ring along the web.

A ring that came round at its old place would show the same film at one place across the web again and again: lines
that no film has. So each turn shows it shifted across the web, and the ends of a ring are joined with that shift: what
lay at a place does not come back to it within some 20 turns, while a line is looked for in the mean of eight.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.film_styles import FilmStyle

Floats = NDArray[np.floating[Any]]

RING_LINES = (520, 376)
"""Of the two rings whose sum is a film's texture."""
_CELL_PX = 8
"""Side of the coarsest cell that a field is drawn on; lines, columns and shift of a ring are multiples of it."""
_GOLDEN = (3 - 5**0.5) / 2
_BORDER_PX = (40, 120)


def ring_columns(width_px: int) -> int:
    """Columns of the rings for a view."""
    return -(-width_px // _CELL_PX) * _CELL_PX


def turn_px(columns: int) -> int:
    """Columns by which each turn of a ring is shifted: the golden section keeps all turns apart for longest."""
    return round(_GOLDEN * columns / _CELL_PX) * _CELL_PX


def unrolled(ring: Floats, first: int, lines: int, margin_px: int = 0, cell_px: int = 1) -> Floats:
    """Lines of a ring as the web shows them, from any line on, turn by turn.

    Args:
        ring: shape (lines of a turn, columns).
        first: line of the web, from the first of turn 0.
        lines: that are wanted.
        margin_px: columns to add on either side.
        cell_px: side of a cell of `ring`.
    """
    height, width = ring.shape
    shift = turn_px(width * cell_px) // cell_px
    turns, rows = np.divmod(np.arange(first, first + lines), height)
    columns = np.arange(-margin_px, width + margin_px)
    return np.asarray(ring[rows[:, None], (columns + shift * turns[:, None]) % width])


def _noise_field(
    rng: np.random.Generator,
    lines: int,
    columns: int,
    along: float,
    across: float,
    tilt_rad: float = 0.0,
    cell_px: int = 1,
) -> Floats:
    """Unit variance, correlated by a Gaussian of these sigmas, a ring."""
    below = int(4 * max(along, across if tilt_rad else 0.0)) + 2
    beside = int(4 * max(across, along if tilt_rad else 0.0)) + 2
    field = rng.standard_normal((lines, columns), dtype=np.float32)
    large = unrolled(field, -below, lines + 2 * below, beside, cell_px)
    if tilt_rad:
        smooth = cv2.filter2D(large, -1, _tilted_kernel(along, across, tilt_rad))
    else:
        smooth = cv2.GaussianBlur(large, (0, 0), sigmaX=max(across, 0.01), sigmaY=max(along, 0.01))
    inside = smooth[below:-below, beside:-beside]
    return np.asarray(inside / inside.std(), np.float32)


def _enlarged(field: Floats, cell_px: int) -> Floats:
    """A ring of cells as one of pixels."""
    lines, columns = (cell_px * (size + 2) for size in field.shape)
    around = unrolled(field, -1, len(field) + 2, 1, cell_px)
    large = cv2.resize(around, (columns, lines), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[cell_px:-cell_px, cell_px:-cell_px], np.float32)


def _tilted_kernel(along: float, across: float, tilt_rad: float) -> Floats:
    reach = np.arange(-int(3.5 * along) - 1, int(3.5 * along) + 2, dtype=np.float32)
    y, x = reach[:, None], reach[None, :]
    u, v = y * np.cos(tilt_rad) + x * np.sin(tilt_rad), x * np.cos(tilt_rad) - y * np.sin(tilt_rad)
    return np.asarray(np.exp(-(((u / along) ** 2 + (v / across) ** 2) / 2)), np.float32)


def grain(rng: np.random.Generator, style: FilmStyle, columns: int, scale: float) -> tuple[Floats, Floats]:
    """Relative change of grey by the powder of the film: two parts of unlike length, half of its variance in each."""
    family = style.family
    # The lens blurs the grain, too.
    along, across = (
        float(np.hypot(scale * rng.uniform(*sigma), 0.6 * style.blur_px))
        for sigma in (family.along_px, family.across_px)
    )
    share = np.float32(rng.uniform(*family.coarse_share))
    tilt = rng.uniform(*family.tilt_rad) * rng.choice((-1, 1))
    skew = np.float32(rng.uniform(-0.06, 0.06))
    parts = []
    for lines in RING_LINES:
        field = _noise_field(rng, lines, columns, along, across, tilt)
        # A coarse tilted grain takes a kernel of thousands of cells: half of its lines and columns show it as well.
        coarse = _noise_field(rng, lines // 2, columns // 2, 2 * along, 2 * across, tilt, cell_px=2)
        field += share * _enlarged(coarse, 2)
        # Grain of a powder has a longer tail than a Gaussian, to its own side.
        field += skew * (field**2 - 1)
        parts.append(np.asarray(field * (style.grain_fraction / 2**0.5 / field.std()), np.float32))
    return parts[0], parts[1]


def gloss(rng: np.random.Generator, style: FilmStyle, columns: int, scale: float) -> tuple[Floats, Floats] | None:
    """Patches of a tenth to half a millimetre that shine more or less, the bright ones rarer and stronger."""
    if not style.gloss_fraction:
        return None
    sigma = scale * rng.uniform(3, 12)
    parts = []
    for lines in RING_LINES:
        small = _noise_field(rng, lines // 2, columns // 2, sigma / 2, sigma / 2, cell_px=2)
        shine = np.exp(np.float32(0.5) * _enlarged(small, 2))
        parts.append(np.asarray((shine - shine.mean()) * (style.gloss_fraction / 2**0.5 / shine.std()), np.float32))
    return parts[0], parts[1]


def mottle(rng: np.random.Generator, style: FilmStyle, columns: int, scale: float) -> Floats:
    """Clouds of millimetres and bands across the web: in the second ring."""
    lines = RING_LINES[1]
    along, across = scale * rng.uniform(1, 6), scale * rng.uniform(1, 12)
    small = _noise_field(rng, lines // _CELL_PX, columns // _CELL_PX, along, across, cell_px=_CELL_PX)
    bands = _noise_field(rng, lines, 1, scale * rng.uniform(1, 20), 0.01)
    return np.asarray(style.mottle_fraction * _enlarged(small, _CELL_PX) + style.band_fraction * bands, np.float32)


def faint_lines(rng: np.random.Generator, columns: int, scale: float) -> Floats:
    """Faint lines along the web that go on through the whole film: relative change of each column."""
    lines = cv2.GaussianBlur(rng.standard_normal((1, columns), dtype=np.float32), (0, 0), scale * rng.uniform(1, 6))[0]
    return np.asarray(0.003 * rng.random() * lines / lines.std(), np.float32)


def column_gain(rng: np.random.Generator, style: FilmStyle, columns: int) -> Floats:
    """Column gain: light that falls off towards the edges, pixels that differ by 1 %."""
    place = np.linspace(-1, 1, columns) - rng.uniform(-0.2, 0.2)
    fall = 1 - style.gain_fraction * place**2 + 0.02 * np.sin(place * rng.uniform(2, 9))
    return np.asarray(fall / fall.mean() * (1 + 0.01 * rng.standard_normal(columns)), np.float32)


def border(rng: np.random.Generator, columns: int) -> Floats:
    """1 over bare liner, 0 over coat, with the wavy edge between and a bead inside it; shape (lines, columns)."""
    lines = np.arange(RING_LINES[0], dtype=np.float32)
    wave = np.sin(2 * np.pi * lines / RING_LINES[0] * int(rng.integers(1, 4))) * rng.uniform(0, 1.5)
    edge = rng.uniform(*_BORDER_PX) + wave + 0.5 * _noise_field(rng, RING_LINES[0], 1, 2, 0.01)[:, 0]
    inside = np.arange(columns, dtype=np.float32)[None, :] - edge[:, None]
    bead = 0.06 * np.exp(-(((inside - 110) / 75) ** 2)) * (inside > 0)
    return np.asarray(1 / (1 + np.exp(np.clip(inside * 2, -30, 30))) - bead, np.float32)

"""Random fields that make up the texture of rendered film, all joined along the web so that they can circulate."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.film_styles import FilmStyle

Floats = NDArray[np.floating[Any]]

RING_LINES = (509, 383)
"""Of the two textures that circulate along the web. Primes: their sum returns after 195,000 lines, 3.9 m at 20 µm."""
_BORDER_PX = (40, 120)
_CIRCULATING_SHARE = np.float32(1 - (RING_LINES[0] / (16 * 256)) ** 0.5)
"""Of column means that is taken off: new film averages out over 16 strips of 256 lines."""


def _noise_field(
    rng: np.random.Generator, lines: int, columns: int, along: float, across: float, tilt_rad: float = 0.0
) -> Floats:
    """Unit variance, correlated by a Gaussian of these sigmas, joined along the web."""
    margin = int(4 * max(along, across if tilt_rad else 0.0)) + 2
    field = rng.standard_normal((lines, columns), dtype=np.float32)
    tall = np.concatenate((field[-margin:], field, field[:margin]))
    if tilt_rad:
        smooth = cv2.filter2D(tall, -1, _tilted_kernel(along, across, tilt_rad))[margin:-margin]
    else:
        smooth = cv2.GaussianBlur(tall, (0, 0), sigmaX=max(across, 0.01), sigmaY=max(along, 0.01))[margin:-margin]
    return np.asarray(smooth / smooth.std(), np.float32)


def _without_lines(field: Floats) -> Floats:
    """The field with its column means made less.

    What circulates shows the same column means again and again, as lines along the web that its film would not have:
    over the longest stretch that is searched for lines they are left as strong as those of ever new film.
    """
    return np.asarray(field - _CIRCULATING_SHARE * field.mean(axis=0), np.float32)


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
        coarse = _noise_field(rng, lines // 2 + 1, columns // 2 + 1, 2 * along, 2 * across, tilt)
        field += share * np.asarray(cv2.resize(coarse, (columns, lines), interpolation=cv2.INTER_LINEAR), np.float32)
        # Grain of a powder has a longer tail than a Gaussian, to its own side.
        field = _without_lines(field + skew * (field**2 - 1))
        parts.append(np.asarray(field * (style.grain_fraction / 2**0.5 / field.std()), np.float32))
    return parts[0], parts[1]


def gloss(rng: np.random.Generator, style: FilmStyle, columns: int, scale: float) -> tuple[Floats, Floats] | None:
    """Patches of a tenth to half a millimetre that shine more or less, the bright ones rarer and stronger."""
    if not style.gloss_fraction:
        return None
    sigma = scale * rng.uniform(3, 12)
    parts = []
    for lines in RING_LINES:
        small = _noise_field(rng, lines // 2 + 1, columns // 2 + 1, sigma / 2, sigma / 2)
        field = np.asarray(cv2.resize(small, (columns, lines), interpolation=cv2.INTER_LINEAR), np.float32)
        shine = _without_lines(np.exp(np.float32(0.5) * field))
        parts.append(np.asarray((shine - shine.mean()) * (style.gloss_fraction / 2**0.5 / shine.std()), np.float32))
    return parts[0], parts[1]


def mottle(rng: np.random.Generator, style: FilmStyle, columns: int, scale: float) -> Floats:
    """Clouds of millimetres, bands across the web, faint lines along it: in the second texture."""
    lines = RING_LINES[1]
    small = _noise_field(rng, lines // 8 + 1, columns // 8 + 1, scale * rng.uniform(1, 6), scale * rng.uniform(1, 12))
    clouds = np.asarray(cv2.resize(small, (columns, lines), interpolation=cv2.INTER_LINEAR), np.float32)
    bands = _noise_field(rng, lines, 1, scale * rng.uniform(1, 20), 0.01)
    streaks = cv2.GaussianBlur(rng.standard_normal((1, columns), dtype=np.float32), (0, 0), scale * rng.uniform(1, 6))
    faint = style.mottle_fraction * clouds + style.band_fraction * bands
    return np.asarray(faint + 0.003 * rng.random() * streaks / streaks.std(), np.float32)


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

"""Rendered film to train on: four families of texture, a camera with faults of its own, targets drawn into it.

A film's grain is correlated, differently by family; each roll draws grain, mottling, bands, column gain, lens, lamps
and noise anew. Two textures of unlike length circulate along the web, so that their sum returns only after metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.film_looks import CHANNELS, Stamp

Floats = NDArray[np.floating[Any]]

LEVELS = (150.0, 25.0, 90.0)
"""Nominal grey of sound film by channel."""
STRIP_LINES = 256
BLUR_PX = (0.4, 1.2)
LAMP_FRACTION = 0.15
"""A lamp may have aged or been turned up by as much since the film was learnt."""

_UNITS = 16
"""Steps a grey level while textures are added up."""
_GRAIN_LINES, _MOTTLE_LINES = 509, 383
"""Primes: their sum returns after 3.9 m of web at 20 µm."""
_BORDER_PX = (40, 120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of texture."""

    name: str
    along_px: tuple[float, float]
    """Sigma of the grain along the web, from and to."""
    across_px: tuple[float, float]
    coarse_share: tuple[float, float]
    """Of a second grain four times as coarse, against the first."""


FAMILIES = (
    Family(name="white", along_px=(0.3, 0.6), across_px=(0.3, 0.6), coarse_share=(0.0, 0.2)),
    Family(name="fine", along_px=(0.8, 1.4), across_px=(0.8, 1.4), coarse_share=(0.1, 0.5)),
    Family(name="coarse", along_px=(1.8, 3.2), across_px=(1.8, 3.2), coarse_share=(0.2, 0.6)),
    Family(name="directional", along_px=(2.0, 5.0), across_px=(0.6, 1.2), coarse_share=(0.1, 0.4)),
)
"""Table 2.2 states 2.5 % rms correlated over 3 px, which is `fine`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmStyle:
    """How one roll looks to one camera."""

    family: Family
    grain_fraction: float
    """Standard deviation of the grain, relative to grey."""
    mottle_fraction: float
    band_fraction: float
    blur_px: float
    noise_grey: float
    gain_fraction: float
    """Fall of the light towards the edges."""
    lamp: tuple[float, float, float]
    """By channel, when the film is inspected; 1 when it was learnt."""
    speck_rate: float
    """Single wild pixels a strip: noise of the sensor, no defects."""
    flicker_rate: float
    """Lines a strip that are a little brighter or darker all across."""
    bordered: bool
    """Whether the coat ends inside the view, at its left."""


def drawn_style(rng: np.random.Generator, families: Sequence[Family] = FAMILIES) -> FilmStyle:
    """A style at random; the grain's strength is 1.5 to 3.2 %."""
    lamp = rng.uniform(1 - LAMP_FRACTION, 1 + LAMP_FRACTION, 3).tolist()
    return FilmStyle(
        family=families[int(rng.integers(len(families)))],
        grain_fraction=rng.uniform(0.015, 0.032),
        mottle_fraction=rng.uniform(0.002, 0.01),
        band_fraction=rng.uniform(0.0, 0.005),
        blur_px=rng.uniform(*BLUR_PX),
        noise_grey=rng.uniform(0.8, 2.6),
        gain_fraction=rng.uniform(0.0, 0.3),
        lamp=(lamp[0], lamp[1], lamp[2]),
        speck_rate=rng.choice((0.0, 0.2)),
        flicker_rate=rng.choice((0.0, 0.1)),
        bordered=bool(rng.random() < 0.2),
    )


class Film:
    """One roll under one camera, strip by strip."""

    def __init__(self, style: FilmStyle, *, width_px: int, seed: int) -> None:
        """Draw a roll.

        Args:
            width_px: of the camera, at least 512.
            seed: of grain and noise.
        """
        self.style = style
        self.width_px = width_px
        self._rng = np.random.default_rng(seed)
        levels = [_columns(self._rng, style, width_px) * grey for grey in LEVELS]
        grain = [_grain(self._rng, style, _GRAIN_LINES, width_px) for _ in range(3)]
        mottle = [_mottle(self._rng, style, _MOTTLE_LINES, width_px) for _ in range(3)]
        # Thick film scatters more and lets less through; the rest is each channel's own.
        shared, own = (0.9, 0.5, -0.9), (0.44, 0.87, 0.44)
        self._grain, self._mottle = [], []
        border = _border(self._rng, width_px) if style.bordered else None
        for channel, level in enumerate(levels):
            texture = 1 + shared[channel] * grain[0] + own[channel] * grain[1 if channel else 2]
            texture *= level * _UNITS
            if border is not None:
                texture *= 1 + border * (-0.5, -0.6, 1.3)[channel]
            self._grain.append(np.rint(np.clip(texture, 0, 255 * _UNITS)).astype(np.int16))
            faint = (shared[channel] * mottle[0] + own[channel] * mottle[1]) * level * _UNITS
            self._mottle.append(np.rint(faint).astype(np.int16))
        noise = self._rng.standard_normal((STRIP_LINES + 131, width_px + 1024), dtype=np.float32)
        self._noise = np.rint(noise * style.noise_grey * _UNITS).astype(np.int16)

    def strip(self, first_line: int, stamps: Sequence[Stamp] = (), *, aged: bool = True) -> NDArray[np.uint8]:
        """One strip, shape (3, 256, width).

        Args:
            first_line: of the roll.
            stamps: all that may reach into the strip.
            aged: under the style's lamps; otherwise as when the film is learnt, without specks and flicker.
        """
        planes = np.empty((len(CHANNELS), STRIP_LINES, self.width_px), np.uint8)
        rng = self._rng
        for channel, plane in enumerate(planes):
            lamp = self.style.lamp[channel] if aged else 1.0
            film = cv2.add(_ring(self._grain[channel], first_line), _ring(self._mottle[channel], first_line))
            top, left = (int(rng.integers(room)) for room in (131, 1024))
            noise = self._noise[top : top + STRIP_LINES, left : left + self.width_px]
            cv2.addWeighted(film, lamp / _UNITS, noise, 1 / _UNITS, 0, dst=plane, dtype=cv2.CV_8U)
        for stamp in stamps:
            _draw(planes, stamp, first_line)
        if aged:
            self._disturb(planes)
        return planes

    def _disturb(self, planes: NDArray[np.uint8]) -> None:
        rng = self._rng
        for _ in range(int(rng.poisson(self.style.speck_rate))):
            plane = planes[int(rng.integers(3))]
            row, column = (int(rng.integers(size)) for size in plane.shape)
            plane[row, column] = np.clip(int(plane[row, column]) + rng.choice((-1, 1)) * rng.integers(15, 60), 0, 255)
        for _ in range(int(rng.poisson(self.style.flicker_rate))):
            row, count = int(rng.integers(STRIP_LINES)), int(rng.integers(1, 7))
            factor = 1 + rng.choice((-1, 1)) * rng.uniform(0.02, 0.06)
            part = planes[int(rng.integers(3)), row : row + count]
            part[...] = np.clip(np.rint(part * factor), 0, 255).astype(np.uint8)


def _draw(planes: NDArray[np.uint8], stamp: Stamp, first_line: int) -> None:
    _, lines, columns = stamp.contrast.shape
    top, left = stamp.top - first_line, stamp.left
    rows = slice(max(0, top), min(planes.shape[1], top + lines))
    across = slice(max(0, left), min(planes.shape[2], left + columns))
    if rows.start >= rows.stop or across.start >= across.stop:
        return
    change = stamp.contrast[:, rows.start - top : rows.stop - top, across.start - left : across.stop - left]
    film = planes[:, rows, across]
    # Whatever changes the light changes its mean: a hole is no brighter where the grain was.
    seen = film + np.median(film, axis=2, keepdims=True) * change
    film[...] = np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def _ring(texture: NDArray[np.int16], first_line: int) -> NDArray[np.int16]:
    """`STRIP_LINES` rows of a texture that begins again at its end."""
    start = first_line % len(texture)
    if start + STRIP_LINES <= len(texture):
        return texture[start : start + STRIP_LINES]
    return np.concatenate((texture[start:], texture[: start + STRIP_LINES - len(texture)]))


def _noise_field(rng: np.random.Generator, lines: int, columns: int, along: float, across: float) -> Floats:
    """Unit variance, correlated by a Gaussian of these sigmas, joined along the web."""
    margin = int(4 * along) + 2
    field = rng.standard_normal((lines, columns), dtype=np.float32)
    tall = np.concatenate((field[-margin:], field, field[:margin]))
    smooth = cv2.GaussianBlur(tall, (0, 0), sigmaX=max(across, 0.01), sigmaY=max(along, 0.01))[margin:-margin]
    return np.asarray(smooth / smooth.std(), np.float32)


def _grain(rng: np.random.Generator, style: FilmStyle, lines: int, columns: int) -> Floats:
    family = style.family
    # The lens blurs the grain, too.
    along, across = (
        float(np.hypot(rng.uniform(*sigma), 0.6 * style.blur_px)) for sigma in (family.along_px, family.across_px)
    )
    share = rng.uniform(*family.coarse_share)
    grain = _noise_field(rng, lines, columns, along, across)
    grain += share * _noise_field(rng, lines, columns, 4 * along, 4 * across)
    # Grain of a powder has a longer tail than a Gaussian, to its own side.
    skew = rng.uniform(-0.06, 0.06)
    grain = grain + skew * (grain**2 - 1)
    return np.asarray(grain * (style.grain_fraction / grain.std()), np.float32)


def _mottle(rng: np.random.Generator, style: FilmStyle, lines: int, columns: int) -> Floats:
    """Clouds of millimetres, bands across the web, faint lines along it."""
    small = _noise_field(rng, lines // 8 + 1, columns // 8 + 1, rng.uniform(1, 6), rng.uniform(1, 12))
    clouds = np.asarray(cv2.resize(small, (columns, lines), interpolation=cv2.INTER_LINEAR), np.float32)
    bands = _noise_field(rng, lines, 1, rng.uniform(1, 20), 0.01)
    streaks = cv2.GaussianBlur(rng.standard_normal((1, columns), dtype=np.float32), (0, 0), rng.uniform(1, 6))
    faint = style.mottle_fraction * clouds + style.band_fraction * bands
    return np.asarray(faint + 0.003 * rng.random() * streaks / streaks.std(), np.float32)


def _columns(rng: np.random.Generator, style: FilmStyle, columns: int) -> Floats:
    """Column gain: light that falls off towards the edges, pixels that differ by 1 %."""
    place = np.linspace(-1, 1, columns) - rng.uniform(-0.2, 0.2)
    fall = 1 - style.gain_fraction * place**2 + 0.02 * np.sin(place * rng.uniform(2, 9))
    return np.asarray(fall / fall.mean() * (1 + 0.01 * rng.standard_normal(columns)), np.float32)


def _border(rng: np.random.Generator, columns: int) -> Floats:
    """1 over bare liner, 0 over coat, with the wavy edge between and a bead inside it; shape (lines, columns)."""
    lines = np.arange(_GRAIN_LINES, dtype=np.float32)
    wave = np.sin(2 * np.pi * lines / _GRAIN_LINES * int(rng.integers(1, 4))) * rng.uniform(0, 1.5)
    edge = rng.uniform(*_BORDER_PX) + wave + 0.5 * _noise_field(rng, _GRAIN_LINES, 1, 2, 0.01)[:, 0]
    inside = np.arange(columns, dtype=np.float32)[None, :] - edge[:, None]
    bead = 0.06 * np.exp(-(((inside - 110) / 75) ** 2)) * (inside > 0)
    return np.asarray(1 / (1 + np.exp(np.clip(inside * 2, -30, 30))) - bead, np.float32)

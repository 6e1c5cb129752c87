"""Rendered film, strip by strip: texture, a camera with faults of its own, targets drawn into it.

A film's grain is correlated, differently by family; each roll draws grain, gloss, mottling, bands, curl, column gain,
lens, lamps and noise anew. Two textures of unlike length circulate along the web, each turn at another place across it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.film_looks import CHANNELS, Stamp
from models.film_styles import FAMILY_PIXEL_UM, FilmStyle
from models.film_textures import border, column_gain, faint_lines, gloss, grain, mottle, ring_columns, turn_px

LEVELS = (150.0, 25.0, 90.0)
"""Nominal grey of sound film by channel."""
STRIP_LINES = 256

_UNITS = 16
"""Steps a grey level while textures are added up."""
_SHARED, _OWN = (0.9, 0.5, -0.9), (0.44, 0.87, 0.44)
"""By channel, of what all channels show and of what is its own: thick film scatters more and lets less through."""
_GLOSS = (1.0, 2.0, 0.0)
"""By channel, of the gloss: it turns light towards one lamp's camera or away, and lets no more through."""
_BORDER = (-0.5, -0.6, 1.3)
"""By channel, of bare liner beside the coat."""
_CURL = (-1.0, 1.5, 0.15)
"""By channel, of how much a film that stands up changes the light."""


class Film:
    """One roll under one camera, strip by strip."""

    def __init__(self, style: FilmStyle, *, width_px: int, seed: int, pixel_um: float = FAMILY_PIXEL_UM) -> None:
        """Draw a roll.

        Args:
            width_px: of the camera, at least 512.
            seed: of grain and noise.
            pixel_um: side of a pixel on the film; the texture is stretched to it, lens and sensor are not.
        """
        self.style = style
        self.width_px = width_px
        self._rng = np.random.default_rng(seed)
        scale = FAMILY_PIXEL_UM / pixel_um
        columns = ring_columns(width_px)
        self._levels = [column_gain(self._rng, style, width_px) * np.float32(grey) for grey in LEVELS]
        grains = [grain(self._rng, style, columns, scale) for _ in range(3)]
        mottles = [mottle(self._rng, style, columns, scale) for _ in range(3)]
        lines = [faint_lines(self._rng, columns, scale) for _ in range(3)]
        shine = gloss(self._rng, style, columns, scale)
        self._edge = border(self._rng, width_px) if style.bordered else None
        self._rings: list[tuple[NDArray[np.int16], NDArray[np.int16]]] = []
        """By channel, in steps of the nominal grey."""
        self._lines: list[NDArray[np.floating[Any]]] = []
        for channel, grey in enumerate(LEVELS):
            own = 1 if channel else 2
            shared, alone = _SHARED[channel], _OWN[channel]
            textures = [shared * grains[0][part] + alone * grains[own][part] for part in (0, 1)]
            textures[1] += shared * mottles[0] + alone * mottles[1]
            if shine is not None and _GLOSS[channel]:
                for texture, part in zip(textures, shine, strict=True):
                    texture += np.float32(_GLOSS[channel]) * part
            units = [np.clip(texture * grey, -255, 255) * _UNITS for texture in textures]
            self._rings.append((np.rint(units[0]).astype(np.int16), np.rint(units[1]).astype(np.int16)))
            self._lines.append(1 + shared * lines[0] + alone * lines[1])
        noise = self._rng.standard_normal((STRIP_LINES + 131, width_px + 1024), dtype=np.float32)
        self._noise = noise * np.float32(style.noise_grey)
        self._waves_lines = self._rng.uniform((5e3, 5e4), (2e4, 2e5)) * scale
        """Periods of curl and of wander."""
        self._edges = np.abs(np.linspace(-1, 1, width_px, dtype=np.float32)) ** 4

    def strip(self, first_line: int, stamps: Sequence[Stamp] = (), *, aged: bool = True) -> NDArray[np.uint8]:
        """One strip, shape (3, 256, width).

        Args:
            first_line: of the roll.
            stamps: all that may reach into the strip.
            aged: under the style's lamps; otherwise as when the film is learnt, without specks and flicker.
        """
        planes = np.empty((len(CHANNELS), STRIP_LINES, self.width_px), np.uint8)
        rng, shift = self._rng, self._wander_px(first_line)
        curl = self._curl(first_line)
        for channel, (plane, grey) in enumerate(zip(planes, LEVELS, strict=True)):
            one, other = (_shown(ring, first_line, self.width_px, shift) for ring in self._rings[channel])
            film = cv2.add(one, other).astype(np.float32)
            film += np.float32(grey * _UNITS)
            if curl is not None:
                film += curl[:, None] * (self._edges * np.float32(_CURL[channel] * grey * _UNITS))
            if self._edge is not None:
                rows = np.arange(first_line, first_line + STRIP_LINES) % len(self._edge)
                film *= 1 + np.float32(_BORDER[channel]) * np.roll(self._edge[rows], shift, axis=1)
            # Light, lens and pixels stay where they are when the web wanders.
            lamp = self.style.lamp[channel] if aged else 1.0
            lines = np.roll(self._lines[channel], shift)[: self.width_px]
            film *= self._levels[channel] * lines * np.float32(lamp / grey / _UNITS)
            top, left = (int(rng.integers(room)) for room in (131, 1024))
            noise = self._noise[top : top + STRIP_LINES, left : left + self.width_px]
            cv2.add(film, noise, dst=plane, dtype=cv2.CV_8U)
        for stamp in stamps:
            _draw(planes, stamp, first_line)
        if aged:
            self._disturb(planes)
        return planes

    def _wander_px(self, first_line: int) -> int:
        return round(self.style.wander_px * float(np.sin(2 * np.pi * first_line / self._waves_lines[1])))

    def _curl(self, first_line: int) -> NDArray[np.float32] | None:
        """How much the film stands up at its edges, line by line."""
        if not self.style.curl_fraction:
            return None
        lines = first_line + np.arange(STRIP_LINES)
        wave = np.sin(2 * np.pi * lines / self._waves_lines[0])
        return np.asarray(self.style.curl_fraction * wave, np.float32)

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


def _shown(ring: NDArray[np.int16], first_line: int, width_px: int, wander_px: int) -> NDArray[np.int16]:
    """`STRIP_LINES` lines of a ring in the camera's view."""
    shown = np.empty((STRIP_LINES, width_px), np.int16)
    lines, columns = ring.shape
    done = 0
    while done < STRIP_LINES:
        turn, row = divmod(first_line + done, lines)
        start = (turn * turn_px(columns) - wander_px) % columns
        count, whole = min(STRIP_LINES - done, lines - row), min(width_px, columns - start)
        part, turned = shown[done : done + count], ring[row : row + count]
        part[:, :whole] = turned[:, start : start + whole]
        part[:, whole:] = turned[:, : width_px - whole]
        done += count
    return shown

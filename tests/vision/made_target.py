"""Made calibration targets: marks and slanted squares of known place, through a lens of known blur."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import cos, pi, radians, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from line.calibration import Target
from line.frames import StripHeader

CHANNELS = ("BF", "DF", "TX")
_FINE_MARK, _FINE_SQUARE = 8, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTarget:
    """A target under a camera whose every figure is known."""

    target: Target = field(default_factory=Target)
    width_px: int = 3000
    lines: int = 768
    pixel_um: float = 20.0
    line_um: float = 20.0
    turn_mrad: float = 3.0
    blur_px: float = 0.6
    """Sigma of the lens; the pixel's own width comes on top."""
    blur_right_px: float | None = None
    """At the right edge, when the lens is tilted."""
    shifts_px: tuple[tuple[float, float], ...] = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    """By channel: how far right and down its picture lies."""
    white: tuple[float, float, float] = (200.0, 100.0, 200.0)
    dark: float = 0.12
    """Of the white."""
    noise: float = 1.0
    slant_deg: float = 5.0
    squares_across: int = 3
    barrel_px: float = 0.0
    """Cubic distortion at the edges of the field."""

    def planes(self, seed: int = 0) -> NDArray[np.uint8]:
        """Shape (3, lines, width)."""
        rng = np.random.default_rng(seed)
        away = np.linspace(-1, 1, self.width_px)
        gain = 1 - 0.2 * away**2
        gain /= gain.mean()
        planes = []
        for (right, down), white in zip(self.shifts_px, self.white, strict=True):
            cover = _cover(replace(self, white=(0.0, 0.0, 0.0), shifts_px=()), right, down)
            grey = white * gain * (1 - (1 - self.dark) * cover)
            grey = grey + self.noise * rng.standard_normal(cover.shape, dtype=np.float32)
            planes.append(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
        return np.stack(planes)

    def mtf50_cpp(self, blur_px: float | None = None) -> float:
        """True modulation transfer at a half: a Gaussian lens and a square pixel."""
        sigma = self.blur_px if blur_px is None else blur_px
        frequency = np.linspace(0, 0.6, 60_001)
        modulation = np.exp(-2 * (pi * sigma * frequency) ** 2) * np.sinc(frequency)
        return float(frequency[np.argmax(modulation < 0.5)])

    def header(self, strip: int, *, lines: int = 256, simulated: bool = False) -> StripHeader:
        """Of one of the strips that the target is cut into."""
        return StripHeader(
            camera="fins-1",
            roll="target",
            strip=strip,
            encoder_um=8_000_000 + strip * lines * 20,
            lines=lines,
            width_px=self.width_px,
            pixel_um=20.0,
            channels=CHANNELS,
            at_ns=1_800_000_000_000_000_000 + strip * 307_200_000,
            wall_ns=0,
            simulated=simulated,
        )

    def figures(self) -> Iterator[tuple[float, float, bool]]:
        """Centres in µm from the middle of the picture, and whether it is a square."""
        pitch = self.target.pitch_um
        across, along = int(self.width_px * self.pixel_um / pitch) // 2, int(self.lines * self.line_um / pitch) // 2
        every = max(1, (2 * across) // self.squares_across)
        squares = [-across + every // 2 + every * number for number in range(self.squares_across)]
        for i in range(-across, across + 1):
            for j in range(-along, along + 1):
                near = min(squares, key=lambda square: abs(square - i), default=9999)
                if abs(near - i) <= 1 and abs(j) <= 1:
                    if near == i and j == 0:
                        yield i * pitch, j * pitch, True
                else:
                    yield i * pitch, j * pitch, False

    def place_px(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Column and row of a point of the target."""
        turn = self.turn_mrad / 1000
        column = (x_um * cos(turn) - y_um * sin(turn)) / self.pixel_um
        row = (x_um * sin(turn) + y_um * cos(turn)) / self.line_um
        column += self.barrel_px * (column / (self.width_px / 2)) ** 3
        return column + (self.width_px - 1) / 2, row + (self.lines - 1) / 2

    def draw(self, cover: NDArray[np.float32], column: float, row: float, *, square: bool) -> None:
        """Cover a mark or square, sampled several times a pixel and blurred there."""
        samples = _FINE_SQUARE if square else _FINE_MARK
        size = (self.target.square_um if square else self.target.mark_um) / self.pixel_um
        half = int(size * 0.8) + 8
        left, top = round(column) - half, round(row) - half
        right, bottom = left + 2 * half, top + 2 * half
        if right <= 0 or bottom <= 0 or left >= cover.shape[1] or top >= cover.shape[0]:
            return
        axis = (np.arange(2 * half * samples, dtype=np.float32) + 0.5) / samples - 0.5
        x, y = axis[None, :] + left - column, axis[:, None] + top - row
        if square:
            slant = radians(self.slant_deg)
            u, v = x * cos(slant) + y * sin(slant), -x * sin(slant) + y * cos(slant)
            inside = (np.maximum(np.abs(u), np.abs(v)) <= size / 2).astype(np.float32)
        else:
            inside = (np.hypot(x, y) <= size / 2).astype(np.float32)
        blur = self.blur_px
        if self.blur_right_px is not None:
            blur += (self.blur_right_px - blur) * column / self.width_px
        fine = cv2.GaussianBlur(inside, (0, 0), blur * samples)
        drawn = cv2.resize(fine, (2 * half, 2 * half), interpolation=cv2.INTER_AREA)
        rows, columns = slice(max(0, top), min(bottom, cover.shape[0])), slice(max(0, left), min(right, cover.shape[1]))
        cover[rows, columns] += drawn[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


@lru_cache(maxsize=24)
def _cover(made: MadeTarget, right: float, down: float) -> NDArray[np.float32]:
    """What of each pixel is dark, for a channel that lies so far right and down."""
    cover = np.zeros((made.lines, made.width_px), np.float32)
    for x_um, y_um, square in made.figures():
        column, row = made.place_px(x_um, y_um)
        made.draw(cover, column + right, row + down, square=square)
    return cover

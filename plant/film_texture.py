"""What sound film looks like: a bank of textures, made once, from which every strip of a roll is put together.

Two textures travel with the film and have lengths without a common divisor, so that their sum returns only after metres
of web though neither is long: one carries the grain and the edge bead, the other the mottling, the faint lines along
the web and the bands across it. Column gain stays with the camera. Noise is new in every strip.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

CHANNELS = ("BF", "DF", "TX")
LEVELS_DN = (150.0, 25.0, 90.0)
"""Mean grey of a sound strip by channel, with lamps as new."""
PIXEL_UM = 20.0
PAD_PX = 64
"""Texture beyond either edge of the coat, so that a wandering web still shows something: bare liner."""
NOISE_SIGMA_DN = 16.0
"""Of the stored noise; it is scaled down to what the camera has."""
GAIN_UNIT = 200
"""Grey level of the gain plane that stands for a gain of 1."""

_GRAIN_ROWS = 577
_MOTTLE_ROWS = 449
"""Primes, in lines: together 259,073 lines or 5.2 m of web until the same sum returns."""
_GRAIN_FRACTION = 0.025
"""Texture noise of table 2.2, rms, relative; its correlation length is 3 px."""
_SHARED = (1.0, 0.5, -1.0)
"""Of the grain that all channels see: thick film scatters more and lets less through."""
_OWN = (0.35, 1.0, 0.35)
_BEAD = (0.5, 0.3, -1.0)
_LINER = (0.55, 0.35, 2.4)
"""Grey of bare liner against film: it reflects less and lets more light through."""
_PIECE_PX = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmBank:
    """Everything that strips are put together from. Made by `film_bank`; some 70 MB at 15,000 px."""

    width_px: int
    grain: tuple[Bytes, ...]
    """By channel, shape (grain lines, width + 2 pads): grey of the film, with edge bead and bare liner."""
    mottle: tuple[Bytes, ...]
    """By channel, shape (mottle lines, width + 2 pads): what is added, two's complement."""
    gain: tuple[Bytes, ...]
    """By channel, shape (256, width): the camera's column gain in `GAIN_UNIT`ths."""
    noise: Bytes
    """Zero at 128, sigma `NOISE_SIGMA_DN`."""

    def level_dn(self, channel: int) -> Floats:
        """Grey of sound film by column, lamp as new."""
        gain: Floats = self.gain[channel][0].astype(np.float32)
        return gain * np.float32(LEVELS_DN[channel] / GAIN_UNIT)


def film_bank(seed: int, *, width_px: int = 15_000) -> FilmBank:
    """The look of one camera and one kind of film; another seed is another camera and another film."""
    rng = np.random.default_rng((seed, 0xF11A))
    across = width_px + 2 * PAD_PX
    grain = tuple(np.empty((_GRAIN_ROWS, across), np.uint8) for _ in CHANNELS)
    mottle = tuple(np.empty((_MOTTLE_ROWS, across), np.uint8) for _ in CHANNELS)
    bead, lines = _bead(rng, width_px), _normal(_blurred(rng.standard_normal((1, across), dtype=np.float32), 1.6, 0.0))
    bands = _normal(_blurred(rng.standard_normal((_MOTTLE_ROWS, 1), dtype=np.float32), 0.0, 2.5))
    clouds = _clouds(rng, across)
    # Piece by piece, since a whole plane of floats would cost several times the memory of the bank.
    for left in range(0, across, _PIECE_PX):
        columns = slice(left, min(left + _PIECE_PX, across))
        shared, own = (_grain(rng, _GRAIN_ROWS, columns.stop - left) for _ in range(2))
        faint = 0.009 * _normal(_blurred(_noise_of(rng, _MOTTLE_ROWS, columns.stop - left), 1.2, 1.2))
        faint += 0.0055 * clouds[:, columns] + 0.0022 * lines[:, columns] + 0.0030 * bands
        for channel, (level, share, own_share, bead_share) in enumerate(
            zip(LEVELS_DN, _SHARED, _OWN, _BEAD, strict=True)
        ):
            relative = (share * shared + own_share * own) * (_GRAIN_FRACTION / np.hypot(share, own_share))
            grain[channel][:, columns] = _bytes(level * (1 + relative) * (1 + bead_share * bead[columns]))
            mottle[channel][:, columns] = np.rint(level * share * faint).astype(np.int8).view(np.uint8)
    for channel, plane in enumerate(grain):
        _lay_liner(plane, LEVELS_DN[channel] * _LINER[channel])
    noise = np.empty((320, across + 4096), np.uint8)
    for left in range(0, noise.shape[1], _PIECE_PX):
        piece = noise[:, left : left + _PIECE_PX]
        piece[...] = _bytes(_noise_of(rng, *piece.shape) * NOISE_SIGMA_DN + 128)
    gain = tuple(_gain(rng, width_px) for _ in CHANNELS)
    return FilmBank(width_px=width_px, grain=grain, mottle=mottle, gain=gain, noise=noise)


def lay_film(film: Bytes, bank: FilmBank, channel: int, roll: str, line: int, wander_px: int) -> None:
    """Sound film as the sensor would see it without noise and with a lamp as new.

    Args:
        film: where to put it, shape (lines, width).
        bank: the camera and the film.
        channel: index into `CHANNELS`.
        roll: each begins elsewhere in the textures.
        line: of the roll, counted from its start.
        wander_px: by how much the web lies to the right of where it should.
    """
    digest = hashlib.sha256(roll.encode()).digest()
    left = PAD_PX - int(np.clip(wander_px, -PAD_PX, PAD_PX))
    columns = slice(left, left + bank.width_px)
    lines = len(film)
    grain, mottle = bank.grain[channel], bank.mottle[channel]
    if digest[2] & 1:
        mottle = mottle[:, ::-1]
    grain_at, mottle_at = line + int.from_bytes(digest[:2], "big"), line + int.from_bytes(digest[3:5], "big")
    done = 0
    while done < lines:
        from_grain, from_mottle = (grain_at + done) % len(grain), (mottle_at + done) % len(mottle)
        count = min(lines - done, len(grain) - from_grain, len(mottle) - from_mottle)
        np.add(
            grain[from_grain : from_grain + count, columns],
            mottle[from_mottle : from_mottle + count, columns],
            out=film[done : done + count],
        )
        done += count
    gain = bank.gain[channel]
    for top in range(0, lines, len(gain)):
        part = film[top : top + len(gain)]
        cv2.multiply(part, gain[: len(part)], dst=part, scale=1 / GAIN_UNIT)


def _grain(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    """Unit variance, correlated over 3 px with a coarser share, periodic along the web."""
    fine = _normal(_blurred(_noise_of(rng, rows, columns), 1.2, 1.2))
    fine += 0.4 * _normal(_blurred(_noise_of(rng, rows, columns), 3.5, 3.5))
    return _normal(fine)


def _clouds(rng: np.random.Generator, columns: int) -> Floats:
    """Unit variance: clouds of some millimetres and some centimetres, periodic along the web."""
    shape = (_MOTTLE_ROWS // 8, columns // 8 + 1)
    near, broad = (
        _normal(_blurred(_noise_of(rng, *shape), sigma_x, sigma_y)) for sigma_x, sigma_y in ((4, 5), (30, 9))
    )
    small = 0.6 * near + broad
    # The last row joins the first: three rows of either end beyond each other keep the seam smooth.
    margin_rows = 24
    tall = cv2.resize(
        np.concatenate((small[-3:], small, small[:3])),
        (columns, _MOTTLE_ROWS + 2 * margin_rows),
        interpolation=cv2.INTER_CUBIC,
    )
    return _normal(np.asarray(tall[margin_rows:-margin_rows], np.float32))


def _bead(rng: np.random.Generator, width_px: int) -> Floats:
    """Relative height of the edge bead by column, 2 to 8 mm inside either edge of the coat."""
    x_mm = (np.arange(width_px + 2 * PAD_PX, dtype=np.float32) - PAD_PX + 0.5) * PIXEL_UM / 1e3
    height = np.zeros_like(x_mm)
    for from_edge, peak in ((x_mm, rng.uniform(0.05, 0.09)), (x_mm[::-1], rng.uniform(0.05, 0.09))):
        height += peak * np.exp(-(((from_edge - 2.2) / 1.5) ** 2))
        height -= 0.25 * np.exp(-np.maximum(from_edge, 0) / 0.35)
    return height


def _lay_liner(plane: Bytes, liner_dn: float) -> None:
    """Bare liner beyond either edge of the coat; the optics blur the border as they blur everything."""
    plane[:, :PAD_PX] = plane[:, -PAD_PX:] = min(round(liner_dn), 250)
    for middle in (PAD_PX, plane.shape[1] - PAD_PX):
        border = np.ascontiguousarray(plane[:, middle - 12 : middle + 12])
        plane[:, middle - 12 : middle + 12] = cv2.GaussianBlur(border, (0, 0), sigmaX=0.9, sigmaY=0.1)


def _gain(rng: np.random.Generator, width_px: int) -> Bytes:
    """Vignetting of 25 % towards the edges and 1 % of pixel gain, mean 1, as a plane of `GAIN_UNIT`ths."""
    middle = rng.uniform(0.48, 0.52)
    away = (np.arange(width_px) / width_px - middle) / 0.5
    gain = (1 - 0.25 * away**2) * (1 + 0.01 * rng.standard_normal(width_px))
    row = np.clip(np.rint(GAIN_UNIT * gain / gain.mean()), 1, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row, (256, width_px)))


def _noise_of(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    return rng.standard_normal((rows, columns), dtype=np.float32)


def _blurred(field: Floats, sigma_x: float, sigma_y: float) -> Floats:
    """Gaussian blur that wraps along the web; a sigma of 0 leaves that direction alone."""
    margin = min(len(field), int(4 * sigma_y) + 1)
    wrapped = np.concatenate((field[-margin:], field, field[:margin]))
    sizes = tuple(2 * int(3 * sigma) + 1 for sigma in (sigma_x, sigma_y))
    cv2.GaussianBlur(wrapped, sizes, sigmaX=max(sigma_x, 0.01), sigmaY=max(sigma_y, 0.01), dst=wrapped)
    return wrapped[margin:-margin]


def _normal(field: Floats) -> Floats:
    """Mean 0, variance 1, in place."""
    field -= field.mean()
    field /= field.std()
    return field


def _bytes(field: Floats) -> Bytes:
    return np.clip(np.rint(field), 0, 255).astype(np.uint8)

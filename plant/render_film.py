"""Strips of film as the line-scan camera would have exposed them: a pure function of film, flaws, health and seed.

A line covers `PIXEL_UM` of web: line i of a strip that begins at MD m shows m + 20 i to m + 20 (i + 1) µm, column j
shows CD 20 j to 20 (j + 1) µm less the web's wander. Some 7 ms of one core for a strip of 3 x 256 x 15,000 px.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from plant.film_texture import CHANNELS, NOISE_SIGMA_DN, PIXEL_UM, FilmBank, lay_film
from plant.flaw_looks import SMOOTH, Canvas, Floats, Triple, contrast_of, reach_um
from plant.truth_types import CameraHealth, Flaw

STRIP_LINES = 256
SHARP_PX = 0.6
"""Blur of a lens as new; the textures have it already."""
_FINE_PIXELS = (8_000, 60_000)
"""A flaw with fewer pixels is drawn with 4 x 4 samples each, with 2 x 2, and a larger one with one."""
_NONE: Mapping[str, Triple] = {}


def render_strip(
    roll: str,
    md_start_um: int,
    flaws: Sequence[Flaw],
    health: CameraHealth,
    bank: FilmBank,
    *,
    seed: int = 0,
    nameless: Mapping[str, Triple] = _NONE,
    lines: int = STRIP_LINES,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """One strip, shape (3, lines, width): bright field, dark field, transmission.

    Args:
        roll: whose film it is; the grain goes on from strip to strip.
        md_start_um: as-coated position of the first line's beginning; may be negative before the coat begins.
        flaws: all that may reach into the strip; those that do not are skipped.
        health: how the camera sees.
        bank: how camera and film look.
        seed: of the noise, together with roll and position.
        nameless: core contrasts of classes that no table names.
        lines: of the strip.
        out: where to put it, to spare an allocation.
    """
    planes = np.empty((len(CHANNELS), lines, bank.width_px), np.uint8) if out is None else out
    first_line = math.floor(md_start_um / PIXEL_UM)
    wander_px = health.wander_um / PIXEL_UM
    rng = np.random.default_rng((seed, first_line & 0xFFFF_FFFF, *roll.encode()))
    lamps = (health.lamp_bf, health.lamp_df, health.lamp_tx)
    weight = health.noise_dn / NOISE_SIGMA_DN
    for channel, lamp in enumerate(lamps):
        film = planes[channel]
        lay_film(film, bank, channel, roll, first_line, round(wander_px))
        if health.blur_px > SHARP_PX + 0.05:
            cv2.GaussianBlur(film, (0, 0), math.sqrt(health.blur_px**2 - SHARP_PX**2), dst=film)
        cv2.addWeighted(film, lamp, _noise(bank, rng, lines), weight, -128 * weight, dst=film)
    for flaw in flaws:
        _stamp(planes, flaw, nameless.get(flaw.kind), md_start_um, wander_px, health, bank)
    return planes


def _noise(bank: FilmBank, rng: np.random.Generator, lines: int) -> NDArray[np.uint8]:
    """A piece of the stored noise, new for every strip and channel."""
    rows, columns = bank.noise.shape
    left = int(rng.integers(columns - bank.width_px))
    top = int(rng.integers(max(1, rows - lines)))
    piece = bank.noise[top : top + lines, left : left + bank.width_px]
    return piece if len(piece) == lines else np.resize(piece, (lines, bank.width_px))


def _stamp(
    planes: NDArray[np.uint8],
    flaw: Flaw,
    core: Triple | None,
    md_start_um: int,
    wander_px: float,
    health: CameraHealth,
    bank: FilmBank,
) -> None:
    """Add a flaw's contrast to the film under it, as far as it reaches into the strip."""
    row = (flaw.md_um - md_start_um) / PIXEL_UM - 0.5
    column = flaw.cd_um / PIXEL_UM - 0.5 + wander_px
    rows_reach, columns_reach = (reach / PIXEL_UM + 4 * health.blur_px + 2 for reach in reach_um(flaw))
    top, bottom = max(0, math.floor(row - rows_reach)), min(planes.shape[1], math.ceil(row + rows_reach) + 1)
    left, right = (
        max(0, math.floor(column - columns_reach)),
        min(planes.shape[2], math.ceil(column + columns_reach) + 1),
    )
    if top >= bottom or left >= right:
        return
    # What lies just outside the window blurs into it.
    margin = math.ceil(3 * health.blur_px) + 1
    inner = (slice(margin, margin + bottom - top), slice(margin, margin + right - left))
    grid = (top - margin - row, left - margin - column, bottom - top + 2 * margin, right - left + 2 * margin)
    lamps = (health.lamp_bf, health.lamp_df, health.lamp_tx)
    for channel, contrast in enumerate(_seen(flaw, core, grid, health.blur_px)):
        if contrast is None:
            continue
        film = planes[channel, top:bottom, left:right]
        level = bank.level_dn(channel)[left:right] * np.float32(lamps[channel])
        film[...] = np.clip(np.rint(film + level * contrast[inner]), 0, 255).astype(np.uint8)


def _seen(flaw: Flaw, core: Triple | None, grid: tuple[float, float, int, int], blur_px: float) -> list[Floats | None]:
    """Relative contrast by channel per pixel, through the optics; None where the class does not show.

    Args:
        flaw: what lies there.
        core: contrast of a class that no table names.
        grid: first row and column relative to the flaw's centre [px], rows, columns.
        blur_px: sigma of the optics.
    """
    from_row, from_column, rows, columns = grid
    step_px = _step_px(flaw, rows * columns)
    counts = math.ceil(rows / step_px), math.ceil(columns / step_px)
    y_um, x_um = (
        ((np.arange(count, dtype=np.float32) + 0.5) * step_px + (start - 0.5)) * np.float32(PIXEL_UM)
        for count, start in zip(counts, (from_row, from_column), strict=True)
    )
    canvas = Canvas(y_um=y_um[:, None], x_um=x_um[None, :], step_um=PIXEL_UM * step_px)
    found: list[Floats | None] = []
    for contrast in contrast_of(flaw, canvas, core):
        full: Floats = np.ascontiguousarray(np.broadcast_to(contrast, counts), np.float32)
        if not full.any():
            found.append(None)
            continue
        if blur_px / step_px > 0.3:
            full = _real(cv2.GaussianBlur(full, (0, 0), blur_px / step_px, borderType=cv2.BORDER_REPLICATE))
        if step_px < 1:
            full = _real(cv2.resize(full, (columns, rows), interpolation=cv2.INTER_AREA))
        elif step_px > 1:
            full = _real(cv2.resize(full, None, fx=step_px, fy=step_px, interpolation=cv2.INTER_LINEAR))
        found.append(full[:rows, :columns])
    return found


def _step_px(flaw: Flaw, pixels: int) -> float:
    """Distance of samples: fine for small flaws, coarse for large ones that have no detail."""
    if flaw.kind in SMOOTH and flaw.size_um > 60 * PIXEL_UM:
        return min(8, int(flaw.size_um / (60 * PIXEL_UM)))
    few, more = _FINE_PIXELS
    return 0.25 if pixels <= few else 0.5 if pixels <= more else 1


def _real(image: object) -> Floats:
    return np.asarray(image, np.float32)

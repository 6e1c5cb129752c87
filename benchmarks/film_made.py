"""Strips of film to measure with, rendered as the simulated line renders its own."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from line.frames import StripHeader
from plant.film_texture import FilmBank
from plant.render_film import render_strip
from plant.truth_types import CameraHealth, Flaw
from vision.candidates import CHANNELS

WIDTH_PX = 16_384
PIXEL_UM = 20.0
ROLL = "FR-1"
FLAWS = (("PIN", 100.0, 1.0), ("MET", 80.0, 1.0), ("AGG", 200.0, 1.0), ("FIB", 1500.0, 0.03), ("CRK", 1200.0, 0.03))
"""Class, size in µm and width over it; four of each on a strip of 1,024 lines."""
Bytes = NDArray[np.uint8]


def speckled(strip: Bytes, count: int) -> Bytes:
    """The strip with bright pixels in transmission, evenly spread and in no line along the web."""
    made = strip.copy()
    places = (np.arange(count)[:, None] * (0.7548776662, 0.5698402910) % 1 * strip.shape[1:]).astype(int)
    film = made[2, places[:, 0], places[:, 1]].astype(np.float32)
    made[2, places[:, 0], places[:, 1]] = np.minimum(film + 50, 255)
    return made


def rendered(bank: FilmBank, number: int, lines: int, flaws_count: int) -> Bytes:
    """A strip of three channels with so many flaws, some way into a roll."""
    rng = np.random.default_rng(number)
    md_um = round(number * 1024 * PIXEL_UM)
    flaws = []
    for place in range(flaws_count):
        kind, size_um, aspect = FLAWS[place % len(FLAWS)]
        column = WIDTH_PX * (place + rng.uniform(0.4, 0.8)) / (flaws_count + 1)
        flaws.append(
            Flaw(
                flaw=f"flaw-{number}-{place}", roll=ROLL, kind=kind, born_ns=0, killer=False, depth_fraction=0.5,
                md_um=md_um + round(rng.uniform(0.1, 0.9) * lines * PIXEL_UM), cd_um=round(column * PIXEL_UM),
                size_um=size_um, length_um=size_um, width_um=aspect * size_um, angle_rad=rng.uniform(0, np.pi),
            )
        )  # fmt: skip
    return render_strip(ROLL, md_um, flaws, CameraHealth(), bank, lines=lines)


def header(strip: int, first_line: int, lines: int) -> StripHeader:
    return StripHeader(
        camera="fins-1", roll=ROLL, strip=strip, encoder_um=8_000_000 + round(first_line * PIXEL_UM), lines=lines,
        width_px=WIDTH_PX, pixel_um=PIXEL_UM, channels=CHANNELS, at_ns=time.time_ns(), wall_ns=time.time_ns(),
        simulated=True,
    )  # fmt: skip

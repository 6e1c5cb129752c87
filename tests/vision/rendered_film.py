"""Film as the plant's camera renders it, narrow, so that tests are quick."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from line.frames import StripHeader
from plant.film_texture import FilmBank, film_bank
from plant.render_film import render_strip
from plant.truth_types import CameraHealth, Flaw

WIDTH_PX, LINES = 3000, 256
STRIP_UM = LINES * 20
AT_NS = 1_800_000_000_000_000_000
STRIP_NS = 307_200_000
SOUND = CameraHealth()


@cache
def bank() -> FilmBank:
    return film_bank(7, width_px=WIDTH_PX)


def strip(
    number: int, health: CameraHealth = SOUND, flaws: Sequence[Flaw] = (), *, thickness: float = 1.0
) -> NDArray[np.uint8]:
    """A strip of one roll, shape (3, 256, 3000).

    Args:
        thickness: of the film against nominal: what lets less light through, and shines back a little more.
    """
    planes = render_strip("FR-1", number * STRIP_UM, flaws, health, bank(), seed=7)
    if thickness != 1.0:
        share = (1 + 0.1 * (thickness - 1), 1 + 0.1 * (thickness - 1), 1 - (thickness - 1))
        for plane, factor in zip(planes, share, strict=True):
            plane[...] = np.clip(np.rint(plane * factor), 0, 255)
    return planes


def header(number: int, *, simulated: bool = True, recipe: str = "r-1", missed: int = 0) -> StripHeader:
    return StripHeader(
        camera="fins-1",
        roll="FR-1",
        strip=number,
        encoder_um=8_000_000 + number * STRIP_UM,
        lines=LINES,
        width_px=WIDTH_PX,
        pixel_um=20.0,
        channels=("BF", "DF", "TX"),
        at_ns=AT_NS + number * STRIP_NS,
        wall_ns=0,
        missed_lines_count=missed,
        simulated=simulated,
        recipe=recipe,
    )

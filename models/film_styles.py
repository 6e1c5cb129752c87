"""How rendered film looks: families of texture, and what differs from roll to roll and from camera to camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FAMILY_PIXEL_UM = 20.0
"""Pixel that textures are stated for: the grain belongs to the film, so that finer pixels show it larger."""
BLUR_PX = (0.4, 1.6)
LAMP_FRACTION = 0.15
"""A lamp may have aged or been turned up by as much since the film was learnt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of texture; lengths in pixels of `FAMILY_PIXEL_UM`."""

    name: str
    along_px: tuple[float, float]
    """Sigma of the grain along its axis, from and to."""
    across_px: tuple[float, float]
    coarse_share: tuple[float, float]
    """Of a second grain four times as coarse, against the first."""
    tilt_rad: tuple[float, float] = (0.0, 0.0)
    """Of the grain's axis against the web, to either side."""
    gloss_fraction: tuple[float, float] = (0.0, 0.008)
    """Standard deviation of the gloss in bright field, relative to grey."""


FAMILIES = (
    Family(name="white", along_px=(0.3, 0.6), across_px=(0.3, 0.6), coarse_share=(0.0, 0.2)),
    Family(name="fine", along_px=(0.8, 1.4), across_px=(0.8, 1.4), coarse_share=(0.1, 0.5)),
    Family(name="coarse", along_px=(1.8, 3.2), across_px=(1.8, 3.2), coarse_share=(0.2, 0.6)),
    Family(name="directional", along_px=(2.0, 5.0), across_px=(0.6, 1.2), coarse_share=(0.1, 0.4)),
    Family(
        name="glossy",
        along_px=(0.6, 1.6),
        across_px=(0.6, 1.6),
        coarse_share=(0.0, 0.4),
        gloss_fraction=(0.01, 0.025),
    ),
    Family(
        name="tilted",
        along_px=(2.0, 4.5),
        across_px=(0.6, 1.3),
        coarse_share=(0.1, 0.4),
        tilt_rad=(0.3, 1.2),
        gloss_fraction=(0.0, 0.015),
    ),
)
"""Table 2.2 states 2.5 % rms correlated over 3 px, which is `fine`."""
LEFT_OUT = "tilted"
"""The family that no classifier is trained on, so that there is film to test on that it cannot know."""
TRAINED = tuple(family for family in FAMILIES if family.name != LEFT_OUT)


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
    gloss_fraction: float = 0.0
    """Standard deviation of the gloss in bright field, relative to grey."""
    curl_fraction: float = 0.0
    """Largest change of bright field where the film stands up at its edges, in waves of decimetres."""
    wander_px: float = 0.0
    """How far the web wanders across the view to either side, in a wave of metres."""


def drawn_style(rng: np.random.Generator, families: Sequence[Family] = FAMILIES) -> FilmStyle:
    """A style at random; the grain's strength is 1.5 to 3.2 %."""
    lamp = rng.uniform(1 - LAMP_FRACTION, 1 + LAMP_FRACTION, 3).tolist()
    family = families[int(rng.integers(len(families)))]
    return FilmStyle(
        family=family,
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
        gloss_fraction=rng.uniform(*family.gloss_fraction),
        curl_fraction=rng.choice((0.0, 0.01, 0.02)),
    )

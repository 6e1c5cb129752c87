"""How film looks to a camera now, against how it looked when it was first seen under the calibration in force.

Light and texture are medians over the latest strips. The reference is kept in a file, so that a service that begins
under an aged lamp does not take that for how film should be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from line.events import Measure
from line.film_reference import FilmReference, read_reference, write_reference
from line.model import Camera
from vision.film_light import (
    COARSER_FRACTION,
    DRIFT_FRACTION,
    Finding,
    Texture,
    a50_growth,
    focus_finding,
    light_findings,
    middle,
    roughness_at,
    strip_level,
    strip_texture,
)

STRIPS_COUNT = 15
"""That light and texture are the median of: half of them and a new light is known."""
REFERENCE_STRIPS_COUNT = 8
HYSTERESIS = 0.8
"""Of a limit, below which what was beyond it is taken back."""

_TEXTURE_EVERY, _TEXTURES_COUNT = 4, 5
"""Strips from one look at the texture to the next, which takes a millisecond, and looks that the median is of."""
_NOISE_GREY = 2.0
"""Of a camera, where film was first seen under another light than it should be (D)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A strip, as far as it matters here."""

    roll: str
    strip: int
    at_ns: int
    simulated: bool
    recipe: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmLook:
    """What was found in the latest strips."""

    findings: tuple[Finding, ...] = ()
    measures: tuple[Measure, ...] = ()
    light: tuple[float, ...] = ()
    """By channel, over the reference."""


NO_LOOK = FilmLook()


class FilmWatch:
    """Compares film with its reference, strip by strip.

    Args:
        camera: its row.
        state_dir: where references are kept.
        drawn: the film is heard of and not seen; it is compared with such film only.
    """

    def __init__(self, camera: Camera, state_dir: Path, *, drawn: bool = False) -> None:
        self._camera = camera
        self._state_dir = state_dir
        self._reference_name = f"{camera.id}-drawn" if drawn else camera.id
        self._reference = read_reference(state_dir, self._reference_name)
        self._levels: deque[tuple[float, ...]] = deque(maxlen=STRIPS_COUNT)
        self._textures: deque[Texture] = deque(maxlen=_TEXTURES_COUNT)
        self._strips_count = 0
        self._held: set[str] = set()
        """What is beyond its limit."""

    def looked_at(self, planes: NDArray[np.uint8]) -> tuple[float, ...]:
        """Grey of the film on a strip, by channel; now and then its texture is taken in as well.

        Args:
            planes: shape (channels, lines, width).
        """
        if self._strips_count % _TEXTURE_EVERY == 0:
            self._textures.append(strip_texture(planes))
        self._strips_count += 1
        return strip_level(planes)

    def taken(self, moment: Moment, level: tuple[float, ...], calibration: str) -> FilmLook:
        """Take in a strip; how it looks against the reference.

        Args:
            moment: of the strip.
            level: grey of film by channel, as `looked_at` finds it.
            calibration: in force; empty for the line model's figures.
        """
        self._levels.append(level)
        reference = self._referenced(moment, calibration)
        look = NO_LOOK if reference is None else self._look(moment.channels, reference)
        self._held = {row.what for row in look.findings}
        return look

    def _look(self, channels: Sequence[str], reference: FilmReference) -> FilmLook:
        texture = self._texture()
        level = dict(zip(channels, middle(self._levels), strict=True))
        light = {channel: level[channel] / max(reference.level[channel], 1.0) for channel in channels}
        finer = {
            channel: value / reference.fineness[channel]
            for channel, value in zip(channels, texture.fineness, strict=False)
            if reference.fineness.get(channel)
        }
        worse = {
            channel: a50_growth(value, reference.roughness[channel])
            for channel, value in zip(channels, texture.roughness, strict=False)
            if reference.roughness.get(channel)
        }
        since = _since(reference, by_model=reference.level == self._camera.film_grey)
        findings = [
            *light_findings(light, worse, since, self._limit(DRIFT_FRACTION)),
            *focus_finding(finer, since, self._limit(COARSER_FRACTION, focus=True)),
        ]
        return FilmLook(
            findings=tuple(findings),
            measures=tuple(self._measures(light, finer, reference)),
            light=tuple(light.values()),
        )

    def _referenced(self, moment: Moment, calibration: str) -> FilmReference | None:
        """How this film looked when it was first seen under this calibration; None until that is known."""
        known = self._reference
        if known is not None and known.fits(calibration, moment.recipe, simulated=moment.simulated):
            return known
        if known is not None:
            # Another calibration or recipe: what was seen before says nothing about how it looks from now on.
            self._reference, latest = None, self._levels[-1]
            self._levels.clear()
            self._levels.append(latest)
            self._textures.clear()
            self._strips_count = 0
        if len(self._levels) < REFERENCE_STRIPS_COUNT:
            return None
        channels, texture = moment.channels, self._texture()
        seen = dict(zip(channels, middle(self._levels), strict=True))
        # Simulated film may begin under an aged lamp: what it should look like is known without it.
        level = (self._camera.film_grey if moment.simulated and not calibration else {}) or seen
        self._reference = FilmReference(
            camera=self._reference_name,
            calibration=calibration,
            recipe=moment.recipe,
            simulated=moment.simulated,
            at_ns=moment.at_ns,
            level=level,
            fineness=dict(zip(channels, texture.fineness, strict=False)),
            roughness={
                channel: roughness_at(value, seen[channel], level[channel], _NOISE_GREY)
                for channel, value in zip(channels, texture.roughness, strict=False)
            },
        )
        write_reference(self._state_dir, self._reference)
        return self._reference

    def _texture(self) -> Texture:
        """The median of the latest looks at the texture; empty where none was seen."""
        if not self._textures:
            return Texture(fineness=(), roughness=())
        return Texture(
            fineness=middle([row.fineness for row in self._textures]),
            roughness=middle([row.roughness for row in self._textures]),
        )

    def _limit(self, limit: float, *, focus: bool = False) -> float:
        """A limit, lower while it is passed, so that what lies on it does not come and go."""
        passed = "focus" in self._held if focus else bool(self._held - {"focus"})
        return HYSTERESIS * limit if passed else limit

    def _measures(self, light: dict[str, float], finer: dict[str, float], reference: FilmReference) -> list[Measure]:
        rows = []
        for place, (name, value) in enumerate(light.items()):
            spread = float(np.std([level[place] for level in self._levels])) / max(reference.level[name], 1.0)
            uncertainty = round(2 * spread / len(self._levels) ** 0.5, 5)
            low, high = 1 - DRIFT_FRACTION, 1 + DRIFT_FRACTION
            rows.append(Measure("light", name, round(value, 4), uncertainty, low, high, "1"))
        least = round(1 - COARSER_FRACTION, 3)
        rows += [
            Measure("fineness", name, round(value, 3), None, least, None, "1")
            for name, value in finer.items()
            if name != "DF"
        ]
        return rows


def _since(reference: FilmReference, *, by_model: bool) -> str:
    """What a reference is from, in words."""
    if by_model:
        return "by the line model"
    return "when calibrated" if reference.calibration else "when film was first seen"

"""What strips of film say of lamps and lens, and whether what has changed is the camera or the film. Pure.

A lamp shows in its own channel alone. Thicker film lets less light through and changes reflection hardly at all. What
changes all channels alike is what they share: exposure, aperture, the window. Focus shows in the texture of the film:
the share of it that is finer than two pixels does not depend on its strength, on the light or on noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

DRIFT_FRACTION = 0.05
"""Change of light above which it is said."""
FAULT_FRACTION = 0.20
"""Change of light that is the camera's above which what it sees is uninspected."""
LOST_FRACTION = 0.50
"""Change of light above which that is so even where film might explain it: half as thick again, or another surface."""
COARSER_FRACTION = 0.12
"""Loss of fine texture above which it is said: from a blur of 0.6 px to one of 0.9."""

_LIKE_FRACTION = 0.04
"""Channels that changed alike."""
_LAMPS = {"BF": "bright-field lamp", "DF": "dark-field lamp", "TX": "transmission lamp"}
_EVERY_LINE, _EVERY_COLUMN = 16, 8
_TEXTURE_COLUMNS = 4096
_FINE_PX, _NEAR_PX, _FAR_PX = 1, 2, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """Texture of one strip, by channel."""

    fineness: tuple[float, ...]
    """Share of it that is finer than two pixels."""
    roughness: tuple[float, ...]
    """Standard deviation from pixel to pixel over the grey, noise included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that has changed."""

    what: str
    """Names it, for telling one state from another."""
    state: Literal["ok", "drifting", "fault"]
    text: str


def strip_level(planes: NDArray[np.uint8]) -> tuple[float, ...]:
    """Mean grey of the film on a strip, by channel.

    Args:
        planes: shape (channels, lines, width).
    """
    # Defects are short or narrow: the median over lines does not see the one, the mean over columns hardly the other.
    return tuple(float(np.median(plane[::_EVERY_LINE, ::_EVERY_COLUMN], axis=0).mean()) for plane in planes)


def strip_texture(planes: NDArray[np.uint8]) -> Texture:
    """Texture of the film on a strip.

    Args:
        planes: shape (channels, lines, width).
    """
    begin = max(0, (planes.shape[2] - _TEXTURE_COLUMNS) // 2)
    fineness, roughness = [], []
    for plane in planes:
        few = plane[::_EVERY_LINE, begin : begin + _TEXTURE_COLUMNS].astype(np.float32)
        fine, near, far = (_change(few, step) for step in (_FINE_PX, _NEAR_PX, _FAR_PX))
        # White noise adds the same to all three, so that it is in no difference of them.
        fineness.append((near - fine) / (far - fine) if far > fine + 1e-3 else 0.0)
        roughness.append((fine / 2) ** 0.5 / max(float(few.mean()), 1.0))
    return Texture(fineness=tuple(fineness), roughness=tuple(roughness))


def light_findings(
    level: Mapping[str, float], worse: Mapping[str, float], since: str, drift: float = DRIFT_FRACTION
) -> list[Finding]:
    """What has changed in the light.

    Args:
        level: by channel, over that of the reference.
        worse: by channel, by how much the smallest detectable size has grown, as a share; absent: not known.
        since: when the reference was taken, in words: "when calibrated".
        drift: change above which something is said.
    """
    moved = {channel: value - 1 for channel, value in level.items() if abs(value - 1) > drift}
    if not moved:
        return []
    reflected = {channel: change for channel, change in moved.items() if channel != "TX"}
    # Without transmission, what moved alike may as well be the film's surface.
    if len(level) > len(reflected) > 0 and len(moved) == len(level) and np.ptp(list(moved.values())) < _LIKE_FRACTION:
        change = float(np.mean(list(moved.values())))
        return [
            Finding(
                what="all channels",
                state=_state(change),
                text=f"all channels at {1 + change:.0%} of their level {since}: exposure, aperture or a dirty window; "
                f"a measurement fault, not the film{_worse(max(worse.values(), default=None))}: recalibrate",
            )
        ]
    found = [_through(moved["TX"])] if "TX" in moved else []
    if len(reflected) > 1 and np.ptp(list(reflected.values())) < _LIKE_FRACTION:
        change = float(np.mean(list(reflected.values())))
        return [
            Finding(
                what="reflection",
                state="drifting" if abs(change) <= LOST_FRACTION else "fault",
                text=f"{' and '.join(reflected)} both at {1 + change:.0%} of their level {since}: the film's surface, "
                "or both lamps: the reference tile tells which",
            ),
            *found,
        ]
    lamps = [
        Finding(
            what=f"lamp {channel}",
            state=_state(change),
            text=f"{_LAMPS.get(channel, channel + ' lamp')} at {1 + change:.0%} of its level {since}: a measurement "
            f"fault, not the film{_worse(worse.get(channel))}: recalibrate",
        )
        for channel, change in reflected.items()
    ]
    return [*lamps, *found]


def focus_finding(fineness: Mapping[str, float], since: str, coarser: float = COARSER_FRACTION) -> list[Finding]:
    """Whether the texture of the film has become coarser in every channel that shows it.

    Args:
        fineness: by channel, over that of the reference.
        since: when the reference was taken, in words.
        coarser: loss above which it is said.
    """
    values = [value for channel, value in fineness.items() if channel != "DF"]
    if not values or max(values) > 1 - coarser:
        return []
    text = (
        f"film looks coarser than {since}, {1 - float(np.mean(values)):.0%} of its fine texture is gone: the lens is "
        "out of focus, or the film is of another grain: the reference tile tells which"
    )
    return [Finding(what="focus", state="drifting", text=text)]


def a50_growth(roughness: float, reference: float) -> float:
    """By how much the smallest detectable size has grown, as a share.

    What is smaller than a pixel changes its grey in proportion to its area, and stands out against the roughness.
    """
    return max(0.0, float(np.sqrt(roughness / reference)) - 1) if reference > 0 else 0.0


def roughness_at(roughness: float, level: float, other_level: float, noise_grey: float) -> float:
    """Roughness of the same film under another light, in which the camera's noise weighs more or less."""
    texture = max(roughness**2 - (noise_grey / max(level, 1.0)) ** 2, 0.0)
    return float(np.sqrt(texture + (noise_grey / max(other_level, 1.0)) ** 2))


def middle(rows: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """The median over strips, by channel."""
    return tuple(float(value) for value in np.median(np.array(rows), axis=0))


def _change(grey: NDArray[np.float32], step: int) -> float:
    """Mean squared difference of pixels that lie so far from each other across the web."""
    difference = (grey[:, step:] - grey[:, :-step]).ravel()
    return float(difference @ difference) / difference.size


def _through(change: float) -> Finding:
    direction = "thicker" if change < 0 else "thinner"
    much = "some percent" if abs(change) <= FAULT_FRACTION else "a fifth or more"
    return Finding(
        what="transmission",
        state="ok" if abs(change) <= FAULT_FRACTION else "drifting" if abs(change) <= LOST_FRACTION else "fault",
        text=f"transmission at {1 + change:.0%} while reflection is steady: film {direction} by {much}, or the "
        "transmission lamp: compare with S05.ArealMass",
    )


def _state(change: float) -> Literal["drifting", "fault"]:
    return "fault" if abs(change) > FAULT_FRACTION else "drifting"


def _worse(share: float | None) -> str:
    if share is None:
        return ""
    return f"; detection a50 up by about {share:.0%}" if share >= 0.005 else "; detection a50 as before"

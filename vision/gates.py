"""What good film looks like to one camera, learnt from the film itself, and the gates that follow from it.

Level and spread of each column come from the first strips by medians over lines, so that a defect in them is outvoted;
a line along the web, which fills its columns, is recognised by its narrow bump across the web and bridged, unless the
strips differ so much at its place that a patch of gloss explains it. Afterwards only the light is followed, one number
per channel: a profile that could follow would learn a slow streak.

The gates stand where the tolerated number of false alarms per m² is expected, by a Gaussian whose tail is stretched to
the one that was measured, and further out by as much as the stretch was seen to grow: grain and gloss are skewed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from line.errors import UnusableFrameError
from vision.bridging import bridged, level_error
from vision.pyramid import (
    QUARTER,
    SCALES_PX,
    STREAK_STRIPS,
    STREAK_WIDTHS,
    Floats,
    block_means,
    column_profile,
    quarter,
    relative_change,
    scale_maps,
    widened,
)
from vision.tails import gaussian, robust_sigma, stretched, tail_stretch
from vision.wander import Wander

log = logging.getLogger(__name__)

_SAMPLED_LINES = 160
_TAIL_STRIPS = 4
"""Strips that tails are measured on; the median of four is enough for a quantile."""
_TAIL_SHARE = (1e-4, 1e-3, 1e-3, 1e-2, 1e-2)
"""Share of values beyond which a tail is compared with a Gaussian: pixels, then each of `SCALES_PX`."""
_TRIED_PX = (4, 4, 16, 32)
"""Side of the square in which each of the maps is tried once: that over 12 px is a running mean."""
_DARKEST_LEVEL = 8.0
_BRIGHTEST_LEVEL = 250.0
_WIDEST_BUMP_PX = 151
_EDGE_PX = 400
_GAIN_JUMP_FRACTION = 0.03
_GAIN_SHARE = 0.05
_GAIN_STEP_FRACTION = 0.004
_LAMP_STRIPS = 16
_LAMP_SHAPE_FRACTION = 0.04
_LAMP_RANGE = (0.5, 1.6)
_SHARE_OF_PIXELS, _SHARE_OF_MAPS = 0.5, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmLook:
    """Good film, per channel in the order of the frame's."""

    level: Floats
    """Shape (channels, width), grey."""
    spread: Floats
    """Shape (channels, width), standard deviation of grey over lines."""
    quarter_level: Floats
    """Shape (channels, width // 4)."""
    scale_sigma: Floats
    """Shape (channels, 4): standard deviation of each of `pyramid.scale_maps`."""
    tail: Floats
    """Shape (channels, 5, 2): how much longer than a Gaussian's the tail is, of pixels and of each map, farther in and
    farther out."""
    streak_sigma: Floats
    """Shape (channels, 4): standard deviation over one strip for each of `pyramid.STREAK_WIDTHS`."""
    strip_lines: int
    strips_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Deviations above which something is a candidate, in the standard deviations of `FilmLook`."""

    pixel: Floats
    """Shape (channels,)."""
    scale: Floats
    """Shape (channels, 4)."""
    streak: Floats
    """Shape (4,)."""


def learnt_look(strips: Sequence[NDArray[np.uint8]]) -> FilmLook:
    """What good film looks like, from some strips of ordinary film.

    Args:
        strips: each (channels, lines, width), of equal shape, the more the better; 8 of 256 lines are enough.

    Raises:
        UnusableFrameError: a channel is dark or saturated, so this is no film under light.
    """
    levels, spreads, tails = zip(*(_columns(strips, channel) for channel in range(len(strips[0]))), strict=True)
    level, spread = np.stack(levels), np.stack(spreads)
    middle = np.median(level, axis=1)
    if middle.min() < _DARKEST_LEVEL or middle.max() > _BRIGHTEST_LEVEL:
        raise UnusableFrameError(
            f"film of grey {', '.join(f'{grey:.0f}' for grey in middle)} cannot be learnt from "
            f"({_DARKEST_LEVEL:.0f} to {_BRIGHTEST_LEVEL:.0f} needed): check lamps, exposure and what is in view"
        )
    quarters = [[quarter(plane) for plane in strip] for strip in strips]
    quarter_level = np.stack([_quarter_level([planes[k] for planes in quarters]) for k in range(len(level))])
    scale_sigma, scale_tail, streak_sigma = zip(
        *(_scales([planes[k] for planes in quarters], quarter_level[k]) for k in range(len(level))), strict=True
    )
    return FilmLook(
        level=level,
        spread=spread,
        quarter_level=quarter_level,
        scale_sigma=np.stack(scale_sigma),
        tail=np.concatenate([np.stack(tails)[:, None], np.stack(scale_tail)], axis=1),
        streak_sigma=np.stack(streak_sigma),
        strip_lines=strips[0].shape[1],
        strips_count=len(strips),
    )


def limits_for(look: FilmLook, *, candidates_per_m2: float, streaks_per_m2: float, pixel_um: float) -> Limits:
    """Where the gates stand so that good film gives about so many alarms.

    Args:
        candidates_per_m2: tolerated at pixels and maps together; the classifier sorts most of them out.
        streaks_per_m2: tolerated at the column test, which nothing sorts out after it.
        pixel_um: side of a pixel on the film.
    """
    channels = len(look.level)
    pixel_m2 = (pixel_um * 1e-6) ** 2
    pixel_rate = _SHARE_OF_PIXELS * candidates_per_m2 / channels
    scale_rate = _SHARE_OF_MAPS * candidates_per_m2 / channels / len(SCALES_PX)
    pixel = [stretched(pixel_rate * pixel_m2, _TAIL_SHARE[0], tail) for tail in look.tail[:, 0]]
    scale = [
        [
            stretched(scale_rate * side**2 * pixel_m2, share, tail)
            for side, share, tail in zip(_TRIED_PX, _TAIL_SHARE[1:], tails, strict=True)
        ]
        for tails in look.tail[:, 1:]
    ]
    streak_rate = streaks_per_m2 / channels / len(STREAK_WIDTHS) / len(STREAK_STRIPS)
    column_m2 = QUARTER * look.strip_lines * pixel_m2
    streak = [gaussian(streak_rate * width * column_m2) for width in STREAK_WIDTHS]
    return Limits(
        pixel=np.array(pixel, np.float32), scale=np.array(scale, np.float32), streak=np.array(streak, np.float32)
    )


class Gates:
    """Per-column limits for a camera, under the present light."""

    def __init__(self, look: FilmLook, limits: Limits, *, margin_px: int = 0, pixel_um: float = 20.0) -> None:
        """Gates around a look.

        Args:
            margin_px: at either edge, that are not judged because the web wanders there.
            pixel_um: side of a pixel on the film.
        """
        self.look = look
        self.limits = limits
        self.margin = -(-margin_px // QUARTER)
        """Cells of the quarter image that are not judged at either edge."""
        self.gain: Floats = np.ones(len(look.level), np.float32)
        """Light of each channel against that under which the film was learnt, followed slowly."""
        self.wander = Wander(look.quarter_level, self.margin, pixel_um)
        self.quarter_level: Floats = look.quarter_level
        """As in the look, with the edges of the coat where the web lies in the present strip."""
        self._column_gain: Floats = np.zeros(len(look.level), np.float32)
        self._columns: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = [
            (np.empty(0, np.uint8), np.empty(0, np.uint8)) for _ in look.level
        ]
        self._jumped: list[Floats] = []

    def light(self, quarters: Sequence[NDArray[np.uint8]]) -> Floats:
        """The gain under which a strip is judged, shape (channels,).

        It is the strip's own while that lies near the followed one; a strip whose grey jumps is judged under the
        followed gain and so stands out, until a whole run of strips has jumped alike without changing its profile
        across the web: then it was the lamp.
        """
        ratios = [_column_means(plane) / level for plane, level in zip(quarters, self.look.quarter_level, strict=True)]
        found: Floats = np.array([np.median(ratio) for ratio in ratios], np.float32)
        self.quarter_level = self.wander.followed(
            np.asarray(np.stack(ratios) / np.maximum(found, 1e-3)[:, None], np.float32)
        )
        if np.all(np.abs(found / self.gain - 1) < _GAIN_JUMP_FRACTION):
            self._jumped.clear()
            self.gain = self.gain + np.float32(_GAIN_SHARE) * (found - self.gain)
            return found
        uneven = max(
            float(np.median(np.abs(ratio / gain - 1))) for ratio, gain in zip(ratios, found, strict=True) if gain
        )
        plausible = _LAMP_RANGE[0] < found.min() and found.max() < _LAMP_RANGE[1] and uneven < _LAMP_SHAPE_FRACTION
        if not plausible or (self._jumped and np.any(np.abs(found / self._jumped[-1] - 1) > _GAIN_JUMP_FRACTION)):
            self._jumped.clear()
        if plausible:
            self._jumped.append(found)
        if len(self._jumped) < _LAMP_STRIPS:
            return self.gain
        log.warning("light changed from %s to %s of what was learnt, now followed", self.gain.round(3), found.round(3))
        self._jumped.clear()
        self.gain = found
        return found

    def columns(self, channel: int, gain: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Lowest and highest grey of good pixels by column, each of shape (width,)."""
        if abs(gain - self._column_gain[channel]) > _GAIN_STEP_FRACTION:
            level = self.look.level[channel] * gain
            reach = self.limits.pixel[channel] * self.look.spread[channel] * gain
            low = np.clip(np.floor(level - reach), 0, 255).astype(np.uint8)
            high = np.clip(np.ceil(level + reach), 0, 255).astype(np.uint8)
            self._columns[channel] = (low, high)
            self._column_gain[channel] = gain
        return self._columns[channel]


def _column_means(plane: NDArray[np.uint8]) -> Floats:
    sums = cv2.reduce(plane, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
    return np.asarray(sums / np.float32(len(plane)), np.float32)


def _columns(strips: Sequence[NDArray[np.uint8]], channel: int) -> tuple[Floats, Floats, Floats]:
    """Level and spread of each column, and the stretch of the pixels' tail."""
    every = max(1, -(-sum(strip.shape[1] for strip in strips) // _SAMPLED_LINES))
    sampled = [strip[channel, every // 2 :: every] for strip in strips]
    lines = np.concatenate(sampled)
    columns = np.ascontiguousarray(lines.T)
    middle = len(lines) // 2
    median = np.partition(columns, middle, axis=1)[:, middle].astype(np.float32)
    offset = columns.astype(np.float32)
    offset -= median[:, None]
    # The median of a uint8 column is a whole grey level: refine both figures on what lies within 4 rough deviations.
    rough = _smooth(np.sqrt(np.minimum(offset**2, 25.0**2).mean(axis=1)), 101)
    reach = np.maximum(4 * float(np.median(rough)), 2.5)
    inside = np.abs(offset) <= reach
    count = np.maximum(inside.sum(axis=1), 1)
    mean = (offset * inside).sum(axis=1) / count
    offset -= mean[:, None]
    variance = (offset**2 * inside).sum(axis=1) / count
    level = np.asarray(median + mean, np.float32)
    by_strip = np.stack([part.mean(axis=0, dtype=np.float32) for part in sampled])
    level = bridged(level, _WIDEST_BUMP_PX, _EDGE_PX, level_error(by_strip, level))
    spread = np.maximum(_smooth(np.sqrt(variance), 401), 0.3)
    deviation = np.abs(offset[::2] / spread[::2, None])
    tail = tail_stretch([deviation], _TAIL_SHARE[0])
    return level, spread, tail


def _quarter_level(planes: Sequence[NDArray[np.uint8]]) -> Floats:
    """Grey of each column of the quarter image: the median over strips, each under its own light."""
    # Blocks of lines, so that a hole that lies at one place across the web in every strip is outvoted too.
    blocks = [block_means(np.asarray(plane, np.float32)) for plane in planes]
    profiles = np.concatenate(blocks)
    common = np.median(profiles, axis=0)
    gains = np.median(profiles / np.maximum(common, 1), axis=1)
    profiles /= np.maximum(gains, 1e-3)[:, None]
    steady = np.asarray(np.median(profiles, axis=0), np.float32)
    ends = np.cumsum([len(block) for block in blocks])[:-1]
    by_strip = np.stack([np.median(strip, axis=0) for strip in np.split(profiles, ends)]).astype(np.float32)
    return bridged(steady, _WIDEST_BUMP_PX // QUARTER, _EDGE_PX // QUARTER, level_error(by_strip, steady))


def _scales(planes: Sequence[NDArray[np.uint8]], level: Floats) -> tuple[Floats, Floats, Floats]:
    """Sigma and tail of each map, sigma of each streak width."""
    maps: list[tuple[Floats, ...]] = []
    profiles: list[tuple[Floats, ...]] = []
    for plane in planes:
        gain = float(np.median(plane.mean(axis=0, dtype=np.float32) / level))
        change = relative_change(plane, level, gain)
        maps.append(scale_maps(change))
        profiles.append(widened(column_profile(block_means(change))))
    by_scale = list(zip(*maps, strict=True))
    sigma = np.array([np.median([robust_sigma(image) for image in images]) for images in by_scale], np.float32)
    tail = [
        tail_stretch([np.abs(image) / size for image in images[:_TAIL_STRIPS]], share)
        for images, size, share in zip(by_scale, sigma, _TAIL_SHARE[1:], strict=True)
    ]
    # The level was learnt from these very strips, so that their profiles scatter less than those to come.
    count = len(planes)
    widening = np.sqrt((count + np.pi / 2) / (count - 1)) if count > 1 else 1.6
    streak = [widening * np.median([robust_sigma(row) for row in rows]) for rows in zip(*profiles, strict=True)]
    return sigma, np.stack(tail), np.array(streak, np.float32)


def _smooth(values: Floats, window: int) -> Floats:
    """Median in coarse steps, then linear: what neighbouring columns share."""
    step = min(max(1, window // 8), values.size)
    blocks = max(1, values.size // step)
    medians = np.asarray(np.median(values[: blocks * step].reshape(blocks, step), axis=1), np.float32)
    padded = np.pad(medians, 4, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 9), axis=-1).astype(np.float32)
    return np.asarray(cv2.resize(smooth[None], (values.size, 1), interpolation=cv2.INTER_LINEAR)[0], np.float32)

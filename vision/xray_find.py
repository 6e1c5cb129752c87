"""Where in an X-ray picture a stack of plates is: by its lines, which nothing else in the picture repeats so often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from line.errors import UnusableFrameError

CANONICAL_SPACING_PX = 10.0
"""Everything after the search works on a copy in which two plates are this far apart, whatever the camera."""

_WINDOW_ROWS = 96
_HOP_ROWS = 8
_STRIP_COLUMNS = 8
_STRIPS_AT_ONCE = 64
_SPACING_RANGE_PX = (4.0, 16.0)
_LARGEST_SEARCHED_SIDE_PX = 4096
_AMPLITUDE_CAP_GREY = 20.0
_LEAST_SCORE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSeed:
    """A place inside the stack and the spacing of the plates there, in pixels of the picture."""

    x_px: float
    y_px: float
    spacing_px: float
    score: float
    """Share of the line energy in one period times its amplitude in grey levels, at most 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackView:
    """The surroundings of the stack, resampled to the canonical spacing, with the free ends to the right.

    ``grey`` is float32 of shape (rows, columns). ``scale`` is canonical pixels per picture pixel.
    """

    grey: NDArray[np.float32]
    scale: float
    centre_x_px: float
    centre_y_px: float
    body_side: Literal["left", "right"]

    def picture_xy(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Picture coordinates of view coordinates, both of shape (n, 2) as x, y with 0 at a pixel's centre."""
        rows, columns = self.grey.shape
        sign = 1.0 if self.body_side == "left" else -1.0
        out = np.empty_like(xy)
        out[:, 0] = self.centre_x_px + sign * (xy[:, 0] - (columns - 1) / 2) / self.scale
        out[:, 1] = self.centre_y_px + (xy[:, 1] - (rows - 1) / 2) / self.scale
        return out


def stack_seed(image: NDArray[np.uint8]) -> StackSeed:
    """The place with the strongest periodic horizontal lines, over all scales of the picture.

    Short-time Fourier transform down narrow columns, octave by octave: plates put most of their line
    energy into one period over many periods, while an edge, a screw thread, a fork or noise does not.

    Args:
        image: shape (height, width), grey. Sides above 4,096 px are searched on a reduced copy, on which
            the plates must still be 4 px apart.

    Raises:
        UnusableFrameError: nothing in the picture repeats like plates do.
    """
    longest = max(image.shape)
    octave = 0
    while longest / 2**octave > _LARGEST_SEARCHED_SIDE_PX:
        octave += 1
    best: StackSeed | None = None
    while min(image.shape) / 2**octave >= _WINDOW_ROWS * 0.75:
        reduction = 2.0**octave
        level = image
        if octave:
            size = (max(1, round(image.shape[1] / reduction)), max(1, round(image.shape[0] / reduction)))
            level = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        found = _strongest_period(level)
        if found is not None and (best is None or found.score > best.score):
            best = StackSeed(
                x_px=(found.x_px + 0.5) * reduction - 0.5,
                y_px=(found.y_px + 0.5) * reduction - 0.5,
                spacing_px=found.spacing_px * reduction,
                score=found.score,
            )
        octave += 1
    if best is None:
        raise UnusableFrameError(
            f"picture of {image.shape[1]}x{image.shape[0]} px is too small to hold a stack: "
            f"give at least {_WINDOW_ROWS}x{_WINDOW_ROWS} px"
        )
    if best.score < _LEAST_SCORE:
        raise UnusableFrameError(
            f"no stack of plates found: the strongest repeating line pattern scores {best.score:.1f}, "
            f"a stack needs {_LEAST_SCORE}; check that the picture is an X-ray side view with horizontal plates"
        )
    return best


def stack_view(
    image: NDArray[np.uint8],
    seed: StackSeed,
    *,
    half_height_spacings: float,
    half_width_spacings: float,
    body_side: Literal["left", "right"],
) -> StackView:
    """Resample the surroundings of the seed; outside the picture the border is repeated."""
    scale = CANONICAL_SPACING_PX / seed.spacing_px
    rows = 2 * round(half_height_spacings * CANONICAL_SPACING_PX)
    columns = 2 * round(half_width_spacings * CANONICAL_SPACING_PX)
    half_x, half_y = columns / 2 / scale + 2 / scale, rows / 2 / scale + 2 / scale
    x0, x1 = max(0, int(seed.x_px - half_x)), min(image.shape[1], int(seed.x_px + half_x) + 2)
    y0, y1 = max(0, int(seed.y_px - half_y)), min(image.shape[0], int(seed.y_px + half_y) + 2)
    part = image[y0:y1, x0:x1].astype(np.float32)
    if scale < 1:
        # Linear sampling below full size would alias; the cut-off follows the reduction.
        sigma = 0.35 * float(np.sqrt(1 / scale**2 - 1))
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), sigmaX=sigma), dtype=np.float32)
    sign = 1.0 if body_side == "left" else -1.0
    to_picture = np.array([
        [sign / scale, 0.0, seed.x_px - x0 - sign * (columns - 1) / 2 / scale],
        [0.0, 1 / scale, seed.y_px - y0 - (rows - 1) / 2 / scale],
    ])
    grey = cv2.warpAffine(
        part,
        to_picture,
        (columns, rows),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return StackView(
        grey=np.asarray(grey, dtype=np.float32),
        scale=scale,
        centre_x_px=seed.x_px,
        centre_y_px=seed.y_px,
        body_side=body_side,
    )


def _strongest_period(level: NDArray[np.uint8]) -> StackSeed | None:
    height, width = level.shape
    strips = width // _STRIP_COLUMNS
    window = min(_WINDOW_ROWS, height)
    if strips < 3 or height < window:
        return None
    columns = level[:, : strips * _STRIP_COLUMNS].reshape(height, strips, _STRIP_COLUMNS).mean(2, dtype=np.float32)
    starts = np.arange(0, height - window + 1, _HOP_ROWS)
    score = np.empty((len(starts), strips), np.float32)
    spacing = np.empty((len(starts), strips), np.float32)
    for first in range(0, strips, _STRIPS_AT_ONCE):
        part = slice(first, min(first + _STRIPS_AT_ONCE, strips))
        score[:, part], spacing[:, part] = _line_score(columns[:, part], starts, window)
    score = np.asarray(cv2.blur(score, (3, 5), borderType=cv2.BORDER_CONSTANT), dtype=np.float32)
    frame, strip = np.unravel_index(int(score.argmax()), score.shape)
    near = spacing[max(0, frame - 2) : frame + 3, max(0, strip - 1) : strip + 2]
    return StackSeed(
        x_px=(float(strip) + 0.5) * _STRIP_COLUMNS - 0.5,
        y_px=float(starts[frame]) + (window - 1) / 2,
        spacing_px=float(np.median(near)),
        score=float(score[frame, strip]),
    )


def _line_score(
    columns: NDArray[np.float32], starts: NDArray[np.int64], window: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Score and spacing per window and strip, each of shape (windows, strips)."""
    frames = np.lib.stride_tricks.sliding_window_view(columns, window, axis=0)[starts]
    frames = frames - frames.mean(2, keepdims=True)
    slope = np.linspace(-1.0, 1.0, window, dtype=np.float32)
    frames = frames - (frames @ slope)[..., None] / (slope @ slope) * slope
    length = 2 * _WINDOW_ROWS
    spectrum = np.fft.rfft(frames * np.hanning(window).astype(np.float32), n=length, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) * (4.0 / window) ** 2
    period = np.r_[np.inf, length / np.arange(1, power.shape[2])]
    candidates = np.flatnonzero((period >= _SPACING_RANGE_PX[0]) & (period <= _SPACING_RANGE_PX[1]))
    peak = candidates[power[:, :, candidates].argmax(2)]
    total = power[:, :, period <= 40.0].sum(2) + 1e-6
    running = np.cumsum(power, axis=2)
    upper = np.minimum(peak + 3, power.shape[2] - 1)[..., None]
    around = np.take_along_axis(running, upper, 2) - np.take_along_axis(running, peak[..., None] - 4, 2)
    amplitude = np.sqrt(np.take_along_axis(power, peak[..., None], 2)[..., 0])
    # The cap keeps one very dark object from outbidding the many lines of the stack.
    score = around[..., 0] / total * np.minimum(amplitude, _AMPLITUDE_CAP_GREY)
    return score.astype(np.float32), period[peak].astype(np.float32)

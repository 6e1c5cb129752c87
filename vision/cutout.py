"""A spot cut out of its strip with the film around it, per channel and smoothed as much as it needs."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from line.defect_rows import DefectClass
from vision.gates import Gates
from vision.pyramid import QUARTER, Floats
from vision.screening import Screened, Spot

_MARGIN_PX = 14
_WIDEST_FINE_PX = 160
"""A spot that is larger is measured on the quarter image."""
_SMOOTHING_PX = (0.7, 2.0, 5.0, 12.0)
"""Tried in turn until the core stands out; large clouds are fainter than the grain of the film."""
_CLEAR_RATIO = 9.0
_LEAST_TRANSMISSION = 0.2
"""Core contrast of a class from which transmission is the channel to measure in: it sees film, not gloss or shade."""
_TRANSMISSION_SHARE = 0.3
"""Of the clearest channel's clarity; below it, transmission is too faint to measure in."""
_THROUGH_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A spot cut out, per channel relative to the film around it."""

    changes: tuple[Floats, ...]
    around: NDArray[np.bool_]
    """Where there is film and no spot."""
    inner: tuple[slice, slice]
    """The spot in the cut."""
    top: int
    left: int
    step: int
    """Full-resolution pixels a cell."""
    through: bool
    """From the first line of the strip to the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One channel of a cut, smoothed as much as its core needs."""

    smooth: Floats
    noise: float
    """Standard deviation of `smooth` where there is film."""
    smoothing: float

    def clarity(self, inner: tuple[slice, slice]) -> float:
        """Highest change over the noise."""
        return float(np.abs(self.smooth[inner]).max()) / self.noise


def cut_out(planes: NDArray[np.uint8], found: Screened, gates: Gates, spot: Spot) -> Cut:
    """A spot of a strip, coarser when it is large.

    Args:
        planes: shape (channels, lines, width).
        found: of these planes.
        gates: of the camera.
        spot: of `found`.
    """
    through = spot.height >= planes.shape[1] // QUARTER * QUARTER
    wide = spot.width if through else max(spot.width, spot.height)
    step = QUARTER if wide > _WIDEST_FINE_PX else 1
    margin = _MARGIN_PX + wide // 3 // step
    height, width = (size // step for size in planes.shape[1:])
    top, bottom = max(0, spot.row_start // step - margin), min(height, -(-spot.row_end // step) + margin)
    left, right = max(0, spot.column_start // step - margin), min(width, -(-spot.column_end // step) + margin)
    inner = (
        slice(spot.row_start // step - top, -(-spot.row_end // step) - top),
        slice(spot.column_start // step - left, -(-spot.column_end // step) - left),
    )
    around = np.ones((bottom - top, right - left), bool)
    around[max(0, inner[0].start - 3) : inner[0].stop + 3, max(0, inner[1].start - 3) : inner[1].stop + 3] = False
    if not around.any():
        around[:] = True
    changes = []
    for channel, plane in enumerate(planes):
        if step == 1:
            level = gates.look.level[channel, left:right] * found.gain[channel]
            change = plane[top:bottom, left:right] / level - 1
        else:
            change = found.changes[channel][top:bottom, left:right]
        changes.append(np.asarray(change - np.median(change[around]), np.float32))
    return Cut(changes=tuple(changes), around=around, inner=inner, top=top, left=left, step=step, through=through)


def view_of(change: Floats, cut: Cut) -> View:
    """Smoothed until the core stands out, by no more than a sixth of the spot."""
    side = min(part.stop - part.start for part in cut.inner)
    view = None
    for smoothing in _SMOOTHING_PX:
        if view is not None and smoothing > side / 6:
            break
        smooth = np.asarray(cv2.GaussianBlur(change, (0, 0), smoothing), np.float32)
        if cut.through:
            smooth = np.asarray(cv2.blur(smooth, (1, _THROUGH_ROWS)), np.float32)
        film = smooth[cut.around]
        noise = 1.4826 * float(np.median(np.abs(film - np.median(film)))) + 1e-4
        view = View(smooth=smooth, noise=noise, smoothing=smoothing)
        if view.clarity(cut.inner) > _CLEAR_RATIO:
            break
    assert view is not None
    return view


def channel_of(cut: Cut, views: list[View], row: DefectClass | None, transmission: int | None) -> int:
    """Transmission where the class shows in it and this defect does, else where it stands out most.

    Args:
        transmission: number of that channel; None where the camera does not have it.
    """
    clarity = [view.clarity(cut.inner) for view in views]
    best = int(np.argmax(clarity))
    if transmission is None or row is None or abs(row.contrast_tx or 0.0) < _LEAST_TRANSMISSION:
        return best
    return transmission if clarity[transmission] > max(6, _TRANSMISSION_SHARE * clarity[best]) else best

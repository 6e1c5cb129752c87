"""Where the web runs: how far it lies beside its place, and what good film looks like there.

The bead at either edge of the coat moves with the web, the camera's own profile does not. One number for both edges and
all channels is fitted to each strip, so that nothing but a shift of the learnt bead can be taken for one: a line along
the web beside the edge stays a line.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.pyramid import QUARTER, Floats

ZONE_UM = 12_000
"""At either edge, in which the coat has a bead."""
_REACH_UM = 1_200
"""As far as the web is followed; less than the margin that is not judged, in which its edge then lies."""
_STEP_CELLS = 0.5
_SMOOTHING_CELLS = 3.0
_FOLLOWED = 0.25
"""Of what a strip shows: the film's own clouds average out over some strips, in which a web hardly moves."""
_BETTER_FRACTION = 0.04
"""A shift must explain so much of what has changed at either edge, or the web is taken to be in its place: a cloud at
one edge moves no web."""
_BARE_FRACTION = 0.3
"""Change at the border of the picture that is bare liner."""


class Wander:
    """Follows the web's shift across the camera.

    Args:
        level: shape (channels, columns), grey of good film at a quarter, as learnt.
        margin: cells at either edge that are not judged.
        pixel_um: of the camera.
    """

    def __init__(self, level: Floats, margin: int, pixel_um: float) -> None:
        cell_um = QUARTER * pixel_um
        zone = min(round(ZONE_UM / cell_um), level.shape[1] // 4)
        reach = min(_REACH_UM / cell_um, max(margin - 1, 0))
        self._cell_um = cell_um
        self._level = level
        self._sides = (slice(margin, zone), slice(level.shape[1] - zone, level.shape[1] - margin))
        self._shifts = np.arange(-reach, reach + _STEP_CELLS / 2, _STEP_CELLS)
        self._shift = 0.0
        self._changes: list[Floats] = []
        self.bare_um = 0
        """Of the picture that shows liner beside the coat, at the wider side."""
        # Without room to follow, as where the picture is narrower than four zones, nothing is followed.
        self._looks = [_moved(level, side, self._shifts, zone) for side in self._sides] if zone - margin >= 8 else []

    @property
    def shift_um(self) -> int:
        """Where the web lies, to the right of where it lay when film was learnt."""
        return round(self._shift * self._cell_um)

    def followed(self, ratios: Floats) -> Floats:
        """Grey of good film for a strip, shape (channels, columns), its edges moved with the web.

        Args:
            ratios: shape (channels, columns), column means over the level as learnt and the present light.
        """
        self.bare_um = round(self._cell_um * max(_bare(ratios), _bare(ratios[:, ::-1])))
        if not self._looks or len(self._shifts) < 3:
            return self._level
        found = [np.log(np.maximum(ratios[:, side], 1e-3)) for side in self._sides]
        self._changes = (
            [before + _FOLLOWED * (change - before) for before, change in zip(self._changes, found, strict=True)]
            if self._changes
            else found
        )
        misfits = [
            np.abs(look - change).sum(axis=(1, 2)) for look, change in zip(self._looks, self._changes, strict=True)
        ]
        best, still = int(np.argmin(sum(misfits))), len(self._shifts) // 2
        agreed = all(misfit[best] < (1 - _BETTER_FRACTION) * misfit[still] for misfit in misfits)
        nearest = best if agreed else still
        self._shift = float(self._shifts[nearest])
        if nearest == still:
            return self._level
        level = self._level.copy()
        for side, look in zip(self._sides, self._looks, strict=True):
            level[:, side] *= np.exp(look[nearest])
        return level


def _moved(level: Floats, side: slice, shifts: NDArray[np.float64], zone: int) -> Floats:
    """Change of log grey on one side by each shift of the coat, shape (shifts, channels, cells)."""
    logs = np.log(np.maximum(level, 1.0)).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(logs, (0, 0), sigmaX=_SMOOTHING_CELLS, sigmaY=1e-6), np.float32)
    columns = np.arange(level.shape[1], dtype=np.float64)
    own = columns[side]
    found = np.empty((len(shifts), len(level), len(own)), np.float32)
    for channel, row in enumerate(smooth):
        # The light falls off towards the edges and stays where it is: only what it leaves moves with the web.
        light = np.polynomial.Polynomial.fit(columns[zone:-zone], row[zone:-zone], 2)
        coat = row - light(columns)
        for number, shift in enumerate(shifts):
            found[number, channel] = np.interp(own - shift, columns, coat) - coat[side]
    return found


def _bare(ratios: Floats) -> int:
    """Cells from the left border on that show liner in some channel."""
    beside = np.abs(ratios - 1).max(axis=0) > _BARE_FRACTION
    return int(np.argmin(beside)) if not beside.all() else len(beside)

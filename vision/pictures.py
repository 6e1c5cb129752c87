"""The evidence picture of a defect: its channels side by side, the spot outlined.

Grey is stretched by fixed figures about the film's own level, so that the same contrast looks the same in every
picture and a harmless one does not look grave.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.gates import Gates
from vision.pyramid import QUARTER
from vision.screening import Screened, Spot

_STRETCH = {"BF": (128.0, 400.0), "DF": (56.0, 64.0), "TX": (96.0, 160.0)}
"""Grey of good film in the picture, and grey per unit of relative change."""
_OTHER_STRETCH = (128.0, 160.0)
_LEAST_PX, _MOST_PX = 96, 256
_GAP_PX = 4
_PAPER = (34, 30, 28)
_OUTLINE = (64, 176, 255)
"""Amber, in the order blue, green, red."""


def evidence_png(
    planes: NDArray[np.uint8],
    found: Screened,
    gates: Gates,
    spot: Spot,
    *,
    channels: Sequence[str] = ("BF", "DF", "TX"),
) -> bytes:
    """A PNG of a spot with its surroundings, every channel `_LEAST_PX` to `_MOST_PX` pixels wide.

    Small spots are shown at twice the resolution, large ones at a quarter of it.

    Args:
        planes: shape (channels, lines, width).
        found: of these planes.
        gates: of the camera.
        spot: of `found`.
        channels: of the camera, in the order of its planes.
    """
    largest = max(spot.width, min(spot.height, planes.shape[1]))
    step = QUARTER if largest > _MOST_PX - 64 else 1
    side = int(np.clip(2 * largest // step, _LEAST_PX, _MOST_PX))
    height, width = (size // step for size in planes.shape[1:])
    rows = _window((spot.row_start + spot.row_end) // (2 * step), side, height)
    columns = _window((spot.column_start + spot.column_end) // (2 * step), side, width)
    zoom = 2 if side <= _MOST_PX // 2 else 1
    corners = (
        ((spot.column_start // step - columns.start) * zoom - 4, (spot.row_start // step - rows.start) * zoom - 4),
        ((-(-spot.column_end // step) - columns.start) * zoom + 3, (-(-spot.row_end // step) - rows.start) * zoom + 3),
    )
    panels = []
    for channel, name in enumerate(channels):
        level, gain = _STRETCH.get(name, _OTHER_STRETCH)
        if step == 1:
            film = gates.look.level[channel, columns] * found.gain[channel]
            change = planes[channel, rows, columns] / film - 1
        else:
            change = found.changes[channel][rows, columns]
        grey = np.clip(np.rint(level + gain * change), 0, 255).astype(np.uint8)
        large = cv2.resize(grey, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
        panel = np.asarray(cv2.cvtColor(large, cv2.COLOR_GRAY2BGR), np.uint8)
        _bracket(panel, corners)
        panels.append(panel)
    gap = np.full((panels[0].shape[0], _GAP_PX, 3), _PAPER, np.uint8)
    parts = [part for panel in panels for part in (panel, gap)][:-1]
    # Grain packs no better after a filter or a search, both of which take three times as long.
    done, png = cv2.imencode(".png", np.hstack(parts), [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE])
    assert done
    return png.tobytes()


def _bracket(panel: NDArray[np.uint8], corners: tuple[tuple[int, int], tuple[int, int]]) -> None:
    """The corners of a box only, so that a faint line along its side stays visible."""
    (left, top), (right, bottom) = corners
    top, bottom = max(top, 0), min(bottom, panel.shape[0] - 1)
    arm = max(3, min(10, (right - left) // 3, (bottom - top) // 3))
    for column, inward in ((left, 1), (right, -1)):
        for row, down in ((top, 1), (bottom, -1)):
            cv2.line(panel, (column, row), (column + inward * arm, row), _OUTLINE, 1)
            cv2.line(panel, (column, row), (column, row + down * arm), _OUTLINE, 1)


def _window(centre: int, side: int, size: int) -> slice:
    """`side` pixels around a centre, moved inside; all there is when that is less."""
    start = min(max(0, centre - side // 2), max(0, size - side))
    return slice(start, min(size, start + side))

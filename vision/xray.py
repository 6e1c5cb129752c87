"""X-ray side views of stacked cells: how many plates, where each ends, how far the ends spread.

Without learning: the stack is found by its periodic lines (``vision.xray_find``), the plates are traced in a copy
resampled to a fixed spacing (``vision.xray_plates``), so that the camera's resolution and the side of the body do
not matter. Pixels only: without a calibration nothing here says micrometres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from line.errors import FrameError, UnusableFrameError
from vision.xray_find import CANONICAL_SPACING_PX, StackSeed, StackView, stack_seed, stack_view
from vision.xray_plates import FreeEnds, free_ends

_LEAST_PLATES = 5
_FEW_PLATES = 8
_LEAST_CONFIDENCE = 0.2
_LEAST_BODY_SHARE = 0.2
_ROI_BODY_MARGIN_SPACINGS = 3.0
_ROI_FREE_MARGIN_SPACINGS = 3.7
_ROI_END_MARGIN_SPACINGS = 2.4


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiBox:
    """Part of the picture that holds the free ends, in pixels; x1 and y1 are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True, slots=True, kw_only=True)
class XrayStack:
    """What one side view shows."""

    plates_count: int
    """Plates that reach the free side: the longer electrode, the other one ends inside the body."""
    tips: NDArray[np.float64]
    """Shape (n, 2): x, y of each plate's end in picture pixels, top to bottom, 0 at the centre of the first pixel."""
    body_side: Literal["left", "right"]
    roi: RoiBox
    spacing_px: float
    """Median distance of neighbouring plates, down the picture."""
    overhang_spread_px: float
    """Standard deviation of tip x over all counted plates, which are of one polarity."""
    confidence: float
    """0-1; below 0.5 the count should be looked at by a person. A rank, not a probability."""
    notes: tuple[str, ...]


def inspect_xray(image: NDArray[np.uint8]) -> XrayStack:
    """Count the plates of a stack in an X-ray side view and find the end of each.

    Plates run across the picture and are dark on a bright background; 5 or more of them, at least 4 px apart,
    end on one side of a dark body. Which side, the resolution and what else is in view do not matter. On rendered
    stacks (10 px apart, noise 2 grey) the tips are right to 0.15 px rms across.

    Args:
        image: shape (height, width), uint8, grey.

    Raises:
        FrameError: not a two-dimensional uint8 array.
        UnusableFrameError: no stack of plates with free ends in the picture.
    """
    if image.ndim != 2 or image.dtype != np.uint8:
        raise FrameError(
            f"X-ray inspection needs a grey picture of 8 bit, got shape {image.shape} of {image.dtype}: "
            "read it with vision.images"
        )
    seed = stack_seed(image)
    view, ends = _better_side(image, seed)
    if len(ends.plates) >= _LEAST_PLATES:
        # Once more around the middle of what was found, so that the result does not hang on where the search began.
        recentred = _recentred(view, ends, seed)
        again_view = stack_view(
            image, recentred, half_height_spacings=_half_height(ends), half_width_spacings=24, body_side=view.body_side
        )
        again = free_ends(again_view.grey)
        if len(again.plates) >= _LEAST_PLATES:
            view, ends = again_view, again
    if len(ends.plates) < _LEAST_PLATES:
        raise UnusableFrameError(
            f"repeating lines {seed.spacing_px:.1f} px apart near x {seed.x_px:.0f}, y {seed.y_px:.0f} px, but only "
            f"{len(ends.plates)} of them end like plates ({_LEAST_PLATES} needed for a stack): "
            "check that the free ends are in view"
        )
    stack = _stack(image, view, ends, seed)
    if stack.confidence < _LEAST_CONFIDENCE:
        raise UnusableFrameError(
            f"no stack of plates found: {stack.plates_count} lines near x {seed.x_px:.0f}, y {seed.y_px:.0f} px reach "
            f"only confidence {stack.confidence:.2f} of {_LEAST_CONFIDENCE} ({'; '.join(stack.notes)}): "
            "check that the picture is an X-ray side view"
        )
    return stack


def _half_height(ends: FreeEnds) -> float:
    rows = [plate.tip_y for plate in ends.plates]
    return max(16.0, (max(rows) - min(rows)) / 2 / CANONICAL_SPACING_PX + 10.0)


def _better_side(image: NDArray[np.uint8], seed: StackSeed) -> tuple[StackView, FreeEnds]:
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    views = [stack_view(image, seed, half_height_spacings=36, half_width_spacings=24, body_side=side) for side in sides]
    found = [free_ends(view.grey) for view in views]
    # Lines that end abruptly on one side, and more of them, are the free ends.
    best = max((0, 1), key=lambda k: (found[k].score * min(len(found[k].plates), 10), -k))
    return views[best], found[best]


def _recentred(view: StackView, ends: FreeEnds, seed: StackSeed) -> StackSeed:
    tips = np.array([[plate.tip_x, plate.tip_y] for plate in ends.plates])
    spacing = float(np.median(np.diff([plate.row for plate in ends.plates]))) / CANONICAL_SPACING_PX
    middle = np.array([
        [float(np.median(tips[:, 0])) - ends.band_px / 2, float(tips[:, 1].min() + tips[:, 1].max()) / 2]
    ])
    x_px, y_px = view.picture_xy(middle)[0]
    return StackSeed(
        x_px=float(x_px),
        y_px=float(y_px),
        spacing_px=seed.spacing_px * float(np.clip(spacing, 0.8, 1.25)),
        score=seed.score,
    )


def _stack(image: NDArray[np.uint8], view: StackView, ends: FreeEnds, seed: StackSeed) -> XrayStack:
    in_view = np.array([[plate.tip_x, plate.tip_y] for plate in ends.plates])
    tips = view.picture_xy(in_view)
    gaps = np.diff([plate.row for plate in ends.plates]) / view.scale
    spacing = float(np.median(gaps))
    confidence, notes = _confidence(ends, gaps / spacing, np.diff(tips[:, 1]) / spacing, seed)
    return XrayStack(
        plates_count=len(ends.plates),
        tips=tips,
        body_side=view.body_side,
        roi=_roi(image, view, ends, tips, spacing),
        spacing_px=spacing,
        overhang_spread_px=float(tips[:, 0].std()),
        confidence=confidence,
        notes=notes,
    )


def _roi(
    image: NDArray[np.uint8], view: StackView, ends: FreeEnds, tips: NDArray[np.float64], spacing: float
) -> RoiBox:
    """Tips, band and a margin of about three spacings all round, inside the picture."""
    to_body = -1.0 if view.body_side == "left" else 1.0
    body = float(np.median(tips[:, 0])) + to_body * ends.band_px / view.scale
    body += to_body * _ROI_BODY_MARGIN_SPACINGS * spacing
    free = float((to_body * tips[:, 0]).min()) * to_body - to_body * _ROI_FREE_MARGIN_SPACINGS * spacing
    margin_y = _ROI_END_MARGIN_SPACINGS * spacing
    height, width = image.shape
    return RoiBox(
        x0=int(np.clip(min(body, free), 0, width - 1)),
        y0=int(np.clip(tips[:, 1].min() - margin_y, 0, height - 1)),
        x1=int(np.clip(max(body, free) + 1, 1, width)),
        y1=int(np.clip(tips[:, 1].max() + margin_y + 1, 1, height)),
    )


def _confidence(
    ends: FreeEnds, gap_spacings: NDArray[np.float64], tip_gap_spacings: NDArray[np.float64], seed: StackSeed
) -> tuple[float, tuple[str, ...]]:
    """Confidence and what lowers it; plates are numbered from 1 at the top."""
    notes: list[str] = []
    confidence = min(1.0, seed.score / 12.0)
    if seed.score < 6.0:
        notes.append(f"faint lines: score {seed.score:.1f} of 20")
    if ends.body_share < _LEAST_BODY_SHARE:
        confidence *= 0.4
        notes.append("no darker body beside the plates: is this a stack?")
    if len(ends.plates) < _FEW_PLATES:
        confidence *= 0.7
        notes.append(f"only {len(ends.plates)} plates")
    # A plate that merges with its neighbour leaves its gap at the tips alone.
    widest = np.maximum(gap_spacings, tip_gap_spacings)
    for k in np.flatnonzero(widest > 1.7):
        confidence *= 0.8
        notes.append(f"gap of {widest[k]:.1f} spacings after plate {k + 1}: one may be missing or hidden")
    for k in np.flatnonzero(gap_spacings < 0.6):
        confidence *= 0.85
        notes.append(
            f"plates {k + 1} and {k + 2} only {gap_spacings[k]:.1f} spacings apart: touching, or one seen twice"
        )
    unclear = [k + 1 for k, plate in enumerate(ends.plates) if plate.seen_share < 0.6 or plate.clarity < 0.5]
    if unclear:
        confidence *= 0.9 ** len(unclear)
        notes.append(f"unclear plates: {', '.join(str(k) for k in unclear)}")
    if ends.gap_below:
        confidence *= 0.7
        notes.append("lines go on below the last plate without free ends: a tray may hide plates")
    return float(np.clip(confidence, 0.0, 1.0)), tuple(notes)

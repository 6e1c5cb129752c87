"""One placed layer in, how it lies out: the laminates of a stack are remembered for the cathodes on them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from line.errors import UnusableFrameError
from line.events import LayerInspected, Overhang, Verdict
from line.evidence import Evidence
from line.frames import CornerHeader
from line.ids import event_id
from line.model import Product, StackTolerance
from vision.corners import Outline, Reading, outline, overhangs

CALIBRATION = "stack_geometry"
"""The design geometry with the machine's marks in each picture; a calibration of the cameras has its own id."""

_STACKS_COUNT = 4
"""Stacks remembered; a line builds one at a time."""
_LAMINATES_BELOW = 3
_PICTURE_SHRINK = 5


@dataclass(slots=True)
class _Stack:
    """What was seen of a stack so far."""

    laminates: deque[tuple[int, Outline]] = field(default_factory=lambda: deque(maxlen=_LAMINATES_BELOW))
    lowest_um: deque[float] = field(default_factory=deque)
    """Lowest overhang of each cathode layer, the latest last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    verdict: Verdict
    reason: str
    readings: tuple[Reading, ...] = ()
    outline: Outline | None = None


class StackInspector:
    """Inspects the layers of stacks, in the order of their placement."""

    def __init__(self, product: Product, *, now_ns: Callable[[], int], evidence: Evidence | None = None) -> None:
        """Inspect stacks of a product.

        Args:
            product: its sheets and how they may lie.
            now_ns: wall clock, for latencies.
            evidence: where pictures of layers go that do not pass; None keeps none.
        """
        self._tolerance: StackTolerance = product.stack
        self._now_ns = now_ns
        self._evidence = evidence
        self._stacks: OrderedDict[str, _Stack] = OrderedDict()

    def inspect(self, header: CornerHeader, planes: NDArray[np.uint8]) -> LayerInspected:
        """What the corner pictures of a layer show; `uninspected` with the reason where they show too little.

        Args:
            header: of the layer.
            planes: shape (4, height, width), corners 1 to 4.
        """
        stack = self._stacks.setdefault(header.stack, _Stack())
        self._stacks.move_to_end(header.stack)
        while len(self._stacks) > _STACKS_COUNT:
            self._stacks.popitem(last=False)
        answer = self._answer(header, planes, stack)
        image = ""
        if self._evidence and answer.verdict != "pass":
            image = self._evidence.put(corners_png(planes))
        return self._event(header, answer, image)

    def unreadable(self, header: CornerHeader, why: str) -> LayerInspected:
        """The result of a layer whose header is all there is of it."""
        return self._event(header, _Answer(verdict="uninspected", reason=why), "")

    def _answer(self, header: CornerHeader, planes: NDArray[np.uint8], stack: _Stack) -> _Answer:
        below = [found for _, found in stack.laminates] if header.kind == "laminate" else []
        try:
            found = outline(planes, header.kind, below)
        except UnusableFrameError as error:
            return _Answer(verdict="uninspected", reason=f"layer {header.layer}: {error}")
        if header.kind == "laminate":
            stack.laminates.append((header.layer, found))
            hidden = f", {', '.join(found.inferred)} hidden by film below and inferred" if found.inferred else ""
            return _Answer(verdict="pass", reason=f"layer {header.layer}: laminate outlined{hidden}", outline=found)
        laminate = next((lower for layer, lower in stack.laminates if layer == header.layer - 1), None)
        if laminate is None:
            return _Answer(
                verdict="uninspected",
                reason=f"layer {header.layer}: the laminate below, layer {header.layer - 1}, was not measured",
                outline=found,
            )
        readings = overhangs(laminate, found)
        return self._judged(header, stack, readings, found)

    def _judged(self, header: CornerHeader, stack: _Stack, readings: tuple[Reading, ...], found: Outline) -> _Answer:
        verdict, worst = judged(readings, self._tolerance)
        limits = f"{self._tolerance.overhang_low_um / 1000:.2f} to {self._tolerance.overhang_high_um / 1000:.2f} mm"
        text = f"layer {header.layer}, {worst.place}: overhang {_mm(worst)}, allowed {limits}"
        lowest = min(reading.value_um for reading in readings)
        stack.lowest_um.append(lowest)
        while len(stack.lowest_um) > self._tolerance.warn_of_layers:
            stack.lowest_um.popleft()
        warn_um = self._tolerance.overhang_warn_um
        if verdict == "pass" and lowest < warn_um:
            text += f", below the warning limit of {warn_um / 1000:.2f} mm"
        low_count = sum(value < warn_um for value in stack.lowest_um)
        if low_count >= self._tolerance.warn_layers:
            text += f"; {low_count} of the last {len(stack.lowest_um)} cathode layers below {warn_um / 1000:.2f} mm"
        return _Answer(verdict=verdict, reason=text, readings=readings, outline=found)

    def _event(self, header: CornerHeader, answer: _Answer, image: str) -> LayerInspected:
        found = answer.outline
        return LayerInspected(
            at_ns=header.at_ns,
            simulated=header.simulated,
            id=event_id(header.at_ns, f"layer/{header.station}/{header.stack}/{header.layer}"),
            stack=header.stack,
            layer=header.layer,
            station=header.station,
            kind=header.kind,
            overhangs=tuple(
                Overhang(reading.place, round(reading.value_um, 1), round(reading.uncertainty_um, 1))
                for reading in answer.readings
            ),
            offset_x_um=round(found.offset_x_um, 1) if found else 0.0,
            offset_y_um=round(found.offset_y_um, 1) if found else 0.0,
            rotation_urad=round(found.rotation_urad, 1) if found else 0.0,
            verdict=answer.verdict,
            reason=answer.reason,
            method="pixels",
            calibration=CALIBRATION,
            images=(image,) if image else (),
            latency_ms=round(max(0, self._now_ns() - header.wall_ns) / 1e6, 2),
        )


def judged(readings: tuple[Reading, ...], tolerance: StackTolerance) -> tuple[Verdict, Reading]:
    """Verdict over all places of a layer, and the reading that decides it.

    Outside a limit rejects; inside by less than the uncertainty goes to review, since it cannot be told from outside.
    """
    low, high = tolerance.overhang_low_um, tolerance.overhang_high_um

    def room(reading: Reading) -> float:
        return min(reading.value_um - low, high - reading.value_um)

    worst = min(readings, key=room)
    if room(worst) < 0:
        return "reject", worst
    doubtful = min(readings, key=lambda reading: room(reading) - reading.uncertainty_um)
    if room(doubtful) < doubtful.uncertainty_um:
        return "review", doubtful
    return "pass", worst


def corners_png(planes: NDArray[np.uint8]) -> bytes:
    """The four corners as they lie on the stack, seen from above, shrunk to 1,000 px."""
    small = [
        cv2.resize(
            plane, (plane.shape[1] // _PICTURE_SHRINK, plane.shape[0] // _PICTURE_SHRINK), interpolation=cv2.INTER_AREA
        )
        for plane in planes
    ]
    gap = np.full((small[0].shape[0], 4), 30, np.uint8)
    upper = np.hstack((small[3], gap, small[2]))
    lower = np.hstack((small[0], gap, small[1]))
    done, png = cv2.imencode(".png", np.vstack((upper, np.full((4, upper.shape[1]), 30, np.uint8), lower)))
    assert done
    return png.tobytes()


def _mm(reading: Reading) -> str:
    return f"{reading.value_um / 1000:.3f} ± {reading.uncertainty_um / 1000:.3f} mm"

"""What the corner cameras of the stack would have measured on layers that no picture was taken of.

Every result says so: `method` is `drawn`. A reading depends on the layer and the seed alone.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np

from line import stack_geometry
from line.events import LayerInspected, Overhang, Verdict
from line.ids import event_id
from line.model import LineModel
from plant.truth_types import PlacedSheet


class LayerDrawer:
    """Draws what the corner cameras of the stack would report.

    Args:
        sigma_um: of one overhang reading; by default the published repeatability of 8 µm.
    """

    def __init__(self, line: LineModel, *, seed: int, sigma_um: float | None = None) -> None:
        self._line = line
        self._seed = seed
        self._sigma_um = line.tag("S12.MeasRepeatability").nominal if sigma_um is None else sigma_um
        self._station = next(row.station for row in line.cameras if row.kind == "corner")
        self._below: dict[str, PlacedSheet] = {}
        self._noise: dict[str, list[list[float]]] = {}

    def layer(self, placed: PlacedSheet, at_ns: int, shifts_um: Mapping[int, float]) -> LayerInspected:
        """The result for a placed layer; a cathode is measured against the laminate that was placed before it.

        Args:
            shifts_um: by corner, how far its camera has moved from where its calibration says. A station that knows
                its cameras by calibration alone takes that for overhang.
        """
        draws = self._draws(placed)
        tolerance = self._line.product().stack
        overhangs: tuple[Overhang, ...] = ()
        verdict: Verdict = "pass"
        reason = ""
        if placed.kind == "cathode":
            below = self._below.pop(placed.stack, None)
            if below is not None and below.layer == placed.layer - 1:
                overhangs = self._overhangs(placed, below, draws, shifts_um)
                worst = min(overhangs, key=lambda row: row.value_um)
                most = max(overhangs, key=lambda row: row.value_um)
                if worst.value_um < tolerance.overhang_low_um:
                    verdict = "reject"
                    reason = f"overhang {worst.place} {worst.value_um:.0f} µm below {tolerance.overhang_low_um} µm"
                elif most.value_um > tolerance.overhang_high_um:
                    verdict = "reject"
                    reason = f"overhang {most.place} {most.value_um:.0f} µm above {tolerance.overhang_high_um} µm"
                elif worst.value_um < tolerance.overhang_warn_um:
                    verdict = "mark"
                    reason = f"overhang {worst.place} {worst.value_um:.0f} µm below {tolerance.overhang_warn_um} µm"
            else:
                verdict, reason = "uninspected", "no picture of the laminate below"
        else:
            self._below[placed.stack] = placed
            if len(self._below) > 4:
                self._below.pop(next(iter(self._below)))
        return LayerInspected(
            at_ns=at_ns,
            simulated=True,
            id=event_id(at_ns, f"{placed.stack}:layer:{placed.layer}"),
            stack=placed.stack,
            layer=placed.layer,
            station=self._station,
            kind="cathode" if placed.kind == "cathode" else "laminate",
            overhangs=overhangs,
            offset_x_um=round(placed.offset_x_um + self._sigma_um / 2 * draws[8], 1),
            offset_y_um=round(placed.offset_y_um + self._sigma_um / 2 * draws[9], 1),
            rotation_urad=round(placed.rotation_urad + 60.0 * draws[10], 1),
            verdict=verdict,
            reason=reason,
            method="drawn",
        )

    def _overhangs(
        self, cathode: PlacedSheet, laminate: PlacedSheet, draws: list[float], shifts_um: Mapping[int, float]
    ) -> tuple[Overhang, ...]:
        found = []
        across, along = _reach(cathode)
        across_below, along_below = _reach(laminate)
        for number, corner in enumerate(stack_geometry.CORNERS):
            sign_x, sign_y = stack_geometry.outward(corner)
            # `stack_geometry.overhang_um` of both corners, written out: a past has some 160,000 of them
            x_um = sign_x * (laminate.offset_x_um - cathode.offset_x_um) + across_below[number] - across[number]
            y_um = sign_y * (laminate.offset_y_um - cathode.offset_y_um) + along_below[number] - along[number]
            shift_um = shifts_um.get(corner, 0.0)
            for axis, value_um in (("x", x_um), ("y", y_um)):
                measured = value_um - shift_um + self._sigma_um * draws[2 * number + (axis == "y")]
                found.append(Overhang(f"{corner}{axis}", round(measured, 1), round(2 * self._sigma_um, 1)))
        return tuple(found)

    def _draws(self, placed: PlacedSheet) -> list[float]:
        """Noise of a layer's readings; it depends on the stack and the layer alone."""
        layers = self._noise.get(placed.stack)
        if layers is None:
            rng = np.random.default_rng([self._seed, zlib.crc32(placed.stack.encode())])
            layers = rng.standard_normal((self._line.product().placements, 11)).tolist()
            self._noise[placed.stack] = layers
            if len(self._noise) > 4:
                self._noise.pop(next(iter(self._noise)))
        return layers[placed.layer - 1]


def _reach(placed: PlacedSheet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """How far the corners 1 to 4 reach outward from a sheet's centre, along x and along y [µm]."""
    turn = placed.rotation_urad * 1e-6
    cos, sin = math.cos(turn), math.sin(turn)
    half_x, half_y = placed.size_x_um / 2, placed.size_y_um / 2
    # outward(1) is (-1, -1), (2) is (1, -1), (3) is (1, 1), (4) is (-1, 1)
    same_x, other_x = half_x * cos - half_y * sin, half_x * cos + half_y * sin
    same_y, other_y = half_x * sin + half_y * cos, half_y * cos - half_x * sin
    return (same_x, other_x, same_x, other_x), (same_y, other_y, same_y, other_y)

"""Thickness of the film across the web, metre by metre, from the light that comes through it.

By Lambert and Beer, areal mass over that of good film is 1 - ln(TX / TX of good film) / k, k being the optical density
of the film: ln(1 + the contrast of an open hole). The cells that screening has already averaged are enough.

What cannot be told apart: a change that is the same all across the web is the lamp's as well as the film's. One that
comes within some tens of metres is taken for film and said to be in doubt; a slower one is taken for the lamp. What was
uneven across the web when good film was learnt is taken for lens and lamp, but for the beads at the coat's edges, which
are compared with the film beside them. The areal-mass gauge settles both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, log1p

import cv2
import numpy as np
from numpy.typing import NDArray

from line.defect_rows import AcceptRule
from line.events import FilmProfile, Verdict
from line.frames import StripHeader
from line.ids import event_id
from line.model import Camera, LineModel
from vision.depth import SCALE_SPREAD, hole_contrast
from vision.gates import Gates
from vision.pyramid import QUARTER, Floats
from vision.verdict import rules_version

STRETCH_UM = 1_000_000
BIN_UM = 5_000

_LEAST_SHARE = 0.5
"""Of a stretch that must have been seen."""
_LAMP_SHARE = 0.02
"""Of a change of the light all across the web that is taken for the lamp with each stretch."""
_LAMP_SPREAD = 0.003
"""Standard deviation of mass because a lamp flickers and warms up (D)."""
_BEAD_UM = 12_000
"""At either edge, where there may be a bead; behind it the film is compared with."""
_BESIDE_UM = 60_000
_BEAD_SMOOTHING_UM = 1_000
_BEAD_ENDS = 0.02
"""Height below which a bead has ended."""
_IN_VIEW_UM = 1_000


@dataclass(slots=True, kw_only=True)
class _Stretch:
    """Film seen since the last profile."""

    index: int
    sums: NDArray[np.float64]
    """Grey by column of the quarter image, times lines."""
    lines: int = 0
    shift_um: float = 0.0
    """Times lines."""
    header: StripHeader | None = None


class ProfileGauge:
    """Profiles of one film camera that sees transmission, in order along each roll.

    Args:
        line: the line model: its accept limits and the contrast of an open hole.
        camera: row of the camera.
    """

    def __init__(self, line: LineModel, camera: Camera) -> None:
        rows = {row.code: row for row in line.defects}
        self._rules = rules_version(line)
        self._density = log1p(hole_contrast(rows))
        self._camera = camera
        self._transmission = camera.channels.index("TX")
        self._coat_um = line.web(camera.web or "film").coat_width_um
        self._lanes = line.web(camera.web or "film").lanes
        thickness = rows["THK"].accept if "THK" in rows else ()
        edge = rows["EDG"].accept if "EDG" in rows else ()
        self._mean_rule = _rule(thickness, "mean_deviation_above")
        self._spot_rule = _rule(thickness, "spot_deviation_above")
        self._bead_rule = _rule(edge, "edge_bead_above")
        self._cell_um = QUARTER * camera.pixel_um
        self._roll = ""
        self._stretch: _Stretch | None = None
        self._lamp: float | None = None
        """Logarithm of the light all across the web against that when it was learnt, followed slowly."""

    def add(self, header: StripHeader, md_start_um: int, tx: NDArray[np.uint8], gates: Gates) -> FilmProfile | None:
        """Take in a strip; the profile of the stretch that it completes.

        Args:
            header: of the strip.
            md_start_um: as-coated position of its first line.
            tx: transmission at a quarter, shape (rows, columns).
            gates: of the camera, after they have seen the strip's light.
        """
        index = (md_start_um + round(header.lines * header.pixel_um) // 2) // STRETCH_UM
        done = None
        if header.roll != self._roll:
            # The last piece of a roll is shorter than a stretch, and its end is cut off anyhow.
            self._roll, self._stretch = header.roll, None
        if self._stretch is not None and self._stretch.index != index:
            done = self._profile(self._stretch, gates)
            self._stretch = None
        if self._stretch is None:
            self._stretch = _Stretch(index=index, sums=np.zeros(tx.shape[1]))
        stretch = self._stretch
        stretch.sums += cv2.reduce(tx, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0] * (header.lines / len(tx))
        stretch.lines += header.lines
        stretch.shift_um += header.lines * gates.wander.shift_um
        stretch.header = header
        return done

    def _profile(self, stretch: _Stretch, gates: Gates) -> FilmProfile | None:
        header = stretch.header
        if header is None or stretch.lines * header.pixel_um < _LEAST_SHARE * STRETCH_UM:
            return None
        grey = np.asarray(np.maximum(stretch.sums / stretch.lines, 1.0), np.float32)
        shift_um = stretch.shift_um / stretch.lines
        level = gates.look.quarter_level[self._transmission]
        inner = slice(gates.margin, grey.size - gates.margin)
        light = np.log(grey / level)
        common = float(np.median(light[inner]))
        self._lamp = common if self._lamp is None else self._lamp + _LAMP_SHARE * (common - self._lamp)
        whole = -(common - self._lamp) / self._density
        across = self._binned(-(light - common) / self._density, gates.margin)
        # What was learnt is the mean of a few strips, and a strip's mean scatters by as much as screening knows.
        learnt = float(gates.look.streak_sigma[self._transmission][-1]) / max(gates.look.strips_count, 1) ** 0.5
        spread = hypot(learnt / self._density, _LAMP_SPREAD, SCALE_SPREAD * float(np.abs(across).max(initial=0.0)))
        beads = [self._bead(np.log(grey), side, shift_um) for side in (1, -1)]
        verdict, reason = self._judged(across, whole, 2 * spread, [height for height, _ in beads])
        start = stretch.index * STRETCH_UM
        return FilmProfile(
            at_ns=header.at_ns,
            simulated=header.simulated,
            id=event_id(header.at_ns, f"profile/{self._camera.id}/{header.roll}/{start}"),
            roll=header.roll,
            station=self._camera.station,
            camera=self._camera.id,
            md_start_um=start,
            md_end_um=start + STRETCH_UM,
            cd_start_um=self._camera.cd_start_um,
            cd_step_um=BIN_UM,
            mass_fraction=tuple(round(1 + whole + float(value), 4) for value in across),
            mass_uncertainty_fraction=round(2 * spread, 4),
            bead_low_fraction=round(beads[0][0], 4),
            bead_high_fraction=round(beads[1][0], 4),
            bead_low_um=beads[0][1],
            bead_high_um=beads[1][1],
            edge_low_um=round(shift_um),
            edge_high_um=self._coat_um + round(shift_um),
            verdict=verdict,
            reason=f"{reason} (rules {self._rules})",
            method="pixels",
        )

    def _binned(self, values: Floats, margin: int) -> Floats:
        """Means over `BIN_UM`; the margins, where the web's edge wanders, take the value beside them."""
        values = values.copy()
        values[:margin] = values[margin]
        values[values.size - margin :] = values[values.size - margin - 1]
        places = (np.arange(values.size) * self._cell_um / BIN_UM).astype(np.intp)
        return np.asarray(np.bincount(places, values) / np.bincount(places), np.float32)

    def _bead(self, light: Floats, side: int, shift_um: float) -> tuple[float, int]:
        """Height of a bead behind the trim, over the film's thickness, and its reach from the edge; side 1 is low."""
        start_um = self._camera.cd_start_um + (np.arange(light.size) + 0.5) * self._cell_um
        edge_um = shift_um if side > 0 else self._coat_um + shift_um
        away = side * (start_um - edge_um)
        if away.min() > _IN_VIEW_UM:
            return 0.0, 0
        beside = (away > _BEAD_UM) & (away < _BESIDE_UM)
        if np.count_nonzero(beside) < 50:
            return 0.0, 0
        # The lens darkens towards the edge in a smooth curve, which goes on under the bead.
        curve = np.polynomial.Polynomial.fit(away[beside], light[beside], 2)
        height = np.asarray(-(light - curve(away)) / self._density, np.float32)
        width = max(1, round(_BEAD_SMOOTHING_UM / self._cell_um))
        inside = (away > 0) & (away < _BEAD_UM)
        smooth = np.asarray(cv2.blur(height[inside][None], (width, 1), borderType=cv2.BORDER_REPLICATE)[0])
        place = away[inside]
        trim_um = self._bead_rule.edge_trim_um or 0 if self._bead_rule else 0
        behind = smooth[place >= trim_um]
        high = place[smooth > _BEAD_ENDS]
        return max(0.0, float(behind.max(initial=0.0))), round(float(high.max(initial=0.0)))

    def _judged(self, across: Floats, whole: float, doubt: float, beads: list[float]) -> tuple[Verdict, str]:
        """By the accept rules of thickness and edge; the gravest, in words."""
        found: list[tuple[Verdict, str]] = []
        rule = self._bead_rule
        if rule is not None and rule.fraction is not None:
            for name, height in zip(("operator", "drive"), beads, strict=True):
                if height > rule.fraction:
                    said = f"bead at the {name} side {height:+.1%} behind the edge trim, at most {rule.fraction:+.0%}"
                    found.append(("reject", said))
        rule = self._spot_rule
        if rule is not None and rule.fraction is not None:
            place, off = self._worst_spot(across, rule.spot_um or BIN_UM)
            said = f"{off:+.1%} ± {doubt:.1%} at CD {place / 1000:.0f} mm, at most ±{rule.fraction:.0%} on any spot"
            if abs(off) > rule.fraction:
                found.append(("reject", said))
            elif abs(off) + doubt > rule.fraction and abs(off) > doubt:
                found.append(("review", said))
        rule = self._mean_rule
        if rule is not None and rule.fraction is not None and abs(whole) > rule.fraction:
            said = f"{whole:+.1%} all across the web, at most ±{rule.fraction:.0%}: film or lamp, the mass gauge tells"
            found.append(("review", said))
        rank: dict[Verdict, int] = {"review": 1, "reject": 2}
        return max(found, key=lambda row: rank[row[0]], default=("pass", "within its limits across the web"))

    def _worst_spot(self, across: Floats, spot_um: int) -> tuple[int, float]:
        """Middle and deviation of the spot that is furthest off, of those that sheets are cut from."""
        count = max(1, round(spot_um / BIN_UM))
        means = np.convolve(across, np.ones(count) / count, "valid")
        middles = self._camera.cd_start_um + (np.arange(means.size) + count / 2) * BIN_UM
        cut = np.zeros(means.size, bool)
        for lane in self._lanes:
            cut |= (middles >= lane.cd_low_um) & (middles <= lane.cd_high_um)
        if not cut.any():
            return 0, 0.0
        worst = int(np.argmax(np.where(cut, np.abs(means), -1)))
        return round(float(middles[worst])), float(means[worst])


def _rule(rules: tuple[AcceptRule, ...], kind: str) -> AcceptRule | None:
    return next((rule for rule in rules if rule.kind == kind), None)

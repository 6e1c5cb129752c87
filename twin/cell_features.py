"""What is known of a stack or cell that bears on its yield, as one feature vector with words for its worst parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from line.events import FilmDefect
from line.model import LineModel
from twin.cell_yield import Columns, outside_probability
from twin.film_risk import FilmRisk, RollDensity
from twin.genealogy import Genealogy, Origin
from twin.state import LineState

Vector = NDArray[np.float64]

_OUTSIDE_KILL = 0.5
"""Prior chance that a layer outside its overhang limits fails the cell."""
_UNLOOKED_OUTSIDE = 0.001
"""Prior chance that a layer nobody measured lies outside: 1.8 % of stacks, 18 cathodes each (relation R18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Features of one stack or cell."""

    vector: Vector
    """Shape (columns.count,), log losses by the priors."""
    rolls: frozenset[str]
    """Every roll on the way to its layers."""
    seen_text: str
    unseen_text: str
    alignment_text: str
    film_inspected_fraction: float
    layers_inspected_count: int


class FeatureMaker:
    """Makes features from a line's state."""

    def __init__(self, line: LineModel, state: LineState, genealogy: Genealogy, risk: FilmRisk) -> None:
        self._state = state
        self._genealogy = genealogy
        self._risk = risk
        self.columns = Columns(seen=len(risk.codes) + 1)
        product = line.product()
        laminate, cathode = product.sheet("laminate"), product.sheet("cathode")
        self._margin_um = max(0, (laminate.md_um - cathode.md_um) // 2)
        self.face_m2 = cathode.md_um * cathode.cd_um * 1e-12
        self.active_faces = product.active_se_layers
        self._placements = product.placements
        self._cathodes = sum(product.sheet_kind(i + 1) == "cathode" for i in range(product.placements))
        self._low_um, self._high_um = product.stack.overhang_low_um, product.stack.overhang_high_um
        self._default = risk.expected_density()

    def features(self, unit: str, densities: Mapping[str, RollDensity], outlook: Vector) -> Features:
        """Features of a stack or cell.

        Args:
            unit: a stack, or a cell whose stack is not known.
            densities: of the film rolls.
            outlook: what a film face to come is expected to add, for layers that are not placed yet.
        """
        columns = self.columns
        vector = np.zeros(columns.count)
        stack = self._state.stacks.get(unit)
        placed = stack.layers if stack else {}
        worst: tuple[float, FilmDefect, int, Origin] | None = None
        seen: set[str] = set()
        looked_m2: dict[str, float] = {}
        hidden_m2: dict[str, float] = {}
        rolls: set[str] = set()
        faces = 0
        for layer, record in sorted(placed.items()):
            if record.kind != "laminate":
                continue
            rolls.update(origin.roll for origin in self._genealogy.origins(record.sheet))
            for origin in self._genealogy.films(record.sheet):
                if not self.active(layer, origin.face):
                    continue
                faces += 1
                inside = self.active_part(origin)
                fraction = 0.0
                if roll := self._state.rolls.get(origin.roll):
                    fraction = roll.inspected_fraction(*inside)
                    for defect in roll.defects_within(*inside):
                        if defect.defect not in seen:
                            seen.add(defect.defect)
                            loss = self._risk.log_loss(defect)
                            vector[self._risk.column(defect.kind)] += loss
                            if worst is None or loss > worst[0]:
                                worst = (loss, defect, layer, origin)
                looked_m2[origin.roll] = looked_m2.get(origin.roll, 0.0) + fraction * self.face_m2
                hidden_m2[origin.roll] = hidden_m2.get(origin.roll, 0.0) + (1 - fraction) * self.face_m2
        for name, area_m2 in sorted(looked_m2.items()):
            density = densities.get(name, self._default)
            vector[columns.unseen] += self._risk.unseen_log_loss(density, area_m2, hidden_m2[name])
        active = sum(self.active(i, face) for i in placed for face in ("top", "bottom") if placed[i].kind == "laminate")
        blind = max(0, active - faces)
        if blind:
            # Film without a pedigree: nobody can say what was seen on it.
            vector[columns.unseen] += self._risk.unseen_log_loss(self._default, 0.0, blind * self.face_m2)
        to_come = max(0, self.active_faces - active)
        vector += to_come * outlook
        alignment_text, looked = self._align(unit, vector)
        vector[columns.electrical] = 1.0
        inspected = sum(looked_m2.values()) / (max(active, 1) * self.face_m2)
        return Features(
            vector=vector,
            rolls=frozenset(rolls),
            seen_text=_seen_text(len(seen), worst),
            unseen_text=_unseen_text(inspected, to_come),
            alignment_text=alignment_text,
            film_inspected_fraction=min(1.0, inspected),
            layers_inspected_count=looked,
        )

    def active(self, layer: int, face: str) -> bool:
        """Whether a cathode faces this film: the outer faces of the outer layers have none."""
        return not (layer == 1 and face == "bottom") and not (layer == self._placements and face == "top")

    def active_part(self, origin: Origin) -> tuple[int, int, int, int]:
        """The part of a film face that a cathode lies on: MD from, MD to, CD from, CD to."""
        margin = self._margin_um
        return origin.start_um + margin, origin.end_um - margin, origin.cd_low_um + margin, origin.cd_high_um - margin

    def _align(self, unit: str, vector: Vector) -> tuple[str, int]:
        stack = self._state.stacks.get(unit)
        looks = stack.looks if stack else {}
        loss, measured, inspected = 0.0, 0, 0
        lowest: tuple[float, int, str] | None = None
        for layer, look in sorted(looks.items()):
            inspection = look.event
            inspected += inspection.verdict != "uninspected"
            if not inspection.overhangs:
                continue
            measured += 1
            outside = 0.0
            for row in inspection.overhangs:
                outside = max(
                    outside, outside_probability(row.value_um, row.uncertainty_um, self._low_um, self._high_um)
                )
                spare = min(row.value_um - self._low_um, self._high_um - row.value_um)
                if lowest is None or spare < lowest[0]:
                    lowest = (spare, layer, f"{row.value_um / 1000:.2f} mm at {row.place}")
            loss -= math.log1p(-_OUTSIDE_KILL * outside)
        unmeasured = max(0, self._cathodes - measured)
        loss -= unmeasured * math.log1p(-_OUTSIDE_KILL * _UNLOOKED_OUTSIDE)
        vector[self.columns.alignment] = loss
        limits = f"limits {self._low_um / 1000:.2f} to {self._high_um / 1000:.2f} mm"
        if lowest is None:
            return f"no overhang measured; {limits}", inspected
        return f"nearest to a limit: {lowest[2]} of layer {lowest[1]}; {limits}", inspected


def _seen_text(count: int, worst: tuple[float, FilmDefect, int, Origin] | None) -> str:
    if worst is None:
        return "no defect seen in its film"
    _, defect, layer, origin = worst
    place = f"{origin.roll} at {defect.md_start_um / 1e6:.3f} m"
    others = f", and {count - 1} more" if count > 1 else ""
    return f"{defect.kind} of {defect.size_um:.0f} µm in layer {layer} {origin.face}, {place}{others}"


def _unseen_text(inspected_fraction: float, faces_to_come: int) -> str:
    text = f"{inspected_fraction:.0%} of its film was inspected"
    return f"{text}, {faces_to_come} film faces are still to come" if faces_to_come else text

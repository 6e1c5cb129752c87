"""Film that is coated and inspected but in no stack yet, cut up in thought into the cells it will be in.

Half a cell is 19 film faces of one roll, which is 9.5 pitches of both lanes; one of them has no cathode. A long defect
counts once in each half cell that it runs through, as it will in the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from line.model import LineModel
from twin.cell_features import FeatureMaker
from twin.film_risk import FilmRisk, RollDensity
from twin.genealogy import Genealogy
from twin.intervals import IntervalSet
from twin.rolls import RollMap
from twin.state import LineState

Matrix = NDArray[np.float64]

_MOST_HALVES = 100
"""Half cells looked at: a roll of film, a day of a pilot line. What waits behind it is older and was said before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Half cells that wait in film."""

    halves: Matrix
    """Shape (n, columns.count): log losses by the priors, of film alone."""
    faces_per_half: float

    @property
    def cells_count(self) -> int:
        """Cells that the film is enough for."""
        return len(self.halves) // 2


class PipelineMaker:
    """Finds film that waits. A roll that has been used up is not looked at again."""

    def __init__(
        self, line: LineModel, state: LineState, genealogy: Genealogy, risk: FilmRisk, features: FeatureMaker
    ) -> None:
        self._state, self._genealogy, self._risk, self._features = state, genealogy, risk, features
        laminate = line.product().sheet("laminate")
        self._lanes = line.web("film").lanes
        self._faces = features.active_faces / 2
        used_faces = sum(line.product().sheet_kind(i + 1) == "laminate" for i in range(line.product().placements))
        self._active_share = self._faces / used_faces
        self._window_um = round(used_faces / len(self._lanes) * laminate.pitch_um)
        self._cd = min(lane.cd_low_um for lane in self._lanes), max(lane.cd_high_um for lane in self._lanes)
        self._used_up: dict[str, int] = {}

    def pipeline(self, densities: Mapping[str, RollDensity]) -> Pipeline:
        """The film that waits now, newest roll first."""
        state = self._state
        rolls = [name for name in state.rolls if state.web_of(name) in {"film", ""}]
        rolls.sort(key=lambda name: (state.started[name].at_ns if name in state.started else 0, name), reverse=True)
        halves: list[NDArray[np.float64]] = []
        for name in rolls:
            roll = state.rolls[name]
            if self._used_up.get(name) == roll.seen_um:
                continue
            waiting = self.waiting(name)
            rows = [
                self._half(roll, at, densities)
                for start, end in waiting
                for at in range(start, end - self._window_um // 2, self._window_um)
            ]
            if not rows and name in state.ended and name in densities:
                self._used_up[name] = roll.seen_um
            halves += rows
            if len(halves) >= _MOST_HALVES:
                break
        kept = halves[:_MOST_HALVES]
        shape = (len(kept), self._features.columns.count)
        return Pipeline(halves=np.array(kept).reshape(shape), faces_per_half=self._faces)

    def waiting(self, roll: str) -> list[tuple[int, int]]:
        """Stretches of a film roll that were looked at and are in no stack and not scrapped."""
        seen_um = self._state.rolls[roll].seen_um
        used = IntervalSet()
        pitch_um = self._state.line.product().sheet("laminate").pitch_um
        for found in self._genealogy.sheets_of(roll, 0, seen_um):
            if found.layer or found.cut.outcome == "scrap":
                used.add(found.origin.start_um - pitch_um // 10, found.origin.end_um + pitch_um // 10)
        return used.gaps(0, seen_um)

    def _half(self, roll: RollMap, start_um: int, densities: Mapping[str, RollDensity]) -> NDArray[np.float64]:
        columns = self._features.columns
        vector = np.zeros(columns.count)
        end_um = start_um + self._window_um
        for defect in roll.defects_within(start_um, end_um, *self._cd):
            vector[self._risk.column(defect.kind)] += self._active_share * self._risk.log_loss(defect)
        fraction = roll.inspected_fraction(start_um, end_um, *self._cd)
        area_m2 = self._faces * self._features.face_m2
        density = densities.get(roll.roll, self._risk.expected_density())
        vector[columns.unseen] = self._risk.unseen_log_loss(density, fraction * area_m2, (1 - fraction) * area_m2)
        return vector

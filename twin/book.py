"""The book of cells: features, verdicts and probabilities of all stacks and cells, kept in step with the line's state.

`update` does what events have made necessary and no more. All of it is a function of the state: the same events give
the same book.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from line.bundle import DetectionCurve
from line.events import CellPredicted, Reason
from line.model import LineModel
from twin.cell_features import FeatureMaker, Features
from twin.cell_yield import (
    PUBLISHED_EARLY_SHARE,
    Probability,
    StepLoss,
    YieldModel,
    early_share,
    prior_model,
    step_losses,
)
from twin.film_risk import FilmRisk, RollDensity
from twin.genealogy import Genealogy
from twin.lot_forecast import FinishedLot, Record, record_of
from twin.pipeline import Pipeline, PipelineMaker
from twin.rolls import RollMap
from twin.state import LineState
from twin.units import LEFT, NOWHERE
from twin.verdicts import Judge, Lot, Verdict

_V = TypeVar("_V")

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

MODEL = "film-and-steps"
"""What a prediction says made it."""
MODEL_VERSION = 1
_ROUNDS = 3
"""Strengths and early share are fitted in turn; a fourth round moves neither by a hundredth."""


class YieldBook:
    """Features, verdicts and probabilities. `update` first, then ask."""

    def __init__(
        self,
        line: LineModel,
        state: LineState,
        genealogy: Genealogy,
        detection: Mapping[str, DetectionCurve] | None = None,
    ) -> None:
        self._line, self._state = line, state
        self.risk = FilmRisk(line, detection)
        self.maker = FeatureMaker(line, state, genealogy, self.risk)
        self._pipelines = PipelineMaker(line, state, genealogy, self.risk, self.maker)
        self._width_um = line.web("film").coat_width_um
        self._judge = Judge(line, state)
        yields = [row.step_yield_fraction or 1.0 for row in line.stations]
        self._step_priors = yields[self._judge.press : self._judge.formation]
        prior = prior_model(self.maker.columns, -sum(math.log(row) for row in yields[self._judge.formation :]))
        self.model: YieldModel = prior
        self._prior = prior
        self.features: dict[str, Features] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.formed: dict[str, tuple[int, bool]] = {}
        """When a cell left formation, and whether it came through."""
        self.early_share = PUBLISHED_EARLY_SHARE
        self.pipeline = Pipeline(halves=np.zeros((0, prior.columns.count)), faces_per_half=1.0)
        self.densities: dict[str, RollDensity] = {}
        self._units_by_roll: dict[str, set[str]] = {}
        self._dirty: set[str] = set()
        self._labels_dirty = False
        self._fresh = True
        self._steps: list[StepLoss] = step_losses(self._step_priors, *self._judge.step_counts(self.features))
        self._lots: dict[str, Lot] | None = None
        self._record: Record | None = None
        self._probabilities: dict[str, float] | None = None

    def update(self, most: int = 2**31) -> int:
        """Take in what changed; returns how many units are still to be done.

        Args:
            most: units to work on in this call, for a caller that must not be kept long.
        """
        units, rolls = self._state.take_touched()
        if self._fresh:
            self._fresh = False
            units, rolls = set(self._state.unit_names()), set(self._state.rolls)
        if rolls:
            self.densities = self.risk.densities(self._films(), self._width_um)
        self._dirty.update(self._state.stack_name(unit) for unit in units)
        for roll in rolls:
            self._dirty.update(self._units_by_roll.get(roll, ()))
        if rolls or units:
            self._probabilities = None
            self.pipeline = self._pipelines.pipeline(self.densities)
            # What is to come of a stack that is not finished is the film that waits.
            self._dirty.update(unit for unit in self.open_units() if not self.finished(unit))
        outlook = self._outlook()
        for _ in range(min(most, len(self._dirty))):
            self._make(self._dirty.pop(), outlook)
        if not self._dirty and self._labels_dirty:
            self._learn()
        return len(self._dirty)

    def open_units(self) -> list[str]:
        """Stacks and cells without a verdict."""
        return [unit for unit in self.features if unit not in self.verdicts]

    def finished(self, unit: str) -> bool:
        """Whether a stack has all its layers, or is a cell already."""
        stack = self._state.stacks.get(unit)
        return (
            bool(self._state.cell_name(unit)) or stack is None or len(stack.layers) >= self._line.product().placements
        )

    def further_log_loss(self, unit: str) -> float:
        """Of pressing, welding and sealing, as far as they are still ahead."""
        station, _, phase = self._state.progress(unit)
        done = max(0, station + (phase == LEFT) - self._judge.press)
        return sum(step.log_loss for step in self._steps[done:])

    def ahead(self, unit: str) -> Vector:
        """Features of what a unit still has ahead: after formation its early share is behind it."""
        vector = self.features[unit].vector
        came_through = unit in self.formed and self.formed[unit][1] and unit not in self.verdicts
        return vector * (1 - self.early_share) if came_through else vector

    def probability(self, unit: str) -> Probability | None:
        """P(pass end-of-line test) of a stack or cell, from where it is; None if nothing is known of it."""
        name = self._state.stack_name(unit)
        if name not in self.features:
            return None
        return self.model.probability(self.ahead(name), self.further_log_loss(name))

    def probabilities(self) -> dict[str, float]:
        """P(pass) of every unit from where it is; of one with a verdict as it was before formation."""
        if self._probabilities is None:
            units = list(self.features)
            further = np.array([self.further_log_loss(unit) for unit in units])
            values = self.model.probabilities(self.vectors(units), further)
            self._probabilities = dict(zip(units, map(float, values), strict=True))
        return self._probabilities

    def vectors(self, units: Iterable[str]) -> Matrix:
        """What units have ahead, shape (n, columns.count)."""
        rows = [self.ahead(unit) for unit in units]
        return np.stack(rows) if rows else np.zeros((0, self.maker.columns.count))

    def prediction(self, unit: str) -> CellPredicted | None:
        """The prediction of a unit with its reasons, as it would be said now."""
        name = self._state.stack_name(unit)
        features = self.features.get(name)
        chance = self.probability(name)
        if features is None or chance is None:
            return None
        return CellPredicted(
            at_ns=self._state.at_ns,
            simulated=self._state.simulated,
            unit=self._state.cell_name(name) or name,
            p_pass=chance.p,
            p_low=chance.low,
            p_high=chance.high,
            reasons=self._reasons(name, features),
            model=f"{MODEL}@v{MODEL_VERSION}",
            labels_count=self.model.labels_count,
        )

    def shares(self, vector: Vector, further_log_loss: float) -> dict[tuple[str, str], float]:
        """Additive log shares by station and cause; their sum is log p."""
        columns, theta = self.maker.columns, self.model.theta
        parts = -vector * theta
        return {
            ("S05", "film seen"): float(parts[: columns.seen].sum()),
            ("S05", "film unseen"): float(parts[columns.unseen]),
            ("S12", "alignment"): float(parts[columns.alignment]),
            (self._line.stations[-1].code, "later stations"): float(parts[columns.electrical]) - further_log_loss,
        }

    def lots(self) -> dict[str, Lot]:
        """Lots by name, oldest first."""
        if self._lots is None:
            self._lots = self._judge.lots(self.features, self.verdicts)
        return self._lots

    def record(self) -> Record:
        """How finished lots came out against the probabilities of their cells."""
        if self._record is None:
            chances = self.probabilities()
            finished = []
            for lot in self.lots().values():
                cells = [unit for unit in lot.units if unit in self.verdicts and self.verdicts[unit].electrical]
                if cells and lot.finished:
                    passed = sum(self.verdicts[unit].passed for unit in cells)
                    expected = sum(chances[unit] for unit in cells)
                    finished.append(FinishedLot(expected=expected, cells_count=len(cells), passed_count=passed))
            self._record = record_of(finished)
        return self._record

    def film_outlook(self) -> tuple[Vector, float]:
        """Features and probability of an average cell from the film that waits.

        The probability is that of two independent halves; the features are weighted so that they are its gradient.
        """
        columns = self.maker.columns
        halves = self.pipeline.halves
        weights = np.exp(-(halves @ self.model.theta))
        vector = 2 * (weights @ halves) / weights.sum()
        # Layers nobody has placed lie outside their limits as rarely as published.
        vector[columns.electrical] = 1.0
        further = sum(step.log_loss for step in self._steps)
        return vector, float(np.mean(weights)) ** 2 * math.exp(-self.model.theta[columns.electrical] - further)

    def _films(self) -> list[RollMap]:
        state = self._state
        rolls = [row for name, row in state.rolls.items() if state.web_of(name) in {"film", ""}]
        return sorted(
            rolls, key=lambda row: (state.started[row.roll].at_ns if row.roll in state.started else 0, row.roll)
        )

    def _outlook(self) -> Vector:
        """What a film face to come adds: the mean of the film that waits, else what is published."""
        if len(self.pipeline.halves):
            return np.asarray(self.pipeline.halves.mean(axis=0) / self.pipeline.faces_per_half)
        vector = np.zeros(self.maker.columns.count)
        density = self.risk.expected_density()
        vector[self.maker.columns.unseen] = self.risk.unseen_log_loss(density, self.maker.face_m2, 0.0)
        return vector

    def _make(self, unit: str, outlook: Vector) -> None:
        if self._state.progress(unit) == NOWHERE and unit not in self._state.stacks:
            return
        features = self.maker.features(unit, self.densities, outlook)
        for roll in features.rolls:
            self._units_by_roll.setdefault(roll, set()).add(unit)
        self.features[unit] = features
        self._lots = self._record = self._probabilities = None
        verdict, formed = self._judge.verdict(unit), self._judge.formed(unit)
        if verdict or formed:
            self._labels_dirty = True
        _put(self.verdicts, unit, verdict)
        _put(self.formed, unit, formed)

    def _learn(self) -> None:
        self._labels_dirty = False
        final = {unit: row for unit, row in self.verdicts.items() if row.electrical}
        late = {unit: row for unit, row in final.items() if self.formed.get(unit, (0, True))[1]}
        self.model, self.early_share = self._prior, PUBLISHED_EARLY_SHARE
        rows = [(at_ns, unit, True, through) for unit, (at_ns, through) in self.formed.items()]
        rows += [(row.at_ns, unit, False, row.passed) for unit, row in late.items()]
        rows.sort()
        if rows:
            features = np.stack([self.features[unit].vector for _, unit, _, _ in rows])
            early = np.array([is_early for _, _, is_early, _ in rows])
            good = np.array([is_good for *_, is_good in rows])
            for _ in range(_ROUNDS):
                shares = np.where(early, self.early_share, 1 - self.early_share)
                self.model = self._prior.fitted(features * shares[:, np.newaxis], good, len(final))
                loss = features @ self.model.theta
                self.early_share = early_share(loss[early], good[early], loss[~early], good[~early])
        self._steps = step_losses(self._step_priors, *self._judge.step_counts(self.features))
        self._lots = self._record = self._probabilities = None

    def _reasons(self, unit: str, features: Features) -> tuple[Reason, ...]:
        texts = {
            "film seen": features.seen_text,
            "film unseen": features.unseen_text,
            "alignment": features.alignment_text,
            "later stations": f"{self.model.labels_count} finished cells have taught this",
        }
        shares = self.shares(self.ahead(unit), self.further_log_loss(unit))
        rows = [Reason(station, what, share, texts[what]) for (station, what), share in shares.items()]
        return tuple(sorted(rows, key=lambda row: row.log_share))


def _put(table: dict[str, _V], key: str, value: _V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value

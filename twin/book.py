"""The book of cells: features, verdicts and probabilities of all stacks and cells, kept in step with the line's state.

`update` does what events have made necessary and no more. All of it is a function of the state: the same events give
the same book. Verdicts: a test at end of line; scrap at formation or later counts as failed; scrap in pressing, welding
or sealing is a loss of that step and says nothing of the film (censored); a scrapped stack never was a cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from line.bundle import DetectionCurve
from line.events import CellPredicted, Reason
from line.ids import iso
from line.model import LineModel
from twin.cell_features import FeatureMaker, Features
from twin.cell_yield import Probability, StepLoss, YieldModel, step_losses
from twin.film_risk import FilmRisk, RollDensity
from twin.genealogy import Genealogy
from twin.lot_forecast import FinishedLot, Record, record_of
from twin.pipeline import Pipeline, PipelineMaker
from twin.rolls import RollMap
from twin.state import LineState
from twin.units import LEFT, NOWHERE

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

MODEL = "film-and-steps"
"""What a prediction says made it."""
MODEL_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a unit ended."""

    at_ns: int
    passed: bool
    electrical: bool
    """False where a step before formation lost it, or where it never was a cell."""
    cell: bool
    """False for a stack that was scrapped before it was pressed."""


@dataclass(slots=True, kw_only=True)
class Lot:
    """Stacks begun on one day."""

    name: str
    units: list[str] = field(default_factory=list)
    open_count: int = 0
    counted: int = 0
    """Cells with a verdict; scrapped stacks are none."""
    passed: int = 0
    ended_ns: int = 0


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
        self._press = next(i for i, row in enumerate(line.stations) if row.kind == "press")
        names = [row.name for row in line.stations]
        self._formation = names.index("FORM") if "FORM" in names else len(names) - 3
        finishing = [row.step_yield_fraction or 1.0 for row in line.stations]
        self._step_priors = finishing[self._press : self._formation]
        prior = YieldModel(self.maker.columns, -sum(math.log(row) for row in finishing[self._formation :]))
        self.model = self._prior = prior
        self.features: dict[str, Features] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.pipeline = Pipeline(halves=np.zeros((0, prior.columns.count)), faces_per_half=1.0)
        self.densities: dict[str, RollDensity] = {}
        self._units_by_roll: dict[str, set[str]] = {}
        self._dirty: set[str] = set()
        self._labels_dirty = False
        self._steps: list[StepLoss] = step_losses(self._step_priors, *self._step_counts())
        self._lots: dict[str, Lot] | None = None
        self._record: Record | None = None
        self._probabilities: dict[str, float] | None = None

    def update(self, most: int = 2**31) -> int:
        """Take in what changed; returns how many units are still to be done.

        Args:
            most: units to work on in this call, for a caller that must not be kept long.
        """
        units, rolls = self._state.take_touched()
        if rolls:
            self.densities = self.risk.densities(self._films(), self._width_um)
        self._dirty.update(self._state.stack_name(unit) for unit in units)
        for roll in rolls:
            self._dirty.update(self._units_by_roll.get(roll, ()))
        if rolls or units:
            self._probabilities = None
        outlook = self._outlook()
        for _ in range(min(most, len(self._dirty))):
            self._make(self._dirty.pop(), outlook)
        if self._dirty:
            return len(self._dirty)
        if self._labels_dirty:
            self._learn()
        if rolls or units:
            self.pipeline = self._pipelines.pipeline(self.densities)
        return 0

    def open_units(self) -> list[str]:
        """Stacks and cells without a verdict."""
        return [unit for unit in self.features if unit not in self.verdicts]

    def finished(self, unit: str) -> bool:
        """Whether a stack has all its layers, or is a cell already."""
        stack = self._state.stacks.get(unit)
        return bool(self._state.cell_name(unit)) or stack is None or len(stack.layers) >= self._line.product().placements

    def further_log_loss(self, unit: str) -> float:
        """Of pressing, welding and sealing, as far as they are still ahead."""
        station, _, phase = self._state.progress(unit)
        done = max(0, station + (phase == LEFT) - self._press)
        return sum(step.log_loss for step in self._steps[done:])

    def probability(self, unit: str) -> Probability | None:
        """P(pass end-of-line test) of a stack or cell; None if nothing is known of it."""
        features = self.features.get(self._state.stack_name(unit))
        if features is None:
            return None
        return self.model.probability(features.vector, self.further_log_loss(self._state.stack_name(unit)))

    def probabilities(self) -> dict[str, float]:
        """P(pass) of every unit that is not yet known to have failed a step; verdicts do not enter."""
        if self._probabilities is None:
            units = list(self.features)
            if units:
                further = np.array([self.further_log_loss(unit) for unit in units])
                values = self.model.probabilities(np.stack([self.features[unit].vector for unit in units]), further)
                self._probabilities = dict(zip(units, map(float, values), strict=True))
            else:
                self._probabilities = {}
        return self._probabilities

    def vectors(self, units: Iterable[str]) -> Matrix:
        """Features of units, shape (n, columns.count)."""
        rows = [self.features[unit].vector for unit in units]
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
            self._lots = {}
            for unit in sorted(self.features, key=lambda unit: (self._state.started_ns(unit), unit)):
                name = iso(self._state.started_ns(unit))[:10]
                lot = self._lots.setdefault(name, Lot(name=name))
                lot.units.append(unit)
                verdict = self.verdicts.get(unit)
                if verdict is None:
                    lot.open_count += 1
                elif verdict.cell:
                    lot.counted += 1
                    lot.passed += verdict.passed
                    lot.ended_ns = max(lot.ended_ns, verdict.at_ns)
        return self._lots

    def record(self) -> Record:
        """How finished lots came out against the probabilities of their cells."""
        if self._record is None:
            chances = self.probabilities()
            finished = []
            for lot in self.lots().values():
                cells = [unit for unit in lot.units if unit in self.verdicts and self.verdicts[unit].electrical]
                if cells and lot.open_count == 0:
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
        return sorted(rolls, key=lambda row: (state.started[row.roll].at_ns if row.roll in state.started else 0, row.roll))

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
        verdict = self._verdict(unit)
        if verdict != self.verdicts.get(unit):
            self._labels_dirty = True
            if verdict is not None:
                self.verdicts[unit] = verdict
            else:
                del self.verdicts[unit]
        self._lots = self._record = self._probabilities = None

    def _verdict(self, unit: str) -> Verdict | None:
        test = self._state.test(unit)
        if test is not None:
            return Verdict(at_ns=test.at_ns, passed=test.passed, electrical=True, cell=True)
        scrap = self._state.scrap(unit)
        if scrap is None:
            return None
        station, at_ns, _ = scrap
        return Verdict(
            at_ns=at_ns, passed=False, electrical=station >= self._formation, cell=station >= self._press
        )

    def _learn(self) -> None:
        self._labels_dirty = False
        labels = [(row.at_ns, unit) for unit, row in self.verdicts.items() if row.electrical]
        units = [unit for _, unit in sorted(labels)]
        if units:
            passed = np.array([self.verdicts[unit].passed for unit in units])
            self.model = self._prior.fitted(self.vectors(units), passed)
        else:
            self.model = self._prior
        self._steps = step_losses(self._step_priors, *self._step_counts())
        self._lots = self._record = self._probabilities = None

    def _step_counts(self) -> tuple[list[int], list[int]]:
        steps = len(self._step_priors)
        through, lost = [0] * steps, [0] * steps
        for unit in self.features:
            scrap = self._state.scrap(unit)
            station = scrap[0] if scrap else self._state.progress(unit)[0]
            for step in range(min(steps, max(0, station - self._press))):
                through[step] += 1
            if scrap and 0 <= station - self._press < steps:
                lost[station - self._press] += 1
        return through, lost

    def _reasons(self, unit: str, features: Features) -> tuple[Reason, ...]:
        texts = {
            "film seen": features.seen_text,
            "film unseen": features.unseen_text,
            "alignment": features.alignment_text,
            "later stations": f"{self.model.labels_count} finished cells have taught this",
        }
        shares = self.shares(features.vector, self.further_log_loss(unit))
        rows = [Reason(station, what, share, texts[what]) for (station, what), share in shares.items()]
        return tuple(sorted(rows, key=lambda row: row.log_share))

"""What the twin says of itself: predictions, forecasts, and how they came out.

Forecasts: of the line, which is what the newest film that waits will make, so that it moves as soon as something is
seen on film; of all open cells, once a day; and of each lot when it is complete. The last two are scored when every
cell they spoke of has its verdict; each film reaches them as cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from line.events import CellPredicted, ForecastScored, YieldForecast
from line.ids import iso
from line.queries import LossRow, ScorePoint
from twin.book import MODEL, MODEL_VERSION, YieldBook
from twin.lot_forecast import forecast
from twin.state import LineState

COVERAGE = 0.9
_MOVED = 0.01
"""A cell is said again when its probability has moved by more."""
_MATERIAL = 0.001
"""A forecast is said again when it has moved by more, or an end of its interval by three times as much."""
OPEN_CELLS = "open cells"
_TRACK_POINTS = 2_000


class Forecaster:
    """Decides what is to be said. Pure: what was said comes back through the state."""

    def __init__(self, state: LineState, book: YieldBook) -> None:
        self._state, self._book = state, book
        self._settled: set[str] = set()
        self._verdicts_count = 0

    def predictions(self, most: int = 50) -> list[CellPredicted]:
        """Predictions of finished stacks and open cells that are new or have moved, at most so many."""
        due: list[tuple[float, str]] = []
        chances = self._book.probabilities()
        for unit in self._book.open_units():
            said = self._said(unit)
            change = math.inf if said is None else abs(chances[unit] - said)
            if change > _MOVED and self._book.finished(unit):
                due.append((-change, unit))
        made = (self._book.prediction(unit) for _, unit in sorted(due)[:most])
        return [row for row in made if row is not None]

    def line_forecast(self) -> YieldForecast | None:
        """The cells to come from the newest film that waits; without any, the open cells."""
        cells = self._book.pipeline.cells_count
        if not cells:
            return self._forecast("line", OPEN_CELLS, self._book.open_units())
        vector, chance = self._book.film_outlook()
        return self._made(
            "line", f"{cells} cells of the newest film", np.full(cells, chance), np.tile(vector, (cells, 1))
        )

    def due_forecasts(self, said: YieldForecast | None) -> list[YieldForecast]:
        """Forecasts that are new or have moved materially, `said` being the line's last one."""
        due = []
        line = self.line_forecast()
        if line is not None and (said is None or _differs(line, said)):
            due.append(line)
        today = iso(self._state.at_ns)[:10]
        for name, lot in self._book.lots().items():
            if lot.open_count and name < today and self._key("lot", name) not in self._state.forecasts:
                made = self._forecast("lot", name, [unit for unit in lot.units if unit not in self._book.verdicts])
                due += [made] if made else []
        if self._key("lot", OPEN_CELLS, today) not in self._state.forecasts:
            made = self._forecast("lot", OPEN_CELLS, self._book.open_units())
            due += [made] if made else []
        return due

    def due_scores(self) -> list[ForecastScored]:
        """Forecasts that can be scored now."""
        if len(self._book.verdicts) == self._verdicts_count:
            return []
        self._verdicts_count = len(self._book.verdicts)
        scored = []
        for key, made in sorted(self._state.forecasts.items(), key=lambda row: (row[1].at_ns, row[0])):
            if made.scope != "lot" or key in self._state.scores or key in self._settled:
                continue
            cells = self._cells_of(made)
            if cells is None:
                continue
            self._settled.add(key)
            if cells:
                passed = sum(self._book.verdicts[unit].passed for unit in cells)
                inside = made.low_fraction - 1e-9 <= passed / len(cells) <= made.high_fraction + 1e-9
                scored.append(
                    ForecastScored(
                        at_ns=self._state.at_ns,
                        simulated=self._state.simulated,
                        forecast=key,
                        cells_count=len(cells),
                        passed_count=passed,
                        inside=inside,
                    )
                )
        return scored

    def losses(self) -> list[LossRow]:
        """Expected loss of the open cells by cause, largest first: each cell's loss is split by its log shares."""
        book = self._book
        chances = book.probabilities()
        cells: dict[tuple[str, str], float] = {}
        for unit in book.open_units():
            shares = book.shares(book.ahead(unit), book.further_log_loss(unit))
            total = sum(shares.values())
            for cause, share in shares.items():
                if total < 0:
                    cells[cause] = cells.get(cause, 0.0) + (1 - chances[unit]) * share / total
        rows = [LossRow(station, what, lost) for (station, what), lost in cells.items()]
        return sorted(rows, key=lambda row: -row.cells)

    def track(self) -> tuple[ScorePoint, ...]:
        """The line's forecasts so far, thinned to what a chart can show."""
        said = sorted((row for row in self._state.forecasts.values() if row.scope == "line"), key=lambda row: row.at_ns)
        step = -(-len(said) // _TRACK_POINTS) or 1
        kept = said[::-1][::step][::-1]
        return tuple(ScorePoint(row.at_ns, row.expected_fraction, row.low_fraction, row.high_fraction) for row in kept)

    def _said(self, unit: str) -> float | None:
        for name in (self._state.cell_name(unit), unit):
            if name in self._state.predicted:
                return self._state.predicted[name][2]
        return None

    def _forecast(self, scope: Literal["lot", "line"], name: str, units: Sequence[str]) -> YieldForecast | None:
        if not units:
            return None
        chances = self._book.probabilities()
        return self._made(scope, name, np.array([chances[unit] for unit in units]), self._book.vectors(units))

    def _made(
        self, scope: Literal["lot", "line"], name: str, values: np.typing.NDArray[np.float64],
        vectors: np.typing.NDArray[np.float64],
    ) -> YieldForecast:  # fmt: skip
        variance = self._book.model.mean_variance(vectors, values)
        interval = forecast(values, variance, self._book.record(), COVERAGE)
        return YieldForecast(
            at_ns=self._state.at_ns,
            simulated=self._state.simulated,
            forecast=self._key(scope, name, iso(self._state.at_ns)[:10] if name == OPEN_CELLS else ""),
            scope=scope,
            name=name,
            cells_count=len(values),
            expected_fraction=interval.expected,
            low_fraction=interval.low,
            high_fraction=interval.high,
            coverage=COVERAGE,
            model=f"{MODEL}@v{MODEL_VERSION}",
            labels_count=self._book.model.labels_count,
        )

    def _key(self, scope: str, name: str, day: str = "") -> str:
        if scope == "line":
            return f"line-{self._state.at_ns}"
        return f"{scope}-{name.replace(' ', '-')}{f'-{day}' if day else ''}"

    def _cells_of(self, made: YieldForecast) -> list[str] | None:
        """The cells a forecast spoke of; None while one of them has no verdict."""
        book, state = self._book, self._state
        lot = None if made.name == OPEN_CELLS else book.lots().get(made.name)
        units = [
            unit
            for unit in (lot.units if lot else book.features)
            if 0 < state.started_ns(unit) <= made.at_ns
            and (unit not in book.verdicts or book.verdicts[unit].at_ns > made.at_ns)
        ]
        if any(unit not in book.verdicts for unit in units):
            return None
        return [unit for unit in units if book.verdicts[unit].cell]


def _differs(one: YieldForecast, other: YieldForecast) -> bool:
    return (
        abs(one.expected_fraction - other.expected_fraction) > _MATERIAL
        or abs(one.low_fraction - other.low_fraction) > 3 * _MATERIAL
        or abs(one.high_fraction - other.high_fraction) > 3 * _MATERIAL
        or abs(one.cells_count - other.cells_count) > 0.1 * other.cells_count
    )

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from line.model import LineModel
from twin.cell_yield import Columns, early_share, outside_probability, prior_model, step_losses
from twin.film_risk import FilmRisk

COLUMNS = Columns(seen=3)
TRUE = np.array([1.8, 0.5, 1.0, 1.4, 1.0, 0.08])


def simulated(rng: np.random.Generator, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, true chances and verdicts of cells whose strengths are TRUE."""
    features = np.zeros((cells, COLUMNS.count))
    features[:, :3] = rng.gamma(0.25, 0.4, (cells, 3))
    features[:, COLUMNS.unseen] = rng.gamma(4.0, 0.02, cells)
    features[:, COLUMNS.alignment] = 0.01
    features[:, COLUMNS.electrical] = 1.0
    chances = np.exp(-features @ TRUE)
    return features, chances, rng.random(cells) < chances


def test_before_the_first_label_the_published_curves_hold() -> None:
    model = prior_model(COLUMNS, 0.05)
    vector = np.array([0.1, 0.0, 0.2, 0.05, 0.0, 1.0])
    assert model.probability(vector, 0.02).p == pytest.approx(math.exp(-0.42))
    assert model.fitted(np.zeros((0, COLUMNS.count)), np.zeros(0, dtype=bool)).theta == pytest.approx(model.theta)


def test_strengths_are_learnt_from_labels_within_their_own_uncertainty() -> None:
    features, _, passed = simulated(np.random.default_rng(1), 3_000)
    model = prior_model(COLUMNS, 0.05).fitted(features, passed)
    deviation = np.sqrt(np.diag(model.covariance))
    assert np.all(np.abs(model.theta - TRUE)[:4] < 3 * deviation[:4])
    assert model.theta[0] == pytest.approx(1.8, abs=0.4)
    assert model.theta[1] == pytest.approx(0.5, abs=0.2)
    assert model.labels_count == 3_000


def test_labels_improve_on_the_prior_and_the_interval_holds_the_truth_nine_times_in_ten() -> None:
    inside, better = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        features, _, passed = simulated(rng, 400)
        model = prior_model(COLUMNS, 0.05).fitted(features, passed)
        fresh, chances, _ = simulated(rng, 50)
        found = [model.probability(row) for row in fresh]
        inside += [row.low <= truth <= row.high for row, truth in zip(found, chances, strict=True)]
        prior = prior_model(COLUMNS, 0.05)
        learnt = np.mean([abs(row.p - truth) for row, truth in zip(found, chances, strict=True)])
        better.append(
            learnt < np.mean([abs(prior.probability(row).p - t) for row, t in zip(fresh, chances, strict=True)])
        )
    assert 0.85 <= np.mean(inside) <= 0.97
    assert np.mean(better) > 0.9


def test_the_same_labels_in_one_fit_give_one_answer_and_a_strength_stays_positive() -> None:
    features = np.zeros((50, COLUMNS.count))
    features[:, 0], features[:, -1] = 2.0, 1.0
    model = prior_model(COLUMNS, 0.05)
    always, never = np.ones(50, dtype=bool), np.zeros(50, dtype=bool)
    assert np.all(model.fitted(features, always).theta > 0)
    assert model.fitted(features, always).probability(features[0]).p > 0.9
    assert model.fitted(features, never).probability(features[0]).p < 0.1
    assert np.array_equal(model.fitted(features, never).theta, model.fitted(features, never).theta)


def test_the_interval_narrows_with_labels() -> None:
    features, _, passed = simulated(np.random.default_rng(3), 2_000)
    widths = []
    for count in (0, 100, 2_000):
        found = prior_model(COLUMNS, 0.05).fitted(features[:count], passed[:count]).probability(features[7])
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > widths[2]


def test_failures_that_come_early_do_not_pass_for_a_low_yield() -> None:
    """Half of the cells are only through formation: all their verdicts are failures, and yet the strength is right."""
    rng = np.random.default_rng(11)
    features = np.zeros((4_000, COLUMNS.count))
    features[:, 0], features[:, -1] = rng.gamma(0.5, 0.4, 4_000), 1.0
    loss = features @ TRUE
    share = 0.6
    came_through = rng.random(4_000) < np.exp(-share * loss)
    old = np.arange(4_000) < 2_000
    passed = rng.random(4_000) < np.exp(-(1 - share) * loss)
    tested = came_through & old
    estimated = 0.5
    for _ in range(3):
        rows = np.concatenate([estimated * features, (1 - estimated) * features[tested]])
        model = prior_model(COLUMNS, 0.05).fitted(rows, np.concatenate([came_through, passed[tested]]), 2_000)
        losses = features @ model.theta
        estimated = early_share(losses, came_through, losses[tested], passed[tested])
    assert estimated == pytest.approx(share, abs=0.04)
    assert model.theta[0] == pytest.approx(TRUE[0], rel=0.1)
    assert model.labels_count == 2_000
    with_verdict = ~came_through | tested
    naive = prior_model(COLUMNS, 0.05).fitted(features[with_verdict], (came_through & passed)[with_verdict])
    assert naive.theta[0] > 1.3 * TRUE[0]


def test_the_early_share_begins_as_published() -> None:
    nothing, nobody = np.zeros(0), np.zeros(0, dtype=bool)
    assert early_share(nothing, nobody, nothing, nobody) == pytest.approx(0.55 / 0.90)


def test_a_fit_of_a_thousand_labels_takes_milliseconds() -> None:
    features, _, passed = simulated(np.random.default_rng(3), 1_000)
    started = time.process_time()
    prior_model(COLUMNS, 0.05).fitted(features, passed)
    assert time.process_time() - started < 0.2


def test_an_overhang_on_its_limit_is_outside_half_of_the_time() -> None:
    assert outside_probability(500.0, 20.0, 500.0, 1500.0) == pytest.approx(0.5)
    assert outside_probability(520.0, 20.0, 500.0, 1500.0) == pytest.approx(0.0228, abs=1e-3)
    assert outside_probability(1000.0, 20.0, 500.0, 1500.0) == 0.0
    assert outside_probability(1600.0, 20.0, 500.0, 1500.0) == pytest.approx(1.0)


def test_a_step_begins_with_its_published_yield_and_follows_its_record() -> None:
    (fresh,) = step_losses([0.98], [0], [0])
    (bad,) = step_losses([0.98], [900], [100])
    assert math.exp(-fresh.log_loss) == pytest.approx(0.98)
    assert math.exp(-bad.log_loss) == pytest.approx(0.904, abs=0.001)


def test_unseen_killers_follow_the_negative_binomial_yield(line: LineModel) -> None:
    """R16: uninspected film at the published rates, alpha one pseudo-defect per class."""
    risk = FilmRisk(line)
    loss = risk.unseen_log_loss(risk.expected_density(), 0.0, 0.504)
    by_hand = sum(math.log1p(row.rate_per_m2 * row.killer_share * 0.504) for row in risk.classes)
    assert loss == pytest.approx(by_hand)
    killers_per_m2 = sum(row.rate_per_m2 * row.killer_share for row in risk.classes)
    assert killers_per_m2 == pytest.approx(0.465, abs=0.01)
    assert risk.unseen_log_loss(risk.expected_density(), 0.504, 0.0) < loss / 2


def test_a_seen_defect_kills_by_the_published_curve(line: LineModel, maker) -> None:  # type: ignore[no-untyped-def]
    maker.defect("d", "FR-1", 0, 100_000, kind="PIN", size_um=45.0)
    maker.defect("e", "FR-1", 0, 100_000, kind="strange", size_um=260.0)
    risk = FilmRisk(line)
    assert risk.kill_probability(maker.events[0]) == pytest.approx(0.5)
    assert risk.log_loss(maker.events[0]) == pytest.approx(math.log(2))
    assert risk.column("strange") == len(risk.codes)
    assert risk.kill_probability(maker.events[1]) == pytest.approx(0.5)

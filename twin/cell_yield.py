"""Probability that a cell passes end-of-line test, from priors that labels correct.

    p = exp(-(sum_k theta_k x_k)),    x_k >= 0

A cell's features x are log losses by the published curves: what was seen of each defect class, what nobody saw, and
layers outside their overhang limits; then 1 for electrical losses from formation on, and the log losses of pressing,
welding and sealing still ahead. The strengths theta say how far the published curves are off; they are 1 before the
first label. log p is additive, so each share is an exact attribution (and no proof of a cause).

Failures come early or late: a hard short ends in formation after three days, the verdict of a good cell takes twelve.
A share of the log loss (`early_share`) is due in formation and the rest after it. A cell that has come through
formation is a label of its own for the early share and has only the rest ahead; without that, the first labels of new
cells would all be failures.

Learning is one maximum a posteriori fit: Bernoulli labels, gamma priors with their mode at 1, older labels counting
less. The problem is concave, so it has one answer, and the same labels give the same answer. The 90 % interval of a
probability is the delta method on log(-log p) with the covariance of the fit (Laplace).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from line.relations_defects import HARD_SHORT_FRACTION, SOFT_SHORT_FRACTION

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

Z90 = 1.6448536269514722
_LABEL_MEMORY = 3_000
"""Rows after which an older one counts half: about 1,500 cells, which have two."""
_PRIOR_FAILURES = 10.0
"""Weight of the published shares of early and late failures."""
_SEEN_SHAPE = 3.0
_UNSEEN_SHAPE = 3.0
_ALIGNMENT_SHAPE = 2.5
_ELECTRICAL_SHAPE = 3.0
"""Shapes of the gamma priors: a strength is off by a factor of two in about one class of six."""
_ROUNDS = 60
_SMALLEST = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Places in a feature vector: seen defects by class, then the others."""

    seen: int
    """Classes, the last of them being unnamed defects."""

    @property
    def unseen(self) -> int:
        return self.seen

    @property
    def alignment(self) -> int:
        return self.seen + 1

    @property
    def electrical(self) -> int:
        return self.seen + 2

    @property
    def count(self) -> int:
        return self.seen + 3


@dataclass(frozen=True, slots=True)
class Probability:
    """A probability with its 90 % interval from what is not known of the strengths."""

    p: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class YieldModel:
    """Strengths with their covariance; `prior_model` makes the first one and `fitted` the next."""

    columns: Columns
    theta: Vector
    covariance: Matrix
    labels_count: int
    prior_shape: Vector
    """Of the gamma priors, less 1."""
    prior_rate: Vector

    def fitted(self, features: Matrix, passed: NDArray[np.bool_], labels_count: int | None = None) -> YieldModel:
        """The model after labels.

        Args:
            features: shape (n, columns.count), oldest first, each times the share of the loss that its label is
                about. Cells that were scrapped before formation are censored and must not be among them.
            passed: shape (n,).
            labels_count: cells with a final verdict, n without it.
        """
        weights = 0.5 ** (np.arange(len(passed))[::-1] / _LABEL_MEMORY)
        prior = self.prior_shape, self.prior_rate
        theta = self.prior_shape / self.prior_rate
        value = _objective(theta, features, passed, weights, *prior)
        for _ in range(_ROUNDS):
            gradient, hessian = _derivatives(theta, features, passed, weights, *prior)
            step = np.linalg.solve(hessian, gradient)
            shrink = 1.0
            # A strength never loses more than nine tenths in one step, so it stays above 0.
            falling = step < 0
            if falling.any():
                shrink = min(1.0, float(np.min(0.9 * theta[falling] / -step[falling])))
            for _ in range(40):
                trial = theta + shrink * step
                reached = _objective(trial, features, passed, weights, *prior)
                if reached >= value - 1e-12 * abs(value):
                    break
                shrink /= 2
            gain, theta, value = reached - value, trial, reached
            if gain < 1e-9 * (1 + abs(value)):
                break
        _, hessian = _derivatives(theta, features, passed, weights, *prior)
        return replace(
            self,
            theta=theta,
            covariance=np.asarray(np.linalg.inv(hessian), dtype=np.float64),
            labels_count=len(passed) if labels_count is None else labels_count,
        )

    def probability(self, features: Vector, further_log_loss: float = 0.0) -> Probability:
        """P(pass) of a cell, and its interval.

        Args:
            features: shape (columns.count,).
            further_log_loss: of steps ahead that are not among the features.
        """
        loss = float(features @ self.theta)
        deviation = math.sqrt(max(0.0, float(features @ self.covariance @ features)))
        factor = math.exp(Z90 * deviation / max(loss, _SMALLEST)) if loss > 0 else 1.0
        return Probability(
            math.exp(-loss - further_log_loss),
            math.exp(-loss * factor - further_log_loss),
            math.exp(-loss / factor - further_log_loss),
        )

    def probabilities(self, features: Matrix, further_log_loss: Vector) -> Vector:
        """P(pass) of many cells; shapes (n, columns.count) and (n,)."""
        return np.asarray(np.exp(-(features @ self.theta) - further_log_loss))

    def mean_variance(self, features: Matrix, probabilities: Vector) -> float:
        """Variance of the mean of many probabilities that comes from what is not known of the strengths."""
        gradient = -(probabilities @ features) / len(probabilities)
        return float(gradient @ self.covariance @ gradient)


def prior_model(columns: Columns, electrical_log_loss: float) -> YieldModel:
    """The model before the first label: published curves, and this log loss from formation on."""
    theta = np.ones(columns.count)
    theta[columns.electrical] = max(electrical_log_loss, 1e-3)
    shape = np.full(columns.count, _SEEN_SHAPE)
    shape[columns.unseen] = _UNSEEN_SHAPE
    shape[columns.alignment] = _ALIGNMENT_SHAPE
    shape[columns.electrical] = _ELECTRICAL_SHAPE
    shape -= 1
    return YieldModel(
        columns=columns,
        theta=theta,
        covariance=np.diag(theta**2 / shape),
        labels_count=0,
        prior_shape=shape,
        prior_rate=shape / theta,
    )


PUBLISHED_EARLY_SHARE = HARD_SHORT_FRACTION / (HARD_SHORT_FRACTION + SOFT_SHORT_FRACTION)
"""R25: hard shorts among the killers that are found before the field."""


def early_share(
    formed_loss: Vector, came_through: NDArray[np.bool_], tested_loss: Vector, passed: NDArray[np.bool_]
) -> float:
    """Share of the log loss that is due in formation: the most likely one, beginning with the published.

    Args:
        formed_loss: shape (n,), the whole log loss of cells that left formation.
        came_through: shape (n,).
        tested_loss: shape (m,), the same of cells with a verdict after it.
        passed: shape (m,).
    """

    def slope(share: float) -> float:
        early = np.where(came_through, -1.0, 1 / np.expm1(np.maximum(share * formed_loss, _SMALLEST))) @ formed_loss
        late = np.where(passed, -1.0, 1 / np.expm1(np.maximum((1 - share) * tested_loss, _SMALLEST))) @ tested_loss
        prior = _PRIOR_FAILURES * (PUBLISHED_EARLY_SHARE / share - (1 - PUBLISHED_EARLY_SHARE) / (1 - share))
        return float(early - late) + prior

    low, high = 1e-6, 1 - 1e-6
    # The log likelihood is concave, so its slope falls through 0 once.
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True, slots=True)
class StepLoss:
    """Beta-binomial record of one step: how many came through, how many were lost."""

    through: float
    lost: float

    @property
    def log_loss(self) -> float:
        """-log of the mean yield."""
        return -math.log(self.through / (self.through + self.lost))


def step_losses(prior_yields: Sequence[float], through: Sequence[int], lost: Sequence[int]) -> list[StepLoss]:
    """Yields of consecutive steps, the published ones weighing as much as fifty parts."""
    return [
        StepLoss(50 * prior + went, 50 * (1 - prior) + fell)
        for prior, went, fell in zip(prior_yields, through, lost, strict=True)
    ]


def outside_probability(value_um: float, uncertainty_um: float, low_um: float, high_um: float) -> float:
    """Chance that the true value lies outside its limits, normal with the expanded (k=2) uncertainty."""
    sigma = max(uncertainty_um / 2, 1e-6)
    if min(value_um - low_um, high_um - value_um) > 8 * sigma:
        return 0.0
    below = 0.5 * math.erfc((value_um - low_um) / sigma / math.sqrt(2))
    above = 0.5 * math.erfc((high_um - value_um) / sigma / math.sqrt(2))
    return min(1.0, below + above)


def _objective(
    theta: Vector, features: Matrix, passed: NDArray[np.bool_], weights: Vector, shape: Vector, rate: Vector
) -> float:
    loss = np.maximum(features @ theta, _SMALLEST)
    labels = np.where(passed, -loss, np.log(-np.expm1(-loss)))
    return float(weights @ labels + shape @ np.log(theta) - rate @ theta)


def _derivatives(
    theta: Vector, features: Matrix, passed: NDArray[np.bool_], weights: Vector, shape: Vector, rate: Vector
) -> tuple[Vector, Matrix]:
    """Gradient, and the Hessian with its sign turned."""
    loss = np.maximum(features @ theta, _SMALLEST)
    odds = 1 / np.expm1(loss)
    slope = weights * np.where(passed, -1.0, odds)
    bend = weights * np.where(passed, 0.0, odds * (odds + 1))
    gradient = features.T @ slope + shape / theta - rate
    hessian = (features.T * bend) @ features + np.diag(shape / theta**2)
    return gradient, hessian

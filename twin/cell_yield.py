"""Probability that a cell passes end-of-line test, from priors that labels correct.

    p = exp(-(sum_k theta_k x_k)),    x_k >= 0

A cell's features x are log losses by the published curves: what was seen of each defect class, what nobody saw, and
layers outside their overhang limits; then 1 for electrical losses from formation on, and the log losses of pressing,
welding and sealing still ahead. The strengths theta say how far the published curves are off; they are 1 before the
first label. log p is additive, so each share is an exact attribution (and no proof of a cause).

Learning is one maximum a posteriori fit: Bernoulli labels, gamma priors with their mode at 1, older labels counting
less. The problem is concave, so it has one answer, and the same labels give the same answer. The 90 % interval of a
probability is the delta method on log(-log p) with the covariance of the fit (Laplace).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

Z90 = 1.6448536269514722
_LABEL_MEMORY = 1_500
"""Labels after which an older one counts half."""
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


class YieldModel:
    """Strengths with their covariance. Immutable; `fitted` gives the next one."""

    def __init__(self, columns: Columns, electrical_log_loss: float) -> None:
        self.columns = columns
        self.theta: Vector = np.ones(columns.count)
        self.theta[columns.electrical] = max(electrical_log_loss, 1e-3)
        shape = np.full(columns.count, _SEEN_SHAPE)
        shape[columns.unseen] = _UNSEEN_SHAPE
        shape[columns.alignment] = _ALIGNMENT_SHAPE
        shape[columns.electrical] = _ELECTRICAL_SHAPE
        self._shape = shape - 1
        self._rate = self._shape / self.theta
        self.covariance: Matrix = np.diag(self.theta**2 / self._shape)
        self.labels_count = 0

    def fitted(self, features: Matrix, passed: NDArray[np.bool_]) -> YieldModel:
        """The model after labels.

        Args:
            features: shape (n, columns.count), of cells with an electrical verdict, oldest first. Cells that were
                scrapped before it are censored and must not be among them.
            passed: shape (n,).
        """
        model = YieldModel.__new__(YieldModel)
        model.columns, model._shape, model._rate = self.columns, self._shape, self._rate
        model.labels_count = len(passed)
        weights = 0.5 ** (np.arange(len(passed))[::-1] / _LABEL_MEMORY)
        theta = self._shape / self._rate
        value = _objective(theta, features, passed, weights, self._shape, self._rate)
        hessian = np.diag(self._shape / theta**2)
        for _ in range(_ROUNDS):
            gradient, hessian = _derivatives(theta, features, passed, weights, self._shape, self._rate)
            step = np.linalg.solve(hessian, gradient)
            shrink = 1.0
            # A strength never loses more than nine tenths in one step, so it stays above 0.
            falling = step < 0
            if falling.any():
                shrink = min(1.0, float(np.min(0.9 * theta[falling] / -step[falling])))
            for _ in range(40):
                trial = theta + shrink * step
                reached = _objective(trial, features, passed, weights, self._shape, self._rate)
                if reached >= value - 1e-12 * abs(value):
                    break
                shrink /= 2
            gain, theta, value = reached - value, trial, reached
            if gain < 1e-9 * (1 + abs(value)):
                break
        _, hessian = _derivatives(theta, features, passed, weights, self._shape, self._rate)
        model.theta = theta
        model.covariance = np.linalg.inv(hessian)
        return model

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

"""Probability of detection from hits and misses, the logistic model of MIL-HDBK-1823A over ln(size).

Sizes that nine of ten are found from come with a bound: the largest a90 that the likelihood ratio does not reject at
95 %, one-sided, the other parameter being whatever suits it best (profile likelihood, one degree of freedom).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_WIDTHS = np.geomspace(0.01, 4.0, 90)
"""Values of s that are tried; a curve that is steeper or flatter than all of them is taken for the last of them."""
_FARTHEST = 4.0
"""How far beyond the largest target a bound may lie in ln(size); further is no bound."""


def logit_fit(sizes_um: NDArray[np.float64], hits: NDArray[np.bool_]) -> tuple[float, float]:
    """a50 [µm] and s of `1 / (1 + exp(-(ln(size) - ln(a50)) / s))`, by iteratively reweighted least squares.

    A weak prior (half a hit and half a miss, far out) keeps the fit finite where hits and misses do not overlap.

    Args:
        sizes_um: shape (n,), above 0.
        hits: shape (n,).
    """
    x = np.log(sizes_um)
    middle, spread = float(x.mean()), float(x.std()) + 1e-6
    z = (x - middle) / spread
    design = np.column_stack((np.ones_like(z), z))
    answer = hits.astype(np.float64)
    weights = np.ones_like(answer)
    for place, value in ((3.0, 1.0), (-3.0, 0.0)):
        design = np.vstack((design, (1.0, place)))
        answer, weights = np.append(answer, value), np.append(weights, 0.5)
    beta = np.array([0.0, 1.0])
    for _ in range(60):
        probability = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        curvature = weights * probability * (1 - probability)
        gradient = design.T @ (weights * (answer - probability)) - 1e-3 * beta
        hessian = (design.T * curvature) @ design + 1e-3 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        # Held short: where hits and misses hardly overlap the likelihood is flat and a full step overshoots.
        beta += np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-6:
            break
    slope = max(float(beta[1]), 0.05)
    return math.exp(middle - spread * float(beta[0]) / slope), spread / slope


def a90_bound_um(sizes_um: NDArray[np.float64], hits: NDArray[np.bool_], *, confidence: float = CONFIDENCE) -> float:
    """a90/95: the largest size that may be the one at which 90 % are found; infinite where the targets set no bound.

    Args:
        sizes_um: shape (n,), above 0.
        hits: shape (n,).
        confidence: that the true a90 lies below it.
    """
    x = np.log(sizes_um)
    least = -(NormalDist().inv_cdf(confidence) ** 2) / 2

    def profile(a90: float) -> float:
        """Highest log likelihood of all curves with this ln(a90)."""
        return float(_log_likelihood((x - a90)[None, :] / _WIDTHS[:, None] + math.log(9), hits).max())

    places = np.linspace(x.min() - 2.0, x.max() + _FARTHEST, 120)
    values = np.array([profile(place) for place in places.tolist()])
    # Curves that are turned round have no a90; the highest of the others is the fit.
    limit = float(values.max()) + least
    inside = np.flatnonzero(values >= limit)
    if inside[-1] == len(places) - 1:
        return math.inf
    low, high = float(places[inside[-1]]), float(places[inside[-1] + 1])
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if profile(middle) >= limit else (low, middle)
    return math.exp(high)


def likely_curves(
    sizes_um: NDArray[np.float64], hits: NDArray[np.bool_], rng: np.random.Generator, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """a50 [µm] and s of curves drawn by their likelihood, even in ln(a50) and ln(s) before the targets are seen.

    Args:
        sizes_um: shape (n,), above 0.
        hits: shape (n,).
        count: of curves.
    """
    x = np.log(sizes_um)
    middles = np.linspace(x.min() - 1.0, x.max() + 1.0, 241)
    widths = np.geomspace(0.02, 2.0, 81)
    likelihood = np.stack([_log_likelihood((x - middle)[None, :] / widths[:, None], hits) for middle in middles])
    weights = np.exp(likelihood - likelihood.max()).ravel()
    chosen = rng.choice(weights.size, size=count, p=weights / weights.sum())
    place, width = np.unravel_index(chosen, likelihood.shape)
    # Anywhere in its cell: a grid of curves is no grid of answers.
    step = rng.uniform(-0.5, 0.5, (2, count))
    a50 = np.exp(middles[place] + step[0] * (middles[1] - middles[0]))
    return a50, np.asarray(widths[width] * (widths[1] / widths[0]) ** step[1], np.float64)


def _log_likelihood(score: NDArray[np.float64], hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of hits and misses whose logits are the rows of `score`, shape (rows,)."""
    return np.asarray(-np.logaddexp(0, np.where(hits, -score, score)).sum(axis=1), np.float64)

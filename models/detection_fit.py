"""Probability of detection from hits and misses."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


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

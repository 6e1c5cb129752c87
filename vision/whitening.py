"""Features brought to equal spread in every direction, so that distances between them mean the same everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def whitening_of(points: Floats, floor: float) -> tuple[Floats, Floats]:
    """Mean and whitening of points; whitened they are ``(point - mean) @ whitening``.

    Args:
        points: shape (n, d).
        floor: of the mean variance, added to each: good film hardly varies in some directions.

    Returns:
        Shapes (d,) and (d, d).
    """
    variances, directions = np.linalg.eigh(np.cov(points.T))
    scale = (np.maximum(variances, 0) + floor * variances.mean()) ** -0.5
    return points.mean(axis=0), np.asarray(directions * scale, np.float32)

"""Which patches a memory keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PROJECTED = 64


def coreset_indices(points: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of points so spread that none of the others is far from one of them.

    Greedy k-centre: always the point that is farthest from those taken already, on a random projection to 64
    dimensions, as in PatchCore [1].

    Args:
        points: shape (n, d).
        count: how many to take; all when there are fewer.

    Returns:
        Shape (min(count, n),), in the order taken.

    [1] K. Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022.
    """
    n, dimensions = points.shape
    if count >= n:
        return np.arange(n)
    if dimensions > _PROJECTED:
        points = points @ (rng.standard_normal((dimensions, _PROJECTED), np.float32) / np.float32(8))
    squares = np.einsum("nd,nd->n", points, points)
    taken = np.empty(count, np.int64)
    nearest = np.full(n, np.inf, np.float32)
    index = int(rng.integers(n))
    for position in range(count):
        taken[position] = index
        np.minimum(nearest, squares - 2 * (points @ points[index]) + squares[index], out=nearest)
        index = int(nearest.argmax())
    return taken

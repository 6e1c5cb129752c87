"""Which patches a memory keeps, and how far apart they lie."""

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


def spacings(points: NDArray[np.float32], neighbours: int = 5) -> NDArray[np.float32]:
    """How sparse the memory is around each of its points: what a distance to that point is divided by; shape (n,).

    Mean distance to the nearest others, over the median of all, to the power of 0.7: what is usual in a sparse part of
    the memory would be far off in a dense one, as in the local outlier factor [1], but a coreset has thinned out the
    dense parts already.

    [1] M. Breunig et al., "LOF: Identifying Density-Based Local Outliers", SIGMOD 2000.
    """
    squares = np.einsum("nd,nd->n", points, points)
    apart = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    np.fill_diagonal(apart, np.inf)
    count = min(neighbours, len(points) - 1)
    nearest = np.sqrt(np.partition(apart, count - 1, axis=1)[:, :count]).mean(axis=1)
    sparseness = nearest / max(float(np.median(nearest)), 1e-6)
    # Patches that are all but equal have no spacing to speak of.
    return np.asarray(np.maximum(sparseness, 0.1) ** 0.7, np.float32)

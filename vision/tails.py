"""How widely values of film scatter, and how much longer their tails are than a Gaussian's."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from vision.pyramid import Floats

_NEARER_TAIL = 10.0
"""Times that share, at which it is compared as well, to see how it grows."""


def robust_sigma(values: Floats) -> float:
    """Standard deviation by the median deviation from the median, so that a few defects do not count."""
    # A few thousand values tell a spread to a percent.
    few = values.ravel()[:: max(1, values.size // 20_000)]
    return 1.4826 * float(np.median(np.abs(few - np.median(few)))) + 1e-9


def tail_stretch(deviations: Sequence[Floats], share: float) -> Floats:
    """How far out the last shares of the deviations begin, against a Gaussian; the median over strips. Shape (2,)."""
    shares = np.array((_NEARER_TAIL * share, share))
    found = np.median([np.quantile(deviation, 1 - shares) for deviation in deviations], axis=0)
    return np.asarray(np.maximum(1.0, found / [gaussian(each / 2) for each in shares]), np.float32)


def gaussian(probability: float) -> float:
    """Deviation that a standard normal passes upwards with this probability."""
    return -NormalDist().inv_cdf(min(max(probability, 1e-15), 0.3))


def stretched(probability: float, share: float, tail: Floats) -> float:
    """The deviation that either side passes with half of this probability, in a tail stretched as was measured.

    Args:
        share: that the tail was measured at.
        tail: of `tail_stretch`.
    """
    inside, seen = (gaussian(each / 2) for each in (_NEARER_TAIL * share, share))
    if probability >= share:
        return seen
    # A skewed distribution's stretch grows in proportion to the deviation (Cornish-Fisher).
    wanted, growth = gaussian(probability / 2), max(0.0, float(tail[1] - tail[0])) / (seen - inside)
    return wanted * (float(tail[1]) + growth * (wanted - seen))

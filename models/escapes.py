"""What a probability of detection means for the line: killers per m² that go on into cells.

Of each class table 2.2 gives how many there are, how large they are and at which size they kill. One is stopped when it
is found and larger than its reject size; the others that kill have escaped. Accept rules are fixed, blisters are left
out, since they arise behind the film camera.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from line.defect_rows import DefectClass
from line.relations_defects import detection_probability, kill_probability
from models.detection_fit import CONFIDENCE

LEFT_OUT = frozenset({"BLI"})
_SIGMAS, _STEPS = 6.0, 2001

Sizes = NDArray[np.float64]
Detection = Callable[[Sizes], Sizes]
"""From sizes [µm] to probabilities of being found; several curves at once give shape (curves, sizes)."""


def size_grid_um(row: DefectClass) -> tuple[Sizes, Sizes]:
    """Sizes of a class and the share of it that has each: lognormal, cut off at its smallest."""
    if not (row.median_um and row.sigma_ln and row.min_um):
        raise ValueError(f"{row.code} has no sizes; leave it out")
    middle, reach = math.log(row.median_um), _SIGMAS * row.sigma_ln
    x = np.linspace(max(math.log(row.min_um), middle - reach), middle + reach, _STEPS)
    shares = np.exp(-(((x - middle) / row.sigma_ln) ** 2) / 2)
    shares[[0, -1]] /= 2
    return np.exp(x), shares / shares.sum()


def killers_at(row: DefectClass, sizes_um: Sizes) -> Sizes:
    """P that a defect of each size kills its cell."""
    if not (row.kill_d50_um and row.kill_s):
        raise ValueError(f"{row.code} has no killing size; leave it out")
    return np.asarray(kill_probability(sizes_um, row.kill_d50_um, row.kill_s), np.float64)


def escaped_killers_per_m2(row: DefectClass, found: Detection) -> Sizes:
    """Killers of a class that are not found, or found and not rejected; shape () or (curves,)."""
    sizes_um, shares = size_grid_um(row)
    stopped = found(sizes_um) * (sizes_um > (row.reject_um or math.inf))
    rate = row.rate_per_m2 or 0.0
    return np.asarray((rate * shares * killers_at(row, sizes_um) * (1 - stopped)).sum(axis=-1), np.float64)


def logistic(a50_um: float | Sizes, s: float | Sizes, *, from_um: float = 0.0) -> Detection:
    """The curve, or the curves of arrays of both; nothing counts as found below the smallest size that was tried."""
    middle, width = np.asarray(a50_um)[..., None], np.asarray(s)[..., None]

    def found(sizes_um: Sizes) -> Sizes:
        return np.asarray(detection_probability(sizes_um, middle, width), np.float64) * (sizes_um >= from_um)

    return found


def perfect(sizes_um: Sizes) -> Sizes:
    """Everything is found."""
    return np.ones_like(sizes_um)


def published(row: DefectClass, pixel_um: float, *, published_pixel_um: float = 20.0) -> Detection:
    """The curve that the line model assumes at a pixel."""
    return logistic((row.pod_a50_um or math.inf) * pixel_um / published_pixel_um, row.pod_s or 1.0)


def counted(line_classes: Sequence[DefectClass]) -> tuple[DefectClass, ...]:
    """The classes that the film camera has to stop."""
    return tuple(row for row in line_classes if row.measured_as == "event" and row.code not in LEFT_OUT)


def upper(totals: Sizes) -> float:
    """The value that so many of equally likely totals stay below."""
    return float(np.quantile(totals, CONFIDENCE))

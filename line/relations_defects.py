"""How film defects come about, are found and kill: published relations R14 to R16, R22, R24 and R25 of the line.

Marks A to D as in `line/relations_film.py`. Magnitudes here are D throughout: no source publishes them for sulfide
film.
"""
# numpy's ufuncs return Any for a scalar; each formula here is one line and has its published values as tests.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from line.elementwise import Numbers, plain

Side = Literal["+", "-", "+-"]
"""Which deviation of a tag drives a defect: above nominal, below, or both."""

HARD_SHORT_FRACTION = 0.55
"""R25: escaped killers that short in formation (D)."""
SOFT_SHORT_FRACTION = 0.35
"""R25: escaped killers that show as self-discharge in ageing (D)."""
LATENT_FRACTION = 0.10
"""R25: escaped killers that nobody finds before the field (D)."""
SELF_DISCHARGE_LIMIT_MV_PER_DAY = 0.71
"""R25: 5 mV a week (A)."""


def deviation_z(
    value: Numbers | float, nominal: Numbers | float, normal_low: Numbers | float, normal_high: Numbers | float
) -> Numbers:
    """R14: a tag's deviation in half-widths of its normal range, (x - nominal) / ((high - low) / 2)."""
    return plain((value - nominal) / ((normal_high - normal_low) / 2))


def driver_exponent(z: Numbers | float, beta: Numbers | float, side: Side) -> Numbers:
    """R14: one driver's share of the exponent, beta g(z), where g is z on the side that drives and 0 on the other."""
    driving = {"+": np.maximum(z, 0.0), "-": np.maximum(np.negative(z), 0.0), "+-": np.abs(z)}[side]
    return plain(beta * driving)


def defect_rate_per_m2(
    rate_per_m2: Numbers | float, exponent: Numbers | float, *, cap_factor: Numbers | float = 50.0
) -> Numbers:
    """R14: rate lambda0 exp(sum of driver exponents), at most `cap_factor` lambda0. Directions B or C, magnitudes D."""
    return plain(rate_per_m2 * np.exp(np.minimum(exponent, np.log(cap_factor))))


def negative_binomial_n_p(mean_count: Numbers | float, *, dispersion: float = 2.0) -> tuple[float, Numbers]:
    """R14: (n, p) of numpy's `negative_binomial` for clustered counts, variance mean + mean^2 / dispersion."""
    return dispersion, plain(dispersion / (dispersion + mean_count))


def _logistic(value: Numbers | float) -> Numbers:
    # tanh does not overflow where exp would
    return plain(0.5 * (1 + np.tanh(0.5 * value)))


def kill_probability(size_um: Numbers | float, d50_um: Numbers | float, s: Numbers | float) -> Numbers:
    """R15: P that a defect of this size would fail the cell, 1 / (1 + exp(-(ln d - ln d50) / s)), size above 0. D."""
    return _logistic((np.log(size_um) - np.log(d50_um)) / s)


def detection_probability(size_um: Numbers | float, a50_um: Numbers | float, s: Numbers | float) -> Numbers:
    """R15, R22: P that a defect of this size is found, the same logistic. Form A (MIL-HDBK-1823A), values D."""
    return _logistic((np.log(size_um) - np.log(a50_um)) / s)


def a50_at_pixel_um(a50_um: Numbers | float, pixel_um: Numbers | float, *, published_pixel_um: float = 20.0) -> Numbers:
    """R15: detection scales with the pixel; half of it is published for 10 µm, in between it is taken as linear. D."""
    return plain(a50_um * pixel_um / published_pixel_um)


def a90_um(a50_um: Numbers | float, s: Numbers | float) -> Numbers:
    """R22: the size that is detected in 90 of 100 cases, a50 exp(s ln 9). Exact for the logistic."""
    return plain(a50_um * np.exp(math.log(9) * s))


def false_alarms_per_m2(
    led_z: Numbers | float, *, nominal_per_m2: Numbers | float = 0.02, slope: Numbers | float = 0.5
) -> Numbers:
    """R15: false alarms, 0.02 exp(0.5 z) per m² with z of the bright-field light where it is above 0. D."""
    return plain(nominal_per_m2 * np.exp(slope * np.maximum(led_z, 0.0)))


def poisson_yield(killers_per_m2: Numbers | float, area_m2: Numbers | float = 0.504) -> Numbers:
    """R16: share of areas without a killer, exp(-D A), killers independent of each other. Exact."""
    return plain(np.exp(np.negative(killers_per_m2) * area_m2))


def negative_binomial_yield(
    killers_per_m2: Numbers | float, area_m2: Numbers | float = 0.504, *, dispersion: Numbers | float = 2.0
) -> Numbers:
    """R16: the same with clusters, (1 + D A / alpha)^-alpha.

    A, from semiconductors: alpha 0.3 to 0.5 in an immature process, 0.5 to 2 in a mature one, above 5 near Poisson.
    """
    return plain((1 + killers_per_m2 * area_m2 / dispersion) ** np.negative(dispersion))


def pod_lower_bound(hits: int, trials: int, *, confidence: float = 0.95) -> float:
    """R22: one-sided Clopper-Pearson bound of a detection probability; 29 of 29 prove 0.90 at 95 %. Exact."""
    if not 0 <= hits <= trials or trials == 0:
        raise ValueError(f"hits {hits} of {trials} trials: expected 0 <= hits <= trials and at least one trial")

    def at_least_as_many(pod: float) -> float:
        return sum(math.comb(trials, k) * pod**k * (1 - pod) ** (trials - k) for k in range(hits, trials + 1))

    low, high = 0.0, 1.0
    for _ in range(60 if hits else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if at_least_as_many(middle) < 1 - confidence else (low, middle)
    return low


def current_focus(depth_fraction: Numbers | float, *, limit: float = 20.0) -> Numbers:
    """R24: how much denser current is above a defect of this depth, 1 / (1 - r), at most 20. Above 20 seen: A."""
    return plain(1 / np.maximum(np.subtract(1.0, depth_fraction), 1 / limit))


def short_probability(
    current_ma_per_cm2: Numbers | float,
    depth_fraction: Numbers | float,
    *,
    scale_ma_per_cm2: Numbers | float = 40.0,
    shape: Numbers | float = 3.0,
) -> Numbers:
    """R24: P that one defect shorts its layer, 1 - exp(-(j F / 40)^3), depth as a share of film thickness. Constants D.

    Weibull form A (Lowack, arXiv 2603.20113), for 0 <= depth <= 1; that a deeper defect shorts sooner is certain, the
    numbers are not.
    """
    focused: Numbers = current_focus(depth_fraction)
    return plain(-np.expm1(-((current_ma_per_cm2 * focused / scale_ma_per_cm2) ** shape)))


def healthy_self_discharge_mv_per_day(
    standard_normal: Numbers | float, *, mean: float = 0.20, sigma: float = 0.08
) -> Numbers:
    """R25: a sound cell's loss of voltage from a standard normal draw, 0 where that would be negative (0.6 %). D."""
    return plain(np.maximum(mean + sigma * standard_normal, 0.0))


def soft_short_self_discharge_mv_per_day(
    standard_normal: Numbers | float, *, median: float = 1.2, sigma_ln: float = 0.7
) -> Numbers:
    """R25: a soft-shorted cell's loss of voltage from a standard normal draw, lognormal. D."""
    return plain(median * np.exp(sigma_ln * standard_normal))

"""What pressing, moisture and stacking make of a cell: published relations R06 to R10, R17 to R21, R23 and R26.

Marks A to D as in `line/relations_film.py`; what kills and shorts a cell is in `line/relations_defects.py`.
"""
# numpy's ufuncs return Any for a scalar; each formula here is one line and has its published values as tests.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from line.elementwise import Numbers, plain

FILM_MOISTURE_K = 0.0374
POWDER_MOISTURE_K = 0.172
"""R09: loss per Pa h^0.75, as cast film and as bare powder."""
_BOLTZMANN_EV_PER_K = 8.617333e-5


def wip_porosity(
    pressure_mpa: Numbers | float,
    temperature_c: Numbers | float,
    dwell_s: Numbers | float,
    *,
    porosity_in: Numbers | float = 0.45,
    rate_per_mpa: Numbers | float = 0.0026,
    rate_per_k: Numbers | float = 0.00914,
) -> Numbers:
    """R06: warm isostatic pressing, eps = 0.45 - (0.45 - e_inf) d(t), never more open than it came.

    e_inf = 0.03 + 0.42 exp(-K P), K = 0.0026 exp(0.00914 (T - 25)) per MPa, d(t) = 1 - 0.36 exp(-(t - 1) / 20 s).
    D, a fit to conductivity at 250 and 625 MPa (Yan et al. 2026), to dwell times (Hayashi et al., ACS Omega 2025) and
    to 3 to 12 % of pores in pressed sheets (Kutsch et al. 2022), all A; cast tapes that kept 30 % at 350 MPa contradict
    it. Meant for 200 to 600 MPa, 20 to 100 °C, 1 s and more.
    """
    rate = rate_per_mpa * np.exp(rate_per_k * (temperature_c - 25))
    final = 0.03 + 0.42 * np.exp(-rate * pressure_mpa)
    done = 1 - 0.36 * np.exp(-(dwell_s - 1) / 20)
    return plain(np.minimum(porosity_in, 0.45 - (0.45 - final) * done))


def edge_crack_probability(pressure_mpa: Numbers | float, ramp_mpa_per_s: Numbers | float = 5.0) -> Numbers:
    """R06: P of a cracked edge per cell, 0.002 exp((P - 505) / 40 MPa), doubled by ramps above 9 MPa/s. D."""
    doubled = np.where(np.greater(ramp_mpa_per_s, 9.0), 2.0, 1.0)
    return plain(np.minimum(doubled * 0.002 * np.exp((pressure_mpa - 505) / 40), 1.0))


def conductivity_ms_per_cm(
    porosity: Numbers | float,
    *,
    binder_wt_percent: Numbers | float = 3.0,
    moisture_factor: Numbers | float = 1.0,
    temperature_c: Numbers | float = 25.0,
    dense_ms_per_cm: Numbers | float = 3.5,
    activation_ev: float = 0.33,
) -> Numbers:
    """R07: sigma = 3.5 (1 - eps)^2.5 exp(-0.13 w_b) f_moist at 25 °C, Arrhenius with 0.33 eV (C). D.

    Bulk values of 1.0 to 4.2 mS/cm are reported (A).
    """
    inverse_k = 1 / (temperature_c + 273.15) - 1 / 298.15
    at_25_c = dense_ms_per_cm * (1 - porosity) ** 2.5 * np.exp(-0.13 * binder_wt_percent) * moisture_factor
    return plain(at_25_c * np.exp(-activation_ev / _BOLTZMANN_EV_PER_K * inverse_k))


def electrolyte_asr_ohm_cm2(thickness_um: Numbers | float, conductivity_ms_per_cm: Numbers | float) -> Numbers:
    """R08: area-specific resistance of the electrolyte film, h / sigma. Exact."""
    return plain(0.1 * thickness_um / conductivity_ms_per_cm)


def cathode_asr_ohm_cm2(
    thickness_um: Numbers | float = 78.8, *, ionic_conductivity_ms_per_cm: Numbers | float = 0.17
) -> Numbers:
    """R08: of the composite cathode, L / (3 sigma_ion). 0.17 mS/cm at 42 vol% NCM: A (Minnmann, JES 168 (2021))."""
    return plain(0.1 * thickness_um / (3 * ionic_conductivity_ms_per_cm))


def interface_asr_ohm_cm2(
    *, moisture_factor: Numbers | float = 1.0, pressure_mpa: Numbers | float = 490.0, nominal: Numbers | float = 8.0
) -> Numbers:
    """R08: of the interfaces, 8.0 / f_moist^2 (490 MPa / P)^0.5. D."""
    return plain(nominal / np.square(moisture_factor) * np.sqrt(490 / pressure_mpa))


def water_pressure_pa(frost_point_c: Numbers | float) -> Numbers:
    """R09: vapour pressure over ice, 611.15 exp(22.452 T / (272.55 + T)) Pa, -80 to 0 °C. Magnus form; A to 1 %."""
    return plain(611.15 * np.exp(22.452 * frost_point_c / (272.55 + frost_point_c)))


def moisture_factor(dose_pa_h: Numbers | float, *, k: Numbers | float = FILM_MOISTURE_K) -> Numbers:
    """R09: conductivity left after a dose, exp(-k Phi^0.75), Phi the integral of water pressure over time.

    D. Fitted to a Li2S-P2S5-LiI glass at -40 °C (A, Front. Energy Res. 2022, 882508), not to argyrodite: off by up to a
    factor of 3 either way.
    """
    return plain(np.exp(-k * np.power(dose_pa_h, 0.75)))


def h2s_release_cc_per_g_h(water_pa: Numbers | float, *, form_factor: Numbers | float = 1.0) -> Numbers:
    """R10: 0.0156 p_w as powder, times `form_factor` 0.2 as film and 0 as slurry. From 0.1 cc/g in 30 min (A)."""
    return plain(0.0156 * water_pa * form_factor)


def h2s_room_ppm(
    mass_g: Numbers | float,
    release_cc_per_g_h: Numbers | float,
    *,
    air_changes_per_h: Numbers | float = 30.0,
    room_m3: Numbers | float = 300.0,
) -> Numbers:
    """R10: steady state of a well mixed room, M r / (AER V); cc per m³ is ppm. Exact."""
    return plain(mass_g * release_cc_per_g_h / (air_changes_per_h * room_m3))


def rolled_throughput_yield(step_yields: Iterable[float]) -> float:
    """R17: the product of the yields of consecutive steps. Exact for independent steps."""
    return math.prod(step_yields)


def placement_offset_mm(
    layer: Numbers | float,
    standard_normal: Numbers | float,
    *,
    bias_mm: Numbers | float = 0.0,
    creep_mm_per_layer: float = 0.002,
    sigma_mm: Numbers | float = 0.06,
) -> Numbers:
    """R18: offset of the k-th placement along one axis, b + 0.002 k + N(0, 0.06) from a standard normal draw. D."""
    return plain(bias_mm + creep_mm_per_layer * layer + sigma_mm * standard_normal)


def slip_probability(vacuum_z: Numbers | float, *, nominal: float = 0.003) -> Numbers:
    """R18: P that a placement slips, 0.003 exp(0.8 z) of a gripper whose vacuum is z too weak. D."""
    return plain(np.minimum(nominal * np.exp(0.8 * np.maximum(vacuum_z, 0.0)), 1.0))


def overhang_mm(
    offset_mm: Numbers | float,
    theta_deg: Numbers | float,
    cut_error_mm: Numbers | float = 0.0,
    *,
    design_mm: Numbers | float = 1.0,
    half_length_mm: float = 70.0,
) -> Numbers:
    """R18, smallest overhang at an edge: 1.0 - |dx| - 70 tan|theta| - cut errors (sum of all that shrink it). Exact."""
    rotated_mm = half_length_mm * np.tan(np.radians(np.abs(theta_deg)))
    return plain(design_mm - np.abs(offset_mm) - rotated_mm - cut_error_mm)


def edge_overhangs_mm(
    dx_mm: float,
    dy_mm: float,
    theta_deg: float,
    *,
    cathode_mm: tuple[float, float] = (100.0, 140.0),
    laminate_mm: tuple[float, float] = (102.0, 142.0),
) -> NDArray[np.float64]:
    """R18, signed: how far the laminate stands out over a rigid cathode at its four corners. Exact.

    The cathode is turned by theta about its centre (positive: x towards y), then moved by (dx, dy).

    Returns:
        Shape (4, 2), mm. Corners (-x, -y), (+x, -y), (+x, +y), (-x, +y); per corner the reading along x, then y.
    """
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)
    turn = math.radians(theta_deg)
    rotation = np.array([(math.cos(turn), -math.sin(turn)), (math.sin(turn), math.cos(turn))])
    reach = (corners * cathode_mm / 2) @ rotation.T + (dx_mm, dy_mm)
    overhangs: NDArray[np.float64] = np.array(laminate_mm) / 2 - corners * reach
    return overhangs


def capacity_ah(
    *,
    missing_area_cm2: Numbers | float = 0.0,
    loading_ratio: Numbers | float = 1.0,
    asr_ohm_cm2: Numbers | float = 25.0,
    layers: int = 36,
    area_cm2: float = 140.0,
    areal_capacity_mah_per_cm2: float = 4.0,
) -> Numbers:
    """R19: Q = 36 A q u, u = 1 - 0.004 max(0, ASR - 25 ohm cm²), q from the ratio of areal mass to nominal. D.

    `missing_area_cm2` is the mean over the layers.
    """
    used = 1 - 0.004 * np.maximum(asr_ohm_cm2 - 25.0, 0.0)
    return plain(1e-3 * layers * (area_cm2 - missing_area_cm2) * areal_capacity_mah_per_cm2 * loading_ratio * used)


def first_charge_ah(capacity_ah: Numbers | float, *, coulombic_efficiency: Numbers | float = 0.89) -> Numbers:
    """R19: what the first charge takes, Q / ICE. Exact."""
    return plain(capacity_ah / coulombic_efficiency)


def dcir_mohm(asr_ohm_cm2: Numbers | float, *, area_cm2: float = 5040.0, leads_mohm: Numbers | float = 0.5) -> Numbers:
    """R20: R = ASR / (36 x 140 cm²) + 0.5 mohm of leads, ASR the sum of electrolyte, cathode and interfaces. D."""
    return plain(1e3 * asr_ohm_cm2 / area_cm2 + leads_mohm)


def grr_fraction(gauge_sigma: Numbers | float, lower_limit: Numbers | float, upper_limit: Numbers | float) -> Numbers:
    """R21: share of the tolerance that a gauge takes, 6 sigma_g / (USL - LSL).

    Good below 0.1, conditional to 0.3 (AIAG MSA 4). A.
    """
    return plain(6 * gauge_sigma / (upper_limit - lower_limit))


def distinct_categories(part_sigma: Numbers | float, gauge_sigma: Numbers | float) -> Numbers:
    """R21: groups of parts that a gauge can tell apart, 1.41 sigma_part / sigma_g (AIAG); 5 or more wanted. A."""
    return plain(1.41 * part_sigma / gauge_sigma)


def line_rate_hz(web_speed_m_per_min: Numbers | float, pixel_um: Numbers | float) -> Numbers:
    """R23: lines per second for square pixels, v / px. Exact."""
    return plain(web_speed_m_per_min * 1e6 / 60 / pixel_um)


def pixel_rate_mpix_per_s(line_rate_hz: Numbers | float, pixels: Numbers | float) -> Numbers:
    """R23: what one channel of a line camera delivers. Exact."""
    return plain(line_rate_hz * pixels * 1e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oee:
    """Overall equipment effectiveness and its three factors, each a fraction."""

    availability: float
    effectiveness: float
    quality: float

    @property
    def oee(self) -> float:
        """The product of the three."""
        return self.availability * self.effectiveness * self.quality


def oee(
    *, planned_busy_min: float, production_min: float, run_time_per_item_min: float, produced: float, good: float
) -> Oee:
    """R26 (ISO 22400-2): availability APT / PBT, effectiveness PRI PQ / APT, quality GQ / PQ. A; C but availability.

    Nothing planned, run or produced gives a factor of 0, never a division by zero.
    """
    return Oee(
        availability=production_min / planned_busy_min if planned_busy_min else 0.0,
        effectiveness=run_time_per_item_min * produced / production_min if production_min else 0.0,
        quality=good / produced if produced else 0.0,
    )

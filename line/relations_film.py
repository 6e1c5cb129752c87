"""What coating and drying make of tags: published relations R01 to R05 and R11 to R13 of the line.

Each function takes floats or arrays that broadcast; keyword arguments are the published parameters. Marks: A stated by
a source that was seen, B carried over from a neighbouring technology, C from memory, D a choice that makes the line
consistent with itself and no industry fact. A line of one's own has other values behind the same forms.
"""
# numpy's ufuncs return Any for a scalar; each formula here is one line and has its published values as tests.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from line.elementwise import Numbers, plain

LOW_FLOW_MARGIN = 1.10
"""A wet film thinner than this many low-flow limits streaks (D)."""
NOMINAL_ZONE_C = (45.0, 65.0, 80.0)
NOMINAL_ZONE_AIR_M_PER_S = (3.0, 5.0, 5.0)


def wet_thickness_um(
    pump_flow_ml_per_min: Numbers | float, width_m: Numbers | float, web_speed_m_per_min: Numbers | float
) -> Numbers:
    """R01, pre-metered slot die: h = Q / (w v). Exact while the bead is stable; speed above 0. A."""
    return plain(pump_flow_ml_per_min / (width_m * web_speed_m_per_min))


def doctor_blade_wet_thickness_um(gap_um: Numbers | float, web_speed_m_per_min: Numbers | float) -> Numbers:
    """R01, doctor blade: h = 0.55 gap (1 + 0.1 ln(v / 1 m/min)), near 1 m/min. C."""
    return plain(0.55 * gap_um * (1 + 0.1 * np.log(web_speed_m_per_min)))


def capillary_number(
    web_speed_m_per_min: Numbers | float,
    *,
    gap_um: Numbers | float = 200.0,
    viscosity_at_100_per_s_pa_s: Numbers | float = 1.5,
    shear_exponent: float = 0.4,
    surface_tension_n_per_m: Numbers | float = 0.028,
) -> Numbers:
    """R02: Ca = mu v / sigma, with shear thinning mu = mu100 (gd / 100)^-0.4 and gd = v / gap. Constants C."""
    speed_m_per_s = web_speed_m_per_min / 60
    shear_rate_per_s = speed_m_per_s / (gap_um * 1e-6)
    viscosity_pa_s = viscosity_at_100_per_s_pa_s * (shear_rate_per_s / 100) ** -shear_exponent
    return plain(viscosity_pa_s * speed_m_per_s / surface_tension_n_per_m)


def low_flow_limit_um(
    web_speed_m_per_min: Numbers | float,
    *,
    gap_um: Numbers | float = 200.0,
    viscosity_at_100_per_s_pa_s: Numbers | float = 1.5,
    surface_tension_n_per_m: Numbers | float = 0.028,
) -> Numbers:
    """R02, thinnest wet film: h_min = G / (1 + 2 (0.65 / Ca)^(2/3)).

    Below it the bead breaks: streaks and entrained air. 78.7 µm at 1 m/min, 100.3 µm at 3 m/min. Viscocapillary model
    of Ruschak and of Higgins and Scriven: form A, constants C.
    """
    number: Numbers = capillary_number(
        web_speed_m_per_min,
        gap_um=gap_um,
        viscosity_at_100_per_s_pa_s=viscosity_at_100_per_s_pa_s,
        surface_tension_n_per_m=surface_tension_n_per_m,
    )
    return plain(gap_um / (1 + 2 * (0.65 / number) ** (2 / 3)))


def low_flow_streak_factor(
    wet_um: Numbers | float,
    low_flow_limit_um: Numbers | float,
    *,
    factor: float = 50.0,
    margin: float = LOW_FLOW_MARGIN,
) -> Numbers:
    """R02, times as many streaks: `factor` where wet film is thinner than `margin` low-flow limits, else 1. D."""
    return plain(np.where(np.less(wet_um, margin * low_flow_limit_um), factor, 1.0))


def areal_mass_g_per_m2(
    wet_um: Numbers | float,
    *,
    slurry_density_g_per_cm3: Numbers | float = 1.1375,
    solids_fraction: Numbers | float = 0.45,
) -> Numbers:
    """R03: m'' = h_wet rho x_s. Exact; the density is that of 45 wt% solids and moves with them. D."""
    return plain(wet_um * slurry_density_g_per_cm3 * solids_fraction)


def dry_thickness_um(
    areal_mass_g_per_m2: Numbers | float,
    *,
    porosity: Numbers | float = 0.45,
    film_density_g_per_cm3: Numbers | float = 1.822,
) -> Numbers:
    """R03: h = m'' / (rho_f (1 - eps)); dried 0.45, calendered 0.193, pressed 0.076. Exact for the given density."""
    return plain(areal_mass_g_per_m2 / (film_density_g_per_cm3 * (1 - porosity)))


def thickness_deviation_fraction(
    flow_deviation: Numbers | float, speed_deviation: Numbers | float, solids_deviation: Numbers | float
) -> Numbers:
    """R03, small deviations: dh/h = dQ/Q - dv/v + dx/x. First order, good to 0.2 % of h up to deviations of 2 %."""
    return plain(flow_deviation - speed_deviation + solids_deviation)


def die_response(elapsed_s: Numbers | float, *, time_constant_s: Numbers | float = 4.0) -> Numbers:
    """R03, share of a step in flow that has reached the lip: 1 - exp(-t / tau), 0 before the step. D."""
    return plain(-np.expm1(-np.maximum(elapsed_s, 0.0) / time_constant_s))


def die_bolt_influence(cd_mm: Numbers | float, bolt_mm: Numbers | float, *, sigma_mm: float = 35.0) -> Numbers:
    """R03, share of a die bolt's lip change that is felt at a CD position: a Gaussian about the bolt. D."""
    return plain(np.exp(-0.5 * ((cd_mm - bolt_mm) / sigma_mm) ** 2))


def areal_mass_spread_fraction(
    *, pump: Numbers | float = 0.004, speed: Numbers | float = 0.003, solids: Numbers | float = 0.004
) -> Numbers:
    """R04, relative standard deviation of areal mass: root of the sum of squares of independent spreads. D."""
    return plain(np.sqrt(np.square(pump) + np.square(speed) + np.square(solids)))


def calendered_porosity(
    line_load_n_per_mm: Numbers | float,
    roll_temperature_c: Numbers | float,
    *,
    porosity_in: Numbers | float = 0.45,
    porosity_min: Numbers | float = 0.10,
    load_scale_n_per_mm: Numbers | float = 350.0,
) -> Numbers:
    """R05: eps = e_min + (eps0 - e_min) exp(-q / (350 (1 - 0.004 (T - 25)))). Roll below 275 °C.

    Exponential line-load form A (Meyer et al.); parameters D, chosen for 350 to 450 N/mm and 50 to 70 °C.
    """
    scale = load_scale_n_per_mm * (1 - 0.004 * (roll_temperature_c - 25))
    return plain(porosity_min + (porosity_in - porosity_min) * np.exp(-line_load_n_per_mm / scale))


def springback_thickness_um(thickness_um: Numbers | float, *, recovery_fraction: Numbers | float = 0.015) -> Numbers:
    """R05, thickness 60 s after the nip. Elastic recovery A (J. Energy Storage 152 (2026) 120084), 1.5 % D."""
    return plain(thickness_um * (1 + recovery_fraction))


def calender_conductivity_factor(line_load_n_per_mm: Numbers | float, roll_temperature_c: Numbers | float) -> Numbers:
    """R05, conductivity against 400 N/mm and 60 °C: particles break under load, heat helps. Signs A/B, values D."""
    return plain((1 - 0.00015 * (line_load_n_per_mm - 400)) * (1 + 0.0015 * (roll_temperature_c - 60)))


def drying_rate_g_per_m2_s(
    air_speed_m_per_s: Numbers | float, air_temperature_c: Numbers | float, *, coefficient: Numbers | float = 0.085
) -> Numbers:
    """R11, constant-rate stage of one zone: J = 0.085 v^0.6 (T - 15) / 30, and 0 below 15 °C. D."""
    return plain(coefficient * air_speed_m_per_s**0.6 * np.maximum(air_temperature_c - 15.0, 0.0) / 30)


def residual_solvent_wt_percent(
    web_speed_m_per_min: Numbers | float,
    *,
    zone_temperature_c: Sequence[Numbers | float] = NOMINAL_ZONE_C,
    zone_air_m_per_s: Sequence[Numbers | float] = NOMINAL_ZONE_AIR_M_PER_S,
    zone_length_m: float = 2.0,
    solvent_g_per_m2: Numbers | float = 61.1,
    areal_mass_g_per_m2: Numbers | float = 50.0,
    rate_coefficient: Numbers | float = 0.085,
) -> Numbers:
    """R11, solvent that leaves the dryer, of solids. D.

    The zones take solvent off at a constant rate until none is free; what is bound then falls from 3.0 wt% with
    exp(-t / 38 s). A film that runs out of dryer first leaves wet with what is still free, and never with less than
    the bound 3.0 wt%, so that the two stages meet. 0.10 wt% at 1.0 m/min, 0.98 at 1.5 (reject), 24 at 2.5 (wet).
    """
    in_zone_s = 60 * zone_length_m / web_speed_m_per_min
    free_g_per_m2 = solvent_g_per_m2 + 0 * in_zone_s
    falling_s = 0 * in_zone_s
    for temperature_c, air_m_per_s in zip(zone_temperature_c, zone_air_m_per_s, strict=True):
        rate = np.maximum(drying_rate_g_per_m2_s(air_m_per_s, temperature_c, coefficient=rate_coefficient), 1e-12)
        drying_s = np.minimum(in_zone_s, free_g_per_m2 / rate)
        free_g_per_m2 = np.maximum(free_g_per_m2 - rate * drying_s, 0.0)
        falling_s = falling_s + in_zone_s - drying_s
    bound = 3.0 * np.exp(-falling_s / 38)
    return plain(np.maximum(bound, 100 * free_g_per_m2 / areal_mass_g_per_m2))


def critical_wet_thickness_um(
    binder_wt_percent: Numbers | float, zone1_temperature_c: Numbers | float, *, nominal_um: Numbers | float = 130.0
) -> Numbers:
    """R12, working rule: h_c = 130 µm (w_b / 3)^0.8 (45 / T1)^0.5; thicker film cracks.

    Direction A (Rollag et al., ACS Appl. Energy Mater. 2 (2019) 4464), values D. Zone 1 above 0 °C.
    """
    return plain(nominal_um * (binder_wt_percent / 3) ** 0.8 * (45 / zone1_temperature_c) ** 0.5)


def critical_cracking_thickness_um(
    *,
    shear_modulus_pa: Numbers | float,
    coordination_number: Numbers | float,
    packing_fraction: Numbers | float,
    particle_radius_um: Numbers | float,
    surface_tension_n_per_m: Numbers | float,
    capillary_pressure_pa: Numbers | float,
) -> Numbers:
    """R12, physical form: 0.64 (G M phi R^3 / 2 g)^0.5 (2 g / (p R))^1.5 of hard spheres in a drying film. C.

    `capillary_pressure_pa` is the largest pressure that the menisci reach.
    """
    radius_m = particle_radius_um * 1e-6
    stiffness = shear_modulus_pa * coordination_number * packing_fraction * radius_m**3 / (2 * surface_tension_n_per_m)
    relief = 2 * surface_tension_n_per_m / (capillary_pressure_pa * radius_m)
    return plain(1e6 * 0.64 * np.sqrt(stiffness) * relief**1.5)


def crack_rate_factor(
    wet_um: Numbers | float, critical_um: Numbers | float, *, onset: float = 0.85, scale_um: float = 6.0
) -> Numbers:
    """R12, times as many cracks: exp((h - 0.85 h_c) / 6 µm) above 0.85 h_c, 1 below. Direction A, values D."""
    return plain(np.exp(np.maximum(wet_um - onset * critical_um, 0.0) / scale_um))


def peclet_number(
    drying_rate_g_per_m2_s: Numbers | float,
    wet_um: Numbers | float,
    *,
    nominal_rate_g_per_m2_s: float = 0.085 * 3.0**0.6,
) -> Numbers:
    """R13, binder carried up against binder diffusing down: Pe = 0.9 (J1 / J1_nom)(h / 98 µm).

    Direction A (arXiv 1801.01580: fast drying gathers binder at the surface), values D.
    """
    return plain(0.9 * (drying_rate_g_per_m2_s / nominal_rate_g_per_m2_s) * (wet_um / 98))


def peel_n_per_m(peclet: Numbers | float, *, nominal_n_per_m: Numbers | float = 12.0) -> Numbers:
    """R13, adhesion left under a binder that moved to the top: 12 N/m (1 - 0.35 (Pe - 0.9)), not below 0. D."""
    return plain(np.maximum(nominal_n_per_m * (1 - 0.35 * (peclet - 0.9)), 0.0))


def blister_rate_factor(peel_n_per_m: Numbers | float) -> Numbers:
    """R13, times as many blisters: exp((12 - peel) / 3), peel in N/m. D."""
    return plain(np.exp((12 - peel_n_per_m) / 3))

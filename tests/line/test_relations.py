"""The published relations give their published values, keep their directions and take arrays."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from line import relations_cell as cell
from line import relations_defects as defects
from line import relations_film as film

PUBLISHED: list[tuple[str, float, float, float]] = [
    ("R01 wet film", film.wet_thickness_um(29.3, 0.3, 1.0), 97.7, 0.05),
    ("R01 blade at 1 m/min", film.doctor_blade_wet_thickness_um(200.0, 1.0), 110.0, 1e-9),
    ("R02 Ca", film.capillary_number(1.0), 0.96, 0.005),
    ("R02 1 m/min", film.low_flow_limit_um(1.0), 78.7, 0.05),
    ("R02 2 m/min", film.low_flow_limit_um(2.0), 92.2, 0.05),
    ("R02 3 m/min", film.low_flow_limit_um(3.0), 100.3, 0.05),
    ("R02 margin", film.wet_thickness_um(29.3, 0.3, 1.0) / film.low_flow_limit_um(1.0), 1.24, 0.005),
    ("R03 areal mass", film.areal_mass_g_per_m2(97.7), 50.0, 0.05),
    ("R03 dried", film.dry_thickness_um(50.0), 49.9, 0.05),
    ("R04", film.areal_mass_spread_fraction(), 0.0064, 5e-5),
    ("R05 400 N/mm", film.calendered_porosity(400.0, 60.0), 0.1927, 5e-5),
    ("R05 350 N/mm", film.calendered_porosity(350.0, 60.0), 0.2094, 5e-5),
    ("R05 450 N/mm", film.calendered_porosity(450.0, 60.0), 0.1785, 5e-5),
    ("R05 53 °C", film.calendered_porosity(400.0, 53.0), 0.197, 5e-4),
    ("R05 thickness", film.dry_thickness_um(50.0, porosity=film.calendered_porosity(400.0, 60.0)), 34.0, 0.05),
    ("R05 springback", film.springback_thickness_um(34.0), 34.51, 1e-9),
    ("R06 490 85 300", cell.wip_porosity(490.0, 85.0, 300.0), 0.0763, 5e-5),
    ("R06 490 85 60", cell.wip_porosity(490.0, 85.0, 60.0), 0.0834, 5e-5),
    ("R06 490 85 10", cell.wip_porosity(490.0, 85.0, 10.0), 0.162, 5e-4),
    ("R06 490 85 1", cell.wip_porosity(490.0, 85.0, 1.0), 0.2108, 5e-5),
    ("R06 450 80 300", cell.wip_porosity(450.0, 80.0, 300.0), 0.0907, 5e-5),
    ("R06 490 75 300", cell.wip_porosity(490.0, 75.0, 300.0), 0.0862, 5e-5),
    ("R06 350 25 300", cell.wip_porosity(350.0, 25.0, 300.0), 0.1991, 5e-5),
    ("R06 pressed film", film.dry_thickness_um(50.0, porosity=0.0763), 29.75, 0.05),
    ("R07", cell.conductivity_ms_per_cm(0.0763), 1.943, 5e-4),
    ("R08 electrolyte", cell.electrolyte_asr_ohm_cm2(29.75, 1.943), 1.53, 0.005),
    ("R08 cathode", cell.cathode_asr_ohm_cm2(), 15.5, 0.06),
    ("R08 interface", cell.interface_asr_ohm_cm2(), 8.0, 1e-9),
    ("R09 -40 °C", cell.water_pressure_pa(-40.0), 12.85, 0.02),
    ("R09 -50 °C", cell.water_pressure_pa(-50.0), 3.94, 0.01),
    ("R09 -60 °C", cell.water_pressure_pa(-60.0), 1.08, 0.005),
    ("R09 -40 °C, ppm", cell.water_pressure_pa(-40.0) / 101325 * 1e6, 127.0, 0.5),
    ("R09 -60 °C 1 h", cell.moisture_factor(cell.water_pressure_pa(-60.0)), 0.961, 5e-4),
    ("R09 -60 °C 8 h", cell.moisture_factor(8 * cell.water_pressure_pa(-60.0)), 0.828, 5e-4),
    ("R09 -50 °C 1 h", cell.moisture_factor(cell.water_pressure_pa(-50.0)), 0.901, 5e-4),
    ("R09 -40 °C 0.5 h", cell.moisture_factor(0.5 * cell.water_pressure_pa(-40.0)), 0.860, 5e-4),
    ("R09 -40 °C 2 h", cell.moisture_factor(2 * cell.water_pressure_pa(-40.0)), 0.653, 5e-4),
    ("R10 powder -40 °C", cell.h2s_room_ppm(5000.0, cell.h2s_release_cc_per_g_h(12.85)), 0.11, 0.005),
    ("R10 film -40 °C", cell.h2s_room_ppm(5000.0, cell.h2s_release_cc_per_g_h(12.85, form_factor=0.2)), 0.022, 5e-4),
    (
        "R10 powder -30 °C",
        cell.h2s_room_ppm(5000.0, cell.h2s_release_cc_per_g_h(cell.water_pressure_pa(-30.0))),
        0.33,
        0.005,
    ),
    ("R11 zone 1", film.drying_rate_g_per_m2_s(3.0, 45.0), 0.164, 5e-4),
    ("R11 zone 2", film.drying_rate_g_per_m2_s(5.0, 65.0), 0.372, 5e-4),
    ("R11 zone 3", film.drying_rate_g_per_m2_s(5.0, 80.0), 0.484, 5e-4),
    ("R11 1.0 m/min", film.residual_solvent_wt_percent(1.0), 0.10, 0.005),
    ("R11 1.2 m/min", film.residual_solvent_wt_percent(1.2), 0.32, 0.005),
    ("R11 1.5 m/min", film.residual_solvent_wt_percent(1.5), 0.98, 0.005),
    ("R11 2.0 m/min", film.residual_solvent_wt_percent(2.0), 2.98, 0.005),
    ("R11 2.5 m/min", film.residual_solvent_wt_percent(2.5), 24.0, 0.5),
    ("R12 nominal", film.critical_wet_thickness_um(3.0, 45.0), 130.0, 1e-9),
    ("R13 Pe", film.peclet_number(film.drying_rate_g_per_m2_s(3.0, 45.0), 98.0), 0.9, 1e-9),
    ("R13 peel", film.peel_n_per_m(0.9), 12.0, 1e-9),
    ("R13 blisters", film.blister_rate_factor(12.0), 1.0, 1e-9),
    ("R15 false alarms, LED 4 z", defects.false_alarms_per_m2(4.0) / 0.02, 7.39, 0.005),
    ("R15 10 µm/px", defects.a50_at_pixel_um(34.0, 10.0), 17.0, 1e-9),
    ("R17 material", cell.rolled_throughput_yield([0.985, 0.95, 0.97, 0.98, 0.965, 0.96, 0.98, 0.985, 0.975, 0.985]),
     0.764, 5e-4),
    ("R17 cells", cell.rolled_throughput_yield([0.975, 0.985, 0.975, 0.992, 0.985, 0.955, 0.985, 0.97]), 0.835, 5e-4),
    ("R18 stack-up", cell.overhang_mm(0.30, 0.12, 0.10), 0.453, 5e-4),
    ("R18 slips", cell.slip_probability(2.0), 0.003 * math.exp(1.6), 1e-12),
    ("R19 nominal", cell.capacity_ah(), 20.16, 1e-9),
    ("R19 first charge", cell.first_charge_ah(20.16), 22.65, 0.005),
    ("R20 nominal", cell.dcir_mohm(1.53 + 15.5 + 8.0), 5.46, 0.01),
    ("R20 moist", cell.dcir_mohm(1.53 / 0.8 + 15.5 + cell.interface_asr_ohm_cm2(moisture_factor=0.8)), 6.43, 0.01),
    ("R21 alignment", cell.grr_fraction(0.010, 0.0, 0.60), 0.10, 1e-9),
    ("R21 areal mass", cell.grr_fraction(0.067, 48.0, 52.0), 0.10, 1e-3),
    ("R21 wide gauge", cell.grr_fraction(0.1, 48.0, 52.0), 0.15, 1e-9),
    ("R21 thickness", cell.grr_fraction(0.05, 48.5, 51.5), 0.10, 1e-9),
    ("R22 29 of 29", defects.pod_lower_bound(29, 29), 0.90186, 5e-6),
    ("R22 45 of 46", defects.pod_lower_bound(45, 46), 0.90098, 5e-6),
    ("R22 59 of 61", defects.pod_lower_bound(59, 61), 0.90037, 5e-6),
    ("R22 85 of 89", defects.pod_lower_bound(85, 89), 0.9001, 5e-6),
    ("R22 no hit", defects.pod_lower_bound(0, 10), 0.0, 0.0),
    ("R23 pilot", cell.line_rate_hz(1.0, 20.0), 833.3, 0.05),
    ("R23 growth", cell.line_rate_hz(30.0, 20.0), 25_000.0, 1e-6),
    ("R23 data", cell.pixel_rate_mpix_per_s(cell.line_rate_hz(1.0, 20.0), 15_000.0), 12.5, 1e-9),
    ("R24 F 1", defects.short_probability(1.33, 0.0), 4e-5, 5e-6),
    ("R24 F 5", defects.short_probability(1.33, 0.8), 0.0046, 5e-5),
    ("R24 F 10", defects.short_probability(1.33, 0.9), 0.0361, 5e-5),
    ("R24 F 20", defects.short_probability(1.33, 0.95), 0.2548, 5e-5),
    ("R24 through", defects.short_probability(1.33, 1.0), 0.2548, 5e-5),
    ("R25 limit a week", 7 * defects.SELF_DISCHARGE_LIMIT_MV_PER_DAY, 5.0, 0.05),
    ("R25 median", defects.soft_short_self_discharge_mv_per_day(0.0), 1.2, 1e-9),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "published", "tolerance"), [row[1:] for row in PUBLISHED], ids=[r[0] for r in PUBLISHED]
)
def test_a_relation_gives_its_published_value(value: float, published: float, tolerance: float) -> None:
    assert value == pytest.approx(published, abs=tolerance)
    assert type(value) is float


@pytest.mark.parametrize(
    ("density", "poisson", "mature", "immature", "sheet"),
    [
        (0.02, 0.990, 0.990, 0.990, 0.9997),
        (0.10, 0.951, 0.951, 0.953, 0.9986),
        (0.20, 0.904, 0.906, 0.912, 0.9971),
        (0.50, 0.777, 0.789, 0.815, 0.9928),
        (1.00, 0.604, 0.638, 0.706, 0.9856),
        (2.00, 0.365, 0.442, 0.576, 0.9714),
        (5.00, 0.080, 0.196, 0.407, 0.9301),
    ],
)
def test_cell_yield_follows_its_published_table(
    density: float, poisson: float, mature: float, immature: float, sheet: float
) -> None:
    assert defects.poisson_yield(density) == pytest.approx(poisson, abs=6e-4)
    assert defects.negative_binomial_yield(density) == pytest.approx(mature, abs=6e-4)
    assert defects.negative_binomial_yield(density, dispersion=0.5) == pytest.approx(immature, abs=6e-4)
    assert defects.poisson_yield(density, 0.01448) == pytest.approx(sheet, abs=6e-5)


def test_yield_models_meet_their_textbook_values_at_one_defect_per_area() -> None:
    assert defects.poisson_yield(1.0, 1.0) == pytest.approx(0.36787944117144233, rel=1e-12)
    assert defects.negative_binomial_yield(1.0, 1.0, dispersion=1.0) == pytest.approx(0.5, rel=1e-12)
    assert defects.negative_binomial_yield(1.0, 1.0) == pytest.approx(0.4444444444444444, rel=1e-12)
    assert defects.negative_binomial_yield(1.0, 1.0, dispersion=5.0) == pytest.approx(0.40187757201646096, rel=1e-12)
    # a gamma(3, rate 2) density over area 0.5, mean 1.5 per area
    assert defects.negative_binomial_yield(1.5, 0.5, dispersion=3.0) == pytest.approx(0.512, rel=1e-12)


CLASSES = [
    # rate, median, sigma_ln, min, kill d50, kill s, POD a50, POD s, a90, reject
    (0.6, 28, 0.5, 8, 45, 0.3, 34, 0.18, 50, 30),
    (0.12, 900, 0.8, 100, 1500, 0.5, 250, 0.35, 539, 300),
    (1.5, 75, 0.5, 20, 260, 0.35, 60, 0.22, 97, 150),
    (0.04, 38, 0.55, 10, 32, 0.35, 32, 0.2, 50, 20),
    (0.4, 120, 0.65, 25, 400, 0.4, 70, 0.25, 121, 200),
    (0.03, 350, 0.5, 80, 900, 0.4, 140, 0.3, 271, 200),
    (0.08, 60, 0.5, 15, 120, 0.35, 45, 0.25, 78, 60),
    (0.5, 180, 0.5, 50, 420, 0.35, 110, 0.22, 178, 200),
    (0.05, 1800, 0.6, 300, 3000, 0.4, 700, 0.35, 1510, 1000),
    (0.03, 4000, 0.7, 500, 12000, 0.5, 2500, 0.45, 6719, 5000),
    (0.015, 3000, 0.6, 500, 4000, 0.4, 900, 0.35, 1942, 1000),
    (0.03, 8000, 0.6, 2000, 20000, 0.4, 6000, 0.4, 14448, 10000),
]


@pytest.mark.parametrize(("a50_um", "s", "a90_um"), [(row[6], row[7], row[8]) for row in CLASSES])
def test_nine_of_ten_are_found_at_a90(a50_um: float, s: float, a90_um: float) -> None:
    assert defects.a90_um(float(a50_um), s) == pytest.approx(a90_um, abs=0.6, rel=2e-4)
    assert defects.detection_probability(defects.a90_um(float(a50_um), s), float(a50_um), s) == pytest.approx(0.9)


def test_killing_and_finding_add_up_to_the_published_film() -> None:
    draws = np.linspace(-6, 6, 20_001)
    weight = np.exp(-(draws**2) / 2) / np.exp(-(draws**2) / 2).sum()
    killers = rejected = escaped = 0.0
    for rate, median, sigma_ln, smallest, d50, kill_s, a50, pod_s, _, reject in CLASSES:
        size_um = np.maximum(median * np.exp(sigma_ln * draws), smallest)
        kills = defects.kill_probability(size_um, d50, kill_s)
        found = defects.detection_probability(size_um, a50, pod_s) * (size_um >= reject)
        killers += rate * float(weight @ kills)
        rejected += rate * float(weight @ found)
        escaped += rate * float(weight @ (kills * (1 - found)))
    assert killers == pytest.approx(0.4652, abs=1e-3)
    assert escaped == pytest.approx(0.1465, abs=1e-3)
    assert rejected == pytest.approx(0.8644, abs=1e-3)
    assert defects.poisson_yield(killers) == pytest.approx(0.791, abs=1e-3)
    assert defects.poisson_yield(escaped) == pytest.approx(0.929, abs=1e-3)


def test_oee_follows_iso_22400_and_survives_a_day_without_production() -> None:
    day = cell.oee(planned_busy_min=480, production_min=420, run_time_per_item_min=1, produced=400, good=380)
    assert day.availability == pytest.approx(0.875)
    assert day.effectiveness == pytest.approx(0.9523809523809523)
    assert day.quality == pytest.approx(0.95)
    assert day.oee == pytest.approx(0.7916666666666666)
    assert cell.oee(planned_busy_min=480, production_min=0, run_time_per_item_min=1, produced=0, good=0).oee == 0.0
    assert cell.oee(planned_busy_min=0, production_min=0, run_time_per_item_min=1, produced=0, good=0).oee == 0.0


def test_published_faults_raise_the_rates_that_they_are_said_to() -> None:
    vacuum_z = defects.deviation_z(160.0, 50.0, 30.0, 80.0)
    assert vacuum_z == pytest.approx(4.4)
    assert defects.defect_rate_per_m2(1.0, defects.driver_exponent(vacuum_z, 0.7, "+")) == pytest.approx(22, abs=0.3)
    assert defects.defect_rate_per_m2(1.0, defects.driver_exponent(vacuum_z, 0.35, "+")) == pytest.approx(4.7, abs=0.05)
    assert defects.defect_rate_per_m2(1.0, defects.driver_exponent(4.0, 0.6, "+")) == pytest.approx(11, abs=0.1)
    assert defects.defect_rate_per_m2(0.03, defects.driver_exponent(4.0, 5.0, "+")) == pytest.approx(0.03 * 50)


@pytest.mark.parametrize(
    ("side", "z", "driven"), [("+", 2.0, 1.0), ("+", -2.0, 0.0), ("-", 2.0, 0.0), ("-", -2.0, 1.0), ("+-", -2.0, 1.0)]
)
def test_a_driver_acts_on_its_side_only(side: defects.Side, z: float, driven: float) -> None:
    assert defects.driver_exponent(z, 0.5, side) == driven


def test_counts_have_the_mean_and_the_clusters_that_are_asked_for() -> None:
    n, p = defects.negative_binomial_n_p(3.0, dispersion=2.0)
    counts = np.random.default_rng(7).negative_binomial(n, p, 200_000)
    assert counts.mean() == pytest.approx(3.0, rel=0.02)
    assert counts.var() == pytest.approx(3.0 + 9.0 / 2.0, rel=0.03)


def test_streaks_come_below_the_margin_of_the_low_flow_limit() -> None:
    thin_and_thick = np.array([1.09, 1.11]) * film.low_flow_limit_um(1.0)
    assert film.low_flow_streak_factor(thin_and_thick, film.low_flow_limit_um(1.0)).tolist() == [50.0, 1.0]


def test_escaped_killers_have_one_fate_each() -> None:
    fates = defects.HARD_SHORT_FRACTION + defects.SOFT_SHORT_FRACTION + defects.LATENT_FRACTION
    assert fates == pytest.approx(1.0)


def test_self_discharge_is_never_negative_and_soft_shorts_stand_out() -> None:
    draws = np.random.default_rng(3).standard_normal(50_000)
    healthy = defects.healthy_self_discharge_mv_per_day(draws)
    shorted = defects.soft_short_self_discharge_mv_per_day(draws)
    limit = defects.SELF_DISCHARGE_LIMIT_MV_PER_DAY
    assert healthy.min() == 0.0
    assert (healthy == 0).mean() == pytest.approx(0.0062, abs=0.001)
    assert (healthy > limit).mean() < 1e-4
    # Phi(ln(1.2 / 0.71) / 0.7)
    assert (shorted > limit).mean() == pytest.approx(0.773, abs=0.01)


def test_a_small_change_of_thickness_is_the_sum_of_its_causes() -> None:
    exact = 1.02 / 0.98 * 1.02 - 1
    assert film.thickness_deviation_fraction(0.02, -0.02, 0.02) == pytest.approx(exact, abs=2e-3)


def test_the_die_answers_a_step_with_its_time_constant() -> None:
    assert film.die_response(np.array([-1.0, 0.0, 4.0, 400.0])).tolist() == pytest.approx([0, 0, 1 - 1 / math.e, 1])


def test_a_die_bolt_is_felt_most_where_it_stands_and_alike_on_both_sides() -> None:
    felt = film.die_bolt_influence(np.array([115.0, 150.0, 185.0]), 150.0)
    assert felt.tolist() == pytest.approx([math.exp(-0.5), 1.0, math.exp(-0.5)])


def test_residual_solvent_never_falls_with_speed_where_drying_ends_early() -> None:
    speeds = np.linspace(0.5, 4.0, 701)
    residual = film.residual_solvent_wt_percent(speeds)
    assert residual.shape == speeds.shape
    assert (np.diff(residual) >= 0).all()


def test_the_physical_cracking_thickness_is_thicker_for_stiffer_and_larger_particles() -> None:
    def thickness_um(modulus_pa: float, radius_um: float) -> float:
        return film.critical_cracking_thickness_um(
            shear_modulus_pa=modulus_pa,
            coordination_number=6.0,
            packing_fraction=0.6,
            particle_radius_um=radius_um,
            surface_tension_n_per_m=0.028,
            capillary_pressure_pa=2e5,
        )

    # 0.64 sqrt(1e9 6 0.6 (1.5e-6)^3 / 0.056) (0.056 / (2e5 1.5e-6))^1.5
    assert thickness_um(1e9, 1.5) == pytest.approx(1e6 * 0.64 * math.sqrt(2.1696428e-7) * 0.18666667**1.5, rel=1e-3)
    assert thickness_um(4e9, 1.5) == pytest.approx(2 * thickness_um(1e9, 1.5))


RISING: list[tuple[str, Callable[[np.ndarray], np.ndarray], float, float]] = [
    ("low-flow limit with speed", film.low_flow_limit_um, 0.2, 5),
    ("drying with air temperature", lambda x: film.drying_rate_g_per_m2_s(3.0, x), 16, 120),
    ("cracks above onset", lambda x: film.crack_rate_factor(x, 130.0), 111, 150),
    ("blisters with weak peel", lambda x: film.blister_rate_factor(12 - x), 0, 12),
    ("binder migration with drying rate", lambda x: film.peclet_number(x, 98.0), 0.05, 0.5),
    ("killing with size", lambda x: defects.kill_probability(x, 45.0, 0.3), 1, 400),
    ("finding with size", lambda x: defects.detection_probability(x, 34.0, 0.18), 10, 90),
    ("shorts with depth", lambda x: defects.short_probability(1.33, x), 0, 0.95),
    ("water with frost point", cell.water_pressure_pa, -80, 0),
    ("conductivity with temperature", lambda x: cell.conductivity_ms_per_cm(0.08, temperature_c=x), -20, 80),
    ("edge cracks with pressure", cell.edge_crack_probability, 300, 700),
    ("resistance with ASR", cell.dcir_mohm, 5, 60),
    ("conductivity with roll heat", lambda x: film.calender_conductivity_factor(400.0, x), 40, 80),
]
FALLING: list[tuple[str, Callable[[np.ndarray], np.ndarray], float, float]] = [
    ("porosity with line load", lambda x: film.calendered_porosity(x, 60.0), 0, 1000),
    ("porosity with pressing", lambda x: cell.wip_porosity(x, 85.0, 300.0), 50, 700),
    ("porosity with dwell", lambda x: cell.wip_porosity(490.0, 85.0, x), 1, 300),
    ("conductivity with porosity", cell.conductivity_ms_per_cm, 0, 0.5),
    ("conductivity with dose", cell.moisture_factor, 0, 100),
    ("conductivity with line load", lambda x: film.calender_conductivity_factor(x, 60.0), 350, 450),
    ("interface with pressure", lambda x: cell.interface_asr_ohm_cm2(pressure_mpa=x), 100, 600),
    ("crack limit with zone 1", lambda x: film.critical_wet_thickness_um(3.0, x), 30, 80),
    ("yield with killers", defects.negative_binomial_yield, 0, 10),
    ("overhang with offset", lambda x: cell.overhang_mm(x, 0.0), 0, 1.5),
    ("capacity with lost area", lambda x: cell.capacity_ah(missing_area_cm2=x), 0, 140),
    ("capacity with ASR", lambda x: cell.capacity_ah(asr_ohm_cm2=x), 25, 60),
]


@pytest.mark.parametrize(("relation", "low", "high"), [row[1:] for row in RISING], ids=[row[0] for row in RISING])
def test_a_relation_rises(relation: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> None:
    assert (np.diff(relation(np.linspace(low, high, 200))) > 0).all()


@pytest.mark.parametrize(("relation", "low", "high"), [row[1:] for row in FALLING], ids=[row[0] for row in FALLING])
def test_a_relation_falls(relation: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> None:
    assert (np.diff(relation(np.linspace(low, high, 200))) < 0).all()


def test_probabilities_stay_probabilities_far_outside_their_range() -> None:
    sizes = np.array([1e-30, 1.0, 1e30])
    assert defects.kill_probability(sizes, 45.0, 0.01).tolist() == [0.0, 0.0, 1.0]
    assert cell.edge_crack_probability(5000.0) == 1.0
    assert cell.slip_probability(50.0) == 1.0
    assert defects.short_probability(1e6, 1.0) == 1.0


def test_pressing_never_opens_a_film_and_fast_ramps_double_edge_cracks() -> None:
    assert cell.wip_porosity(10.0, 25.0, 60.0, porosity_in=0.193) == 0.193
    assert cell.edge_crack_probability(490.0, 9.5) == pytest.approx(2 * cell.edge_crack_probability(490.0, 5.0))


def test_a_placement_creeps_with_its_layer() -> None:
    assert cell.placement_offset_mm(35.0, 0.0, bias_mm=0.1) == pytest.approx(0.17)


def test_a_gauge_that_is_as_wide_as_its_parts_tells_one_group_apart() -> None:
    assert cell.distinct_categories(1.0, 1.0) == pytest.approx(1.41)


def test_the_corners_of_a_moved_cathode_show_the_move() -> None:
    edges = cell.edge_overhangs_mm(0.2, -0.1, 0.0)
    assert edges[:, 0].tolist() == pytest.approx([1.2, 0.8, 0.8, 1.2])
    assert edges[:, 1].tolist() == pytest.approx([0.9, 0.9, 1.1, 1.1])


def test_the_smallest_of_eight_edge_readings_is_the_overhang() -> None:
    # The short form leaves out 50 mm (1 - cos theta), 0.11 µm here.
    for dx_mm, theta_deg in [(0.3, 0.12), (-0.3, 0.12), (0.3, -0.12), (-0.1, -0.05)]:
        smallest = cell.edge_overhangs_mm(dx_mm, 0.0, theta_deg).min()
        assert smallest == pytest.approx(cell.overhang_mm(dx_mm, theta_deg), abs=5e-4)


def test_arrays_and_numbers_mix_and_broadcast() -> None:
    wet_um = film.wet_thickness_um(29.3, np.array([0.3, 0.15]), np.array([[1.0], [2.0]]))
    assert wet_um.shape == (2, 2)
    assert wet_um[1, 1] == pytest.approx(97.7, abs=0.05)


def test_a_detection_bound_refuses_more_hits_than_trials() -> None:
    with pytest.raises(ValueError, match="30 of 29 trials"):
        defects.pod_lower_bound(30, 29)

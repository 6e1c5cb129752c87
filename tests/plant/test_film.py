"""The point process of flaws on the web, on film whose tags are known."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from line.model import LineModel
from line.relations_defects import poisson_yield
from plant.film import FilmProcess, driving
from plant.film_roll import FilmRoll, Locus, Moment
from plant.hidden import Link, drawn_hidden
from plant.truth_types import Flaw

KM_UM = 1_000_000_000
STEP_UM = 1_000_000


def locus_of(defect: str, cd_um: int, *, size_um: float | None = None, period_um: float | None = None) -> Locus:
    """A place where a fault makes its flaws; one without a period is a line."""
    return Locus(
        defect=defect,
        cd_um=cd_um,
        share=1.0,
        persistent=period_um is None,
        size_um=size_um,
        period_um=period_um,
        mass_fraction=-0.08,
        cause="fault",
    )


@pytest.fixture(scope="module")
def process(line: LineModel) -> FilmProcess:
    return FilmProcess(line, drawn_hidden(line, 0))


def coated(
    process: FilmProcess,
    *,
    length_um: int = KM_UM,
    seed: int = 1,
    z_at: Callable[[int], NDArray[np.float64]] | None = None,
    loci_at: Callable[[int], tuple[Locus, ...]] = lambda _: (),
) -> FilmRoll:
    """A roll that was coated under given deviations at each web travel."""
    roll = FilmRoll(
        roll=f"R{seed}", batch="B", number=seed, length_um=length_um, rng=np.random.default_rng(seed), step_um=STEP_UM
    )
    nothing = np.zeros(len(process.variables))
    for step in range(length_um // STEP_UM + 11):
        roll.moments.append(
            Moment(
                at_ns=step * 60 * 10**9,
                z=nothing if z_at is None else z_at(step * STEP_UM),
                zone1_c=45.0,
                zone1_air_m_per_s=3.0,
                speed_m_per_min=1.0,
                wet_um=98.0,
                viscosity_pa_s=1.5,
                gap_um=200.0,
                mass_ratio=1.0,
                hood_dose_pa_h=0.0,
                binder_wt_percent=3.0,
                loci=loci_at(step * STEP_UM),
            )
        )
    process.finish_steps(roll, length_um + 10_000_000)
    return roll


@pytest.fixture(scope="module")
def film(line: LineModel, process: FilmProcess) -> list[FilmRoll]:
    """Eight kilometres, 2,400 m2, at nominal tags and laminated."""
    rolls = [coated(process, seed=seed) for seed in range(8)]
    for roll in rolls:
        process.later(roll, "S07", dict.fromkeys(line.all_tags(), 0.0), at_ns=10**15)
    return rolls


def area_m2(rolls: list[FilmRoll]) -> float:
    return sum(roll.length_um for roll in rolls) * 0.3e-6


def flaws_of(rolls: list[FilmRoll], kind: str) -> list[Flaw]:
    return [flaw for roll in rolls for flaw in roll.flaws if flaw.kind == kind]


def test_nominal_film_has_the_published_rate_of_every_class(line: LineModel, film: list[FilmRoll]) -> None:
    for row in line.defects:
        if row.rate_per_m2:
            expected = row.rate_per_m2 * area_m2(film)
            found = len(flaws_of(film, row.code))
            # gamma factors of 0.6 m2 and clusters of pinholes: well below twice the Poisson spread
            spread = np.sqrt(expected * (1 + row.rate_per_m2 * 0.6 / 2) * (2.5 if row.code == "PIN" else 1.0))
            assert abs(found - expected) < 4 * spread, row.code


def test_nominal_film_has_0_465_killers_a_square_metre_and_a_film_limited_yield_of_0_79(film: list[FilmRoll]) -> None:
    density = sum(len(roll.killers) for roll in film) / area_m2(film)
    assert density == pytest.approx(0.465, abs=0.05)
    assert poisson_yield(density) == pytest.approx(0.79, abs=0.02)


def test_counts_of_2_m_are_negative_binomial_with_alpha_2(film: list[FilmRoll]) -> None:
    counts = np.concatenate([
        np.bincount([flaw.md_um // 2_000_000 for flaw in roll.flaws if flaw.kind == "AGG"], minlength=500)
        for roll in film
    ])
    mean = counts.mean()
    assert mean == pytest.approx(0.9, rel=0.06)
    assert counts.var() == pytest.approx(mean + mean**2 / 2, rel=0.15)


def test_sizes_are_lognormal_above_their_least(line: LineModel, film: list[FilmRoll]) -> None:
    sizes = np.array([flaw.size_um for flaw in flaws_of(film, "AGG")])
    row = line.defect("AGG")
    assert np.median(sizes) == pytest.approx(row.median_um, rel=0.05)
    assert sizes.min() >= (row.min_um or 0)


def test_some_pinholes_come_in_clusters_along_the_web(film: list[FilmRoll]) -> None:
    close = 0
    for roll in film:
        holes = sorted(flaw.md_um for flaw in roll.flaws if flaw.kind == "PIN")
        close += sum(later - before < 2_000 for before, later in itertools.pairwise(holes))
    # 0.18 a m2 lie within 2 mm of another; scattered evenly it would be one in a thousand metres
    assert close > 50


def test_a_driver_counts_at_the_metre_where_its_tag_acts(line: LineModel, process: FilmProcess) -> None:
    hot = process.variables.index("S04.Zone3Temp")
    offset_um = line.position("zone3_in").offset_um

    def z_at(encoder_um: int) -> NDArray[np.float64]:
        z = np.zeros(len(process.variables))
        # DIS goes with Zone3Temp at 0.3 a z: the cap of 50 is reached at 13 z
        z[hot] = 13.0 if 400_000_000 <= encoder_um < 600_000_000 else 0.0
        return z

    rolls = [coated(process, seed=seed, z_at=z_at) for seed in range(3)]
    places = np.array([flaw.md_um for flaw in flaws_of(rolls, "DIS")])
    inside = (places >= 400_000_000 - offset_um - STEP_UM) & (places < 600_000_000 - offset_um + STEP_UM)
    assert len(places) > 150
    assert inside.mean() > 0.85
    early = (places >= 400_000_000 - offset_um) & (places < 400_000_000)
    assert early.sum() >= 1


def test_no_rate_passes_50_times_its_nominal_rate(line: LineModel, process: FilmProcess) -> None:
    rates = process.rates_per_m2(np.full(len(process.variables), 30.0))
    assert rates["STR"] == pytest.approx(50 * (line.defect("STR").rate_per_m2 or 0))


def test_the_driver_matrix_is_the_published_one_at_seed_0(line: LineModel, process: FilmProcess) -> None:
    z = np.zeros(len(process.variables))
    z[process.variables.index("S03.PumpPressure")] = 4.0
    rates = process.rates_per_m2(z)
    assert rates["STR"] / (line.defect("STR").rate_per_m2 or 1) == pytest.approx(np.exp(0.6 * 4))  # F01: x11
    assert rates["PIN"] == line.defect("PIN").rate_per_m2


def test_a_persistent_line_lies_at_one_place_without_a_gap(process: FilmProcess) -> None:
    locus = locus_of("STR", 112_000, size_um=500.0)
    roll = coated(process, length_um=100_000_000, loci_at=lambda um: (locus,) if um >= 30_000_000 else ())
    pieces = sorted((flaw for flaw in roll.flaws if flaw.cause == "fault"), key=lambda flaw: flaw.md_um)
    assert {flaw.cd_um for flaw in pieces} == {112_000}
    for before, later in itertools.pairwise(pieces):
        assert before.md_um + before.length_um / 2 >= later.md_um - later.length_um / 2
    assert 28_000_000 <= pieces[0].md_um - pieces[0].length_um / 2 <= 31_000_000
    assert pieces[-1].md_um + pieces[-1].length_um / 2 >= 100_000_000


def test_a_stuck_roller_scratches_once_a_turn_at_its_place(process: FilmProcess) -> None:
    period_um = np.pi * 80_000
    locus = locus_of("SCR", 40_000, period_um=period_um)
    z = np.zeros(len(process.variables))
    z[process.variables.index("event.idler_stuck")] = 1.0
    roll = coated(process, z_at=lambda _: z, loci_at=lambda _: (locus,))
    scratches = [flaw for flaw in roll.flaws if flaw.cause == "fault"]
    assert len(scratches) > 200
    assert np.std([flaw.cd_um for flaw in scratches]) < 500
    phase = np.array([flaw.md_um for flaw in scratches]) / period_um
    assert np.abs(phase - np.rint(phase)).max() < 0.02


def test_flaws_of_a_stretch_include_long_ones_whose_middle_is_elsewhere(process: FilmProcess) -> None:
    roll = coated(process, length_um=20_000_000)
    streak = Flaw(
        flaw="s", roll="R", kind="STR", md_um=10_000_000, cd_um=5, size_um=300.0, length_um=8e6, width_um=300.0,
        depth_fraction=0.1, angle_rad=0.0, born_ns=0, killer=True,
    )  # fmt: skip
    roll.add(streak)
    assert streak in roll.between(13_500_000, 13_600_000)
    assert streak not in roll.between(14_500_000, 14_600_000)
    assert streak in roll.killers_in(6_100_000, 6_200_000, 0, 100)


def test_only_stations_behind_the_camera_add_flaws_later(line: LineModel, process: FilmProcess) -> None:
    roll = coated(process, length_um=KM_UM)
    z = dict.fromkeys(line.all_tags(), 0.0)
    assert process.later(roll, "S08", z, at_ns=1) == []
    cracked = process.later(roll, "S08", z | {"S08.LineLoad": 6.0}, at_ns=2)
    assert cracked and {flaw.cause for flaw in cracked} == {"calendering"}
    with pytest.raises(ValueError, match="S05"):
        process.later(roll, "S05", z, at_ns=3)


@pytest.mark.parametrize(
    ("side", "z", "g"), [("+", 2.0, 2.0), ("+", -2.0, 0.0), ("-", -2.0, 2.0), ("-", 2.0, 0.0), ("+-", -2.0, 2.0)]
)
def test_a_straight_link_drives_on_its_side(side: str, z: float, g: float) -> None:
    link = Link(defect="PIN", tag="x", side=side, beta=1.0)  # type: ignore[arg-type]
    assert driving(link, z) == g

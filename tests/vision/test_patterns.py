"""Patterns in what a film camera reports; the faults of the line are those of the simulated plant."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from line.events import FilmDefect, FilmPattern, decoded, encoded
from line.model import LineModel, load_line
from plant.drawn import FilmDrawer
from plant.scenario import load_scenario
from plant.world import World
from tests.vision.made_defects import MODEL, STRIP_UM, defect, of_form, passed, strip
from vision.causes import usual_cause
from vision.patterns import PatternFinder

HOUR_NS = 3600 * 10**9
OPENS_NS = int(datetime(2026, 9, 21, 8, tzinfo=UTC).timestamp()) * 10**9
ROLL_M2 = 30.0


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


@pytest.fixture
def finder(line: LineModel) -> PatternFinder:
    return PatternFinder(line, line.camera("fins-1"))


def told_of_plant(
    line: LineModel, fault: str, *, seed: int, hours: float = 2.3
) -> tuple[dict[str, float], list[FilmPattern]]:
    """What is found on the film of a plant that was struck when it opened.

    Returns:
        By form and class, film from the beginning of the first roll of another batch (F03) or of the first of all
        until it was told first [m²]; and all that was told.
    """
    world = World(line, seed=seed, hidden_seed=0, opens_at_ns=OPENS_NS)
    drawer = FilmDrawer(line, seed=seed, model=MODEL, strip_um=STRIP_UM)
    world.advance(OPENS_NS + HOUR_NS // 60)
    if fault:
        world.inject(load_scenario(fault, line))
    world.advance(OPENS_NS + int(hours * HOUR_NS))
    finder = PatternFinder(line, line.camera("fins-1"))
    first: dict[str, float] = {}
    found: list[FilmPattern] = []
    waiting: list[FilmDefect] = []
    area_m2, struck_m2 = 0.0, None if fault == "F03" else 0.0
    for event in drawer.due(world):
        if isinstance(event, FilmDefect):
            waiting.append(event)
            continue
        if struck_m2 is None and world._caster.rolls[event.roll].batch != "B-0001":
            struck_m2 = area_m2
        patterns = finder.seen(event, waiting)
        waiting = []
        area_m2 += (event.md_end_um - event.md_start_um) * 0.3e-6
        found += patterns
        for row in patterns:
            if struck_m2 is not None:
                first.setdefault(f"{row.form} {row.kind}", area_m2 - struck_m2)
    return first, found


def latest(patterns: list[FilmPattern], form: str, kind: str) -> FilmPattern:
    return [row for row in patterns if (row.form, row.kind) == (form, kind)][-1]


@pytest.mark.parametrize("seed", range(5, 9))
def test_a_healthy_roll_shows_no_rate_and_no_repeat(line: LineModel, seed: int) -> None:
    _, found = told_of_plant(line, "", seed=seed)
    assert [row for row in found if row.form != "cluster"] == []


@pytest.mark.parametrize("seed", [5, 6])
def test_f01_is_a_streak_that_stays_at_its_place_and_the_die_lip_is_named(line: LineModel, seed: int) -> None:
    first, found = told_of_plant(line, "F01", seed=seed)
    assert first["rate STR"] < 2.0
    last = latest(found, "rate", "STR")
    assert last.verdict == "reject"
    assert "CD 112 mm, lane 1" in last.reason
    assert last.cause.startswith("at the die lip, CD 112 mm, lane 1: particle or dried slurry in die lip")
    assert last.md_end_um - last.md_start_um > 60_000_000
    assert abs((last.cd_start_um + last.cd_end_um) / 2 - 112_000) < 1_000
    assert len({row.pattern for row in of_form(found, "rate")}) == 1
    assert of_form(found, "repeat") == []


@pytest.mark.parametrize("seed", [5, 6])
def test_f02_is_more_agglomerates_and_the_filter_is_named(line: LineModel, seed: int) -> None:
    first, found = told_of_plant(line, "F02", seed=seed)
    assert first["rate AGG"] < 5.0
    last = latest(found, "rate", "AGG")
    assert last.rate_factor == pytest.approx(8, rel=0.6)
    assert "worn filter" in last.cause
    assert "S01.GrindHegman" in last.cause
    assert {row.kind for row in of_form(found, "rate")} == {"AGG"}


def test_f03_is_more_bubbles_and_pinholes_and_what_drives_both_is_named(line: LineModel) -> None:
    first, found = told_of_plant(line, "F03", seed=5, hours=34)
    assert first["rate BUB"] < 4.0
    assert first["rate PIN"] < 20.0
    both = latest(found, "rate", "PIN")
    assert "poor degassing" in both.cause
    assert both.cause.endswith("driven by S01.DegasVacuum, S04.Zone1Temp")


@pytest.mark.parametrize("seed", [5, 7])
def test_f04_is_more_cracks_and_the_first_zone_is_named(line: LineModel, seed: int) -> None:
    first, found = told_of_plant(line, "F04", seed=seed)
    assert first["rate CRK"] < ROLL_M2
    last = latest(found, "rate", "CRK")
    assert "fast first-zone drying" in last.cause
    assert "S04.Zone1Temp" in last.cause


@pytest.mark.parametrize("seed", [5, 6])
def test_f06_is_scratches_at_one_place_once_a_turn_of_the_idler(line: LineModel, seed: int) -> None:
    first, found = told_of_plant(line, "F06", seed=seed)
    assert first["rate SCR"] < 10.0
    assert first["repeat SCR"] < 12.0
    repeat = latest(found, "repeat", "SCR")
    assert repeat.roller == "idler"
    assert repeat.period_um == pytest.approx(251_327, rel=0.001)
    assert repeat.p_value < 1e-3
    assert "at CD 40 mm" in repeat.reason
    assert repeat.cause.startswith("the idler roller of S03 at CD 40 mm: stuck idler")
    assert "at CD 40 mm, lane 1" in latest(found, "rate", "SCR").reason
    assert len({row.pattern for row in of_form(found, "repeat")}) == 1
    assert [row.revision for row in of_form(found, "repeat")] == list(range(1, len(of_form(found, "repeat")) + 1))


@pytest.mark.parametrize("seed", [5, 9])
def test_f07_is_more_metal_and_the_pump_and_the_magnet_are_named(line: LineModel, seed: int) -> None:
    first, found = told_of_plant(line, "F07", seed=seed, hours=5)
    assert first["rate MET"] < ROLL_M2
    last = latest(found, "rate", "MET")
    assert last.cause.startswith("pump/valve wear")
    assert "state.magnet_off" in last.cause


def test_f12_is_no_pattern_of_the_film(line: LineModel) -> None:
    _, found = told_of_plant(line, "F12", seed=5)
    assert [row for row in found if row.form != "cluster"] == []


def test_three_pinholes_within_two_millimetres_are_a_cluster_that_rejects(finder: PatternFinder) -> None:
    places = [(1_000_000, 60_000), (1_001_200, 60_400), (1_001_900, 59_800)]
    near = [defect("PIN", md, cd, name=f"p{n}") for n, (md, cd) in enumerate(places)]
    apart = [defect("PIN", 2_000_000 + 50_000 * k, 60_000) for k in range(3)]
    (cluster,) = of_form(passed(finder, [*near, *apart], length_um=3_000_000), "cluster")
    assert cluster.verdict == "reject"
    assert cluster.defects == ("p0", "p1", "p2")
    assert (cluster.defects_count, cluster.kind) == (3, "PIN")
    assert cluster.p_value < 1e-8
    assert (cluster.md_start_um, cluster.md_end_um) == (999_950, 1_001_950)
    assert (cluster.cd_start_um, cluster.cd_end_um) == (59_750, 60_450)
    assert "cluster of 3 within 2 mm" in cluster.reason
    assert decoded(encoded(cluster)) == cluster


def test_a_cluster_grows_by_revision_and_another_place_is_another_cluster(finder: PatternFinder) -> None:
    first = [defect("PIN", 1_000_000 + 900 * k, 60_000) for k in range(6)]
    second = [defect("PIN", 1_500_000 + 900 * k, 60_000) for k in range(3)]
    found = of_form(passed(finder, [*first, *second], length_um=2_000_000), "cluster")
    assert [(row.revision, row.defects_count) for row in found] == [(1, 3), (2, 4), (3, 5), (1, 3)]
    assert len({row.pattern for row in found}) == 2


def test_a_cluster_where_no_sheet_is_cut_passes(finder: PatternFinder) -> None:
    near = [defect("PIN", 1_000_000 + 500 * k, 2_000, lane=0) for k in range(3)]
    (cluster,) = passed(finder, near, length_um=1_500_000)
    assert cluster.verdict == "pass"


def test_a_gathering_counts_once_for_rates_and_repeats(finder: PatternFinder) -> None:
    near = [defect("PIN", 1_000_000 + 300 * k, 60_000) for k in range(30)]
    found = passed(finder, near, length_um=3_000_000)
    assert {row.form for row in found} == {"cluster"}


def test_a_rate_that_is_up_is_told_of_the_next_roll_as_well(finder: PatternFinder) -> None:
    rng = np.random.default_rng(3)
    found = []
    for roll in ("FR-1", "FR-2"):
        many = [
            defect("AGG", int(md), int(cd), roll=roll)
            for md, cd in zip(rng.integers(0, 20_000_000, 60), rng.integers(0, 300_000, 60), strict=True)
        ]
        found += passed(finder, many, length_um=20_000_000, roll=roll)
    rates = of_form(found, "rate")
    assert {row.roll for row in rates} == {"FR-1", "FR-2"}
    assert len({row.pattern for row in rates}) == 2
    assert next(row for row in rates if row.roll == "FR-2").md_start_um < 2_000_000
    assert all(row.defects_count >= len(row.defects) and len(row.defects) <= 16 for row in rates)


def test_film_that_was_not_looked_at_counts_for_no_rate(finder: PatternFinder) -> None:
    many = [defect("MET", 1_000 * k, 9_000 * k) for k in range(1, 30)]
    assert finder.seen(strip(0, STRIP_UM, looked=False), many) == []


def test_the_end_of_a_repeat_is_told(finder: PatternFinder) -> None:
    period = 251_327
    spots = [defect("AGG", 100_000 + period * k, 200_000, lane=2) for k in range(20)]
    repeats = of_form(passed(finder, spots, length_um=9_000_000), "repeat")
    assert repeats[-1].defects_count == 20
    assert "none since MD 4.88 m, ended" in repeats[-1].reason
    assert repeats[-1].roller == "idler"
    assert len({row.pattern for row in repeats}) == 1


def test_pieces_of_a_streak_at_one_place_are_one_streak(finder: PatternFinder) -> None:
    pieces = [defect("STR", 500_000 * k + 250_000, 112_000, length_um=400_000, verdict="reject") for k in range(30)]
    found = passed(finder, pieces, length_um=22_000_000)
    assert {(row.form, row.kind) for row in found} == {("rate", "STR")}
    assert len({row.pattern for row in found}) == 1
    assert found[0].verdict == "reject"
    assert "CD 112 mm" in found[0].cause
    assert "going on" in found[0].reason
    assert found[-1].reason.endswith("over 12.0 m, ended at MD 14.95 m")


def test_pieces_of_a_lasting_line_are_no_rate_however_far_apart(finder: PatternFinder) -> None:
    line = [defect("STR", 500_000 + 1_000_000 * k, 112_000, length_um=990_000) for k in range(10)]
    pieces = [defect("STR", 12_000_000 + 150_000 * k, 112_000, length_um=5_000) for k in range(100)]
    found = passed(finder, [*line, *pieces], length_um=28_000_000)
    assert len({row.pattern for row in found}) == 1
    assert not any("times the usual" in row.reason for row in found)


def test_a_rate_of_pieces_ends_when_their_line_lasts(finder: PatternFinder) -> None:
    pieces = [defect("STR", 100_000 + 150_000 * k, 112_000, length_um=60_000) for k in range(120)]
    found = passed(finder, pieces, length_um=18_000_000)
    rates = [row for row in found if "times the usual" in row.reason]
    assert rates[-1].reason.endswith("most of them pieces of one that lasts")
    assert rates[-1].md_end_um < 13_000_000
    assert found[-1].reason.startswith("streak / line at CD 112 mm")
    assert len({row.pattern for row in found}) == 2


def test_a_rate_elsewhere_is_told_beside_a_lasting_line_without_its_pieces(finder: PatternFinder) -> None:
    line = [defect("STR", 500_000 + 1_000_000 * k, 112_000, length_um=990_000) for k in range(10)]
    pieces = [defect("STR", 12_000_000 + 150_000 * k, 112_000, length_um=5_000) for k in range(100)]
    others = [defect("STR", 13_000_000 + 700_000 * k, 20_000 + 13_000 * (7 * k % 20), length_um=9) for k in range(16)]
    found = passed(finder, [*line, *pieces, *others], length_um=28_000_000)
    rates = [row for row in found if "times the usual" in row.reason]
    assert len({row.pattern for row in rates}) == 1
    assert 8 <= rates[-1].defects_count <= 16


def test_the_cause_is_the_line_models_without_its_sources(line: LineModel) -> None:
    assert usual_cause(line, "MET").startswith(
        "pump/valve wear, cutting burr, guides; cutting and welding are the usual sources; driven by state.magnet_off"
    )
    assert "S09" not in usual_cause(line, "MET")
    assert "pictures" in usual_cause(line, "unknown")

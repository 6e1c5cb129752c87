"""Each published fault does to film, stacks and cells what its row says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from line.bundle import ModelRef
from line.events import CellTested, FilmDefect, SheetCut, WebMapped
from line.model import LineModel
from plant.cells import CellFate
from plant.drawn import FilmDrawer
from plant.drawn_layers import LayerDrawer
from plant.scenario import Scenario, load_scenario
from plant.stock import LaminateRoll
from plant.truth import CellTruth
from plant.truth_types import Flaw, PlacedSheet
from plant.world import World

H = 3600 * 10**9
MINUTE_NS = 60 * 10**9
WorldOf = Callable[..., World]


def first_roll(world: World) -> list[Flaw]:
    roll, _ = world.film_passed()[0]
    return world.flaws_between(roll, 0, world.roll_length_um(roll))


def counts_of(world: World) -> Counter[str]:
    return Counter(flaw.kind for flaw in first_roll(world))


@pytest.fixture
def struck(world_of: WorldOf, line: LineModel, opens_ns: int) -> Callable[..., World]:
    """A published line that was struck a minute after it opened and lived on for some hours."""

    def make(name: str | None, hours: float, *, strength: float = 1.0, seed: int = 5) -> World:
        world = world_of(seed=seed)
        world.advance(opens_ns + MINUTE_NS)
        if name is not None:
            world.inject(load_scenario(name, line), strength)
        world.advance(opens_ns + int(hours * H))
        return world

    return make


def fates_of(world: World) -> list[CellFate]:
    benches = world._cells.benches.values()
    return [unit.fate for bench in benches for unit in (*bench.queue, *bench.at_work.values()) if unit.fate]


def test_f01_is_one_streak_at_cd_112_mm_from_the_fault_on_and_thins_the_film_there(
    line: LineModel, world_of: WorldOf, opens_ns: int, model: ModelRef
) -> None:
    world = world_of()
    drawer = FilmDrawer(line, seed=1, model=model)
    world.advance(opens_ns + 20 * MINUTE_NS)
    view = world.film_view()
    assert view is not None
    at_um = view.encoder_um
    world.inject(load_scenario("F01", line))
    world.advance(opens_ns + 3 * H)
    pieces = [flaw for flaw in first_roll(world) if flaw.cause == "F01"]
    assert {(flaw.kind, flaw.cd_um) for flaw in pieces} == {("STR", 112_000)}
    starts = min(flaw.md_um - flaw.length_um / 2 for flaw in pieces)
    assert at_um - 500_000 <= starts <= at_um + 1_000_000
    assert sum(flaw.length_um for flaw in pieces) == pytest.approx(100e6 - at_um, rel=0.05)
    found = [event for event in drawer.due(world) if isinstance(event, FilmDefect) and event.lane == 1]
    streak = max(
        (event for event in found if event.kind == "STR"), key=lambda event: event.md_end_um - event.md_start_um
    )
    assert abs((streak.cd_start_um + streak.cd_end_um) / 2 - 112_000) < 1_000
    assert streak.verdict == "reject" and streak.revision > 1


def test_f01_kills_more_cells(struck: Callable[..., World]) -> None:
    killed = {
        name: [record.cause for record in struck(name, 34).take_truth() if isinstance(record, CellTruth)].count("film")
        for name in (None, "F01")
    }
    assert killed["F01"] >= killed[None] + 4


@pytest.mark.parametrize(("name", "kind", "factor"), [("F02", "AGG", 8), ("F04", "CRK", 6), ("F06", "SCR", 20)])
def test_a_fault_raises_the_rate_of_its_class_as_published(
    struck: Callable[..., World], line: LineModel, name: str, kind: str, factor: float
) -> None:
    found = sum(counts_of(struck(name, 2.0, seed=seed))[kind] for seed in range(4))
    expected = (line.defect(kind).rate_per_m2 or 0) * 4 * 30 * factor
    assert found == pytest.approx(expected, rel=0.4)


def test_f03_spoils_the_next_batch_and_not_the_one_in_the_tank(struck: Callable[..., World]) -> None:
    world = struck("F03", 34)
    rates = []
    for roll, _ in world.film_passed():
        bubbles = [flaw for flaw in world.flaws_between(roll, 0, 10**8) if flaw.kind == "BUB"]
        rates.append((world._caster.rolls[roll].batch, len(bubbles) / 30))
    first = [rate for batch, rate in rates if batch == "B-0001"]
    later = [rate for batch, rate in rates if batch != "B-0001"]
    assert np.mean(first) < 1.2
    assert later and np.mean(later) > 5


def test_f05_leaves_a_dose_in_what_lay_open_and_raises_its_resistance(
    world_of: WorldOf, line: LineModel, opens_ns: int
) -> None:
    resistance = {}
    for strike in (False, True):
        world = world_of()
        world.begin(opens_ns - 4 * 24 * H)
        world.advance(opens_ns)
        if strike:
            world.inject(load_scenario("F05", line))
        world.advance(opens_ns + 6 * H)
        resistance[strike] = max(fate.dcir_mohm for fate in fates_of(world))
    assert resistance[True] > 1.05 * resistance[False]


@pytest.fixture(scope="module")
def nominal(world_of: WorldOf, opens_ns: int) -> list[tuple[int, PlacedSheet]]:
    """Every layer that a published line places in six shifts."""
    world = world_of()
    world.advance(opens_ns + 24 * 8 * H)
    return world.take_placements()


def test_f09_lets_sheets_slip_five_times_as_often(
    struck: Callable[..., World], nominal: list[tuple[int, PlacedSheet]]
) -> None:
    weak = struck("F09", 72).take_placements()
    assert np.mean([sheet.slipped for _, sheet in nominal]) == pytest.approx(0.003, abs=0.0015)
    assert np.mean([sheet.slipped for _, sheet in weak]) == pytest.approx(0.0149, abs=0.006)


def test_about_2_of_100_stacks_lie_outside_the_overhang_limits_nominally(
    nominal: list[tuple[int, PlacedSheet]], line: LineModel
) -> None:
    drawer = LayerDrawer(line, seed=1)
    verdicts: dict[str, set[str]] = {}
    for at_ns, sheet in nominal:
        verdicts.setdefault(sheet.stack, set()).add(drawer.layer(sheet, at_ns, {}).verdict)
    share = np.mean(["reject" in found for found in verdicts.values()])
    assert len(verdicts) > 250
    assert 0.003 < share < 0.05


def test_f10_moves_the_readings_of_one_corner_only(struck: Callable[..., World]) -> None:
    world = struck("F10", 1)
    assert [world.corner_shift_um(corner) for corner in (1, 2, 3, 4)] == [150.0, 0.0, 0.0, 0.0]


def test_f11_leaves_more_pores_and_so_more_resistance(struck: Callable[..., World]) -> None:
    nominal, weak = (np.mean([fate.dcir_mohm for fate in fates_of(struck(name, 32))]) for name in (None, "F11"))
    assert weak / nominal == pytest.approx(1.012, abs=0.006)


def test_f12_dims_the_camera_and_its_controller_asks_for_more(struck: Callable[..., World]) -> None:
    world = struck("F12", 1)
    assert world.camera_health().lamp_bf == pytest.approx(0.88)
    tags = world.tags()
    assert tags["S05.LedBF"] == pytest.approx(82.0, abs=3)
    assert tags["S05.MeanGreyBF"] == pytest.approx(142.0, abs=4)


def test_f13_breaks_the_bead_and_overruns_the_dryer(struck: Callable[..., World]) -> None:
    world = struck("F13", 0.6)
    view = world.film_view()
    assert view is not None and view.web_speed_m_per_min == pytest.approx(2.0)
    streaks = [flaw for flaw in first_roll(world) if flaw.kind == "STR" and flaw.md_um > 3_000_000]
    assert len(streaks) > 30


def test_f15_flips_the_film_under_an_unchanged_record(struck: Callable[..., World]) -> None:
    faces, records = {}, {}
    for name in (None, "F15"):
        world = struck(name, 30)
        web = next(row.web for row in world._web._floor.cutting.values() if isinstance(row.web, LaminateRoll))
        faces[name] = web.faces["top"].film_um(10_000_000, 10_000_001)[0][0]
        records[name] = [event.segments for event in world.take_material() if isinstance(event, WebMapped)]
    assert records[None][:3] == records["F15"][:3]
    assert faces[None] + faces["F15"] == pytest.approx(100_000_000, abs=10)


def test_f16_takes_half_a_metre_out_that_no_record_knows(struck: Callable[..., World]) -> None:
    world = struck("F16", 30)
    web = next(row.web for row in world._web._floor.cutting.values() if isinstance(row.web, LaminateRoll))
    face = web.faces["top"]
    near, far = face.film_um(1_000_000, 1_000_001)[0][0], face.film_um(90_000_000, 90_000_001)[0][0]
    assert near == pytest.approx(99_000_000, abs=5)
    assert far == pytest.approx(9_500_000, abs=5)
    recorded = next(event for event in world.take_material() if isinstance(event, WebMapped) and event.face == "top")
    (segment,) = recorded.segments
    assert (segment.parent_start_um, segment.parent_end_um) == (100_000_000, 500_000)


def test_strength_scales_a_fault(struck: Callable[..., World]) -> None:
    half, whole = (counts_of(struck("F02", 2.0, strength=strength))["AGG"] for strength in (0.5, 1.0))
    assert half < 0.6 * whole


def test_faults_combine(struck: Callable[..., World], line: LineModel, opens_ns: int) -> None:
    world = struck("F02", 0.01)
    world.inject(load_scenario("F06", line))
    world.advance(opens_ns + 2 * H)
    counts = counts_of(world)
    assert counts["AGG"] > 150 and counts["SCR"] > 25


def test_a_lifted_fault_ends(world_of: WorldOf, line: LineModel, opens_ns: int) -> None:
    world = world_of()
    world.advance(opens_ns + MINUTE_NS)
    world.inject(load_scenario("F02", line), lasts_s=1800)
    world.advance(opens_ns + 2 * H)
    lumps = np.array([flaw.md_um for flaw in first_roll(world) if flaw.kind == "AGG"])
    assert (lumps < 32_000_000).sum() > 2 * (lumps >= 32_000_000).sum()


def test_sheets_are_cut_from_spoilt_film_as_from_any_other(struck: Callable[..., World]) -> None:
    sheets = [event for event in struck("F02", 30).take_material() if isinstance(event, SheetCut)]
    assert len(sheets) > 500


def written(tmp_path: Path, body: str, line: LineModel) -> Scenario:
    path = tmp_path / "own.toml"
    path.write_text(f'name = "own"\ntitle = "own"\n{body}\n', encoding="utf-8")
    return load_scenario(path, line)


def test_a_scenario_of_ones_own_moves_any_camera_figure_and_the_lines_dropped_show(
    tmp_path: Path, world_of: WorldOf, line: LineModel, opens_ns: int
) -> None:
    world = world_of()
    world.advance(opens_ns + MINUTE_NS)
    own = written(
        tmp_path,
        """camera = [
  { field = "blur_px", to = 1.6, form = "ramp", over_s = 100.0 },
  { field = "wander_um", to = 300, form = "sine", period_s = 400.0 },
  { field = "dropped_lines_per_strip", to = 2.0 },
]""",
        line,
    )
    world.inject(own)
    world.advance(world.now_ns + 50 * 10**9)
    assert world.camera_health().blur_px == pytest.approx(1.1)
    world.advance(world.now_ns + 50 * 10**9)
    assert world.camera_health().wander_um == 300
    assert world.tags()["S05.DroppedLines"] == pytest.approx(2 * 833 * 60 / 256, rel=0.1)


def test_a_meter_of_the_last_test_that_lies_fails_sound_cells(
    tmp_path: Path, world_of: WorldOf, line: LineModel, opens_ns: int
) -> None:
    world = world_of()
    world.begin(opens_ns - 13 * 24 * H)
    world.advance(opens_ns - 24 * H)
    world.take_material()
    world.inject(written(tmp_path, 'tags = [{ tag = "S18.DCIR10s", by = 1.6, where = "sensor" }]', line))
    world.advance(opens_ns + 12 * H)
    tested = [event for event in world.take_material() if isinstance(event, CellTested)]
    assert len(tested) > 10
    assert all("DCIR10s" in event.fail_codes for event in tested)


def test_a_stacker_that_places_to_one_side_loses_overhang_there(
    tmp_path: Path, world_of: WorldOf, line: LineModel, opens_ns: int
) -> None:
    world = world_of()
    world.advance(opens_ns + MINUTE_NS)
    world.inject(written(tmp_path, 'tags = [{ tag = "S11.OffsetX", by = 0.3 }]', line))
    world.advance(opens_ns + 26 * H)
    placed = [sheet for _, sheet in world.take_placements() if not sheet.slipped]
    moved = np.mean([sheet.offset_x_um for sheet in placed if sheet.kind == "cathode"])
    still = np.mean([sheet.offset_x_um for sheet in placed if sheet.kind == "laminate"])
    assert moved - still == pytest.approx(300, abs=15)

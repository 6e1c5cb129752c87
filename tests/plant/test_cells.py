"""What kills a cell and what does not, on stacks that are made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from line.model import LineModel
from line.relations_cell import edge_overhangs_mm
from plant.cells import CellFate, CellMaker, Layer, PressCycle, least_overhangs_um
from plant.film_roll import FilmRoll
from plant.hidden import drawn_hidden
from plant.stock import CathodeRoll, Face, LaminateRoll, Sheet
from plant.surroundings import Surroundings
from plant.truth_types import Flaw, PlacedSheet

PRESS = PressCycle(pressure_mpa=490.0, temperature_c=85.0, dwell_s=300.0, ramp_mpa_per_s=5.0, depress_z=0.0)
H = 3600 * 10**9
LENGTH_UM = 10_000_000


def film(name: str, *killers: tuple[int, int]) -> FilmRoll:
    """A roll with killers at MD and CD."""
    roll = FilmRoll(roll=name, batch="B", number=1, length_um=LENGTH_UM, rng=np.random.default_rng(1))
    roll.mass_ratio = [1.0] * roll.steps
    for number, (md_um, cd_um) in enumerate(killers):
        flaw = Flaw(
            flaw=f"{name}/{number}", roll=name, kind="PIN", md_um=md_um, cd_um=cd_um, size_um=90.0, length_um=90.0,
            width_um=90.0, depth_fraction=1.0, angle_rad=0.0, born_ns=0, killer=True,
        )  # fmt: skip
        roll.add(flaw)
    return roll


def stack_of(line: LineModel, top: FilmRoll, bottom: FilmRoll, *, offset_um: float = 0.0) -> list[Layer]:
    """A stack whose laminate at placement k lies k sheets into lane 1, cathodes moved by `offset_um`."""
    pieces = ((0, LENGTH_UM, LENGTH_UM, 0),)
    faces = {"top": Face(roll=top, pieces=pieces), "bottom": Face(roll=bottom, pieces=pieces)}
    laminate = LaminateRoll(roll="L", length_um=LENGTH_UM, porosity=0.193, faces=faces)
    cathode = CathodeRoll(roll="C", length_um=LENGTH_UM)
    layers = []
    for number in range(1, 38):
        kind = line.product().sheet_kind(number)
        design = line.product().sheet(kind)
        start_um = number * design.pitch_um
        sheet = Sheet(
            sheet=f"{kind}{number}", kind=kind, web=laminate if kind == "laminate" else cathode, lane=1,
            start_um=start_um, end_um=start_um + design.md_um, cut_ns=0, error_x_um=0.0, error_y_um=0.0,
        )  # fmt: skip
        placed = PlacedSheet(
            stack="S", layer=number, kind=kind, offset_x_um=offset_um if kind == "cathode" else 0.0, offset_y_um=0.0,
            rotation_urad=0.0, size_x_um=design.cd_um, size_y_um=design.md_um, frame_x_um=142_000.0,
            frame_y_um=102_000.0,
        )  # fmt: skip
        layers.append(Layer(sheet=sheet, placed=placed, at_ns=0))
    return layers


@pytest.fixture(scope="module")
def maker(line: LineModel) -> CellMaker:
    hidden = replace(drawn_hidden(line, 0), base_failure_fraction=0.0)
    return CellMaker(line, hidden, Surroundings(line, hidden, seed=1, began_ns=0), seed=1)


def fate_of(maker: CellMaker, layers: list[Layer], number: int = 1) -> CellFate:
    overhang_um = maker.least_overhang_um(layers)
    return maker.fate(layers, PRESS, 0, 2 * H, number=number, overhang_um=overhang_um)


def film_md_um(line: LineModel, layer: int) -> int:
    """As-coated middle of the laminate sheet at a placement of `stack_of`."""
    return LENGTH_UM - layer * line.product().sheet("laminate").pitch_um - 51_000


def test_a_sound_stack_is_a_sound_cell_with_nominal_figures(line: LineModel, maker: CellMaker) -> None:
    fates = [fate_of(maker, stack_of(line, film("T"), film("B")), number) for number in range(60)]
    sound = [fate for fate in fates if not fate.cause]
    assert len(sound) >= 58
    assert np.mean([fate.dcir_mohm for fate in sound]) == pytest.approx(5.46, abs=0.03)  # R20
    assert np.mean([fate.capacity_ah for fate in sound]) == pytest.approx(20.16, abs=0.03)  # R19
    assert all(maker.fail_codes(fate) == () for fate in sound)


def test_one_killer_under_the_active_area_kills(line: LineModel, maker: CellMaker) -> None:
    top = film("T", (film_md_um(line, 5), 80_000))
    fate = fate_of(maker, stack_of(line, top, film("B")))
    assert fate.killers == ((5, "top", "T/0"),)
    assert fate.cause == "film" and fate.stage in {"formation", "ageing", "latent"}


@pytest.mark.parametrize(
    ("cd_um", "killed"), [(9_100, True), (8_500, False), (148_900, True), (149_500, False), (200_000, False)]
)
def test_only_film_that_a_cathode_faces_counts(line: LineModel, maker: CellMaker, cd_um: int, killed: bool) -> None:
    layers = stack_of(line, film("T", (film_md_um(line, 5), cd_um)), film("B"))
    assert bool(maker.killers(layers)) == killed


@pytest.mark.parametrize(
    ("layer", "face", "killed"),
    [(1, "bottom", False), (1, "top", True), (37, "top", False), (37, "bottom", True)],
)
def test_the_outer_faces_of_a_stack_face_no_cathode(
    line: LineModel, maker: CellMaker, layer: int, face: str, killed: bool
) -> None:
    bad, good = film("X", (film_md_um(line, layer), 80_000)), film("Y")
    layers = stack_of(line, *((bad, good) if face == "top" else (good, bad)))
    assert bool(maker.killers(layers)) == killed


def test_a_killer_between_two_sheets_kills_nobody(line: LineModel, maker: CellMaker) -> None:
    gap_um = LENGTH_UM - 6 * 104_000 + 1_000
    assert maker.killers(stack_of(line, film("T", (gap_um, 80_000)), film("B"))) == []


def test_killers_show_in_formation_in_ageing_or_not_at_all(line: LineModel, maker: CellMaker) -> None:
    layers = stack_of(line, film("T", (film_md_um(line, 5), 80_000)), film("B"))
    stages = [fate_of(maker, layers, number).stage for number in range(600)]
    shares = [stages.count(stage) / 600 for stage in ("formation", "ageing", "latent")]
    assert shares == pytest.approx([0.55, 0.35, 0.10], abs=0.06)  # R25


def test_a_cathode_beyond_the_anodes_edge_plates(line: LineModel, maker: CellMaker) -> None:
    layers = stack_of(line, film("T"), film("B"), offset_um=1_200.0)
    fates = [fate_of(maker, layers, number) for number in range(200)]
    assert fates[0].least_overhang_um == pytest.approx(-200.0)
    assert np.mean([fate.cause == "overhang" for fate in fates]) == pytest.approx(0.85, abs=0.08)
    inside = stack_of(line, film("T"), film("B"), offset_um=300.0)
    assert not any(fate_of(maker, inside, number).cause == "overhang" for number in range(100))


def test_the_same_stack_has_the_same_fate(line: LineModel, maker: CellMaker) -> None:
    layers = stack_of(line, film("T"), film("B"))
    assert fate_of(maker, layers, 7) == fate_of(maker, layers, 7)
    assert fate_of(maker, layers, 7) != fate_of(maker, layers, 8)


def test_less_pressure_leaves_more_resistance(line: LineModel, maker: CellMaker) -> None:
    layers = stack_of(line, film("T"), film("B"))
    weak = replace(PRESS, pressure_mpa=455.0)
    full, less = (maker.fate(layers, press, 0, H, number=1, overhang_um=1000.0) for press in (PRESS, weak))
    assert less.dcir_mohm / full.dcir_mohm == pytest.approx(1.012, abs=0.004)


def test_overhang_of_two_turned_sheets_is_the_published_relation_for_one(line: LineModel) -> None:
    laminate, cathode = (layer.placed for layer in stack_of(line, film("T"), film("B"))[:2])
    turned = replace(cathode, offset_x_um=120.0, offset_y_um=-60.0, rotation_urad=900.0)
    readings = edge_overhangs_mm(
        0.12, -0.06, math.degrees(900e-6), cathode_mm=(140.0, 100.0), laminate_mm=(142.0, 102.0)
    )
    expected = readings.min() * 1000
    assert least_overhangs_um([(turned, laminate)])[0] == pytest.approx(expected, abs=1e-6)


def test_a_cell_out_of_its_limits_fails_by_the_limits_name_and_grades_follow(line: LineModel, maker: CellMaker) -> None:
    sound = fate_of(maker, stack_of(line, film("T"), film("B")))
    assert maker.grade(sound, ()) == "A"
    assert maker.fail_codes(replace(sound, dcir_mohm=6.9)) == ("DCIR10s",)
    assert maker.fail_codes(replace(sound, self_discharge_mv_per_d=0.72, capacity_ah=19.0)) == ("Capacity", "dOCV")
    assert maker.grade(replace(sound, self_discharge_mv_per_d=0.6), ()) == "B"
    assert maker.grade(sound, ("dOCV",)) == "F"

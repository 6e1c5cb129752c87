import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from line.defect_rows import DefectClass
from line.errors import NotFoundError
from line.model import LineModel, load_line


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


def test_the_shipped_line_has_all_its_rows(line: LineModel) -> None:
    assert [station.code for station in line.stations] == [f"S{number:02}" for number in range(19)]
    assert len(line.all_tags()) == 147
    assert len(line.defects) == 13
    assert len(line.drivers) == 50
    assert {web.name for web in line.webs} == {"film", "anode", "laminate", "cathode"}


def test_every_tag_has_one_full_name(line: LineModel) -> None:
    names = Counter(f"{station.code}.{tag.name}" for station in line.stations for tag in station.tags)
    assert max(names.values()) == 1
    assert sum(names.values()) == len(line.all_tags())


@pytest.mark.parametrize(
    ("name", "unit", "reference", "limits", "sampling_ms"),
    [
        ("S00.DewPointSupply", "Cel", "frost point", (None, -65, -60, -55, -50), 10_000),
        ("S01.DegasVacuum", "mbar", "absolute pressure", (None, 30, 50, 80, 150), 1_000),
        ("S01.WaterContent", "[ppm]", "mass, Karl Fischer", (None, 5, 20, 40, 80), 600_000),
        ("S03.WebSpeed", "m/min", None, (0.9, 0.97, 1, 1.03, 1.1), 100),
        ("S03.BeadVacuum", "Pa", "below ambient", (60, 120, 150, 180, 260), 200),
        ("S05.ArealMass", "g/m2", None, (48, 49, 50, 51, 52), 1_000),
        ("S11.GripperVacuum", "kPa", "gauge pressure", (-75, -66, -60, -54, -45), 100),
        ("S13.VesselPressure", "MPa", None, (475, 485, 490, 495, 505), 100),
        ("S14.WeldEnergy", "J", None, (150, 170, 180, 190, 210), 0),
        ("S15.HeliumLeak", "10*-7.mbar.L/s", "helium", (None, 0, 0.5, 1, 5), 0),
        ("S17.dOCV", "mV/d", None, (None, 0, 0.2, 0.5, 0.71), 0),
        ("S18.Insulation", "MOhm", "at 100 V", (100, 500, 1000, 2000, None), 0),
    ],
)
def test_a_tag_is_as_the_line_was_described(
    line: LineModel,
    name: str,
    unit: str,
    reference: str | None,
    limits: tuple[float | None, ...],
    sampling_ms: int,
) -> None:
    tag = line.tag(name)
    assert (tag.unit, tag.reference, tag.sampling_ms) == (unit, reference, sampling_ms)
    assert (tag.alarm_low, tag.normal_low, tag.nominal, tag.normal_high, tag.alarm_high) == limits


def test_the_deviation_is_counted_in_half_normal_ranges(line: LineModel) -> None:
    assert line.tag("S01.DegasVacuum").deviation(160) == pytest.approx(4.4)
    assert line.variable("event.idler_stuck").deviation(1) == 1


def test_a_tag_acts_where_its_station_or_the_tag_itself_says(line: LineModel) -> None:
    assert line.web_position_um("S03.PumpFlow") == 0
    assert line.web_position_um("S03.WetThickness") == 400_000
    assert line.web_position_um("S04.Zone3Temp") == 4_500_000
    assert line.web_position_um("S08.LineLoad") is None


def test_the_blocked_lip_at_112_mm_is_in_lane_1(line: LineModel) -> None:
    assert line.lane_at("film", 112_000) == 1
    assert line.lane_at("film", 150_000) == 2
    assert line.lane_at("film", 4_000) == 0


def test_the_film_camera_sees_the_whole_coat(line: LineModel) -> None:
    camera = line.camera("fins-1")
    assert camera.width_px * camera.pixel_um == line.web("film").coat_width_um
    assert camera.position_um == line.position("camera").offset_um == 8_000_000


def test_film_for_one_cell_is_38_sheets_in_two_lanes(line: LineModel) -> None:
    product = line.product()
    films = sum(
        len(product.sheet(product.sheet_kind(placement)).film_faces) for placement in range(1, product.placements + 1)
    )
    assert films == 38
    assert films / 2 * product.sheet("laminate").pitch_um == product.film_web_per_cell_um


def test_a_stack_begins_and_ends_with_a_laminate(line: LineModel) -> None:
    product = line.product()
    kinds = Counter(product.sheet_kind(placement) for placement in range(1, product.placements + 1))
    assert kinds == {"laminate": 19, "cathode": 18}
    assert product.sheet_kind(1) == product.sheet_kind(37) == "laminate"
    with pytest.raises(ValueError, match=r"placement 38 is outside 1\.\.37"):
        product.sheet_kind(38)


def _shares(row: DefectClass) -> tuple[float, float, float]:
    """Per m2 of film: killers, rejected events, killers that are not rejected; by quadrature over size."""
    assert row.rate_per_m2 is not None and row.median_um is not None and row.sigma_ln is not None
    assert row.min_um is not None and row.kill_d50_um is not None and row.kill_s is not None
    assert row.pod_a50_um is not None and row.pod_s is not None and row.reject_um is not None
    z = np.linspace(-8, 8, 8001)
    weight = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    size_um = np.maximum(row.median_um * np.exp(row.sigma_ln * z), row.min_um)
    kills = 1 / (1 + np.exp(-np.log(size_um / row.kill_d50_um) / row.kill_s))
    rejected = np.where(size_um > row.reject_um, 1 / (1 + np.exp(-np.log(size_um / row.pod_a50_um) / row.pod_s)), 0)
    rate = row.rate_per_m2
    return (
        rate * float(weight @ kills),
        rate * float(weight @ rejected),
        rate * float(weight @ (kills * (1 - rejected))),
    )


def test_the_defect_rows_give_the_published_killer_densities_and_yields(line: LineModel) -> None:
    shares = [_shares(row) for row in line.defects if row.measured_as == "event"]
    killers, rejected, residual = (sum(column) for column in zip(*shares, strict=True))
    area_m2 = line.product().active_area_m2
    assert killers == pytest.approx(0.465, abs=0.0005)
    assert np.exp(-killers * area_m2) == pytest.approx(0.791, abs=0.0005)
    assert residual == pytest.approx(0.146, abs=0.0005)
    assert np.exp(-residual * area_m2) == pytest.approx(0.929, abs=0.0005)
    assert rejected == pytest.approx(0.864, abs=0.001)
    laminate_loss = 1 - np.exp(-rejected * line.defect_model.sheet_area_m2) ** 2
    assert laminate_loss == pytest.approx(0.025, abs=0.0005)


def test_accept_limits_stand_as_numbers_and_in_words(line: LineModel) -> None:
    above, per_sheet, cluster = line.defect("PIN").accept
    assert (above.kind, above.above_um) == ("reject_above", 30)
    assert (per_sheet.at_most_per_sheet, per_sheet.from_um, per_sheet.to_um) == (1, 15, 30)
    assert (cluster.count, cluster.within_um, cluster.text) == (3, 2000, "cluster of 3 within 2 mm = reject")
    assert [rule.kind for rule in line.defect("CRK").accept] == ["reject_above", "touches_edge"]
    assert [rule.fraction for rule in line.defect("THK").accept] == [0.03, 0.05]
    assert line.defect("EDG").measured_as == "profile"
    assert line.defect("AGG").critical_from_depth_fraction == 0.5


def test_every_defect_class_has_an_accept_limit_and_every_event_class_a_driver(line: LineModel) -> None:
    assert all(row.accept for row in line.defects)
    assert all(line.drivers_of(row.code) for row in line.defects if row.measured_as == "event")
    assert len(line.drivers_of("PIN")) == 5


@pytest.mark.parametrize(
    ("look_up", "near"),
    [
        (lambda line: line.tag("S03.WebSped"), "S03.WebSpeed"),
        (lambda line: line.station("S3"), "S03"),
        (lambda line: line.defect("PINN"), "PIN"),
        (lambda line: line.camera("fins-2"), "fins-1"),
        (lambda line: line.web("films"), "film"),
        (lambda line: line.position("camra"), "camera"),
        (lambda line: line.product("ASSB-20"), "ASSB-20-AGC"),
        (lambda line: line.variable("wear.pump_hour"), "wear.pump_hours"),
        (lambda _line: load_line("assb-20"), "assb-20-agc"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(
    line: LineModel, look_up: Callable[[LineModel], object], near: str
) -> None:
    with pytest.raises(NotFoundError, match=re.escape(near)):
        look_up(line)

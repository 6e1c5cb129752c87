import pytest

from line.errors import ConfigError
from line.model import load_line, shipped_lines
from line.units import UNECE_NAMESPACE_URI, UNITS, unit


@pytest.mark.parametrize(
    ("ucum", "code", "unit_id", "symbol"),
    [
        ("Cel", "CEL", 4408652, "°C"),
        ("mm", "MMT", 5066068, "mm"),
        ("um", "4H", 13384, "µm"),
        ("m/min", "2X", 12888, "m/min"),
        ("mL/min", "41", 13361, "mL/min"),
        ("g/m2", "GM", 18253, "g/m²"),
        ("N/mm", "F47", 4600887, "N/mm"),
        ("mPa.s", "C24", 4403764, "mPa·s"),
        ("uS/cm", "G42", 4666418, "µS/cm"),
        ("A.h", "AMH", 4279624, "A·h"),
    ],
)
def test_a_common_code_is_packed_as_the_opc_foundation_lists_it(
    ucum: str, code: str, unit_id: int, symbol: str
) -> None:
    row = unit(ucum)
    assert (row.unece, row.unit_id, row.symbol) == (code, unit_id, symbol)
    assert row.namespace_uri == UNECE_NAMESPACE_URI


def test_a_unit_without_common_code_says_so() -> None:
    row = unit("mV/d")
    assert (row.unece, row.unit_id, row.namespace_uri) == (None, -1, "")


def test_each_code_and_each_unit_has_one_row() -> None:
    codes = [row.unece for row in UNITS.values() if row.unece]
    assert len(codes) == len(set(codes))
    assert all(len(row.title) > 0 and row.ucum == ucum for ucum, row in UNITS.items())


@pytest.mark.parametrize(
    ("wrong", "meant"), [("cel", "Cel"), ("mpa", "MPa"), ("µm", "um"), ("m/mn", "m/min"), ("°C", "Cel"), ("Nm", "N.m")]
)
def test_an_unknown_unit_is_refused_and_the_nearest_one_named(wrong: str, meant: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        unit(wrong)
    assert repr(wrong) in str(refusal.value)
    assert meant in str(refusal.value)


@pytest.mark.parametrize("name", shipped_lines())
def test_every_unit_of_a_shipped_line_has_a_row(name: str) -> None:
    line = load_line(name)
    units = {tag.unit for tag in line.all_tags().values()} | {row.unit for row in line.conditions}
    assert units <= set(UNITS)


def test_a_percentage_says_of_what() -> None:
    percents = [tag for tag in load_line().all_tags().values() if tag.unit == "%"]
    assert len(percents) > 10
    assert all(tag.reference for tag in percents)

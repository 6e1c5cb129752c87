import re
from collections.abc import Callable
from pathlib import Path

import pytest

from line.errors import LineModelError
from line.model import load_line

SHIPPED = Path(__file__).parents[2] / "line" / "lines" / "assb-20-agc.toml"
TAG = 'name = "PumpPressure"'
KEY = "stations.S03.tags.PumpPressure"
SHEETS = "products.ASSB-20-AGC.sheets"

NEW_TAG = (
    '  { name = "LipTemp", unit = "Cel", nominal = 25.0, normal_low = 24.0, normal_high = 26.0, sampling_ms = 1000, '
    'confidence = "D" },\n'
)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str, str], Path]:
    def edit(row: str, old: str, new: str) -> Path:
        """A copy of the shipped file in which the only text line that contains `row` has `old` replaced."""
        lines = SHIPPED.read_text(encoding="utf-8").splitlines()
        [number] = [number for number, text in enumerate(lines) if row in text]
        assert old in lines[number]
        lines[number] = lines[number].replace(old, new)
        file = tmp_path / "line.toml"
        file.write_text("\n".join(lines), encoding="utf-8")
        return file

    return edit


def test_a_new_tag_is_one_row(edited: Callable[[str, str, str], Path]) -> None:
    line = load_line(edited('name = "BeadVacuum"', "  {", NEW_TAG + "  {"))
    assert len(line.all_tags()) == 148
    assert line.tag("S03.LipTemp").half_range == 1.0
    assert line.web_position_um("S03.LipTemp") == 0


@pytest.mark.parametrize(
    ("row", "old", "new", "key", "said"),
    [
        (TAG, "nominal = 1.8", "nominal = 2.4", f"{KEY}.normal_high", ["2.1 bar", "nominal = 2.4 bar"]),
        (TAG, "nominal = 1.8", "nominal = 1.2", f"{KEY}.normal_low", ["1.5 bar", "nominal = 1.2 bar"]),
        (TAG, "alarm_high = 2.8", "alarm_high = 2.0", f"{KEY}.alarm_high", ["2 bar", "normal_high = 2.1 bar"]),
        (TAG, "alarm_low = 1.0", "alarm_low = 1.6", f"{KEY}.alarm_low", ["1.6 bar", "normal_low = 1.5 bar"]),
        (TAG, "nominal = 1.8", "nominal = nan", f"{KEY}.nominal", ["nan bar", "finite"]),
        (TAG, "nominal = 1.8", 'nominal = "high"', f"{KEY}.nominal", ["'high'", "float"]),
        (TAG, '"bar"', '"baar"', f"{KEY}.unit", ["'baar'", "did you mean bar"]),
        (TAG, "sampling_ms = 100", "sampling_ms = -100", f"{KEY}.sampling_ms", ["-100", ">= 0"]),
        (TAG, "sampling_ms = 100", "sampling_ms = 1", f"{KEY}.sampling_ms", ["1 ms", "at least 10 ms"]),
        (TAG, "nominal =", "nominall =", f"{KEY}.nominall", ["did you mean nominal"]),
        (TAG, 'unit = "bar",', "", f"{KEY}.unit", ["is missing"]),
        (TAG, '"D"', '"E"', f"{KEY}.confidence", ["'E'"]),
        ('name = "BeadVacuum"', '"BeadVacuum"', '"PumpPressure"', KEY, ["stands there twice"]),
        ('code = "S04"', "S04", "S03", "stations.S03", ["stands there twice"]),
        ('code = "S04"', "S04", "4", "stations.4.code", ["'4'", "^S[0-9]{2}$"]),
        (
            'name = "WetThickness"',
            '"wet_gauge"',
            '"wet_gage"',
            "stations.S03.tags.WetThickness.web_position",
            ["'wet_gage'", "nearest: wet_gauge"],
        ),
        ('id = "fins-1"', '"S05"', '"S5"', "cameras.fins-1.station", ["'S5'", "S05"]),
        ('id = "fins-1"', "8_000_000", "8_100_000", "cameras.fins-1.position_um", ["8100000 um", "8000000 um"]),
        ('id = "sins-1"', "corner = 1", "corner = 5", "cameras.sins-1.corner", ["is 5", "<= 4"]),
        ('id = "fins-1"', "pixel_um = 20.0", "pixel_um = -20.0", "cameras.fins-1.pixel_um", ["-20.0", "> 0"]),
        (
            'tag = "S01.SolidContent"',
            "S01.SolidContent",
            "S01.SolidsContent",
            "drivers.PIN:S01.SolidsContent.tag",
            ["nearest: S01.SolidContent"],
        ),
        ('tag = "S01.SolidContent"', '"PIN"', '"PNI"', "drivers.PNI:S01.SolidContent.defect", ["nearest: PIN"]),
        ('tag = "S01.SolidContent"', '"-"', '"*"', "drivers.PIN:S01.SolidContent.side", ["'*'"]),
        ('name = "idler"', "80.0", "-80.0", "rollers.idler.diameter_mm", ["-80.0", "> 0"]),
        ('kind = "cathode",  web', "100_000", "0", f"{SHEETS}.cathode.md_um", ["is 0", ">= 1"]),
        ('kind = "cathode",  web', 'web = "cathode"', 'web = "cathod"', f"{SHEETS}.cathode.web", ["nearest: cathode"]),
        (
            'kind = "laminate", web',
            "pitch_um = 104_000",
            "pitch_um = 90_000",
            f"{SHEETS}.laminate.pitch_um",
            ["90000 um", "md_um = 102000 um"],
        ),
        ("width_um = 340_000", "340_000", "290_000", "webs.film.coat_width_um", ["300000 um", "width_um = 290000 um"]),
        ("made_from", '"film"', '"flim"', "webs.laminate.made_from", ["nearest: film"]),
        ("cluster of 3", "count = 3, ", "", "defects.PIN.accept[2].count", ["is missing", "'cluster'"]),
        ("kill_d50_um = 45.0", "kill_d50_um = 45.0", "", "defects.PIN.kill_d50_um", ["is missing"]),
        ("rate_per_m2 = 0.6", "0.6", "-0.6", "defects.PIN.rate_per_m2", ["-0.6", ">= 0"]),
        ("overhang_warn_um", "600", "400", "products.ASSB-20-AGC.stack", ["(500, 400, 1000, 1500) um"]),
        ('timezone = "UTC"', "UTC", "Seoul", "calendar.timezone", ["'Seoul'", "Asia/Seoul"]),
        ("cells_per_week", "300", "0", "plan.cells_per_week", ["is 0", ">= 1"]),
    ],
)
def test_a_wrong_row_is_refused_by_file_key_value_and_unit(
    edited: Callable[[str, str, str], Path], row: str, old: str, new: str, key: str, said: list[str]
) -> None:
    file = edited(row, old, new)
    with pytest.raises(LineModelError) as refusal:
        load_line(file)
    message = str(refusal.value)
    assert message.startswith(f"{file}: {key}: ")
    assert (refusal.value.file, refusal.value.key) == (file, key)
    assert [words for words in said if words not in message] == []


def test_all_wrong_rows_are_named_at_once(edited: Callable[[str, str, str], Path]) -> None:
    file = edited(TAG, "nominal = 1.8", "nominal = 2.4")
    file.write_text(
        file.read_text(encoding="utf-8").replace('tag = "S03.DieTemp"', 'tag = "S03.DieTmp"'), encoding="utf-8"
    )
    with pytest.raises(LineModelError) as refusal:
        load_line(file)
    assert refusal.value.key == f"{KEY}.normal_high"
    assert "also drivers.THK:S03.DieTmp.tag" in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name = ", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"", "is missing"),
        (b"stations = 3", "allowed: `array`"),
    ],
)
def test_a_file_that_is_no_line_model_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "line.toml"
    file.write_bytes(content)
    with pytest.raises(LineModelError, match=re.escape(said)) as refusal:
        load_line(file)
    assert str(file) in str(refusal.value)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LineModelError, match=r"absent\.toml: cannot be read"):
        load_line(tmp_path / "absent.toml")

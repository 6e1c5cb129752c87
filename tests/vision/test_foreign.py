from __future__ import annotations

import os
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from line.errors import ConfigError
from line.events import Event, FilmDefect, StripInspected
from line.evidence import Evidence
from line.foreign_lists import NEVER_FOUND, foreign_lists
from line.model import LineModel, load_line
from vision.foreign import ForeignFile, ForeignInspector

MAPPING = """
maker = "acme-eye"
version = 3
folder = "lists"
encoding = "cp1252"
delimiter = ";"
decimal = ","
time_format = "%d.%m.%Y %H:%M:%S"
time_zone = "Europe/Berlin"
position_uncertainty_um = 300.0
size_uncertainty_fraction = 0.25

[axes]
md_zero_um = 500
cd_zero_um = 300_000
cd_reversed = true

[classes]
Loch = "PIN"
"Metallpartikel" = "MET"
Sonstiges = "unknown"

[detection.PIN]
a50_um = 90.0
s = 0.3
measured = true
how = "coupon of 60 laser-drilled holes, 20 um/px, acceptance test of the maker"

[detection.MET]
a50_um = 120.0
s = 0.3
measured = false
how = "data sheet"

[defects]
files = "*.csv"
format = "csv"
only = { Art = "Fehler" }
[defects.columns]
roll = "Rolle"
id = "Nr"
at = "Zeit"
kind = "Klasse"
md = { column = "Y [m]", factor = 1e6 }
cd = { column = "X [mm]", factor = 1000 }
size = "Größe [µm]"
area = { column = "Fläche [mm²]", factor = 1e6 }
score = { column = "Güte [%]", factor = 0.01 }
image = "Bild"

[stretches]
files = "*.csv"
format = "csv"
only = { Art = "Bereich" }
[stretches.columns]
roll = "Rolle"
at = "Zeit"
md_start = { column = "Y [m]", factor = 1e6 }
md_end = { column = "Bis [m]", factor = 1e6 }
"""
HEADER = "Art;Rolle;Nr;Zeit;Klasse;Y [m];Bis [m];X [mm];Größe [µm];Fläche [mm²];Güte [%];Bild"
ROWS = (
    "Bereich;FR-1;;24.11.2026 09:10:00;;0,000;25,5;;;;;",
    "Fehler;FR-1;17;24.11.2026 09:03:20;Loch;1,250000;;40,5;130;0,0133;97,5;img\\17.png",
    "Fehler;FR-1;18;24.11.2026 09:04:00;Metallpartikel;1.002,75;;200;85;;;",
)


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    (tmp_path / "lists" / "img").mkdir(parents=True)
    path = tmp_path / "acme.toml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def write(mapping: Path, *rows: str, name: str = "FR-1.csv", encoding: str = "cp1252") -> Path:
    path = mapping.parent / "lists" / name
    path.write_text("\r\n".join((HEADER, *rows)) + "\r\n", encoding=encoding)
    return path


def looked(inspector: ForeignInspector) -> list[ForeignFile]:
    """What comes once files stand still: after two looks."""
    return [*inspector.look(), *inspector.look()]


def events(files: list[ForeignFile]) -> list[Event]:
    return [event for file in files for event in file.events]


def defects(files: list[ForeignFile]) -> list[FilmDefect]:
    return [event for event in events(files) if isinstance(event, FilmDefect)]


def strips(files: list[ForeignFile]) -> list[StripInspected]:
    return [event for event in events(files) if isinstance(event, StripInspected)]


def test_a_list_becomes_defects_on_the_roll(line: LineModel, mapping: Path) -> None:
    write(mapping, *ROWS)
    inspector = ForeignInspector(line, line.camera("fins-1"), mapping)
    pin, metal = defects(looked(inspector))
    assert (pin.roll, pin.kind, pin.camera, pin.station, pin.method) == ("FR-1", "PIN", "fins-1", "S05", "foreign")
    # 1.25 m and 500 µm of their zero, less and more half of the size; CD runs towards the operator.
    assert (pin.md_start_um, pin.md_end_um) == (1_250_500 - 65, 1_250_500 + 65)
    assert (pin.cd_start_um, pin.cd_end_um) == (300_000 - 40_500 - 65, 300_000 - 40_500 + 65)
    assert (pin.size_um, pin.size_uncertainty_um, pin.position_uncertainty_um) == (130.0, 32.5, 300.0)
    assert (pin.area_um2, pin.score, pin.lane) == (13_300.0, 0.975, 2)
    # 09:03:20 in Berlin in November.
    assert pin.at_ns == 1_795_507_400_000_000_000
    assert metal.md_start_um == pytest.approx(1_002_750_000 + 500 - 42.5, abs=1)
    assert (metal.verdict, metal.severity) == ("reject", "A")
    assert (str(pin.model), pin.revision) == ("acme-eye@v3", 1)


def test_what_a_list_covers_was_looked_at(line: LineModel, mapping: Path) -> None:
    write(mapping, *ROWS)
    (strip,) = strips(looked(ForeignInspector(line, line.camera("fins-1"), mapping)))
    assert (strip.md_start_um, strip.md_end_um) == (500, 25_500_500)
    assert (strip.cd_start_um, strip.cd_end_um) == (0, 300_000)
    assert (strip.state, strip.method, strip.defects_count) == ("inspected", "foreign", 1)


def test_without_stretches_nothing_counts_as_looked_at(line: LineModel, mapping: Path) -> None:
    mapping.write_text(MAPPING.partition("[stretches]")[0], encoding="utf-8")
    write(mapping, *ROWS)
    files = looked(ForeignInspector(line, line.camera("fins-1"), mapping))
    assert len(defects(files)) == 2
    assert not strips(files)


def test_pictures_are_kept_as_evidence_and_one_outside_the_folder_is_not(
    line: LineModel, mapping: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(mapping.parent / "lists" / "img" / "17.png"), np.full((20, 30), 77, np.uint8))
    cv2.imwrite(str(tmp_path / "secret.png"), np.zeros((4, 4), np.uint8))
    evidence = Evidence(tmp_path / "evidence")
    write(mapping, *ROWS, "Fehler;FR-1;19;24.11.2026 09:05:00;Loch;2;;40;130;;;..\\..\\secret.png")
    files = looked(ForeignInspector(line, line.camera("fins-1"), mapping, evidence=evidence))
    found = {defect.md_start_um // 1_000_000: defect.image for defect in defects(files)}
    png = evidence.get(found[1])
    assert png is not None
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert picture[0, 0] == 77
    assert found[2] == ""
    assert "lies outside" in files[0].refused[0]


def test_bad_rows_are_refused_by_file_line_column_and_value_and_the_rest_goes_on(
    line: LineModel, mapping: Path
) -> None:
    path = write(
        mapping,
        "Fehler;FR-1;1;24.11.2026 09:03:20;Loch;1,25;;40,5;130;;;",
        "Fehler;FR-1;2;24.11.2026 09:03:20;Riss;1,25;;40,5;130;;;",
        "Fehler;FR-1;3;24.11.2026 09:03:20;Loch;weit;;40,5;130;;;",
        "Fehler;FR-1;4;2026-11-24;Loch;1,25;;40,5;130;;;",
        "Fehler;;5;24.11.2026 09:03:20;Loch;1,25;;40,5;130;;;",
        "Fehler;FR-1;6;24.11.2026 09:03:20;Loch;1,25;;40,5;-3;;;",
        "Fehler;FR-1;7;24.11.2026 09:03:20;Loch;1,25;;40,5;;;;",
        "Fehler;FR-1;8;24.11.2026 09:03:20;Loch;1,25;;40,5;130;;250;",
        "Fehler;FR-1;9;24.11.2026 09:03:20;Loch;inf;;40,5;130;;;",
        "Fehler;FR-1",
        "Fehler;FR-1;11;24.11.2026 09:03:20;Loch;7,5;;40,5;130;;;",
    )
    (file,) = [file for file in looked(ForeignInspector(line, line.camera("fins-1"), mapping)) if file.refused]
    assert [defect.md_start_um // 100_000 for defect in defects([file])] == [12, 75]
    says = [
        "line 3: column Klasse: 'Riss': no such class in [classes]",
        "line 4: column Y [m]: 'weit': not a number with the decimal sign ','",
        "line 5: column Zeit: '2026-11-24': not a time as %d.%m.%Y %H:%M:%S",
        "line 6: column Rolle: empty",
        "line 7: column Größe [µm]: '-3': a size is not negative",
        "line 8: no size: fill size, length, width or area",
        "line 9: column Güte [%]: '250': a score lies from 0 to 1",
        "line 10: column Y [m]: 'inf': out of all measure",
        "line 11: no column 'Klasse'",
    ]
    assert len(file.refused) == len(says)
    for refused, expected in zip(file.refused, says, strict=True):
        assert f"{path}: {expected}" in refused


def test_a_list_that_is_written_again_says_what_is_new_once(line: LineModel, mapping: Path) -> None:
    write(mapping, *ROWS[:2])
    inspector = ForeignInspector(line, line.camera("fins-1"), mapping)
    first = events(looked(inspector))
    assert events(looked(inspector)) == []
    path = write(mapping, *ROWS)
    os.utime(path, ns=(1, 1))
    again = events(looked(inspector))
    assert [type(event) for event in again] == [FilmDefect]
    assert not {event.id for event in first} & {event.id for event in again}


def test_a_file_that_is_still_being_written_waits(line: LineModel, mapping: Path) -> None:
    path = write(mapping, *ROWS[:2])
    inspector = ForeignInspector(line, line.camera("fins-1"), mapping)
    assert not events(list(inspector.look()))
    with path.open("a", encoding="cp1252") as file:
        file.write(ROWS[2] + "\r\n")
    assert not events(list(inspector.look()))
    assert len(defects(list(inspector.look()))) == 2


def test_a_row_that_changed_is_the_same_defect_with_a_higher_revision(line: LineModel, mapping: Path) -> None:
    write(mapping, *ROWS)
    inspector = ForeignInspector(line, line.camera("fins-1"), mapping)
    before = defects(looked(inspector))[0]
    os.utime(write(mapping, ROWS[0], ROWS[1].replace(";130;", ";155;"), ROWS[2]), ns=(2, 2))
    (after,) = defects(looked(inspector))
    assert after.defect == before.defect
    assert (after.revision, after.size_um) == (2, 155.0)


def test_what_was_said_before_a_restart_is_not_said_again(line: LineModel, mapping: Path) -> None:
    path = write(mapping, *ROWS)
    known = events(looked(ForeignInspector(line, line.camera("fins-1"), mapping)))
    os.utime(path, ns=(3, 3))
    anew = ForeignInspector(line, line.camera("fins-1"), mapping, known=known)  # type: ignore[arg-type]
    assert events(looked(anew)) == []
    fresh = events(looked(ForeignInspector(line, line.camera("fins-1"), mapping)))
    assert [event.id for event in fresh] == [event.id for event in known]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_byte_order_mark_counts_more_than_the_mapping(line: LineModel, mapping: Path, encoding: str) -> None:
    write(mapping, *ROWS, encoding=encoding)
    assert len(defects(looked(ForeignInspector(line, line.camera("fins-1"), mapping)))) == 2


def test_a_file_in_another_encoding_is_refused_by_name(line: LineModel, mapping: Path) -> None:
    mapping.write_text(MAPPING.replace('"cp1252"', '"utf-8"'), encoding="utf-8")
    path = write(mapping, *ROWS)
    files = looked(ForeignInspector(line, line.camera("fins-1"), mapping))
    assert not events(files)
    assert all(f"{path}: is not utf-8" in file.refused[0] for file in files)


def test_a_file_that_ends_within_a_quoted_cell_gives_the_rows_before(line: LineModel, mapping: Path) -> None:
    write(mapping, *ROWS, 'Fehler;FR-1;20;"24.11')
    files = looked(ForeignInspector(line, line.camera("fins-1"), mapping))
    assert len(defects(files)) == 2
    assert "line 5: not CSV" in files[0].refused[0]


XML_MAPPING = """
maker = "acme-eye"
version = 1
folder = "lists"
position_uncertainty_um = 100.0
[axes]
md_from = "end"
[classes]
hole = "PIN"
[detection.PIN]
a50_um = 90.0
s = 0.3
measured = true
how = "coupons"
[defects]
files = "**/*.xml"
format = "xml"
rows = "Report/Roll/Defects/Defect"
name_pattern = '(?:.*/)?(?P<roll>[^/]+)\\.xml'
[defects.columns]
roll = "name.roll"
kind = "@class"
md = { column = "Pos/@md", factor = 1000 }
cd = { column = "Pos/@cd", factor = 1000 }
width = { column = "Size/Width", factor = 1000 }
length = { column = "Size/Length", factor = 1000 }
roll_length = { column = "Length", factor = 1e6 }
[stretches]
files = "**/*.xml"
format = "xml"
rows = "Report/Roll/Inspected"
name_pattern = '(?:.*/)?(?P<roll>[^/]+)\\.xml'
[stretches.columns]
roll = "name.roll"
md_start = { column = "@from", factor = 1e6 }
md_end = { column = "@to", factor = 1e6 }
cd_start = { column = "@left", factor = 1000 }
cd_end = { column = "@right", factor = 1000 }
roll_length = { column = "@length", factor = 1e6 }
"""
XML = """<?xml version="1.0" encoding="ISO-8859-1"?>
<Report xmlns="urn:acme"><Roll>
 <Inspected from="0" to="10" left="8" right="292" length="100"/>
 <Defects>
  <Defect class="hole"><Pos md="2500" cd="40"/>
   <Size><Width>0.1</Width><Length>0.4</Length></Size><Length>100</Length></Defect>
  <Defect class="h\xf6le"><Pos md="2500" cd="40"/><Length>100</Length></Defect>
 </Defects>
</Roll></Report>"""


def test_xml_is_read_by_the_path_of_its_rows(line: LineModel, mapping: Path) -> None:
    mapping.write_text(XML_MAPPING, encoding="utf-8")
    (mapping.parent / "lists" / "FR-8.xml").write_bytes(XML.encode("latin-1"))
    files = looked(ForeignInspector(line, line.camera("fins-1"), mapping))
    (pin,), (strip,) = defects(files), strips(files)
    # Counted from the roll's end: 100 m less 2.5 m; the length of 0.4 mm lies along the web.
    assert (pin.roll, pin.md_start_um, pin.md_end_um) == ("FR-8", 97_499_800, 97_500_200)
    assert (pin.length_um, pin.width_um, pin.size_um) == (400.0, 100.0, 400.0)
    assert (strip.md_start_um, strip.md_end_um, strip.cd_start_um) == (90_000_000, 100_000_000, 8_000)
    assert "FR-8.xml: line 7: column @class: 'höle'" in next(file.refused[0] for file in files if file.refused)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('<!DOCTYPE r [<!ENTITY a "&b;&b;"><!ENTITY b "x">]><Report>&a;</Report>', "document type"),
        ('<!DOCTYPE r SYSTEM "http://x/y.dtd"><Report/>', "document type"),
        ("<Report><Roll>", "line 1: not XML"),
        ("nothing", "line 1: not XML"),
    ],
)
def test_xml_with_entities_or_cut_off_is_refused(line: LineModel, mapping: Path, text: str, says: str) -> None:
    mapping.write_text(XML_MAPPING, encoding="utf-8")
    (mapping.parent / "lists" / "FR-8.xml").write_text(text)
    files = looked(ForeignInspector(line, line.camera("fins-1"), mapping))
    assert not events(files)
    assert says in files[0].refused[0]


def test_a_folder_of_pictures_is_a_list_by_its_names(line: LineModel, mapping: Path, tmp_path: Path) -> None:
    mapping.write_text(
        """
maker = "acme-eye"
version = 1
folder = "lists"
position_uncertainty_um = 1000.0
[classes]
hole = "PIN"
[detection.PIN]
a50_um = 90.0
s = 0.3
measured = true
how = "coupons"
[defects]
files = "img/*.png"
format = "names"
name_pattern = 'img/(?P<roll>[^_]+)_(?P<md>\\d+)mm_(?P<cd>\\d+)mm_(?P<kind>\\w+)_(?P<size>\\d+)um\\.png'
[defects.columns]
roll = "name.roll"
kind = "name.kind"
md = { column = "name.md", factor = 1000 }
cd = { column = "name.cd", factor = 1000 }
size = "name.size"
image = "file"
""",
        encoding="utf-8",
    )
    cv2.imwrite(str(mapping.parent / "lists" / "img" / "FR-3_1250mm_40mm_hole_120um.png"), np.full((9, 9), 5, np.uint8))
    cv2.imwrite(str(mapping.parent / "lists" / "img" / "thumbnail.png"), np.zeros((9, 9), np.uint8))
    evidence = Evidence(tmp_path / "evidence")
    files = looked(ForeignInspector(line, line.camera("fins-1"), mapping, evidence=evidence))
    (pin,) = defects(files)
    assert (pin.roll, pin.md_start_um, pin.size_um) == ("FR-3", 1_250_000 - 60, 120.0)
    assert evidence.get(pin.image) is not None
    assert "does not follow name_pattern" in next(file.refused[0] for file in files if file.refused)


def test_its_measured_curves_are_its_own_and_what_nobody_measured_is_never_found(
    line: LineModel, mapping: Path
) -> None:
    lists, model = foreign_lists(mapping, tuple(row.code for row in line.defects))
    curves = lists.curves(("PIN", "STR", "MET"))
    assert curves["PIN"].a50_um == 90.0
    assert curves["PIN"].measured
    assert "laser-drilled" in curves["PIN"].how
    assert curves["STR"] == NEVER_FOUND
    # A data sheet is a claim.
    assert curves["MET"] == NEVER_FOUND
    mapping.write_text(MAPPING.replace("a50_um = 90.0", "a50_um = 60.0"), encoding="utf-8")
    assert foreign_lists(mapping, tuple(row.code for row in line.defects))[1].digest != model.digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('Loch = "PIN"', 'Loch = "HOL"'), "classes.Loch: is 'HOL'; use a class of the line model (PIN"),
        (("[detection.MET]", "[detection.XYZ]"), "detection.XYZ: is no class of the line model"),
        (('Sonstiges = "unknown"', 'Sonstiges = "STR"'), "detection.STR: is missing: say a50_um"),
        (("measured = true", ""), "detection.measured: is missing"),
        (('files = "*.csv"', 'files = "/var/lists/*.csv"'), "defects.files: is '/var/lists/*.csv'"),
        (('files = "*.csv"', 'files = "../*.csv"'), "defects.files: is '../*.csv'"),
        (('decimal = ","', 'decimal = ";"'), "decimal: is ';'"),
        (('format = "csv"\nonly = { Art = "Fehler" }', 'format = "xml"'), "defects.rows: is missing"),
        (("md_zero_um = 500", 'md_from = "end"'), "defects.columns.roll_length: is missing"),
        (('roll = "Rolle"\nid', 'rol = "Rolle"\nid'), "rol: is not a field of this row"),
    ],
)
def test_a_wrong_mapping_is_refused_by_field(
    line: LineModel, mapping: Path, change: tuple[str, str], says: str
) -> None:
    mapping.write_text(MAPPING.replace(*change, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        ForeignInspector(line, line.camera("fins-1"), mapping)
    assert says in str(raised.value)
    assert str(mapping) in str(raised.value)


@pytest.mark.parametrize("text", ["1.5", "1.2345", "1.234.5", "1_0,5"])
def test_a_point_where_the_mapping_says_comma_is_refused_and_not_ten_times_as_far(
    line: LineModel, mapping: Path, text: str
) -> None:
    write(mapping, f"Fehler;FR-1;1;24.11.2026 09:03:20;Loch;{text};;40,5;130;;;")
    (file,) = [file for file in looked(ForeignInspector(line, line.camera("fins-1"), mapping)) if file.refused]
    assert "not a number with the decimal sign ','" in file.refused[0]


def test_a_number_that_stands_twice_is_refused_and_makes_no_revisions(line: LineModel, mapping: Path) -> None:
    rows = [f"Fehler;FR-1;7;24.11.2026 09:03:20;Loch;{metres};;40,5;1.200;;;" for metres in ("1,5", "2,5")]
    path = write(mapping, *rows)
    inspector = ForeignInspector(line, line.camera("fins-1"), mapping)
    (defect,) = defects(looked(inspector))
    assert (defect.md_start_um // 1_000_000, defect.size_um) == (1, 1200.0)
    path.write_text(path.read_text(encoding="cp1252") + "\n", encoding="cp1252")
    files = looked(inspector)
    assert not defects(files)
    assert any("line 3: number '7' stands in line 2 already" in row for file in files for row in file.refused)


def test_xml_without_end_in_depth_is_refused_at_once(line: LineModel, mapping: Path) -> None:
    mapping.write_text(XML_MAPPING, encoding="utf-8")
    (mapping.parent / "lists" / "FR-8.xml").write_text("<Report><Roll><Defects><Defect>" + "<D>" * 200_000)
    (file, *_) = looked(ForeignInspector(line, line.camera("fins-1"), mapping))
    assert "more than 100 elements in one another" in file.refused[0]


def test_events_follow_the_wire(line: LineModel, mapping: Path) -> None:
    write(mapping, *ROWS)
    for event in events(looked(ForeignInspector(line, line.camera("fins-1"), mapping))):
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event


@pytest.mark.parametrize("zone", ["Europe/Berlni", "../etc/passwd", "Europe", ""])
def test_an_unknown_time_zone_is_refused_by_file_and_field(line: LineModel, mapping: Path, zone: str) -> None:
    mapping.write_text(MAPPING.replace("Europe/Berlin", zone), encoding="utf-8")
    with pytest.raises(ConfigError, match=f"time_zone: is '{zone}', which is not known here; write an IANA name"):
        ForeignInspector(line, line.camera("fins-1"), mapping)

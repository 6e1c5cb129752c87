from __future__ import annotations

from pathlib import Path

import pytest

from line.errors import ConfigError
from line.model import LineModel
from plc.tag_map import tag_map_by_name, tag_map_from


def test_a_line_that_follows_the_convention_needs_no_file(line: LineModel) -> None:
    found = tag_map_by_name(line)
    assert len(found.tags) == len(line.all_tags())
    assert {row.tag: row.node for row in found.tags}["S03.WebSpeed"] == "s=lamella/pilot/assb/line-1/S03/Tags/WebSpeed"
    assert {row.station for row in found.parts} == {station.code for station in line.stations}


def test_a_foreign_plc_is_a_file(line: LineModel, tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text(
        'namespace = "urn:maker"\n[[tags]]\ntag = "S03.WebSpeed"\nnode = "s=Coater.Speed"\nscale = 60.0\n'
        '[[tags]]\ntag = "S03.DieTemp"\nnode = "nsu=urn:other;i=77"\n'
    )
    found = tag_map_from(file, line)
    assert [(row.tag, row.node, row.scale) for row in found.tags] == [
        ("S03.WebSpeed", "s=Coater.Speed", 60.0),
        ("S03.DieTemp", "nsu=urn:other;i=77", 1.0),
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('namespace = "u"\n[[tags]]\ntag = "S03.WebSped"\nnode = "s=a"\n', "S03.WebSped"),
        (
            'namespace = "u"\n[[tags]]\ntag = "S03.WebSpeed"\nnode = "Coater.Speed"\n',
            r"tags\[0\].node|tags\[...\].node",
        ),
        ('namespace = "u"\n[[tags]]\ntag = "S03.WebSpeed"\nnode = "s=a"\nscale = 0.0\n', "scale 0"),
        ('namespace = "u"\n[[tags]]\ntag = "S03.WebSpeed"\nnode = "s=a"\nfactor = 2.0\n', "factor"),
        ('namespace = "u"\ntags = []\n[[parts]]\nstation = "S99"\ncounter = "s=a"\nring = "s=b"\n', "S99"),
        ("namespace = ", "map.toml"),
    ],
)
def test_a_wrong_row_is_refused_naming_file_and_value(line: LineModel, tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "map.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=part) as caught:
        tag_map_from(file, line)
    assert "map.toml" in str(caught.value)
    with pytest.raises(ConfigError, match="absent"):
        tag_map_from(tmp_path / "absent.toml", line)

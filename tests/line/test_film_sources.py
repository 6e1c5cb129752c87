from __future__ import annotations

from pathlib import Path

import pytest

from line.config import described, site_from
from line.errors import ConfigError
from line.film_sources import SourceSetting, camera_file, require_cameras, source_of, source_settings, with_full_paths
from line.model import load_line


def test_parts_of_the_setting_are_cameras_kinds_and_places() -> None:
    found = source_settings("fins-1=genicam:4711, fins-2 = folder:/data/a, b/c; fins-3=spool,fins-4=foreign:m.toml")
    assert found == (
        SourceSetting(camera="fins-1", kind="genicam", place="4711"),
        SourceSetting(camera="fins-2", kind="folder", place="/data/a, b/c"),
        SourceSetting(camera="fins-3", kind="spool"),
        SourceSetting(camera="fins-4", kind="foreign", place="m.toml"),
    )
    assert source_settings("") == ()
    assert source_settings(", ".join(map(str, found))) == found


def test_a_camera_that_is_not_named_has_its_spool() -> None:
    camera = load_line().camera("fins-1")
    assert source_of("", camera).kind == "spool"
    assert source_of("fins-1=folder:x", camera) == SourceSetting(camera="fins-1", kind="folder", place="x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("genicam:4711", "vision.sources: value 'genicam:4711' is not CAMERA=KIND:PLACE; write for example fins-1="),
        ("fins-1=usb:3", "no kind of source 'usb'; use one of spool, genicam, folder, foreign"),
        ("fins-1=folder", "folder needs a place; write fins-1=folder:…"),
        ("fins-1=spool:x", "spool stands alone"),
        ("fins-1=folder:a, fins-1=folder:b", "camera fins-1 has a source already, fins-1=folder:a"),
    ],
)
def test_a_wrong_source_is_refused_with_the_next_step(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        source_settings(text)
    assert says in str(raised.value)
    assert raised.value.key == "vision.sources"


def test_a_camera_that_the_line_does_not_have_is_refused_by_name() -> None:
    line = load_line()
    require_cameras("fins-1=genicam:1", line)
    with pytest.raises(ConfigError, match=r"has no film camera 'sins-1'; it has fins-1"):
        require_cameras("sins-1=genicam:1", line)


def test_paths_become_full_ones_and_serial_numbers_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    text = "fins-1=genicam:4711, fins-2=genicam:cam.toml, fins-3=folder:rec/*/, fins-4=foreign:/a/m.toml, fins-5=spool"
    places = [setting.place for setting in source_settings(with_full_paths(text))]
    assert places == ["4711", f"{tmp_path}/cam.toml", f"{tmp_path}/rec/*", "/a/m.toml", ""]


def test_a_serial_number_stands_for_a_camera_with_defaults() -> None:
    file = camera_file("4711")
    assert (file.camera, file.features, file.encoder) == ("4711", (), "")


def test_a_camera_file_says_what_the_camera_is_told(tmp_path: Path) -> None:
    path = tmp_path / "fins-1.toml"
    path.write_text(
        'camera = "4711"\n'
        'features = ["TriggerSelector=LineStart", "TriggerMode=On", "TriggerSource=Encoder0"]\n'
        'encoder = "ChunkEncoderValue"\num_per_count = 5.0\nchannel_order = ["BF", "DF", "TX"]\n'
    )
    file = camera_file(str(path))
    assert file.features == ("TriggerSelector=LineStart", "TriggerMode=On", "TriggerSource=Encoder0")
    assert file.um_per_count == 5.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('camera = "1"\nencodr = "x"', "encodr: is not a field of this row; did you mean encoder?"),
        ('camera = "1"\num_per_count = 0', "um_per_count: is 0"),
        ('camera = "1"\nfeatures = ["TriggerMode"]', "features"),
        ('encoder = "x"', "camera: is missing"),
    ],
)
def test_a_wrong_camera_file_is_refused_by_field(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "camera.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        camera_file(str(path))
    assert says in str(raised.value)
    assert str(path) in str(raised.value)


def test_the_settings_are_described_and_read_from_the_environment() -> None:
    site = site_from(environment={"LAMELLA_VISION__SOURCES": "fins-1=genicam:4711"})
    assert site.vision.sources == "fins-1=genicam:4711"
    default, meaning = described()["vision.sources"]
    assert default == ""
    assert all(kind in meaning for kind in ("genicam:", "folder:", "foreign:", "spool"))
    assert described()["vision.replay_speed"][0] == 1.0

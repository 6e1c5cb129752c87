from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from line.config import Site, described, site_from, written
from line.errors import ConfigError


def test_the_command_line_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "lamella.toml"
    file.write_text("[plant]\nspeed = 2.0\nseed = 5\n[console]\nport = 9000\n")
    site = site_from(
        file, {"LAMELLA_PLANT__SPEED": "3", "LAMELLA_PLANT__SEED": "6", "HOME": "/x"}, {"plant.speed": "8"}
    )
    assert (site.plant.speed, site.plant.seed, site.console.port) == (8.0, 6, 9000)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[plant]\nsped = 2.0\n", ["plant.sped", "line 2", "plant.speed"]),
        ("[plnt]\nspeed = 2.0\n", ["plnt.speed"]),
        ("[plant]\nspeed = 9999.0\n", ["plant.speed", "line 2", "9999", "600"]),
        ("[plant]\nspeed = 'fast'\n", ["plant.speed", "'fast'", "float"]),
        ("[broker]\nkind = 'cloud'\n", ["broker.kind", "cloud"]),
        ("[plant\n", ["not TOML"]),
    ],
)
def test_a_wrong_setting_is_refused_naming_file_key_and_value(tmp_path: Path, text: str, parts: list[str]) -> None:
    file = tmp_path / "lamella.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        site_from(file)
    for part in [str(file), *parts]:
        assert part in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        site_from(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("key", ["plant.sped", "speed", "plant.speed.x"])
def test_an_unknown_override_names_where_it_came_from(key: str) -> None:
    with pytest.raises(ConfigError, match=r"command line.*config show"):
        site_from(None, {}, {key: "1"})


def test_settings_survive_being_written_and_read(tmp_path: Path) -> None:
    site = msgspec.structs.replace(Site(), box="edge-7")
    file = tmp_path / "site.toml"
    file.write_text(written(site))
    assert site_from(file) == site


def test_every_setting_with_a_meaning_of_its_own_says_it() -> None:
    silent = [key for key, (_, meaning) in described().items() if not meaning]
    assert silent == ["schema_version", "twin.influx_org", "twin.influx_bucket"]

"""The server stack says what the program understands. No docker engine is needed, and none is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lamella.roles import ROLES
from line.config import site_from

COMPOSE = Path(__file__).parents[1] / "compose"


def stack() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
    return found


def test_the_settings_of_the_stack_are_settings_we_have() -> None:
    site = site_from(COMPOSE / "lamella.toml")
    assert site.broker.kind == "external"
    assert site.broker.host in stack()["services"]
    assert site.twin.historian == "influxdb"


def test_every_role_but_the_embedded_broker_is_a_service_of_the_stack() -> None:
    services = stack()["services"]
    commands = {tuple(row.get("command", ())) for row in services.values()}
    assert {(role,) for role in ROLES if role not in {"broker", "replay"}} <= commands


def test_every_secret_is_a_file_and_none_stands_in_the_stack() -> None:
    found = stack()
    assert all(set(row) == {"file"} for row in found["secrets"].values())
    for service in found["services"].values():
        for name, value in service.get("environment", {}).items():
            assert not name.endswith(("TOKEN", "PASSWORD")), f"{name}={value}"


def test_every_file_that_the_stack_mounts_is_here() -> None:
    for service in stack()["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (COMPOSE / source).exists(), source

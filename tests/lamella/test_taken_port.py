"""A port that somebody else has: said once, by its setting, with exit code 7, and nothing is left running."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lamella.cli import main
from lamella.exit_codes import CONFLICT
from lamella.launch import Child, _supervise
from line.config import ConsoleSettings, Site, written
from line.errors import ConflictError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


@pytest.mark.parametrize("key", ["console.port", "broker.port"])
def test_a_taken_port_ends_the_run_at_once_and_names_the_setting(
    taken: int, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--state", str(tmp_path / "state"), "--set", f"{key}={taken}"]) == CONFLICT
    said = capsys.readouterr().err
    assert said.count(f"127.0.0.1:{taken}") == 1
    assert said.startswith(f"lamella: {key}: 127.0.0.1:{taken} is in use by another program; stop it, or set {key} to")
    assert not (tmp_path / "state" / "logs").exists(), "no role was started"


def test_a_role_run_alone_says_the_same(taken: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lamella", "run", "--role", "console", "--state", str(tmp_path)]
    ports = ["--set", "broker.port=1883", "--port", str(taken)]
    done = subprocess.run([*command, *ports], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == CONFLICT
    assert f"console.port: 127.0.0.1:{taken} is in use" in done.stderr


async def test_a_port_that_is_taken_between_look_and_start_ends_the_run_too(
    taken: int, site: Site, tmp_path: Path
) -> None:
    settings = tmp_path / "site.toml"
    settings.write_text(written(msgspec.structs.replace(site, console=ConsoleSettings(port=taken))), encoding="utf-8")
    async with asyncio.timeout(20):
        with pytest.raises(ConflictError, match=f"console has met another .* console.port: 127.0.0.1:{taken} is in"):
            await _supervise(Child("console"), settings, site.state_dir)

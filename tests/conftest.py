"""Real servers and the rules every test keeps."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from iotcore import Broker

from lamella.broker import broker_config
from line.config import BrokerSettings, LineSettings, Site

REQUIRE_SERVERS = os.environ.get("LAMELLA_REQUIRE_SERVERS") == "1"
"""Set in CI: a real server that is absent is a failure there, not a skip."""


def absent(what: str, how: str) -> None:
    """Skip for want of a server, or fail where servers are required."""
    if REQUIRE_SERVERS:
        pytest.fail(f"{what} is absent: {how}")
    pytest.skip(f"{what} is absent: {how}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port} after {seconds} s")


@pytest.fixture(autouse=True)
async def no_task_left_behind() -> AsyncIterator[None]:
    """A test that leaves a task running fails."""
    yield
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left behind: {sorted(task.get_name() for task in left)}"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with its state in a folder of its own and no broker."""
    return Site(
        box="test", line=LineSettings(state_dir=str(tmp_path / "state")), broker=BrokerSettings(port=free_port())
    )


@pytest.fixture
def broker(site: Site) -> Iterator[BrokerSettings]:
    """The embedded broker, running at the site's address."""
    with Broker(config_path=str(broker_config(site))):
        wait_for_port(site.broker.port)
        yield site.broker


@pytest.fixture
def mosquitto(site: Site, tmp_path: Path) -> Iterator[BrokerSettings]:
    """A real mosquitto at the site's address."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        absent("mosquitto", "install Debian's package mosquitto")
        raise AssertionError
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {site.broker.port} 127.0.0.1\nallow_anonymous true\n")
    with (tmp_path / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(settings)], stdout=log, stderr=log)
        try:
            wait_for_port(site.broker.port)
            yield msgspec.structs.replace(site.broker, kind="external")
        finally:
            process.terminate()
            process.wait(5)

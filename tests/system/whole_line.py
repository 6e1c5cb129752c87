"""The whole line as its user has it: one command, its own processes, a broker, an address."""

from __future__ import annotations

import asyncio
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from playwright.async_api import Page, async_playwright

from lamella.running import running_site
from line import events
from line.bus import connect
from line.config import LineSettings, Site
from line.events import ServiceState
from line.model import load_line
from line.topics import topics_of
from tests.conftest import absent, free_port, wait_for_port

ROOT = Path(__file__).parents[2]
OPENS_AT = "2026-11-24T08:00Z"
"""A Tuesday, two hours into the shift: whatever day the tests run, no weekend lies between film and cell."""
START_S = 240.0
"""Idle machines take a tenth of it; one that others use as well may take long."""
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking")

_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class WholeLine:
    """A line that runs."""

    process: subprocess.Popen[bytes]
    state_dir: Path
    said: Path
    """What the launcher prints."""
    url: str = ""
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=10.0))

    def get(self, path: str, **query: object) -> Any:
        """An answer of the console as JSON; None while it has none to give."""
        given = {name: str(value) for name, value in query.items()}
        try:
            answer = self._client.get(f"{self.url}{path}", params=given)
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == httpx.codes.OK else None

    def order(self, what: str, **fields: object) -> None:
        """Give the plant an order over the console, again until it is obeyed: a busy plant may miss the deadline."""

        def obeyed() -> bool:
            try:
                answer = self._client.post(f"{self.url}/api/v1/plant/{what}", json=fields)
            except httpx.TransportError:
                return False
            return answer.status_code == httpx.codes.OK and bool(answer.json()["ok"])

        until(obeyed, 60.0, f"the plant obeys {what} {fields}")

    def processes(self) -> dict[str, int]:
        """Process id of every role that runs."""
        return {role: pid for pid, role in processes_of(self.state_dir).items()}

    async def urls(self) -> dict[str, str]:
        """Where each role serves its health and metrics, as it says itself on the bus."""
        site = running_site(Site(line=LineSettings(state_dir=str(self.state_dir))))
        topics = topics_of(load_line(site.line.model), site.broker.topic_root)
        found: dict[str, str] = {}
        async with connect(site.broker, f"test-{os.getpid()}", lasting=False) as bus:
            bus.subscribe(topics.every(ServiceState))
            with suppress(TimeoutError):
                async with asyncio.timeout(20):
                    while not {"plc", "twin", "vision"} <= found.keys():
                        for message in await bus.heard():
                            bus.acknowledge(message)
                            state = events.decoded(message.payload)
                            if isinstance(state, ServiceState) and state.state == "online":
                                found[state.role] = state.url
        return found

    def metric(self, url: str, name: str) -> float:
        """A value of a role's `/metrics`; NaN while there is none."""
        try:
            text = self._client.get(f"{url}/metrics").text
        except httpx.TransportError:
            return math.nan
        found = re.search(rf"^lamella_{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
        return float(found.group(1)) if found else math.nan

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def report(self) -> str:
        """The end of everything that was said, for whoever looks for the reason."""
        logs = [self.said, *sorted((self.state_dir / "logs").glob("*.log"))]
        texts = [
            f"{path.name}: {line}" for path in logs if path.exists() for line in path.read_text().splitlines()[-8:]
        ]
        return "\n".join(text[:400] for text in texts)


def until(condition: Callable[[], _T | None], seconds: float, what: str, *, every_s: float = 0.2) -> _T:
    """What a condition gives once it gives something true.

    Raises:
        AssertionError: it does not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(every_s)


@contextmanager
def line_running(
    state_dir: Path, *flags: str, command: tuple[str, ...] = ("run",), environment: Mapping[str, str] | None = None
) -> Iterator[WholeLine]:
    """A line from the moment it says its address until it has ended; whatever is left of it then is killed.

    Args:
        flags: before the command, such as `--set plant.speed=4`.
        command: the verb with its own flags.
        environment: on top of ours.
    """
    said = state_dir.parent / f"{state_dir.name}.said"
    arguments = [sys.executable, "-m", "lamella", "--state", str(state_dir), *flags, *command]
    with said.open("wb") as file:
        process = subprocess.Popen(
            arguments, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    line = WholeLine(process=process, state_dir=state_dir, said=said)
    try:
        line.url = until(lambda: _address(line), START_S, f"the line says its address\n{line.report()}")
        yield line
    finally:
        line.close()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in processes_of(state_dir):
            os.kill(pid, signal.SIGKILL)


def _address(line: WholeLine) -> str:
    if line.process.poll() is not None:
        raise AssertionError(f"the line ended with status {line.process.returncode}\n{line.report()}")
    found = re.search(r"Open (http://\S+)", line.said.read_text())
    return found.group(1) if found else ""


def processes_of(state_dir: Path) -> dict[int, str]:
    """Process ids of the roles that work on a state directory, each with its role."""
    settings = str(state_dir / "run" / "site.toml")
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if settings in words and "--role" in words:
            found[int(folder.name)] = words[words.index("--role") + 1]
    return found


@contextmanager
def mosquitto_running(folder: Path) -> Iterator[tuple[str, ...]]:
    """A real mosquitto; yields the flags that make a line use it."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        absent("mosquitto", "install Debian's package mosquitto")
        raise AssertionError
    port = free_port()
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([program, "-c", str(settings)], stdout=log, stderr=log)
        try:
            wait_for_port(port)
            yield ("--set", "broker.kind=external", "--set", f"broker.port={port}")
        finally:
            process.terminate()
            process.wait(5)


@asynccontextmanager
async def chromium_page() -> AsyncIterator[Page]:
    """An empty page in a real Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        absent("chromium", "install Debian's package chromium")
        raise AssertionError
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            context = await browser.new_context(viewport={"width": 1366, "height": 768}, color_scheme="light")
            page = await context.new_page()
            page.set_default_timeout(60_000)
            yield page
        finally:
            await browser.close()

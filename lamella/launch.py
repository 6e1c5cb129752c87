"""`lamella run`: the whole line in one command, one process a role, supervised.

A role that dies is started again with growing delay; the line goes on without it meanwhile. Ctrl-C or SIGTERM ends
all roles, the broker last, within three seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from lamella.claims import claimed_folder, require_free_port
from lamella.exit_codes import CONFLICT
from lamella.roles import Role, require_broker_port
from lamella.starting import Board
from line import events
from line.bus import Bus, connect
from line.config import LineSettings, Site, VisionSettings, written
from line.errors import ConfigError, ConflictError, MessageError
from line.events import ServiceState
from line.film_models import film_models, with_folders
from line.film_sources import with_full_paths
from line.model import load_line
from line.ports import free_port
from line.topics import topics_of

log = logging.getLogger(__name__)

_STOP_S = 1.6
"""Roles get this long to end by themselves; then they are killed, so that Ctrl-C is done within 3 s."""
_LOG_BYTES = 20_000_000
"""A role's log that is larger is set aside when the role starts; the one before it goes."""
_RESTART_FIRST_S = 1.0
_RESTART_MOST_S = 30.0


@dataclass(slots=True)
class Child:
    """A role's process and what we know of it."""

    role: Role
    process: asyncio.subprocess.Process | None = None
    restarts_count: int = 0
    urls: list[str] = field(default_factory=list)


def run_line(site: Site, roles: Sequence[Role], *, quiet: bool = False) -> int:
    """Run roles until Ctrl-C or SIGTERM; returns the exit status.

    Raises:
        ConflictError: the state directory or a port is taken.
        ConfigError: the film model is not there, a source of frames is wrong, or an external broker has no port.
    """
    with claimed_folder(site.state_dir):
        return asyncio.run(_until_signal(_run(site, roles, Board(quiet=quiet))))


async def _run(site: Site, roles: Sequence[Role], board: Board) -> None:
    started = time.monotonic()
    if "plant" in roles and site.plant.scenario:
        _require_scenario(site)
    if "console" in roles:
        require_free_port(site.console.host, site.console.port, "console.port")
    if "broker" in roles:
        require_free_port(site.broker.host, site.broker.port, "broker.port")
    else:
        require_broker_port(site)
    settled = _settled(site)
    if settled.vision.sources:
        _require_sources(settled)
    if "vision" in roles and not _usual_models(site):
        _require_models(settled)
    settings = site.state_dir / "run" / "site.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(written(settled), encoding="utf-8")
    for leftover in (site.state_dir / "plant" / "endpoint", site.state_dir / "console" / "url"):
        leftover.unlink(missing_ok=True)
    children = [Child(role) for role in roles]
    async with _stopping(children), asyncio.TaskGroup() as group:
        for child in children:
            group.create_task(_supervise(child, settings, site.state_dir))
            if child.role == "broker":
                await _listening(settled.broker.host, settled.broker.port)
        async with connect(settled.broker, f"launcher-{site.box}", lasting=False) as bus:
            await _watch_start(settled, children, bus, board, started)
            await asyncio.Event().wait()


async def _watch_start(site: Site, children: Sequence[Child], bus: Bus, board: Board, started: float) -> None:
    """Show how far each role is until all are ready, then the address."""
    bus.subscribe(topics_of(load_line(site.line.model), site.broker.topic_root).every(ServiceState))
    urls: dict[str, str] = {}
    listening = asyncio.create_task(_collect_urls(bus, urls))
    try:
        with board.shown():
            while True:
                ready = True
                for child in children:
                    if child.role == "broker":
                        board.say("broker", f"listening on {site.broker.host}:{site.broker.port}", done=True)
                        continue
                    reasons = await asyncio.to_thread(_reasons, urls.get(child.role, ""))
                    alive = f"restarted {child.restarts_count} times" if child.restarts_count else ""
                    board.say(child.role, ", ".join(reasons) or alive or "ready", done=not reasons)
                    ready = ready and not reasons
                if ready:
                    break
                await asyncio.sleep(0.25)
    finally:
        listening.cancel()
    address = site.state_dir / "console" / "url"
    if address.exists():
        board.address(address.read_text().strip(), time.monotonic() - started)


async def _collect_urls(bus: Bus, urls: dict[str, str]) -> None:
    while True:
        for message in await bus.heard():
            bus.acknowledge(message)
            with contextlib.suppress(MessageError):
                event = events.decoded(message.payload)
                if isinstance(event, ServiceState):
                    urls[event.role] = event.url if event.state == "online" else ""


def _reasons(url: str) -> list[str]:
    """Why a role is not ready, empty when it is."""
    if not url:
        return ["starting"]
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except OSError:
        return ["starting"]
    return [str(reason) for reason in json.loads(body)["reasons"]]


async def _supervise(child: Child, settings: Path, state_dir: Path) -> None:
    delay_s = _RESTART_FIRST_S
    while True:
        began = time.monotonic()
        child.process = await _start(child.role, settings, state_dir)
        status = await child.process.wait()
        if time.monotonic() - began > 2 * _RESTART_MOST_S:
            delay_s = _RESTART_FIRST_S
        if status == CONFLICT and not child.restarts_count:
            # Somebody was quicker than we; to start it again for ever would not end that.
            raise ConflictError(
                f"{child.role} has met another that works on the same: {_last_word(state_dir, child.role)}"
            )
        child.restarts_count += 1
        log.error(
            "%s ended with status %d; see %s; starting it again in %g s",
            child.role, status, _log_path(state_dir, child.role), delay_s,
        )  # fmt: skip
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, _RESTART_MOST_S)


async def _start(role: Role, settings: Path, state_dir: Path) -> asyncio.subprocess.Process:
    """Start a role in a session of its own, so that Ctrl-C reaches us and not it."""
    path = _log_path(state_dir, role)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    with path.open("ab") as file:
        command = [sys.executable, "-m", "lamella", "--config", str(settings), "run", "--role", role]
        return await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def _last_word(state_dir: Path, role: Role) -> str:
    lines = _log_path(state_dir, role).read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1].strip() if lines else "it said nothing"


def _log_path(state_dir: Path, role: Role) -> Path:
    return state_dir / "logs" / f"{role}.log"


@asynccontextmanager
async def _stopping(children: Sequence[Child]) -> AsyncIterator[None]:
    """End all roles on the way out, the broker last, so that each can say farewell."""
    try:
        yield
    finally:
        deadline = time.monotonic() + _STOP_S
        running = [child for child in reversed(children) if _alive(child)]
        for child in running:
            if child.role != "broker":
                _signal(child, signal.SIGTERM)
        await _ended([child for child in running if child.role != "broker"], deadline)
        for child in running:
            _signal(child, signal.SIGTERM if child.role == "broker" else signal.SIGKILL)
        await _ended(running, time.monotonic() + 0.4)
        for child in running:
            _signal(child, signal.SIGKILL)


async def _ended(children: Sequence[Child], deadline: float) -> None:
    waits = [asyncio.ensure_future(child.process.wait()) for child in children if child.process]
    if waits:
        await asyncio.wait(waits, timeout=max(0.0, deadline - time.monotonic()))
        for wait in waits:
            wait.cancel()


def _alive(child: Child) -> bool:
    return child.process is not None and child.process.returncode is None


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process is not None and _alive(child):
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(number)


def _require_scenario(site: Site) -> None:
    """Refuse an unknown scenario now, not in a process that nobody looks at."""
    from plant.scenario import load_scenario

    load_scenario(site.plant.scenario, load_line(site.line.model))


def _require_sources(site: Site) -> None:
    """Refuse a source of frames that cannot be now, for vision would be started again for ever."""
    from vision.film_sources import require_sources

    require_sources(site, load_line(site.line.model))


def _require_models(site: Site) -> None:
    """Refuse models that cannot be now, for vision would be started again for ever."""
    from vision.film_models import require_models

    require_models(site, load_line(site.line.model))


def _usual_models(site: Site) -> bool:
    """Whether the models are those that ship, on one camera, which need not be asked before the start."""
    vision, shipped = site.vision, VisionSettings()
    return (
        vision.provider != "cuda"
        and vision.coverage == "cascade"
        and not vision.camera_models
        and vision.film_model == shipped.film_model
        and vision.backbone in {shipped.backbone, ""}
        and len(load_line(site.line.model).film_cameras()) < 2
    )


def _settled(site: Site) -> Site:
    """The site with what this run decides: ports, the simulated PLC's address, the film model's folder, the past."""
    from lamella.bundles import bundle_folder

    replace = msgspec.structs.replace
    state_dir = site.state_dir.resolve()
    broker = replace(site.broker, port=site.broker.port or free_port(site.broker.host))
    plc = replace(site.plc, endpoint=site.plc.endpoint or f"file:{state_dir / 'plant' / 'endpoint'}")
    film_models(site.vision, load_line(site.line.model))
    vision = with_folders(site.vision, lambda name: str(bundle_folder(name, state_dir).resolve()))
    simulated = plc.endpoint.startswith("file:")
    lives_past = simulated and site.plant.history_weeks and not site.line.recording
    past = str(state_dir / "plant" / "past.journal") if lives_past else ""
    return replace(
        site,
        line=_absolute(site.line),
        broker=broker,
        plc=plc,
        vision=replace(vision, sources=with_full_paths(vision.sources)),
        twin=replace(site.twin, past=site.twin.past or past),
    )


def _absolute(settings: LineSettings) -> LineSettings:
    """With full paths, so that a command started elsewhere finds the same files."""
    names = ("model", "tag_map", "recording")
    paths = {
        name: str(Path(value).resolve()) for name in names if Path(value := getattr(settings, name)).exists() and value
    }
    return msgspec.structs.replace(settings, state_dir=str(Path(settings.state_dir).resolve()), **paths)


async def _listening(host: str, port: int) -> None:
    """Wait until somebody accepts connections.

    Raises:
        ConfigError: nobody does within ten seconds.
    """
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return
    raise ConfigError(f"the broker does not listen on {host}:{port}; is the port taken?", key="broker.port")


async def _until_signal(work: object) -> int:
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return 0
    except ExceptionGroup as group:
        # The first failure ended the others; it alone is what people should read.
        raise group.exceptions[0] from group
    return 0

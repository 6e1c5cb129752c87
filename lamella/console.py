"""The role `console`: pages, REST and live channels over what the twin answers and the bus brings.

It keeps nothing, so it journals nothing: messages are acknowledged as they are heard, the session at the broker ends
with the connection, and after a restart the twin is asked again. So it needs `line.bus` alone of a service's life, and
says `online`, `offline` and its heartbeat itself.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvicorn

from lamella.claims import require_free_port
from lamella.web.app import application
from lamella.web.guard import Guard
from lamella.web.hub import Hub
from lamella.web.twin import Twin
from line import events
from line.bus import Bus, connect
from line.config import Site
from line.errors import ConfigError
from line.events import Event, Heartbeat
from line.http import QuietServer
from line.ids import event_id
from line.model import load_line
from line.service import HEARTBEAT_S, rss_mb, source_of, state_of
from line.topics import Topics, topics_of

log = logging.getLogger(__name__)

ROLE = "console"
URL_FILE = Path("console") / "url"
"""Below the state directory: where the console listens, written once it does."""
_FAREWELL_S = 1.0
_GRACE_S = 1
"""How long open pages may take to hang up when the console stops."""


async def serve(site: Site) -> None:
    """Serve the console until cancelled.

    Raises:
        ConflictError: the port is taken; names host, port and setting.
        ConfigError: the address is not ours.
    """
    line = load_line(site.line.model)
    topics = topics_of(line, site.broker.topic_root)
    source = source_of(ROLE, site)
    last = state_of(source, ROLE, "offline", "")
    will = (topics.of(last), events.encoded(last))
    with _listening(site.console.host, site.console.port) as sock:
        async with connect(site.broker, f"{ROLE}-{site.box}", will=will, lasting=False) as bus:
            twin = Twin(bus, topics)
            hub = Hub(bus, topics, twin)
            app = application(site, line, topics, bus, hub, twin)
            async with _served(app, sock, site.console.host) as url, asyncio.TaskGroup() as group:
                _write_url(site.state_dir / URL_FILE, url)
                log.info("console at %s", url)
                group.create_task(hub.run(), name="console hub")
                group.create_task(_live(bus, topics, source, url), name="console heartbeat")
                try:
                    await asyncio.Event().wait()
                finally:
                    (site.state_dir / URL_FILE).unlink(missing_ok=True)
                    await _farewell(bus, will)


def _listening(host: str, port: int) -> socket.socket:
    require_free_port(host, port, "console.port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"{host}:{port} cannot be listened on: {error.strerror}", key="console.host") from error


@asynccontextmanager
async def _served(app: Guard, sock: socket.socket, host: str) -> AsyncIterator[str]:
    """Serve while inside; yields the URL. The socket listens already, so that nobody need wait for the server."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=16_384,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="console http")
    name = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{name}:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def _write_url(path: Path, url: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(f"{url}\n")
    temporary.replace(path)


async def _live(bus: Bus, topics: Topics, source: str, url: str) -> None:
    """Say that we live, and where, again after every reconnect."""
    announced = False
    while True:
        if not bus.connected.is_set():
            announced = False
        else:
            if not announced:
                await _say(bus, topics, source, state_of(source, ROLE, "online", url))
                announced = True
            beat = Heartbeat(at_ns=time.time_ns(), service=source, loops=(), outbox_count=0, rss_mb=rss_mb())
            await _say(bus, topics, source, beat)
        await asyncio.sleep(HEARTBEAT_S)


async def _say(bus: Bus, topics: Topics, source: str, event: Event) -> None:
    stamped = msgspec.structs.replace(event, id=event_id(event.at_ns), source=source)
    await bus.publish(topics.of(stamped), events.encoded(stamped), retain=True)


async def _farewell(bus: Bus, will: tuple[str, bytes]) -> None:
    """Say `offline` ourselves: a clean disconnect cancels the will."""
    if bus.connected.is_set():
        try:
            await asyncio.wait_for(bus.publish(*will, retain=True), _FAREWELL_S)
        except TimeoutError:
            log.info("the broker did not acknowledge the farewell within %g s", _FAREWELL_S)

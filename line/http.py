"""The one small HTTP endpoint that every service has: health, metrics, evidence by digest.

`/healthz` and `/metrics` are open on the address served (loopback by default); evidence needs the site's token, a
file in the state directory that only its owner reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from line.errors import ConfigError
from line.evidence import Evidence

if TYPE_CHECKING:
    from line.service import Service

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
"""The ASGI interface, whose messages are dictionaries by specification."""


def site_token(state_dir: Path) -> str:
    """The secret that services of one site share, made on first use, readable by its owner alone."""
    path = state_dir / "token"
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    state_dir.mkdir(parents=True, exist_ok=True)
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}; check line.state_dir", file=path) from error
    return path.read_text().strip()


@asynccontextmanager
async def serve_http(service: Service, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve on a free port while inside; yields the URL."""
    config = uvicorn.Config(_App(service), host=host, port=0, log_config=None, lifespan="off", access_log=False)
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(), name="http")
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has a flag and no event
        await asyncio.sleep(0.01)
    if task.done():
        await task
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await task


class QuietServer(uvicorn.Server):
    """uvicorn that leaves signals to the service around it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _App:
    def __init__(self, service: Service) -> None:
        self._service = service
        self._token = site_token(service.site.state_dir)
        self._evidence = Evidence(service.site.state_dir / "evidence")

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            return
        path = str(scope["path"])
        if path == "/healthz":
            await _answer(send, 200, "application/json", b'{"status":"alive"}')
        elif path == "/readyz":
            await self._ready(send)
        elif path == "/metrics":
            await _answer(send, 200, "text/plain; version=0.0.4", self._metrics().encode())
        elif path.startswith("/evidence/"):
            await self._picture(scope, send, path.removeprefix("/evidence/"))
        else:
            await _answer(send, 404, "text/plain", b"not found")

    async def _ready(self, send: _Send) -> None:
        connected = self._service.bus.connected.is_set()
        reasons = [self._service.ready] if self._service.ready else []
        reasons += [] if connected else [f"broker away: {self._service.bus.refusal or 'not connected'}"]
        body = json.dumps({"ready": not reasons, "reasons": reasons}).encode()
        await _answer(send, 503 if reasons else 200, "application/json", body)

    async def _picture(self, scope: MutableMapping[str, Any], send: _Send, digest: str) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            await _answer(send, 401, "text/plain", b"the site's token is missing or wrong")
            return
        png = await asyncio.to_thread(self._evidence.get, digest)
        if png is None:
            await _answer(send, 404, "text/plain", b"no such picture")
        else:
            await _answer(send, 200, "image/png", png)

    def _metrics(self) -> str:
        service = self._service
        rows = {
            "outbox_events": float(service.outbox_count()),
            "events_missing": float(service.missing_count()),
            "broker_connected": float(service.bus.connected.is_set()),
            "resident_memory_bytes": service.rss_mb() * 1e6,
            **service.counters,
        }
        return "".join(f'lamella_{name}{{role="{service.role}"}} {value:g}\n' for name, value in sorted(rows.items()))


async def _answer(send: _Send, status: int, kind: str, body: bytes) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

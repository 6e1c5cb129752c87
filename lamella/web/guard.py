"""What stands in front of every request: who may call, and what a page may load.

The console has no log-in yet: loopback is an anonymous viewer with the controls of a simulated line. So the danger is
another page in the same browser. A foreign name that resolves to us (DNS rebinding) is refused by `Host`; a foreign
page that posts or opens a socket is refused by `Origin`, which every browser sends with both. Scripts send none and
may.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from lamella.web.problems import MEDIA_TYPE, Problem

log = logging.getLogger(__name__)

_Message = MutableMapping[str, Any]
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
AsgiApp = Callable[[_Scope, _Receive, _Send], Awaitable[None]]
"""The ASGI interface, whose messages are dictionaries by specification."""

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_POLICY_VIOLATION = 1008

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Wraps the application.

    Args:
        app: the ASGI application.
        host: the address served on; a name beside loopback that callers may use.
    """

    def __init__(self, app: AsgiApp, host: str) -> None:
        self._app = app
        self._hosts = _LOOPBACK | {host.lower(), socket.gethostname().lower()}
        self._any_address = host in {"0.0.0.0", "::"}
        self._headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if refusal := self._refusal(scope):
            log.warning("%s refused: %s", scope["path"], refusal)
            await _refuse(scope, receive, send, refusal)
            return

        async def send_with_headers(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: _Scope) -> str:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._is_ours(urlsplit(f"//{host}").hostname or ""):
            return f"host {host!r} is not a name of this console"
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        origin = headers.get("origin")
        if changes and origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return f"origin {origin!r} is not this console"
        return ""

    def _is_ours(self, name: str) -> bool:
        if name in self._hosts:
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


async def _refuse(scope: _Scope, receive: _Receive, send: _Send, detail: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": detail[:100]})
        return
    body = msgspec.json.encode(Problem(title="Forbidden", status=403, detail=detail, instance=scope["path"]))
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""The one WebSocket of a tab.

The page sends `{"op": "sub", "ch": "roll:FR-..."}` or `unsub`; it gets `snapshot` and `delta` messages per channel
(`lamella/web/channels.py`), a `beat` every second, `unknown` for a thing that the twin does not know, `refused` for a
request that makes no sense.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from litestar import WebSocket, websocket
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from msgspec import Struct

from lamella.web.channels import Watcher
from lamella.web.hub import Hub
from line.errors import NotFoundError

PACE_S = 0.05
CHANNELS_LIMIT = 16
"""Channels that one page may watch."""


class Wish(Struct, frozen=True, forbid_unknown_fields=True):
    """What a page may ask of the socket."""

    op: Literal["sub", "unsub"]
    ch: str


@websocket("/api/v1/ws")
async def live(socket: WebSocket[None, None, State], hub: NamedDependency[Hub]) -> None:
    """Serve one tab until it closes."""
    await socket.accept()
    woken = asyncio.Event()
    watcher = Watcher(woken.set)
    hub.enter(watcher)
    sender = asyncio.create_task(_send(socket, watcher, woken), name="console socket")
    try:
        while True:
            _wish(hub, watcher, await socket.receive_data(mode="text"))
    except WebSocketDisconnect:
        pass
    finally:
        hub.leave(watcher)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


async def _send(socket: WebSocket[None, None, State], watcher: Watcher, woken: asyncio.Event) -> None:
    while True:
        await woken.wait()
        woken.clear()
        for message in watcher.take():
            await socket.send_data(message, mode="text")
        # What comes meanwhile goes out as one message: a page cannot show more pictures a second anyway.
        await asyncio.sleep(PACE_S)


def _wish(hub: Hub, watcher: Watcher, text: str | bytes) -> None:
    try:
        wish = msgspec.json.decode(text, type=Wish)
        if wish.op == "unsub":
            hub.drop(watcher, wish.ch)
        elif len(watcher.channels) < CHANNELS_LIMIT or wish.ch in watcher.channels:
            hub.watch(watcher, wish.ch)
        else:
            watcher.notice("refused", {"op": "refused", "detail": f"a page watches at most {CHANNELS_LIMIT} channels"})
    except (msgspec.DecodeError, NotFoundError) as error:
        watcher.notice("refused", {"op": "refused", "detail": str(error)})

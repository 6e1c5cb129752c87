"""OPC-UA over asyncua: the one module of this package that knows it.

A session is thrown away and built anew after any loss: asyncua 2.1 restores a subscription with stale namespace
indices and drops items without a word (decisions/0003-own-supervisor-over-asyncua.md). Nodes are resolved by
namespace URI each time, what is live is compared with what was wanted, and a subscription that delivers nothing is a
loss like any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncua import Client, ua
from asyncua.common.subscription import DataChangeEvent, OverflowPolicy, StatusChangeEvent, Subscription

from line.errors import PlcError
from line.events import Quality

log = logging.getLogger(__name__)

DRIVER_ERRORS = (ua.UaError, OSError, TimeoutError, AssertionError)
"""What asyncua raises; a bare AssertionError is its answer to a certificate the server does not trust."""
_OVERFLOW_BITS = 0x480
_QUEUE_SIZE = 100_000
"""Changes that may wait for us; when full the session is torn down and a gap is recorded, none is dropped unseen."""
_CREATE_AT_ONCE = 500
_SESSION_MS = 600_000
_LEAST_QUEUE = 32
_MARGIN = 4
"""Queue at the server, as a multiple of the samples it takes per publish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A node to watch."""

    key: str
    node: str
    """Identifier, `s=…` or `i=…`, in the session's namespace unless it brings `nsu=…;`."""
    sampling_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value that arrived."""

    key: str
    value: object
    quality: Quality
    source_ns: int
    overflowed: bool
    """The server's queue was full: at least one change before this one is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What came of a wish to watch nodes."""

    keys: frozenset[str]
    refused: dict[str, str]
    """Reason by key."""


class PlcSession:
    """A session with a server. Made by `plc_session`."""

    def __init__(self, client: Client, namespace: str, publish_ms: int) -> None:
        self._client = client
        self._namespace = namespace
        self._publish_ms = publish_ms
        self._index = 0
        self._subscription: Subscription | None = None
        self._keys: dict[str, str] = {}

    async def watch(self, wanted: Sequence[Wanted]) -> Live:
        """Subscribe to nodes; one that is refused does not stop the rest.

        Raises:
            PlcError: the server refuses the subscription as a whole or is gone.
        """
        try:
            self._index = await self._client.get_namespace_index(self._namespace)
            self._subscription = await self._client.create_subscription(
                self._publish_ms, queue_maxsize=_QUEUE_SIZE, overflow=OverflowPolicy.DISCONNECT
            )
            refused: dict[str, str] = {}
            for sampling_ms in sorted({row.sampling_ms for row in wanted}):
                rows = [row for row in wanted if row.sampling_ms == sampling_ms]
                for start in range(0, len(rows), _CREATE_AT_ONCE):
                    refused |= await self._refused(rows[start : start + _CREATE_AT_ONCE], sampling_ms)
        except (*DRIVER_ERRORS, ValueError) as error:
            raise PlcError(f"{self._namespace}: cannot subscribe: {_said(error)}") from error
        return Live(keys=frozenset(row.key for row in wanted if row.key not in refused), refused=refused)

    async def _refused(self, rows: Sequence[Wanted], sampling_ms: int) -> dict[str, str]:
        """Create monitored items of one sampling interval; returns the reason for each that the server refused."""
        assert self._subscription is not None
        nodes = [self._client.get_node(self._node_id(row.node)) for row in rows]
        for node, row in zip(nodes, rows, strict=True):
            self._keys[node.nodeid.to_string()] = row.key
        queue_size = max(_LEAST_QUEUE, _MARGIN * round(self._publish_ms / max(sampling_ms, 1)))
        results = await self._subscription.subscribe_data_change(
            nodes, queuesize=queue_size, sampling_interval=float(sampling_ms)
        )
        return {
            row.key: result.name for row, result in zip(rows, results, strict=True) if isinstance(result, ua.StatusCode)
        }

    async def changes(self, within_s: float) -> list[Change]:
        """What arrived since the last call, waiting for at most `within_s`; empty when nothing did.

        Raises:
            PlcError: the subscription or the session is gone.
        """
        subscription = self._subscription
        assert subscription is not None, "watch first"
        try:
            event = await subscription.next_event(within_s)
            found: list[Change] = []
            while event is not None:
                if isinstance(event, StatusChangeEvent):
                    raise PlcError(f"the server ended the subscription: {event.notification.Status.name}")
                if isinstance(event, DataChangeEvent):
                    found.append(self._change(event))
                queue = subscription._event_queue  # noqa: SLF001 - to take what waits without a timer each
                event = queue.get_nowait() if queue is not None and not queue.empty() else None
        except StopAsyncIteration as error:
            raise PlcError("the subscription was closed") from error
        except DRIVER_ERRORS as error:
            raise PlcError(f"no more data: {_said(error)}") from error
        return found

    async def read(self, nodes: Sequence[str]) -> list[Any]:
        """Values of nodes now.

        Raises:
            PlcError: a node is unknown, or the session is gone.
        """
        try:
            return list(await self._client.read_values([self._client.get_node(self._node_id(node)) for node in nodes]))
        except DRIVER_ERRORS as error:
            raise PlcError(f"cannot read {nodes[0]} …: {_said(error)}") from error

    def _node_id(self, node: str) -> str:
        return node if node.startswith("nsu=") else f"ns={self._index};{node}"

    def _change(self, event: DataChangeEvent) -> Change:
        value = event.data.monitored_item.Value
        return Change(
            key=self._keys[event.node.nodeid.to_string()],
            value=event.value,
            quality=_quality(value.StatusCode),
            source_ns=_ns(value.SourceTimestamp or value.ServerTimestamp),
            overflowed=bool(value.StatusCode and value.StatusCode.value & _OVERFLOW_BITS == _OVERFLOW_BITS),
        )


@asynccontextmanager
async def plc_session(endpoint: str, namespace: str, publish_ms: int) -> AsyncIterator[PlcSession]:
    """A session with the server at `endpoint`.

    Raises:
        PlcError: unreachable, refusing, or lost while inside.
    """
    client = Client(endpoint, timeout=4, watchdog_intervall=1.0)
    client.application_uri = "urn:lamella:plc"
    client.name = "lamella"
    client.session_timeout = _SESSION_MS
    try:
        await client.connect()
    except DRIVER_ERRORS as error:
        client.disconnect_socket()
        raise PlcError(f"{endpoint}: cannot connect: {_said(error)}; is the PLC running?") from error
    try:
        yield PlcSession(client, namespace, publish_ms)
    finally:
        try:
            await asyncio.wait_for(client.disconnect(), 2.0)
        except (*DRIVER_ERRORS, asyncio.CancelledError) as error:
            log.info("%s: closing a session that is gone: %s", endpoint, _said(error))
            client.disconnect_socket()


def _quality(status: ua.StatusCode | None) -> Quality:
    if status is None or status.is_good():
        return "good"
    return "uncertain" if status.is_uncertain() else "bad"


def _ns(moment: datetime | None) -> int:
    if moment is None:
        return 0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = int(aware.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + aware.microsecond * 1000


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__

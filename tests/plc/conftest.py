"""A real OPC-UA server with a small line on it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Server, ua

from line.address import NAMESPACE_URI, RING_SIZE, line_path, node_path
from line.events import Material, encoded
from line.model import LineModel, load_line

PLACE = load_line().identity


class SmallPlc:
    """Variables by their path, made when first written."""

    def __init__(self, server: Server, index: int) -> None:
        self._server = server
        self._index = index
        self._nodes: dict[str, Any] = {}
        self._rings: dict[str, list[str]] = {}

    async def add(self, path: str, value: object, kind: ua.VariantType) -> None:
        node = await self._server.nodes.objects.add_variable(
            ua.NodeId(path, self._index), ua.QualifiedName(path, self._index), value, kind
        )
        await node.set_writable()
        self._nodes[path] = node

    async def write(self, path: str, value: object, *, at: datetime | None = None, status: int = 0) -> None:
        kind = await self._nodes[path].read_data_type_as_variant_type()
        stamp = at or datetime.now(UTC)
        data = ua.DataValue(ua.Variant(value, kind), StatusCode=ua.StatusCode(status), SourceTimestamp=stamp)
        await self._nodes[path].write_value(data)

    async def tag(self, station: str, name: str, value: float, *, at: datetime | None = None, status: int = 0) -> None:
        await self.write(node_path(PLACE, station, "Tags", name), value, at=at, status=status)

    async def record(self, events: Iterable[Material]) -> None:
        """Write part records as a station does: ring first, then counter."""
        for event in events:
            ring = self._rings.setdefault(event.station, [""] * RING_SIZE)
            ring[event.counter % RING_SIZE] = encoded(event).decode()
            await self.write(node_path(PLACE, event.station, "Parts", "Ring"), ring)
            await self.write(node_path(PLACE, event.station, "Parts", "Counter"), event.counter)


@asynccontextmanager
async def small_plc(port: int, *, extra_namespaces: int = 0) -> AsyncIterator[SmallPlc]:
    """A server with WebSpeed and PumpFlow of S03, its state and its part ring."""
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/lamella")
    for number in range(extra_namespaces):
        await server.register_namespace(f"urn:other:{number}")
    plc = SmallPlc(server, await server.register_namespace(NAMESPACE_URI))
    await plc.add(f"{line_path(PLACE)}/IsSimulated", True, ua.VariantType.Boolean)
    for name in ("WebSpeed", "PumpFlow"):
        await plc.add(node_path(PLACE, "S03", "Tags", name), 0.0, ua.VariantType.Double)
    await plc.add(node_path(PLACE, "S03", "Status", "StateCurrent"), "Idle", ua.VariantType.String)
    await plc.add(node_path(PLACE, "S03", "Parts", "Counter"), 0, ua.VariantType.UInt64)
    await plc.add(node_path(PLACE, "S03", "Parts", "Ring"), [""] * RING_SIZE, ua.VariantType.String)
    async with server:
        yield plc


PlcMaker = Callable[..., AbstractAsyncContextManager[SmallPlc]]


@pytest.fixture
def plc_at() -> PlcMaker:
    """Makes a server at a port."""
    return small_plc


@pytest.fixture
def line() -> LineModel:
    return load_line()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

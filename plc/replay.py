"""Play a recording as an OPC-UA server, so that everything but the PLC is real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Server, ua

from line.address import NAMESPACE_URI, RING_SIZE, line_path, node_path
from line.events import Quality
from line.model import LineModel
from line.recording import OPCUA_FILE, RecordedChange, RecordedPart, read_header, read_rows

_STATUS: dict[Quality, int] = {"good": 0, "uncertain": 0x40000000, "bad": 0x80000000}


class Player:
    """A server whose variables follow a recording. Made by `playing`."""

    def __init__(self, server: Server, index: int, line: LineModel) -> None:
        self._server = server
        self._index = index
        self._line = line
        self._nodes: dict[str, Any] = {}
        self._rings: dict[str, list[str]] = {}

    async def prepare(self, rows: Iterable[RecordedChange | RecordedPart], *, simulated: bool) -> None:
        """Make every variable that the recording speaks of."""
        place = self._line.identity
        await self._variable(f"{line_path(place)}/IsSimulated", simulated)
        for row in rows:
            if isinstance(row, RecordedChange):
                await self._variable(row.path, row.value)
            elif row.station not in self._rings:
                self._rings[row.station] = [""] * RING_SIZE
                await self._variable(node_path(place, row.station, "Parts", "Counter"), 0)
                await self._variable(node_path(place, row.station, "Parts", "Ring"), self._rings[row.station])

    async def play(self, row: RecordedChange | RecordedPart) -> None:
        """Make one row happen now."""
        if isinstance(row, RecordedChange):
            await self._write(row.path, row.value, row.quality, row.source_ns)
            return
        place = self._line.identity
        ring = self._rings[row.station]
        ring[row.counter % RING_SIZE] = row.record
        await self._write(node_path(place, row.station, "Parts", "Ring"), list(ring))
        await self._write(node_path(place, row.station, "Parts", "Counter"), row.counter)

    async def _variable(self, path: str, value: object) -> None:
        if path not in self._nodes and value is not None:
            node_id, name = ua.NodeId(path, self._index), ua.QualifiedName(path, self._index)
            self._nodes[path] = await self._server.nodes.objects.add_variable(node_id, name, value, _kind(value))

    async def _write(self, path: str, value: object, quality: Quality = "good", source_ns: int = 0) -> None:
        node = self._nodes.get(path)
        if node is None:
            return
        stamp = datetime.fromtimestamp(source_ns / 1e9, UTC) if source_ns else datetime.now(UTC)
        variant = ua.Variant(value, _kind(value)) if value is not None else ua.Variant()
        status = ua.StatusCode(_STATUS[quality])
        await self._server.write_attribute_value(
            node.nodeid, ua.DataValue(variant, StatusCode=status, SourceTimestamp=stamp)
        )


@asynccontextmanager
async def playing(folder: Path, line: LineModel, port: int) -> AsyncIterator[Player]:
    """A server on loopback with the variables of a recording, none of which has moved yet."""
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/lamella")
    server.set_server_name("Lamella recording")
    player = Player(server, await server.register_namespace(NAMESPACE_URI), line)
    await player.prepare(recorded(folder), simulated=read_header(folder).simulated)
    async with server:
        yield player


def recorded(folder: Path) -> Iterable[RecordedChange | RecordedPart]:
    """What the server said, in order."""
    return read_rows(folder / OPCUA_FILE, RecordedChange | RecordedPart)  # type: ignore[arg-type]


async def play_all(player: Player, folder: Path) -> int:
    """Play a recording at its own pace; returns the number of rows."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    count = 0
    for row in recorded(folder):
        await asyncio.sleep(max(0.0, started + row.after_s - loop.time()))
        await player.play(row)
        count += 1
    return count


def _kind(value: object) -> ua.VariantType:
    match value:
        case bool():
            return ua.VariantType.Boolean
        case int():
            return ua.VariantType.Int64
        case float():
            return ua.VariantType.Double
        case _:
            return ua.VariantType.String

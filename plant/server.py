"""The plant's OPC-UA server: every station with its tags, states and part records, laid out as `line/address.py` says.

Anonymous and unencrypted, so bound to loopback only. Values carry plant time as source timestamp. Writes are made in
batches between two waits, so a client never sees half a batch; asyncua takes 15,000 of them a second on one core.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from asyncua import Server, ua
from asyncua.server.user_managers import PermissiveUserManager

from line.address import NAMESPACE_URI, RING_SIZE, line_path, node_path
from line.errors import PlcError
from line.events import MaterialEvent, StationState, encoded
from line.model import LineModel
from line.ports import free_port
from plant.server_nodes import Layout, double, moment_of, status_values

log = logging.getLogger(__name__)

_HOST = "127.0.0.1"


class RingState(msgspec.Struct, kw_only=True):
    """The part records of a station, as they survive a restart of the plant."""

    counter: int = 0
    ring: list[str] = msgspec.field(default_factory=lambda: [""] * RING_SIZE)


class PlantServer:
    """A running server. Made by `plant_server`."""

    def __init__(self, server: Server, line: LineModel, index: int, endpoint: str) -> None:
        self.endpoint = endpoint
        self._server = server
        self._place = line.identity
        self._index = index
        self._tags = line.all_tags()
        self._ids: dict[str, ua.NodeId] = {}
        self.rings: dict[str, RingState] = {station.code: RingState() for station in line.stations}

    async def push_tags(self, values: Mapping[str, float], at_ns: int) -> None:
        """Write tags, by full name and in their units, as measured at a plant time."""
        for name, value in values.items():
            station, _, tag = name.partition(".")
            is_bool = self._tags[name].data_type == "bool"
            variant = ua.Variant(value > 0.5, ua.VariantType.Boolean) if is_bool else double(value)
            await self._write(node_path(self._place, station, "Tags", tag), variant, at_ns)

    async def push_states(self, states: Iterable[StationState]) -> None:
        """Write the PackML status of stations, stamped with the time of each state."""
        for state in states:
            for name, value, kind in status_values(state):
                path = node_path(self._place, state.station, "Status", name)
                await self._write(path, ua.Variant(value, kind), state.at_ns)

    async def push_parts(self, records: Iterable[MaterialEvent]) -> None:
        """Write part records, ring before counter. The ring numbers them anew, from 1 at its first opening."""
        touched: dict[str, int] = {}
        for record in records:
            state = self.rings[record.station]
            state.counter += 1
            numbered = msgspec.structs.replace(record, counter=state.counter)
            state.ring[state.counter % RING_SIZE] = encoded(numbered).decode()
            touched[record.station] = record.at_ns
        for station, at_ns in touched.items():
            await self._write_ring(station, at_ns)

    async def restore_rings(self, rings: Mapping[str, RingState], at_ns: int) -> None:
        """Put back the records of an earlier run; stations that the line no longer has are left out."""
        for station, state in rings.items():
            if station in self.rings and len(state.ring) == RING_SIZE:
                self.rings[station] = state
                await self._write_ring(station, at_ns)

    async def push_clock(self, speed: float, at_ns: int) -> None:
        """Write the speed reached and the plant's time, and the server's own, by which clients see that it lives."""
        now = ua.DataValue(ua.Variant(datetime.now(UTC), ua.VariantType.DateTime))
        await self._server.write_attribute_value(ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime), now)
        base = f"{line_path(self._place)}/Simulation"
        await self._write(f"{base}/Speed", double(speed), at_ns)
        await self._write(f"{base}/PlantTime", ua.Variant(moment_of(at_ns), ua.VariantType.DateTime), at_ns)

    async def _write_ring(self, station: str, at_ns: int) -> None:
        state = self.rings[station]
        ring = ua.Variant(list(state.ring), ua.VariantType.String)
        await self._write(node_path(self._place, station, "Parts", "Ring"), ring, at_ns)
        counter = ua.Variant(state.counter, ua.VariantType.UInt64)
        await self._write(node_path(self._place, station, "Parts", "Counter"), counter, at_ns)

    async def _write(self, path: str, variant: ua.Variant, at_ns: int) -> None:
        node = self._ids.get(path)
        if node is None:
            node = self._ids[path] = ua.NodeId(path, self._index)
        moment = moment_of(at_ns)
        value = ua.DataValue(variant, SourceTimestamp=moment, ServerTimestamp=moment)
        await self._server.write_attribute_value(node, value)


@asynccontextmanager
async def plant_server(line: LineModel, port: int) -> AsyncIterator[PlantServer]:
    """A server for a line on loopback.

    Args:
        line: whose stations and tags it shows.
        port: to listen on; 0 takes a free one.

    Raises:
        PlcError: the port cannot be opened.
    """
    port = port or free_port()
    endpoint = f"opc.tcp://{_HOST}:{port}/lamella"
    server = Server(user_manager=PermissiveUserManager())
    await server.init()
    # asyncua's own clock ticks once a second and stopping waits for a tick; ours does without.
    server.disable_clock()
    server.set_endpoint(endpoint)
    server.set_server_name("Lamella plant (simulated)")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    server.set_identity_tokens([ua.AnonymousIdentityToken])
    index = await server.register_namespace(NAMESPACE_URI)
    results = await server.iserver.isession.add_nodes(Layout(line, index).nodes)
    for result in results:
        result.StatusCode.check()
    try:
        await server.start()
    except OSError as error:
        raise PlcError(
            f"{endpoint}: cannot listen: {error.strerror}; is another plant running on this port?"
        ) from error
    try:
        yield PlantServer(server, line, index, endpoint)
    finally:
        await asyncio.shield(server.stop())

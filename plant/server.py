"""The plant's OPC-UA server: every station with its tags, states and part records, laid out as `line/address.py` says.

Anonymous and unencrypted, so bound to loopback only. Values carry plant time as source timestamp. Writes are made in
batches between two waits, so a client never sees half a batch; asyncua takes 15,000 of them a second on one core.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from asyncua import Server, ua
from asyncua.server.user_managers import PermissiveUserManager

from line.address import NAMESPACE_URI, RING_SIZE, line_path, node_path
from line.errors import PlcError
from line.events import MaterialEvent, StationState, encoded
from line.model import LineModel, Station, Tag
from line.units import unit

log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Values = tuple[tuple[str, Any, ua.VariantType], ...]


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
            variant = ua.Variant(value > 0.5, ua.VariantType.Boolean) if is_bool else _double(value)
            await self._write(node_path(self._place, station, "Tags", tag), variant, at_ns)

    async def push_states(self, states: Iterable[StationState]) -> None:
        """Write the PackML status of stations, stamped with the time of each state."""
        for state in states:
            for name, value, kind in _status_values(state):
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
        await self._write(f"{base}/Speed", _double(speed), at_ns)
        await self._write(f"{base}/PlantTime", ua.Variant(_moment(at_ns), ua.VariantType.DateTime), at_ns)

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
        moment = _moment(at_ns)
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
    port = port or _free_port()
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
    results = await server.iserver.isession.add_nodes(_Layout(line, index).nodes)
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


class _Layout:
    """The address space of a line, as requests to add nodes, parents first."""

    def __init__(self, line: LineModel, index: int) -> None:
        self.nodes: list[ua.AddNodesItem] = []
        self._index = index
        place = line.identity
        parent = ua.NodeId(ua.ObjectIds.ObjectsFolder)
        path = ""
        for name in line_path(place).split("/"):
            path = f"{path}/{name}" if path else name
            parent = self._object(parent, path, name, line.title if path == line_path(place) else name)
        base = line_path(place)
        self._variable(parent, f"{base}/IsSimulated", ua.Variant(True, ua.VariantType.Boolean), "no real line")
        clock = self._object(parent, f"{base}/Simulation", "Simulation", "the simulated clock")
        self._variable(clock, f"{base}/Simulation/Speed", _double(1.0), "plant seconds per wall second, as reached")
        self._variable(clock, f"{base}/Simulation/PlantTime", ua.Variant(_EPOCH, ua.VariantType.DateTime), "UTC")
        for station in line.stations:
            self._station(parent, f"{base}/{station.code}", station)

    def _station(self, line: ua.NodeId, base: str, station: Station) -> None:
        node = self._object(line, base, station.code, f"{station.name}: {station.title}")
        tags = self._object(node, f"{base}/Tags", "Tags", "measured values")
        for tag in station.tags:
            self._tag(tags, f"{base}/Tags/{tag.name}", tag)
        status = self._object(node, f"{base}/Status", "Status", "PackML states and counters")
        for name, value, kind in _status_values(StationState(at_ns=0, station=station.code, state="Stopped")):
            self._variable(status, f"{base}/Status/{name}", ua.Variant(value, kind), name)
        parts = self._object(node, f"{base}/Parts", "Parts", "part records")
        counter = ua.Variant(0, ua.VariantType.UInt64)
        self._variable(parts, f"{base}/Parts/Counter", counter, "part records ever written")
        ring = ua.Variant([""] * RING_SIZE, ua.VariantType.String)
        self._variable(parts, f"{base}/Parts/Ring", ring, f"record n as JSON at index n % {RING_SIZE}")

    def _tag(self, parent: ua.NodeId, path: str, tag: Tag) -> None:
        if tag.data_type == "bool":
            value = ua.Variant(tag.nominal > 0.5, ua.VariantType.Boolean)
            self._variable(parent, path, value, tag.note, sampling_ms=tag.sampling_ms)
            return
        node = self._variable(
            parent,
            path,
            _double(tag.nominal),
            tag.note,
            kind=ua.ObjectIds.AnalogItemType,
            sampling_ms=tag.sampling_ms,
        )
        normal = ua.Range(Low=tag.normal_low, High=tag.normal_high)
        self._property(node, path, "EURange", normal, ua.ObjectIds.Range)
        self._property(node, path, "EngineeringUnits", _engineering_units(tag), ua.ObjectIds.EUInformation)
        if tag.alarm_low is not None or tag.alarm_high is not None:
            self._property(node, path, "InstrumentRange", _alarm_range(tag), ua.ObjectIds.Range)

    def _object(self, parent: ua.NodeId, path: str, name: str, text: str) -> ua.NodeId:
        attributes = ua.ObjectAttributes()
        attributes.EventNotifier = 0
        organizes = parent.NamespaceIndex == 0
        kind = ua.ObjectIds.Organizes if organizes else ua.ObjectIds.HasComponent
        return self._add(parent, path, name, text, attributes, ua.NodeClass.Object, kind, ua.ObjectIds.BaseObjectType)

    def _variable(
        self,
        parent: ua.NodeId,
        path: str,
        value: ua.Variant,
        text: str,
        *,
        kind: int = ua.ObjectIds.BaseDataVariableType,
        sampling_ms: int = 0,
    ) -> ua.NodeId:
        attributes = _variable_attributes(value, ua.NodeId(value.VariantType.value))
        attributes.MinimumSamplingInterval = float(sampling_ms)
        name = path.rpartition("/")[2]
        return self._add(parent, path, name, text, attributes, ua.NodeClass.Variable, ua.ObjectIds.HasComponent, kind)

    def _property(self, parent: ua.NodeId, path: str, name: str, value: object, kind: int) -> None:
        attributes = _variable_attributes(ua.Variant(value, ua.VariantType.ExtensionObject), ua.NodeId(kind))
        attributes.MinimumSamplingInterval = 0.0
        self._add(
            parent, f"{path}/{name}", name, name, attributes, ua.NodeClass.Variable, ua.ObjectIds.HasProperty,
            ua.ObjectIds.PropertyType, namespace=0,
        )  # fmt: skip

    def _add(
        self,
        parent: ua.NodeId,
        path: str,
        name: str,
        text: str,
        attributes: Any,
        node_class: ua.NodeClass,
        reference: int,
        kind: int,
        *,
        namespace: int | None = None,
    ) -> ua.NodeId:
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = ua.NodeId(path, self._index)
        item.BrowseName = ua.QualifiedName(name, self._index if namespace is None else namespace)
        item.NodeClass = node_class
        item.ParentNodeId = parent
        item.ReferenceTypeId = ua.NodeId(reference)
        item.TypeDefinition = ua.NodeId(kind)
        attributes.DisplayName = ua.LocalizedText(name)
        attributes.Description = ua.LocalizedText(text)
        attributes.WriteMask = attributes.UserWriteMask = 0
        item.NodeAttributes = attributes
        self.nodes.append(item)
        return item.RequestedNewNodeId


def _variable_attributes(value: ua.Variant, data_type: ua.NodeId) -> ua.VariableAttributes:
    attributes = ua.VariableAttributes()
    attributes.Value = value
    attributes.DataType = data_type
    many = isinstance(value.Value, list)
    attributes.ValueRank = ua.ValueRank.OneDimension if many else ua.ValueRank.Scalar
    attributes.ArrayDimensions = [len(value.Value)] if many else []
    attributes.AccessLevel = attributes.UserAccessLevel = ua.AccessLevel.CurrentRead.mask
    attributes.Historizing = False
    return attributes


def _status_values(state: StationState) -> Values:
    """Status variables by the names of `line.address.STATUS_NAMES`."""
    return (
        ("StateCurrent", state.state, ua.VariantType.String),
        ("UnitModeCurrent", state.mode, ua.VariantType.String),
        ("StopReason", state.stop_reason, ua.VariantType.String),
        ("CurMachSpeed", float(state.speed), ua.VariantType.Double),
        ("EquipmentBlocked", state.blocked, ua.VariantType.Boolean),
        ("EquipmentStarved", state.starved, ua.VariantType.Boolean),
        ("ProdProcessedCount", state.processed_count, ua.VariantType.UInt64),
        ("ProdDefectiveCount", state.defective_count, ua.VariantType.UInt64),
    )


def _alarm_range(tag: Tag) -> ua.Range:
    """Alarm limits; a side without one lies a whole normal range beyond the normal range."""
    span = tag.normal_high - tag.normal_low
    low = tag.normal_low - span if tag.alarm_low is None else tag.alarm_low
    high = tag.normal_high + span if tag.alarm_high is None else tag.alarm_high
    return ua.Range(Low=low, High=high)


def _engineering_units(tag: Tag) -> ua.EUInformation:
    found = unit(tag.unit)
    return ua.EUInformation(
        NamespaceUri=found.namespace_uri,
        UnitId=found.unit_id,
        DisplayName=ua.LocalizedText(found.symbol),
        Description=ua.LocalizedText(f"{found.title}, {tag.reference}" if tag.reference else found.title),
    )


def _double(value: float) -> ua.Variant:
    return ua.Variant(float(value), ua.VariantType.Double)


def _moment(at_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])

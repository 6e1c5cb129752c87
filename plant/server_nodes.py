"""The nodes of the plant's OPC-UA server as requests to add them: what `line/address.py` promises, units and ranges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua

from line.address import RING_SIZE, line_path
from line.events import StationState
from line.model import LineModel, Station, Tag
from line.units import unit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
StatusValues = tuple[tuple[str, Any, ua.VariantType], ...]


class Layout:
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
        self._variable(clock, f"{base}/Simulation/Speed", double(1.0), "plant seconds per wall second, as reached")
        self._variable(clock, f"{base}/Simulation/PlantTime", ua.Variant(_EPOCH, ua.VariantType.DateTime), "UTC")
        for station in line.stations:
            self._station(parent, f"{base}/{station.code}", station)

    def _station(self, line: ua.NodeId, base: str, station: Station) -> None:
        node = self._object(line, base, station.code, f"{station.name}: {station.title}")
        tags = self._object(node, f"{base}/Tags", "Tags", "measured values")
        for tag in station.tags:
            self._tag(tags, f"{base}/Tags/{tag.name}", tag)
        status = self._object(node, f"{base}/Status", "Status", "PackML states and counters")
        for name, value, kind in status_values(StationState(at_ns=0, station=station.code, state="Stopped")):
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
            double(tag.nominal),
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


def status_values(state: StationState) -> StatusValues:
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


def double(value: float) -> ua.Variant:
    """A Double."""
    return ua.Variant(float(value), ua.VariantType.Double)


def moment_of(at_ns: int) -> datetime:
    """Plant time as asyncua takes it, to the microsecond."""
    return _EPOCH + timedelta(microseconds=at_ns // 1000)

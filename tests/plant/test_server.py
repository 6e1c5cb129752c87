"""The plant's OPC-UA server, read by a real asyncua client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from threading import Thread

import msgspec
import pytest
from asyncua import Client, ua
from asyncua.common.subscription import DataChangeEvent

from line.address import NAMESPACE_URI, RING_SIZE, STATUS_NAMES, line_path, node_path
from line.errors import PlcError
from line.events import SheetCut, StationState, decoded
from line.model import load_line
from line.units import UNECE_NAMESPACE_URI, unit
from plant.server import PlantServer, RingState, plant_server

LINE = load_line()
PLACE = LINE.identity
NOON_NS = int(datetime(2026, 11, 24, 12, 0, 0, 250_000, UTC).timestamp() * 1_000_000) * 1000


class Hosted:
    """A server in a thread of its own, since starting one takes seconds and tests only look at it."""

    def __init__(self, server: PlantServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.endpoint = server.endpoint
        self._loop = loop

    async def push(self, work: Coroutine[None, None, None]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


@pytest.fixture(scope="module")
def plant() -> Iterator[Hosted]:
    ready: Future[Hosted] = Future()
    done: list[Callable[[], object]] = []

    async def host() -> None:
        loop, enough = asyncio.get_running_loop(), asyncio.Event()
        done.append(lambda: loop.call_soon_threadsafe(enough.set))
        async with plant_server(LINE, 0) as server:
            ready.set_result(Hosted(server, loop))
            await enough.wait()

    thread = Thread(target=asyncio.run, args=(host(),))
    thread.start()
    yield ready.result(60)
    done[0]()
    thread.join(20)
    assert not thread.is_alive()


@asynccontextmanager
async def client_of(endpoint: str) -> AsyncIterator[tuple[Client, int]]:
    async with Client(endpoint) as client:
        yield client, await client.get_namespace_index(NAMESPACE_URI)


def sheet(number: int) -> SheetCut:
    return SheetCut(
        at_ns=NOON_NS + number, id=f"s{number}", station="S09", counter=10_000 + number, sheet=f"R/1/{number}",
        kind="laminate", roll="R", lane=1, start_um=number * 104_000, end_um=number * 104_000 + 102_000,
    )  # fmt: skip


async def test_every_tag_and_state_of_the_line_stands_where_the_address_says(plant: Hosted) -> None:
    async with client_of(plant.endpoint) as (client, index):
        paths = [node_path(PLACE, s.code, "Tags", tag.name) for s in LINE.stations for tag in s.tags]
        paths += [node_path(PLACE, s.code, "Status", name) for s in LINE.stations for name in STATUS_NAMES]
        paths += [node_path(PLACE, s.code, "Parts", name) for s in LINE.stations for name in ("Counter", "Ring")]
        values = await client.read_values([client.get_node(ua.NodeId(path, index)) for path in paths])
        assert len(values) == len(paths)
        assert await client.get_node(ua.NodeId(f"{line_path(PLACE)}/IsSimulated", index)).read_value() is True


async def test_a_tag_tells_its_unit_normal_range_and_alarm_limits(plant: Hosted) -> None:
    async with client_of(plant.endpoint) as (client, index):
        path = node_path(PLACE, "S03", "Tags", "WebSpeed")
        node = client.get_node(ua.NodeId(path, index))
        assert await node.read_type_definition() == ua.NodeId(ua.ObjectIds.AnalogItemType)
        properties = {(await child.read_browse_name()).Name: child for child in await node.get_properties()}
        tag = LINE.tag("S03.WebSpeed")
        units = await properties["EngineeringUnits"].read_value()
        assert (units.UnitId, units.NamespaceUri) == (unit(tag.unit).unit_id, UNECE_NAMESPACE_URI)
        assert units.DisplayName.Text == "m/min"
        eu_range = await properties["EURange"].read_value()
        assert (eu_range.Low, eu_range.High) == (tag.normal_low, tag.normal_high)
        limits = await properties["InstrumentRange"].read_value()
        assert (limits.Low, limits.High) == (tag.alarm_low, tag.alarm_high)


async def test_a_tag_arrives_with_plant_time_as_its_source_time(plant: Hosted) -> None:
    async with client_of(plant.endpoint) as (client, index):
        subscription = await client.create_subscription(50)
        path = node_path(PLACE, "S03", "Tags", "WebSpeed")
        await subscription.subscribe_data_change(client.get_node(ua.NodeId(path, index)), queuesize=10)
        await plant.push(plant.server.push_tags({"S03.WebSpeed": 1.25, "S13.PinIn": 0.0}, NOON_NS))
        async with asyncio.timeout(5):
            while True:
                event = await subscription.next_event(5)
                if isinstance(event, DataChangeEvent) and event.value == 1.25:
                    break
        moment = event.data.monitored_item.Value.SourceTimestamp
        assert moment is not None
        assert moment.replace(tzinfo=UTC).timestamp() == pytest.approx(NOON_NS / 1e9, abs=1e-6)
        assert await client.get_node(ua.NodeId(node_path(PLACE, "S13", "Tags", "PinIn"), index)).read_value() is False
        await subscription.delete()


async def test_states_are_words(plant: Hosted) -> None:
    async with client_of(plant.endpoint) as (client, index):
        state = StationState(at_ns=NOON_NS, station="S03", state="Held", stop_reason="web break", starved=True)
        await plant.push(plant.server.push_states([state]))
        paths = [node_path(PLACE, "S03", "Status", name) for name in ("StateCurrent", "StopReason", "EquipmentStarved")]
        found = await client.read_values([client.get_node(ua.NodeId(path, index)) for path in paths])
        assert found == ["Held", "web break", True]


async def test_record_n_stands_at_n_modulo_the_ring_and_the_ring_is_written_before_the_counter(plant: Hosted) -> None:
    async with client_of(plant.endpoint) as (client, index):
        count = RING_SIZE + 3
        counter = client.get_node(ua.NodeId(node_path(PLACE, "S09", "Parts", "Counter"), index))
        ring = client.get_node(ua.NodeId(node_path(PLACE, "S09", "Parts", "Ring"), index))
        sheets = [sheet(number) for number in range(1, count + 1)]
        pushing = asyncio.create_task(plant.push(plant.server.push_parts(sheets)))
        reached = 0
        while reached < count:
            reached = await counter.read_value()
            records = await ring.read_value()
            if reached:
                newest = decoded(records[reached % RING_SIZE])
                assert isinstance(newest, SheetCut)
                assert newest.counter >= reached
        await pushing
        records = await ring.read_value()
        for number in range(count - RING_SIZE + 1, count + 1):
            record = decoded(records[number % RING_SIZE])
            assert isinstance(record, SheetCut)
            assert (record.counter, record.id) == (number, f"s{number}")


async def test_part_records_survive_a_restart_of_the_plant(plant: Hosted) -> None:
    first = [msgspec.structs.replace(sheet(number), station="S10") for number in range(1, 5)]
    await plant.push(plant.server.push_parts(first[:3]))
    kept = msgspec.json.decode(msgspec.json.encode(plant.server.rings), type=dict[str, RingState])
    async with plant_server(LINE, 0) as server, client_of(server.endpoint) as (client, index):
        await server.restore_rings(kept, NOON_NS)
        await server.push_parts(first[3:])
        ring = await client.get_node(ua.NodeId(node_path(PLACE, "S10", "Parts", "Ring"), index)).read_value()
        assert [bool(text) for text in ring[:6]] == [False, True, True, True, True, False]
        counter = client.get_node(ua.NodeId(node_path(PLACE, "S10", "Parts", "Counter"), index))
        assert await counter.read_value() == 4


async def test_a_client_cannot_write(plant: Hosted) -> None:
    async with client_of(plant.endpoint) as (client, index):
        node = client.get_node(ua.NodeId(node_path(PLACE, "S03", "Tags", "WebSpeed"), index))
        with pytest.raises(ua.UaStatusCodeError):
            await node.write_value(ua.Variant(9.0, ua.VariantType.Double))


async def test_a_taken_port_is_named(plant: Hosted) -> None:
    port = int(plant.endpoint.split(":")[2].split("/")[0])
    with pytest.raises(PlcError, match=f"127.0.0.1:{port}"):
        async with plant_server(LINE, port):
            pass

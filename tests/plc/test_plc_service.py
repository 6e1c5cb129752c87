"""The plc role between a real OPC-UA server and a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec

from line.address import RING_SIZE
from line.config import BrokerSettings, Site
from line.events import AnyEvent, LinkState, RollEnded, StationState, TagBatch, TagGap
from line.service import Service, open_service
from plc.service import serve

PlcMaker = Callable[..., AbstractAsyncContextManager[Any]]
Kind = TypeVar("Kind")


def record(number: int) -> RollEnded:
    return RollEnded(at_ns=10**18 + number, station="S03", counter=number, roll=f"FR-{number}", length_um=number)


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[None]:
    task = asyncio.create_task(serve(site))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(service: Service, seen: Callable[[list[AnyEvent]], bool]) -> list[AnyEvent]:
    """Everything heard until it is enough."""
    found: list[AnyEvent] = []
    async with asyncio.timeout(30):
        async for event in service.heard():
            found.append(event)
            if seen(found):
                return found
    raise AssertionError


def of(found: list[AnyEvent], kind: type[Kind]) -> list[Kind]:
    return [event for event in found if isinstance(event, kind)]


def at(site: Site, port: int, stale_s: float = 10.0) -> Site:
    settings = msgspec.structs.replace(
        site.plc, endpoint=f"opc.tcp://127.0.0.1:{port}", publish_ms=100, stale_s=stale_s
    )
    return msgspec.structs.replace(site, plc=settings)


async def test_tags_states_and_part_records_reach_the_bus(
    site: Site, broker: BrokerSettings, port: int, plc_at: PlcMaker
) -> None:
    async with plc_at(port) as plc, open_service("twin", site) as twin, running(at(site, port)):
        twin.hear()
        await until(twin, lambda found: bool(of(found, LinkState)))
        await plc.tag("S03", "WebSpeed", 1.03)
        await plc.write("lamella/pilot/assb/line-1/S03/Status/StateCurrent", "Execute")
        await plc.record(record(number) for number in range(1, 6))
        found = await until(twin, lambda found: len(of(found, RollEnded)) == 5 and len(of(found, StationState)) >= 1)
        found += await until(twin, lambda _: True)
    samples = [sample for batch in of(found, TagBatch) for sample in batch.samples]
    assert ("S03.WebSpeed", 1.03) in [(sample.tag, sample.value) for sample in samples]
    assert "Execute" in [state.state for state in of(found, StationState)]
    assert [event.counter for event in of(found, RollEnded)] == [1, 2, 3, 4, 5]
    assert all(batch.simulated for batch in of(found, TagBatch))


async def test_records_written_while_the_link_was_down_are_caught_up_once(
    site: Site, broker: BrokerSettings, port: int, plc_at: PlcMaker
) -> None:
    async with plc_at(port) as plc, open_service("twin", site) as twin:
        twin.hear()
        async with running(at(site, port)):
            await until(twin, lambda found: bool(of(found, LinkState)))
            await plc.record([record(1), record(2)])
            await until(twin, lambda found: len(of(found, RollEnded)) == 2)
        await plc.record(record(number) for number in range(3, 9))
        async with running(at(site, port)):
            found = await until(twin, lambda found: len(of(found, RollEnded)) == 6)
            await plc.record([record(9)])
            found += await until(twin, lambda found: len(of(found, RollEnded)) == 1)
    assert [event.counter for event in of(found, RollEnded)] == [3, 4, 5, 6, 7, 8, 9]
    assert not [gap for gap in of(found, TagGap) if gap.tag.endswith(".Parts")]


async def test_records_that_the_ring_lost_are_stated_as_a_gap(
    site: Site, broker: BrokerSettings, port: int, plc_at: PlcMaker
) -> None:
    async with plc_at(port) as plc, open_service("twin", site) as twin:
        twin.hear()
        await plc.record(record(number) for number in range(1, RING_SIZE + 11))
        async with running(at(site, port)):
            found = await until(
                twin, lambda found: len(of(found, RollEnded)) == RING_SIZE and len(of(found, TagGap)) >= 1
            )
    [gap] = [gap for gap in of(found, TagGap) if gap.tag == "S03.Parts"]
    assert (gap.expected_count, gap.received_count, gap.lost_count) == (RING_SIZE + 10, RING_SIZE, 10)


async def test_a_server_that_is_silent_is_down_not_up(
    site: Site, broker: BrokerSettings, port: int, plc_at: PlcMaker
) -> None:
    async with plc_at(port), open_service("twin", site) as twin, running(at(site, port, stale_s=1.0)):
        twin.hear()
        found = await until(twin, lambda found: [state.state for state in of(found, LinkState)][-2:] == ["up", "down"])
        assert "silent" in of(found, LinkState)[-1].detail
        await until(twin, lambda found: bool(of(found, LinkState)) and of(found, LinkState)[-1].state == "up")

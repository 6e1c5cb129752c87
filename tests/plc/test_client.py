"""The OPC-UA client against asyncua's own server."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua.ua import uaerrors

from line.address import NAMESPACE_URI, node_path
from line.errors import PlcError
from line.model import LineModel
from plc.client import DRIVER_ERRORS, Change, PlcSession, Wanted, plc_session

PlcMaker = Callable[..., AbstractAsyncContextManager[Any]]


def wanted(line: LineModel, *names: str) -> list[Wanted]:
    place = line.identity
    return [Wanted(key=name, node=f"s={node_path(place, 'S03', 'Tags', name)}", sampling_ms=100) for name in names]


async def collect(session: PlcSession, count: int) -> list[Change]:
    found: list[Change] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await session.changes(0.5)
    return found


async def test_values_arrive_with_their_source_time_and_quality(line: LineModel, port: int, plc_at: PlcMaker) -> None:
    at = datetime(2026, 11, 24, 8, 0, 0, 250_000, tzinfo=UTC)
    async with plc_at(port) as plc, plc_session(f"opc.tcp://127.0.0.1:{port}", NAMESPACE_URI, 100) as session:
        live = await session.watch(wanted(line, "WebSpeed", "PumpFlow"))
        assert live.keys == {"WebSpeed", "PumpFlow"}
        await collect(session, 2)
        await plc.tag("S03", "WebSpeed", 1.02, at=at)
        await plc.tag("S03", "PumpFlow", 29.3, at=at, status=uaerrors.BadSensorFailure.code)
        changes = {change.key: change for change in await collect(session, 2)}
    assert changes["WebSpeed"].value == 1.02
    assert changes["WebSpeed"].source_ns == 1_795_507_200_250_000_000
    assert changes["WebSpeed"].quality == "good"
    assert changes["PumpFlow"].quality == "bad"


async def test_a_bad_node_does_not_stop_the_rest(line: LineModel, port: int, plc_at: PlcMaker) -> None:
    async with plc_at(port), plc_session(f"opc.tcp://127.0.0.1:{port}", NAMESPACE_URI, 100) as session:
        live = await session.watch(wanted(line, "WebSpeed", "NoSuchTag"))
        assert live.keys == {"WebSpeed"}
        assert live.refused == {"NoSuchTag": "BadNodeIdUnknown"}
        assert {change.key for change in await collect(session, 1)} == {"WebSpeed"}


async def test_nodes_are_found_by_namespace_uri_wherever_its_index_is(
    line: LineModel, port: int, plc_at: PlcMaker
) -> None:
    async with (
        plc_at(port, extra_namespaces=3),
        plc_session(f"opc.tcp://127.0.0.1:{port}", NAMESPACE_URI, 100) as session,
    ):
        assert (await session.watch(wanted(line, "WebSpeed"))).keys == {"WebSpeed"}
        with pytest.raises(PlcError, match="urn:nowhere"):
            async with plc_session(f"opc.tcp://127.0.0.1:{port}", "urn:nowhere", 100) as other:
                await other.watch(wanted(line, "WebSpeed"))


async def test_changes_are_not_dropped_when_we_are_slow(line: LineModel, port: int, plc_at: PlcMaker) -> None:
    async with plc_at(port) as plc, plc_session(f"opc.tcp://127.0.0.1:{port}", NAMESPACE_URI, 100) as session:
        await session.watch(wanted(line, "WebSpeed"))
        await collect(session, 1)
        for number in range(1, 101):
            await plc.tag("S03", "WebSpeed", float(number))
            await asyncio.sleep(0.01)
        changes = await collect(session, 100)
    assert [change.value for change in changes] == [float(number) for number in range(1, 101)]


async def test_a_server_that_is_not_there_is_named(port: int) -> None:
    with pytest.raises(PlcError, match=f"{port}: cannot connect"):
        async with plc_session(f"opc.tcp://127.0.0.1:{port}", NAMESPACE_URI, 100):
            pass


_SERVER = """
import asyncio, sys
from asyncua import Server, ua
from line.address import NAMESPACE_URI
async def main():
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:" + sys.argv[1])
    index = await server.register_namespace(NAMESPACE_URI)
    await server.nodes.objects.add_variable(ua.NodeId("x", index), "x", 1.0)
    async with server:
        print("up", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_a_server_that_is_killed_is_a_plc_error(port: int) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SERVER, str(port), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert server.stdout is not None
    assert await server.stdout.readline() == b"up\n"
    async with asyncio.timeout(30):
        with pytest.raises(PlcError):
            async with plc_session(f"opc.tcp://127.0.0.1:{port}", NAMESPACE_URI, 100) as session:
                await session.watch([Wanted(key="x", node="s=x", sampling_ms=100)])
                await collect(session, 1)
                server.kill()
                await server.wait()
                await session.changes(1.0)
                await session.read(["s=x"])


def test_every_error_of_the_driver_is_one_we_translate() -> None:
    kinds = [kind for _, kind in inspect.getmembers(uaerrors, inspect.isclass) if issubclass(kind, Exception)]
    assert len(kinds) > 200
    assert [kind for kind in kinds if not issubclass(kind, DRIVER_ERRORS)] == []

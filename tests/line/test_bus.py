"""The bus against real brokers: the embedded one and mosquitto."""

from __future__ import annotations

import asyncio
import logging
import uuid

import pytest
from iotcore import Broker

from lamella.broker import broker_config
from line.bus import connect
from line.config import BrokerSettings, Site
from line.errors import DeadlineError


@pytest.fixture(params=["broker", "mosquitto"])
def address(request: pytest.FixtureRequest) -> BrokerSettings:
    found: BrokerSettings = request.getfixturevalue(request.param)
    return found


def name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


async def test_what_is_published_is_heard_once_and_acknowledged(address: BrokerSettings) -> None:
    async with asyncio.timeout(20), connect(address, name()) as speaker, connect(address, name()) as listener:
        listener.subscribe("a/#")
        await asyncio.gather(speaker.connected.wait(), listener.connected.wait())
        await asyncio.sleep(0.2)
        for number in range(50):
            await speaker.publish("a/b", str(number).encode())
        heard: list[bytes] = []
        while len(heard) < 50:
            for message in await listener.heard():
                heard.append(message.payload)
                listener.acknowledge(message)
    assert heard == [str(number).encode() for number in range(50)]


async def test_a_listener_that_comes_back_gets_what_it_had_not_acknowledged(address: BrokerSettings) -> None:
    client = name()
    async with asyncio.timeout(20), connect(address, name()) as speaker:
        async with connect(address, client) as listener:
            listener.subscribe("a/b")
            await listener.connected.wait()
            await asyncio.sleep(0.2)
            await speaker.publish("a/b", b"1")
            await listener.heard()
        await speaker.publish("a/b", b"2")
        heard: set[bytes] = set()
        async with connect(address, client) as listener:
            while heard != {b"1", b"2"}:
                for message in await listener.heard():
                    heard.add(message.payload)
                    listener.acknowledge(message)


async def test_the_last_word_of_one_who_dies_is_retained(address: BrokerSettings) -> None:
    async with asyncio.timeout(20), connect(address, name()) as listener:
        async with connect(address, name(), will=("a/state", b"offline")) as dying:
            await dying.connected.wait()
            dying._client._sock_close()
            dying._client.loop_stop()
        await asyncio.sleep(0.5)
        listener.subscribe("a/state")
        [message] = await listener.heard()
    assert (message.payload, message.retained) == (b"offline", True)


async def test_a_question_is_answered_and_one_nobody_answers_meets_its_deadline(address: BrokerSettings) -> None:
    async def handler(payload: bytes) -> bytes:
        return payload.upper()

    async with asyncio.timeout(20), connect(address, name()) as asker, connect(address, name()) as answerer:
        answerer.answer("twin/ask", handler)
        await asyncio.gather(asker.connected.wait(), answerer.connected.wait())
        await asyncio.sleep(0.2)
        assert await asker.ask("twin/ask", b"where?") == b"WHERE?"
        with pytest.raises(DeadlineError, match="nobody/ask"):
            await asker.ask("nobody/ask", b"?", deadline_s=0.3)


async def test_publishing_waits_for_a_broker_that_is_away_and_loses_nothing(site: Site) -> None:
    async with asyncio.timeout(40), connect(site.broker, name()) as speaker:
        early = asyncio.create_task(speaker.publish("a/b", b"early", retain=True))
        await asyncio.sleep(0.5)
        assert not early.done()
        with Broker(config_path=str(broker_config(site))):
            await early
            async with connect(site.broker, name()) as listener:
                listener.subscribe("a/b")
                [message] = await listener.heard()
                listener.acknowledge(message)
    assert message.payload == b"early"


async def test_answers_that_overtake_events_do_not_break_the_connection(
    address: BrokerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(payload: bytes) -> bytes:
        return payload

    caplog.set_level(logging.INFO, "line.bus")
    async with asyncio.timeout(20), connect(address, name()) as speaker, connect(address, name()) as listener:
        listener.subscribe("a/#")
        speaker.answer("q/x", answer)
        await asyncio.gather(speaker.connected.wait(), listener.connected.wait())
        await asyncio.sleep(0.2)
        for number in range(20):
            await speaker.publish("a/b", str(number).encode())
            waiting = await listener.heard()
            assert await listener.ask("q/x", b"?") == b"?"
            assert [message.payload for message in waiting] == [str(number).encode()]
            for message in waiting:
                listener.acknowledge(message)
        await asyncio.sleep(0.2)
        assert "disconnected" not in caplog.text

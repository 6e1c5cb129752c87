"""The life of a service against a real broker."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
from iotcore import Broker

from lamella.broker import broker_config
from line.config import BrokerSettings, Site, written
from line.events import AnyEvent, Heartbeat, RollEnded, RollStarted, ServiceState, encoded
from line.evidence import Evidence
from line.http import site_token
from line.ids import event_id
from line.journal import read_entries
from line.service import Service, open_service


def roll(number: int) -> RollStarted:
    return RollStarted(at_ns=10**18 + number, station="S03", counter=number, roll=f"FR-{number}", web="film")


async def hear(service: Service, count: int) -> list[AnyEvent]:
    found: list[AnyEvent] = []
    async for event in service.heard():
        if event.seq:
            found.append(event)
        if len(found) == count:
            return found
    raise AssertionError


async def test_what_one_service_emits_another_hears_durably_and_in_order(site: Site, broker: BrokerSettings) -> None:
    async with asyncio.timeout(20), open_service("plc", site) as plc, open_service("twin", site) as twin:
        twin.hear(RollStarted)
        await asyncio.gather(plc.bus.connected.wait(), twin.bus.connected.wait())
        await asyncio.sleep(0.2)
        sent = await plc.emit(*(roll(number) for number in range(1, 21)))
        heard = await hear(twin, 20)
        assert heard == sent
        assert [event.seq for event in heard] == list(range(1, 21))
        assert {event.source for event in heard} == {"plc@test"}
        path = site.state_dir / "journals" / "twin.journal"
        assert [entry.id for entry in read_entries(path, own=False)] == [event.id for event in sent]


async def test_an_event_that_brings_its_id_is_emitted_once(site: Site, broker: BrokerSettings) -> None:
    async with asyncio.timeout(20), open_service("plc", site) as plc:
        known = msgspec.structs.replace(roll(1), id=event_id(1, "S03:1"))
        assert len(await plc.emit(known)) == 1
        assert await plc.emit(known) == []
        [again] = await plc.emit(roll(2))
        assert again.seq == 2


async def test_events_made_while_the_broker_is_away_arrive_when_it_is_back(site: Site) -> None:
    async with asyncio.timeout(60):
        async with open_service("plc", site) as plc:
            await plc.emit(roll(1), roll(2))
            assert plc.outbox_count() == 2
        async with open_service("plc", site) as plc, open_service("twin", site) as twin:
            await plc.emit(roll(3))
            twin.hear()
            with Broker(config_path=str(broker_config(site))):
                heard = [event for event in await hear(twin, 3) if isinstance(event, RollStarted)]
                assert sorted(event.roll for event in heard) == ["FR-1", "FR-2", "FR-3"]
                while plc.outbox_count():  # noqa: ASYNC110 - the outbox tells nobody
                    await asyncio.sleep(0.05)


async def test_a_message_of_a_newer_version_is_not_asked_for_again(site: Site, broker: BrokerSettings) -> None:
    async with asyncio.timeout(20), open_service("plc", site) as plc, open_service("twin", site) as twin:
        twin.hear()
        await asyncio.gather(plc.bus.connected.wait(), twin.bus.connected.wait())
        await asyncio.sleep(0.2)
        await plc.bus.publish(plc.topics.of(roll(1)), b'{"type":"of_tomorrow","source":"box@test","seq":1}')
        later = msgspec.structs.replace(roll(2), id=event_id(2), source="box@test", seq=2)
        await plc.bus.publish(plc.topics.of(later), encoded(later))
        assert await hear(twin, 1) == [later]
        assert twin.missing_count() == 0


async def test_a_malformed_message_is_refused_and_counted_and_the_next_one_is_heard(
    site: Site, broker: BrokerSettings
) -> None:
    async with asyncio.timeout(20), open_service("plc", site) as plc, open_service("twin", site) as twin:
        twin.hear(RollStarted, RollEnded)
        await asyncio.gather(plc.bus.connected.wait(), twin.bus.connected.wait())
        await asyncio.sleep(0.2)
        await plc.bus.publish(plc.topics.of(roll(1)), b'{"type":"roll_started","at_ns":"soon"}')
        await plc.emit(roll(2))
        [event] = await hear(twin, 1)
        assert isinstance(event, RollStarted)
        assert twin.counters["messages_refused_total"] == 1


async def test_every_service_says_that_it_lives_and_that_it_goes(site: Site, broker: BrokerSettings) -> None:
    async with asyncio.timeout(20), open_service("twin", site) as twin:
        twin.hear(ServiceState, Heartbeat)
        async with open_service("plc", site):
            seen: set[str] = set()
            async for event in twin.heard():
                seen.add(event.state if isinstance(event, ServiceState) else type(event).__name__)
                if {"online", "Heartbeat"} <= seen:
                    break
        async for event in twin.heard():
            if isinstance(event, ServiceState) and event.state == "offline":
                break


async def test_health_metrics_and_evidence_are_served(site: Site, broker: BrokerSettings) -> None:
    digest = Evidence(site.state_dir / "evidence").put(b"a picture")
    token = site_token(site.state_dir)
    assert (site.state_dir / "token").stat().st_mode & 0o077 == 0

    def get(path: str, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(f"{url}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    async with asyncio.timeout(20), open_service("vision", site) as service:
        url = service.url
        await service.bus.connected.wait()
        assert (await asyncio.to_thread(get, "/healthz"))[0] == 200
        status, body = await asyncio.to_thread(get, "/readyz")
        assert (status, json.loads(body)["reasons"]) == (503, ["starting"])
        service.ready = ""
        assert (await asyncio.to_thread(get, "/readyz"))[0] == 200
        service.count("frames_total", 3)
        assert b'lamella_frames_total{role="vision"} 3' in (await asyncio.to_thread(get, "/metrics"))[1]
        assert (await asyncio.to_thread(get, f"/evidence/{digest}"))[0] == 401
        assert (await asyncio.to_thread(lambda: get(f"/evidence/{digest}", Authorization="Bearer nonsense")))[0] == 401
        authorised = {"Authorization": f"Bearer {token}"}
        assert await asyncio.to_thread(lambda: get(f"/evidence/{digest}", **authorised)) == (200, b"a picture")
        assert (await asyncio.to_thread(lambda: get("/evidence/../token", **authorised)))[0] == 404
        assert (await asyncio.to_thread(get, "/nothing"))[0] == 404


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from line.config import site_from
from line.errors import PlcError
from line.service import open_service, run_service
async def serve(site):
    async with open_service("plc", site) as service:
        print("up", flush=True)
        if sys.argv[2] == "fail":
            raise PlcError("the PLC is gone")
        await asyncio.Event().wait()
sys.exit(run_service("plc", site_from(Path(sys.argv[1])), serve))
"""


def started(site: Site, tmp_path: Path, how: str) -> subprocess.Popen[str]:
    file = tmp_path / "site.toml"
    file.write_text(written(site))
    command = [sys.executable, "-c", _PROGRAM, str(file), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_sigterm_ends_a_service_with_status_0(site: Site, broker: BrokerSettings, tmp_path: Path) -> None:
    with started(site, tmp_path, "wait") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=10)
        assert process.returncode == 0, said


def test_a_failure_nobody_handles_ends_it_with_status_1_and_its_reason(
    site: Site, broker: BrokerSettings, tmp_path: Path
) -> None:
    with started(site, tmp_path, "fail") as process:
        _, said = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "the PLC is gone" in said

"""The console's socket, on a real broker, with a twin that answers by script."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from lamella.web.hub import Hub
from lamella.web.twin import Twin
from line.bus import connect as connect_bus
from line.config import BrokerSettings, Site
from line.events import CellMade, LinkState, RollStarted, StationState
from line.topics import topics_of
from tests.lamella.canned import (
    CELL,
    NOW_NS,
    ROLL,
    STACK,
    CannedLine,
    camera_checked,
    film_defect,
    film_pattern,
    film_profile,
)
from tests.lamella.rig import Rig, running_console


@pytest.fixture
async def rig(site: Site, broker: BrokerSettings) -> AsyncIterator[Rig]:
    async with running_console(site) as found:
        yield found


@pytest.fixture
async def page(rig: Rig) -> AsyncIterator[ClientConnection]:
    async with connect(address(rig), max_size=None, proxy=None) as found:
        yield found


NONSENSE = ("not json", '{"op":"sub","ch":"nonsense"}', '{"op":"sub","ch":"roll:"}', '{"op":"drop","ch":"line"}')


def address(rig: Rig) -> str:
    return f"{rig.url.replace('http', 'ws', 1)}/api/v1/ws"


async def say(page: ClientConnection, op: str, channel: str) -> None:
    await page.send(json.dumps({"op": op, "ch": channel}))


async def heard(
    page: ClientConnection, wanted: Callable[[dict[str, Any]], object], seconds: float = 6
) -> dict[str, Any]:
    """The first message that is wanted."""
    async with asyncio.timeout(seconds):
        while True:
            message: dict[str, Any] = json.loads(await page.recv())
            if wanted(message):
                return message


def is_a(op: str, channel: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message["op"] == op and message.get("ch") == channel


async def test_a_channel_begins_with_a_snapshot_and_its_deltas_follow_without_a_hole(page: ClientConnection) -> None:
    await say(page, "sub", "line")
    snapshot = await heard(page, is_a("snapshot", "line"))
    assert len(snapshot["data"]["stations"]) == 19
    seen = snapshot["seq"]
    for _ in range(3):
        delta = await heard(page, is_a("delta", "line"))
        assert delta["prev"] == seen
        assert delta["seq"] > seen
        seen = delta["seq"]


async def test_a_defect_is_on_the_page_long_before_the_twin_is_asked_again(rig: Rig, page: ClientConnection) -> None:
    await say(page, "sub", f"roll:{ROLL}")
    await heard(page, is_a("snapshot", f"roll:{ROLL}"))
    began = time.monotonic()
    await rig.say(film_defect(901, verdict="reject"))
    delta = await heard(page, lambda message: "defects" in message.get("add", {}))
    assert time.monotonic() - began < 0.5
    assert [each["defect"] for each in delta["add"]["defects"]] == [f"{ROLL}/0901"]


async def test_a_station_state_is_on_the_page_at_once(rig: Rig, page: ClientConnection) -> None:
    await say(page, "sub", "line")
    await heard(page, is_a("snapshot", "line"))
    rig.line.states["S07"] = "Aborted"
    await rig.say(StationState(at_ns=NOW_NS, station="S07", state="Aborted"), "plc@test")

    def stopped(message: dict[str, Any]) -> bool:
        stations = message.get("add", {}).get("stations", [])
        return any(each["code"] == "S07" and each["state"]["state"] == "Aborted" for each in stations)

    await heard(page, stopped, 2)


async def test_events_worth_a_line_are_told_with_a_link(rig: Rig, page: ClientConnection) -> None:
    await say(page, "sub", "events")
    await heard(page, is_a("snapshot", "events"))
    await rig.say(RollStarted(at_ns=NOW_NS, station="S03", roll=ROLL, web="film"), "plc@test")
    await rig.say(CellMade(at_ns=NOW_NS, station="S15", cell=CELL, stack=STACK), "plc@test")
    found: list[dict[str, Any]] = []
    while len(found) < 2:
        delta = await heard(page, is_a("delta", "events"))
        found += [each for each in delta["add"]["events"] if each["what"] in {"roll_started", "cell_made"}]
    assert [each["page"] for each in found] == [f"/rolls/{ROLL}", f"/cells/{CELL}"]


async def test_a_cameras_new_state_and_a_new_pattern_are_told_once(rig: Rig, page: ClientConnection) -> None:
    await say(page, "sub", "events")
    await heard(page, is_a("snapshot", "events"))
    for state in ("ok", "drifting", "drifting"):
        await rig.say(camera_checked(state, "focus"))
    for revision, verdict in ((1, "pass"), (1, "review"), (2, "review")):
        await rig.say(
            film_pattern(
                f"p-{verdict}", "repeat", kind="MET", defects=(), defects_count=3, md_start_um=300_000,
                md_end_um=1_000_000, cd_start_um=0, cd_end_um=200, cause="a roller", verdict=verdict, revision=revision,
            )
        )  # fmt: skip
    await rig.say(CellMade(at_ns=NOW_NS, station="S15", cell=CELL, stack=STACK), "plc@test")
    found: list[dict[str, Any]] = []
    while not any(each["what"] == "cell_made" for each in found):
        found += (await heard(page, is_a("delta", "events")))["add"]["events"]
    told = [each for each in found if each["what"] in {"camera", "repeat"}]
    assert [(each["what"], each["page"]) for each in told] == [
        ("camera", ""),
        ("repeat", f"/rolls/{ROLL}?from=0.000&to=1.500&pattern=p-review"),
    ]
    assert told[0]["with"] == {"camera": "fins-1", "state": "drifting", "reason": "focus"}


async def test_of_a_rolls_profiles_only_new_ones_are_sent(rig: Rig, page: ClientConnection) -> None:
    await say(page, "sub", f"roll:{ROLL}")
    snapshot = await heard(page, is_a("snapshot", f"roll:{ROLL}"))
    assert len(snapshot["data"]["profiles"]) == 54
    rig.line.profiles += (film_profile(54),)
    rig.line.gauge += (1.001,)
    await rig.say(RollStarted(at_ns=NOW_NS, station="S03", roll=ROLL, web="film"), "plc@test")
    delta = await heard(page, lambda message: "profiles" in message.get("add", {}))
    assert [each["md_start_um"] for each in delta["add"]["profiles"]] == [54_000_000]
    assert len(delta["set"]["gauge_mass_fraction"]) == 55


async def test_the_heartbeat_says_plant_time_age_and_that_it_is_simulated(page: ClientConnection) -> None:
    await heard(page, lambda message: message["op"] == "beat")
    began = time.monotonic()
    beat = await heard(page, lambda message: message["op"] == "beat" and message["data_age_s"] is not None)
    assert time.monotonic() - began < 1.5
    assert beat["plant"].startswith("2026-11-24T06:00:00")
    assert beat["simulated"] is True
    assert 0 <= beat["data_age_s"] < 3


async def test_a_silent_twin_and_a_link_that_is_down_are_named_as_stale(rig: Rig, page: ClientConnection) -> None:
    await rig.say(LinkState(at_ns=NOW_NS, link="opcua", endpoint="opc.tcp://x", state="down"), "plc@test")
    await heard(page, lambda message: message.get("stale") == ["link:opcua"])
    rig.talking.clear()
    beat = await heard(page, lambda message: "twin" in message.get("stale", []), 9)
    assert beat["answer_age_s"] > 3
    rig.talking.set()
    await heard(page, lambda message: message.get("stale") == ["link:opcua"], 9)


async def test_an_unknown_thing_is_said_to_be_unknown(page: ClientConnection) -> None:
    await say(page, "sub", "cell:NOPE")
    message = await heard(page, is_a("unknown", "cell:NOPE"))
    assert "'NOPE' is not known" in message["detail"]


@pytest.mark.parametrize("wish", NONSENSE)
async def test_a_wish_that_makes_no_sense_is_refused_and_the_socket_stays(page: ClientConnection, wish: str) -> None:
    await page.send(wish)
    await heard(page, lambda message: message["op"] == "refused")
    await say(page, "sub", "line")
    await heard(page, is_a("snapshot", "line"))


async def test_a_page_watches_a_bounded_number_of_channels(page: ClientConnection) -> None:
    for number in range(17):
        await say(page, "sub", f"roll:R{number}")
    message = await heard(page, lambda message: message["op"] == "refused")
    assert "at most 16" in message["detail"]


async def test_a_foreign_page_gets_no_socket(rig: Rig) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        async with connect(address(rig), origin=Origin("https://evil.example"), proxy=None):
            pass


async def test_a_page_that_unsubscribes_hears_no_more_of_the_channel(rig: Rig, page: ClientConnection) -> None:
    await say(page, "sub", f"roll:{ROLL}")
    await heard(page, is_a("snapshot", f"roll:{ROLL}"))
    await say(page, "unsub", f"roll:{ROLL}")
    await asyncio.sleep(0.2)
    await rig.say(film_defect(902))
    with pytest.raises(TimeoutError):
        await heard(page, is_a("delta", f"roll:{ROLL}"), 1.5)


async def test_a_link_that_changes_is_told_without_a_page_of_its_own(rig: Rig, page: ClientConnection) -> None:
    await say(page, "sub", "events")
    await heard(page, is_a("snapshot", "events"))
    await rig.say(LinkState(at_ns=NOW_NS, link="opcua", endpoint="opc.tcp://x", state="up"), "plc@test")
    await rig.say(LinkState(at_ns=NOW_NS, link="opcua", endpoint="opc.tcp://x", state="stale"), "plc@test")

    def links(message: dict[str, Any]) -> list[dict[str, Any]]:
        return [each for each in message.get("add", {}).get("events", []) if each["what"] == "link"]

    (event,) = links(await heard(page, links))
    assert event["with"] == {"link": "opcua", "state": "stale", "detail": ""}
    assert event["page"] == ""


async def test_a_twin_that_has_heard_nothing_or_catches_up_has_no_pace(site: Site, broker: BrokerSettings) -> None:
    second_ns = 10**9
    line = CannedLine()
    async with connect_bus(site.broker, "paced", lasting=False) as bus:
        topics = topics_of(line.model, site.broker.topic_root)
        hub = Hub(bus, topics, Twin(bus, topics))
        for wall_s in range(4):
            hub._keep_pace(float(wall_s), 0)
        assert hub._speed() is None, "a twin that folded nothing has no plant time"
        for wall_s in range(4, 7):
            hub._keep_pace(float(wall_s), NOW_NS + 60 * wall_s * second_ns)
        assert hub._speed() == pytest.approx(60)
        later_ns = NOW_NS + 86_400 * second_ns
        hub._keep_pace(7.0, later_ns)
        assert hub._speed() is None, "a day in a second is a jump"
        for wall_s in (8, 9):
            hub._keep_pace(float(wall_s), later_ns + 600 * (wall_s - 7) * second_ns)
        assert hub._speed() == pytest.approx(600)

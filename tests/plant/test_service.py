"""The plant as a role: a real broker, a real OPC-UA client, real spools."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from asyncua import Client, ua

from line.address import NAMESPACE_URI, line_path, node_path
from line.bus import Bus, connect
from line.commands import Command, Done, InjectFault, SetSpeed
from line.config import BrokerSettings, PlantSettings, Site
from line.errors import ConfigError
from line.events import AnyEvent, FilmDefect, StripInspected, decoded
from line.frames import CornerHeader, StripHeader, read_frame, waiting
from line.journal import read_entries
from line.model import load_line
from line.topics import topics_of
from plant.opening import PAST, Opened, opened
from plant.service import prepare, serve

LINE = load_line()
HISTORY_WEEKS = 0.1
"""Long enough to open in the middle of a roll."""


@pytest.fixture
def plant_site(site: Site) -> Site:
    return msgspec.structs.replace(site, plant=PlantSettings(history_weeks=HISTORY_WEEKS, speed=4.0, hidden_seed=3))


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[str]:
    """The role in this loop; yields its endpoint."""
    file = site.state_dir / "plant" / "endpoint"
    file.unlink(missing_ok=True)
    task = asyncio.create_task(serve(site))
    try:
        async with asyncio.timeout(40):
            while not file.exists():
                if task.done():
                    await task
                await asyncio.sleep(0.05)
        yield file.read_text()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def ask(bus: Bus, site: Site, command: Command | bytes) -> Done:
    topic = topics_of(LINE, site.broker.topic_root).command("plant", "do")
    payload = command if isinstance(command, bytes) else msgspec.json.encode(command)
    return msgspec.json.decode(await bus.ask(topic, payload, deadline_s=10), type=Done)


async def frame_of(spool: Path, seconds: float = 20.0) -> Path:
    """The oldest frame that waits, once there is one."""
    async with asyncio.timeout(seconds):
        while not waiting(spool):  # noqa: ASYNC110 - a spool is a folder; there is nothing to wait on
            await asyncio.sleep(0.05)
    return waiting(spool)[0]


async def until_drawn(bus: Bus) -> list[AnyEvent]:
    found: list[AnyEvent] = []
    async with asyncio.timeout(30):
        while True:
            for message in await bus.heard():
                bus.acknowledge(message)
                found.append(decoded(message.payload))
            if any(isinstance(event, StripInspected) for event in found):
                return found


async def value_of(client: Client, path: str) -> object:
    index = await client.get_namespace_index(NAMESPACE_URI)
    return await client.get_node(ua.NodeId(path, index)).read_value()


async def test_a_plant_shows_tags_film_and_clock_and_obeys_commands(plant_site: Site, broker: BrokerSettings) -> None:
    topics = topics_of(LINE, plant_site.broker.topic_root)
    async with (
        connect(broker, "test", lasting=False) as bus,
        running(plant_site) as endpoint,
        Client(endpoint) as client,
    ):
        bus.subscribe(topics.every(StripInspected))
        bus.subscribe(topics.every(FilmDefect))
        await bus.connected.wait()

        # Pictures: the strip after the past, and the one that follows it without a gap.
        spool = plant_site.state_dir / "spool" / "fins-1"
        headers = []
        for _ in range(2):
            frame = await frame_of(spool)
            header, planes = read_frame(frame)
            frame.unlink()
            assert isinstance(header, StripHeader)
            assert planes.shape == (3, 256, 15_000)
            assert planes[0].mean() == pytest.approx(150, abs=8)
            headers.append(header)
        assert headers[1].encoder_um == headers[0].encoder_um + 5_120
        assert headers[1].strip == headers[0].strip + 1
        assert headers[0].encoder_um == 8_000_000 + headers[0].strip * 5_120
        assert time.time_ns() - headers[1].wall_ns < 20e9

        # Tags and clock.
        speed = await value_of(client, node_path(LINE.identity, "S03", "Tags", "WebSpeed"))
        assert speed == pytest.approx(1.0, abs=0.2)
        assert await value_of(client, node_path(LINE.identity, "S03", "Status", "StateCurrent")) == "Execute"
        # Other work on this machine may hold it up, nothing may hurry it.
        reached = await value_of(client, f"{line_path(LINE.identity)}/Simulation/Speed")
        assert isinstance(reached, float)
        assert 0.5 < reached < 4.4

        # Commands.
        soon_ns = time.time_ns() + 30 * 10**9
        faster = SetSpeed(id="c1", person="me", expires_ns=soon_ns, speed=60.0)
        assert (await ask(bus, plant_site, faster)).ok
        late = await ask(bus, plant_site, SetSpeed(id="c2", person="me", expires_ns=time.time_ns() - 10**9, speed=1.0))
        assert not late.ok
        assert "expired" in late.detail
        garbled = await ask(
            bus, plant_site, b'{"command":"set_speed","id":"c3","person":"me","expires_ns":1,"speed":900}'
        )
        assert not garbled.ok
        assert "speed" in garbled.detail
        unknown = await ask(bus, plant_site, InjectFault(id="c4", person="me", expires_ns=soon_ns, scenario="F99"))
        assert not unknown.ok
        assert "F99" in unknown.detail
        fault = InjectFault(id="c5", person="me", expires_ns=soon_ns, scenario="F01")
        began = await ask(bus, plant_site, fault)
        assert began.ok, began.detail
        assert await ask(bus, plant_site, fault) == began, "the same command again changes nothing"

        # Above what can be rendered, results are drawn and say so.
        drawn = await until_drawn(bus)
        strips = [event for event in drawn if isinstance(event, StripInspected)]
        assert all(event.method == "drawn" and event.simulated for event in strips)
        assert strips[0].source == "plant@test"


async def test_a_plant_goes_on_where_it_stopped(plant_site: Site, broker: BrokerSettings) -> None:
    fresh = opened(plant_site, LINE, lambda _, __: None)
    past = (plant_site.state_dir / PAST).stat().st_mtime_ns
    async with running(plant_site):
        frame = await frame_of(plant_site.state_dir / "spool" / "fins-1")
    header, _ = read_frame(frame)
    assert isinstance(header, StripHeader)
    stopped = opened(plant_site, LINE, lambda _, __: None)
    assert stopped.world.now_ns > fresh.world.now_ns
    assert stopped.shown.place.roll == header.roll
    assert stopped.shown.place.strip > header.strip
    assert set(stopped.shown.rings) == {station.code for station in LINE.stations}
    assert (plant_site.state_dir / PAST).stat().st_mtime_ns == past, "a past is lived once"


def test_a_past_is_prepared_once_and_another_line_is_refused(plant_site: Site) -> None:
    told: list[float] = []
    path = prepare(plant_site, lambda _, share: told.append(share))
    assert told == sorted(told)
    assert sum(1 for _ in read_entries(path)) > 200
    moment = path.stat().st_mtime_ns
    assert prepare(plant_site, lambda _, share: None) == path
    assert path.stat().st_mtime_ns == moment
    other = msgspec.structs.replace(plant_site, plant=msgspec.structs.replace(plant_site.plant, hidden_seed=4))
    with pytest.raises(ConfigError, match="hidden_seed 3"):
        prepare(other, lambda _, share: None)


def test_layers_are_exposed_with_the_stack_s_corners(plant_site: Site) -> None:
    from plant.cameras import StackCamera

    state: Opened = opened(plant_site, LINE, lambda _, __: None)
    folder = plant_site.state_dir / "spool" / "sins"
    camera = StackCamera(state.world, LINE, folder)
    placements = []
    for _ in range(2_000):
        state.world.advance(state.world.now_ns + 120 * 10**9)
        placements = state.world.take_placements()
        if len(placements) > 2:
            break
    assert placements, "stacks are made in the shift"
    camera.see(placements[:2], render=True)
    header, planes = read_frame(waiting(folder)[0])
    assert isinstance(header, CornerHeader)
    assert (header.stack, header.layer) == (placements[0][1].stack, placements[0][1].layer)
    assert planes.shape == (4, 2_000, 2_500)
    assert header.cameras == ("sins-1", "sins-2", "sins-3", "sins-4")

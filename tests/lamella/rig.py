"""A console on a real broker, with a twin and a plant that answer by script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
import msgspec

from lamella.console import URL_FILE, serve
from line import events
from line.bus import Bus, connect
from line.commands import Done, InjectFault, PlantCommand, SetSpeed
from line.config import ConsoleSettings, Site
from line.evidence import Evidence
from line.ids import event_id
from line.model import load_line
from line.queries import AnyQuestion
from line.topics import Topics, topics_of
from tests.lamella.canned import CannedLine, evidence_png


@dataclass(slots=True)
class Rig:
    """What a test holds."""

    url: str
    site: Site
    bus: Bus
    topics: Topics
    line: CannedLine
    orders: list[SetSpeed | InjectFault] = field(default_factory=list)
    talking: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: the twin does not answer."""
    _seq: int = 0
    _console: asyncio.Task[None] | None = None

    async def say(self, event: events.Event, source: str = "vision@test") -> None:
        """Publish an event as a service would."""
        self._seq += 1
        stamped = msgspec.structs.replace(
            event, id=event_id(event.at_ns, f"{source}{self._seq}"), source=source, seq=self._seq
        )
        await self.bus.publish(self.topics.of(stamped), events.encoded(stamped))

    def stop(self) -> None:
        """Stop the console, as a signal would."""
        assert self._console is not None
        self._console.cancel()

    async def stopped(self) -> None:
        """Wait until the console has stopped."""
        assert self._console is not None
        with suppress(asyncio.CancelledError):
            await self._console

    async def twin_answers(self, payload: bytes) -> bytes:
        await self.talking.wait()
        self.line.revision += 1
        return msgspec.json.encode(self.line.answer(msgspec.json.decode(payload, type=AnyQuestion)))

    async def plant_obeys(self, payload: bytes) -> bytes:
        order = msgspec.json.decode(payload, type=PlantCommand)
        self.orders.append(order)
        known = not isinstance(order, InjectFault) or order.scenario.startswith("F")
        return msgspec.json.encode(Done(id=order.id, ok=known, detail="" if known else "no such scenario"))


@asynccontextmanager
async def running_console(site: Site, *, simulated: bool = True) -> AsyncIterator[Rig]:
    """A console with its outside world; the broker runs already at the site's address."""
    site = msgspec.structs.replace(site, console=ConsoleSettings(port=0))
    image = Evidence(site.state_dir / "evidence").put(evidence_png())
    topics = topics_of(load_line(), site.broker.topic_root)
    async with connect(site.broker, "scripted", lasting=False) as bus:
        rig = Rig("", site, bus, topics, CannedLine(image))
        rig.talking.set()
        rig.line.simulated = simulated
        bus.answer(topics.question("twin", "ask"), rig.twin_answers)
        bus.answer(topics.command("plant", "do"), rig.plant_obeys)
        async with asyncio.timeout(10):
            await bus.connected.wait()
        rig._console = console = asyncio.create_task(serve(site), name="console")
        try:
            rig.url = await _ready(site, console)
            yield rig
        finally:
            rig.stop()
            await rig.stopped()


async def _ready(site: Site, console: asyncio.Task[None]) -> str:
    path = site.state_dir / URL_FILE
    async with asyncio.timeout(10):
        while not path.exists():
            if console.done():
                await console
            await asyncio.sleep(0.02)
        url = path.read_text().strip()
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            while True:
                if (await client.get("/readyz")).status_code == httpx.codes.OK:
                    return url
                await asyncio.sleep(0.02)

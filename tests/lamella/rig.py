"""A console on a real broker, with a twin and a plant that answer by script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

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
    silent: bool = False
    """True: the twin does not answer."""
    _seq: int = 0

    async def say(self, event: events.Event, source: str = "vision@test") -> None:
        """Publish an event as a service would."""
        self._seq += 1
        stamped = msgspec.structs.replace(
            event, id=event_id(event.at_ns, f"{source}{self._seq}"), source=source, seq=self._seq
        )
        await self.bus.publish(self.topics.of(stamped), events.encoded(stamped))

    async def twin_answers(self, payload: bytes) -> bytes:
        while self.silent:
            await asyncio.sleep(0.05)
        self.line.revision += 1
        return msgspec.json.encode(self.line.answer(msgspec.json.decode(payload, type=AnyQuestion)))

    async def plant_obeys(self, payload: bytes) -> bytes:
        order = msgspec.json.decode(payload, type=PlantCommand)
        self.orders.append(order)
        known = not isinstance(order, InjectFault) or order.scenario.startswith("F")
        return msgspec.json.encode(Done(id=order.id, ok=known, detail="" if known else "no such scenario"))


@asynccontextmanager
async def running_console(site: Site) -> AsyncIterator[Rig]:
    """A console with its outside world; the broker runs already at the site's address."""
    site = msgspec.structs.replace(site, console=ConsoleSettings(port=0))
    image = Evidence(site.state_dir / "evidence").put(evidence_png())
    topics = topics_of(load_line(), site.broker.topic_root)
    async with connect(site.broker, "scripted", lasting=False) as bus:
        rig = Rig("", site, bus, topics, CannedLine(image))
        bus.answer(topics.question("twin", "ask"), rig.twin_answers)
        bus.answer(topics.command("plant", "do"), rig.plant_obeys)
        async with asyncio.timeout(10):
            await bus.connected.wait()
        console = asyncio.create_task(serve(site), name="console")
        try:
            rig.url = await _listening(site, console)
            yield rig
        finally:
            console.cancel()
            with suppress(asyncio.CancelledError):
                await console


async def _listening(site: Site, console: asyncio.Task[None]) -> str:
    path = site.state_dir / URL_FILE
    async with asyncio.timeout(10):
        while not path.exists():
            if console.done():
                await console
            await asyncio.sleep(0.02)
    return path.read_text().strip()

"""The life of a service: journal, outbox, what it hears, heartbeat, signals, exit status.

    async def serve(site: Site) -> None:
        async with open_service("vision", site) as service, asyncio.TaskGroup() as group:
            group.create_task(inspect(service))

`emit` returns when the events are durable; delivery is the outbox's business. `heard` yields events that are durable
and new. SIGTERM and Ctrl-C cancel; a failure nobody handles leaves the process with status 1.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec

from line import events
from line.bus import UNACKNOWLEDGED_LIMIT, Bus, connect
from line.config import Site
from line.errors import LamellaError, MessageError
from line.events import AnyEvent, Event, Heartbeat, Loop, ServiceState
from line.hearing import PAGE, Hearing, Missing, address_of
from line.http import serve_http
from line.ids import event_id
from line.journal import Entry, Journal, open_journal, read_entries
from line.logs import configure_logging
from line.model import LineModel, load_line
from line.topics import RETAINED, Topics, topics_of

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
_FAREWELL_S = 0.5
_TRIM_S = 600.0
"""How often the journal forgets tag batches beyond what is kept."""


class Service:
    """What a role needs to live on the line. Made by `open_service`."""

    def __init__(self, role: str, site: Site, line: LineModel, journal: Journal, bus: Bus) -> None:
        self.role = role
        self.site = site
        self.line = line
        self.journal = journal
        self.bus = bus
        self.source = source_of(role, site)
        self.topics: Topics = topics_of(line, site.broker.topic_root)
        self.ready = "starting"
        """Empty when ready, else why not; shown by `/readyz`."""
        self.url = ""
        self.counters: dict[str, float] = {}
        """Shown by `/metrics`; names are Prometheus names without the prefix."""
        self._emitting = asyncio.Lock()
        self._fresh = asyncio.Event()
        self._loops: dict[str, tuple[int, float]] = {}
        self._delivered = journal.cursor("outbox")
        self._seq = journal.last_own_seq()
        self._delivered_seq = journal.last_own_seq(self._delivered)
        self._hearing = Hearing(journal, bus, self.topics, self.source, self.count, self.beat)

    async def emit(self, *made: Event) -> list[Event]:
        """Make events durable and due for delivery; returns those that were new, stamped.

        An event that brings its own id is emitted once, however often it is made.
        """
        async with self._emitting:
            known = self.journal.known([event.id for event in made if event.id])
            stamped = []
            for event in made:
                if event.id not in known:
                    self._seq += 1
                    identity = event.id or event_id(event.at_ns)
                    stamped.append(msgspec.structs.replace(event, id=identity, source=self.source, seq=self._seq))
            await self.journal.append([self._entry(event) for event in stamped])
        self._fresh.set()
        return stamped

    def heard_batches(self) -> AsyncIterator[list[AnyEvent]]:
        """Events from others: durable, new, in the order heard, in the batches made durable together."""
        return self._hearing.batches()

    async def heard(self) -> AsyncIterator[AnyEvent]:
        """As `heard_batches`, one by one."""
        async for batch in self.heard_batches():
            for event in batch:
                yield event

    def hear(self, *kinds: type[Event]) -> None:
        """Subscribe to classes of events; none is every event of the line."""
        self._hearing.everything = not kinds
        for topic in [self.topics.every(kind) for kind in kinds] or self.topics.all_events():
            self.bus.subscribe(topic)

    def beat(self, loop: str) -> None:
        """Say that a loop went round."""
        rounds, _ = self._loops.get(loop, (0, 0.0))
        self._loops[loop] = (rounds + 1, time.monotonic())

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter of `/metrics`."""
        self.counters[name] = self.counters.get(name, 0) + amount

    def outbox_count(self) -> int:
        """Own events that the broker has not acknowledged."""
        return self._seq - self._delivered_seq

    async def stop_hearing(self) -> None:
        """End what `heard_batches` has under way."""
        await self._hearing.close()

    def missing_count(self) -> int:
        """Events of others that we know of and do not have."""
        return self._hearing.missing_count()

    async def answer_missing(self, payload: bytes) -> bytes:
        """Give a reader the events of ours that it missed, a page at most."""
        try:
            question = msgspec.json.decode(payload, type=Missing)
        except msgspec.DecodeError as error:
            raise MessageError(f"{error}; the question begins with {payload[:80]!r}") from error
        last = min(question.to_seq, question.from_seq + PAGE - 1)
        return b"[" + b",".join(self.journal.own_payloads(question.from_seq, last)) + b"]"

    def rss_mb(self) -> float:
        """Resident memory of this process [MB]."""
        return rss_mb()

    def _entry(self, event: Event) -> Entry:
        return Entry(event.id, True, event.at_ns, self.topics.of(event), events.encoded(event), event.seq)

    async def deliver(self) -> None:
        """The outbox loop: own entries behind the cursor go to the broker, the cursor follows the acknowledgements."""
        while True:
            self._fresh.clear()
            batch = list(read_entries(self.journal.path, self._delivered, own=True, limit=UNACKNOWLEDGED_LIMIT))
            if not batch:
                await self._fresh.wait()
                continue
            async with asyncio.TaskGroup() as group:
                for entry in batch:
                    retain = entry.topic.split("/")[-2] in RETAINED
                    group.create_task(self.bus.publish(entry.topic, entry.payload, retain=retain))
            self._delivered = batch[-1].position
            self._delivered_seq = batch[-1].seq
            await self.journal.move_cursor("outbox", self._delivered)
            self.beat("deliver")

    async def heartbeat(self) -> None:
        """The loop that says we live; a heartbeat is worth nothing tomorrow and passes the journal by."""
        announced = False
        trimmed_s = time.monotonic()
        while True:
            if time.monotonic() - trimmed_s > _TRIM_S:
                trimmed_s = time.monotonic()
                await self.journal.forget_samples(self.site.line.tag_batches_kept)
            if self.bus.connected.is_set():
                if not announced:
                    await self._say(state_of(self.source, self.role, "online", self.url))
                    announced = True
                await self._say(self._pulse())
            else:
                announced = False
            await asyncio.sleep(HEARTBEAT_S)

    def _pulse(self) -> Heartbeat:
        now = time.monotonic()
        loops = tuple(Loop(name, rounds, now - at) for name, (rounds, at) in sorted(self._loops.items()))
        return Heartbeat(
            at_ns=time.time_ns(),
            service=self.source,
            loops=loops,
            outbox_count=self.outbox_count(),
            delivered_seq=self._delivered_seq,
            rss_mb=rss_mb(),
        )

    async def _say(self, event: Event) -> None:
        stamped = msgspec.structs.replace(event, id=event_id(event.at_ns), source=self.source)
        await self.bus.publish(self.topics.of(stamped), events.encoded(stamped), retain=True)


@asynccontextmanager
async def open_service(role: str, site: Site) -> AsyncIterator[Service]:
    """A role on the line: journal open, bus connecting, outbox and heartbeat running, health served.

    Raises:
        LamellaError: the line model, the journal or the settings are wrong.
    """
    line = load_line(site.line.model)
    topics = topics_of(line, site.broker.topic_root)
    last = state_of(source_of(role, site), role, "offline", "")
    will = (topics.of(last), events.encoded(last))
    async with (
        open_journal(site.state_dir / "journals" / f"{role}.journal") as journal,
        connect(site.broker, f"{role}-{site.box}", will=will) as bus,
    ):
        service = Service(role, site, line, journal, bus)
        bus.answer(topics.question(address_of(service.source), "missing"), service.answer_missing)
        async with serve_http(service) as url, asyncio.TaskGroup() as group:
            service.url = url
            loops = [group.create_task(service.deliver()), group.create_task(service.heartbeat())]
            try:
                yield service
            finally:
                for loop in loops:
                    loop.cancel()
                await service.stop_hearing()
                await _farewell(bus, service)


def run_service(role: str, site: Site, serve: Callable[[Site], Coroutine[None, None, None]]) -> int:
    """Run a role until SIGTERM or Ctrl-C; returns the process's exit status."""
    configure_logging(role)
    status = 0
    try:
        asyncio.run(_until_signal(serve(site)))
    except* LamellaError as group:
        for error in _leaves(group):
            log.error("%s stops: %s", role, error)
        status = 1
    except* asyncio.CancelledError:
        log.info("%s: stopped", role)
    return status


def source_of(role: str, site: Site) -> str:
    """What a role calls itself in every event."""
    return f"{role}@{site.box}"


def state_of(source: str, role: str, state: Literal["starting", "online", "offline"], url: str) -> ServiceState:
    """What a service says of its own life."""
    at_ns = time.time_ns()
    return ServiceState(
        at_ns=at_ns,
        id=event_id(at_ns),
        source=source,
        service=source,
        role=role,
        state=state,
        url=url,
        version=_version(),
    )


def rss_mb() -> float:
    """Resident memory of this process [MB]."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6


def _version() -> str:
    try:
        return importlib.metadata.version("lamella")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


async def _until_signal(work: Coroutine[None, None, None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await task


async def _farewell(bus: Bus, service: Service) -> None:
    """Say `offline` ourselves: a clean disconnect cancels the will."""
    if bus.connected.is_set():
        last = state_of(service.source, service.role, "offline", "")
        try:
            farewell = bus.publish(service.topics.of(last), events.encoded(last), retain=True)
            await asyncio.wait_for(farewell, _FAREWELL_S)
        except TimeoutError:
            log.info("the broker did not acknowledge the farewell within %g s", _FAREWELL_S)


def _leaves(group: BaseExceptionGroup[LamellaError]) -> Iterator[LamellaError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error

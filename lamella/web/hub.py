"""What the console has heard and been told, as channels that pages watch.

The twin answers; the bus only tells when to ask again, and brings at once what cannot wait for an answer: defects and
station states. What the twin says wins.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

from lamella.web.channels import Channel, Watcher
from lamella.web.kinds import HEARD, KINDS, Kind, kind_of
from lamella.web.notices import notice_of, touched
from lamella.web.outside import Json, JsonObject, outside, outside_object
from lamella.web.twin import Twin
from line import events
from line.bus import Bus
from line.errors import LamellaError, LinkError, MessageError, NotFoundError
from line.events import AnyEvent, CameraChecked, Heartbeat, LinkState, ServiceState, StationState
from line.ids import iso
from line.queries import Answer, Freshness, LineView
from line.topics import Topics

log = logging.getLogger(__name__)

BEAT_S = 1.0
STALE_S = 3.0
"""No answer of the twin, or no event at the twin, for so long is stale [wall s]."""
SILENT_S = 7.0
"""A service whose heartbeat stays away for so long is silent; it sends one every 2 s."""
_ASK_GAP_S = 0.5
_KEPT_EVENTS = 200
_SPEED_WINDOW_S = 12.0
_FASTEST = 600.0
"""The most plant seconds per wall second a line runs at; what is more is a jump, not a pace."""
_LATE_S = 1.0
"""How much later than another one an answer may come [wall s]."""


class Hub:
    """All channels of one console."""

    def __init__(self, bus: Bus, topics: Topics, twin: Twin) -> None:
        self._bus = bus
        self._topics = topics
        self._twin = twin
        self._channels = {"events": Channel("events", {"events": "id"}, {"events": _KEPT_EVENTS}, {"events": []})}
        self._line = self._channels["line"] = Channel("line", KINDS["line"].lists)
        self._touched: dict[str, asyncio.Event] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()
        self._running = False
        self._watchers: set[Watcher] = set()
        self._links: dict[str, LinkState] = {}
        self._services: dict[str, ServiceState] = {}
        self._cameras: dict[str, str] = {}
        self._beat_s: dict[str, float] = {}
        self._fresh: Freshness | None = None
        self._answered_s = -1.0
        self._pace: deque[tuple[float, int]] = deque(maxlen=32)
        self.simulated = False
        self.heard_count = 0
        self.refused_count = 0

    async def run(self) -> None:
        """Listen, ask and beat until cancelled."""
        for kind in HEARD:
            self._bus.subscribe(self._topics.every(kind))
        async with self._group:
            self._running = True
            for name in self._channels:
                self._follow(name)
            self._group.create_task(self._listen(), name="console listens")
            self._group.create_task(self._beat(), name="console beats")
            try:
                await asyncio.Event().wait()
            finally:
                self._running = False

    def enter(self, watcher: Watcher) -> None:
        """A page opened."""
        self._watchers.add(watcher)
        watcher.notice("beat", self.pulse())

    def leave(self, watcher: Watcher) -> None:
        """A page closed."""
        self._watchers.discard(watcher)
        for name in watcher.channels:
            self.drop(watcher, name)

    def watch(self, watcher: Watcher, name: str) -> None:
        """A page watches a channel.

        Raises:
            NotFoundError: no channel has such a name.
        """
        if name not in self._channels:
            kind, _ = kind_of(name)
            self._channels[name] = Channel(name, kind.lists)
            self._follow(name)
        watcher.watch(self._channels[name])

    def drop(self, watcher: Watcher, name: str) -> None:
        """A page watches a channel no longer; a channel that nobody watches is forgotten."""
        watcher.leave(name)
        channel = self._channels.get(name)
        if channel is not None and not channel.watchers and name not in {"line", "events"}:
            del self._channels[name]
            self._touched.pop(name, None)
            if follower := self._followers.pop(name, None):
                follower.cancel()

    @property
    def watchers_count(self) -> int:
        """Pages open now."""
        return len(self._watchers)

    def evidence_urls(self) -> list[str]:
        """Where services serve their evidence, those that look at pictures first."""
        online = [state for state in self._services.values() if state.state == "online" and state.url]
        return [state.url for state in sorted(online, key=lambda state: state.role != "vision")]

    def pulse(self) -> JsonObject:
        """The heartbeat of the socket: plant time, ages, speed, and what is stale."""
        now_s = time.monotonic()
        answer_age_s = now_s - self._answered_s if self._fresh else None
        data_age_s = self._fresh.age_s + now_s - self._answered_s if self._fresh else None
        stale: list[Json] = []
        if not self._bus.connected.is_set():
            stale.append("broker")
        if answer_age_s is None or answer_age_s > STALE_S:
            stale.append("twin")
        elif data_age_s is not None and data_age_s > STALE_S + BEAT_S:
            stale.append("data")
        stale += [f"link:{link.link}" for link in self._links.values() if link.state != "up"]
        return {
            "op": "beat",
            "wall": iso(time.time_ns()),
            "plant": iso(self._fresh.at_ns) if self._fresh and self._fresh.at_ns else None,
            "data_age_s": data_age_s,
            "answer_age_s": answer_age_s,
            "speed": self._speed(),
            "simulated": self.simulated,
            "stale": stale,
        }

    def refusals(self) -> tuple[str, ...]:
        """Why the console cannot answer; empty when it can."""
        found = []
        if not self._bus.connected.is_set():
            found.append(f"broker away: {self._bus.refusal or 'not connected'}")
        if self._fresh is None or time.monotonic() - self._answered_s > STALE_S:
            found.append("twin silent: no answer to the last question; is its service running?")
        return tuple(found)

    async def _listen(self) -> None:
        while True:
            for message in await self._bus.heard():
                try:
                    self._hear(events.decoded(message.payload))
                except MessageError as error:
                    self.refused_count += 1
                    log.warning("%s: message refused: %s", message.topic, error)
                self._bus.acknowledge(message)
            # A burst must not keep pages from being served.
            await asyncio.sleep(0)

    def _hear(self, event: AnyEvent) -> None:
        now_s = time.monotonic()
        self.heard_count += 1
        self.simulated |= event.simulated
        before: str | None = None
        match event:
            case Heartbeat():
                self._beat_s[event.service] = now_s
            case ServiceState():
                before = state.state if (state := self._services.get(event.service)) else None
                self._services[event.service] = event
                self._beat_s[event.service] = now_s
                self._line.update({"roles": self._roles()})
            case LinkState():
                before = link.state if (link := self._links.get(event.link)) else None
                self._links[event.link] = event
                self._line.update({"links": self._link_list()})
            case CameraChecked():
                before = self._cameras.get(event.camera)
                self._cameras[event.camera] = event.state
            case StationState():
                before = self._station(event, now_s)
            case events.FilmDefect():
                if channel := self._channels.get(f"roll:{event.roll}"):
                    channel.push("defects", outside_object(event), now_s)
        if notice := notice_of(event, before):
            self._channels["events"].push("events", notice, now_s)
        for name in touched(event):
            if name in self._touched:
                self._touched[name].set()

    def _station(self, event: StationState, now_s: float) -> str | None:
        """Show a station's new state at once; returns the word it showed before."""
        known = self._line.item("stations", event.station)
        if known is None:
            return None
        self._line.push("stations", known | {"state": outside_object(event)}, now_s)
        before = known["state"]
        return str(before["state"]) if isinstance(before, dict) else None

    def _follow(self, name: str) -> None:
        """Keep a channel filled from now on; pages that come before we run, or while we stop, change nothing."""
        if self._running and name != "events":
            self._touched[name] = asyncio.Event()
            asking = self._ask(self._channels[name], *kind_of(name))
            self._followers[name] = self._group.create_task(asking, name=f"console asks {name}")

    async def _ask(self, channel: Channel, kind: Kind, thing: str) -> None:
        """Keep a channel filled: ask at its period, sooner when it was touched, more seldom while nothing changes."""
        touch = self._touched[channel.name]
        period_s = kind.period_s
        while True:
            try:
                answer = await self._twin.ask(kind.question(thing), kind.answer)
            except NotFoundError as error:
                for watcher in channel.watchers:
                    watcher.notice(
                        f"unknown {channel.name}", {"op": "unknown", "ch": channel.name, "detail": str(error)}
                    )
            except LinkError as error:
                log.info("%s: %s", channel.name, error)
            except LamellaError as error:
                log.warning("%s: %s", channel.name, error)
            else:
                changed = self._filled(channel, answer)
                period_s = kind.period_s if changed or channel is self._line else min(2 * period_s, 8 * kind.period_s)
            await asyncio.sleep(_ASK_GAP_S)
            try:
                await asyncio.wait_for(touch.wait(), period_s - _ASK_GAP_S)
                period_s = kind.period_s
            except TimeoutError:
                pass
            touch.clear()

    def _filled(self, channel: Channel, answer: Answer) -> bool:
        now_s = time.monotonic()
        value = outside_object(answer)
        if isinstance(answer, LineView):
            self._fresh, self._answered_s = answer.fresh, now_s
            self.simulated |= answer.fresh.simulated
            self._keep_pace(now_s, answer.fresh.at_ns)
            value |= {"roles": self._roles(), "links": self._link_list()}
        return channel.replace(value, now_s)

    async def _beat(self) -> None:
        while True:
            self._line.update({"roles": self._roles()})
            pulse = self.pulse()
            for watcher in self._watchers:
                watcher.notice("beat", pulse)
            await asyncio.sleep(BEAT_S)

    def _keep_pace(self, now_s: float, at_ns: int) -> None:
        """Note plant time; a twin that has heard nothing has none, and one that catches up has no pace."""
        if at_ns <= 0:
            return
        if self._pace:
            last_s, last_ns = self._pace[-1]
            if not 0 <= at_ns - last_ns <= _FASTEST * (now_s - last_s + _LATE_S) * 1e9:
                self._pace.clear()
        self._pace.append((now_s, at_ns))

    def _speed(self) -> float | None:
        """Plant seconds per wall second over the last answers."""
        recent = [point for point in self._pace if self._pace[-1][0] - point[0] <= _SPEED_WINDOW_S]
        if len(recent) < 3:
            return None
        (first_s, first_ns), (last_s, last_ns) = recent[0], recent[-1]
        return (last_ns - first_ns) / 1e9 / (last_s - first_s)

    def _roles(self) -> list[Json]:
        now_s = time.monotonic()
        rows: list[Json] = []
        for name, state in sorted(self._services.items()):
            silent = state.state == "online" and now_s - self._beat_s.get(name, now_s) > SILENT_S
            rows.append({
                "service": name,
                "role": state.role,
                "state": "silent" if silent else state.state,
                "version": state.version,
                "detail": state.detail,
            })
        return rows

    def _link_list(self) -> list[Json]:
        return [outside(link) for _, link in sorted(self._links.items())]

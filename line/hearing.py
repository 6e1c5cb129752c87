"""Hearing other services so that nothing is missed: journaled before acknowledged, holes asked for.

A broker may forget what it acknowledged, and a reader may join late. Each source numbers its events, so a reader that
hears everything sees a hole and asks the source, whose journal still has them. A heartbeat says how far a source has
delivered, so that a lost last event is a hole too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from line import events
from line.bus import Bus
from line.errors import DeadlineError, MessageError
from line.events import AnyEvent, Heartbeat
from line.holes import Sequence
from line.journal import Entry, Journal
from line.topics import Topics

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 5.0
_MOVE_EVERY_S = 1.0
"""How often it is written down how far each source is complete; after a crash a little is asked for again."""
PAGE = 1000
"""Events that one answer to a reader who missed some brings at most."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A reader's question to a source: your events from here to there, please. The answer is an array of events."""

    from_seq: Annotated[int, Meta(ge=1)]
    to_seq: Annotated[int, Meta(ge=1)]


class Hearing:
    """What one service hears.

    Args:
        source: ourselves, whose events do not come back.
        count: adds to a counter of `/metrics`.
        beat: says that the loop went round.
    """

    def __init__(
        self,
        journal: Journal,
        bus: Bus,
        topics: Topics,
        source: str,
        count: Callable[[str, float], None],
        beat: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._bus = bus
        self._topics = topics
        self._source = source
        self._count = count
        self._beat = beat
        self._sequences: dict[str, Sequence] = {}
        self._asked_s: dict[str, float] = {}
        self._moved_s = 0.0
        self.everything = False
        """Whether every class is subscribed: only then is a hole a loss."""

    async def batches(self) -> AsyncIterator[list[AnyEvent]]:
        """Events from others: durable, new, in the order heard, in the batches made durable together.

        What a source numbered and we did not hear is asked for, so a broker may forget. Events without a number,
        such as heartbeats, are worth nothing tomorrow: they are passed on and not kept.
        """
        while True:
            messages = await self._bus.heard()
            found = self._understood([message.payload for message in messages])
            fresh = await self._kept(found)
            for message in messages:
                self._bus.acknowledge(message)
            self._beat("hear")
            passing = [event for event, _ in found.values() if not event.seq]
            if fresh or passing:
                yield fresh + passing
            if self.everything:
                async for caught_up in self._caught_up():
                    yield caught_up

    def _understood(self, payloads: Iterable[bytes]) -> dict[str, tuple[AnyEvent, Entry]]:
        """Events of others by id, each with its entry; a malformed one is counted and left out."""
        found: dict[str, tuple[AnyEvent, Entry]] = {}
        for payload in payloads:
            try:
                event = events.decoded(payload)
            except MessageError as error:
                self._count("messages_refused_total", 1)
                log.warning("message refused: %s", error)
                continue
            if event.source != self._source:
                topic = self._topics.of(event)
                found[event.id] = (event, Entry(event.id, False, event.at_ns, topic, payload, event.seq))
        return found

    async def _kept(self, found: dict[str, tuple[AnyEvent, Entry]]) -> list[AnyEvent]:
        """Make numbered events durable; returns those that were new."""
        stored = await self._journal.append([entry for event, entry in found.values() if event.seq])
        for event, _ in found.values():
            if event.seq:
                self._sequence(event.source).note(event.seq)
            elif isinstance(event, Heartbeat):
                self._sequence(event.source).expect(event.delivered_seq)
        return [found[entry.id][0] for entry in stored]

    async def _caught_up(self) -> AsyncIterator[list[AnyEvent]]:
        """Ask sources for what is missing, a page at a time; one that does not answer is asked again later."""
        for source, sequence in list(self._sequences.items()):
            while (hole := sequence.missing()) and self._may_ask(source):
                fresh = await self._asked(source, hole[:PAGE])
                if sequence.complete < hole[0]:
                    self._asked_s[source] = time.monotonic()
                if fresh:
                    self._count("events_caught_up_total", len(fresh))
                    yield fresh
        if time.monotonic() - self._moved_s > _MOVE_EVERY_S:
            self._moved_s = time.monotonic()
            for source, sequence in self._sequences.items():
                await self._journal.move_cursor(f"heard {source}", sequence.complete)

    def _may_ask(self, source: str) -> bool:
        return time.monotonic() - self._asked_s.get(source, -_ASK_AGAIN_S) >= _ASK_AGAIN_S

    async def _asked(self, source: str, numbers: range) -> list[AnyEvent]:
        """Ask a source for events by number; returns those that were new, none when it does not answer."""
        topic = self._topics.question(address_of(source), "missing")
        question = msgspec.json.encode(Missing(from_seq=numbers[0], to_seq=numbers[-1]))
        try:
            answer = msgspec.json.decode(await self._bus.ask(topic, question), type=list[msgspec.Raw])
        except (DeadlineError, msgspec.DecodeError) as error:
            log.warning("%s: events %d to %d are missing: %s", source, numbers[0], numbers[-1], error)
            return []
        return await self._kept(self._understood([bytes(payload) for payload in answer]))

    def _sequence(self, source: str) -> Sequence:
        if source not in self._sequences:
            self._sequences[source] = Sequence(self._journal.cursor(f"heard {source}"))
        return self._sequences[source]

    def missing_count(self) -> int:
        """Events that sources have numbered and we do not have."""
        return sum(sequence.missing_count() for sequence in self._sequences.values()) if self.everything else 0


def address_of(source: str) -> str:
    """A source as a level of a topic."""
    return source.replace("@", "-")

"""Hearing other services so that nothing is missed: journaled before acknowledged, holes asked for.

A broker may forget what it acknowledged, and a reader may join late. Each source numbers its events, so a reader that
hears everything sees a hole and asks the source, whose journal still has them. A heartbeat says how far a source has
delivered, so that a lost last event is a hole too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from line import events
from line.bus import Bus, Message
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


class _Origin(msgspec.Struct, frozen=True):
    """Of any event, also one of a class that a newer version has."""

    source: str = ""
    seq: int = 0


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
        self._asked: dict[str, tuple[int, float]] = {}
        """How far a source was complete when it was asked last, and when that was."""
        self._moved_s = 0.0
        self._hearing: asyncio.Task[list[Message]] | None = None
        self._asking: asyncio.Task[list[bytes]] | None = None
        self.everything = False
        """Whether every class is subscribed: only then is a hole a loss."""

    async def batches(self) -> AsyncIterator[list[AnyEvent]]:
        """Events from others: durable, new, in the order heard, in the batches made durable together.

        What a source numbered and we did not hear is asked for, so a broker may forget. Events without a number,
        such as heartbeats, are worth nothing tomorrow: they are passed on and not kept.

        Hearing goes on while a question is out: its answer comes behind the messages that we have not acknowledged.
        """
        while True:
            self._hearing = self._hearing or asyncio.create_task(self._bus.heard(), name="hear")
            waits = {self._hearing, self._asking} if self._asking else {self._hearing}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if self._hearing.done():
                messages, self._hearing = self._hearing.result(), None
                found = self._understood([message.payload for message in messages])
                fresh = await self._kept(found)
                for message in messages:
                    self._bus.acknowledge(message)
                passing = [event for event, _ in found.values() if not event.seq]
                if fresh or passing:
                    yield fresh + passing
            if self._asking and self._asking.done():
                payloads, self._asking = self._asking.result(), None
                fresh = await self._kept(self._understood(payloads))
                self._count("events_caught_up_total", len(fresh))
                if fresh:
                    yield fresh
            if self.everything and self._asking is None:
                self._asking = self._next_question()
            await self._remember()
            self._beat("hear")

    async def close(self) -> None:
        """Stop hearing."""
        for task in (self._hearing, self._asking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _next_question(self) -> asyncio.Task[list[bytes]] | None:
        """Ask the source with a hole that was not asked lately, None when there is none."""
        now_s = time.monotonic()
        for source, sequence in self._sequences.items():
            hole = sequence.missing()
            known, asked_s = self._asked.get(source, (-1, -_ASK_AGAIN_S))
            if hole and (known < sequence.complete or now_s - asked_s >= _ASK_AGAIN_S):
                self._asked[source] = (sequence.complete, now_s)
                return asyncio.create_task(self._answer(source, hole[:PAGE]), name=f"ask {source}")
        return None

    async def _answer(self, source: str, numbers: range) -> list[bytes]:
        """A source's events by number, none when it does not answer."""
        topic = self._topics.question(address_of(source), "missing")
        question = msgspec.json.encode(Missing(from_seq=numbers[0], to_seq=numbers[-1]))
        try:
            answer = msgspec.json.decode(await self._bus.ask(topic, question), type=list[msgspec.Raw])
        except (DeadlineError, msgspec.DecodeError) as error:
            log.warning("%s: events %d to %d are missing: %s", source, numbers[0], numbers[-1], error)
            return []
        return [bytes(payload) for payload in answer]

    async def _remember(self) -> None:
        """Write down now and then how far each source is complete."""
        if time.monotonic() - self._moved_s > _MOVE_EVERY_S:
            self._moved_s = time.monotonic()
            for source, sequence in self._sequences.items():
                await self._journal.move_cursor(f"heard {source}", sequence.complete)

    def _understood(self, payloads: Iterable[bytes]) -> dict[str, tuple[AnyEvent, Entry]]:
        """Events of others by id, each with its entry; a malformed one is counted and left out."""
        found: dict[str, tuple[AnyEvent, Entry]] = {}
        for payload in payloads:
            try:
                event = events.decoded(payload)
            except MessageError as error:
                self._count("messages_refused_total", 1)
                log.warning("message refused: %s", error)
                self._note_refused(payload)
                continue
            if event.source != self._source:
                topic = self._topics.of(event)
                found[event.id] = (event, Entry(event.id, False, event.at_ns, topic, payload, event.seq))
        return found

    def _note_refused(self, payload: bytes) -> None:
        """A message that we cannot read is heard all the same: asking for it again would bring the same bytes."""
        try:
            origin = msgspec.json.decode(payload, type=_Origin)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if origin.source and origin.seq and origin.source != self._source:
            self._sequence(origin.source).note(origin.seq)

    async def _kept(self, found: dict[str, tuple[AnyEvent, Entry]]) -> list[AnyEvent]:
        """Make numbered events durable; returns those that were new."""
        stored = await self._journal.append([entry for event, entry in found.values() if event.seq])
        for event, _ in found.values():
            if event.seq:
                self._sequence(event.source).note(event.seq)
            elif isinstance(event, Heartbeat):
                self._sequence(event.source).expect(event.delivered_seq)
        return [found[entry.id][0] for entry in stored]

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

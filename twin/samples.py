"""Tag samples on their way to the historian.

They wait in a list of bounded length. When the historian is away so long that the list is full, the oldest leave it and
are counted; they still stand in the journal, from which the next start writes what is not marked as written.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from line import events
from line.errors import HistorianError, MessageError
from line.events import TagBatch, TagSample
from line.journal import Entry, last_position, read_entries
from line.service import Service
from twin.historian import Historian
from twin.state import LineState

log = logging.getLogger(__name__)

SLICE = 400
"""Journal entries worked on before the loop gets its turn, about 3 ms."""
FLUSH_S = 0.5
_MARK_EVERY_S = 60.0
_PRUNE_EVERY_S = 600.0
_MOST_WAITING = 200_000
_RETRY_S = 5.0
_TAG_TOPIC = f"/{events.tag_of(TagBatch)}"


class SampleKeeper:
    """Takes samples and brings them to the historian."""

    def __init__(self, service: Service, historian: Historian, state: LineState) -> None:
        self._service, self._historian, self._state = service, historian, state
        self._waiting: list[TagSample] = []

    def take(self, samples: tuple[TagSample, ...]) -> None:
        """Have samples written soon."""
        self._waiting += samples
        self._bound()

    async def recall(self) -> None:
        """Tell the state the latest value of each tag, so that a quiet tag is known from the start."""
        try:
            latest = await self._historian.latest()
        except HistorianError as error:
            log.warning("the historian cannot tell the latest values: %s", error)
            return
        self._state.apply(TagBatch(at_ns=0, station="", samples=tuple(latest)))

    async def keep(self) -> None:
        """The loop that writes, marks how far, and has the historian forget what is too old."""
        own = self._service.journal.path
        pruned_at = marked_at = time.monotonic()
        position = 0
        while True:
            await asyncio.sleep(FLUSH_S)
            self._service.beat("historian")
            samples, self._waiting = self._waiting, []
            try:
                if samples:
                    await self._historian.write(samples)
                    self._service.count("historian_samples_total", len(samples))
                    samples = []
                if time.monotonic() - marked_at > _MARK_EVERY_S and not self._service.ready:
                    # What the journal held a minute ago has long been folded and written.
                    if position:
                        await self._historian.set_mark(_mark_name(own), position)
                    marked_at, position = time.monotonic(), last_position(own)
                if time.monotonic() - pruned_at > _PRUNE_EVERY_S:
                    pruned_at = time.monotonic()
                    await self._historian.prune()
            except HistorianError as error:
                log.warning("%d samples wait for the historian: %s", len(samples), error)
                self._service.count("historian_errors_total")
                self._waiting = samples + self._waiting
                self._bound()
                await asyncio.sleep(_RETRY_S)

    async def store(self, path: Path) -> None:
        """Write a journal's samples, from where that was left; what is there already stays as it is."""
        name = _mark_name(path)
        try:
            position = await self._historian.mark(name)
            for chunk in slices(read_entries(path, position)):
                samples: list[TagSample] = []
                for entry in chunk:
                    if is_tag_batch(entry):
                        event = events.decoded(entry.payload)
                        self._state.apply(event)
                        samples += event.samples if isinstance(event, TagBatch) else ()
                if samples:
                    await self._historian.write(samples)
                self._service.beat("remember")
                position = chunk[-1].position
                await asyncio.sleep(0)
            await self._historian.set_mark(name, position)
        except (HistorianError, MessageError) as error:
            log.warning("%s: its tags are not all in the historian: %s", path, error)

    def _bound(self) -> None:
        lost = len(self._waiting) - _MOST_WAITING
        if lost > 0:
            self._service.count("historian_samples_lost_total", lost)
            del self._waiting[:lost]


def is_tag_batch(entry: Entry) -> bool:
    """Whether an entry is about tags, told without decoding it."""
    return entry.topic.endswith(_TAG_TOPIC)


def slices(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    """Entries in lists of at most `SLICE`."""
    while chunk := list(islice(entries, SLICE)):
        yield chunk


def _mark_name(path: Path) -> str:
    return f"tags of {path.name}"

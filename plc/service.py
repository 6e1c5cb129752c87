"""The `plc` role: tags, station states and part records from the PLC to the line's bus.

Up is what delivers. A session that is quiet for longer than `plc.stale_s` is thrown away and built anew; what was
missed meanwhile is stated as a gap, part records are caught up from their rings.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from line.address import line_path
from line.config import Site
from line.errors import PlcError
from line.events import Event, LinkState, MaterialEvent, TagBatch, TagGap, TagSample
from line.model import LineModel
from line.service import Service, open_service
from plc.client import Change, Live, PlcSession, Wanted, plc_session
from plc.parts import part_id, records_between
from plc.status import StatusBoard
from plc.tag_map import TagMap, tag_map_by_name, tag_map_from

log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 15.0
_LOOK_S = 0.5
"""How long one look for changes waits at most."""


async def serve(site: Site) -> None:
    """Run until cancelled.

    Raises:
        ConfigError: the tag map is wrong.
    """
    async with open_service("plc", site) as service:
        link = PlcLink(service)
        delay_s = _FIRST_DELAY_S
        while True:
            started = time.monotonic()
            try:
                await link.run()
            except PlcError as error:
                service.ready = str(error)
                await link.lost(str(error))
            if time.monotonic() - started > _LONGEST_DELAY_S:
                delay_s = _FIRST_DELAY_S
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)


class PlcLink:
    """One PLC, over as many sessions as it takes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._site = service.site
        self._line = service.line
        self._map = _tag_map(service.site, service.line)
        self._scales = {row.tag: (row.scale, row.offset) for row in self._map.tags}
        self._wanted = _wanted(self._map, self._line)
        self._rings = {row.station: row for row in self._map.parts}
        self._seen: dict[str, int] = {}
        self._last_ns: dict[str, int] = {}
        self._gap_owed: set[str] = set()
        """Tags whose first change after the link was down is yet to come."""
        self._state = ""
        self._simulated = False

    async def run(self) -> None:
        """Connect and forward until the session is lost.

        Raises:
            PlcError: lost, stale, or never there.
        """
        endpoint = await self._endpoint()
        settings = self._site.plc
        async with plc_session(endpoint, self._map.namespace, settings.publish_ms) as session:
            live = await session.watch(self._wanted)
            await self._opened(session, live)
            board = StatusBoard(simulated=self._simulated)
            quiet_since = time.monotonic()
            while True:
                changes = await session.changes(_LOOK_S)
                self._service.beat("plc")
                if changes:
                    quiet_since = time.monotonic()
                    await self._forward(session, board, changes)
                elif time.monotonic() - quiet_since > settings.stale_s:
                    raise PlcError(f"{endpoint}: connected, but silent for {settings.stale_s:g} s")

    async def lost(self, why: str) -> None:
        """Say that the link is down, once per loss."""
        if self._state != "down":
            self._gap_owed = {tag for tag in self._last_ns if tag in self._scales}
            log.warning("PLC link down: %s", why)
            await self._say("down", why, 0)

    async def _endpoint(self) -> str:
        """Where the PLC listens; a simulated one says so in a file once it does."""
        endpoint = self._site.plc.endpoint
        if not endpoint:
            raise PlcError("plc.endpoint is empty; set it to opc.tcp://host:port/path")
        if not endpoint.startswith("file:"):
            return endpoint
        path = Path(endpoint.removeprefix("file:"))
        while not path.exists():
            self._service.ready = "waiting for the simulated line"
            await asyncio.sleep(_LOOK_S)
        return path.read_text().strip()

    async def _opened(self, session: PlcSession, live: Live) -> None:
        self._simulated = await _is_simulated(session, self._line)
        for key, why in sorted(live.refused.items()):
            log.warning("%s is not watched: %s; check the tag map", key, why)
        detail = f"{len(live.refused)} nodes refused, first {min(live.refused)}" if live.refused else ""
        self._service.ready = detail if not live.keys else ""
        await self._say("up", detail, len(live.keys))

    async def _say(self, state: str, detail: str, live_count: int) -> None:
        self._state = state
        at_ns = max(self._last_ns.values(), default=0) or time.time_ns()
        await self._service.emit(
            LinkState(
                at_ns=at_ns,
                simulated=self._simulated,
                link="opcua",
                endpoint=self._site.plc.endpoint,
                state="up" if state == "up" else "down",
                detail=detail,
                wanted_count=len(self._wanted),
                live_count=live_count,
            )
        )

    async def _forward(self, session: PlcSession, board: StatusBoard, changes: Sequence[Change]) -> None:
        samples: dict[str, list[TagSample]] = {}
        gaps: list[Event] = []
        moved: set[str] = set()
        for change in changes:
            folder, _, name = change.key.partition(":")
            station, _, rest = name.partition(".")
            if folder == "tag":
                samples.setdefault(station, []).append(self._sample(name, change))
                gaps += self._gap(name, change)
            elif folder == "status":
                board.note(station, rest, change.value, change.source_ns)
            else:
                moved.add(station)
        batches = [self._batch(station, rows) for station, rows in samples.items()]
        await self._service.emit(*batches, *gaps, *board.states())
        for station in sorted(moved):
            await self._catch_up(session, station)

    def _batch(self, station: str, rows: Sequence[TagSample]) -> TagBatch:
        at_ns = max(row.source_ns for row in rows)
        return TagBatch(at_ns=at_ns, simulated=self._simulated, station=station, samples=tuple(rows))

    def _sample(self, tag: str, change: Change) -> TagSample:
        scale, offset = self._scales[tag]
        value = change.value
        number = None if value is None else float(value) * scale + offset  # type: ignore[arg-type]
        return TagSample(tag, number, change.quality, change.source_ns)

    def _gap(self, tag: str, change: Change) -> list[TagGap]:
        """The gap before this change, when the link was down or the server's queue ran over."""
        before = self._last_ns.get(tag, 0)
        self._last_ns[tag] = max(before, change.source_ns)
        owed = tag in self._gap_owed
        self._gap_owed.discard(tag)
        if not before or not (owed or change.overflowed):
            return []
        sampling_ms = max(self._line.tag(tag).sampling_ms, 1)
        expected = max(0, (change.source_ns - before) // (sampling_ms * 1_000_000) - 1)
        if expected == 0:
            return []
        reason = "overflow in the server's queue" if change.overflowed else "link down"
        return [
            TagGap(
                at_ns=change.source_ns,
                simulated=self._simulated,
                tag=tag,
                from_ns=before,
                to_ns=change.source_ns,
                expected_count=int(expected),
                received_count=0,
                lost_count=int(expected),
                reason=reason,
            )
        ]

    async def _catch_up(self, session: PlcSession, station: str) -> None:
        """Read the station's ring up to its counter."""
        row = self._rings[station]
        counter, ring = await session.read([row.counter, row.ring])
        seen = self._seen.get(station)
        if seen is None:
            seen = self._service.journal.cursor(f"parts {station}")
        records = records_between(ring, seen, int(counter))
        for why in records.refused:
            self._service.count("part_records_refused_total")
            log.warning("%s: %s", station, why)
        made: list[Event] = [_with_id(event) for event in records.found]
        if records.lost_count:
            now_ns = records.found[0].at_ns if records.found else time.time_ns()
            made.append(
                TagGap(
                    at_ns=now_ns,
                    simulated=self._simulated,
                    tag=f"{station}.Parts",
                    from_ns=self._last_ns.get(f"{station}.Parts", 0),
                    to_ns=now_ns,
                    expected_count=len(records.found) + len(records.refused) + records.lost_count,
                    received_count=len(records.found),
                    lost_count=records.lost_count,
                    reason="part ring overwritten before it was read",
                )
            )
        await self._service.emit(*made)
        await self._service.journal.move_cursor(f"parts {station}", int(counter), back=True)
        self._seen[station] = int(counter)


def _with_id(event: MaterialEvent) -> MaterialEvent:
    return msgspec.structs.replace(event, id=part_id(event))


def _tag_map(site: Site, line: LineModel) -> TagMap:
    return tag_map_from(Path(site.line.tag_map), line) if site.line.tag_map else tag_map_by_name(line)


def _wanted(tag_map: TagMap, line: LineModel) -> list[Wanted]:
    tags = line.all_tags()
    return [
        *(Wanted(key=f"tag:{row.tag}", node=row.node, sampling_ms=tags[row.tag].sampling_ms) for row in tag_map.tags),
        *(Wanted(key=f"status:{row.station}.{row.name}", node=row.node, sampling_ms=100) for row in tag_map.status),
        *(Wanted(key=f"parts:{row.station}", node=row.counter, sampling_ms=100) for row in tag_map.parts),
    ]


async def _is_simulated(session: PlcSession, line: LineModel) -> bool:
    """Our simulated line says that it is one; a PLC that has no such node is a real one."""
    try:
        return bool((await session.read([f"s={line_path(line.identity)}/IsSimulated"]))[0])
    except PlcError:
        return False

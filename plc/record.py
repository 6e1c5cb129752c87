"""Write down what a PLC says, so that it can be played again without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from line.address import RING_SIZE
from line.model import LineModel
from line.recording import RecordedChange, RecordedPart
from plc.client import Change, PlcSession, Wanted, plc_session
from plc.tag_map import tag_map_by_name


async def record_plc(
    endpoint: str, line: LineModel, file: BinaryIO, seconds: float, progress: Callable[[int], None]
) -> int:
    """Record every tag, status and part record for a while; returns the number of rows.

    Args:
        file: opened for writing, one JSON row a change.
        progress: gets the rows so far.

    Raises:
        PlcError: the server is not there or goes away.
    """
    tag_map = tag_map_by_name(line)
    wanted = [Wanted(key=row.node.removeprefix("s="), node=row.node, sampling_ms=0) for row in tag_map.tags]
    wanted += [Wanted(key=row.node.removeprefix("s="), node=row.node, sampling_ms=0) for row in tag_map.status]
    rings = {row.counter.removeprefix("s="): row for row in tag_map.parts}
    wanted += [Wanted(key=key, node=row.counter, sampling_ms=0) for key, row in rings.items()]
    started = time.monotonic()
    seen: dict[str, int] = {}
    count = 0
    async with plc_session(endpoint, tag_map.namespace, 100) as session:
        await session.watch(wanted)
        while (after_s := time.monotonic() - started) < seconds:
            rows: list[RecordedChange | RecordedPart] = []
            for change in await session.changes(min(0.5, seconds - after_s)):
                ring = rings.get(change.key)
                if ring is None:
                    rows.append(_changed(change, after_s))
                else:
                    rows += await _parts(session, ring.station, (ring.counter, ring.ring), seen, after_s)
            await asyncio.to_thread(file.writelines, [msgspec.json.encode(row) + b"\n" for row in rows])
            count += len(rows)
            progress(count)
    return count


def _changed(change: Change, after_s: float) -> RecordedChange:
    value = change.value if isinstance(change.value, float | int | str | bool) else None
    return RecordedChange(
        after_s=after_s, path=change.key, value=value, quality=change.quality, source_ns=change.source_ns
    )


async def _parts(
    session: PlcSession, station: str, nodes: tuple[str, str], seen: dict[str, int], after_s: float
) -> list[RecordedPart]:
    counter, ring = await session.read(list(nodes))
    first = max(seen.get(station, counter - RING_SIZE), counter - RING_SIZE, 0) + 1
    seen[station] = counter
    return [
        RecordedPart(after_s=after_s, station=station, counter=number, record=ring[number % RING_SIZE])
        for number in range(first, counter + 1)
    ]

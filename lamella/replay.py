"""The `replay` role: a recording takes the plant's place at the wires. Everything behind them is the real thing."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import msgspec

from line.config import Site
from line.frames import SpoolWriter, read_frame
from line.ports import free_port
from line.recording import FRAMES_FILE, RecordedFrame, read_rows
from line.service import open_service
from plc.replay import play_all, playing

log = logging.getLogger(__name__)


async def serve(site: Site) -> None:
    """Play `line.recording` once, then keep its last values standing.

    Raises:
        NotFoundError: there is no such recording.
        MessageError: a row of it is wrong.
    """
    folder = Path(site.line.recording)
    async with open_service("replay", site) as service, playing(folder, service.line, port := free_port()) as player:
        endpoint = site.state_dir / "plant" / "endpoint"
        endpoint.parent.mkdir(parents=True, exist_ok=True)
        temporary = endpoint.with_suffix(".tmp")
        temporary.write_text(f"opc.tcp://127.0.0.1:{port}/lamella")
        temporary.replace(endpoint)
        service.ready = ""
        async with asyncio.TaskGroup() as group:
            rows = group.create_task(play_all(player, folder))
            frames = group.create_task(_play_frames(folder, site.state_dir / "spool"))
        log.info("%s: played %d rows and %d frames", folder, rows.result(), frames.result())
        await asyncio.Event().wait()


async def _play_frames(folder: Path, spool: Path) -> int:
    """Put the recorded frames into the spools at their times, stamped with the present for latency."""
    writers: dict[str, SpoolWriter] = {}
    started = time.monotonic()
    count = 0
    for row in read_rows(folder / FRAMES_FILE, RecordedFrame):
        await asyncio.sleep(max(0.0, started + row.after_s - time.monotonic()))
        header, planes = read_frame(folder / row.file)
        writer = writers.setdefault(row.spool, SpoolWriter(spool / row.spool))
        fresh = msgspec.structs.replace(header, wall_ns=time.time_ns())
        if not await asyncio.to_thread(writer.write, fresh, planes):
            log.warning("%s: the spool is full, frame dropped", row.file)
        count += 1
    return count

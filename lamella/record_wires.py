"""Beside a line that runs, write down what crosses its wires."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from lamella import __version__
from line import events
from line.bus import Bus, connect
from line.config import Site
from line.errors import BrokerError, MessageError
from line.frames import waiting
from line.model import load_line
from line.recording import (
    EVENTS_FILE,
    FRAMES_FILE,
    HEADER_FILE,
    OPCUA_FILE,
    RecordedEvent,
    RecordedFrame,
    RecordingHeader,
)
from line.topics import topics_of
from plc.record import record_plc

_LOOK_S = 0.02
"""How often the spools are looked at: a frame lives until vision is done with it."""


def endpoint_of(site: Site) -> str:
    """Where the PLC of a running line listens.

    Raises:
        BrokerError: the simulated line does not run.
    """
    endpoint = site.plc.endpoint
    if not endpoint.startswith("file:"):
        return endpoint
    try:
        return Path(endpoint.removeprefix("file:")).read_text().strip()
    except OSError as error:
        raise BrokerError(f"{site.state_dir}: no line runs here now; start one with `lamella run`") from error


async def record_wires(site: Site, out: Path, seconds: float) -> None:
    """Record a running line into a folder that exists."""
    line = load_line(site.line.model)
    started_ns = time.time_ns()
    endpoint = endpoint_of(site)
    counts = {"changes": 0, "frames": 0, "events": 0}

    def progress(kind: str, count: int) -> None:
        counts[kind] = count
        elapsed_s = (time.time_ns() - started_ns) / 1e9
        text = ", ".join(f"{number} {name}" for name, number in counts.items())
        if sys.stderr.isatty():
            print(f"\r{elapsed_s:5.0f} of {seconds:.0f} s: {text} ", end="", file=sys.stderr)

    async with connect(site.broker, f"recorder-{os.getpid()}", lasting=False) as bus, asyncio.TaskGroup() as group:
        for topic in topics_of(line, site.broker.topic_root).all_events():
            bus.subscribe(topic)
        group.create_task(_frames(site.state_dir / "spool", out, seconds, lambda count: progress("frames", count)))
        group.create_task(_events(bus, out / EVENTS_FILE, seconds, lambda count: progress("events", count)))
        with (out / OPCUA_FILE).open("wb") as file:
            await record_plc(endpoint, line, file, seconds, lambda count: progress("changes", count))
    header = RecordingHeader(
        line=line.name, started_ns=started_ns, seconds=seconds, simulated=not site.plc.endpoint.startswith("opc"),
        version=__version__,
    )  # fmt: skip
    (out / HEADER_FILE).write_bytes(msgspec.json.encode(header) + b"\n")
    print(f"{out}: {', '.join(f'{number} {name}' for name, number in counts.items())} in {seconds:.0f} s")


async def _frames(spool: Path, out: Path, seconds: float, progress: Callable[[int], None]) -> None:
    """Keep every frame by a second name, before vision removes the first."""
    started = time.monotonic()
    known: set[Path] = set()
    with (out / FRAMES_FILE).open("wb") as file:
        while (after_s := time.monotonic() - started) < seconds:
            for folder in [path for path in spool.glob("*") if path.name != "refused"]:
                for path in waiting(folder):
                    kept = out / "frames" / folder.name / path.name
                    if path in known:
                        continue
                    known.add(path)
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    try:
                        os.link(path, kept)
                    except FileNotFoundError:
                        continue
                    row = RecordedFrame(after_s=after_s, spool=folder.name, file=str(kept.relative_to(out)))
                    file.write(msgspec.json.encode(row) + b"\n")
                    progress(len(known))
            await asyncio.sleep(_LOOK_S)


async def _events(bus: Bus, path: Path, seconds: float, progress: Callable[[int], None]) -> None:
    started = time.monotonic()
    count = 0
    with path.open("wb") as file:
        while (after_s := time.monotonic() - started) < seconds:
            try:
                messages = await asyncio.wait_for(bus.heard(), seconds - after_s)
            except TimeoutError:
                return
            for message in messages:
                bus.acknowledge(message)
                try:
                    events.decoded(message.payload)
                except MessageError:
                    continue
                row = RecordedEvent(after_s=after_s, topic=message.topic, event=msgspec.Raw(message.payload))
                file.write(msgspec.json.encode(row) + b"\n")
                count += 1
            progress(count)

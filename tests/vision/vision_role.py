"""The vision role run in a test, and what it said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from line.config import Site
from line.events import AnyEvent, decoded
from line.journal import read_entries
from vision.service import serve


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[None]:
    """The vision role, alive while inside."""
    task = asyncio.create_task(serve(site))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def emitted(site: Site) -> list[AnyEvent]:
    """All events of its own in its journal, in order."""
    path = site.state_dir / "journals" / "vision.journal"
    return [decoded(entry.payload) for entry in read_entries(path, own=True)] if path.exists() else []

"""The append-only journal of one service, which is also its outbox.

Every event that a service makes or hears stands here before anything else happens to it. One SQLite file in WAL mode
with synchronous FULL: what `append` has returned survives a power cut. The outbox is a cursor in the same file, so a
broker that is away costs disk and never an event. Appending an event twice is appending it once.

One writer thread owns the connection that writes; readers open their own.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
from msgspec import Struct

from line.errors import JournalError

_QUEUE_SIZE = 1024
"""Batches that may wait for the disk; when full, `append` waits, and with it whoever produces."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    own INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    seq INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS own_entries ON entries(position) WHERE own;
CREATE INDEX IF NOT EXISTS own_sequence ON entries(seq) WHERE own;
CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_COLUMNS = "id, own, at_ns, topic, payload, seq"
_SET = "INSERT INTO cursors VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET position = excluded.position"
_MOVE = "INSERT INTO cursors VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET position = max(position, excluded.position)"
_FORGET = """
DELETE FROM entries WHERE position IN (
    SELECT position FROM entries WHERE topic LIKE '%/data/tag_batch'
    AND (NOT own OR position <= coalesce((SELECT position FROM cursors WHERE name = 'outbox'), 0))
    ORDER BY position DESC LIMIT -1 OFFSET ?
)
"""
SCHEMA_VERSION = 1


class Entry(Struct, frozen=True):
    """One event as it stands in the journal."""

    id: str
    own: bool
    """True for an event this service made, which the outbox must deliver."""
    at_ns: int
    topic: str
    payload: bytes
    seq: int = 0
    """The event's number within its source, 0 for none."""
    position: int = 0
    """Order in this journal, from 1; 0 before it is appended."""


class Journal:
    """A journal that is open for writing. Made by `open_journal`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._requests: queue.Queue[_Request | None] = queue.Queue(_QUEUE_SIZE)
        self._connection = _connected(path, writing=True)
        self._thread = threading.Thread(target=self._write, name=f"journal-{path.stem}", daemon=True)
        self._thread.start()

    async def append(self, entries: Sequence[Entry]) -> list[Entry]:
        """Make entries durable; returns those that were new, with their positions, in order.

        Raises:
            JournalError: the disk is full or the file cannot be written; nothing of the batch is kept.
        """
        request = _Request(entries=tuple(entries))
        await self._submit(request)
        return request.stored

    async def move_cursor(self, name: str, position: int, *, back: bool = False) -> None:
        """Remember how far a reader has come; a cursor moves back only when told to, for a source that began anew."""
        await self._submit(_Request(cursor=(name, position), back=back))

    async def forget_samples(self, keep_count: int) -> None:
        """Forget the oldest tag batches beyond the newest `keep_count`; own ones only when they are delivered.

        Everything else stays. Tag history is the historian's, and a journal that kept every sample would fill a disk
        in weeks; a reader that was away for longer than what is kept sees a hole, which it counts.
        """
        await self._submit(_Request(keep_count=keep_count))

    def cursor(self, name: str) -> int:
        """Where a reader stands, 0 when it never moved."""
        with closing(_connected(self.path)) as connection:
            row = connection.execute("SELECT position FROM cursors WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def last_own_seq(self, up_to: int = 2**62) -> int:
        """Number of the last own event up to a position, 0 for none."""
        query = "SELECT seq FROM entries WHERE own AND position <= ? ORDER BY position DESC LIMIT 1"
        with closing(_connected(self.path)) as connection:
            row = connection.execute(query, (up_to,)).fetchone()
        return int(row[0]) if row else 0

    def own_payloads(self, from_seq: int, to_seq: int) -> list[bytes]:
        """Own events by number, both ends included, for a reader that missed them."""
        query = "SELECT payload FROM entries WHERE own AND seq BETWEEN ? AND ? ORDER BY seq"
        with closing(_connected(self.path)) as connection:
            return [bytes(row[0]) for row in connection.execute(query, (from_seq, to_seq))]

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of these events stand here already."""
        with closing(_connected(self.path)) as connection:
            query = "SELECT 1 FROM entries WHERE id = ?"
            return {identity for identity in ids if connection.execute(query, (identity,)).fetchone()}

    def close(self) -> None:
        """Write what waits, then close."""
        self._requests.put(None)
        self._thread.join()
        self._connection.close()

    async def _submit(self, request: _Request) -> None:
        loop = asyncio.get_running_loop()
        request.done = loop.create_future()
        request.loop = loop
        while True:
            try:
                self._requests.put_nowait(request)
                break
            except queue.Full:
                await asyncio.sleep(0.005)
        await request.done

    def _write(self) -> None:
        """The writer thread: one transaction for all that waits."""
        while True:
            first = self._requests.get()
            batch = [] if first is None else [first]
            closing_down = first is None
            while not closing_down and len(batch) < _QUEUE_SIZE:
                try:
                    following = self._requests.get_nowait()
                except queue.Empty:
                    break
                closing_down = following is None
                if following is not None:
                    batch.append(following)
            if batch:
                self._commit(batch)
            if closing_down:
                return

    def _commit(self, batch: list[_Request]) -> None:
        try:
            with self._connection:
                for request in batch:
                    request.stored = _inserted(self._connection, request.entries)
                    if request.cursor:
                        self._connection.execute(_SET if request.back else _MOVE, request.cursor)
                    if request.keep_count is not None:
                        self._connection.execute(_FORGET, (request.keep_count,))
        except sqlite3.Error as error:
            failure = JournalError(f"{self.path}: {error}; check free space and permissions")
            for request in batch:
                request.settle(failure)
        else:
            for request in batch:
                request.settle(None)


class _Request:
    """Something the writer thread shall do."""

    done: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        entries: tuple[Entry, ...] = (),
        cursor: tuple[str, int] | None = None,
        keep_count: int | None = None,
        back: bool = False,
    ) -> None:
        self.back = back
        self.entries = entries
        self.cursor = cursor
        self.keep_count = keep_count
        self.stored: list[Entry] = []

    def settle(self, failure: JournalError | None) -> None:
        def finish() -> None:
            if not self.done.done():
                if failure is None:
                    self.done.set_result(None)
                else:
                    self.done.set_exception(failure)

        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(finish)


@asynccontextmanager
async def open_journal(path: Path) -> AsyncIterator[Journal]:
    """Open a journal for writing, making file and folder when absent.

    Raises:
        JournalError: not a journal, of a newer schema, or not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path)
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)


def read_entries(path: Path, after: int = 0, *, own: bool | None = None, limit: int = -1) -> Iterator[Entry]:
    """Entries behind a position, in order, while others write.

    Args:
        own: True for own ones only, False for heard ones, None for all.
        limit: at most so many; -1 is all.
    """
    condition = "" if own is None else f" AND own = {int(own)}"
    columns = "id, own, at_ns, topic, payload, seq, position"
    query = f"SELECT {columns} FROM entries WHERE position > ?{condition} ORDER BY position LIMIT ?"
    with closing(_connected(path)) as connection:
        for identity, is_own, *rest in connection.execute(query, (after, limit)):
            yield Entry(identity, bool(is_own), *rest)


def last_position(path: Path) -> int:
    """Position of the last entry, 0 in an empty journal."""
    with closing(_connected(path)) as connection:
        return int(connection.execute("SELECT coalesce(max(position), 0) FROM entries").fetchone()[0])


def write_past(path: Path, entries: Iterator[Entry]) -> int:
    """Write a whole journal at once, atomically: it appears complete or not at all. Returns the count.

    For a past that is lived in seconds and for recordings; a service appends through `open_journal`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    with closing(_connected(temporary, writing=True)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            connection.executemany(
                f"INSERT OR IGNORE INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
                (_row(entry) for entry in entries),
            )
        count = int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])
    temporary.replace(path)
    return count


def _inserted(connection: sqlite3.Connection, entries: Sequence[Entry]) -> list[Entry]:
    stored = []
    for entry in entries:
        row = connection.execute(
            f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO NOTHING RETURNING position",
            _row(entry),
        ).fetchone()
        if row is not None:
            stored.append(msgspec.structs.replace(entry, position=int(row[0])))
    return stored


def _row(entry: Entry) -> tuple[object, ...]:
    return entry.id, entry.own, entry.at_ns, entry.topic, entry.payload, entry.seq


def _connected(path: Path, *, writing: bool = False) -> sqlite3.Connection:
    if not writing and not path.exists():
        raise JournalError(f"{path}: no such journal; check the path")
    try:
        connection = sqlite3.connect(path, check_same_thread=False, timeout=10.0)
    except sqlite3.Error as error:
        raise JournalError(f"{path}: cannot be opened: {error}; check the path and its permissions") from error
    try:
        _prepare(connection, path, writing=writing)
    except (sqlite3.Error, JournalError) as error:
        connection.close()
        if isinstance(error, JournalError):
            raise
        raise JournalError(f"{path}: cannot be opened as a journal: {error}; is it another file?") from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, *, writing: bool) -> None:
    if not writing:
        # SQLite opens a file when it is first read, not before.
        connection.execute("PRAGMA schema_version")
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise JournalError(f"{path}: schema {version}, this version reads up to {SCHEMA_VERSION}; update Lamella")
    connection.executescript(_SCHEMA)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

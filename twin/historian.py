"""Where the history of tags goes: the protocol, and the store that needs no server.

The embedded store is one SQLite file in WAL mode: samples, only ever added, clustered by tag and time, and the latest
value of each tag. What is older than the store keeps, or more than it may hold, is deleted from the old end. The
journal is what survives a power cut; the store may lose its last second then, and the service writes it again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from line.config import Site
from line.errors import ConfigError, HistorianError
from line.events import Quality, TagSample

_P = ParamSpec("_P")
_R = TypeVar("_R")

DAY_NS = 86_400_000_000_000
_QUALITIES: tuple[Quality, ...] = ("good", "uncertain", "bad")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tags (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS samples (
    tag INTEGER NOT NULL, at_ns INTEGER NOT NULL, value REAL, quality INTEGER NOT NULL, PRIMARY KEY (tag, at_ns)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latest (
    tag INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, value REAL, quality INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Trend:
    """Samples of one tag in order of time; None where the PLC gave no value."""

    times_ns: tuple[int, ...]
    values: tuple[float | None, ...]


class Historian(Protocol):
    """A store of tag history."""

    async def write(self, samples: Sequence[TagSample]) -> None:
        """Add samples; one that is known already changes nothing."""
        ...

    async def trend(self, tag: str, from_ns: int, to_ns: int, points_count: int) -> Trend:
        """Samples in `[from_ns, to_ns)`; with more than `points_count`, minimum and maximum of equal bins of time."""
        ...

    async def latest(self) -> list[TagSample]:
        """The latest sample of each tag."""
        ...

    async def mark(self, name: str) -> int:
        """How far a reader has come that writes to this store, 0 if it never did."""
        ...

    async def set_mark(self, name: str, position: int) -> None:
        """Remember how far a reader has come."""
        ...

    async def prune(self) -> int:
        """Delete what the store does not keep; returns how many samples that were."""
        ...


class EmbeddedHistorian:
    """The historian in one file. Made by `open_embedded`."""

    def __init__(self, path: Path, keep_days: float, most_bytes: int) -> None:
        self.path = path
        self._keep_ns = int(keep_days * DAY_NS)
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._connection = _connected(path)
        self._numbers: dict[str, int] = dict(self._connection.execute("SELECT name, number FROM tags"))

    async def write(self, samples: Sequence[TagSample]) -> None:
        await asyncio.to_thread(self._guarded, self._write, samples)

    async def trend(self, tag: str, from_ns: int, to_ns: int, points_count: int) -> Trend:
        return await asyncio.to_thread(self._trend, tag, from_ns, to_ns, points_count)

    async def latest(self) -> list[TagSample]:
        return await asyncio.to_thread(self._guarded, self._latest)

    async def mark(self, name: str) -> int:
        return await asyncio.to_thread(self._guarded, self._mark, name)

    async def set_mark(self, name: str, position: int) -> None:
        await asyncio.to_thread(self._guarded, self._set_mark, name, position)

    async def prune(self) -> int:
        return await asyncio.to_thread(self._guarded, self._prune)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _guarded(self, call: Callable[_P, _R], *arguments: _P.args, **named: _P.kwargs) -> _R:
        with self._lock:
            try:
                with self._connection:
                    return call(*arguments, **named)
            except sqlite3.Error as error:
                self._numbers = dict(self._connection.execute("SELECT name, number FROM tags"))
                raise HistorianError(f"{self.path}: {error}; check free space and permissions") from error

    def _write(self, samples: Iterable[TagSample]) -> None:
        rows = [
            (self._number(sample.tag), sample.source_ns, sample.value, _QUALITIES.index(sample.quality))
            for sample in samples
        ]
        self._connection.executemany("INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?)", rows)
        newest = {row[0]: row for row in sorted(rows, key=lambda row: row[1])}
        self._connection.executemany(
            "INSERT INTO latest VALUES (?, ?, ?, ?) ON CONFLICT(tag) DO UPDATE SET "
            "at_ns = excluded.at_ns, value = excluded.value, quality = excluded.quality WHERE excluded.at_ns > at_ns",
            newest.values(),
        )

    def _number(self, tag: str) -> int:
        known = self._numbers.get(tag)
        if known is None:
            row = self._connection.execute(
                "INSERT INTO tags (name) VALUES (?) ON CONFLICT(name) DO UPDATE SET name = name RETURNING number",
                (tag,),
            ).fetchone()
            known = int(row[0])
            self._numbers[tag] = known
        return known

    def _trend(self, tag: str, from_ns: int, to_ns: int, points_count: int) -> Trend:
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10.0)) as connection:
                return _trend_of(connection, tag, from_ns, to_ns, points_count)
        except sqlite3.Error as error:
            raise HistorianError(f"{self.path}: {error}") from error

    def _latest(self) -> list[TagSample]:
        rows = self._connection.execute(
            "SELECT name, value, quality, at_ns FROM latest JOIN tags ON tags.number = latest.tag ORDER BY name"
        )
        return [TagSample(name, value, _QUALITIES[quality], at_ns) for name, value, quality, at_ns in rows]

    def _mark(self, name: str) -> int:
        row = self._connection.execute("SELECT position FROM marks WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def _set_mark(self, name: str, position: int) -> None:
        self._connection.execute(
            "INSERT INTO marks VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET position = excluded.position",
            (name, position),
        )

    def _prune(self) -> int:
        bounds = self._connection.execute("SELECT max(at_ns) FROM latest").fetchone()
        if bounds[0] is None:
            return 0
        deleted = self._delete_before(int(bounds[0]) - self._keep_ns)
        while self._used_bytes() > self._most_bytes:
            firsts = (
                self._connection.execute("SELECT min(at_ns) FROM samples WHERE tag = ?", (number,)).fetchone()[0]
                for number in self._numbers.values()
            )
            oldest = min((first for first in firsts if first is not None), default=bounds[0])
            gone = self._delete_before(oldest + max(1, (int(bounds[0]) - oldest) // 10))
            if not gone:
                break
            deleted += gone
        return deleted

    def _delete_before(self, at_ns: int) -> int:
        return sum(
            self._connection.execute("DELETE FROM samples WHERE tag = ? AND at_ns < ?", (number, at_ns)).rowcount
            for number in self._numbers.values()
        )

    def _used_bytes(self) -> int:
        pages, free, size = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size


@asynccontextmanager
async def open_embedded(
    path: Path, *, keep_days: float = 60.0, most_bytes: int = 4_000_000_000
) -> AsyncIterator[EmbeddedHistorian]:
    """The embedded historian in a file, made when absent.

    Args:
        keep_days: of plant time, from the latest sample back.
        most_bytes: size of the file above which the oldest samples go, a tenth of the time at once.

    Raises:
        HistorianError: the file cannot be opened or is something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    historian = await asyncio.to_thread(EmbeddedHistorian, path, keep_days, most_bytes)
    try:
        yield historian
    finally:
        await asyncio.to_thread(historian.close)


@asynccontextmanager
async def open_historian(site: Site) -> AsyncIterator[Historian]:
    """The historian that the site's settings name.

    Raises:
        ConfigError: a setting of the chosen historian is missing or wrong.
        HistorianError: the embedded store cannot be opened.
    """
    if site.twin.historian == "embedded":
        async with open_embedded(site.state_dir / "historian" / "tags.sqlite") as historian:
            yield historian
        return
    if not site.twin.influx_url:
        raise ConfigError("is empty; expected the address of an InfluxDB 2 server", key="twin.influx_url")
    # Imported here because the client takes half a second to import, which a line without it need not wait for.
    from twin.influx import open_influx

    async with open_influx(site.twin) as influx:
        yield influx


def _trend_of(connection: sqlite3.Connection, tag: str, from_ns: int, to_ns: int, points_count: int) -> Trend:
    row = connection.execute("SELECT number FROM tags WHERE name = ?", (tag,)).fetchone()
    if row is None:
        return Trend((), ())
    within = "FROM samples WHERE tag = ? AND at_ns >= ? AND at_ns < ?"
    span = (int(row[0]), from_ns, to_ns)
    count, first_ns, last_ns = connection.execute(f"SELECT count(*), min(at_ns), max(at_ns) {within}", span).fetchone()
    if count <= points_count:
        rows = connection.execute(f"SELECT at_ns, value {within} ORDER BY at_ns", span).fetchall()
    else:
        # SQLite gives the other columns of the row that holds the minimum or maximum.
        bins = max(1, points_count // 3)
        width_ns = max(1, -(-(last_ns - first_ns + 1) // bins))
        extremes: set[tuple[int, float | None]] = set()
        for pick in ("min(value)", "max(value)", "NULL"):
            gap = "value IS NULL" if pick == "NULL" else "value IS NOT NULL"
            column = "min(at_ns), NULL" if pick == "NULL" else f"at_ns, {pick}"
            extremes.update(
                connection.execute(
                    f"SELECT {column} {within} AND {gap} GROUP BY (at_ns - ?) / ?", (*span, first_ns, width_ns)
                )
            )
        rows = sorted(extremes, key=lambda pair: pair[0])
    return Trend(tuple(int(at_ns) for at_ns, _ in rows), tuple(value for _, value in rows))


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=10.0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except sqlite3.Error as error:
        connection.close()
        raise HistorianError(f"{path}: cannot be opened as a historian: {error}; is it another file?") from error
    return connection

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from line.errors import JournalError
from line.journal import Entry, open_journal, read_entries, write_past


def entry(number: int, *, own: bool = True) -> Entry:
    return Entry(f"id-{number}", own, number, "lamella/x", b"{}", number)


async def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    async with open_journal(path) as journal:
        stored = await journal.append([entry(1), entry(2, own=False), entry(3)])
        assert [row.position for row in stored] == [1, 2, 3]
        assert [row.id for row in read_entries(path)] == ["id-1", "id-2", "id-3"]
        assert [row.id for row in read_entries(path, own=True)] == ["id-1", "id-3"]
        assert [row.id for row in read_entries(path, 1, limit=1)] == ["id-2"]
        assert journal.last_own_seq() == 3
        assert journal.last_own_seq(up_to=2) == 1
        assert journal.own_payloads(2, 9) == [b"{}"]
        assert journal.known(["id-3", "id-9"]) == {"id-3"}


async def test_appending_an_event_twice_is_appending_it_once(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "a.journal") as journal:
        assert len(await journal.append([entry(1), entry(1)])) == 1
        assert await journal.append([entry(1)]) == []


async def test_a_cursor_survives_and_never_moves_back(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    async with open_journal(path) as journal:
        await journal.move_cursor("outbox", 5)
        await journal.move_cursor("outbox", 3)
        await journal.move_cursor("parts S03", 900)
        await journal.move_cursor("parts S03", 2, back=True)
    async with open_journal(path) as journal:
        assert journal.cursor("outbox") == 5
        assert journal.cursor("parts S03") == 2
        assert journal.cursor("other") == 0


async def test_only_delivered_tag_batches_beyond_what_is_kept_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"

    def batch(number: int, *, own: bool) -> Entry:
        return Entry(f"batch-{number}", own, number, "lamella/s03/data/tag_batch", b"{}", number)

    async with open_journal(path) as journal:
        await journal.append([entry(0), *(batch(number, own=True) for number in range(1, 11))])
        await journal.move_cursor("outbox", 6)
        await journal.append([batch(number, own=False) for number in range(11, 16)])
        await journal.forget_samples(7)
        left = [row.id for row in read_entries(path)]
    delivered_and_kept = ["batch-4", "batch-5"]
    undelivered = [f"batch-{number}" for number in range(6, 11)]
    assert left == ["id-0", *delivered_and_kept, *undelivered, *(f"batch-{number}" for number in range(11, 16))]


async def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    async with open_journal(path) as journal:
        await asyncio.gather(*(journal.append([entry(number)]) for number in range(500)))
    assert {row.id for row in read_entries(path)} == {f"id-{number}" for number in range(500)}


def test_what_append_returned_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    program = f"""
import asyncio
from pathlib import Path
from line.journal import Entry, open_journal
async def main():
    async with open_journal(Path({str(path)!r})) as journal:
        for number in range(100000):
            await journal.append([Entry(f"id-{{number}}", True, number, "t", b"{{}}")])
            print(number, flush=True)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = 0
    for text in process.stdout:
        last = int(text)
        if last == 200:
            process.send_signal(signal.SIGKILL)
            break
    last = max([last, *(int(text) for text in process.stdout.read().split())])
    process.wait()
    process.stdout.close()
    assert [row.at_ns for row in read_entries(path)][: last + 1] == list(range(last + 1))


async def test_a_file_that_is_no_journal_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(b"this is no database, but long enough to have a header" * 100)
    with pytest.raises(JournalError, match=r"a\.journal"):
        async with open_journal(path):
            pass
    with pytest.raises(JournalError, match="no such journal"):
        list(read_entries(tmp_path / "b.journal"))


async def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="schema 99"):
        async with open_journal(path):
            pass


async def test_a_disk_that_refuses_is_an_error_and_nothing_of_the_batch_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    async with open_journal(path) as journal:
        await journal.append([entry(0)])
        journal._connection.execute("PRAGMA max_page_count = 8")
        big = Entry("big", True, 1, "t", b"x" * 1_000_000)
        with pytest.raises(JournalError, match="full"):
            await journal.append([entry(1), big])
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        await journal.append([entry(2)])
    assert [row.id for row in read_entries(path)] == ["id-0", "id-2"]


def test_a_past_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "past.journal"

    def broken() -> object:
        yield entry(1, own=False)
        raise RuntimeError("the tale breaks off")

    with pytest.raises(RuntimeError):
        write_past(path, broken())  # type: ignore[arg-type]
    assert not path.exists()
    assert write_past(path, (entry(number, own=False) for number in range(1000))) == 1000
    assert len(list(read_entries(path))) == 1000

"""Results of a command in a folder: JSON lines, CSV, overlays as PNG, a summary. None appears half-written."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from line.errors import ConfigError

_IN_WORDS = frozenset({"notes", "providers"})


class Results:
    """A folder of results. A context manager: the files get their names when it ends well.

    Args:
        out: made when absent; results of an earlier run in it are replaced.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._rows: list[Struct] = []
        self._overlays = out / "overlays"

    def __enter__(self) -> Self:
        try:
            self._overlays.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot be made: {error.strerror}; give another --out", file=self.out) from error
        self._lines = (self.out / "results.jsonl.tmp").open("wb")
        return self

    def add(self, row: Struct) -> None:
        """One result."""
        self._rows.append(row)
        self._lines.write(msgspec.json.encode(row) + b"\n")

    def overlay(self, number: int, source: Path, png: bytes) -> None:
        """The picture of a result; the number keeps files of one name in two folders apart."""
        _write_whole(self._overlays / f"{number:05d}_{source.stem}.png", png)

    def mask(self, number: int, source: Path, png: bytes) -> None:
        """The defective pixels of a result, white on black, for models that mark them."""
        folder = self.out / "masks"
        folder.mkdir(exist_ok=True)
        _write_whole(folder / f"{number:05d}_{source.stem}.png", png)

    def summary(self, summary: Struct) -> None:
        """What it all comes to."""
        _write_whole(self.out / "summary.json", msgspec.json.format(msgspec.json.encode(summary)) + b"\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        if kind is None:
            (self.out / "results.jsonl.tmp").replace(self.out / "results.jsonl")
            _write_csv(self.out / "results.csv", self._rows)


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def _write_csv(path: Path, rows: Sequence[Struct]) -> None:
    """Floats to six digits, names and notes in words, other lists by their length under `<name>_count`."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for number, row in enumerate(rows):
            flat: dict[str, object] = {}
            for name, value in msgspec.structs.asdict(row).items():
                if name in _IN_WORDS:
                    flat[name] = "; ".join(value)
                elif isinstance(value, list | tuple):
                    flat[f"{name}_count"] = len(value)
                elif isinstance(value, float):
                    flat[name] = f"{value:.6g}"
                else:
                    flat[name] = "" if value is None else value
            if number == 0:
                writer.writerow(flat)
            writer.writerow(flat.values())
    temporary.replace(path)


class Count:
    """How far a long task is: a bar on a terminal, one line per tenth elsewhere, on standard error."""

    def __init__(self, total: int, what: str) -> None:
        self._total = total
        self._what = what
        self._done = 0
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
        )
        self._task = self._bar.add_task(what, total=total)

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        tenth = max(1, self._total // 10)
        if not sys.stderr.isatty() and (self._done % tenth == 0 or self._done == self._total):
            print(f"{self._what}: {self._done} of {self._total}", file=sys.stderr)

    @contextmanager
    def shown(self) -> Iterator[Self]:
        """Show it while inside."""
        if sys.stderr.isatty():
            with self._bar:
                yield self
        else:
            yield self

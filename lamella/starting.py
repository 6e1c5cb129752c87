"""What `lamella run` shows while it starts: a live table on a terminal, one line per change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

_EVERY_S = 5.0
"""Where there is no terminal, a count that moves is printed this often."""


class Board:
    """How far each role has come."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._rows: dict[str, tuple[str, bool]] = {}
        self._live: Live | None = None
        self._printed_s: dict[str, float] = {}
        self._started = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table while inside, on a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self._table(), console=self._console, refresh_per_second=4) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def say(self, role: str, text: str, *, done: bool) -> None:
        """A role is at this point."""
        before = self._rows.get(role)
        if before == (text, done):
            return
        self._rows[role] = (text, done)
        if self._live is not None:
            self._live.update(self._table())
        elif before is None or before[1] != done or self._elapsed_s() - self._printed_s.get(role, 0.0) > _EVERY_S:
            self._printed_s[role] = self._elapsed_s()
            self._console.print(f"{self._elapsed_s():6.1f} s  {role:8} {text}", soft_wrap=True)

    def address(self, url: str, elapsed_s: float) -> None:
        """All is ready; here is where to look."""
        self._console.print(f"\nThe line runs after {elapsed_s:.1f} s. Open [bold]{url}[/bold]   (Ctrl-C ends it)\n")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for role, (text, done) in self._rows.items():
            table.add_row("●" if done else "○", role, text)
        ready = sum(done for _, done in self._rows.values())
        table.add_row("", "", f"{ready} of {len(self._rows)} ready after {self._elapsed_s():.0f} s")
        return table

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started

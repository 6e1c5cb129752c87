"""How far a training is, in words, with the time still to go."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_SAID_EVERY_S = 30.0


class TrainingProgress:
    """A line that is written over on a terminal, a line now and then elsewhere, on standard error.

    A context manager: the line ends with it, also when work breaks off.
    """

    def __init__(self) -> None:
        self._started = self._part_started = time.monotonic()
        self._share = 0.0
        self._said_at = -_SAID_EVERY_S
        self._stage = ""
        self._open = False

    def __call__(self, stage: str, share: float) -> None:
        """Tell the stage and the share of the whole that is done."""
        now = time.monotonic()
        if share < self._share:
            # Another part of the work, counted from its own beginning.
            self._part_started = now
        self._share = share
        text = f"{share:4.0%}  {stage}{self._to_go(now, share)}"
        if sys.stderr.isatty():
            print(f"\r{text:78}", end="", file=sys.stderr, flush=True)
            self._open = True
            return
        word = stage.split(",")[0]
        if word != self._stage or now - self._said_at >= _SAID_EVERY_S:
            print(text, file=sys.stderr, flush=True)
            self._said_at, self._stage = now, word

    def _to_go(self, now: float, share: float) -> str:
        spent = now - self._started
        # The first steps say little about the others.
        if share >= 1 or share < 0.03 or spent < 3:
            return f", {spent:.0f} s"
        left = (now - self._part_started) * (1 - share) / share
        return f", {spent:.0f} s, about {left:.0f} s to go"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            print(file=sys.stderr)

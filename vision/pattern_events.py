"""Messages about patterns: which are due, and how they are filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from line.events import FilmPattern, StripInspected, Verdict
from line.ids import event_id
from line.model import Camera
from vision.marks import Mark

Form = Literal["cluster", "repeat", "rate"]

_TOLD_COUNT = 16
"""Latest defects that a message names."""
_TOLD_PATTERNS = 512
"""Of a roll that are remembered; one that is forgotten and grows is told as another."""
_GROWTH = 1.25
"""A pattern is told again when it has grown by so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a message says of a pattern."""

    kind: str
    marks: Sequence[Mark]
    count: int
    p_value: float
    verdict: Verdict
    reason: str
    cause: str
    md_start_um: int | None = None
    cd: tuple[int, int] | None = None
    period_um: float = 0.0
    roller: str = ""
    rate_factor: float = 0.0
    last: bool = False


@dataclass(slots=True, kw_only=True)
class _Told:
    """A pattern as far as it was told."""

    pattern: str
    revision: int = 0
    size: float = 0.0
    """When it was told last: defects, or length of a line."""

    def due(self, size: float) -> bool:
        """Whether it has grown enough to be told again."""
        return size >= _GROWTH * self.size


class PatternBook:
    """What was told of the patterns of one camera on the present roll."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._told: dict[tuple[Form, str, str], _Told] = {}

    def forget(self) -> None:
        """Begin a roll."""
        self._told.clear()

    def knows(self, form: Form, kind: str, first: str) -> bool:
        """Whether a pattern was told before."""
        return (form, kind, first) in self._told

    def due(self, form: Form, kind: str, first: str, size: float) -> bool:
        """Whether a pattern is new, or has grown enough to be told again."""
        told = self._told.get((form, kind, first))
        return told is None or told.due(size)

    def told(self, strip: StripInspected, form: Form, first: str, size: float, words: Words) -> list[FilmPattern]:
        """The message about a pattern, when it is new, has grown enough, or is over."""
        key = (form, words.kind, first)
        told = self._told.get(key)
        if told is None:
            name = f"{form}/{self._camera.id}/{strip.roll}/{words.kind}/{first}"
            if len(self._told) >= _TOLD_PATTERNS:
                self._told.pop(next(iter(self._told)))
            told = self._told[key] = _Told(pattern=event_id(strip.at_ns, name))
        elif not (told.due(size) or words.last):
            return []
        told.revision += 1
        told.size = size
        if words.last:
            del self._told[key]
        return [
            FilmPattern(
                at_ns=strip.at_ns,
                simulated=strip.simulated,
                id=event_id(strip.at_ns, f"{told.pattern}/{told.revision}"),
                pattern=told.pattern,
                revision=told.revision,
                roll=strip.roll,
                station=self._camera.station,
                camera=self._camera.id,
                form=form,
                kind=words.kind,
                defects=tuple(mark.defect for mark in words.marks[-_TOLD_COUNT:]),
                defects_count=words.count,
                md_start_um=min(words.md_start_um, *(mark.md_start_um for mark in words.marks))
                if words.md_start_um is not None
                else min(mark.md_start_um for mark in words.marks),
                md_end_um=max(mark.md_end_um for mark in words.marks),
                cd_start_um=words.cd[0] if words.cd else min(mark.cd_start_um for mark in words.marks),
                cd_end_um=words.cd[1] if words.cd else max(mark.cd_end_um for mark in words.marks),
                p_value=words.p_value,
                period_um=words.period_um,
                roller=words.roller,
                rate_factor=round(words.rate_factor, 2),
                verdict=words.verdict,
                reason=words.reason,
                cause=words.cause,
            )
        ]

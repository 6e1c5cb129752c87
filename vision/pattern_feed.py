"""Feeds the pattern finders of all film cameras: with results of this process, and with what others say of film.

Others are the simulated line, which draws results where no picture is taken, and another maker's inspector.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from line.bundle import DetectionCurve
from line.events import Event, FilmDefect, FilmPattern, StripInspected
from line.model import LineModel
from vision.patterns import PatternFinder

_WAITING_COUNT = 4_096
"""Defects whose strip was not heard of yet; beyond it the oldest are in no pattern."""


class PatternFeed:
    """The finders of a line's film cameras.

    Args:
        line: the line model.
        curves: measured detection curves of the model that looks.
    """

    def __init__(self, line: LineModel, curves: Mapping[str, DetectionCurve] | None = None) -> None:
        self._finders = {camera.id: PatternFinder(line, camera, curves=curves) for camera in line.film_cameras()}
        self._waiting: dict[str, deque[FilmDefect]] = {name: deque(maxlen=_WAITING_COUNT) for name in self._finders}

    def seen(self, strip: StripInspected, defects: Sequence[FilmDefect]) -> list[FilmPattern]:
        """Patterns after a strip and all defects on it."""
        finder = self._finders.get(strip.camera)
        return finder.seen(strip, defects) if finder else []

    def heard(self, events: Iterable[Event]) -> list[FilmPattern]:
        """Patterns after what others said; defects come before or after the strip that they lie on."""
        found: list[FilmPattern] = []
        for event in events:
            if isinstance(event, FilmDefect) and event.camera in self._waiting:
                self._waiting[event.camera].append(event)
            elif isinstance(event, StripInspected) and event.camera in self._waiting:
                waiting = self._waiting[event.camera]
                here = [row for row in waiting if row.roll == event.roll and row.md_start_um <= event.md_end_um]
                # What waits for another roll than the one that passes has missed its strip.
                ahead = [row for row in waiting if row.roll == event.roll and row.md_start_um > event.md_end_um]
                self._waiting[event.camera] = deque(ahead, maxlen=_WAITING_COUNT)
                found += self.seen(event, here)
        return found

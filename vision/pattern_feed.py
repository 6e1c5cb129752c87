"""Feeds the pattern finders of all film cameras: with results of this process, and with what others say of film.

Others are the simulated line, which draws results where no picture is taken, and another maker's inspector. After a
restart the finders are brought back to where they were, from what was kept of rates and from the journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from line.bundle import DetectionCurve
from line.events import Event, FilmDefect, FilmPattern, StripInspected
from line.model import LineModel
from vision.patterns import PatternFinder
from vision.rate_memory import FilmEvent, read_rates, since, write_rates

_WAITING_COUNT = 4_096
"""Defects whose strip was not heard of yet; beyond it the oldest are in no pattern."""


class PatternFeed:
    """The finders of a line's film cameras.

    Args:
        line: the line model.
        curves: by camera, measured detection curves of the model that looks.
        state_dir: where rates are kept over a restart; None keeps none.
    """

    def __init__(
        self,
        line: LineModel,
        curves: Mapping[str, Mapping[str, DetectionCurve]] | None = None,
        state_dir: Path | None = None,
    ) -> None:
        by_camera = curves or {}
        self._finders = {
            camera.id: PatternFinder(line, camera, curves=by_camera.get(camera.id)) for camera in line.film_cameras()
        }
        self._waiting: dict[str, deque[FilmDefect]] = {name: deque(maxlen=_WAITING_COUNT) for name in self._finders}
        self._state_dir = state_dir
        self._before: dict[str, set[str]] = {}
        """Strips that were said before a restart, until the first that was not: some are inspected again."""

    def resume(self, tail: Sequence[FilmEvent]) -> list[FilmPattern]:
        """Go on where a process before this one ended; what it may not have said any more, all of it with its own id.

        Args:
            tail: `rate_memory.film_tail` of its journal.
        """
        found: list[FilmPattern] = []
        for camera, finder in self._finders.items():
            said = [event for event in tail if event.camera == camera]
            memory = read_rates(self._state_dir, camera) if self._state_dir else None
            if memory is not None:
                finder.resume(memory)
            found += self._again(said if memory is None else since(memory, said))
            self._before[camera] = {event.id for event in said if isinstance(event, StripInspected)}
        return found

    def seen(self, strip: StripInspected, defects: Sequence[FilmDefect]) -> list[FilmPattern]:
        """Patterns after a strip and all defects on it."""
        finder = self._finders.get(strip.camera)
        if finder is None or strip.id in self._before.get(strip.camera, ()):
            return []
        self._before.pop(strip.camera, None)
        if strip.roll != finder.roll:
            memory = finder.begin(strip)
            if self._state_dir:
                write_rates(self._state_dir, strip.camera, memory)
        return finder.seen(strip, defects)

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

    def _again(self, events: Sequence[FilmEvent]) -> list[FilmPattern]:
        """As `seen` and `heard` when it was said: what is seen in pixels is a strip, then the defects on it."""
        found: list[FilmPattern] = []
        strip: StripInspected | None = None
        defects: list[FilmDefect] = []
        for event in events:
            own = event.method == "pixels"
            if own and isinstance(event, FilmDefect):
                defects.append(event)
                continue
            if strip is not None:
                found += self.seen(strip, defects)
            strip, defects = None, []
            if not own:
                found += self.heard([event])
            elif isinstance(event, StripInspected) and event.state != "unreadable":
                strip = event
        return found + (self.seen(strip, defects) if strip is not None else [])

"""A past for the line to open with: weeks lived in seconds by the same flow, written straight as a journal.

Entries are as the services of a real line would have left them: part records, states and decimated tags from the PLC
link, inspection results from vision, these drawn through a detection curve. `seq` is 0: nobody counts a past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import force_setattr

from line import events
from line.bundle import DetectionCurve, ModelRef
from line.events import Event, TagBatch, TagSample
from line.ids import event_id
from line.journal import Entry, write_past
from line.topics import Topics, topics_of
from plant.drawn import FilmDrawer
from plant.drawn_layers import LayerDrawer
from plant.hidden import Episode, drawn_episodes
from plant.scenario import load_scenario
from plant.shifts import NS, Shifts
from plant.truth import TruthFile
from plant.world import World

TAGS_EVERY_S = 300.0
"""One batch of tags per station in this time of production."""
_UNMANNED_STEP_S = 3600.0
_WEEK_NS = 7 * 86400 * NS

Progress = Callable[[float], None]
"""Told the share of the past that is lived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What was lived."""

    entries_count: int
    cells_made_count: int
    cells_tested_count: int
    film_m: float


def live_past(
    world: World, weeks: float, journal_path: Path, progress: Progress | None = None, *, model: ModelRef,
    curves: Mapping[str, DetectionCurve] | None = None, box: str = "box-1", topic_root: str = "lamella",
    truth: TruthFile | None = None,
) -> Past:  # fmt: skip
    """Live the weeks before the line opens and write them as a journal; then the world goes on live.

    Args:
        world: that has not advanced yet.
        weeks: how long before its opening life begins.
        journal_path: appears complete or not at all.
        model: whose detection the results of the film camera stand for.
        curves: its measured detection curves by class.
        box: name of the machine in every source.
        topic_root: first level of the topics.
        truth: the sealed file, for what was really so.

    Raises:
        ValueError: the world lives already.
        JournalError: the journal cannot be written.
    """
    began_ns = world.opens_at_ns - int(weeks * _WEEK_NS)
    world.begin(began_ns)
    life = _Life(world, drawn_episodes(world.hidden, weeks), model=model, curves=curves)
    writer = _Writer(topics_of(world.line, topic_root), box)
    count = write_past(journal_path, writer.entries(life.chunks(progress, truth)))
    return Past(
        entries_count=count,
        cells_made_count=writer.counts.get("CellMade", 0),
        cells_tested_count=writer.counts.get("CellTested", 0),
        film_m=sum(seen_um for _, seen_um in world.film_passed()) * 1e-6,
    )


class _Life:
    """Takes a world through its past and says what its services would have said."""

    def __init__(
        self,
        world: World,
        episodes: tuple[Episode, ...],
        *,
        model: ModelRef,
        curves: Mapping[str, DetectionCurve] | None,
    ) -> None:
        self._world = world
        self._shifts = Shifts(world.line.calendar)
        self._film = FilmDrawer(world.line, seed=world.seed, model=model, curves=curves, unnamed=world.hidden.unnamed())
        self._layers = LayerDrawer(world.line, seed=world.seed)
        self._tags = {
            station.code: tuple(
                (f"{station.code}.{tag.name}", _digits(tag.half_range)) for tag in station.tags if tag.sampling_ms
            )
            for station in world.line.stations
        }
        self._episodes = [(self._episode_ns(row), row) for row in episodes]

    def chunks(self, progress: Progress | None, truth: TruthFile | None) -> Iterator[list[Event]]:
        """What was said, in pieces of a few minutes, each in order of time."""
        world = self._world
        begin_ns, end_ns = world.now_ns, world.opens_at_ns
        at_ns, told = begin_ns, 0.0
        while at_ns < end_ns:
            manned = self._shifts.interval_at(at_ns) is not None
            at_ns = min(at_ns + int((TAGS_EVERY_S if manned else _UNMANNED_STEP_S) * NS), end_ns)
            if not manned:
                at_ns = min(at_ns, max(self._shifts.next_begin_ns(world.now_ns), world.now_ns + 1))
            while self._episodes and self._episodes[0][0] <= at_ns:
                start_ns, row = self._episodes.pop(0)
                world.advance(start_ns)
                scenario = load_scenario(row.scenario, world.line)
                world.inject(scenario, row.strength, lasts_s=row.hours * 3600)
            world.advance(at_ns)
            said: list[Event] = [*world.take_material(), *world.take_states(), *self._film.due(world)]
            shifts_um = {corner: world.corner_shift_um(corner) for corner in (1, 2, 3, 4)}
            for placed_ns, placed in world.take_placements():
                seen = self._layers.layer(placed, placed_ns, shifts_um)
                # a laminate has no readings of its own: told for the newest week, so that the past stays small
                if placed.kind == "cathode" or placed_ns >= end_ns - _WEEK_NS:
                    said.append(seen)
            said += self._tag_batches(at_ns)
            said.sort(key=lambda event: event.at_ns)
            if truth is not None:
                truth.append(world.take_truth())
            yield said
            share = (at_ns - begin_ns) / (end_ns - begin_ns)
            if progress is not None and share - told >= 0.01:
                told = share
                progress(share)
        world.forget()

    def _tag_batches(self, at_ns: int) -> list[TagBatch]:
        running = self._world.running_stations()
        values = self._world.tags()
        return [
            TagBatch(
                at_ns=at_ns,
                simulated=True,
                id=event_id(at_ns, f"{station}:tags"),
                station=station,
                samples=tuple(
                    TagSample(tag, round(values[tag], digits), "good", at_ns) for tag, digits in self._tags[station]
                ),
            )
            for station in running
        ]

    def _episode_ns(self, row: Episode) -> int:
        """The plant time of a fraction of the past's working time."""
        begin_ns, end_ns = self._world.now_ns, self._world.opens_at_ns
        shifts = self._shifts.between(begin_ns, end_ns)
        left_ns = row.at_fraction * sum(min(end, end_ns) - begin for begin, end in shifts)
        for begin, end in shifts:
            length_ns = min(end, end_ns) - begin
            if left_ns < length_ns:
                return begin + int(left_ns)
            left_ns -= length_ns
        return end_ns


class _Writer:
    """Turns events into journal entries."""

    def __init__(self, topics: Topics, box: str) -> None:
        self._topics = topics
        self._sources = {"plc": f"plc@{box}", "vision": f"vision@{box}"}
        self._known: dict[tuple[type[Event], str], str] = {}
        self.counts: dict[str, int] = {}

    def entries(self, chunks: Iterator[list[Event]]) -> Iterator[Entry]:
        """One entry per event, stamped with who said it."""
        vision = (events.FilmDefect, events.StripInspected, events.LayerInspected)
        encoded, counts, known = events.encoded, self.counts, self._known
        for chunk in chunks:
            for event in chunk:
                kind = type(event)
                # ours until now and seen by nobody, so that writing into it is safe and six times faster than a copy
                force_setattr(event, "source", self._sources["vision" if kind in vision else "plc"])
                counts[kind.__name__] = counts.get(kind.__name__, 0) + 1
                key = (kind, getattr(event, "station", ""))
                topic = known.get(key)
                if topic is None:
                    topic = known[key] = self._topics.of(event)
                yield Entry(event.id, False, event.at_ns, topic, encoded(event))


def _digits(half_range: float) -> int:
    """Decimals that resolve a thousandth of a tag's half normal range."""
    if half_range <= 0:
        return 3
    digits = 3
    while half_range * 10**digits < 1000 and digits < 9:
        digits += 1
    while half_range * 10 ** (digits - 1) >= 1000 and digits > 0:
        digits -= 1
    return digits

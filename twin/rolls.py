"""The map of one roll: what was found on it, what of it was looked at, and its streaks.

Coordinates are as coated: MD from the roll's start, CD from the operator-side edge of the coat, int64 micrometres.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from line.events import FilmDefect, FilmPattern, FilmProfile, StripInspected
from twin.intervals import IntervalSet

_CD_GRID_UM = 1_000
"""Edges across the web are taken inwards to this grid, so that a wandering web does not make a set per strip."""
_STREAK_FROM_UM = 50_000
"""A defect longer than this along the web, and ten times longer than wide, is a streak."""
_STREAK_ASPECT = 10
_STREAK_GAP_UM = 100_000
"""Pieces of one class side by side with no more than this between them are one streak."""
_STREAK_BREAK_UM = 1_000_000
"""Pieces of one class whose centres agree are one streak over a gap of this length, or one nobody looked at."""
NOTHING_LOOKED = "not inspected"
_LINES_DROPPED = "lines_dropped"
_PASSAGE_EVERY_UM = 100_000
"""Of all strips that passed in so much web travel, the first is remembered with its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streak:
    """A long defect along the web, joined from its sightings."""

    kind: str
    start_um: int
    end_um: int
    cd_low_um: int
    cd_high_um: int

    @property
    def label(self) -> str:
        """For people: `STR at CD 112.0 mm`."""
        return f"{self.kind} at CD {(self.cd_low_um + self.cd_high_um) / 2000:.1f} mm"


class RollMap:
    """What is known of one roll. A join: order and repetition of what it hears do not matter."""

    __slots__ = (
        "_by_start", "_longest_um", "_starts", "defects", "looked", "passages", "patterns", "profiles", "roll",
        "seen_um", "unlooked",
    )  # fmt: skip

    def __init__(self, roll: str) -> None:
        self.roll = roll
        self.defects: dict[str, FilmDefect] = {}
        self.looked: dict[tuple[int, int], IntervalSet] = {}
        """Inspected MD by CD range."""
        self.unlooked: dict[str, IntervalSet] = {}
        """MD of strips that do not count as inspected, by the reason."""
        self.patterns: dict[str, FilmPattern] = {}
        self.profiles: dict[tuple[int, str], FilmProfile] = {}
        """By where they begin, and their camera."""
        self.passages: dict[int, tuple[int, int]] = {}
        """Web travel since the roll's start and plant time at which it was reached, by `_PASSAGE_EVERY_UM`."""
        self.seen_um = 0
        """How far along the roll anybody has looked or found anything."""
        self._by_start: list[FilmDefect] | None = None
        self._starts: list[int] = []
        self._longest_um = 0

    def add_defect(self, defect: FilmDefect) -> bool:
        """Keep the highest revision of a defect; returns whether anything changed."""
        known = self.defects.get(defect.defect)
        if known is not None and _defect_order(known) >= _defect_order(defect):
            return False
        self.defects[defect.defect] = defect
        self._by_start = None
        self.seen_um = max(self.seen_um, defect.md_end_um)
        return True

    def add_pattern(self, pattern: FilmPattern) -> bool:
        """Keep the highest revision of a pattern; returns whether anything changed."""
        known = self.patterns.get(pattern.pattern)
        if known is not None and _pattern_order(known) >= _pattern_order(pattern):
            return False
        self.patterns[pattern.pattern] = pattern
        return True

    def add_profile(self, profile: FilmProfile) -> bool:
        """Keep one profile for each place and camera, the later word; returns whether anything changed."""
        key = profile.md_start_um, profile.camera
        known = self.profiles.get(key)
        if known is not None and _profile_order(known) >= _profile_order(profile):
            return False
        self.profiles[key] = profile
        return True

    def add_passage(self, travel_um: int, at_ns: int) -> None:
        """The web had travelled so far since the roll's start at this plant time."""
        place, passage = travel_um // _PASSAGE_EVERY_UM, (travel_um, at_ns)
        self.passages[place] = min(self.passages.get(place, passage), passage)

    def add_strip(self, strip: StripInspected, *, pixel_um: float = 0.0) -> None:
        """Take note of a strip that was looked at, or that could not be, and of lines that were lost before it."""
        self.seen_um = max(self.seen_um, strip.md_end_um)
        if lost_um := round(strip.missed_lines_count * pixel_um):
            lost = self.unlooked.setdefault(_LINES_DROPPED, IntervalSet())
            lost.add(max(0, strip.md_start_um - lost_um), strip.md_start_um)
        if strip.state == "inspected":
            low = -(-strip.cd_start_um // _CD_GRID_UM) * _CD_GRID_UM
            high = strip.cd_end_um // _CD_GRID_UM * _CD_GRID_UM
            intervals = self.looked.get((low, high))
            if intervals is None:
                intervals = self.looked[low, high] = IntervalSet()
        else:
            intervals = self.unlooked.setdefault(strip.state, IntervalSet())
        intervals.add(strip.md_start_um, strip.md_end_um)

    def defects_within(self, start_um: int, end_um: int, cd_low_um: int, cd_high_um: int) -> Iterator[FilmDefect]:
        """Defects that touch a rectangle, in order of their start."""
        ordered = self._ordered()
        for index in range(bisect_left(self._starts, start_um - self._longest_um), len(ordered)):
            defect = ordered[index]
            if defect.md_start_um >= end_um:
                return
            if max(defect.md_end_um, defect.md_start_um + 1) > start_um and (
                defect.cd_start_um < cd_high_um and max(defect.cd_end_um, defect.cd_start_um + 1) > cd_low_um
            ):
                yield defect

    def inspected_fraction(self, start_um: int, end_um: int, cd_low_um: int, cd_high_um: int) -> float:
        """Share of a rectangle's area that was looked at; 0 for an empty one."""
        if end_um <= start_um or cd_high_um <= cd_low_um:
            return 0.0
        if len(self.looked) == 1:
            ((low, high), intervals) = next(iter(self.looked.items()))
            across = max(0, min(high, cd_high_um) - max(low, cd_low_um))
            return intervals.covered(start_um, end_um) / (end_um - start_um) * across / (cd_high_um - cd_low_um)
        edges = sorted({
            cd_low_um,
            cd_high_um,
            *(edge for pair in self.looked for edge in pair if cd_low_um < edge < cd_high_um),
        })
        area = 0
        for low, high in pairwise(edges):
            union = IntervalSet()
            for (from_cd, to_cd), intervals in self.looked.items():
                if from_cd <= low and to_cd >= high:
                    for start, end in intervals.within(start_um, end_um):
                        union.add(start, end)
            area += (high - low) * union.total
        return area / ((end_um - start_um) * (cd_high_um - cd_low_um))

    def inspected_along(self) -> IntervalSet:
        """MD where any part of the width was looked at."""
        if len(self.looked) == 1:
            return next(iter(self.looked.values()))
        return IntervalSet(pair for intervals in self.looked.values() for pair in intervals)

    def uninspected(self, start_um: int, end_um: int) -> list[tuple[int, int, str]]:
        """Stretches where no part of the width was looked at, each with why, in order."""
        found = []
        for start, end in self.inspected_along().gaps(start_um, end_um):
            at = start
            reasons = sorted(
                (low, high, reason)
                for reason, intervals in self.unlooked.items()
                for low, high in intervals.within(start, end)
            )
            for low, high, reason in reasons:
                if low > at:
                    found.append((at, low, NOTHING_LOOKED))
                if high > at:
                    found.append((max(low, at), high, reason.replace("_", " ")))
                    at = high
            if at < end:
                found.append((at, end, NOTHING_LOOKED))
        return found

    def patterns_within(self, start_um: int, end_um: int) -> list[FilmPattern]:
        """Patterns that touch a stretch, the latest first."""
        found = [row for row in self.patterns.values() if row.md_start_um < end_um and row.md_end_um >= start_um]
        return sorted(found, key=lambda row: (row.at_ns, row.md_end_um, row.pattern), reverse=True)

    def profiles_within(self, start_um: int, end_um: int) -> list[FilmProfile]:
        """Profiles that touch a stretch, in order along the roll."""
        keys = sorted(key for key, row in self.profiles.items() if key[0] < end_um and row.md_end_um > start_um)
        return [self.profiles[key] for key in keys]

    def streaks(self) -> list[Streak]:
        """Long defects along the web, sightings of one class at one CD joined."""
        open_ones: dict[str, list[Streak]] = {}
        done: list[Streak] = []
        for defect in self._ordered():
            length = defect.md_end_um - defect.md_start_um
            if length < max(_STREAK_FROM_UM, _STREAK_ASPECT * (defect.cd_end_um - defect.cd_start_um)):
                continue
            piece = Streak(
                kind=defect.kind,
                start_um=defect.md_start_um,
                end_um=defect.md_end_um,
                cd_low_um=defect.cd_start_um,
                cd_high_um=defect.cd_end_um,
            )
            waiting = open_ones.setdefault(defect.kind, [])
            for known in [row for row in waiting if not self._may_go_on(row, piece.start_um)]:
                waiting.remove(known)
                done.append(known)
            for known in [row for row in waiting if _are_one(row, piece)]:
                waiting.remove(known)
                piece = _joined(known, piece)
            waiting.append(piece)
        done += [row for rows in open_ones.values() for row in rows]
        return sorted(done, key=lambda row: (row.start_um, row.cd_low_um, row.kind))

    def _may_go_on(self, streak: Streak, at_um: int) -> bool:
        """Whether a streak may still be there at an MD: it ended a little before, or hardly anybody looked since."""
        if at_um - streak.end_um <= _STREAK_BREAK_UM:
            return True
        return all(
            intervals.covered(streak.end_um, at_um) <= _STREAK_GAP_UM
            for (low, high), intervals in self.looked.items()
            if 2 * low <= streak.cd_low_um + streak.cd_high_um <= 2 * high
        )

    def _ordered(self) -> list[FilmDefect]:
        if self._by_start is None:
            self._by_start = sorted(self.defects.values(), key=lambda row: (row.md_start_um, row.defect))
            self._starts = [row.md_start_um for row in self._by_start]
            self._longest_um = max((row.md_end_um - row.md_start_um for row in self._by_start), default=0) + 1
        return self._by_start

    def defects_between(self, start_um: int, end_um: int) -> list[FilmDefect]:
        """Defects that begin in `[start_um, end_um)`, in order."""
        ordered = self._ordered()
        return ordered[bisect_left(self._starts, start_um) : bisect_right(self._starts, end_um - 1)]


def _defect_order(defect: FilmDefect) -> tuple[int, int, str, int, str]:
    return defect.revision, defect.at_ns, defect.source, defect.seq, defect.id


def _pattern_order(pattern: FilmPattern) -> tuple[int, int, str, int, str]:
    return pattern.revision, pattern.at_ns, pattern.source, pattern.seq, pattern.id


def _profile_order(profile: FilmProfile) -> tuple[int, str, int, str]:
    return profile.at_ns, profile.source, profile.seq, profile.id


def _are_one(one: Streak, other: Streak) -> bool:
    """Whether two pieces, `other` the later, that nothing seen lies between are of one streak."""
    margin_um = _CD_GRID_UM
    between_um = one.cd_low_um + one.cd_high_um - other.cd_low_um - other.cd_high_um
    if abs(between_um) <= 2 * margin_um:
        return True
    if other.start_um - one.end_um > _STREAK_GAP_UM:
        return False
    return one.cd_low_um - margin_um < other.cd_high_um and other.cd_low_um - margin_um < one.cd_high_um


def _joined(one: Streak, other: Streak) -> Streak:
    return Streak(
        kind=one.kind,
        start_um=min(one.start_um, other.start_um),
        end_um=max(one.end_um, other.end_um),
        cd_low_um=min(one.cd_low_um, other.cd_low_um),
        cd_high_um=max(one.cd_high_um, other.cd_high_um),
    )

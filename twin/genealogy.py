"""From a metre of a roll to the cells it is in, and from a cell to the metres it came from.

Both directions rest on one function, `Genealogy.origins`: what a sheet is made of, on every roll on the way back to the
coater, both faces. The way forth only finds candidates and lets `origins` decide, so that the two cannot disagree. A
web whose record has not come yet ends the way there; what is known up to that point is answered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from line.errors import NotFoundError
from line.events import WebSegment
from line.model import Lane
from line.web_piece import scaled
from twin.intervals import IntervalSet
from twin.records import Cut
from twin.state import LineState

_MOST_STEPS = 12
"""Webs behind one another; a record that names its own child as parent must not turn for ever."""
_ROUNDING_UM = 4 * _MOST_STEPS
"""Candidates are looked for this much wider than asked, since each web on the way rounds to a micrometre."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A piece of a roll that a sheet was made of."""

    roll: str
    face: str
    """Face of the laminate, empty on the way to it and for a web without faces."""
    start_um: int
    end_um: int
    cd_low_um: int
    cd_high_um: int
    coated: bool
    """True where the way back ends: these are as-coated positions."""


@dataclass(frozen=True, slots=True)
class Found:
    """A sheet that holds a piece of a roll."""

    cut: Cut
    origin: Origin
    stack: str
    layer: int
    """0 while it is on no stack."""


@dataclass(frozen=True, slots=True)
class _Link:
    """A straight piece of a child and the face it makes of it."""

    child: str
    face: str
    segment: WebSegment

    @property
    def parent_low_um(self) -> int:
        return min(self.segment.parent_start_um, self.segment.parent_end_um)

    @property
    def parent_high_um(self) -> int:
        return max(self.segment.parent_start_um, self.segment.parent_end_um)


class Genealogy:
    """The two ways over a line's state. Indexes are built when asked for and dropped when webs or sheets change."""

    def __init__(self, state: LineState) -> None:
        self._state = state
        self._version = -1
        self._back: dict[str, list[_Link]] = {}
        self._forth: dict[str, list[_Link]] = {}
        self._origins: dict[str, tuple[Cut, tuple[Origin, ...]]] = {}
        self._cuts: dict[str, tuple[int, list[int], list[Cut]]] = {}

    def origins(self, sheet: str) -> tuple[Origin, ...]:
        """Pieces of every roll on the way from a sheet back to its coatings, its own roll first; empty if not cut."""
        cut = self._state.sheets.get(sheet)
        if cut is None:
            return ()
        self._refresh()
        known = self._origins.get(sheet)
        if known is None or known[0] != cut:
            lane = self.lane(cut)
            found = tuple(self._walk(cut.roll, "", cut.start_um, cut.end_um, lane.cd_low_um, lane.cd_high_um, 0))
            known = self._origins[sheet] = (cut, found)
        return known[1]

    def films(self, sheet: str) -> list[Origin]:
        """The films under the faces of a sheet, top first; none for a sheet without film."""
        found = [row for row in self.origins(sheet) if row.coated and row.face in {"top", "bottom"}]
        return sorted(found, key=lambda row: (row.face != "top", row.start_um))

    def sheets_of(self, roll: str, start_um: int, end_um: int, lane: int = 0) -> list[Found]:
        """Sheets that hold a piece of a roll, in the order in which they lie on it.

        Args:
            lane: of the roll asked for; 0 is every lane.
        """
        self._refresh()
        low_cd, high_cd = self._cd_range(roll, lane)
        found = [
            self._found(sheet, origin)
            for sheet in dict.fromkeys(self._candidates(roll, start_um - _ROUNDING_UM, end_um + _ROUNDING_UM, 0))
            for origin in self.origins(sheet)
            if origin.roll == roll and _touches(origin, start_um, end_um, low_cd, high_cd)
        ]
        return sorted(found, key=lambda row: (row.origin.start_um, row.origin.cd_low_um, row.cut.sheet))

    def fully_cut(self, roll: str, start_um: int, end_um: int, lane: int = 0) -> bool:
        """Whether sheets were cut from all of a piece of a roll, but for the spaces between sheets."""
        product = self._state.line.product()
        widest_um = max(sheet.pitch_um for sheet in product.sheets)
        found = self.sheets_of(roll, start_um, end_um, lane)
        lanes = [lane] if lane else [row.number for row in self._lanes(roll)]
        for number in lanes:
            low_cd, high_cd = self._cd_range(roll, number)
            cut = IntervalSet(
                (row.origin.start_um, row.origin.end_um)
                for row in found
                if _touches(row.origin, start_um, end_um, low_cd, high_cd)
            )
            if any(high - low > widest_um for low, high in cut.gaps(start_um, end_um)):
                return False
            if end_um - start_um <= widest_um and not len(cut):
                return False
        return True

    def lane(self, cut: Cut) -> Lane:
        """Where across its roll a sheet was cut."""
        lanes = self._lanes(cut.roll, cut.kind)
        return next((row for row in lanes if row.number == cut.lane), lanes[0])

    def _found(self, sheet: str, origin: Origin) -> Found:
        placed = self._state.placed.get(sheet)
        if placed is not None:
            on_top = self._state.stacks[placed.stack].layers.get(placed.layer)
            if on_top is None or on_top.sheet != sheet:
                placed = None
        stack, layer = (placed.stack, placed.layer) if placed else ("", 0)
        return Found(self._state.sheets[sheet], origin, stack, layer)

    def _lanes(self, roll: str, web: str = "film") -> tuple[Lane, ...]:
        line = self._state.line
        try:
            return line.web(self._state.web_of(roll) or web).lanes
        except NotFoundError:
            return line.web(web).lanes

    def _cd_range(self, roll: str, lane: int) -> tuple[int, int]:
        if lane == 0:
            return -(2**62), 2**62
        found = next((row for row in self._lanes(roll) if row.number == lane), None)
        return (found.cd_low_um, found.cd_high_um) if found else (0, 0)

    def _refresh(self) -> None:
        if self._version == self._state.webs_version:
            return
        self._version = self._state.webs_version
        self._origins.clear()
        self._back, self._forth = {}, {}
        for child, records in self._state.webs.items():
            by_face: dict[str, list[_Link]] = {}
            for _, record in sorted(records.items()):
                links = by_face.setdefault(record.face, [])
                for segment in record.segments:
                    _overlay(links, _Link(child, record.face, segment))
            self._back[child] = [link for _, links in sorted(by_face.items()) for link in links]
        for links in self._back.values():
            for link in links:
                self._forth.setdefault(link.segment.parent, []).append(link)

    def _walk(
        self, roll: str, face: str, start_um: int, end_um: int, cd_low_um: int, cd_high_um: int, steps: int
    ) -> Iterator[Origin]:
        links = self._back.get(roll, ()) if steps < _MOST_STEPS else ()
        yield Origin(roll, face, start_um, end_um, cd_low_um, cd_high_um, not links)
        for link in links:
            segment = link.segment
            low, high = max(start_um, segment.child_start_um), min(end_um, segment.child_end_um)
            if low < high:
                places = sorted((_parent_um(segment, low), _parent_um(segment, high)))
                across = sorted((_parent_cd_um(segment, cd_low_um), _parent_cd_um(segment, cd_high_um)))
                yield from self._walk(
                    segment.parent, link.face or face, places[0], places[1], across[0], across[1], steps + 1
                )

    def _candidates(self, roll: str, start_um: int, end_um: int, steps: int) -> Iterator[str]:
        yield from self._cut_within(roll, start_um, end_um)
        if steps == _MOST_STEPS:
            return
        for link in self._forth.get(roll, ()):
            low, high = max(start_um, link.parent_low_um), min(end_um, link.parent_high_um)
            if low < high:
                places = sorted((_child_um(link.segment, low), _child_um(link.segment, high)))
                yield from self._candidates(link.child, places[0] - _ROUNDING_UM, places[1] + _ROUNDING_UM, steps + 1)

    def _cut_within(self, roll: str, start_um: int, end_um: int) -> Iterator[str]:
        names = self._state.sheets_of.get(roll, ())
        known = self._cuts.get(roll)
        if known is None or known[0] != len(names):
            cuts = [self._state.sheets[name] for name in set(names)]
            cuts = sorted((cut for cut in cuts if cut.roll == roll), key=lambda cut: (cut.start_um, cut.lane))
            known = self._cuts[roll] = (len(names), [cut.start_um for cut in cuts], cuts)
        _, starts, cuts = known
        longest_um = max((cut.end_um - cut.start_um for cut in cuts[:4]), default=0)
        for index in range(bisect_left(starts, start_um - 2 * longest_um), len(cuts)):
            if cuts[index].start_um >= end_um:
                return
            if cuts[index].end_um > start_um:
                yield cuts[index].sheet


def _overlay(links: list[_Link], new: _Link) -> None:
    """Put a segment over earlier ones: where they overlap on the child the new one holds."""
    start, end = new.segment.child_start_um, new.segment.child_end_um
    if end <= start:
        return
    kept = []
    for link in links:
        old = link.segment
        for low, high in (
            (old.child_start_um, min(old.child_end_um, start)),
            (max(old.child_start_um, end), old.child_end_um),
        ):
            if low < high:
                segment = WebSegment(
                    low, high, old.parent, _parent_um(old, low), _parent_um(old, high), old.cd_flipped, old.cd_shift_um
                )
                kept.append(_Link(link.child, link.face, segment))
    links[:] = sorted([*kept, new], key=lambda link: link.segment.child_start_um)


def _parent_um(segment: WebSegment, child_um: int) -> int:
    run = segment.child_end_um - segment.child_start_um
    parent_run = segment.parent_end_um - segment.parent_start_um
    moved = scaled(child_um - segment.child_start_um, abs(parent_run), run)
    return segment.parent_start_um + (moved if parent_run >= 0 else -moved)


def _child_um(segment: WebSegment, parent_um: int) -> int:
    run = segment.child_end_um - segment.child_start_um
    parent_run = segment.parent_end_um - segment.parent_start_um
    moved = scaled(abs(parent_um - segment.parent_start_um), run, abs(parent_run))
    return segment.child_start_um + moved


def _parent_cd_um(segment: WebSegment, cd_um: int) -> int:
    """A child's CD is its parent's plus the shift, or the shift less its parent's where it was flipped."""
    return segment.cd_shift_um - cd_um if segment.cd_flipped else cd_um - segment.cd_shift_um


def _touches(origin: Origin, start_um: int, end_um: int, cd_low_um: int, cd_high_um: int) -> bool:
    return (
        origin.start_um < end_um
        and origin.end_um > start_um
        and origin.cd_low_um < cd_high_um
        and origin.cd_high_um > cd_low_um
    )

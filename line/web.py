"""Where a place of as-coated film lies now, and where a place of a web was coated.

A roll of film is rewound, laminated, stretched, cut and spliced before sheets are cut out of it. `WebMap` holds the
result for one web: straight pieces, each from as-coated MD and CD of a source roll to current MD and CD. Positions are
int64 micrometres. Every operation gives a new map.

Rounding: a current position is its piece's anchor plus a distance rounded half to even to a whole micrometre.
Rewinding, flipping, slitting, cutting out and splicing are exact; stretching and re-synchronising place each piece to
1 µm. There and back is within 1 µm on a web stretched by at most 20 %, within 2 µm next to a joint that was stretched
after it was made.

Edges: a piece holds as-coated `[a, b)`, so that a place exactly on a joint belongs to the side that begins there; where
pieces that run against each other meet, it belongs to the one downstream. The two ends of a web belong to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

from line import web_steps
from line.errors import NotFoundError, WebMapError
from line.events import WebSegment
from line.web_lookup import NOWHERE_UM, CoatedPoint, Lookup, WebPoint, WebPoints, lane_of, lanes_of
from line.web_piece import WebPiece, moved_pieces
from line.web_spans import Span, as_coated_spans, current_spans

__all__ = [
    "NOWHERE_UM",
    "CoatedPoint",
    "Fiducial",
    "Span",
    "WebMap",
    "WebMapRecord",
    "WebPiece",
    "WebPoint",
    "WebPoints",
    "lane_of",
    "lanes_of",
]


@dataclass(frozen=True, slots=True)
class Fiducial:
    """A mark on the web: printed at as-coated `md_um` of a roll, seen at `observed_um` of the web as it is now."""

    md_um: int
    observed_um: int
    roll: str | None = None
    """Not needed on a web that comes from one roll."""


class WebMapRecord(Struct, frozen=True, kw_only=True):
    """A web map on a wire or in a file."""

    width_um: int
    residual_um: int | None = None
    pieces: tuple[WebPiece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebMap:
    """Where the places of source rolls lie on one web."""

    pieces: tuple[WebPiece, ...]
    """In order of current MD, without gaps."""
    width_um: int
    residual_um: int | None = None
    """After `resynced`: the largest error of a fiducial that is placed by its two neighbours. None where unknown."""
    _lookup: Lookup = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.pieces or self.width_um <= 0:
            raise WebMapError(f"a web of {len(self.pieces)} pieces, {self.width_um} µm wide: expected both above 0")
        for before, after in pairwise(self.pieces):
            if before.end_um != after.start_um:
                raise WebMapError(f"a piece ends at {before.end_um} µm and the next begins at {after.start_um} µm")
        object.__setattr__(self, "_lookup", Lookup(self.pieces, width_um=self.width_um))

    @classmethod
    def as_coated(cls, roll: str, *, length_um: int, width_um: int) -> WebMap:
        """A roll as it left the coater: every place is where it was coated."""
        piece = WebPiece(
            roll=roll,
            md_start_um=0,
            md_end_um=length_um,
            start_um=0,
            end_um=length_um,
            line_md_um=0,
            line_md_run_um=length_um,
            line_um=0,
            line_run_um=length_um,
        )
        return cls(pieces=(piece,), width_um=width_um)

    @classmethod
    def composed(
        cls, segments: Sequence[WebSegment], parents: Mapping[str, WebMap], *, width_um: int | None = None
    ) -> WebMap:
        """The map of a web that was made from others, by the segments of its `WebMapped` event.

        Args:
            segments: straight pieces of the child that leave no gap, in any order.
            parents: maps of all webs that the segments name.
            width_um: of the child; without it that of its parents.

        Raises:
            NotFoundError: a parent is not among `parents`.
            WebMapError: a segment is empty or outside its parent, there is a gap, or the parents differ in width.
        """
        pieces: list[WebPiece] = []
        for segment in sorted(segments, key=lambda row: row.child_start_um):
            if segment.parent not in parents:
                raise NotFoundError(f"no map of web {segment.parent!r}; known are {', '.join(parents) or 'none'}")
            pieces += moved_pieces(parents[segment.parent].pieces, segment)
        used = [parents[name] for name in {segment.parent: None for segment in segments}]
        widths = {parent.width_um for parent in used} if width_um is None else {width_um}
        if len(widths) > 1:
            raise WebMapError(f"webs of {' and '.join(map(str, sorted(widths)))} µm width do not make one web")
        residuals = [parent.residual_um for parent in used]
        known = [residual_um for residual_um in residuals if residual_um is not None]
        worst_um = max(known) if known and len(known) == len(residuals) else None
        return cls(pieces=tuple(pieces), width_um=next(iter(widths), 0), residual_um=worst_um)

    @classmethod
    def from_record(cls, record: WebMapRecord) -> WebMap:
        """The map that a record holds; WebMapError if its pieces do not make a web."""
        return cls(pieces=record.pieces, width_um=record.width_um, residual_um=record.residual_um)

    def record(self) -> WebMapRecord:
        """The map as it crosses a wire."""
        return WebMapRecord(width_um=self.width_um, residual_um=self.residual_um, pieces=self.pieces)

    @property
    def start_um(self) -> int:
        """Current MD of the first place: 0, unless the map was re-synchronised."""
        return self.pieces[0].start_um

    @property
    def end_um(self) -> int:
        """Current MD of the last place."""
        return self.pieces[-1].end_um

    @property
    def length_um(self) -> int:
        """From the first place to the last."""
        return self.end_um - self.start_um

    @property
    def rolls(self) -> tuple[str, ...]:
        """Source rolls in the order in which they first lie on the web."""
        return self._lookup.rolls

    def rewound(self) -> WebMap:
        """Wound onto another roll, x' = L - x."""
        return self._through(web_steps.rewind("", self.length_um, start_um=self.start_um))

    def flipped(self) -> WebMap:
        """Winding side changed, y' = W - y."""
        return self._through(web_steps.flip("", self.length_um, self.width_um, start_um=self.start_um))

    def stretched(self, fraction: float) -> WebMap:
        """Lengthened, x' = x (1 + e)."""
        return self._through(web_steps.stretch("", self.length_um, fraction, start_um=self.start_um))

    def cut_out(self, low_um: int, high_um: int) -> WebMap:
        """Without the section from `low_um` to `high_um`: what follows moves up by exactly its length."""
        return self._through(web_steps.cut_out("", self.length_um, low_um, high_um, start_um=self.start_um))

    def section(self, low_um: int, high_um: int) -> WebMap:
        """The section from `low_um` to `high_um` as a web of its own, from 0."""
        return self._through(web_steps.section("", low_um, high_um))

    def spliced(self, *others: WebMap) -> WebMap:
        """This web with others of its width joined to its end, in order; the result begins at 0."""
        webs = {str(i): web for i, web in enumerate((self, *others))}
        return WebMap.composed(web_steps.splice([(i, web.start_um, web.end_um) for i, web in webs.items()]), webs)

    def slit(self, lanes: Sequence[tuple[int, int]]) -> tuple[WebMap, ...]:
        """One web per lane; a lane is its low and its high edge in current CD."""
        for low_um, high_um in lanes:
            if not 0 <= low_um < high_um <= self.width_um:
                raise WebMapError(f"lane from {low_um} to {high_um} µm: expected within 0 to {self.width_um} µm")
        return tuple(
            self._through(web_steps.slit("", self.length_um, low_um, start_um=self.start_um), width_um=high_um - low_um)
            for low_um, high_um in lanes
        )

    def resynced(self, fiducials: Sequence[Fiducial]) -> WebMap:
        """Corrected so that each fiducial lies where it was seen, straight in between.

        Raises:
            WebMapError: a fiducial is not on this web, or they were not seen in the order in which they lie.
        """
        places: list[tuple[int, int]] = []
        for mark in fiducials:
            point = self._lookup.current(mark.md_um, None, self._named(mark.roll))
            if not point.found:
                raise WebMapError(f"fiducial of as-coated {mark.md_um} µm seen at {mark.observed_um} µm was cut out")
            places.append((int(point.md_um), mark.observed_um))
        places.sort()
        expected_um, observed_um = [row[0] for row in places], [row[1] for row in places]
        steps = web_steps.resync("", self.length_um, expected_um, observed_um, start_um=self.start_um)
        return replace(self._through(steps), residual_um=_neighbour_error_um(expected_um, observed_um))

    def current_um(self, md_um: int, cd_um: int, roll: str | None = None) -> WebPoint | None:
        """Where an as-coated place lies now; None: not on this web. `roll` is needed only if it comes from several."""
        point = self._lookup.current(md_um, cd_um, self._named(roll))
        return WebPoint(int(point.md_um), int(point.cd_um)) if point.found else None

    def currents_um(self, md_um: ArrayLike, cd_um: ArrayLike, roll: str | None = None) -> WebPoints:
        """`current_um` of many places, int64 arrays that broadcast; WebMapError for positions that are not integers."""
        return self._lookup.current(md_um, cd_um, self._named(roll))

    def as_coated_um(self, md_um: int, cd_um: int) -> CoatedPoint | None:
        """Where a place of this web was coated; None: not on this web."""
        point = self._lookup.as_coated(md_um, cd_um)
        return (
            CoatedPoint(self.pieces[int(point.piece)].roll, int(point.md_um), int(point.cd_um)) if point.found else None
        )

    def as_coateds_um(self, md_um: ArrayLike, cd_um: ArrayLike) -> WebPoints:
        """`as_coated_um` of many places; the roll of the i-th is `pieces[points.piece[i]].roll`."""
        return self._lookup.as_coated(md_um, cd_um)

    def current_spans(self, md_start_um: int, md_end_um: int, roll: str | None = None) -> tuple[Span, ...]:
        """Where an as-coated stretch lies now, in order of current MD; what was cut out of it is missing."""
        return current_spans(self.pieces, self._named(roll), md_start_um, md_end_um)

    def as_coated_spans(self, start_um: int, end_um: int) -> tuple[Span, ...]:
        """What a stretch of this web was coated as, in order of current MD; a joint within it splits it."""
        return as_coated_spans(self.pieces, start_um, end_um)

    def _through(self, segments: Sequence[WebSegment], *, width_um: int | None = None) -> WebMap:
        return WebMap.composed(segments, {"": self}, width_um=width_um)

    def _named(self, roll: str | None) -> str:
        if roll is None and len(self.rolls) > 1:
            raise WebMapError(f"this web comes from rolls {', '.join(self.rolls)}: name one")
        return self.pieces[0].roll if roll is None else roll


def _neighbour_error_um(expected_um: Sequence[int], observed_um: Sequence[int]) -> int | None:
    """The largest error of an inner mark that is placed on the straight between its neighbours; None under 3 marks.

    Twice the pitch is bridged, so it overstates the error between two marks.
    """
    if len(expected_um) < 3:
        return None
    expected, observed = np.array(expected_um), np.array(observed_um)
    share = (expected[1:-1] - expected[:-2]) / (expected[2:] - expected[:-2])
    straight = observed[:-2] + share * (observed[2:] - observed[:-2])
    return int(np.ceil(np.abs(observed[1:-1] - straight).max()))

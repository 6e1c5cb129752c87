"""One straight piece of a web map: where a stretch of as-coated film lies now.

A piece is a straight line (exact, a ratio of two whole lengths) and the window of it that is still there. Cutting
narrows the window and leaves the line alone, so that what was not cut moves by whole micrometres only. A position is
the line's anchor plus or minus a distance rounded half to even; shifting and mirroring move the anchor and are exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from line.errors import WebMapError
from line.events import WebSegment

Whole = TypeVar("Whole", int, NDArray[np.int64])


class WebPiece(Struct, frozen=True, kw_only=True):
    """As-coated `[md_start_um, md_end_um)` of a roll at current `start_um` to `end_um`."""

    roll: str
    md_start_um: int
    md_end_um: int
    start_um: int
    end_um: int
    backwards: bool = False
    """Current MD falls where as-coated MD rises."""
    line_md_um: int
    """As-coated MD of the line's anchor."""
    line_md_run_um: int
    """As-coated length over which the line runs `line_run_um`."""
    line_um: int
    """Current MD of the line's anchor."""
    line_run_um: int
    cd_flipped: bool = False
    cd_shift_um: int = 0
    """Current CD is the shift plus as-coated CD, or the shift minus it if flipped."""

    def __post_init__(self) -> None:
        if self.line_md_run_um <= 0 or self.line_run_um <= 0:
            raise WebMapError(
                f"a piece of {self.roll} runs {self.line_md_run_um} µm to {self.line_run_um} µm; both > 0"
            )
        longest, change = max(self.line_md_run_um, self.line_run_um), abs(self.line_run_um - self.line_md_run_um)
        if longest * change >= 2**62:
            raise WebMapError(
                f"a piece of {self.roll} takes {self.line_md_run_um} µm to {self.line_run_um} µm: "
                "too long and too stretched for int64 arithmetic"
            )

    def current_of(self, md_um: int) -> int:
        """Current MD of an as-coated MD, within the window's ends."""
        if md_um in {self.md_start_um, self.md_end_um}:
            return self.start_um if (md_um == self.md_start_um) != self.backwards else self.end_um
        moved = scaled(md_um - self.line_md_um, self.line_run_um, self.line_md_run_um)
        return min(max(self.line_um - moved if self.backwards else self.line_um + moved, self.start_um), self.end_um)

    def md_of(self, current_um: int) -> int:
        """As-coated MD of a current MD, within the window's ends. The inverse of `current_of`."""
        if current_um in {self.start_um, self.end_um}:
            return self.md_start_um if (current_um == self.start_um) != self.backwards else self.md_end_um
        moved = self.line_um - current_um if self.backwards else current_um - self.line_um
        md_um = self.line_md_um + scaled(moved, self.line_md_run_um, self.line_run_um)
        return min(max(md_um, self.md_start_um), self.md_end_um)

    def narrowed(self, low_um: int, high_um: int) -> WebPiece | None:
        """What lies between two current positions; None where nothing does."""
        low_um, high_um = max(low_um, self.start_um), min(high_um, self.end_um)
        if low_um >= high_um:
            return None
        first_um, last_um = (high_um, low_um) if self.backwards else (low_um, high_um)
        return replace(
            self,
            start_um=low_um,
            end_um=high_um,
            md_start_um=self._first_md_at(first_um),
            md_end_um=self._first_md_at(last_um),
        )

    def moved(self, place: Callable[[int], int], *, mirrored: bool) -> WebPiece:
        """The piece after its web was moved; `place` takes a position on the straight that moved it."""
        low_um, high_um = sorted((place(self.start_um), place(self.end_um)))
        line_end_um = self.line_um - self.line_run_um if self.backwards else self.line_um + self.line_run_um
        return replace(
            self,
            start_um=low_um,
            end_um=high_um,
            backwards=self.backwards != mirrored,
            line_um=place(self.line_um),
            line_run_um=max(1, abs(place(line_end_um) - place(self.line_um))),
        )

    def crossed(self, *, flipped: bool, shift_um: int) -> WebPiece:
        """The piece after its web was moved across: by a shift, or mirrored about half of it."""
        across_um = shift_um - self.cd_shift_um if flipped else shift_um + self.cd_shift_um
        return replace(self, cd_flipped=self.cd_flipped != flipped, cd_shift_um=across_um)

    def _first_md_at(self, current_um: int) -> int:
        """The first as-coated position that has come as far as `current_um` along the line."""
        if current_um == (self.end_um if self.backwards else self.start_um):
            return self.md_start_um
        if current_um == (self.start_um if self.backwards else self.end_um):
            return self.md_end_um
        wanted = self.line_um - current_um if self.backwards else current_um - self.line_um
        offset = scaled(wanted, self.line_md_run_um, self.line_run_um)
        while scaled(offset, self.line_run_um, self.line_md_run_um) >= wanted:
            offset -= 1
        while scaled(offset, self.line_run_um, self.line_md_run_um) < wanted:
            offset += 1
        return min(max(self.line_md_um + offset, self.md_start_um), self.md_end_um)


def moved_pieces(pieces: Sequence[WebPiece], segment: WebSegment) -> list[WebPiece]:
    """What a segment of a child takes of its parent's pieces, as it lies in the child.

    Raises:
        WebMapError: the segment is empty or reaches outside the parent.
    """
    low_um, high_um = sorted((segment.parent_start_um, segment.parent_end_um))
    run_um, mirrored = segment.child_end_um - segment.child_start_um, segment.parent_start_um > segment.parent_end_um
    if not pieces[0].start_um <= low_um < high_um <= pieces[-1].end_um or run_um <= 0:
        raise WebMapError(
            f"{segment.child_start_um} to {segment.child_end_um} µm from {low_um} to {high_um} µm of the parent: "
            f"expected a length above 0 within the parent, which is {pieces[0].start_um} to {pieces[-1].end_um} µm"
        )

    def place(current_um: int) -> int:
        moved_um = scaled(current_um - low_um, run_um, high_um - low_um)
        return segment.child_end_um - moved_um if mirrored else segment.child_start_um + moved_um

    moved: list[WebPiece] = []
    for piece in pieces[
        max(0, bisect_left(pieces, low_um, key=_start_um) - 1) : bisect_left(pieces, high_um, key=_start_um)
    ]:
        narrowed = piece.narrowed(low_um, high_um)
        if narrowed:
            across = narrowed.crossed(flipped=segment.cd_flipped, shift_um=segment.cd_shift_um)
            moved.append(across.moved(place, mirrored=mirrored))
    return moved[::-1] if mirrored else moved


def _start_um(piece: WebPiece) -> int:
    return piece.start_um


def scaled(distance_um: Whole, run_um: Whole, of_um: Whole) -> Whole:
    """`distance_um * run_um / of_um`, rounded half to even, of whole numbers or int64 arrays.

    Only the change of length is multiplied out, which keeps a roll of 20 km stretched by 1 % inside int64.
    """
    whole, rest = divmod(distance_um * (run_um - of_um), of_um)
    below = distance_um + whole
    nearest: Whole = below + ((2 * rest > of_um) | ((2 * rest == of_um) & (below % 2 == 1)))
    return nearest

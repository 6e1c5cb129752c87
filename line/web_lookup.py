"""Looking many places up on a web at once: the pieces of a web map as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from line.errors import WebMapError
from line.web_piece import WebPiece, scaled

Positions = NDArray[np.int64]
NOWHERE_UM = int(np.iinfo(np.int64).min)
"""Stands in arrays where a place is not on the web."""


@dataclass(frozen=True, slots=True)
class WebPoint:
    """A place on a web as it is now."""

    md_um: int
    cd_um: int


@dataclass(frozen=True, slots=True)
class CoatedPoint:
    """A place on a roll as it was coated."""

    roll: str
    md_um: int
    cd_um: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPoints:
    """Many places; `piece` is each one's index in the map's pieces, -1 and `NOWHERE_UM` where it is not on the web."""

    md_um: Positions
    cd_um: Positions
    piece: NDArray[np.intp]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which of the places are on the web."""
        return self.piece >= 0


class Lookup:
    """The pieces of one web, in order of current MD without gaps, as arrays."""

    def __init__(self, pieces: Sequence[WebPiece], *, width_um: int) -> None:
        def column(name: str) -> Positions:
            return np.array([getattr(piece, name) for piece in pieces], dtype=np.int64)

        self._start_um, end_um = column("start_um"), column("end_um")
        self._md_start_um, md_end_um = column("md_start_um"), column("md_end_um")
        self._line_um, self._line_run_um = column("line_um"), column("line_run_um")
        self._line_md_um, self._line_md_run_um = column("line_md_um"), column("line_md_run_um")
        self._cd_shift_um, self._cd_sign = column("cd_shift_um"), 1 - 2 * column("cd_flipped")
        self._sign = 1 - 2 * column("backwards")
        self._width_um, self._first_um, self._last_um = width_um, int(self._start_um[0]), int(end_um[-1])
        forwards = self._sign > 0
        # A piece owns the end at which its as-coated window begins; the other only where the web itself ends.
        outer = np.where(forwards, end_um == self._last_um, self._start_um == self._first_um)
        inner = np.where(outer | (end_um == self._start_um), 0, 1)
        self._low_um = self._start_um + np.where(forwards, 0, inner)
        self._high_um = end_um - np.where(forwards, inner, 0)
        self._md_last_um = md_end_um - np.where(outer | (md_end_um == self._md_start_um), 0, 1)
        self._by_roll = _by_roll(pieces)
        self.rolls = tuple(self._by_roll)
        """Source rolls in the order in which they first lie on the web."""

    def current(self, md_um: ArrayLike, cd_um: ArrayLike | None, roll: str) -> WebPoints:
        """Where as-coated places lie now; without CD wherever their MD is found first."""
        md, cd = np.broadcast_arrays(whole_numbers(md_um), whole_numbers(0 if cd_um is None else cd_um))
        piece, across = np.full(md.shape, -1, dtype=np.intp), np.zeros(md.shape, dtype=np.int64)
        for members in self._by_roll.get(roll, []):
            nearest = np.searchsorted(self._md_start_um[members], md, side="right") - 1
            i = members[np.maximum(nearest, 0)]
            y = self._cd_shift_um[i] + self._cd_sign[i] * cd if cd_um is not None else np.zeros_like(cd)
            hit = (piece < 0) & (nearest >= 0) & (md <= self._md_last_um[i]) & (y >= 0) & (y <= self._width_um)
            piece, across = np.where(hit, i, piece), np.where(hit, y, across)
        distance = np.where(piece >= 0, md - self._line_md_um[piece], 0)
        moved = scaled(distance, self._line_run_um[piece], self._line_md_run_um[piece])
        place = np.clip(self._line_um[piece] + self._sign[piece] * moved, self._low_um[piece], self._high_um[piece])
        return _points(place, across, piece, piece >= 0)

    def as_coated(self, md_um: ArrayLike, cd_um: ArrayLike) -> WebPoints:
        """Where places of the web as it is now were coated."""
        md, cd = np.broadcast_arrays(whole_numbers(md_um), whole_numbers(cd_um))
        i = np.maximum(np.searchsorted(self._start_um, md, side="right") - 1, 0)
        # The joint of two backwards pieces belongs to the one before it.
        i = i - ((i > 0) & (md == self._start_um[i]) & (self._sign[i] < 0) & (self._sign[i - 1] < 0))
        found = (md >= self._first_um) & (md <= self._last_um) & (cd >= 0) & (cd <= self._width_um)
        distance = np.where(found, self._sign[i] * (md - self._line_um[i]), 0)
        place = self._line_md_um[i] + scaled(distance, self._line_md_run_um[i], self._line_run_um[i])
        across = self._cd_sign[i] * (cd - self._cd_shift_um[i])
        return _points(np.clip(place, self._md_start_um[i], self._md_last_um[i]), across, i, found)


def whole_numbers(positions: ArrayLike, what: str = "position in µm") -> Positions:
    """The values as int64; WebMapError if they are not whole numbers, so that no unit or fraction gets lost."""
    array = np.asarray(positions)
    if array.size and array.dtype.kind not in "iu":
        raise WebMapError(f"{what} of type {array.dtype}: expected whole numbers, int64")
    return array.astype(np.int64, copy=False)


def lane_of(cd_um: int, lanes: Sequence[tuple[int, int]]) -> int:
    """Number of the lane, from 1, that a CD lies in; 0 where none. A lane holds `[low, high)`."""
    return int(lanes_of(cd_um, lanes))


def lanes_of(cd_um: ArrayLike, lanes: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """`lane_of` of many CD positions."""
    cd = np.asarray(cd_um)
    numbers = np.zeros(cd.shape, dtype=np.intp)
    for number, (low_um, high_um) in enumerate(lanes, start=1):
        numbers = np.where((cd >= low_um) & (cd < high_um) & (numbers == 0), number, numbers)
    return numbers


def _by_roll(pieces: Sequence[WebPiece]) -> dict[str, list[NDArray[np.intp]]]:
    """Per source roll, for each way in which it lies across the web, its pieces by as-coated MD."""
    groups: dict[tuple[str, bool, int], list[int]] = {}
    for i, piece in enumerate(pieces):
        groups.setdefault((piece.roll, piece.cd_flipped, piece.cd_shift_um), []).append(i)
    by_roll: dict[str, list[NDArray[np.intp]]] = {}
    for (roll, _, _), members in groups.items():
        members.sort(key=lambda i: (pieces[i].md_start_um, pieces[i].md_end_um))
        for before, after in pairwise(members):
            if pieces[before].md_end_um > pieces[after].md_start_um:
                raise WebMapError(
                    f"roll {roll} from {pieces[after].md_start_um} to {pieces[before].md_end_um} µm lies twice on a web"
                )
        by_roll.setdefault(roll, []).append(np.array(members, dtype=np.intp))
    return by_roll


def _points(md: Positions, cd: Positions, piece: NDArray[np.intp], found: NDArray[np.bool_]) -> WebPoints:
    return WebPoints(
        md_um=np.where(found, md, NOWHERE_UM), cd_um=np.where(found, cd, NOWHERE_UM), piece=np.where(found, piece, -1)
    )

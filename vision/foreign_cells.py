"""What the cells of a foreign row mean: numbers in our units, times, places on the roll. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite, pi, sqrt

from line.defect_rows import SizeMeasure
from line.errors import MessageError
from line.foreign_lists import Cell, Column, DefectColumns, ForeignLists, StretchColumns
from vision.foreign_rows import ForeignRow

_LONGEST_UM = 100_000_000_000
"""100 km of film; a number beyond is no place on a roll."""
_IN_THOUSANDS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?")
"""`1.234,5`; another point beside a decimal comma is perhaps a decimal point, and the number ten times smaller."""
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignDefect:
    """A defect as another inspector says it, on our roll [µm]."""

    roll: str
    number: str
    """The inspector's own; empty where it has none."""
    kind: str
    at_ns: int | None
    md_start_um: int
    md_end_um: int
    cd_start_um: int
    cd_end_um: int
    size_um: float
    length_um: float
    width_um: float
    area_um2: float
    score: float
    image: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignStretch:
    """Film that another inspector looked at, on our roll [µm]; None across where it looked at all the width."""

    roll: str
    at_ns: int | None
    md_start_um: int
    md_end_um: int
    cd_start_um: int | None
    cd_end_um: int | None


class CellReader:
    """Reads rows by a mapping.

    Args:
        lists: the mapping.
        measures: how each of our classes is sized.
    """

    def __init__(self, lists: ForeignLists, measures: dict[str, SizeMeasure]) -> None:
        self._zone = lists.zone()
        self._lists = lists
        self._measures = measures

    def defect(self, row: ForeignRow) -> ForeignDefect:
        """A row as a defect.

        Raises:
            MessageError: a cell is missing or wrong; names file, line, column and value.
        """
        columns: DefectColumns = self._lists.defects.columns
        theirs = _text(row, columns.kind)
        kind = self._lists.classes.get(theirs)
        if kind is None:
            raise _wrong(
                row, columns.kind, theirs, f'no such class in [classes]: add it, {theirs!r} = "unknown" will do'
            )
        size, length = self._um(row, columns.size), self._um(row, columns.length)
        width, area = self._um(row, columns.width), self._um(row, columns.area)
        sized = size or self._sized(self._measures.get(kind, "diameter"), length, width, area)
        if sized <= 0:
            raise MessageError(f"{row.place}: no size: fill size, length, width or area, or map their columns")
        md_start, md_end = self._md(row, columns.md, columns.md_end or columns.md, columns.roll_length)
        cd_start, cd_end = self._cd(row, columns.cd, columns.cd_end or columns.cd)
        if columns.md_end is None:
            half = round((length or sized) / 2)
            md_start, md_end = md_start - half, md_end + half
        if columns.cd_end is None:
            half = round((width or sized) / 2)
            cd_start, cd_end = cd_start - half, cd_end + half
        return ForeignDefect(
            roll=_text(row, columns.roll),
            number=_text(row, columns.id) if columns.id else "",
            kind=kind,
            at_ns=self._at_ns(row, columns.at),
            md_start_um=md_start,
            md_end_um=md_end,
            cd_start_um=cd_start,
            cd_end_um=cd_end,
            size_um=sized,
            length_um=length,
            width_um=width,
            area_um2=area,
            score=self._score(row, columns.score),
            image=_text(row, columns.image, empty=True) if columns.image else "",
        )

    def stretch(self, row: ForeignRow, columns: StretchColumns) -> ForeignStretch:
        """A row as a stretch.

        Raises:
            MessageError: as `defect`.
        """
        md_start, md_end = self._md(row, columns.md_start, columns.md_end, columns.roll_length)
        if md_end <= md_start:
            raise _wrong(row, columns.md_end, _text(row, columns.md_end), "the stretch is empty")
        cd: tuple[int | None, int | None] = (None, None)
        if columns.cd_start and columns.cd_end:
            cd = self._cd(row, columns.cd_start, columns.cd_end)
        return ForeignStretch(
            roll=_text(row, columns.roll),
            at_ns=self._at_ns(row, columns.at),
            md_start_um=md_start,
            md_end_um=md_end,
            cd_start_um=cd[0],
            cd_end_um=cd[1],
        )

    def _md(self, row: ForeignRow, start: Cell, end: Cell, roll_length: Cell | None) -> tuple[int, int]:
        axes = self._lists.axes
        places = [self._place_um(row, start), self._place_um(row, end)]
        if axes.md_from == "end":
            assert roll_length is not None, "the mapping was checked"
            length = self._place_um(row, roll_length)
            places = [length - axes.md_zero_um - place for place in places]
        else:
            places = [axes.md_zero_um + place for place in places]
        return min(places), max(places)

    def _cd(self, row: ForeignRow, start: Cell, end: Cell) -> tuple[int, int]:
        axes = self._lists.axes
        sign = -1 if axes.cd_reversed else 1
        places = [axes.cd_zero_um + sign * self._place_um(row, cell) for cell in (start, end)]
        return min(places), max(places)

    def _place_um(self, row: ForeignRow, cell: Cell) -> int:
        return round(self._number(row, cell, _text(row, cell)))

    def _um(self, row: ForeignRow, cell: Cell | None) -> float:
        """A size; 0 where it is not known."""
        text = _text(row, cell, empty=True) if cell else ""
        if not cell or not text:
            return 0.0
        value = self._number(row, cell, text)
        if value < 0:
            raise _wrong(row, cell, text, "a size is not negative")
        return value

    def _score(self, row: ForeignRow, cell: Cell | None) -> float:
        text = _text(row, cell, empty=True) if cell else ""
        if not cell or not text:
            return 1.0
        value = self._number(row, cell, text)
        if not 0 <= value <= 1:
            raise _wrong(row, cell, text, "a score lies from 0 to 1: set the column's factor")
        return value

    def _number(self, row: ForeignRow, cell: Cell, text: str) -> float:
        plain = text.replace("\u00a0", "").replace("\u202f", "").replace(" ", "").replace("'", "")
        by_comma = self._lists.decimal == ","
        if "_" in plain or (by_comma and "." in plain and not _IN_THOUSANDS.fullmatch(plain)):
            raise _wrong(row, cell, text, f"not a number with the decimal sign {self._lists.decimal!r}")
        if by_comma:
            plain = plain.replace(".", "").replace(",", ".")
        try:
            value = float(plain) * (cell.factor if isinstance(cell, Column) else 1.0)
        except ValueError:
            raise _wrong(row, cell, text, f"not a number with the decimal sign {self._lists.decimal!r}") from None
        if not isfinite(value) or abs(value) > _LONGEST_UM:
            raise _wrong(row, cell, text, "out of all measure: check the unit's factor")
        return value

    def _at_ns(self, row: ForeignRow, cell: Cell | None) -> int | None:
        text = _text(row, cell, empty=True) if cell else ""
        if not cell or not text:
            return None
        shape = self._lists.time_format
        try:
            moment = datetime.strptime(text, shape) if shape else datetime.fromisoformat(text)  # noqa: DTZ007
        except ValueError:
            raise _wrong(row, cell, text, f"not a time as {shape or 'ISO 8601'}: set time_format") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=self._zone)
        if not _EARLIEST <= moment <= _LATEST:
            raise _wrong(row, cell, text, "out of this century: check time_format")
        return round(moment.timestamp() * 1e6) * 1000

    @staticmethod
    def _sized(measure: SizeMeasure, length: float, width: float, area: float) -> float:
        """By the class's own measure, from what is known."""
        round_um = sqrt(4 / pi * area)
        match measure:
            case "length":
                return length or width or round_um
            case "width":
                return width or length or round_um
            case _:
                return round_um or max(length, width)


def _text(row: ForeignRow, cell: Cell, *, empty: bool = False) -> str:
    name = cell.column if isinstance(cell, Column) else cell
    text = row.cells.get(name)
    if text is None and not empty:
        known = ", ".join(sorted(row.cells)[:20])
        raise MessageError(
            f"{row.place}: no column {name!r} (it has: {known}): mend the mapping, or the file is cut off"
        )
    if not text and not empty:
        raise MessageError(f"{row.place}: column {name}: empty")
    return text or ""


def _wrong(row: ForeignRow, cell: Cell, text: str, why: str) -> MessageError:
    name = cell.column if isinstance(cell, Column) else cell
    return MessageError(f"{row.place}: column {name}: {text!r}: {why}")

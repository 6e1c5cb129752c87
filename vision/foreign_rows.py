"""Rows of another maker's lists, as text by column: CSV, XML, or files whose names say it all.

A file is refused whole when it cannot be read as what it is; what a cell holds is the concern of whoever reads it.
XML with a document type is refused, since entities are the only thing it could bring.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from line.errors import MessageError
from line.foreign_lists import ForeignLists, RowSet

LARGEST_BYTES = 256_000_000
MOST_ROWS = 2_000_000
"""Of one file; a roll with more defects than that is no roll."""
_MOST_CELL_CHARACTERS = 100_000
_MOST_LEVELS = 100
"""Of XML; the name of what lies deeper is as long as the file."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRow:
    """A row and where it stands."""

    file: Path
    line: int
    """1 is the first; 0 where the file itself is the row."""
    cells: dict[str, str]
    """Text by column, as written but for blanks around it."""

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.file}: line {self.line}" if self.line else str(self.file)


def files_of(rows: RowSet, folder: Path) -> list[Path]:
    """Files of a set of rows, by name."""
    return sorted(path for path in folder.glob(rows.files) if path.is_file())


def rows_of(path: Path, rows: RowSet, lists: ForeignLists, folder: Path) -> Iterator[ForeignRow]:
    """The rows of one file.

    Raises:
        MessageError: the file is too large, is not what its format says, or its name does not follow `name_pattern`.
    """
    named = _named(path, rows, folder)
    match rows.format:
        case "names":
            found: Iterator[tuple[int, dict[str, str]]] = iter([(0, {"file": path.relative_to(folder).as_posix()})])
        case "csv":
            found = _csv_rows(path, lists)
        case "xml":
            found = _xml_rows(path, rows.rows)
    for count, (line, cells) in enumerate(found):
        if count >= MOST_ROWS:
            raise MessageError(f"{path}: line {line}: more than {MOST_ROWS:,} rows: is this a defect list?")
        if all(cells.get(column, "") == value for column, value in rows.only.items()):
            yield ForeignRow(file=path, line=line, cells=cells | named)


def _named(path: Path, rows: RowSet, folder: Path) -> dict[str, str]:
    """What the name of a file says."""
    if not rows.name_pattern:
        return {}
    name = path.relative_to(folder).as_posix()
    match = re.fullmatch(rows.name_pattern, name)
    if match is None:
        raise MessageError(f"{path}: name {name!r} does not follow name_pattern {rows.name_pattern!r}: mend either")
    return {f"name.{group}": value or "" for group, value in match.groupdict().items()}


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise MessageError(
                f"{path}: {size / 1e6:.0f} MB, at most {LARGEST_BYTES / 1e6:.0f} MB: export a roll a file"
            )
        return path.read_bytes()
    except OSError as error:
        raise MessageError(f"{path}: cannot be read ({error.strerror}): check the rights") from error


def _csv_rows(path: Path, lists: ForeignLists) -> Iterator[tuple[int, dict[str, str]]]:
    data = _bytes(path)
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), lists.encoding)
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise MessageError(
            f"{path}: is not {encoding} ({error}): set encoding in the mapping, cp1252 perhaps"
        ) from error
    if "\0" in text:
        raise MessageError(f"{path}: holds zero bytes, so it is not {encoding} text: set encoding in the mapping")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=lists.delimiter, strict=True)
    header: list[str] | None = None
    try:
        for row in reader:
            if reader.line_num < lists.header_line:
                continue
            if header is None:
                header = [name.strip() for name in row]
                continue
            if not any(cell.strip() for cell in row):
                continue
            yield reader.line_num, {name: cell.strip() for name, cell in zip(header, row, strict=False)}
    except csv.Error as error:
        raise MessageError(f"{path}: line {reader.line_num}: not CSV: {error}; was it cut off?") from error
    if header is None:
        raise MessageError(f"{path}: no line {lists.header_line} with the names of the columns: check header_line")


def _xml_rows(path: Path, wanted: str) -> Iterator[tuple[int, dict[str, str]]]:
    data = _bytes(path)
    reader = _XmlReader(wanted.strip("/").split("/"))
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise MessageError(f"{path}: line {error.lineno}: not XML: {error}; was it cut off?") from error
    except _TooDeepError:
        raise MessageError(
            f"{path}: line {reader.parser.CurrentLineNumber}: more than {_MOST_LEVELS} elements in one another: is "
            "this a defect list?"
        ) from None
    except _DocumentTypeError:
        raise MessageError(
            f"{path}: line {reader.parser.CurrentLineNumber}: has a document type, which is refused: export without DTD"
        ) from None
    yield from reader.rows


class _DocumentTypeError(Exception):
    """XML that declares a document type."""


class _TooDeepError(Exception):
    """XML in more levels than any list has."""


class _XmlReader:
    """Collects attributes and texts below each element of one path.

    A name counts without its namespace. An element that comes twice in a row keeps its first text.
    """

    def __init__(self, wanted: list[str]) -> None:
        self.rows: list[tuple[int, dict[str, str]]] = []
        self.parser = expat.ParserCreate(namespace_separator="}")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._wanted = wanted
        self._path: list[str] = []
        self._row: dict[str, str] | None = None
        self._texts: list[list[str]] = []

    def _refuse(self, *declared: object) -> None:
        raise _DocumentTypeError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _MOST_LEVELS:
            raise _TooDeepError
        self._path.append(_plain(name))
        if self._row is None and self._path == self._wanted:
            self._row = {}
            self.rows.append((self.parser.CurrentLineNumber, self._row))
            self._texts = []
        if self._row is not None:
            self._texts.append([])
            below = "/".join(self._path[len(self._wanted) :])
            for key, value in attributes.items():
                self._row.setdefault("/".join(filter(None, (below, f"@{_plain(key)}"))), value.strip())

    def _text(self, text: str) -> None:
        if self._row is not None:
            self._texts[-1].append(text[:_MOST_CELL_CHARACTERS])

    def _end(self, name: str) -> None:
        if self._row is not None:
            text = "".join(self._texts.pop()).strip()
            below = "/".join(self._path[len(self._wanted) :])
            if below and text:
                self._row.setdefault(below, text)
            if not below:
                self._row = None
        self._path.pop()


def _plain(name: str) -> str:
    return name.rpartition("}")[2]

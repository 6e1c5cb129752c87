"""How to read another maker's inspector: which column of its lists is what, in which unit, and what it can find.

A mapping is a TOML file beside the lists. Its SHA-256 stands in the provenance of every defect that came through it,
so that a changed mapping is seen as surely as a changed model.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from line.bundle import DetectionCurve, ModelName, ModelRef, file_digest
from line.errors import ConfigError
from line.rows import read_rows

NEVER_FOUND = DetectionCurve(
    a50_um=1e9, s=0.1, measured=True, how="the inspector lacks the class, or nobody measured it"
)


class _Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Column(_Row, frozen=True, kw_only=True):
    """A column and what its numbers are multiplied by to become micrometres (or a share)."""

    column: str
    factor: Annotated[float, Meta(gt=0)] = 1.0


Cell = str | Column
"""A column by name where its numbers are micrometres already. `name.GROUP` is a group of `name_pattern`; of XML it is
`Pos/X` for an element's text and `Pos/@x` for an attribute, below the row."""


class DefectColumns(_Row, frozen=True, kw_only=True):
    """Where the fields of a defect stand; what is not named is not known. `md` without `md_end` is the centre, and so
    is `cd`."""

    roll: Cell
    kind: Cell
    md: Cell
    cd: Cell
    md_end: Cell | None = None
    cd_end: Cell | None = None
    id: Cell | None = None
    """The inspector's own number, unique in its roll; without it a defect is known by its place."""
    at: Cell | None = None
    size: Cell | None = None
    length: Cell | None = None
    width: Cell | None = None
    area: Cell | None = None
    """Its factor turns the column into square micrometres."""
    score: Cell | None = None
    """0 to 1 once multiplied by its factor; not named: 1."""
    image: Cell | None = None
    """Path of a picture, below the folder of the lists; `file` for the format `names`, whose files are pictures."""
    roll_length: Cell | None = None


class StretchColumns(_Row, frozen=True, kw_only=True):
    """Where the fields of a stretch that was looked at stand."""

    roll: Cell
    md_start: Cell
    md_end: Cell
    cd_start: Cell | None = None
    cd_end: Cell | None = None
    at: Cell | None = None
    roll_length: Cell | None = None


class RowSet(_Row, frozen=True, kw_only=True):
    """Which files and which of their rows."""

    files: Annotated[str, Meta(min_length=1, description="glob below the folder")]
    format: Annotated[Literal["csv", "xml", "names"], Meta(description="`names`: each file is a row")]
    rows: Annotated[str, Meta(description="xml: path of a row from the root, `Report/Defects/Defect`")] = ""
    name_pattern: Annotated[str, Meta(description="regular expression with named groups for the file's path")] = ""
    only: Annotated[dict[str, str], Meta(description="only rows in which these columns say this")] = {}


class DefectRows(RowSet, frozen=True, kw_only=True):
    """The defects."""

    columns: DefectColumns


class StretchRows(RowSet, frozen=True, kw_only=True):
    """The film that was looked at, whether anything was found or not."""

    columns: StretchColumns


class Axes(_Row, frozen=True, kw_only=True):
    """How the inspector's coordinates lie on the roll."""

    md_from: Annotated[Literal["start", "end"], Meta(description="`end`: their zero is where the roll ends")] = "start"
    md_zero_um: Annotated[int, Meta(description="MD of their zero [um]; from the roll's end, how far before it")] = 0
    cd_zero_um: Annotated[int, Meta(description="CD of their zero [um]")] = 0
    cd_reversed: Annotated[bool, Meta(description="true: theirs grows towards the operator")] = False


class ForeignLists(_Row, frozen=True, kw_only=True):
    """A mapping."""

    maker: Annotated[ModelName, Meta(description="stands as the model's name in every result")]
    version: Annotated[int, Meta(ge=1, description="of the inspector's program or recipe")]
    folder: Annotated[str, Meta(description="of the lists, from this file")] = "."
    encoding: Annotated[str, Meta(description="of text files without a byte order mark")] = "utf-8"
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    decimal: Annotated[Literal[".", ","], Meta(description="decimal sign")] = "."
    header_line: Annotated[int, Meta(ge=1, description="line of a csv file with the names of the columns")] = 1
    time_format: Annotated[str, Meta(description="of `at`, as strptime has it; empty: ISO 8601")] = ""
    time_zone: Annotated[str, Meta(description="IANA name, of times that state none")] = "UTC"
    position_uncertainty_um: Annotated[float, Meta(ge=0, description="k=2")]
    size_uncertainty_fraction: Annotated[float, Meta(ge=0, le=1, description="k=2")] = 0.2
    axes: Axes = Axes()
    classes: Annotated[dict[str, str], Meta(description="their class to our code, or to `unknown`")]
    defects: DefectRows
    stretches: StretchRows | None = None
    """Without it film on which nothing was found stays uninspected: nobody says that it was looked at."""
    detection: Annotated[dict[str, DetectionCurve], Meta(description="by our code, for every class it has")]

    def zone(self) -> tzinfo:
        """Time zone of times that state none; `foreign_lists` has seen that there is one."""
        return ZoneInfo(self.time_zone) if self.time_zone != "UTC" else UTC

    def curves(self, codes: tuple[str, ...]) -> dict[str, DetectionCurve]:
        """Detection curves of classes; one that the inspector does not have, or nobody measured, is never found."""
        measured = {code: curve for code, curve in self.detection.items() if curve.measured}
        return {code: measured.get(code, NEVER_FOUND) for code in codes}


def foreign_lists(file: Path, codes: tuple[str, ...]) -> tuple[ForeignLists, ModelRef]:
    """A mapping, checked, and what stands for its inspector in results.

    Args:
        file: TOML.
        codes: defect classes of the line.

    Raises:
        ConfigError: the file cannot be read or a field is wrong; names file, field, value and the next step.
    """
    lists = read_rows(file, ForeignLists)
    try:
        lists.zone()
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"is {lists.time_zone!r}, which is not known here; write an IANA name, as Europe/Berlin",
            file=file, key="time_zone",
        ) from error  # fmt: skip
    for theirs, ours in lists.classes.items():
        if ours not in codes and ours != "unknown":
            raise ConfigError(
                f"is {ours!r}; use a class of the line model ({', '.join(codes)}) or unknown",
                file=file, key=f"classes.{theirs}",
            )  # fmt: skip
    for code in lists.detection:
        if code not in codes:
            raise ConfigError(f"is no class of the line model ({', '.join(codes)})", file=file, key=f"detection.{code}")
    for code in sorted({*lists.classes.values()} - {*lists.detection, "unknown"}):
        raise ConfigError(
            "is missing: say a50_um, s, whether it was measured, and how; a detection curve states what is not found",
            file=file, key=f"detection.{code}",
        )  # fmt: skip
    for name, rows in (("defects", lists.defects), ("stretches", lists.stretches)):
        if rows is None:
            continue
        if rows.format == "xml" and not rows.rows:
            raise ConfigError("is missing: write the path of a row from the root", file=file, key=f"{name}.rows")
        if rows.files.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", rows.files):
            raise ConfigError(
                f"is {rows.files!r}; write a pattern below the folder, as lists/*.csv, and set folder",
                file=file, key=f"{name}.files",
            )  # fmt: skip
        try:
            re.compile(rows.name_pattern)
        except re.error as error:
            raise ConfigError(f"is no regular expression: {error}", file=file, key=f"{name}.name_pattern") from error
        if lists.axes.md_from == "end" and rows.columns.roll_length is None:
            raise ConfigError(
                "is missing: a roll that is counted from its end needs its length",
                file=file, key=f"{name}.columns.roll_length",
            )  # fmt: skip
    return lists, ModelRef(name=lists.maker, version=lists.version, digest=file_digest(file))

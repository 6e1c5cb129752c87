"""Which pictures show one part: from a table or from their names."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from line.errors import ConfigError, NotFoundError
from models.labelled import Grouping


def grouped_by_pattern(pattern: str) -> Grouping:
    """The first group of a regular expression, searched in the file's name without its suffix.

    Raises:
        ConfigError: no regular expression, or one without a group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{pattern!r} is no regular expression: {error}", key="--group-pattern") from error
    if compiled.groups < 1:
        raise ConfigError(
            f"{pattern!r} has no group in parentheses; mark the part's name with one", key="--group-pattern"
        )

    def group(path: Path) -> str | None:
        found = compiled.search(path.stem)
        return found[1] if found else None

    return group


def grouped_by_table(table: Path, column: str) -> Grouping:
    """A column of a CSV file whose column `file` or `stem` names pictures.

    Raises:
        NotFoundError: no such file.
        ConfigError: it lacks a column.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise NotFoundError(f"{table}: no such file; check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 text ({error.reason}); save it as CSV", file=table) from error
    names = list(rows[0]) if rows else []
    key = next((name for name in ("file", "stem") if name in names), None)
    if key is None or column not in names:
        raise ConfigError(
            f"needs a column 'file' or 'stem' and a column {column!r}, has {', '.join(names) or 'none'}", file=table
        )
    groups = {Path(row[key]).stem: row[column] for row in rows}
    return lambda path: groups.get(path.stem)

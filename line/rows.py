"""Reading a TOML file into structs, and saying what is wrong with it in the words of the file.

msgspec counts rows (`$.stations[3].tags[0].nominal`); a reader of the file looks for names, so keys name rows:
`stations.S03.tags.WebSpeed.nominal`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from line.errors import LineModelError

_T = TypeVar("_T")


def read_rows(file: Path, kind: type[_T]) -> _T:
    """Rows of a TOML file in the shape of a struct.

    Raises:
        LineModelError: the file cannot be read, is not TOML, or a field is unknown, missing or of a wrong type.
    """
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise LineModelError(f"cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise LineModelError(f"is not UTF-8 text: byte {error.start}", file=file) from error
    except tomllib.TOMLDecodeError as error:
        raise LineModelError(f"is not TOML: {error}", file=file) from error
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        key, message = _explained(str(error), raw, kind)
        raise LineModelError(message, file=file, key=key) from error


def _explained(message: str, raw: Any, kind: Any) -> tuple[str, str]:
    """Key and text for a refusal of msgspec, whose paths count rows where a reader looks for names."""
    what, _, path = message.partition(" - at `$")
    key: list[str] = []
    row, parent = raw, raw
    shape = msgspec.inspect.type_info(kind)
    for part in re.findall(r"[^.\[\]`]+", path):
        parent, shape = row, _shape_below(shape, part)
        if part.isdigit() and isinstance(row, list):
            row = row[int(part)]
            key.append(_row_name(row) or f"[{part}]")
        else:
            row = row.get(part) if isinstance(row, dict) else None
            key.append(part)
    if unknown := re.search(r"unknown field `(.+)`", what):
        fields = [field.name for field in getattr(shape, "fields", ())]
        near = difflib.get_close_matches(unknown[1], fields, n=1) or [f"one of {', '.join(fields)}"]
        return ".".join([*key, unknown[1]]), f"is not a field of this row; did you mean {near[0]}?"
    if missing := re.search(r"missing required field `(.+)`", what):
        return ".".join([*key, missing[1]]), "is missing"
    ucum = parent.get("unit", "") if isinstance(parent, dict) else ""
    shown = f"{row!r} {ucum}".rstrip() if isinstance(row, (int, float)) else repr(row)
    return ".".join(key), f"is {shown}; allowed: {what.removeprefix('Expected ')}"


def _shape_below(shape: Any, part: str) -> Any:
    if isinstance(shape, msgspec.inspect.UnionType):
        shape = next((arm for arm in shape.types if not isinstance(arm, msgspec.inspect.NoneType)), None)
    if isinstance(shape, msgspec.inspect.VarTupleType):
        return shape.item_type
    return next((field.type for field in getattr(shape, "fields", ()) if field.name == part), None)


def _row_name(row: Any) -> str:
    if not isinstance(row, dict):
        return ""
    if "defect" in row and "tag" in row:
        return f"{row['defect']}:{row['tag']}"
    return next((str(row[name]) for name in ("code", "name", "id", "item", "number", "kind") if name in row), "")

"""How our structs look outside: JSON objects with names, and times as text.

One rule for REST, WebSocket and OpenAPI. Inside, times are integers of nanoseconds, which a browser's numbers cannot
hold (2^53). Outside, a field `X_ns` is called `X` and holds ISO 8601 UTC with milliseconds and `Z`, null where the time
is 0, which inside means "not yet". A struct that is an array on our own wires is an object outside, and a tagged
struct keeps its tag.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import msgspec
from msgspec import Struct

from line.ids import iso

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"

_SUFFIX = "_ns"


def outside(value: object) -> Json:
    """The outside form of a struct, a container of structs or a plain value.

    Raises:
        TypeError: something that no wire carries.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Struct):
        return outside_object(value)
    if isinstance(value, (tuple, list)):
        return [outside(item) for item in value]
    if isinstance(value, dict):
        return {str(key): outside(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} has no outside form")


def outside_object(value: Struct) -> JsonObject:
    """The outside form of a struct."""
    tag, fields = _plan(type(value))
    found: JsonObject = dict(tag)
    for name, outer, convert in fields:
        found[outer] = convert(getattr(value, name))
    return found


def outside_bytes(value: object) -> bytes:
    """The outside form as JSON text; a number that is not finite becomes null."""
    return msgspec.json.encode(outside(value))


def outside_schema(schema: JsonObject) -> JsonObject:
    """An OpenAPI document made from our structs, changed to what really goes out."""
    return {name: _schema(item) for name, item in schema.items()}


def _schema(node: Json) -> Json:
    if isinstance(node, list):
        return [_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    found: JsonObject = {name: _schema(item) for name, item in node.items()}
    properties = found.get("properties")
    if isinstance(properties, dict):
        found["properties"] = {_outer(name): _property(name, item) for name, item in properties.items()}
        required = found.get("required")
        if isinstance(required, list):
            found["required"] = [_outer(name) if isinstance(name, str) else name for name in required]
    return found


def _property(name: str, item: Json) -> Json:
    if not name.endswith(_SUFFIX):
        return item
    moment: JsonObject = {"type": ["string", "null"], "format": "date-time"}
    is_many = isinstance(item, dict) and item.get("type") == "array"
    return {"type": "array", "items": moment} if is_many else moment


@cache
def _plan(kind: type[Struct]) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str, Callable[..., Json]], ...]]:
    """The tag and, per field, its name, its outer name and what turns its value out."""
    config = kind.__struct_config__
    tag = ((config.tag_field, str(config.tag)),) if config.tag is not None and config.tag_field is not None else ()
    names = [field.name for field in msgspec.structs.fields(kind)]
    return tag, tuple((name, _outer(name), _moment if name.endswith(_SUFFIX) else outside) for name in names)


def _outer(name: str) -> str:
    return name.removesuffix(_SUFFIX)


def _moment(value: int | tuple[int, ...]) -> Json:
    if isinstance(value, tuple):
        return [_moment(item) for item in value]
    return iso(value) if value else None

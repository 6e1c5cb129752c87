"""Which node carries which tag. By name on a line that follows our convention, from a file on any other PLC.

A tag map file is TOML, one row a node:

    namespace = "urn:maker:machine"

    [[tags]]
    tag = "S03.WebSpeed"
    node = "s=Coater.Line.Speed"      # identifier inside the namespace, or with its own `nsu=...;`
    scale = 60.0                      # value in the tag's unit = scale * raw + offset; here m/s -> m/min
    offset = 0.0
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from line.address import NAMESPACE_URI, STATUS_NAMES, node_path
from line.errors import ConfigError
from line.model import LineModel


class TagNode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one tag is read."""

    tag: str
    node: Annotated[str, Meta(pattern=r"^(nsu=[^;]+;)?[isgb]=.+$", description="OPC-UA identifier, `s=…` or `i=…`")]
    scale: float = 1.0
    offset: float = 0.0


class StatusNode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one PackML status of a station is read."""

    station: str
    name: str
    node: str


class PartsNode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the part records of a station are read."""

    station: str
    counter: str
    ring: str


class TagMap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All nodes of a line. `namespace` is a URI, because the index behind it moves when a server restarts."""

    namespace: str
    tags: tuple[TagNode, ...]
    status: tuple[StatusNode, ...] = ()
    parts: tuple[PartsNode, ...] = ()


def tag_map_by_name(line: LineModel) -> TagMap:
    """The map of a server that follows `line.address`."""
    place = line.identity
    codes = [station.code for station in line.stations]

    def node(station: str, folder: str, name: str) -> str:
        return f"s={node_path(place, station, folder, name)}"  # type: ignore[arg-type]

    return TagMap(
        namespace=NAMESPACE_URI,
        tags=tuple(
            TagNode(tag=f"{station.code}.{tag.name}", node=node(station.code, "Tags", tag.name))
            for station in line.stations
            for tag in station.tags
        ),
        status=tuple(
            StatusNode(station=code, name=name, node=node(code, "Status", name))
            for code in codes
            for name in STATUS_NAMES
        ),
        parts=tuple(
            PartsNode(station=code, counter=node(code, "Parts", "Counter"), ring=node(code, "Parts", "Ring"))
            for code in codes
        ),
    )


def tag_map_from(file: Path, line: LineModel) -> TagMap:
    """The map in a file.

    Raises:
        ConfigError: names file, key, value and what is allowed; a tag or station that the line model does not know.
    """
    try:
        found = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), TagMap)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}; check line.tag_map", file=file) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(str(error), file=file) from error
    known = line.all_tags()
    codes = {station.code for station in line.stations}
    for number, row in enumerate(found.tags):
        if row.tag not in known:
            raise ConfigError(f"{row.tag!r} is no tag of {line.name}; `lamella line show` lists them", file=file,
                              key=f"tags[{number}].tag")  # fmt: skip
        if row.scale == 0:
            raise ConfigError("scale 0 would make every value the offset", file=file, key=f"tags[{number}].scale")
    for station in [*(row.station for row in found.status), *(row.station for row in found.parts)]:
        if station not in codes:
            raise ConfigError(f"{station!r} is no station of {line.name}", file=file, key="station")
    return found

"""Where the frames of a film camera come from: the setting `vision.sources`, and the file that describes a camera.

`fins-1=genicam:SERIAL, fins-2=folder:PATH`; a camera that is not named takes frames from its spool. Behind `genicam:`
stands the camera's serial number, or a TOML file (`CameraFile`) where more than that must be said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from line.errors import ConfigError
from line.model import Camera, LineModel
from line.rows import read_rows

SourceKind = Literal["spool", "genicam", "folder", "foreign"]
KEY = "vision.sources"
EXAMPLE = "fins-1=genicam:SERIAL"
_PART = re.compile(r"(?P<camera>[\w.-]+)\s*=\s*(?P<kind>[\w-]+)(?::(?P<place>.*))?", re.DOTALL)
_BETWEEN = re.compile(r"[,;\s]+(?=[\w.-]+\s*=\s*[\w-]+(?:[:,;\s]|$))")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSetting:
    """What a camera's frames, or its defects, come from."""

    camera: str
    kind: SourceKind = "spool"
    place: str = ""
    """Serial number or file for `genicam`, folder for `folder`, file for `foreign`; nothing for `spool`."""

    def __str__(self) -> str:
        return f"{self.camera}={self.kind}" + (f":{self.place}" if self.place else "")


def source_settings(text: str) -> tuple[SourceSetting, ...]:
    """The parts of the setting `vision.sources`.

    Raises:
        ConfigError: a part is not `CAMERA=KIND:PLACE`, its kind is unknown, or a camera is named twice.
    """
    found: dict[str, SourceSetting] = {}
    for part in filter(None, (piece.strip(" ,;\n\t") for piece in _BETWEEN.split(text))):
        match = _PART.fullmatch(part)
        if match is None:
            raise ConfigError(f"value {part!r} is not CAMERA=KIND:PLACE; write for example {EXAMPLE}", key=KEY)
        camera, kind, place = match["camera"], match["kind"], (match["place"] or "").strip()
        if kind not in get_args(SourceKind):
            kinds = ", ".join(get_args(SourceKind))
            raise ConfigError(f"value {part!r}: no kind of source {kind!r}; use one of {kinds}", key=KEY)
        if (kind == "spool") == bool(place):
            needed = "stands alone, without a place" if kind == "spool" else f"needs a place; write {camera}={kind}:…"
            raise ConfigError(f"value {part!r}: {kind} {needed}", key=KEY)
        if camera in found:
            raise ConfigError(f"value {part!r}: camera {camera} has a source already, {found[camera]}", key=KEY)
        found[camera] = SourceSetting(camera=camera, kind=msgspec.convert(kind, SourceKind), place=place)
    return tuple(found.values())


def source_of(text: str, camera: Camera) -> SourceSetting:
    """The source of one camera."""
    named = {setting.camera: setting for setting in source_settings(text)}
    return named.get(camera.id, SourceSetting(camera=camera.id))


def require_cameras(text: str, line: LineModel) -> None:
    """Refuse a source for what is no film camera of the line.

    Raises:
        ConfigError: names the cameras that there are.
    """
    known = [row.id for row in line.cameras if row.kind == "film"]
    for setting in source_settings(text):
        if setting.camera not in known:
            raise ConfigError(
                f"value {str(setting)!r}: {line.name} has no film camera {setting.camera!r}; it has "
                f"{', '.join(known)}: mend the name, or add a row to the line model",
                key=KEY,
            )


def with_full_paths(text: str) -> str:
    """The setting with full paths, so that a process started elsewhere finds the same files."""
    return ", ".join(
        str(SourceSetting(camera=row.camera, kind=row.kind, place=_full(row))) for row in source_settings(text)
    )


def _full(setting: SourceSetting) -> str:
    is_path = setting.kind in {"folder", "foreign"} or (setting.kind == "genicam" and is_camera_file(setting.place))
    return str(Path(setting.place).expanduser().absolute()) if is_path else setting.place


class CameraFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a GenICam camera is told, and how its lines become strips."""

    camera: Annotated[str, Meta(min_length=1, description="serial number, address or MAC")]
    interface: Annotated[str, Meta(description="own network card or its address; empty: all")] = ""
    features: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^\w+\s*=\s*\S.*$")], ...],
        Meta(description="written in this order before streaming, as `TriggerSelector=LineStart`"),
    ] = ()
    channel_order: Annotated[
        tuple[str, ...],
        Meta(description="channel of each line of a turn of the strobes; empty: the channels of the camera's row"),
    ] = ()
    encoder: Annotated[
        str, Meta(description="chunk feature with the encoder's count at the first line; empty: lines are counted")
    ] = ""
    encoder_chunk: Annotated[str, Meta(description="entry of ChunkSelector that brings it; empty: none is set")] = ""
    um_per_count: Annotated[float, Meta(gt=0, description="web travel per count of the encoder [um]")] = 1.0
    encoder_bits: Annotated[int, Meta(ge=8, le=64, description="width of the counter, where it begins again")] = 32
    lines_uncertainty_fraction: Annotated[
        float, Meta(ge=0, le=0.5, description="k=2, of travel that is counted in lines for want of an encoder")
    ] = 0.005
    roll: Annotated[str, Meta(description="roll that film belongs to until the PLC names one; empty: none")] = ""
    packet_bytes: Annotated[int, Meta(ge=0, le=16_384, description="packet size; 0: as the camera has it")] = 0


def is_camera_file(place: str) -> bool:
    """Whether a place behind `genicam:` is a file, not a serial number."""
    return place.endswith(".toml")


def camera_file(place: str) -> CameraFile:
    """What is behind `genicam:`: a file, or a serial number with defaults for everything else.

    Raises:
        ConfigError: the file cannot be read, or a field is wrong; names file and field.
    """
    if not is_camera_file(place):
        return CameraFile(camera=place)
    return read_rows(Path(place), CameraFile)

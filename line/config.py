"""Settings of one site: bound, meaning, default and unit in one line each.

Precedence: command line > environment (`LAMELLA_SECTION__KEY`) > `./lamella.toml` > `/etc/lamella/lamella.toml` >
defaults. Secrets come from files named here, never from a value.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from line.errors import ConfigError

Port = Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 picks a free one")]
PositiveFloat = Annotated[float, Meta(gt=0)]

SEARCHED = (Path("lamella.toml"), Path("/etc/lamella/lamella.toml"))


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration file."""


class LineSettings(Section, frozen=True, kw_only=True):
    model: Annotated[str, Meta(description="line model: a shipped name or a path to a TOML file")] = "assb-20-agc"
    state_dir: Annotated[str, Meta(description="folder for journals, spool, evidence, bundles")] = "state"
    tag_batches_kept: Annotated[
        int, Meta(ge=1000, description="tag batches each journal keeps for readers that were away; about 600 B each")
    ] = 1_000_000
    recording: Annotated[str, Meta(description="folder of a recording to play instead of the plant; empty: none")] = ""
    tag_map: Annotated[str, Meta(description="file that maps tags to nodes of a foreign PLC; empty: by name")] = ""


class BrokerSettings(Section, frozen=True, kw_only=True):
    kind: Annotated[Literal["embedded", "external"], Meta(description="start a broker, or use a running one")] = (
        "embedded"
    )
    host: Annotated[str, Meta(description="address of the broker")] = "127.0.0.1"
    port: Port = 0
    topic_root: Annotated[str, Meta(pattern=r"^[a-z0-9_-]+$", description="first level of every topic")] = "lamella"
    username: Annotated[str, Meta(description="user name at the broker; empty: anonymous")] = ""
    password_file: Annotated[str, Meta(description="file that holds the password")] = ""
    ca_file: Annotated[str, Meta(description="certificate authority; not empty turns TLS on")] = ""
    cert_file: Annotated[str, Meta(description="client certificate for mutual TLS")] = ""
    key_file: Annotated[str, Meta(description="key of the client certificate")] = ""


class PlcSettings(Section, frozen=True, kw_only=True):
    endpoint: Annotated[str, Meta(description="OPC-UA server, opc.tcp://host:port/path")] = ""
    publish_ms: Annotated[int, Meta(ge=50, le=60_000, description="publishing interval [ms]")] = 200
    stale_s: Annotated[float, Meta(gt=0, description="no data for this wall time [s] rebuilds the session")] = 10.0


class VisionSettings(Section, frozen=True, kw_only=True):
    provider: Annotated[
        Literal["auto", "cpu", "cuda"],
        Meta(description="`cuda` refuses to start without CUDA"),
    ] = "auto"
    tensorrt: Annotated[
        bool,
        Meta(
            description="let TensorRT compile the net of `full`: needs CUDA and TensorRT's own libraries, and takes "
            "minutes at each start"
        ),
    ] = False
    film_model: Annotated[str, Meta(description="bundle that classifies candidates: name, name@version or path")] = (
        "film-candidates"
    )
    coverage: Annotated[
        Literal["cascade", "full"],
        Meta(
            description="`cascade`: screening, and `film_model` on what it finds; `full`: `coverage_model` on every "
            "pixel, which is for a GPU"
        ),
    ] = "cascade"
    coverage_model: Annotated[
        str,
        Meta(
            description="bundle of a net for every pixel, which `full` needs; `lamella train film --labelled` makes it"
        ),
    ] = ""
    camera_models: Annotated[
        str,
        Meta(
            description="models of single cameras in place of these, as `lins-1=NAME`: a camera of other channels "
            "needs its own"
        ),
    ] = ""
    backbone: Annotated[
        str, Meta(description="bundle that tells how unlike good film a defect looks, whatever its class; empty: none")
    ] = "efficientnet-lite0-s32"
    candidates_per_strip: Annotated[
        int, Meta(ge=1, le=100_000, description="cap; above it the strip is flagged over capacity")
    ] = 200
    false_alarms_per_m2: Annotated[float, Meta(gt=0, description="budget that sets the gates [1/m2]")] = 0.5
    threads: Annotated[
        int, Meta(ge=1, le=64, description="share the work on a strip, a session each; 2 pay on fast webs")
    ] = 1
    calibration: Annotated[
        Literal["required", "nominal"],
        Meta(
            description="`required`: real film seen by a camera out of calibration is uninspected; `nominal`: it is "
            "inspected with the figures of the line model, as for recordings"
        ),
    ] = "required"
    sources: Annotated[
        str,
        Meta(
            description="where film cameras' frames come from, as `fins-1=genicam:SERIAL`; also `genicam:FILE.toml`, "
            "`folder:PATH`, `foreign:MAPPING.toml`; a camera that is not named has its spool"
        ),
    ] = ""
    replay_speed: Annotated[
        float, Meta(ge=0, le=1000, description="of `folder` sources, 1 is the camera's line rate; 0: without pause")
    ] = 1.0


class TwinSettings(Section, frozen=True, kw_only=True):
    past: Annotated[str, Meta(description="journal with the line's past, folded before anything else")] = ""
    historian: Annotated[Literal["embedded", "influxdb"], Meta(description="where tag history goes")] = "embedded"
    influx_url: Annotated[str, Meta(description="InfluxDB 2 server")] = ""
    influx_org: str = "lamella"
    influx_bucket: str = "lamella"
    influx_token_file: Annotated[str, Meta(description="file that holds the token")] = ""


class ConsoleSettings(Section, frozen=True, kw_only=True):
    host: Annotated[str, Meta(description="address to serve on")] = "127.0.0.1"
    port: Port = 8600


class PlantSettings(Section, frozen=True, kw_only=True):
    speed: Annotated[float, Meta(ge=0.1, le=600, description="plant seconds per wall second")] = 4.0
    seed: Annotated[int, Meta(ge=0, description="what happens by chance")] = 1
    hidden_seed: Annotated[int, Meta(ge=0, description="strengths and structure nobody is told")] = 1
    history_weeks: Annotated[float, Meta(ge=0, le=104, description="past the line opens with [weeks]")] = 4.0
    scenario: Annotated[str, Meta(description="fault scenario: a shipped name or a path; empty: none")] = ""
    opens_at: Annotated[
        str,
        Meta(
            pattern=r"^$|^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z$",
            description="plant time the line opens at, as 2026-11-24T08:00Z; empty: two hours into the latest shift",
        ),
    ] = ""
    port: Port = 0
    render_limit: Annotated[float, Meta(gt=0, description="above this speed strips are drawn, not rendered")] = 4.0


class Site(Section, frozen=True, kw_only=True):
    """All settings of one box."""

    schema_version: Annotated[int, Meta(ge=1, le=1)] = 1
    box: Annotated[str, Meta(pattern=r"^[a-z0-9-]+$", description="name of this machine in every source")] = "box-1"
    line: LineSettings = LineSettings()
    broker: BrokerSettings = BrokerSettings()
    plc: PlcSettings = PlcSettings()
    vision: VisionSettings = VisionSettings()
    twin: TwinSettings = TwinSettings()
    console: ConsoleSettings = ConsoleSettings()
    plant: PlantSettings = PlantSettings()

    @property
    def state_dir(self) -> Path:
        return Path(self.line.state_dir)


def site_from(
    file: Path | None = None, environment: Mapping[str, str] | None = None, overrides: Mapping[str, str] | None = None
) -> Site:
    """The site's settings from a file, the environment and `section.key` overrides, in rising precedence.

    Args:
        file: TOML file; None looks at `SEARCHED` in order and takes defaults when there is none.
        environment: usually `os.environ`; only names that begin with `LAMELLA_` and hold `__` count.
        overrides: `{"plant.speed": "600"}`, from the command line.

    Raises:
        ConfigError: names file, key, value, what is allowed, and the nearest valid key for a misspelt one.
    """
    chosen = file or next((path for path in SEARCHED if path.is_file()), None)
    table = _read(chosen) if chosen else {}
    for name, text in sorted((environment or {}).items()):
        if name.startswith("LAMELLA_") and "__" in name:
            _put(table, name.removeprefix("LAMELLA_").lower().replace("__", "."), text, f"environment variable {name}")
    for key, text in (overrides or {}).items():
        _put(table, key, text, "command line")
    _refuse_unknown(table, chosen)
    try:
        return msgspec.convert(table, Site)
    except msgspec.ValidationError as error:
        raise _explained(error, table, chosen) from error


def written(site: Site) -> str:
    """The settings as TOML, for `config show` and for handing them to a child process."""
    return msgspec.toml.encode(site).decode()


def described() -> dict[str, tuple[object, str]]:
    """Default and meaning of every setting, by its dotted key."""
    found: dict[str, tuple[object, str]] = {}
    for key, hint in _hints().items():
        section, _, name = key.rpartition(".")
        owner = getattr(Site(), section) if section else Site()
        notes = [note.description for note in getattr(hint, "__metadata__", ()) if note.description]
        found[key] = (getattr(owner, name), notes[-1] if notes else "")
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}; check the path", file=file) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", file=file) from error


def _put(table: dict[str, Any], key: str, text: str, origin: str) -> None:
    """Put one textual value in its place, as number or text by the field's type."""
    section, _, name = key.rpartition(".")
    kind = _hints().get(key)
    if kind is None:
        raise ConfigError(_unknown(key, _hints()), key=f"{origin}, {key}")
    try:
        value = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"value {text!r}: {error}", key=f"{origin}, {key}") from error
    place = table.setdefault(section, {}) if section else table
    place[name] = value


def _hints() -> dict[str, Any]:
    """Every setting by its dotted key."""
    found: dict[str, Any] = {}
    for name, kind in get_type_hints(Site, include_extras=True).items():
        if isinstance(kind, type) and issubclass(kind, Section):
            found |= {f"{name}.{key}": hint for key, hint in get_type_hints(kind, include_extras=True).items()}
        else:
            found[name] = kind
    return found


def _refuse_unknown(table: Mapping[str, Any], file: Path | None) -> None:
    known = _hints()
    sections = {key.split(".")[0] for key in known}
    for name, value in table.items():
        keys = [f"{name}.{key}" for key in value] if isinstance(value, dict) else [name]
        for key in keys or [name]:
            if key not in known and key not in sections:
                raise ConfigError(_unknown(key, known), file=file, key=f"{key}{_line_of(file, key)}")


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"unknown setting{f'; did you mean {near[0]}?' if near else ''}; `lamella config show` lists all"


def _line_of(file: Path | None, key: str) -> str:
    if file is None or not file.is_file():
        return ""
    name = re.escape(key.rpartition(".")[2])
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if re.match(rf"\s*\[?{name}\b", text):
            return f" (line {number})"
    return ""


def _explained(error: msgspec.ValidationError, table: Mapping[str, Any], file: Path | None) -> ConfigError:
    text = str(error)
    found = re.search(r"`\$\.([\w.]+)`", text)
    key = found.group(1) if found else ""
    value: Any = table
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else value
    return ConfigError(f"value {value!r}: {text.split(' - at')[0]}", file=file, key=f"{key}{_line_of(file, key)}")

"""Faults that are put into the simulated line: rows of a TOML file, each moving one thing by one waveform.

Times are plant seconds since the scenario began. A strength of 1 is as written; other strengths scale every amplitude,
and the excess of every factor. Scenarios may overlap; their effects add up.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from line.errors import ConfigError, LineModelError, NotFoundError
from line.model import LineModel
from line.model_rows import PlaceUm, Positive, Row
from line.rows import read_rows

Form = Literal["step", "ramp", "pulse", "sine", "drift", "stuck"]
Seconds = Annotated[float, Meta(ge=0, description="s")]


class Timed(Row, frozen=True, kw_only=True):
    """What all rows of a scenario share: a beginning, an end, and how the way there looks."""

    form: Form = "step"
    from_s: Seconds = 0.0
    until_s: Seconds | None = None
    over_s: Annotated[
        float, Meta(ge=0, description="s until a ramp is up, a pulse ends, a drift has its amplitude")
    ] = 0.0
    period_s: Annotated[float, Meta(gt=0, description="s, of a sine")] = 600.0

    def amplitude(self, elapsed_s: float) -> float:
        """The share of the row's amplitude that is there after so many seconds of the scenario."""
        since = elapsed_s - self.from_s
        if since < 0 or (self.until_s is not None and elapsed_s >= self.until_s):
            return 0.0
        match self.form:
            case "ramp":
                return min(since / self.over_s, 1.0)
            case "drift":
                return since / self.over_s
            case "pulse":
                return 1.0 if since < self.over_s else 0.0
            case "sine":
                return math.sin(2 * math.pi * since / self.period_s)
            case _:
                return 1.0


class TagChange(Timed, frozen=True, kw_only=True):
    """A tag that moves: by half normal ranges, by its unit, or to a value; or a sensor that sticks."""

    tag: str
    by_z: float | None = None
    by: float | None = None
    to: float | None = None
    where: Annotated[Literal["process", "sensor"], Meta(description="what is so, or only what is reported")] = "process"

    def amount(self, nominal: float, half_range: float) -> float:
        """The row's amplitude in the tag's unit; 0 for a sensor that sticks."""
        if self.by_z is not None:
            return self.by_z * (half_range or 1.0)
        if self.by is not None:
            return self.by
        return 0.0 if self.to is None else self.to - nominal


class ConditionChange(Timed, frozen=True, kw_only=True):
    """A condition that no tag shows, such as a stuck idler."""

    condition: str
    to: float


class RateChange(Timed, frozen=True, kw_only=True):
    """More of one defect class, perhaps at one place across the web."""

    defect: str
    factor: Annotated[float, Meta(gt=0)] = 1.0
    cd_um: Annotated[PlaceUm | None, Meta(description="what comes more comes here; none: anywhere")] = None
    persistent: Annotated[bool, Meta(description="one line along the web as long as it lasts")] = False
    size_um: Annotated[Positive | None, Meta(description="median size; none: as the class has it")] = None
    roller: Annotated[str | None, Meta(description="once per turn of this roller")] = None
    mass_fraction: Annotated[float, Meta(gt=-1, lt=1, description="change of areal mass at that place")] = 0.0


class CameraChange(Timed, frozen=True, kw_only=True):
    """The film camera sees worse."""

    field: Literal["lamp_bf", "lamp_df", "lamp_tx", "blur_px", "noise_dn", "wander_um", "dropped_lines_per_strip"]
    to: float


class StackCameraChange(Timed, frozen=True, kw_only=True):
    """A camera of the stack station has moved."""

    corner: Annotated[int, Meta(ge=1, le=4)]
    shift_um: float


class RollChange(Timed, frozen=True, kw_only=True):
    """Something is done to the next film roll that its record does not say."""

    what: Literal["wrong_direction", "missing_splice"]
    length_um: Annotated[int, Meta(gt=0, description="film missing at a splice")] = 500_000


class Scenario(Row, frozen=True, kw_only=True):
    """A fault, or several at once."""

    name: Annotated[str, Meta(min_length=1)]
    title: str
    expected: Annotated[str, Meta(description="what somebody who understood it would do")] = ""
    tags: tuple[TagChange, ...] = ()
    conditions: tuple[ConditionChange, ...] = ()
    rates: tuple[RateChange, ...] = ()
    camera: tuple[CameraChange, ...] = ()
    stack_camera: tuple[StackCameraChange, ...] = ()
    rolls: tuple[RollChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveScenario:
    """A scenario that runs in a world."""

    scenario: Scenario
    strength: float
    began_ns: int
    ends_ns: int | None = None
    """Lifted as a whole at this time, whatever its rows say."""

    def elapsed_s(self, at_ns: int) -> float | None:
        """Seconds since it began; None before, and after it was lifted."""
        if at_ns < self.began_ns or (self.ends_ns is not None and at_ns >= self.ends_ns):
            return None
        return (at_ns - self.began_ns) / 1e9

    def scaled(self, row: Timed, at_ns: int) -> float:
        """Amplitude of a row at a time, strength included; 0 where the scenario does not run."""
        elapsed_s = self.elapsed_s(at_ns)
        return 0.0 if elapsed_s is None else self.strength * row.amplitude(elapsed_s)


def load_scenario(name_or_path: str | Path, line: LineModel) -> Scenario:
    """A scenario that ships with Lamella, by name, or of a TOML file, checked against the line.

    Raises:
        ConfigError: the file cannot be read or a row is wrong; names file, key, value and what is allowed.
        NotFoundError: no scenario of this name ships with Lamella.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml"):
        return _read(Path(name_or_path), line)
    if name_or_path not in shipped_scenarios():
        known = ", ".join(shipped_scenarios())
        raise NotFoundError(f"scenario {name_or_path!r} is not known; known: {known}, or the path of a TOML file")
    with as_file(files("plant") / "scenarios" / f"{name_or_path}.toml") as path:
        return _read(path, line)


def shipped_scenarios() -> tuple[str, ...]:
    """Names of the scenarios that ship with Lamella."""
    folder = files("plant") / "scenarios"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def combined(scenarios: list[Scenario], name: str) -> Scenario:
    """Several scenarios as one that begins all of them at once."""
    return Scenario(
        name=name,
        title="; ".join(row.title for row in scenarios),
        expected="; ".join(row.expected for row in scenarios if row.expected),
        tags=tuple(row for scenario in scenarios for row in scenario.tags),
        conditions=tuple(row for scenario in scenarios for row in scenario.conditions),
        rates=tuple(row for scenario in scenarios for row in scenario.rates),
        camera=tuple(row for scenario in scenarios for row in scenario.camera),
        stack_camera=tuple(row for scenario in scenarios for row in scenario.stack_camera),
        rolls=tuple(row for scenario in scenarios for row in scenario.rolls),
    )


def _read(file: Path, line: LineModel) -> Scenario:
    try:
        scenario = read_rows(file, Scenario)
    except LineModelError as error:
        refused = ConfigError(str(error))
        refused.file, refused.key = error.file, error.key
        raise refused from error
    _check(scenario, line, file)
    return scenario


def _check(scenario: Scenario, line: LineModel, file: Path) -> None:
    """What types cannot say: names that the line knows, one amplitude a row, forms with the figures they need."""
    tags = line.all_tags()
    conditions = {row.name for row in line.conditions}
    defects = {row.code for row in line.defects if row.measured_as == "event"}
    rollers = {row.name for row in line.rollers}
    for tag in scenario.tags:
        key = f"tags.{tag.tag}"
        _require_name(tag.tag, tags, "tag", file, key)
        if tag.form == "stuck" and tag.where != "sensor":
            raise ConfigError("form 'stuck' needs where = 'sensor': a process does not stick", file=file, key=key)
        given = [name for name in ("by_z", "by", "to") if getattr(tag, name) is not None]
        wanted = 0 if tag.form == "stuck" and tag.where == "sensor" else 1
        if len(given) != wanted:
            allowed = "one of by_z, by, to" if wanted else "none for a stuck sensor"
            raise ConfigError(f"has {', '.join(given) or 'no amplitude'}; allowed: {allowed}", file=file, key=key)
    for condition in scenario.conditions:
        _require_name(condition.condition, conditions, "condition", file, f"conditions.{condition.condition}")
    for rate in scenario.rates:
        key = f"rates.{rate.defect}"
        _require_name(rate.defect, defects, "defect class", file, key)
        if rate.roller is not None:
            _require_name(rate.roller, rollers, "roller", file, f"{key}.roller")
        if rate.persistent and rate.cd_um is None:
            raise ConfigError("persistent needs cd_um, in µm from the operator-side edge", file=file, key=key)
        if rate.cd_um is not None and rate.cd_um > line.web("film").coat_width_um:
            width = line.web("film").coat_width_um
            raise ConfigError(f"is {rate.cd_um} µm; allowed: 0 to {width} µm", file=file, key=f"{key}.cd_um")
    rows: list[Timed] = [*scenario.tags, *scenario.conditions, *scenario.rates, *scenario.camera]
    rows += [*scenario.stack_camera, *scenario.rolls]
    for row in rows:
        if row.form in {"ramp", "pulse", "drift"} and row.over_s <= 0:
            raise ConfigError(
                f"is {row.over_s:g} s; form {row.form!r} needs more than 0 s",
                file=file,
                key=f"{type(row).__name__}.over_s",
            )


def _require_name(name: str, known: object, what: str, file: Path, key: str) -> None:
    names = sorted(str(entry) for entry in known) if isinstance(known, (dict, set)) else []
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        raise ConfigError(
            f"{name!r} is no {what} of the line; did you mean {near[0] if near else names[0]}?", file=file, key=key
        )

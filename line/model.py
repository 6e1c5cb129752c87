"""The line model: what a line consists of, read from one file that anybody can read.

A new tag, station, camera, position or defect class is a row in `line/lines/<name>.toml`; nothing else changes. A wrong
row is refused by file, key, value and unit before anything starts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, TypeVar

from msgspec import Meta

from line.defect_rows import AcceptRule, DefectClass, DefectModel, Driver
from line.errors import NotFoundError
from line.model_check import check
from line.model_rows import (
    AgeingStep,
    Camera,
    Condition,
    Cost,
    EndOfLine,
    Finishing,
    Formation,
    Identity,
    Lane,
    LayerThickness,
    Plan,
    Position,
    Press,
    Product,
    Roller,
    Row,
    Sheet,
    Shift,
    ShiftCalendar,
    StackTolerance,
    Station,
    Tag,
    Variable,
    Web,
)
from line.rows import read_rows

__all__ = [
    "DEFAULT_LINE",
    "AcceptRule",
    "AgeingStep",
    "Camera",
    "Condition",
    "Cost",
    "DefectClass",
    "DefectModel",
    "Driver",
    "EndOfLine",
    "Finishing",
    "Formation",
    "Identity",
    "Lane",
    "LayerThickness",
    "LineModel",
    "Plan",
    "Position",
    "Press",
    "Product",
    "Roller",
    "Sheet",
    "Shift",
    "ShiftCalendar",
    "StackTolerance",
    "Station",
    "Tag",
    "Variable",
    "Web",
    "load_line",
    "shipped_lines",
]

DEFAULT_LINE = "assb-20-agc"

_R = TypeVar("_R")


class LineModel(Row, frozen=True, kw_only=True, dict=True):
    """One line. Look rows up by name; an unknown name raises NotFoundError with the nearest ones."""

    name: Annotated[str, Meta(pattern="^[a-z0-9-]+$")]
    title: str
    identity: Identity
    plan: Plan
    calendar: ShiftCalendar
    finishing: Finishing
    defect_model: DefectModel
    positions: tuple[Position, ...]
    rollers: tuple[Roller, ...]
    cameras: tuple[Camera, ...]
    conditions: tuple[Condition, ...]
    drivers: tuple[Driver, ...]
    costs: tuple[Cost, ...]
    webs: tuple[Web, ...]
    products: Annotated[tuple[Product, ...], Meta(min_length=1)]
    stations: Annotated[tuple[Station, ...], Meta(min_length=1)]
    defects: Annotated[tuple[DefectClass, ...], Meta(min_length=1)]

    @cached_property
    def _tags(self) -> dict[str, Tag]:
        return {f"{station.code}.{tag.name}": tag for station in self.stations for tag in station.tags}

    @cached_property
    def _variables(self) -> dict[str, Tag | Condition]:
        return {**self._tags, **{row.name: row for row in self.conditions}}

    @cached_property
    def _stations(self) -> dict[str, Station]:
        return {row.code: row for row in self.stations}

    @cached_property
    def _defects(self) -> dict[str, DefectClass]:
        return {row.code: row for row in self.defects}

    @cached_property
    def _positions(self) -> dict[str, Position]:
        return {row.name: row for row in self.positions}

    def all_tags(self) -> dict[str, Tag]:
        """Every tag by its full name, `S03.WebSpeed`, in line order."""
        return dict(self._tags)

    def tag(self, name: str) -> Tag:
        """The tag of a full name, `S03.WebSpeed`."""
        return _found(self._tags, name, "tag")

    def variable(self, name: str) -> Tag | Condition:
        """What a driver row names: a tag, `S03.WebSpeed`, or a condition, `wear.pump_hours`."""
        return _found(self._variables, name, "tag or condition")

    def web_position_um(self, name: str) -> int | None:
        """Where on the casting web a tag or condition acts or is read, from the die lip; None: not on that web."""
        row = self.variable(name)
        place = row.web_position
        if place is None and isinstance(row, Tag):
            place = self.station(name.split(".", 1)[0]).web_position
        return None if place is None else self.position(place).offset_um

    def station(self, code: str) -> Station:
        """The station of a code, `S03`."""
        return _found(self._stations, code, "station")

    def defect(self, code: str) -> DefectClass:
        """The defect class of a code, `PIN`."""
        return _found(self._defects, code, "defect class")

    def drivers_of(self, defect: str) -> tuple[Driver, ...]:
        """What drives a defect class."""
        code = self.defect(defect).code
        return tuple(row for row in self.drivers if row.defect == code)

    def camera(self, camera: str) -> Camera:
        """The camera of an id, `fins-1`."""
        return _found({row.id: row for row in self.cameras}, camera, "camera")

    def film_cameras(self) -> tuple[Camera, ...]:
        """The cameras that look at a web and are fitted."""
        return tuple(row for row in self.cameras if row.kind == "film" and row.fitted)

    def web(self, name: str) -> Web:
        """The web of a name, `film`."""
        return _found({row.name: row for row in self.webs}, name, "web")

    def lane_at(self, web: str, cd_um: int) -> int:
        """Number of the lane that a CD position lies in; 0 where no lane is cut."""
        return next((row.number for row in self.web(web).lanes if row.cd_low_um <= cd_um < row.cd_high_um), 0)

    def position(self, name: str) -> Position:
        """The point of a name on the casting line, `camera`."""
        return _found(self._positions, name, "position")

    def roller(self, name: str) -> Roller:
        """The roller of a name, `idler`."""
        return _found({row.name: row for row in self.rollers}, name, "roller")

    def product(self, name: str | None = None) -> Product:
        """The product of a name; the first row without one."""
        return self.products[0] if name is None else _found({row.name: row for row in self.products}, name, "product")

    def cost_eur(self, item: str) -> float:
        """What one item has cost when it is made, `stack`."""
        return _found({row.item: row for row in self.costs}, item, "cost").unit_cost_eur


def load_line(name_or_path: str | Path = DEFAULT_LINE) -> LineModel:
    """Read and check a line model: the name of one that ships with Lamella, or the path of a TOML file.

    Raises:
        LineModelError: the file cannot be read or a row is wrong; names file, key, value and what is allowed.
        NotFoundError: no line of this name ships with Lamella.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml"):
        return _read(Path(name_or_path))
    name = _found({line: line for line in shipped_lines()}, name_or_path, "line")
    with as_file(files("line") / "lines" / f"{name}.toml") as path:
        return _read(path)


def shipped_lines() -> tuple[str, ...]:
    """Names of the line models that ship with Lamella."""
    folder = files("line") / "lines"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def _read(file: Path) -> LineModel:
    model = read_rows(file, LineModel)
    check(model, file)
    return model


def _found(rows: Mapping[str, _R], name: str, what: str) -> _R:
    try:
        return rows[name]
    except KeyError:
        raise NotFoundError(f"{what} {name!r} is not known; {_nearest(name, rows)}") from None


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"nearest: {', '.join(near)}" if near else f"known: {', '.join(names[:20])}"

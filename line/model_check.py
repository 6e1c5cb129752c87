"""Whether the rows of a line model make sense together: order of limits, known units, unique names, references.

That every field is known and of its type was checked when the file was read (`line/rows.py`).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfoNotFoundError

from line.defect_rows import AcceptKind, AcceptRule, DefectClass
from line.errors import ConfigError, LineModelError
from line.model_rows import Lane, Station, Tag, Variable
from line.units import unit

if TYPE_CHECKING:
    from line.model import LineModel

Problem = tuple[str, str]
"""Key of a row or field, and what is wrong with it."""

SAMPLING_MIN_MS = 10
"""Below this an OPC-UA server samples no faster than it is asked."""

RULE_FIELDS: dict[AcceptKind, tuple[str, ...]] = {
    "reject_above": ("above_um",),
    "max_per_sheet": ("at_most_per_sheet",),
    "cluster": ("count", "within_um"),
    "touches_edge": (),
    "depth_fraction_above": ("fraction",),
    "mean_deviation_above": ("fraction",),
    "spot_deviation_above": ("fraction", "spot_um"),
    "edge_bead_above": ("fraction", "edge_trim_um"),
    "hold_on_dose": (),
    "none_allowed": (),
}
"""Figures that each kind of accept rule needs."""

_EVENT_FIELDS = (
    "rate_per_m2", "median_um", "sigma_ln", "min_um", "kill_d50_um", "kill_s", "pod_a50_um", "pod_s", "reject_um",
    "contrast_bf", "contrast_df", "contrast_tx", "aspect",
)  # fmt: skip


def check(model: LineModel, file: Path) -> None:
    """Refuse a model whose rows make no sense together.

    Raises:
        LineModelError: at least one row is wrong; `key` is the first, the message names the first twenty.
    """
    problems = [*_duplicates(model), *_tags(model), *_webs(model), *_defects(model), *_references(model)]
    if not problems:
        return
    (key, message), *others = problems
    lines = [message, *(f"  also {other}: {text}" for other, text in others[:19])]
    if len(others) > 19:
        lines.append(f"  and {len(others) - 19} more")
    raise LineModelError("\n".join(lines), file=file, key=key)


def _duplicates(model: LineModel) -> Iterator[Problem]:
    named: dict[str, Iterable[str]] = {
        "stations": [row.code for row in model.stations],
        "stations (short names)": [row.name for row in model.stations],
        "positions": [row.name for row in model.positions],
        "rollers": [row.name for row in model.rollers],
        "cameras": [row.id for row in model.cameras],
        "conditions": [row.name for row in model.conditions],
        "drivers": [f"{row.defect}:{row.tag}" for row in model.drivers],
        "costs": [row.item for row in model.costs],
        "webs": [row.name for row in model.webs],
        "products": [row.name for row in model.products],
        "defects": [row.code for row in model.defects],
        "calendar.shifts": [row.name for row in model.calendar.shifts],
    }
    named |= {f"stations.{row.code}.tags": [tag.name for tag in row.tags] for row in model.stations}
    named |= {f"webs.{row.name}.lanes": [str(lane.number) for lane in row.lanes] for row in model.webs}
    for table, names in named.items():
        seen: set[str] = set()
        for name in names:
            if name in seen:
                yield f"{table}.{name}", "stands there twice; allowed: one row of each name"
            seen.add(name)


def _tags(model: LineModel) -> Iterator[Problem]:
    places = [row.name for row in model.positions]
    rows: list[tuple[str, Variable]] = [
        (f"stations.{station.code}.tags.{tag.name}", tag) for station in model.stations for tag in station.tags
    ]
    for key, row in [*rows, *((f"conditions.{row.name}", row) for row in model.conditions)]:
        yield from _limits(key, row)
        if row.web_position is not None and row.web_position not in places:
            yield f"{key}.web_position", _unknown(row.web_position, places, "position")
        if isinstance(row, Tag) and 0 < row.sampling_ms < SAMPLING_MIN_MS:
            allowed = f"0 (once per part) or at least {SAMPLING_MIN_MS} ms"
            yield f"{key}.sampling_ms", f"is {row.sampling_ms} ms; allowed: {allowed}"


def _limits(key: str, row: Variable) -> Iterator[Problem]:
    try:
        unit(row.unit)
    except ConfigError as error:
        yield f"{key}.unit", str(error)
    names = ["normal_low", "nominal", "normal_high"]
    if isinstance(row, Tag):
        names = ["alarm_low", *names, "alarm_high"]
    values: list[tuple[str, float]] = [(name, v) for name in names if (v := getattr(row, name)) is not None]
    for name, value in values:
        if not math.isfinite(value):
            yield f"{key}.{name}", f"is {value} {row.unit}; allowed: a finite number"
            return
    for (lower, low), (upper, high) in pairwise(values):
        if low <= high:
            continue
        if upper in {"normal_low", "nominal"}:
            name, value, bound = lower, low, f"at most {upper} = {high:g}"
        else:
            name, value, bound = upper, high, f"at least {lower} = {low:g}"
        yield f"{key}.{name}", f"is {value:g} {row.unit}; allowed: {bound} {row.unit}"


def _webs(model: LineModel) -> Iterator[Problem]:
    for web in model.webs:
        key = f"webs.{web.name}"
        if web.coat_width_um > web.width_um:
            yield f"{key}.coat_width_um", f"is {web.coat_width_um} um; allowed: at most width_um = {web.width_um} um"
        floor = 0
        for lane in sorted(web.lanes, key=lambda row: row.cd_low_um):
            place = f"{key}.lanes.{lane.number}"
            if lane.cd_low_um < floor:
                yield f"{place}.cd_low_um", f"is {lane.cd_low_um} um; allowed: at least {floor} um, where a lane ends"
            if not lane.cd_low_um < lane.cd_high_um <= web.coat_width_um:
                bound = f"above cd_low_um = {lane.cd_low_um} um, at most coat_width_um = {web.coat_width_um} um"
                yield f"{place}.cd_high_um", f"is {lane.cd_high_um} um; allowed: {bound}"
            floor = lane.cd_high_um
    lanes: dict[str, tuple[Lane, ...]] = {web.name: web.lanes for web in model.webs}
    for product in model.products:
        key = f"products.{product.name}"
        for sheet in product.sheets:
            place = f"{key}.sheets.{sheet.kind}"
            narrowest = min((lane.cd_high_um - lane.cd_low_um for lane in lanes.get(sheet.web, ())), default=None)
            if narrowest is not None and sheet.cd_um > narrowest:
                yield f"{place}.cd_um", f"is {sheet.cd_um} um; allowed: at most the lane's {narrowest} um"
            if sheet.pitch_um < sheet.md_um:
                yield f"{place}.pitch_um", f"is {sheet.pitch_um} um; allowed: at least md_um = {sheet.md_um} um"
        stack = product.stack
        limits = (stack.overhang_low_um, stack.overhang_warn_um, stack.overhang_design_um, stack.overhang_high_um)
        if list(limits) != sorted(limits):
            order = "overhang_low_um <= overhang_warn_um <= overhang_design_um <= overhang_high_um"
            yield f"{key}.stack", f"has overhang limits {limits} um; allowed: {order}"
        if not product.sheet_order or {*product.sheet_order} - {sheet.kind for sheet in product.sheets}:
            yield f"{key}.sheet_order", f"is {list(product.sheet_order)}; allowed: kinds that stand in sheets"


def _defects(model: LineModel) -> Iterator[Problem]:
    for row in model.defects:
        key = f"defects.{row.code}"
        yield from _distribution(key, row)
        for number, rule in enumerate(row.accept):
            yield from _rule(f"{key}.accept[{number}]", rule)
        for stage in (row.seen_after, *row.also_made_by):
            if stage not in model.defect_model.stage_stations:
                yield "defect_model.stage_stations", f"names no station for {stage}, which makes {row.code}"


def _distribution(key: str, row: DefectClass) -> Iterator[Problem]:
    for name in _EVENT_FIELDS:
        value = getattr(row, name)
        if row.measured_as == "event" and value is None:
            yield f"{key}.{name}", "is missing; a class that is an event needs it"
        if row.measured_as == "profile" and value is not None:
            yield f"{key}.{name}", f"is {value:g}; a class that is a profile has no such figure"
    if row.min_um is not None and row.median_um is not None and row.min_um > row.median_um:
        yield f"{key}.min_um", f"is {row.min_um:g} um; allowed: at most median_um = {row.median_um:g} um"


def _rule(key: str, rule: AcceptRule) -> Iterator[Problem]:
    for name in RULE_FIELDS[rule.kind]:
        if getattr(rule, name) is None:
            yield f"{key}.{name}", f"is missing; a rule of kind {rule.kind!r} needs it"
    if rule.from_um is not None and rule.to_um is not None and rule.from_um >= rule.to_um:
        yield f"{key}.from_um", f"is {rule.from_um} um; allowed: below to_um = {rule.to_um} um"


def _references(model: LineModel) -> Iterator[Problem]:
    stations = [row.code for row in model.stations]
    places = {row.name: row for row in model.positions}
    webs = [row.name for row in model.webs]
    defects = [row.code for row in model.defects]
    causes = [*model.all_tags(), *(row.name for row in model.conditions)]
    wanted: list[tuple[str, str, Iterable[str], str]] = [
        *((f"positions.{row.name}.station", row.station, stations, "station") for row in model.positions),
        *((f"rollers.{row.name}.station", row.station, stations, "station") for row in model.rollers),
        *((f"cameras.{row.id}.station", row.station, stations, "station") for row in model.cameras),
        *((f"cameras.{row.id}.web", row.web, webs, "web") for row in model.cameras if row.web is not None),
        *((f"costs.{row.item}.made_at", row.made_at, stations, "station") for row in model.costs),
        *((f"webs.{row.name}.made_at", row.made_at, stations, "station") for row in model.webs),
        *((f"webs.{row.name}.made_from", name, webs, "web") for row in model.webs for name in row.made_from),
        *((f"drivers.{row.defect}:{row.tag}.defect", row.defect, defects, "defect class") for row in model.drivers),
        *((f"drivers.{row.defect}:{row.tag}.tag", row.tag, causes, "tag or condition") for row in model.drivers),
        *(
            (f"products.{row.name}.sheets.{sheet.kind}.web", sheet.web, webs, "web")
            for row in model.products
            for sheet in row.sheets
        ),
        *_station_places(model.stations, places),
        *(
            (f"defect_model.stage_stations.{stage}", code, stations, "station")
            for stage, code in model.defect_model.stage_stations.items()
        ),
    ]
    for key, name, known, what in wanted:
        if name not in known:
            yield key, _unknown(name, known, what)
    casting = {row.name for row in model.webs if row.made_at in {place.station for place in model.positions}} | {None}
    for camera in model.cameras:
        if camera.kind == "film" and (camera.web is None or camera.position_um is None or camera.strip_lines is None):
            yield f"cameras.{camera.id}", "is a film camera; it needs web, position_um and strip_lines"
        at_station = [row.offset_um for row in model.positions if row.station == camera.station]
        if camera.web in casting and camera.position_um is not None and camera.position_um not in at_station:
            allowed = f"a position of {camera.station}: {', '.join(f'{place} um' for place in at_station) or 'none'}"
            yield f"cameras.{camera.id}.position_um", f"is {camera.position_um} um; allowed: {allowed}"
        for channel in camera.film_grey:
            if channel not in camera.channels:
                yield f"cameras.{camera.id}.film_grey", _unknown(channel, camera.channels, "channel of this camera")
        if camera.kind == "corner" and (camera.corner is None or camera.height_px is None):
            yield f"cameras.{camera.id}", "is a corner camera; it needs corner and height_px"
    try:
        model.calendar.zone()
    except (ZoneInfoNotFoundError, ValueError):
        yield "calendar.timezone", f"is {model.calendar.timezone!r}; allowed: an IANA name such as Asia/Seoul or UTC"


def _station_places(
    stations: Iterable[Station], places: Iterable[str]
) -> Iterator[tuple[str, str, Iterable[str], str]]:
    for row in stations:
        if row.web_position is not None:
            yield f"stations.{row.code}.web_position", row.web_position, places, "position"


def _unknown(name: str, known: Iterable[str], what: str) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:20]
    return f"is {name!r}, which no {what} is called; nearest: {', '.join(near)}"

"""What the HTTP interface speaks beside the answers of the twin: the line's names, orders to the plant, health."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from line.defect_rows import AcceptKind
from line.model import LineModel
from line.queries import LaneView


class TagName(Struct, frozen=True, kw_only=True):
    name: str
    """Station and name, `S03.WebSpeed`."""
    unit: str
    """UCUM."""
    nominal: float
    normal_low: float
    normal_high: float
    alarm_low: float | None
    alarm_high: float | None


class StationName(Struct, frozen=True, kw_only=True):
    code: str
    name: str
    title: str
    kind: str
    tags: tuple[TagName, ...]


class DefectName(Struct, frozen=True, kw_only=True):
    code: str
    title: str
    measure: str
    criticality: str
    seen_after: str
    """The stage that makes it: coating, lamination, ..."""
    reject_um: float | None
    accept: tuple[str, ...]
    """The accept rules in words."""


class LineNames(Struct, frozen=True, kw_only=True):
    """What a page needs to call things by name: from the line model, constant while the console runs."""

    line: str
    title: str
    product: str
    placements_count: int
    overhang_low_um: float
    overhang_high_um: float
    overhang_design_um: float
    film_lanes: tuple[LaneView, ...]
    film_mass_g_per_m2: float
    """Areal mass of good film."""
    film_mean_limit_fraction: float
    """How far the mean of the film may be off, by the accept rules; this and the next two are 0 without such a rule."""
    film_spot_limit_fraction: float
    """How far any spot may be off."""
    edge_bead_limit_fraction: float
    """How high an edge bead may be, over the film's thickness."""
    stations: tuple[StationName, ...]
    defects: tuple[DefectName, ...]


class SpeedOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Run the simulated line at this speed."""

    speed: Annotated[float, Meta(ge=0.1, le=600, description="plant seconds per wall second")]


class FaultOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Start a fault scenario in the simulated line."""

    scenario: Annotated[str, Meta(min_length=1, max_length=64, description="shipped name such as F01")]
    strength: Annotated[float, Meta(gt=0, le=10, description="1 is as listed")] = 1.0


class Obeyed(Struct, frozen=True, kw_only=True):
    """What the plant said to an order."""

    ok: bool
    detail: str


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether the console can answer, and why not."""

    ready: bool
    reasons: tuple[str, ...]


class Alive(Struct, frozen=True, kw_only=True):
    status: str = "alive"


def names_of(line: LineModel) -> LineNames:
    """The names of a line model."""
    product = line.product()
    return LineNames(
        line=line.identity.line,
        title=line.title,
        product=product.name,
        placements_count=product.placements,
        overhang_low_um=product.stack.overhang_low_um,
        overhang_high_um=product.stack.overhang_high_um,
        overhang_design_um=product.stack.overhang_design_um,
        film_lanes=tuple(
            LaneView(number=lane.number, cd_low_um=lane.cd_low_um, cd_high_um=lane.cd_high_um)
            for lane in line.web("film").lanes
        ),
        film_mass_g_per_m2=product.film_areal_mass_g_per_m2,
        film_mean_limit_fraction=_limit_fraction(line, "mean_deviation_above"),
        film_spot_limit_fraction=_limit_fraction(line, "spot_deviation_above"),
        edge_bead_limit_fraction=_limit_fraction(line, "edge_bead_above"),
        stations=tuple(
            StationName(
                code=station.code,
                name=station.name,
                title=station.title,
                kind=station.kind,
                tags=tuple(
                    TagName(
                        name=f"{station.code}.{tag.name}",
                        unit=tag.unit,
                        nominal=tag.nominal,
                        normal_low=tag.normal_low,
                        normal_high=tag.normal_high,
                        alarm_low=tag.alarm_low,
                        alarm_high=tag.alarm_high,
                    )
                    for tag in station.tags
                ),
            )
            for station in line.stations
        ),
        defects=tuple(
            DefectName(
                code=row.code,
                title=row.title,
                measure=row.size_measure,
                criticality=row.criticality,
                seen_after=row.seen_after,
                reject_um=row.reject_um,
                accept=tuple(rule.text for rule in row.accept),
            )
            for row in line.defects
        ),
    )


def _limit_fraction(line: LineModel, kind: AcceptKind) -> float:
    rules = (rule for row in line.defects for rule in row.accept if rule.kind == kind)
    return next((rule.fraction for rule in rules if rule.fraction is not None), 0.0)

"""Questions to the twin and what it answers, over MQTT 5 request and response.

Each answer says how fresh it is, how many parts stand behind it and whether any of it is simulated. Positions are
micrometres, times plant time in UTC nanoseconds.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from line.events import (
    CameraChecked,
    CellPredicted,
    CellTested,
    FilmDefect,
    FilmPattern,
    FilmProfile,
    LayerInspected,
    StationState,
    YieldForecast,
)

Limit = Annotated[int, Meta(ge=1, le=200_000)]


class Freshness(Struct, frozen=True, kw_only=True):
    """What an answer rests on."""

    revision: int
    """Events folded so far."""
    at_ns: int
    """Latest plant time heard."""
    age_s: float
    """Wall time since the last event was heard."""
    lag_ms: float
    """From emission of the last event to its fold, wall time; -1 before the first one."""
    parts_count: int
    simulated: bool


class Question(Struct, frozen=True, kw_only=True, tag_field="ask"):
    """What every question has: nothing but its tag."""


class Answer(Struct, frozen=True, kw_only=True, tag_field="answer"):
    """What every answer has."""

    fresh: Freshness


class AskLine(Question, frozen=True, kw_only=True, tag="line"):
    """The line as a whole."""


class StationView(Struct, frozen=True, kw_only=True):
    code: str
    title: str
    state: StationState | None
    abnormal_tags: tuple[str, ...]
    """Tags outside their alarm limits now."""
    units_count: int
    """Units believed to be at this station now."""


class LineView(Answer, frozen=True, kw_only=True, tag="line"):
    line: str
    product: str
    stations: tuple[StationView, ...]
    current_roll: str
    current_recipe: str
    coated_um: int
    inspected_um: int
    cells_open_count: int
    """Stacks and cells without a verdict."""
    cells_tested_count: int
    cells_passed_count: int
    forecast: YieldForecast | None
    services: tuple[str, ...]
    cameras: tuple[CameraChecked, ...] = ()
    """Latest word of each camera on itself."""
    patterns: tuple[FilmPattern, ...] = ()
    """Of the current roll, latest first."""


class AskRolls(Question, frozen=True, kw_only=True, tag="rolls"):
    """All rolls of a web, newest first."""

    web: str = "film"
    limit: Limit = 200


class RollRow(Struct, frozen=True, kw_only=True):
    roll: str
    started_ns: int
    length_um: int
    """So far, while it grows."""
    complete: bool
    defects_count: int
    killers_count: int
    """Defects whose verdict is reject."""
    inspected_fraction: float


class RollsView(Answer, frozen=True, kw_only=True, tag="rolls"):
    rolls: tuple[RollRow, ...]


class AskRoll(Question, frozen=True, kw_only=True, tag="roll"):
    """The map of one roll, or of a part of it."""

    roll: str
    from_um: int = 0
    to_um: int = 2**62
    limit: Limit = 100_000


class LaneView(Struct, frozen=True, kw_only=True):
    number: int
    cd_low_um: int
    cd_high_um: int


class Span(Struct, frozen=True, array_like=True):
    """An interval along the roll and what is said of it."""

    start_um: int
    end_um: int
    label: str


class SheetSpan(Struct, frozen=True, array_like=True):
    """Where a sheet was cut from this film, in as-coated coordinates of the film roll."""

    start_um: int
    end_um: int
    lane: int
    sheet: str
    unit: str
    """Stack or cell that holds it, empty while it waits."""
    layer: int


class RollView(Answer, frozen=True, kw_only=True, tag="roll"):
    roll: str
    web: str
    length_um: int
    width_um: int
    lanes: tuple[LaneView, ...]
    defects: tuple[FilmDefect, ...]
    uninspected: tuple[Span, ...]
    streaks: tuple[Span, ...]
    """Long MD defects, one span each, the label naming class and CD."""
    sheets: tuple[SheetSpan, ...]
    patterns: tuple[FilmPattern, ...] = ()
    profiles: tuple[FilmProfile, ...] = ()
    gauge_mass_fraction: tuple[float | None, ...] = ()
    """By profile: what the areal-mass gauge read on the same film, over nominal; None where it read nothing."""


class AskCellsOf(Question, frozen=True, kw_only=True, tag="cells_of"):
    """Which sheets, stacks and cells hold this piece of a roll; lane 0 is every lane."""

    roll: str
    from_um: int
    to_um: int
    lane: int = 0


class UnitOf(Struct, frozen=True, kw_only=True):
    sheet: str
    lane: int
    stack: str
    cell: str
    layer: int
    face: str
    station: str
    """Where it is now."""
    outcome: str
    p_pass: float | None


class CellsOfView(Answer, frozen=True, kw_only=True, tag="cells_of"):
    roll: str
    from_um: int
    to_um: int
    units: tuple[UnitOf, ...]
    complete: bool
    """False while the piece is not fully cut."""


class AskCell(Question, frozen=True, kw_only=True, tag="cell"):
    """Everything about one cell; a stack id is as good."""

    unit: str


class FaceOrigin(Struct, frozen=True, kw_only=True):
    """Film under one face of a layer: where it was coated, and what was found on it."""

    face: str
    roll: str
    lane: int
    start_um: int
    end_um: int
    inspected_fraction: float
    defects: tuple[FilmDefect, ...]


class LayerView(Struct, frozen=True, kw_only=True):
    layer: int
    kind: str
    sheet: str
    placed_ns: int
    faces: tuple[FaceOrigin, ...]
    inspection: LayerInspected | None


class StepView(Struct, frozen=True, array_like=True):
    """A stay at a station."""

    station: str
    entered_ns: int
    left_ns: int
    place: str
    outcome: str
    readings: tuple[tuple[str, float], ...]


class CellView(Answer, frozen=True, kw_only=True, tag="cell"):
    cell: str
    stack: str
    station: str
    layers: tuple[LayerView, ...]
    steps: tuple[StepView, ...]
    prediction: CellPredicted | None
    test: CellTested | None
    layers_inspected_count: int
    film_inspected_fraction: float
    classes_uninspected: tuple[str, ...] = ()
    """Defect classes that no fitted camera could have seen on this cell: not absent, unknown."""


class AskCells(Question, frozen=True, kw_only=True, tag="cells"):
    """The newest stacks and cells."""

    limit: Limit = 100


class CellRow(Struct, frozen=True, kw_only=True):
    unit: str
    stack: str
    station: str
    started_ns: int
    layers_count: int
    p_pass: float | None
    passed: bool | None


class CellsView(Answer, frozen=True, kw_only=True, tag="cells"):
    cells: tuple[CellRow, ...]


class AskYield(Question, frozen=True, kw_only=True, tag="yield"):
    """Forecasts now, their record, and the recent past."""


class LotYield(Struct, frozen=True, kw_only=True):
    name: str
    ended_ns: int
    tested_count: int
    passed_count: int


class LossRow(Struct, frozen=True, array_like=True):
    """Expected loss of the open cells by cause, in cells."""

    station: str
    what: str
    cells: float


class ScorePoint(Struct, frozen=True, array_like=True):
    """The line's forecast at one moment."""

    at_ns: int
    expected_fraction: float
    low_fraction: float
    high_fraction: float


class YieldView(Answer, frozen=True, kw_only=True, tag="yield"):
    forecast: YieldForecast | None
    lots: tuple[LotYield, ...]
    losses: tuple[LossRow, ...]
    track: tuple[ScorePoint, ...]
    scored_count: int
    inside_count: int


class AskDefect(Question, frozen=True, kw_only=True, tag="defect"):
    """One defect and the cells it is in."""

    defect: str


class DefectView(Answer, frozen=True, kw_only=True, tag="defect"):
    defect: FilmDefect
    units: tuple[UnitOf, ...]


class AskTrend(Question, frozen=True, kw_only=True, tag="trend"):
    """A tag's history, at most `points_count` points (minimum and maximum of each bin are kept)."""

    tag: str
    from_ns: int
    to_ns: int
    points_count: Annotated[int, Meta(ge=2, le=20_000)] = 1000


class TrendView(Answer, frozen=True, kw_only=True, tag="trend"):
    tag: str
    unit: str
    times_ns: tuple[int, ...]
    values: tuple[float | None, ...]


class Unknown(Answer, frozen=True, kw_only=True, tag="unknown"):
    """The thing asked for is not known."""

    detail: str


AnyQuestion = (
    AskLine | AskRolls | AskRoll | AskCellsOf | AskCell | AskCells | AskYield | AskDefect | AskTrend
)  # fmt: skip
AnyAnswer = (
    LineView | RollsView | RollView | CellsOfView | CellView | CellsView | YieldView | DefectView | TrendView | Unknown
)

"""The kinds of rows that make up a line model, but for its film defects (`line/defect_rows.py`).

Lengths on a web are int64 micrometres, MD from the roll's start and CD from the operator-side edge of the coat. Units
are UCUM, rows of `line/units.py`. `confidence` is that of the source: A stated on a page that was seen, B supported by
a neighbouring technology, C from memory, D a modelling choice and no industry fact.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

Confidence = Literal["A", "B", "C", "D"]
StationKind = Literal["room", "batch", "web", "sheet", "stack", "press", "cell"]
CameraKind = Literal["film", "corner", "xray"]
Name = Annotated[str, Meta(min_length=1)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
LengthUm = Annotated[int, Meta(gt=0, description="µm")]
PlaceUm = Annotated[int, Meta(ge=0, description="µm")]
Count = Annotated[int, Meta(ge=1)]


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all rows share: frozen, by keyword, and a misspelt field is an error."""


class Variable(Row, frozen=True, kw_only=True):
    """A number with a unit, a nominal value and a normal range."""

    name: Name
    unit: Annotated[str, Meta(description="UCUM code")]
    reference: Annotated[str | None, Meta(description="what the unit is counted from or against")] = None
    nominal: float
    normal_low: float
    normal_high: float
    web_position: Annotated[str | None, Meta(description="where on the casting web it acts or is read")] = None
    confidence: Confidence
    note: str = ""

    @property
    def half_range(self) -> float:
        """Half the width of the normal range, in the variable's unit; 0 for a flag."""
        return (self.normal_high - self.normal_low) / 2

    def deviation(self, value: float) -> float:
        """z, the distance from nominal in half ranges; for a flag, whose range has no width, the plain difference."""
        return (value - self.nominal) / (self.half_range or 1.0)


class Tag(Variable, frozen=True, kw_only=True):
    """One signal of a station."""

    alarm_low: float | None = None
    alarm_high: float | None = None
    sampling_ms: Annotated[int, Meta(ge=0, description="0: once per part")]
    data_type: Literal["float", "bool"] = "float"


class Condition(Variable, frozen=True, kw_only=True):
    """Something that drives defects and that no station has a tag for: wear, a recipe figure, an event (0 or 1)."""


class Station(Row, frozen=True, kw_only=True):
    """One station of the line, with its tags."""

    code: Annotated[str, Meta(pattern="^S[0-9]{2}$")]
    name: Annotated[Name, Meta(description="short name, CAST")]
    title: str
    kind: StationKind
    material_in: str
    material_out: str
    cycle: Annotated[str, Meta(description="speed or cycle in words")]
    cycle_s: Annotated[Positive | None, Meta(description="one batch, sheet, layer, stack, press cycle or cell")] = None
    speed_m_per_min: Positive | None = None
    parts_per_cycle: Count = 1
    parallel: Annotated[Count | None, Meta(description="places at work side by side; None: as many as arrive")] = 1
    buffer_parts: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="parts that may wait in front; None: no limit")
    ] = None
    mtbf_h: Positive
    mttr_min: Positive
    planned_stops: str
    scrap_pilot_fraction: Fraction | None = None
    scrap_mature_fraction: Fraction | None = None
    step_yield_fraction: Fraction | None = None
    stop_causes: tuple[str, ...]
    web_position: Annotated[str | None, Meta(description="where its tags act, unless a tag says otherwise")] = None
    tags: tuple[Tag, ...]


class Position(Row, frozen=True, kw_only=True):
    """A point of the casting line, from the die lip."""

    name: Name
    station: str
    offset_um: PlaceUm
    confidence: Confidence = "D"


class Roller(Row, frozen=True, kw_only=True):
    """A roller that can print a periodic defect, period pi x diameter."""

    name: Name
    diameter_mm: Positive
    station: str
    confidence: Confidence = "D"


class Lane(Row, frozen=True, kw_only=True):
    """A strip of web from which one row of sheets is cut."""

    number: Count
    cd_low_um: PlaceUm
    cd_high_um: LengthUm


class Web(Row, frozen=True, kw_only=True):
    """A material that runs from roll to roll."""

    name: Literal["film", "anode", "laminate", "cathode"]
    made_at: str
    made_from: tuple[str, ...] = ()
    width_um: Annotated[LengthUm, Meta(description="of carrier or foil")]
    coat_width_um: LengthUm
    roll_length_um: LengthUm
    splice_every_um: LengthUm | None = None
    fiducial_pitch_um: LengthUm | None = None
    stretch_fraction: Annotated[NotNegative, Meta(description="longer than the web it was made from")] = 0.0
    lanes: tuple[Lane, ...]
    confidence: Confidence = "D"


class Camera(Row, frozen=True, kw_only=True):
    """A camera. A film camera takes strips of lines, the others whole pictures."""

    id: Name
    station: str
    kind: CameraKind
    channels: tuple[str, ...]
    width_px: Count
    height_px: Annotated[Count | None, Meta(description="None for a line camera")] = None
    strip_lines: Annotated[Count | None, Meta(description="lines of one strip")] = None
    line_rate_hz: Positive | None = None
    pixel_um: Positive
    bits: Literal[8, 16] = 8
    web: str | None = None
    position_um: Annotated[
        PlaceUm | None, Meta(description="from the die lip; on another web from where its travel is counted")
    ] = None
    cd_start_um: Annotated[int, Meta(description="CD of the first pixel")] = 0
    corner: Annotated[
        Annotated[int, Meta(ge=1, le=4)] | None,
        Meta(description="anticlockwise from the operator side, upstream"),
    ] = None
    film_grey: Annotated[
        dict[str, Positive], Meta(description="mean grey of good film by channel, lamps as new; of simulated film")
    ] = {}
    fitted: Annotated[bool, Meta(description="false: planned, and what only it could see is uninspected")] = True
    confidence: Confidence = "D"


class Sheet(Row, frozen=True, kw_only=True):
    """One kind of sheet in the stack."""

    kind: Literal["laminate", "cathode"]
    web: str
    md_um: Annotated[LengthUm, Meta(description="size along the web")]
    cd_um: LengthUm
    outline_md_um: Annotated[LengthUm, Meta(description="with its insulating frame, if it has one")]
    outline_cd_um: LengthUm
    pitch_um: Annotated[LengthUm, Meta(description="from one sheet to the next along the web")]
    film_faces: tuple[Literal["top", "bottom"], ...] = ()


class LayerThickness(Row, frozen=True, kw_only=True):
    """Thickness of one coat or foil after one stage."""

    layer: Name
    stage: Literal["wet", "dried", "calendered", "pressed"]
    thickness_um: Positive
    porosity_fraction: Fraction | None = None


class StackTolerance(Row, frozen=True, kw_only=True):
    """How sheets may lie on one another, and how they do."""

    overhang_design_um: LengthUm
    overhang_low_um: LengthUm
    overhang_high_um: LengthUm
    overhang_warn_um: LengthUm
    warn_layers: Annotated[Count, Meta(description="stop at this many layers below overhang_warn_um")]
    warn_of_layers: Count
    placement_tolerance_um: LengthUm
    placement_sigma_um: LengthUm
    rotation_tolerance_deg: Positive
    rotation_sigma_deg: Positive
    cut_tolerance_um: LengthUm
    cut_sigma_um: Annotated[LengthUm, Meta(description="per edge")]
    slip_probability: Annotated[Fraction, Meta(description="per placement, at nominal gripper vacuum")]
    slip_sigma_um: LengthUm
    slip_vacuum_beta: NotNegative
    creep_um_per_placement: NotNegative
    place_s: Positive
    measurement_repeatability_um: Positive


class Product(Row, frozen=True, kw_only=True):
    """A cell design. Placement 1 is the lowest; the kinds of sheet alternate from `sheet_order[0]`."""

    name: Name
    title: str
    capacity_ah: Positive
    voltage_v: Positive
    energy_wh: Positive
    mass_g: Positive
    placements: Count
    sheet_order: tuple[Literal["laminate", "cathode"], ...]
    active_se_layers: Count
    active_area_m2: Positive
    capacity_mah_per_cm2: Annotated[Positive, Meta(description="areal capacity of a cathode side")]
    film_areal_mass_g_per_m2: Positive
    film_web_per_cell_um: LengthUm
    binder_fraction: Annotated[Fraction, Meta(description="of the film's solids, by mass")]
    sheets: tuple[Sheet, ...]
    thicknesses: tuple[LayerThickness, ...]
    stack: StackTolerance
    confidence: Confidence = "D"

    def sheet_kind(self, placement: int) -> Literal["laminate", "cathode"]:
        """What lies at a placement, 1 (lowest) to `placements`."""
        if not 1 <= placement <= self.placements:
            raise ValueError(f"placement {placement} is outside 1..{self.placements} of {self.name}")
        return self.sheet_order[(placement - 1) % len(self.sheet_order)]

    def sheet(self, kind: str) -> Sheet:
        """The sheet of a kind."""
        return next(row for row in self.sheets if row.kind == kind)

    def thickness_um(self, layer: str, stage: str) -> float:
        """Thickness of a layer after a stage, as the design says."""
        return next(row.thickness_um for row in self.thicknesses if (row.layer, row.stage) == (layer, stage))


class Cost(Row, frozen=True, kw_only=True):
    """What one thing has cost when it leaves a station."""

    item: Name
    title: str
    unit_cost_eur: NotNegative
    made_at: str
    confidence: Confidence = "D"


class Identity(Row, frozen=True, kw_only=True):
    """Where the line stands, in ISA-95 terms; the parts of its topics and its address space."""

    enterprise: Annotated[str, Meta(pattern="^[a-z0-9_-]+$")]
    site: Annotated[str, Meta(pattern="^[a-z0-9_-]+$")]
    area: Annotated[str, Meta(pattern="^[a-z0-9_-]+$")]
    line: Annotated[str, Meta(pattern="^[a-z0-9_-]+$")]


class Plan(Row, frozen=True, kw_only=True):
    """What the line shall make, and the share of the time it does."""

    cells_per_week: Count
    takt_min: Positive
    availability_fraction: Fraction
    performance_fraction: Fraction
    quality_fraction: Fraction


class Shift(Row, frozen=True, kw_only=True):
    """A shift on some days of the week, in the calendar's time zone."""

    name: Name
    days: tuple[Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], ...]
    start: Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    end: Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class ShiftCalendar(Row, frozen=True, kw_only=True):
    """When the line is manned."""

    timezone: Annotated[str, Meta(description="IANA name")]
    shifts: tuple[Shift, ...]

    def zone(self) -> tzinfo:
        """The time zone; UTC also on a machine that has no time zone data.

        Raises:
            ZoneInfoNotFoundError: the machine knows no zone of this name.
        """
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)


class Press(Row, frozen=True, kw_only=True):
    """Warm isostatic pressing."""

    cells_per_cycle: Count
    cycle_min: Positive


class Formation(Row, frozen=True, kw_only=True):
    """Formation: one cell a channel."""

    channels: Count
    hours: Positive


class AgeingStep(Row, frozen=True, kw_only=True):
    """A part of ageing."""

    days: Positive
    temperature_cel: float


class EndOfLine(Row, frozen=True, kw_only=True):
    """End-of-line test: one cell a channel."""

    channels: Count
    hours: Positive


class Finishing(Row, frozen=True, kw_only=True):
    """From pressed stack to tested cell."""

    press: Press
    formation: Formation
    ageing: tuple[AgeingStep, ...]
    end_of_line: EndOfLine

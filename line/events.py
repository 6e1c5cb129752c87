"""Every message that crosses a wire between services, declared once.

Frozen structs, flat JSON, tagged by `type`. A reader ignores fields it does not know and refuses a wrong type by
name; a renamed field or a changed unit is a new class. Times are plant time in UTC nanoseconds, positions int64
micrometres from the roll's start (MD) and from the operator-side edge (CD), values in the tag's UCUM unit.

The file is long because it is the whole vocabulary: a reader of the wires needs no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from line.bundle import ModelRef
from line.errors import MessageError

Quality = Literal["good", "uncertain", "bad"]
PackMLState = Literal[
    "Clearing", "Stopped", "Starting", "Idle", "Suspended", "Execute", "Stopping", "Aborting", "Aborted", "Holding",
    "Held", "Unholding", "Suspending", "Unsuspending", "Resetting", "Completing", "Complete",
]  # fmt: skip
UnitMode = Literal["Producing", "Maintenance", "Manual"]
WebName = Literal["film", "anode", "laminate", "cathode"]
SheetKind = Literal["laminate", "cathode"]
UnitKind = Literal["batch", "roll", "sheet", "stack", "cell"]
Phase = Literal["entered", "left"]
Outcome = Literal["ok", "scrap", "rework"]
Verdict = Literal["pass", "mark", "reject", "review", "uninspected"]
Severity = Literal["A", "B", "C"]
Method = Literal["pixels", "drawn", "foreign"]
"""`pixels`: a picture was inspected. `drawn`: simulated through a detection curve, no picture existed. `foreign`:
another maker's inspector said so."""
Fraction = Annotated[float, Meta(ge=0, le=1)]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Event(Struct, frozen=True, kw_only=True, tag_field="type", tag=_snake):
    """What every message has. The service that emits it fills `id`, `source` and `seq`."""

    at_ns: int
    """Plant time of what happened."""
    simulated: bool = False
    id: str = ""
    """UUIDv7; the same id is the same event, however often it arrives."""
    source: str = ""
    """Who emitted it, `role@box`."""
    seq: int = 0
    """Contiguous within `source`, from 1: a hole is a lost message."""


# Tags and states, from the PLC


class TagSample(Struct, frozen=True, array_like=True):
    """One value of one tag, as the PLC stamped it."""

    tag: str
    """Station and name, `S03.WebSpeed`."""
    value: float | None
    """In the tag's unit; None when the PLC gave none."""
    quality: Quality
    source_ns: int


class TagBatch(Event, frozen=True, kw_only=True):
    """Tag changes of one station since the batch before."""

    station: str
    samples: tuple[TagSample, ...]


class StationState(Event, frozen=True, kw_only=True):
    """PackML state of a station; retained."""

    station: str
    state: PackMLState
    mode: UnitMode = "Producing"
    stop_reason: str = ""
    speed: float = 0.0
    """CurMachSpeed, in the station's own unit of speed."""
    blocked: bool = False
    starved: bool = False
    processed_count: int = 0
    defective_count: int = 0


class LinkState(Event, frozen=True, kw_only=True):
    """Whether a wire delivers, which is more than being connected; retained."""

    link: str
    endpoint: str
    state: Literal["up", "stale", "down"]
    detail: str = ""
    wanted_count: int = 0
    live_count: int = 0


class TagGap(Event, frozen=True, kw_only=True):
    """Samples or part records that were expected and did not arrive."""

    tag: str
    from_ns: int
    to_ns: int
    expected_count: int
    received_count: int
    lost_count: int
    reason: str


# Material: what the part records of the stations say


class Material(Event, frozen=True, kw_only=True):
    """A part record of a station. `counter` is the station's own, contiguous from 1."""

    station: str
    counter: int = 0


class BatchMixed(Material, frozen=True, kw_only=True):
    """A slurry batch left the mixer."""

    batch: str
    powder_lot: str
    binder_lot: str
    mass_kg: float


class RollStarted(Material, frozen=True, kw_only=True):
    """Coating of a roll began: its as-coated zero is under the die lip now."""

    roll: str
    web: WebName
    batch: str = ""
    order: str = ""
    recipe: str = ""


class RollEnded(Material, frozen=True, kw_only=True):
    """The roll is complete."""

    roll: str
    length_um: int


class WebSegment(Struct, frozen=True, array_like=True):
    """A piece of a web and where it came from. A reversed piece has `parent_start_um > parent_end_um`."""

    child_start_um: int
    child_end_um: int
    parent: str
    parent_start_um: int
    parent_end_um: int
    cd_flipped: bool = False
    cd_shift_um: int = 0


class WebMapped(Material, frozen=True, kw_only=True):
    """A web came out of one or more others: rewound, flipped, laminated, stretched, spliced, cut out, re-synchronised.

    One event per child and face covers every operation, since each is a list of straight pieces.
    """

    child: str
    web: WebName
    operation: Literal["rewind", "lamination", "calendering", "cut_out", "splice", "resync"]
    face: Literal["", "top", "bottom", "foil"] = ""
    segments: tuple[WebSegment, ...]


class SheetCut(Material, frozen=True, kw_only=True):
    """A sheet was cut out of a web and got its data-matrix code."""

    sheet: str
    kind: SheetKind
    roll: str
    lane: int
    start_um: int
    end_um: int
    outcome: Outcome = "ok"
    reason: str = ""


class LayerPlaced(Material, frozen=True, kw_only=True):
    """A sheet was placed on a stack."""

    stack: str
    layer: int
    """1 is the lowest."""
    sheet: str
    kind: SheetKind
    gripper: int = 1
    offset_x_um: float = 0.0
    offset_y_um: float = 0.0
    rotation_urad: float = 0.0


class Reading(Struct, frozen=True, array_like=True):
    """A once-per-part value of a tag."""

    tag: str
    value: float


class UnitMoved(Material, frozen=True, kw_only=True):
    """A unit entered or left a station."""

    unit: str
    kind: UnitKind
    phase: Phase
    visit: int = 1
    place: str = ""
    """Carrier, press slot, formation channel, as the station names it."""
    outcome: Outcome = "ok"
    reason: str = ""
    readings: tuple[Reading, ...] = ()


class CellMade(Material, frozen=True, kw_only=True):
    """A stack got its cell serial."""

    cell: str
    stack: str


class CellTested(Material, frozen=True, kw_only=True):
    """The end-of-line verdict."""

    cell: str
    passed: bool
    grade: str
    capacity_ah: float
    dcir_mohm: float
    ocv_drop_mv_per_d: float
    first_coulombic_fraction: float
    insulation_mohm: float
    """Megaohm, case to tab."""
    thickness_mm: float
    mass_g: float
    fail_codes: tuple[str, ...] = ()


# Inspection


class FilmDefect(Event, frozen=True, kw_only=True):
    """One defect of the film. A longer sighting of the same defect has the same `defect` and a higher `revision`."""

    defect: str
    revision: int = 1
    roll: str
    station: str
    camera: str
    lane: int
    """0 where no lane is cut."""
    kind: str
    """Class code of the line model, or `unknown`."""
    score: Fraction
    md_start_um: int
    md_end_um: int
    cd_start_um: int
    cd_end_um: int
    size_um: float
    """By the class's own measure: diameter, length or width."""
    size_uncertainty_um: float
    """Expanded, k=2."""
    position_uncertainty_um: float
    """Expanded, k=2."""
    area_um2: float
    length_um: float = 0.0
    """Along the longer axis; 0 where it was not measured."""
    width_um: float = 0.0
    """Across it; 0 where it was not measured."""
    depth_fraction: Fraction | None = None
    """Missing (or, for bumps, added) film as a share of its thickness, from transmission."""
    depth_uncertainty_fraction: float | None = None
    """Expanded, k=2."""
    contrast_bf: float | None
    """Relative grey change at the core; 0 is as the film around it, None where the camera has no such channel."""
    contrast_df: float | None
    contrast_tx: float | None
    anomaly_score: float | None = None
    """How unlike good film its picture is, whatever its class, in spreads of good film; None where that was not judged.
    The highest of its sightings."""
    anomaly_model: ModelRef | None = None
    """The backbone behind that score; None where there is none."""
    severity: Severity
    verdict: Verdict
    reason: str
    model: ModelRef
    method: Method
    calibration: str = ""
    recipe: str = ""
    image: str = ""
    """sha256 of the evidence picture, empty where none exists."""
    latency_ms: float = 0.0
    """From the last line of the frame to this event, wall time."""
    providers: tuple[str, ...] = ()
    """Of the runtime that the model really ran on; none where no picture was looked at."""
    device: str = ""
    """What they computed on: `cpu`, or the GPU's name and driver."""


class StripInspected(Event, frozen=True, kw_only=True):
    """A strip of film was looked at; sent also when nothing was found."""

    roll: str
    station: str
    camera: str
    strip: int
    md_start_um: int
    md_end_um: int
    cd_start_um: int
    cd_end_um: int
    state: Literal["inspected", "over_capacity", "learning", "unreadable", "uncalibrated"]
    """Only `inspected` counts as inspected film."""
    candidates_count: int
    defects_count: int
    missed_lines_count: int = 0
    mean_grey_bf: float | None = None
    """None where the camera has no such channel, or nothing was looked at."""
    mean_grey_df: float | None = None
    mean_grey_tx: float | None = None
    model: ModelRef
    method: Method
    providers: tuple[str, ...] = ()
    """Of the runtime that the model really ran on; none where no picture was looked at."""
    device: str = ""
    """What they computed on: `cpu`, or the GPU's name and driver."""
    latency_ms: float = 0.0


class FilmPattern(Event, frozen=True, kw_only=True):
    """Defects that belong together. More of the same has the same `pattern` and a higher `revision`."""

    pattern: str
    revision: int = 1
    roll: str
    station: str
    camera: str
    form: Literal["cluster", "repeat", "rate"]
    """`cluster`: near one another. `repeat`: once a turn of a roller. `rate`: more per m2 than is usual."""
    kind: str
    """Class code of its defects."""
    defects: tuple[str, ...]
    """The latest of them."""
    defects_count: int
    md_start_um: int
    md_end_um: int
    cd_start_um: int
    cd_end_um: int
    p_value: Fraction
    """Chance of so clear a pattern among defects that lie at random."""
    period_um: float = 0.0
    """Of a repeat; 0 for other forms."""
    roller: str = ""
    """Of the line model, whose circumference is the period."""
    rate_factor: float = 0.0
    """Of a rate, against the usual one; 0 for other forms."""
    verdict: Verdict
    reason: str
    cause: str
    """What usually does this, in words."""


class FilmProfile(Event, frozen=True, kw_only=True):
    """Thickness of the film across the web, from transmission, over a stretch of a roll."""

    roll: str
    station: str
    camera: str
    md_start_um: int
    md_end_um: int
    cd_start_um: int
    cd_step_um: int
    mass_fraction: tuple[float, ...]
    """By bin across the web: areal mass over that of good film, 1 being nominal."""
    mass_uncertainty_fraction: float
    """Expanded, k=2."""
    bead_low_fraction: float
    """Height of the bead at the operator-side edge over the film's thickness, behind the edge trim."""
    bead_high_fraction: float
    bead_low_um: int
    """How far the bead reaches from the operator-side edge."""
    bead_high_um: int
    edge_low_um: int
    """CD of the coat's operator-side edge."""
    edge_high_um: int
    verdict: Verdict
    reason: str
    method: Method


class Measure(Struct, frozen=True, array_like=True):
    """A quantity of a camera's own, with the range in which it may lie; None is no limit."""

    quantity: str
    channel: str
    value: float
    uncertainty: float | None
    """Expanded, k=2."""
    low: float | None
    high: float | None
    unit: str
    """UCUM."""


class CameraChecked(Event, frozen=True, kw_only=True):
    """How well a camera sees: from a calibration target, a reference tile, or the film itself."""

    station: str
    camera: str
    state: Literal["ok", "drifting", "fault", "expired", "uncalibrated"]
    """`drifting`: still inspecting, though worse. `fault`, `expired`, `uncalibrated`: what it sees is uninspected."""
    reason: str
    calibration: str = ""
    """In force; empty: none, the figures of the line model count."""
    valid_until_ns: int = 0
    measures: tuple[Measure, ...] = ()


class Overhang(Struct, frozen=True, array_like=True):
    """How far the laminate stands out over the cathode at one place."""

    place: str
    """Corner and edge: `1x` is corner 1 along x; corners 1-4 anticlockwise from the operator side, upstream."""
    value_um: float
    uncertainty_um: float
    """Expanded, k=2."""


class LayerInspected(Event, frozen=True, kw_only=True):
    """A placed layer was looked at; a laminate has no overhang readings, it gives the edges for the next cathode."""

    stack: str
    layer: int
    station: str
    kind: SheetKind
    overhangs: tuple[Overhang, ...]
    offset_x_um: float
    offset_y_um: float
    rotation_urad: float
    verdict: Verdict
    reason: str
    method: Method
    calibration: str = ""
    model: ModelRef | None = None
    images: tuple[str, ...] = ()
    latency_ms: float = 0.0


# What the twin says


class Reason(Struct, frozen=True, array_like=True):
    """One additive share of a cell's log probability: an attribution, not a cause."""

    station: str
    what: str
    log_share: float
    text: str


class CellPredicted(Event, frozen=True, kw_only=True):
    """Probability that a cell (or the stack it will be) passes end-of-line test."""

    unit: str
    p_pass: Fraction
    p_low: Fraction
    p_high: Fraction
    """90 % interval."""
    reasons: tuple[Reason, ...]
    model: str
    labels_count: int
    """Finished cells with a verdict that the model has learnt from."""


class YieldForecast(Event, frozen=True, kw_only=True):
    """Yield of a group of cells that have no verdict yet."""

    forecast: str
    scope: Literal["lot", "shift", "line"]
    name: str
    cells_count: int
    expected_fraction: Fraction
    low_fraction: Fraction
    high_fraction: Fraction
    coverage: Fraction = 0.9
    model: str
    labels_count: int


class ForecastScored(Event, frozen=True, kw_only=True):
    """A forecast met its truth."""

    forecast: str
    cells_count: int
    passed_count: int
    inside: bool


# Orders, people, papers


class OrderReleased(Event, frozen=True, kw_only=True):
    """Cells to make."""

    order: str
    product: str
    cells_count: int
    due_ns: int
    recipe: str


class SetPoint(Struct, frozen=True, array_like=True):
    """What a tag shall be, and between which limits."""

    tag: str
    target: float
    low: float | None
    high: float | None


class RecipeActivated(Event, frozen=True, kw_only=True):
    """From now on the line runs by this recipe."""

    recipe: str
    version: int
    product: str
    set_points: tuple[SetPoint, ...]
    cameras: tuple[str, ...]
    light_percent: dict[str, float]
    """Lamp level by channel."""
    model: ModelRef
    person: str


class ShiftStarted(Event, frozen=True, kw_only=True):
    """A shift by the calendar of the line model began."""

    shift: str
    ends_ns: int
    people: tuple[str, ...] = ()


class PersonRegistered(Event, frozen=True, kw_only=True):
    """Somebody who may act, and as what."""

    person: str
    name: str
    role: Literal["viewer", "supervisor", "quality engineer", "administrator"]
    active: bool = True


class LabResult(Event, frozen=True, kw_only=True):
    """A result that no PLC has, with its method and who found it."""

    unit: str
    kind: UnitKind
    quantity: str
    value: float
    unit_ucum: str
    uncertainty: float | None = None
    method: str
    person: str


class Disposition(Event, frozen=True, kw_only=True):
    """What shall happen with a unit, or with an interval of a roll."""

    disposition: str
    action: Literal["hold", "quarantine", "rework", "release", "scrap"]
    kind: UnitKind
    units: tuple[str, ...]
    md_start_um: int | None = None
    md_end_um: int | None = None
    reason: str
    person: str
    second_person: str = ""


class Correction(Event, frozen=True, kw_only=True):
    """Replaces an earlier event, which stays in the journal."""

    supersedes: str
    """Id of the event that is wrong."""
    replacement: str
    """Id of the event that is right; empty when the first one should never have been."""
    reason: str
    person: str


# Services


class ServiceState(Event, frozen=True, kw_only=True):
    """Life of a service; retained, and the broker says `offline` for one that dies."""

    service: str
    role: str
    state: Literal["starting", "online", "offline"]
    url: str = ""
    """Where its health, metrics and evidence are served."""
    version: str = ""
    detail: str = ""


class Loop(Struct, frozen=True, array_like=True):
    """How far a loop of a service has come, so that idle and hung differ."""

    name: str
    rounds_count: int
    age_s: float


class Heartbeat(Event, frozen=True, kw_only=True):
    """Sent every few seconds by every service."""

    service: str
    loops: tuple[Loop, ...]
    outbox_count: int
    """Own events not yet acknowledged by the broker."""
    delivered_seq: int = 0
    """Number of the last own event that the broker has acknowledged: a reader that lacks it has lost it."""
    rss_mb: float


AnyEvent = (
    TagBatch | StationState | LinkState | TagGap
    | BatchMixed | RollStarted | RollEnded | WebMapped | SheetCut | LayerPlaced | UnitMoved | CellMade | CellTested
    | FilmDefect | StripInspected | FilmPattern | FilmProfile | CameraChecked | LayerInspected
    | CellPredicted | YieldForecast | ForecastScored
    | OrderReleased | RecipeActivated | ShiftStarted | PersonRegistered | LabResult | Disposition | Correction
    | ServiceState | Heartbeat
)  # fmt: skip
MaterialEvent = (
    BatchMixed | RollStarted | RollEnded | WebMapped | SheetCut | LayerPlaced | UnitMoved | CellMade | CellTested
)

EVENT_TYPES: tuple[type[Event], ...] = get_args(AnyEvent)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)


def encoded(event: Event) -> bytes:
    """The event as flat JSON."""
    return _encoder.encode(event)


def decoded(payload: bytes | str) -> AnyEvent:
    """The event in a payload.

    Raises:
        MessageError: not JSON, an unknown `type`, or a field of the wrong type, which is named.
    """
    try:
        event: AnyEvent = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(f"{error}; the payload begins with {payload[:80]!r}") from error
    return event


def tag_of(kind: type[Event]) -> str:
    """The `type` string of an event class: `FilmDefect` is `film_defect`."""
    return _snake(kind.__name__)


def in_order(events: Iterable[AnyEvent]) -> list[AnyEvent]:
    """Events by plant time, ties by source and sequence."""
    return sorted(events, key=lambda event: (event.at_ns, event.source, event.seq))

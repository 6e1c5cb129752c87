"""A small line made of events whose truth is known: films, a laminate, its calendered child, sheets, stacks, cells."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from line.bundle import ModelRef
from line.events import (
    AnyEvent,
    CameraChecked,
    CellMade,
    CellTested,
    Event,
    FilmDefect,
    FilmPattern,
    FilmProfile,
    LayerInspected,
    LayerPlaced,
    Measure,
    Overhang,
    RollEnded,
    RollStarted,
    SheetCut,
    StripInspected,
    UnitMoved,
    WebMapped,
    WebSegment,
)
from line.ids import event_id, sheet_id
from line.model import LineModel, load_line
from twin.state import LineState

HOUR_NS = 3_600_000_000_000
START_NS = 1_790_000_000_000_000_000
STRETCH = 0.006
PITCH_UM = 104_000
SHEET_UM = 102_000
LANES = {1: (8_000, 150_000), 2: (150_000, 292_000)}
WIDTH_UM = 300_000
REF = ModelRef(name="film-candidates", version=1, digest="0" * 64)


@dataclass(kw_only=True)
class LineMaker:
    """Writes what a line would say. Each event gets an id and a sequence of its own."""

    events: list[AnyEvent] = field(default_factory=list)
    at_ns: int = START_NS
    source: str = "plc@test"
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def say(self, event_class: Callable[..., AnyEvent], /, **fields: object) -> AnyEvent:
        """One event, a second after the one before."""
        self.at_ns += 1_000_000_000
        number = next(self.counter)
        event = event_class(
            **{"at_ns": self.at_ns, "simulated": True, **fields},
            id=event_id(self.at_ns, f"{self.source}:{number}"), source=self.source, seq=number,
        )  # fmt: skip
        self.events.append(event)
        return event

    def film(self, roll: str, length_um: int, *, inspected: Iterable[tuple[int, int]] | None = None) -> str:
        """A coated and inspected film roll."""
        self.say(RollStarted, station="S03", roll=roll, web="film")
        for number, (start, end) in enumerate(inspected if inspected is not None else [(0, length_um)]):
            self.strip(roll, start, end, number)
        self.say(RollEnded, station="S03", roll=roll, length_um=length_um)
        return roll

    def strip(self, roll: str, start_um: int, end_um: int, number: int = 0, state: str = "inspected") -> None:
        """A strip of film that was looked at."""
        self.say(
            StripInspected, roll=roll, station="S05", camera="fins-1", strip=number, md_start_um=start_um,
            md_end_um=end_um, cd_start_um=0, cd_end_um=WIDTH_UM, state=state, candidates_count=0, defects_count=0,
            model=REF, method="drawn",
        )  # fmt: skip

    def defect(
        self, name: str, roll: str, md_um: int, cd_um: int, *, kind: str = "PIN", size_um: float = 60.0,
        length_um: int = 60, width_um: int = 60, revision: int = 1, verdict: str = "reject",
    ) -> None:  # fmt: skip
        """A defect by its first place along the web and its centre across."""
        self.say(
            FilmDefect, defect=name, revision=revision, roll=roll, station="S05", camera="fins-1",
            lane=next((lane for lane, (low, high) in LANES.items() if low <= cd_um < high), 0), kind=kind, score=0.9,
            md_start_um=md_um, md_end_um=md_um + length_um, cd_start_um=cd_um - width_um // 2,
            cd_end_um=cd_um + width_um // 2, size_um=size_um, size_uncertainty_um=5.0, position_uncertainty_um=100.0,
            area_um2=size_um**2, contrast_bf=-0.1, contrast_df=0.2, contrast_tx=1.0, severity="A", verdict=verdict,
            reason="", model=REF, method="drawn",
        )  # fmt: skip

    def pattern(
        self, name: str, roll: str, md_um: int, *, count: int = 3, revision: int = 1, kind: str = "MET"
    ) -> None:
        """A repeat that begins at a place along the web and has come round so often."""
        self.say(
            FilmPattern, pattern=name, revision=revision, roll=roll, station="S05", camera="fins-1", form="repeat",
            kind=kind, defects=tuple(f"{name}/{number}" for number in range(count)), defects_count=count,
            md_start_um=md_um, md_end_um=md_um + 251_327 * (count - 1), cd_start_um=80_000, cd_end_um=80_200,
            p_value=2e-5, period_um=251_327.0, roller="idler", verdict="review", reason="repeats every 251.3 mm",
            cause="something sticks to the roller",
        )  # fmt: skip

    def profile(self, roll: str, md_um: int, *, mass_fraction: float = 1.0, at_ns: int | None = None) -> None:
        """Thickness across the web over a metre."""
        self.say(
            FilmProfile, at_ns=at_ns or self.at_ns, roll=roll, station="S05", camera="fins-1", md_start_um=md_um,
            md_end_um=md_um + 1_000_000, cd_start_um=0, cd_step_um=10_000, mass_fraction=(mass_fraction,) * 30,
            mass_uncertainty_fraction=0.012, bead_low_fraction=0.05, bead_high_fraction=0.06, bead_low_um=4_000,
            bead_high_um=4_500, edge_low_um=200, edge_high_um=299_700, verdict="pass", reason="", method="pixels",
        )  # fmt: skip

    def camera(self, state: str, reason: str = "") -> None:
        """What the film camera says of itself."""
        self.say(
            CameraChecked, station="S05", camera="fins-1", state=state, reason=reason, calibration="cal-7",
            measures=(Measure("lamp", "BF", 0.88, 0.01, 0.9, 1.1, "1"),),
        )  # fmt: skip

    def laminate(self, name: str, top: str, bottom: str, length_um: int) -> str:
        """Both films unwound from their outer ends, then stretched; returns the calendered roll."""
        for face, film in (("top", top), ("bottom", bottom)):
            segment = WebSegment(0, length_um, film, length_um, 0)
            self.say(
                WebMapped,
                station="S07",
                child=name,
                web="laminate",
                operation="lamination",
                face=face,
                segments=(segment,),
            )
        child = name + "c"
        stretched = round(length_um * (1 + STRETCH))
        self.say(
            WebMapped, station="S08", child=child, web="laminate", operation="calendering",
            segments=(WebSegment(0, stretched, name, 0, length_um),),
        )  # fmt: skip
        return child

    def sheets(self, roll: str, length_um: int, kind: str = "laminate") -> list[str]:
        """Sheets of both lanes, in the order in which they are cut."""
        made = []
        for start in range(0, length_um - PITCH_UM + 1, PITCH_UM):
            for lane in LANES:
                sheet = sheet_id(roll, lane, start)
                self.say(
                    SheetCut, station="S09", sheet=sheet, kind=kind, roll=roll, lane=lane, start_um=start,
                    end_um=start + SHEET_UM,
                )  # fmt: skip
                made.append(sheet)
        return made

    def stack(
        self,
        stack: str,
        laminates: Iterable[str],
        *,
        cathodes: str = "C",
        overhang_um: float = 1000.0,
        layers: int = 37,
    ) -> str:
        """A stack of laminates with a cathode between any two of them."""
        supply = iter(laminates)
        for layer in range(1, layers + 1):
            kind = "laminate" if layer % 2 else "cathode"
            sheet = next(supply) if layer % 2 else f"{cathodes}/{stack}/{layer}"
            self.say(LayerPlaced, station="S11", stack=stack, layer=layer, sheet=sheet, kind=kind)
            overhangs = tuple(Overhang(f"{c}{a}", overhang_um, 20.0) for c in range(1, 5) for a in "xy")
            self.say(
                LayerInspected, stack=stack, layer=layer, station="S12", kind=kind,
                overhangs=overhangs if kind == "cathode" else (), offset_x_um=0.0, offset_y_um=0.0, rotation_urad=0.0,
                verdict="pass", reason="", method="drawn",
            )  # fmt: skip
        return stack

    def move(self, unit: str, kind: str, station: str, *, outcome: str = "ok", visit: int = 1) -> None:
        """A stay at a station."""
        for phase in ("entered", "left"):
            self.say(
                UnitMoved, station=station, unit=unit, kind=kind, phase=phase, visit=visit,
                outcome=outcome if phase == "left" else "ok",
            )  # fmt: skip

    def cell(self, cell: str, stack: str, *, passed: bool | None = None) -> str:
        """A stack becomes a cell; with a verdict it is tested too."""
        for station in ("S13", "S14"):
            self.move(stack, "stack", station)
        self.say(CellMade, station="S15", cell=cell, stack=stack)
        for station in ("S15", "S16", "S17"):
            self.move(cell, "cell", station)
        if passed is not None:
            self.test(cell, passed)
        return cell

    def test(self, cell: str, passed: bool) -> None:
        """End-of-line verdict."""
        self.move(cell, "cell", "S18")
        self.say(
            CellTested, station="S18", cell=cell, passed=passed, grade="A" if passed else "F", capacity_ah=20.0,
            dcir_mohm=5.0, ocv_drop_mv_per_d=0.2, first_coulombic_fraction=0.89, insulation_mohm=1000.0,
            thickness_mm=4.95, mass_g=205.0,
        )  # fmt: skip


class Past(list[AnyEvent]):
    """Events that do not spell themselves out when a test is described."""

    def __repr__(self) -> str:
        return f"<{len(self)} events>"


@pytest.fixture(scope="session")
def line() -> LineModel:
    """The shipped line."""
    return load_line()


@pytest.fixture
def maker() -> LineMaker:
    """An empty line that events can be written for."""
    return LineMaker()


@pytest.fixture(scope="session")
def folded(line: LineModel) -> Callable[[Iterable[Event]], LineState]:
    """The state after events."""

    def fold(heard: Iterable[Event]) -> LineState:
        state = LineState(line)
        state.apply_all(heard)
        return state

    return fold


@pytest.fixture(scope="session")
def small_past() -> Past:
    """Two films, a laminate, two cells with verdicts, one open cell, one stack under way."""
    made = LineMaker(source="plc@past")
    length = 5_000_000
    made.film("FR-1", length)
    made.film("FR-2", length, inspected=[(0, 2_000_000), (2_500_000, length)])
    made.defect("d1", "FR-1", 1_000_000, 60_000)
    made.defect("d1", "FR-1", 1_000_000, 60_000, length_um=90_000, revision=2, kind="STR", size_um=400.0)
    made.defect("d2", "FR-2", 3_333_333, 200_000)
    made.strip("FR-2", 2_100_000, 2_200_000, 2, "uncalibrated")
    for revision, count in ((1, 3), (2, 5), (3, 7)):
        made.pattern("p1", "FR-1", 400_000, count=count, revision=revision)
    made.pattern("p2", "FR-2", 1_000_000)
    for md_um in (0, 1_000_000, 2_000_000):
        made.profile("FR-1", md_um, mass_fraction=1.0 + md_um / 1e8)
    made.profile("FR-1", 1_000_000, mass_fraction=1.03)
    made.camera("ok")
    made.camera("fault", "bright-field lamp at 88 %")
    child = made.laminate("LR-1", "FR-1", "FR-2", length)
    sheets = made.sheets(child, round(length * (1 + STRETCH)))
    for index in range(4):
        made.stack(f"ST-{index}", sheets[19 * index : 19 * index + 19], layers=37 if index < 3 else 9)
    made.cell("CE-0", "ST-0", passed=True)
    made.cell("CE-1", "ST-1", passed=False)
    made.cell("CE-2", "ST-2")
    return Past(made.events)

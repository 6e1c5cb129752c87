"""Questions of `line/queries.py` to answers, from the state, the genealogy and the book. Pure; trends are the historian's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from line import queries
from line.events import CellTested, FilmDefect, YieldForecast
from line.model import LineModel
from line.queries import (
    CellRow,
    CellsOfView,
    CellsView,
    CellView,
    DefectView,
    FaceOrigin,
    Freshness,
    LaneView,
    LayerView,
    LineView,
    LotYield,
    RollRow,
    RollsView,
    RollView,
    SheetSpan,
    Span,
    StationView,
    UnitOf,
    Unknown,
    YieldView,
)
from twin.book import YieldBook
from twin.forecasts import Forecaster
from twin.genealogy import Found, Genealogy
from twin.rolls import RollMap
from twin.state import LineState
from twin.units import ENTERED, steps_of

_LOTS_SHOWN = 60
OnLine = Callable[[int], Freshness]
"""Freshness of an answer behind which so many parts stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """What answers rest on."""

    line: LineModel
    state: LineState
    genealogy: Genealogy
    book: YieldBook
    forecaster: Forecaster


def answer(twin: Twin, question: queries.AnyQuestion, fresh: OnLine, said: YieldForecast | None) -> queries.AnyAnswer:
    """The answer to any question but a trend.

    Args:
        fresh: how fresh the answer is, by the number of parts behind it.
        said: the line's forecast as it was last said.
    """
    match question:
        case queries.AskLine():
            return _line(twin, fresh, said)
        case queries.AskRolls(web=web, limit=limit):
            return _rolls(twin, fresh, web, limit)
        case queries.AskRoll():
            return _roll(twin, fresh, question)
        case queries.AskCellsOf():
            return _cells_of(twin, fresh, question)
        case queries.AskCell(unit=unit):
            return _cell(twin, fresh, unit)
        case queries.AskCells(limit=limit):
            return _cells(twin, fresh, limit)
        case queries.AskYield():
            return _yield(twin, fresh, said)
        case queries.AskDefect(defect=defect):
            return _defect(twin, fresh, defect)
        case queries.AskTrend(tag=tag):
            return Unknown(fresh=fresh(0), detail=f"tag {tag!r}: no historian is there to ask")


def _line(twin: Twin, fresh: OnLine, said: YieldForecast | None) -> LineView:
    state, line = twin.state, twin.line
    at_station: dict[int, int] = {}
    cells_open = cells_tested = cells_passed = 0
    for unit in state.unit_names():
        test = state.test(unit)
        if test is not None:
            cells_tested += 1
            cells_passed += test.passed
        elif state.scrap(unit) is None:
            cells_open += 1
            station, _, phase = state.progress(unit)
            if station >= 0 and phase == ENTERED:
                at_station[station] = at_station.get(station, 0) + 1
    films = [roll for roll in state.rolls if state.web_of(roll) in {"film", ""}]
    running = [roll for roll in films if roll in state.started and roll not in state.ended]
    current = max(running, key=lambda roll: state.started[roll].at_ns, default="")
    product = state.recipe.product if state.recipe else line.product().name
    return LineView(
        fresh=fresh(state.revision),
        line=line.name,
        product=product,
        stations=tuple(
            StationView(
                code=row.code,
                title=row.title,
                state=state.station_states.get(row.code),
                abnormal_tags=_abnormal(twin, row.code),
                units_count=at_station.get(index, 0),
            )
            for index, row in enumerate(line.stations)
        ),
        current_roll=current,
        current_recipe=state.recipe.recipe if state.recipe else "",
        coated_um=sum(state.length_um(roll) for roll in films),
        inspected_um=sum(state.rolls[roll].inspected_along().total for roll in films),
        cells_open_count=cells_open,
        cells_tested_count=cells_tested,
        cells_passed_count=cells_passed,
        forecast=said,
        services=tuple(sorted(name for name, row in state.services.items() if row.state == "online")),
    )


def _abnormal(twin: Twin, station: str) -> tuple[str, ...]:
    found = []
    for tag in twin.line.station(station).tags:
        sample = twin.state.tags.get(f"{station}.{tag.name}")
        if sample is None or sample.value is None or sample.quality == "bad":
            continue
        below = tag.alarm_low is not None and sample.value < tag.alarm_low
        above = tag.alarm_high is not None and sample.value > tag.alarm_high
        if below or above:
            found.append(sample.tag)
    return tuple(found)


def _rolls(twin: Twin, fresh: OnLine, web: str, limit: int) -> RollsView:
    state = twin.state
    names = {*state.rolls, *state.webs}
    rows = []
    for name in names:
        if (state.web_of(name) or "film") != web:
            continue
        roll = state.rolls.get(name) or RollMap(name)
        length_um = state.length_um(name)
        defects = roll.defects.values()
        rows.append(
            RollRow(
                roll=name,
                started_ns=_started_ns(state, name),
                length_um=length_um,
                complete=name in state.ended,
                defects_count=len(defects),
                killers_count=sum(row.verdict == "reject" for row in defects),
                inspected_fraction=min(1.0, roll.inspected_along().covered(0, length_um) / length_um) if length_um else 0.0,
            )
        )
    rows.sort(key=lambda row: (row.started_ns, row.roll), reverse=True)
    return RollsView(fresh=fresh(len(rows)), rolls=tuple(rows[:limit]))


def _started_ns(state: LineState, roll: str) -> int:
    if roll in state.started:
        return state.started[roll].at_ns
    return min((record.at_ns for record in state.webs.get(roll, {}).values()), default=0)


def _roll(twin: Twin, fresh: OnLine, question: queries.AskRoll) -> queries.AnyAnswer:
    state, line, name = twin.state, twin.line, question.roll
    if name not in state.rolls and name not in state.webs and name not in state.sheets_of:
        return Unknown(fresh=fresh(0), detail=f"roll {name!r} is not known{_near(name, [*state.rolls, *state.webs])}")
    roll = state.rolls.get(name) or RollMap(name)
    web = state.web_of(name) or "film"
    row = line.web(web)
    length_um = state.length_um(name)
    start_um, end_um = max(0, question.from_um), min(question.to_um, max(length_um, 1))
    defects = list(roll.defects_within(start_um, end_um, -(2**62), 2**62))
    streaks = [streak for streak in roll.streaks() if streak.start_um < end_um and streak.end_um > start_um]
    sheets = [_sheet_span(twin, found) for found in twin.genealogy.sheets_of(name, start_um, end_um)]
    looked_at = web == "film"
    return RollView(
        fresh=fresh(len(defects) + len(sheets)),
        roll=name,
        web=web,
        length_um=length_um,
        width_um=row.coat_width_um,
        lanes=tuple(LaneView(number=lane.number, cd_low_um=lane.cd_low_um, cd_high_um=lane.cd_high_um) for lane in row.lanes),
        defects=tuple(defects[: question.limit]),
        uninspected=tuple(Span(*gap) for gap in roll.uninspected(start_um, end_um)) if looked_at else (),
        streaks=tuple(Span(streak.start_um, streak.end_um, streak.label) for streak in streaks),
        sheets=tuple(sheets[: question.limit]),
    )


def _sheet_span(twin: Twin, found: Found) -> SheetSpan:
    unit = twin.state.cell_name(found.stack) or found.stack
    return SheetSpan(found.origin.start_um, found.origin.end_um, _lane_number(twin, found), found.cut.sheet, unit, found.layer)


def _lane_number(twin: Twin, found: Found) -> int:
    """The lane of the roll asked for, which a flip on the way may have made another than the sheet's own."""
    web = twin.state.web_of(found.origin.roll) or "film"
    middle_um = (found.origin.cd_low_um + found.origin.cd_high_um) // 2
    return twin.line.lane_at(web, middle_um) or found.cut.lane


def _unit_of(twin: Twin, found: Found) -> UnitOf:
    state, stack = twin.state, found.stack
    verdict = twin.book.verdicts.get(stack)
    outcome = found.cut.outcome
    if verdict is not None:
        outcome = "passed" if verdict.passed else ("failed" if state.test(stack) else "scrap")
    chance = twin.book.probability(stack) if stack else None
    return UnitOf(
        sheet=found.cut.sheet,
        lane=_lane_number(twin, found),
        stack=stack,
        cell=state.cell_name(stack),
        layer=found.layer,
        face=found.origin.face,
        station=(state.station(stack) if stack else "") or "S09",
        outcome=outcome,
        p_pass=chance.p if chance else None,
    )


def _cells_of(twin: Twin, fresh: OnLine, question: queries.AskCellsOf) -> queries.AnyAnswer:
    state, name = twin.state, question.roll
    if name not in state.rolls and name not in state.webs and name not in state.sheets_of:
        return Unknown(fresh=fresh(0), detail=f"roll {name!r} is not known{_near(name, [*state.rolls, *state.webs])}")
    if question.to_um <= question.from_um:
        return Unknown(
            fresh=fresh(0), detail=f"from_um {question.from_um} to to_um {question.to_um} µm: expected from below to"
        )
    span = (name, question.from_um, question.to_um, question.lane)
    units = tuple(_unit_of(twin, found) for found in twin.genealogy.sheets_of(*span))
    return CellsOfView(
        fresh=fresh(len(units)),
        roll=name,
        from_um=question.from_um,
        to_um=question.to_um,
        units=units,
        complete=twin.genealogy.fully_cut(*span),
    )


def _cell(twin: Twin, fresh: OnLine, unit: str) -> queries.AnyAnswer:
    state = twin.state
    stack_name = state.stack_name(unit)
    stack = state.stacks.get(stack_name)
    if stack is None and unit not in state.cells:
        names = [*state.cells, *state.stacks]
        return Unknown(fresh=fresh(0), detail=f"cell or stack {unit!r} is not known{_near(unit, names)}")
    layers = []
    for layer in sorted({*stack.layers, *stack.looks} if stack else ()):
        placed = stack.layers.get(layer) if stack else None
        look = stack.looks.get(layer) if stack else None
        inspection = look.event if look else None
        layers.append(
            LayerView(
                layer=layer,
                kind=placed.kind if placed else (inspection.kind if inspection else ""),
                sheet=placed.sheet if placed else "",
                placed_ns=placed.at_ns if placed else 0,
                faces=_faces(twin, placed.sheet) if placed else (),
                inspection=inspection,
            )
        )
    features = twin.book.features.get(stack_name)
    return CellView(
        fresh=fresh(len(layers)),
        cell=state.cell_name(stack_name) or (unit if unit in state.cells else ""),
        stack=stack_name if stack else "",
        station=state.station(stack_name),
        layers=tuple(layers),
        steps=steps_of(state.names_of(stack_name), state.stations),
        prediction=twin.book.prediction(stack_name),
        test=state.test(stack_name),
        layers_inspected_count=features.layers_inspected_count if features else 0,
        film_inspected_fraction=features.film_inspected_fraction if features else 0.0,
    )


def _faces(twin: Twin, sheet: str) -> tuple[FaceOrigin, ...]:
    faces = []
    for origin in twin.genealogy.films(sheet):
        box = (origin.start_um, origin.end_um, origin.cd_low_um, origin.cd_high_um)
        roll = twin.state.rolls.get(origin.roll)
        faces.append(
            FaceOrigin(
                face=origin.face,
                roll=origin.roll,
                lane=twin.line.lane_at("film", (origin.cd_low_um + origin.cd_high_um) // 2),
                start_um=origin.start_um,
                end_um=origin.end_um,
                inspected_fraction=roll.inspected_fraction(*box) if roll else 0.0,
                defects=tuple(roll.defects_within(*box)) if roll else (),
            )
        )
    return tuple(faces)


def _cells(twin: Twin, fresh: OnLine, limit: int) -> CellsView:
    state = twin.state
    newest = sorted(((state.started_ns(unit), unit) for unit in state.unit_names()), reverse=True)[:limit]
    rows = []
    for started_ns, unit in newest:
        stack = state.stacks.get(unit)
        chance = twin.book.probability(unit)
        rows.append(
            CellRow(
                unit=state.cell_name(unit) or unit,
                stack=unit if stack else "",
                station=state.station(unit),
                started_ns=started_ns,
                layers_count=len(stack.layers) if stack else 0,
                p_pass=chance.p if chance else None,
                passed=_passed(state.test(unit), state.scrap(unit)),
            )
        )
    return CellsView(fresh=fresh(len(rows)), cells=tuple(rows))


def _passed(test: CellTested | None, scrap: tuple[int, int, str] | None) -> bool | None:
    if test is not None:
        return test.passed
    return False if scrap else None


def _yield(twin: Twin, fresh: OnLine, said: YieldForecast | None) -> YieldView:
    lots = [lot for lot in twin.book.lots().values() if lot.counted]
    scores = twin.state.scores.values()
    return YieldView(
        fresh=fresh(len(twin.book.features)),
        forecast=said,
        lots=tuple(
            LotYield(name=lot.name, ended_ns=lot.ended_ns, tested_count=lot.counted, passed_count=lot.passed)
            for lot in lots[-_LOTS_SHOWN:]
        ),
        losses=tuple(twin.forecaster.losses()),
        track=twin.forecaster.track(),
        scored_count=len(scores),
        inside_count=sum(row.inside for row in scores),
    )


def _defect(twin: Twin, fresh: OnLine, name: str) -> queries.AnyAnswer:
    found = next((roll.defects[name] for roll in twin.state.rolls.values() if name in roll.defects), None)
    if found is None:
        return Unknown(fresh=fresh(0), detail=f"defect {name!r} is not known")
    units = tuple(_unit_of(twin, row) for row in _sheets_with(twin, found))
    return DefectView(fresh=fresh(len(units)), defect=found, units=units)


def _sheets_with(twin: Twin, defect: FilmDefect) -> list[Found]:
    end_um = max(defect.md_end_um, defect.md_start_um + 1)
    cd_end_um = max(defect.cd_end_um, defect.cd_start_um + 1)
    return [
        row
        for row in twin.genealogy.sheets_of(defect.roll, defect.md_start_um, end_um)
        if row.origin.cd_low_um < cd_end_um and row.origin.cd_high_um > defect.cd_start_um
    ]


def _near(name: str, known: list[str]) -> str:
    same = [other for other in known if other[:9] == name[:9]][:3]
    return f"; known are {', '.join(same or known[-3:])}" if known else "; nothing was heard yet"

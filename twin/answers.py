"""Questions of `line/queries.py` to answers, from the state, the genealogy and the book.

Pure; trends are the historian's.
"""

from __future__ import annotations

from line import queries
from line.events import YieldForecast
from line.queries import (
    LaneView,
    LineView,
    LotYield,
    RollRow,
    RollsView,
    RollView,
    SheetSpan,
    Span,
    StationView,
    Unknown,
    YieldView,
)
from twin.answers_units import cell_view, cells_of_view, cells_view, defect_view, lane_number
from twin.genealogy import Found
from twin.rolls import RollMap
from twin.state import LineState
from twin.twin import OnLine, Twin, near
from twin.units import ENTERED
from twin.verdicts import Judge

_LOTS_SHOWN = 60
_PATTERNS_SHOWN = 20
"""Patterns of the current roll that the view of the line holds; the roll's own has all."""
_AT_REST = frozenset({"Idle", "Stopped", "Aborted", "Complete", "Suspended"})


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
            return cells_of_view(twin, fresh, question)
        case queries.AskCell(unit=unit):
            return cell_view(twin, fresh, unit)
        case queries.AskCells(limit=limit):
            return cells_view(twin, fresh, limit)
        case queries.AskYield():
            return _yield(twin, fresh, said)
        case queries.AskDefect(defect=defect):
            return defect_view(twin, fresh, defect)
        case queries.AskTrend(tag=tag):
            return Unknown(fresh=fresh(0), detail=f"tag {tag!r}: no historian is there to ask")


def _line(twin: Twin, fresh: OnLine, said: YieldForecast | None) -> LineView:
    state, line = twin.state, twin.line
    at_station: dict[int, int] = {}
    cells_open = cells_tested = cells_passed = 0
    judge = Judge(line, state)
    for unit in state.unit_names():
        verdict = judge.verdict(unit)
        if verdict is not None:
            # A cell lost in formation or ageing never meets the tester, and has failed all the same.
            cells_tested += verdict.electrical
            cells_passed += verdict.passed
        else:
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
        current_recipe=state.recipe.recipe if state.recipe else (state.started[current].recipe if current else ""),
        coated_um=sum(state.length_um(roll) for roll in films),
        inspected_um=sum(state.rolls[roll].inspected_along().total for roll in films),
        cells_open_count=cells_open,
        cells_tested_count=cells_tested,
        cells_passed_count=cells_passed,
        forecast=said,
        services=tuple(sorted(name for name, row in state.services.items() if row.state == "online")),
        cameras=tuple(row for _, row in sorted(state.cameras.items())),
        patterns=tuple(state.rolls[current].patterns_within(0, 2**62)[:_PATTERNS_SHOWN]) if current else (),
    )


def _abnormal(twin: Twin, station: str) -> tuple[str, ...]:
    """Tags outside their alarm limits; a station at rest has none, since its limits are for running (ISA-18.2)."""
    state = twin.state.station_states.get(station)
    if state is not None and state.state in _AT_REST:
        return ()
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
                inspected_fraction=min(1.0, roll.inspected_along().covered(0, length_um) / length_um)
                if length_um
                else 0.0,
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
        return Unknown(fresh=fresh(0), detail=f"roll {name!r} is not known{near(name, [*state.rolls, *state.webs])}")
    roll = state.rolls.get(name) or RollMap(name)
    web = state.web_of(name) or "film"
    row = line.web(web)
    length_um = state.length_um(name)
    start_um, end_um = max(0, question.from_um), min(question.to_um, max(length_um, 1))
    defects = list(roll.defects_within(start_um, end_um, -(2**62), 2**62))
    streaks = [streak for streak in roll.streaks() if streak.start_um < end_um and streak.end_um > start_um]
    sheets = [_sheet_span(twin, found) for found in twin.genealogy.sheets_of(name, start_um, end_um)]
    looked_at = any(camera.web == web for camera in line.film_cameras())
    return RollView(
        fresh=fresh(len(defects) + len(sheets)),
        roll=name,
        web=web,
        length_um=length_um,
        width_um=row.coat_width_um,
        lanes=tuple(
            LaneView(number=lane.number, cd_low_um=lane.cd_low_um, cd_high_um=lane.cd_high_um) for lane in row.lanes
        ),
        defects=tuple(defects[: question.limit]),
        uninspected=tuple(Span(*gap) for gap in roll.uninspected(start_um, end_um)) if looked_at else (),
        streaks=tuple(Span(streak.start_um, streak.end_um, streak.label) for streak in streaks),
        sheets=tuple(sheets[: question.limit]),
        patterns=tuple(roll.patterns_within(start_um, end_um)),
        profiles=tuple(roll.profiles_within(start_um, end_um)),
    )


def _sheet_span(twin: Twin, found: Found) -> SheetSpan:
    unit = twin.state.cell_name(found.stack) or found.stack
    return SheetSpan(
        found.origin.start_um, found.origin.end_um, lane_number(twin, found), found.cut.sheet, unit, found.layer
    )


def _yield(twin: Twin, fresh: OnLine, said: YieldForecast | None) -> YieldView:
    lots = [lot for lot in twin.book.lots().values() if lot.finished]
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

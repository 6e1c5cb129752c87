"""Answers about stacks and cells: what they are made of, what is in them, where they are."""

from __future__ import annotations

from line import queries
from line.events import CellTested, FilmDefect
from line.queries import (
    CellRow,
    CellsOfView,
    CellsView,
    CellView,
    DefectView,
    FaceOrigin,
    LayerView,
    UnitOf,
    Unknown,
)
from line.unseen import unseen_classes
from twin.genealogy import Found
from twin.twin import OnLine, Twin, near
from twin.units import steps_of


def cells_of_view(twin: Twin, fresh: OnLine, question: queries.AskCellsOf) -> queries.AnyAnswer:
    """Sheets, stacks and cells that hold a piece of a roll."""
    state, name = twin.state, question.roll
    if name not in state.rolls and name not in state.webs and name not in state.sheets_of:
        return Unknown(fresh=fresh(0), detail=f"roll {name!r} is not known{near(name, [*state.rolls, *state.webs])}")
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


def cell_view(twin: Twin, fresh: OnLine, unit: str) -> queries.AnyAnswer:
    """Everything about one stack or cell."""
    state = twin.state
    stack_name = state.stack_name(unit)
    stack = state.stacks.get(stack_name)
    if stack is None and unit not in state.cells:
        names = [*state.cells, *state.stacks]
        return Unknown(fresh=fresh(0), detail=f"cell or stack {unit!r} is not known{near(unit, names)}")
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
        classes_uninspected=unseen_classes(twin.line),
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


def cells_view(twin: Twin, fresh: OnLine, limit: int) -> CellsView:
    """The newest stacks and cells."""
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


def defect_view(twin: Twin, fresh: OnLine, name: str) -> queries.AnyAnswer:
    """One defect and the cells it is in."""
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


def _unit_of(twin: Twin, found: Found) -> UnitOf:
    state, stack = twin.state, found.stack
    verdict = twin.book.verdicts.get(stack)
    outcome = found.cut.outcome
    if verdict is not None:
        outcome = "passed" if verdict.passed else ("failed" if state.test(stack) else "scrap")
    chance = twin.book.probability(stack) if stack else None
    return UnitOf(
        sheet=found.cut.sheet,
        lane=lane_number(twin, found),
        stack=stack,
        cell=state.cell_name(stack),
        layer=found.layer,
        face=found.origin.face,
        station=(state.station(stack) if stack else "") or "S09",
        outcome=outcome,
        p_pass=chance.p if chance else None,
    )


def lane_number(twin: Twin, found: Found) -> int:
    """The lane of the roll asked for, which a flip on the way may have made another than the sheet's own."""
    web = twin.state.web_of(found.origin.roll) or "film"
    middle_um = (found.origin.cd_low_um + found.origin.cd_high_um) // 2
    return twin.line.lane_at(web, middle_um) or found.cut.lane

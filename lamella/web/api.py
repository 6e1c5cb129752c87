"""The REST interface, `/api/v1`, typed by the structs of `line/queries.py` in their outside form."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from lamella.web.pictures import Pictures
from lamella.web.shapes import FaultOrder, LineNames, Obeyed, SpeedOrder
from lamella.web.twin import Twin
from line.bus import Bus
from line.commands import Done, InjectFault, PlantCommand, SetSpeed
from line.errors import LinkError, MessageError
from line.ids import event_id
from line.queries import (
    AskCell,
    AskCells,
    AskCellsOf,
    AskDefect,
    AskLine,
    AskRoll,
    AskRolls,
    AskTrend,
    AskYield,
    CellsOfView,
    CellsView,
    CellView,
    DefectView,
    LineView,
    RollsView,
    RollView,
    TrendView,
    YieldView,
)
from line.topics import Topics

ORDER_DEADLINE_S = 5.0
_PERSON = "anonymous"
"""Until people log in, whoever reaches the console on loopback is this person."""

_FromUm = Annotated[int, QueryParameter(ge=0, name="from_um", description="start along the roll, as coated [µm]")]
_ToUm = Annotated[int, QueryParameter(ge=0, name="to_um", description="end along the roll, as coated [µm]")]


@get("/api/v1/line", tags=["line"])
async def line(twin: NamedDependency[Twin]) -> LineView:
    """The line as a whole: stations, current roll, counts, forecast."""
    return await twin.ask(AskLine(), LineView)


@get("/api/v1/names", sync_to_thread=False, tags=["line"])
def names(line_names: NamedDependency[LineNames]) -> LineNames:
    """Stations, tags, defect classes and limits of this line, from its line model."""
    return line_names


@get("/api/v1/rolls", tags=["rolls"])
async def rolls(
    twin: NamedDependency[Twin],
    web: Annotated[str, QueryParameter(description="film, anode, laminate or cathode")] = "film",
    limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 200,
) -> RollsView:
    """All rolls of a web, newest first."""
    return await twin.ask(AskRolls(web=web, limit=limit), RollsView)


@get("/api/v1/rolls/{roll:str}", tags=["rolls"])
async def roll(
    twin: NamedDependency[Twin],
    roll: FromPath[str],
    from_um: _FromUm = 0,
    to_um: _ToUm = 2**53,
    limit: Annotated[int, QueryParameter(ge=1, le=100_000, description="defects at most")] = 20_000,
) -> RollView:
    """The map of one roll, or of a part of it."""
    return await twin.ask(AskRoll(roll=roll, from_um=from_um, to_um=to_um, limit=limit), RollView)


@get("/api/v1/rolls/{roll:str}/cells", tags=["rolls"])
async def roll_cells(
    twin: NamedDependency[Twin],
    roll: FromPath[str],
    from_um: _FromUm,
    to_um: _ToUm,
    lane: Annotated[int, QueryParameter(ge=0, description="0 is every lane")] = 0,
) -> CellsOfView:
    """Which sheets, stacks and cells hold a piece of a roll, and where they are now."""
    return await twin.ask(AskCellsOf(roll=roll, from_um=from_um, to_um=to_um, lane=lane), CellsOfView)


@get("/api/v1/cells", tags=["cells"])
async def cells(twin: NamedDependency[Twin], limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100) -> CellsView:
    """The newest stacks and cells."""
    return await twin.ask(AskCells(limit=limit), CellsView)


@get("/api/v1/cells/{unit:str}", tags=["cells"])
async def cell(twin: NamedDependency[Twin], unit: FromPath[str]) -> CellView:
    """Everything about one cell or stack: where each layer came from, what was found, what is expected."""
    return await twin.ask(AskCell(unit=unit), CellView)


@get("/api/v1/yield", tags=["yield"])
async def forecast(twin: NamedDependency[Twin]) -> YieldView:
    """Forecast of the open cells with its interval, losses by cause, lots, and the forecast's own record."""
    return await twin.ask(AskYield(), YieldView)


@get("/api/v1/defects/{defect:path}", tags=["defects"])
async def defect(twin: NamedDependency[Twin], defect: FromPath[str]) -> DefectView:
    """One defect and the cells it is in."""
    # A defect is named after its roll, with slashes, which a server unquotes before it looks for the handler.
    return await twin.ask(AskDefect(defect=defect.removeprefix("/")), DefectView)


@get("/api/v1/trends/{tag:str}", tags=["trends"])
async def trend(
    twin: NamedDependency[Twin],
    tag: FromPath[str],
    from_ns: Annotated[int, QueryParameter(ge=0, name="from_ns", description="plant time [ns since 1970, UTC]")],
    to_ns: Annotated[int, QueryParameter(ge=0, name="to_ns", description="plant time [ns since 1970, UTC]")],
    points: Annotated[int, QueryParameter(ge=2, le=20_000, description="points at most")] = 1000,
) -> TrendView:
    """A tag's history; minimum and maximum of each bin are kept."""
    return await twin.ask(AskTrend(tag=tag, from_ns=from_ns, to_ns=to_ns, points_count=points), TrendView)


@get("/api/v1/pictures/{sha256:str}", tags=["defects"], media_type="image/png")
async def picture(pictures: NamedDependency[Pictures], sha256: FromPath[str]) -> Response[bytes]:
    """An evidence picture, PNG, by its digest."""
    png = await pictures.png(sha256)
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=31536000, immutable"})


@post("/api/v1/plant/speed", status_code=200, tags=["plant"])
async def plant_speed(bus: NamedDependency[Bus], topics: NamedDependency[Topics], data: JSONBody[SpeedOrder]) -> Obeyed:
    """Set the speed of the simulated line."""
    identity, expires_ns = _once()
    order = SetSpeed(id=identity, person=_PERSON, expires_ns=expires_ns, speed=data.speed)
    return await _obeyed(bus, topics, order)


@post("/api/v1/plant/faults", status_code=200, tags=["plant"])
async def plant_faults(
    bus: NamedDependency[Bus], topics: NamedDependency[Topics], data: JSONBody[FaultOrder]
) -> Obeyed:
    """Start a fault scenario in the simulated line."""
    identity, expires_ns = _once()
    order = InjectFault(
        id=identity, person=_PERSON, expires_ns=expires_ns, scenario=data.scenario, strength=data.strength
    )
    return await _obeyed(bus, topics, order)


async def _obeyed(bus: Bus, topics: Topics, order: PlantCommand) -> Obeyed:
    if not bus.connected.is_set():
        raise LinkError(f"the broker is away ({bus.refusal or 'not connected'}), so the order was not given")
    topic = topics.command("plant", "do")
    payload = await bus.ask(topic, msgspec.json.encode(order), deadline_s=ORDER_DEADLINE_S)
    try:
        done = msgspec.json.decode(payload, type=Done)
    except msgspec.DecodeError as error:
        raise MessageError(f"the plant's reply cannot be read: {error}") from error
    return Obeyed(ok=done.ok, detail=done.detail)


def _once() -> tuple[str, int]:
    """A new id, and when an order that is given now expires [wall ns]."""
    now_ns = time.time_ns()
    return event_id(now_ns), now_ns + round(ORDER_DEADLINE_S * 1e9)


API_ROUTES: list[HTTPRouteHandler] = [
    line, names, rolls, roll, roll_cells, cells, cell, forecast, defect, trend, picture, plant_speed, plant_faults,
]  # fmt: skip

"""Which events a person wants to read about, and which channels an event makes worth asking about again. Pure."""

from __future__ import annotations

from urllib.parse import quote_plus

from lamella.web.outside import Json, JsonObject
from line import events
from line.events import AnyEvent, CameraChecked, FilmPattern, LinkState, ServiceState, StationState
from line.ids import iso

_AROUND_UM = 500_000
"""What a link to a stretch of a roll shows on either side of it."""


def notice_of(event: AnyEvent, known: str | None) -> JsonObject | None:
    """What the list of events says, or None when the event is not worth a line.

    The text is made in the browser from `what` and `with`; `page` is the page that shows more.

    Args:
        known: the state that the thing of a state event was in before; None when nothing was known.
    """
    match event:
        case StationState():
            if known is None or known == event.state:
                return None
            return _notice(event, "station", station=event.station, state=event.state, reason=event.stop_reason)
        case LinkState():
            if known is None or known == event.state:
                return None
            return _notice(event, "link", link=event.link, state=event.state, detail=event.detail)
        case ServiceState():
            if known is None or known == event.state:
                return None
            return _notice(event, "service", service=event.service, state=event.state)
        case events.FilmDefect(verdict="reject", revision=1):
            page = f"/rolls/{event.roll}?defect={quote_plus(event.defect)}"
            where = {"md_m": event.md_start_um / 1e6, "lane": event.lane, "size_um": event.size_um}
            return _notice(event, "killer", page=page, roll=event.roll, kind=event.kind, **where)
        case FilmPattern(revision=1) if event.verdict != "pass":
            window = (
                f"from={max(0, event.md_start_um - _AROUND_UM) / 1e6:.3f}&to={(event.md_end_um + _AROUND_UM) / 1e6:.3f}"
            )
            page = f"/rolls/{event.roll}?{window}&pattern={quote_plus(event.pattern)}"
            where = {"md_m": event.md_start_um / 1e6, "count": event.defects_count}
            return _notice(event, event.form, page=page, roll=event.roll, kind=event.kind, cause=event.cause, **where)
        case CameraChecked():
            if known is None or known == event.state:
                return None
            return _notice(event, "camera", camera=event.camera, state=event.state, reason=event.reason)
        case events.RollStarted():
            return _notice(event, "roll_started", page=f"/rolls/{event.roll}", roll=event.roll, web=event.web)
        case events.RollEnded():
            length_m = event.length_um / 1e6
            return _notice(event, "roll_ended", page=f"/rolls/{event.roll}", roll=event.roll, length_m=length_m)
        case events.CellMade():
            return _notice(event, "cell_made", page=f"/cells/{event.cell}", cell=event.cell, stack=event.stack)
        case events.CellTested():
            what = "cell_passed" if event.passed else "cell_failed"
            codes = ", ".join(event.fail_codes)
            return _notice(event, what, page=f"/cells/{event.cell}", cell=event.cell, grade=event.grade, codes=codes)
        case events.ForecastScored():
            what = "forecast_inside" if event.inside else "forecast_outside"
            counts = {"cells": event.cells_count, "passed": event.passed_count}
            return _notice(event, what, page="/yield", forecast=event.forecast, **counts)
        case _:
            return None


def touched(event: AnyEvent) -> tuple[str, ...]:
    """Names of the channels whose value an event may have changed."""
    match event:
        case FilmPattern():
            return ("line", f"roll:{event.roll}")
        case CameraChecked():
            return ("line",)
        case events.RollStarted() | events.RollEnded():
            return ("line", "rolls", f"roll:{event.roll}")
        case events.LayerPlaced():
            return ("cells", f"cell:{event.stack}")
        case events.CellMade():
            return ("cells", f"cell:{event.cell}", f"cell:{event.stack}")
        case events.CellTested():
            return ("cells", "yield", f"cell:{event.cell}")
        case events.CellPredicted():
            return (f"cell:{event.unit}",)
        case events.YieldForecast() | events.ForecastScored():
            return ("yield",)
        case _:
            return ()


def _notice(event: AnyEvent, what: str, *, page: str = "", **values: Json) -> JsonObject:
    return {"id": event.id, "at": iso(event.at_ns), "what": what, "with": values, "page": page}

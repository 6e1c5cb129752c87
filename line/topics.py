"""Where a message lives on MQTT: `<root>/v1/<enterprise>/<site>/<area>/<line>/<cell>/<category>/<name>`.

The cell is the station where a thing happens, or the service that says it. State topics are retained, events not.
Nothing that varies per part stands in a topic; it stands in the payload.
"""

from __future__ import annotations

import re

from msgspec import Struct

from line import events
from line.model import LineModel

_CATEGORY: dict[type[events.Event], str] = {
    events.TagBatch: "data",
    events.StationState: "state",
    events.LinkState: "state",
    events.ServiceState: "state",
    events.Heartbeat: "state",
    events.FilmDefect: "result",
    events.StripInspected: "result",
    events.FilmPattern: "result",
    events.FilmProfile: "result",
    events.LayerInspected: "result",
    events.CellTested: "result",
    events.CellPredicted: "result",
    events.YieldForecast: "result",
}
"""Every class that is not listed is an `event`."""

CATEGORIES = ("data", "event", "result", "state")
RETAINED = frozenset({"state"})


class Topics(Struct, frozen=True, kw_only=True):
    """The topics of one line."""

    base: str
    """Everything before the cell."""

    def of(self, event: events.Event) -> str:
        """The topic of an event."""
        return f"{self.base}/{_cell(event)}/{category(type(event))}/{events.tag_of(type(event))}"

    def every(self, kind: type[events.Event]) -> str:
        """The filter for all events of a class."""
        return f"{self.base}/+/{category(kind)}/{events.tag_of(kind)}"

    def all_events(self) -> list[str]:
        """The filters for all events of the line; commands and questions are none."""
        return [f"{self.base}/+/{name}/+" for name in CATEGORIES]

    def command(self, role: str, name: str) -> str:
        """Where commands to a role go."""
        return f"{self.base}/{role}/cmd/{name}"

    def question(self, role: str, name: str) -> str:
        """Where questions to a role go."""
        return f"{self.base}/{role}/ask/{name}"


def topics_of(line: LineModel, root: str) -> Topics:
    """The topics of a line below a root."""
    place = line.identity
    levels = (place.enterprise, place.site, place.area, place.line)
    return Topics(base="/".join((root, "v1", *map(_slug, levels))))


def category(kind: type[events.Event]) -> str:
    """`state`, `data`, `event` or `result`."""
    return _CATEGORY.get(kind, "event")


def _cell(event: events.Event) -> str:
    match event:
        case events.ServiceState(service=service, role=role):
            return f"{_slug(service)}-{role}"
        case events.Heartbeat(service=service):
            return _slug(service)
        case events.LinkState(link=link):
            return _slug(link)
        case events.TagGap(tag=tag):
            return _slug(tag.partition(".")[0])
        case _:
            return _slug(getattr(event, "station", "") or "line")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-") or "line"

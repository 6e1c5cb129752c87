"""What channels there are, what the twin is asked for each, and which events the console hears at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from line import events
from line.errors import NotFoundError
from line.queries import (
    Answer,
    AskCell,
    AskCells,
    AskLine,
    AskRoll,
    AskRolls,
    AskYield,
    CellsView,
    CellView,
    LineView,
    Question,
    RollsView,
    RollView,
    YieldView,
)

HEARD = (
    events.StationState, events.LinkState, events.ServiceState, events.Heartbeat,
    events.FilmDefect, events.FilmPattern, events.CameraChecked,
    events.RollStarted, events.RollEnded, events.LayerPlaced, events.CellMade, events.CellTested,
    events.CellPredicted, events.YieldForecast, events.ForecastScored,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a kind of channel is filled."""

    question: Callable[[str], Question]
    answer: type[Answer]
    lists: dict[str, str]
    period_s: float


KINDS = {
    "line": Kind(question=lambda _: AskLine(), answer=LineView, lists={"stations": "code"}, period_s=1.0),
    "rolls": Kind(question=lambda _: AskRolls(), answer=RollsView, lists={"rolls": "roll"}, period_s=3.0),
    "roll": Kind(
        question=lambda name: AskRoll(roll=name),
        answer=RollView,
        lists={"defects": "defect", "profiles": "id"},
        period_s=3.0,
    ),
    "cells": Kind(question=lambda _: AskCells(limit=500), answer=CellsView, lists={"cells": "unit"}, period_s=3.0),
    "cell": Kind(question=lambda name: AskCell(unit=name), answer=CellView, lists={}, period_s=3.0),
    "yield": Kind(question=lambda _: AskYield(), answer=YieldView, lists={}, period_s=5.0),
}
_NAMED = frozenset({"roll", "cell"})


def kind_of(name: str) -> tuple[Kind, str]:
    """How a channel of a name, `line` or `roll:<id>`, is filled, and the id.

    Raises:
        NotFoundError: there is no such channel; names those that are.
    """
    kind, _, thing = name.partition(":")
    if kind not in KINDS or (kind in _NAMED) != bool(thing):
        known = ", ".join(f"{each}:<id>" if each in _NAMED else each for each in ("events", *KINDS))
        raise NotFoundError(f"channel {name!r} is not known; known: {known}")
    return KINDS[kind], thing

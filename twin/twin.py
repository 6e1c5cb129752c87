"""The pure twin as one value: what every answer rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from line.model import LineModel
from line.queries import Freshness
from twin.book import YieldBook
from twin.forecasts import Forecaster
from twin.genealogy import Genealogy
from twin.state import LineState

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


def near(name: str, known: list[str]) -> str:
    """A hint at names that are known, for an answer that one is not."""
    same = [other for other in known if other[:9] == name[:9]][:3]
    return f"; known are {', '.join(same or known[-3:])}" if known else "; nothing was heard yet"

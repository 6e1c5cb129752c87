"""What is usual on a camera's film, kept over a restart: rates are learnt over days, and all else is of one roll.

When a roll begins, what is known of rates is written to a file, whole or not at all. What has happened on the roll
since stands in the journal, so that the two together give the pattern finder back as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from line.events import FilmDefect, StripInspected, decoded, tag_of
from line.journal import last_position, read_entries
from vision.rates import RateWatch

FilmEvent: TypeAlias = FilmDefect | StripInspected

TAIL_COUNT = 50_000
"""Latest entries of the journal that are read again, in a few seconds at most: a roll of 100 m in strips of 5 mm is
20,000 and what lies on it. Of a longer roll the beginning is forgotten."""


class RateMemory(Struct, frozen=True, kw_only=True):
    """Rates of all classes on one camera as they were known when a roll began."""

    schema_version: Annotated[int, Meta(ge=1, le=1)] = 1
    roll: str
    strip: str
    """Event of the strip with which it began."""
    area_m2: float
    """Film inspected before it."""
    expected_per_m2: dict[str, float]
    """By the line model and the curves of the model that looked: under others what was learnt does not hold."""
    rates: dict[str, RateWatch]


def read_rates(state_dir: Path, camera: str) -> RateMemory | None:
    """What was kept for a camera; None where there is nothing, or nothing that can be read: then it is learnt anew."""
    try:
        return msgspec.json.decode(_file(state_dir, camera).read_bytes(), type=RateMemory)
    except (OSError, msgspec.DecodeError):
        return None


def write_rates(state_dir: Path, camera: str, memory: RateMemory) -> None:
    """Keep it, whole or not at all."""
    file = _file(state_dir, camera)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(memory))
    temporary.replace(file)


def film_tail(journal: Path) -> list[FilmEvent]:
    """What was lately said of film, by ourselves and by others, in the order in which it became durable."""
    return list(_film_tail(journal))


def since(memory: RateMemory, events: Sequence[FilmEvent]) -> Sequence[FilmEvent]:
    """Events of a camera since the roll of its memory began: all, or as far back as they reach."""
    begins = next((place for place, event in enumerate(events) if event.id == memory.strip), None)
    if begins is None:
        return [event for event in events if event.roll == memory.roll]
    while begins and isinstance(events[begins - 1], FilmDefect):
        # Defects that others report come before their strip.
        begins -= 1
    return events[begins:]


def _film_tail(journal: Path) -> Iterator[FilmEvent]:
    names = (f"/{tag_of(FilmDefect)}", f"/{tag_of(StripInspected)}")
    for entry in read_entries(journal, max(0, last_position(journal) - TAIL_COUNT)):
        if entry.topic.endswith(names):
            event = decoded(entry.payload)
            assert isinstance(event, FilmDefect | StripInspected)
            yield event


def _file(state_dir: Path, camera: str) -> Path:
    return state_dir / "vision" / f"{camera}-rates.json"

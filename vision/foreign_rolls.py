"""Rolls that another maker's list names and the line has never spoken of.

What lies on them is kept under the name that the list gives: it is on no roll that becomes cells, until the line
says that it began, or made, a roll of that name. A list may well be older than what we heard, or misspell a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from line.events import AnyEvent, RollStarted, WebMapped

_NAMED_COUNT = 5
"""In one message; of more rolls only how many there are."""


class LineRolls:
    """Names of the rolls that the line has begun, made of others, or put into others.

    Args:
        events: heard before.
    """

    def __init__(self, events: Iterable[AnyEvent] = ()) -> None:
        self._names: set[str] = set()
        for event in events:
            self.heard(event)

    def heard(self, event: AnyEvent) -> None:
        """Take in what the line says of a roll."""
        match event:
            case RollStarted():
                self._names.add(event.roll)
            case WebMapped():
                self._names |= {event.child, *(segment.parent for segment in event.segments)}

    def unknown(self, listed: Iterable[str]) -> list[str]:
        """Those of the listed rolls that the line has not spoken of, in order of their names."""
        return sorted(set(listed) - self._names)

    def meant(self, roll: str) -> str:
        """`'FR-7' (FR-0007?)`: a name as it is listed, and one of the line's that is nearly the same."""
        near = get_close_matches(roll, self._names, 1, 0.75)
        return f"{roll!r} ({near[0]}?)" if near else repr(roll)

    def in_words(self, rolls: list[str]) -> str:
        """That nobody began these rolls, and what follows; empty when there is none."""
        if not rolls:
            return ""
        more = f" and {len(rolls) - _NAMED_COUNT} more" if len(rolls) > _NAMED_COUNT else ""
        names = ", ".join(self.meant(roll) for roll in rolls[:_NAMED_COUNT])
        return (
            f"the line has not said that it began roll {names}{more}: what is listed there is kept under that name and "
            "reaches no cell until it does; mend the name in the lists or in the mapping if it is another"
        )

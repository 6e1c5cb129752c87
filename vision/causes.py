"""What usually makes a class of defect, in the words of the line model, and which of its tags drive it."""

from __future__ import annotations

import re
from collections.abc import Collection

from line.model import LineModel

_SOURCES = re.compile(r"\s*\([ABCD] S\d+[^)]*\)")
"""Marks of the line model's own sources: `(A S16)`."""
_MOST_TAGS = 3


def usual_cause(line: LineModel, kind: str, others: Collection[str] = ()) -> str:
    """What usually makes a class, and the tags to look at, strongest first.

    Args:
        line: the line model.
        kind: class code; any other name has no cause that is known.
        others: classes that are up at the same time; what drives all of them is likelier than what drives one.
    """
    row = next((row for row in line.defects if row.code == kind), None)
    if row is None:
        return "not known: like no class of the line model; look at its pictures"
    tags = _shared_drivers(line, [kind, *(code for code in others if code != kind)]) or _shared_drivers(line, [kind])
    words = _SOURCES.sub("", row.cause)
    return f"{words}; driven by {', '.join(tags)}" if tags else words


def _shared_drivers(line: LineModel, kinds: Collection[str]) -> list[str]:
    """Tags and conditions before the camera that drive every one of these classes."""
    strength: dict[str, float] = {}
    for number, kind in enumerate(kinds):
        betas = {row.tag: row.beta for row in line.drivers if row.defect == kind}
        known = strength if number else dict.fromkeys(betas, 0.0)
        strength = {tag: known[tag] + beta for tag, beta in betas.items() if tag in known}
    inline = [tag for tag in strength if line.web_position_um(tag) is not None]
    return sorted(inline, key=lambda tag: (-strength[tag], tag))[:_MOST_TAGS]

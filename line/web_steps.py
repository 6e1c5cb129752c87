"""What can be done to a web, as straight pieces of the child and where each came from in its parent.

These are the segments of `line.events.WebMapped`, for who does the operation and tells the others; `line.web.WebMap`
follows them. A web has its positions from `start_um` (0, unless it was re-synchronised) over `length_um`.
"""

from __future__ import annotations

from collections.abc import Sequence

from line.errors import WebMapError
from line.events import WebSegment

MOST_STRETCH = 0.2
"""Webs tear long before; more is a percent passed as a fraction."""

Steps = tuple[WebSegment, ...]


def rewind(parent: str, length_um: int, *, start_um: int = 0) -> Steps:
    """Wound from one roll to another, x' = L - x: the new zero is at the new outer end."""
    return (WebSegment(0, length_um, parent, start_um + length_um, start_um),)


def flip(parent: str, length_um: int, width_um: int, *, start_um: int = 0) -> Steps:
    """The winding side changed, y' = W - y."""
    end_um = start_um + length_um
    return (WebSegment(start_um, end_um, parent, start_um, end_um, True, width_um),)


def stretch(parent: str, length_um: int, fraction: float, *, start_um: int = 0) -> Steps:
    """Lengthened by lamination or calendering, x' = x (1 + e)."""
    if not -MOST_STRETCH <= fraction <= MOST_STRETCH:
        raise WebMapError(f"stretch of {fraction}: expected a fraction from -{MOST_STRETCH} to {MOST_STRETCH}")
    end_um = start_um + length_um
    ends_um = (start_um + round(start_um * fraction), end_um + round(end_um * fraction))
    return (WebSegment(*ends_um, parent, start_um, end_um),)


def cut_out(parent: str, length_um: int, low_um: int, high_um: int, *, start_um: int = 0) -> Steps:
    """The section from `low_um` to `high_um` was taken out and the ends joined."""
    end_um = start_um + length_um
    if not start_um <= low_um < high_um <= end_um or high_um - low_um == length_um:
        raise WebMapError(
            f"cut-out from {low_um} to {high_um} µm: expected a part of the web, which is {start_um} to {end_um} µm"
        )
    shorter_um = end_um - (high_um - low_um)
    pieces = (
        WebSegment(start_um, low_um, parent, start_um, low_um),
        WebSegment(low_um, shorter_um, parent, high_um, end_um),
    )
    return tuple(piece for piece in pieces if piece.child_end_um > piece.child_start_um)


def section(parent: str, low_um: int, high_um: int) -> Steps:
    """What lies from `low_um` to `high_um` was wound onto a roll of its own."""
    return (WebSegment(0, high_um - low_um, parent, low_um, high_um),)


def slit(parent: str, length_um: int, cd_low_um: int, *, start_um: int = 0) -> Steps:
    """The lane that begins at `cd_low_um` was slit off; its CD counts from its own edge."""
    end_um = start_um + length_um
    return (WebSegment(start_um, end_um, parent, start_um, end_um, False, -cd_low_um),)


def splice(parts: Sequence[tuple[str, int, int]]) -> Steps:
    """Webs joined end to end; each part is a parent with the section's `low_um` and `high_um`."""
    steps: list[WebSegment] = []
    at_um = 0
    for parent, low_um, high_um in parts:
        steps.append(WebSegment(at_um, at_um + high_um - low_um, parent, low_um, high_um))
        at_um += high_um - low_um
    return tuple(steps)


def resync(
    parent: str, length_um: int, expected_um: Sequence[int], observed_um: Sequence[int], *, start_um: int = 0
) -> Steps:
    """Positions corrected so that each mark lies where it was observed, straight from mark to mark.

    Before the first and after the last mark the web keeps their correction.

    Args:
        expected_um: where the marks should be on the web, rising.
        observed_um: where each was seen, rising.
    """
    if not expected_um or len(expected_um) != len(observed_um):
        raise WebMapError(
            f"{len(expected_um)} expected and {len(observed_um)} observed fiducials: expected as many, 1 or more"
        )
    end_um = start_um + length_um
    before_um, after_um = expected_um[0] - start_um, end_um - expected_um[-1]
    old = [start_um, *expected_um, end_um]
    new = [observed_um[0] - before_um, *observed_um, observed_um[-1] + after_um]
    if old[1] == old[0]:
        old, new = old[1:], new[1:]
    if old[-1] == old[-2]:
        old, new = old[:-1], new[:-1]
    steps: list[WebSegment] = []
    for i in range(len(old) - 1):
        if old[i + 1] <= old[i] or new[i + 1] <= new[i]:
            raise WebMapError(
                f"fiducials expected at {old[i]} and {old[i + 1]} µm were seen at {new[i]} and {new[i + 1]} µm: "
                "expected both to rise within the web; a splice or a change of direction is missing from the record"
            )
        steps.append(WebSegment(new[i], new[i + 1], parent, old[i], old[i + 1]))
    return tuple(steps)

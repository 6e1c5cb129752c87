"""Lines along the web, from column profiles of one strip and of the mean of the last few. Pure.

A line must stand out of the profile's scatter across the web. That of good film gives the least it may be, as if strips
were independent; where gloss goes on from strip to strip their mean scatters more than that, and the mean itself says
by how much.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.gates import Gates
from vision.pyramid import STREAK_STRIPS, STREAK_WIDTHS, Floats, widened

FAINTEST_STREAK = 0.035
"""Relative change below which a line along the web is structure of sound film. A streak at its accept limit changes
transmission by seven times as much (table 2.2)."""

_STREAKS_COUNT = 24
_HELD_FRACTION = 0.5
"""Of the limit; a streak that is known goes on until it falls below this."""
_PRESENT_FRACTION = 0.4
_SHOWN_FRACTION = 0.75
"""Of a strip's blocks that a line must show in; what is shorter is a spot like any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line along the web, in columns of the quarter image."""

    start: int
    end: int
    """Exclusive."""
    strength: float
    """Deviation over its limit."""
    strips_count: int
    """Strips it is seen on, this one the last."""

    @property
    def reach(self) -> int:
        """How far beside the line its banks lie."""
        return max(1, (self.end - self.start) // 2)


class StreakMemory:
    """Column profiles of the latest strips of one roll, for lines too faint for one strip."""

    def __init__(self) -> None:
        self._profiles: deque[Floats] = deque(maxlen=max(STREAK_STRIPS))
        self._blocks: Floats = np.empty((0, 0, 0), np.float32)
        self.held: list[tuple[int, int]] = []
        """Quarter columns of streaks found in the strip before."""

    def add(self, profiles: Floats, blocks: Floats) -> None:
        """Take in a strip.

        Args:
            profiles: shape (channels, quarter columns).
            blocks: means over blocks of its lines, shape (channels, blocks, quarter columns).
        """
        self._profiles.append(profiles)
        self._blocks = blocks

    def shown_fraction(self, channel: int, start: int, end: int, height: float) -> float:
        """Share of the latest strip's blocks in which columns change by a good part of a height.

        Against the columns beside them, as wide again, so that slow changes across the web do not count.
        """
        blocks = self._blocks[channel]
        width = max(end - start, 4)
        beside = np.concatenate(
            (blocks[:, max(0, start - 2 * width) : max(0, start - width)], blocks[:, end + width : end + 2 * width]),
            axis=1,
        )
        around = np.median(beside, axis=1) if beside.shape[1] else 0.0
        shown = (blocks[:, start:end].mean(axis=1) - around) * np.sign(height)
        return float(np.mean(shown > _PRESENT_FRACTION * abs(height)))

    def mean(self, count: int) -> Floats | None:
        """Over the latest `count` strips; None while there are fewer."""
        if len(self._profiles) < count:
            return None
        latest = list(self._profiles)[-count:]
        return np.asarray(np.mean(latest, axis=0), np.float32) if count > 1 else latest[0]

    def began(self, channel: int, start: int, end: int) -> int:
        """Strips since a line in these quarter columns set in, this one counted: the likeliest step in its contrast."""
        seen = np.array([float(profile[channel, start:end].mean()) for profile in self._profiles])[::-1]
        contrast = float(np.mean(seen[: max(1, min(4, seen.size))]))
        gain = np.cumsum((seen - contrast / 2) * np.sign(contrast))
        return int(np.argmax(gain)) + 1


def lines_along(memory: StreakMemory, gates: Gates, lines_count: int) -> list[Line]:
    """Lines through the latest strip, strongest first; a groove and its banks are one.

    Args:
        memory: of the roll; has taken in the strip.
        gates: of the camera.
        lines_count: lines of the strip.
    """
    found: list[Line] = []
    latest = memory.mean(1)
    assert latest is not None
    # A median over n strips scatters by pi/2 more than their mean does; a short strip more than a whole one.
    floor = np.sqrt(np.pi / 2 / gates.look.strips_count)
    shortness = max(1.0, gates.look.strip_lines / max(lines_count, 1))
    present = [widened(profile) for profile in latest]
    for strips in STREAK_STRIPS:
        mean = memory.mean(strips)
        if mean is None:
            break
        for channel, profile in enumerate(mean):
            # Averaging over strips helps until only the scatter of what was learnt is left.
            one = gates.look.streak_sigma[channel]
            spread = one * np.sqrt((shortness / strips + floor**2) / (1 + floor**2))
            now = present[channel]
            for number, image in enumerate(now if strips == 1 else widened(profile)):
                limit = max(float(spread[number] * gates.limits.streak[number]), FAINTEST_STREAK)
                change = np.abs(image)
                if change.max() <= _HELD_FRACTION * limit:
                    continue
                limit = max(limit, _scatter(change, gates.margin) * float(gates.limits.streak[number]))
                ratio: Floats = change * np.float32(1 / limit)
                if strips > 1:
                    # What ended is still in the mean: a line must show in this strip, as far as its scatter lets it.
                    needed = _PRESENT_FRACTION * change - one[number] * np.float32(np.sqrt(shortness))
                    ratio = np.where(now[number] * np.sign(image) >= needed, ratio, 0)
                if ratio.max() > _HELD_FRACTION:
                    width = STREAK_WIDTHS[number]
                    found.extend(_peaks(ratio, profile, width, strips, channel, memory, gates.margin))
    taken: list[Line] = []
    for line in sorted(found, key=lambda line: (-line.strength, line.start)):
        near = next((o for o in taken if line.start <= o.end + o.reach and line.end >= o.start - o.reach), None)
        if near is None and len(taken) < _STREAKS_COUNT:
            taken.append(line)
        elif near is not None and line.strength > 1:
            taken[taken.index(near)] = Line(
                start=min(near.start, line.start),
                end=max(near.end, line.end),
                strength=near.strength,
                strips_count=max(near.strips_count, line.strips_count),
            )
    return taken


def _scatter(change: Floats, margin: int) -> float:
    """Standard deviation of a profile across the web from its absolute values, by their median: lines do not count."""
    # A thousand values tell it to a few percent.
    judged = change[margin : change.size - margin]
    return 1.4826 * float(np.median(judged[:: max(1, judged.size // 1_000)]))


def _peaks(
    ratio: Floats, profile: Floats, width: int, strips: int, channel: int, memory: StreakMemory, margin: int
) -> list[Line]:
    """Peaks of one profile at one width, each as wide as it is at half height."""
    lines = []
    held = np.zeros(ratio.size, bool)
    for start, end in memory.held:
        middle = (start + end) // 2
        held[max(0, middle - 1) : middle + 2] = True
    wanted = np.where((ratio > 1) | (held & (ratio > _HELD_FRACTION)), ratio, 0)
    wanted[:margin] = wanted[wanted.size - margin :] = 0
    for _ in range(_STREAKS_COUNT):
        peak = int(np.argmax(wanted))
        strength = float(wanted[peak])
        if not strength:
            break
        reach = max(width, 3)
        near = slice(max(0, peak - reach), peak + reach + 1)
        middle = near.start + int(np.argmax(np.abs(profile[near])))
        height = profile[middle]
        start, end = _run(profile * np.sign(height) > abs(height) / 2, middle)
        wanted[max(0, min(start, peak) - 2 * reach) : max(end, peak) + 2 * reach] = 0
        # A line too faint for one strip is too faint for a block of it.
        if strips == 1 and memory.shown_fraction(channel, start, end, float(height)) < _SHOWN_FRACTION:
            continue
        count = min(memory.began(channel, start, end), max(STREAK_STRIPS)) if strips > 1 else 1
        lines.append(Line(start=start, end=end, strength=strength, strips_count=count))
    return lines


def _run(above: NDArray[np.bool_], middle: int) -> tuple[int, int]:
    """Start and end of the run of true values around `middle`."""
    left = np.flatnonzero(~above[:middle])
    right = np.flatnonzero(~above[middle + 1 :])
    start = int(left[-1]) + 1 if left.size else 0
    end = middle + 1 + (int(right[0]) if right.size else above.size - middle - 1)
    return start, end

"""How far the web has travelled when a camera exposes a line, and which roll that is.

Travel is counted by the encoder where the camera sends its count with each block, else in lines, those of lost blocks
too. What a camera that was away did not count is guessed by the speed before, and said to be doubtful. Pure: it waits
for nothing and opens nothing.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from line.film_sources import CameraFile
from line.model import Camera

log = logging.getLogger(__name__)

TOLERANCE_LINES = 2.0
"""By which an encoder's count and the lines may differ without a line being lost."""
_JUMP_UM = 5_000_000
"""An encoder that falls back by more began to count again; by less, the web ran back."""
_GUESS_DOUBT = 0.5
"""k=2, of travel that went by unseen and uncounted, by the speed before."""
_USUAL_SPEED_UM_PER_S = 1_000_000.0
"""Fastest web where the camera's row has no line rate: 60 m/min."""
_HISTORY_COUNT, _HISTORY_NS = 8192, 600_000_000_000
_SPEED_BLOCKS = 32
_ROLLS_COUNT = 8


class RollPlace(Struct, frozen=True, kw_only=True):
    """A roll on the web's travel [µm]."""

    roll: str
    zero_um: int
    """Travel at which its zero was under the die lip."""
    end_um: int | None = None
    """Travel at which its end was there; None while it is coated."""
    doubt_um: float = 0.0
    """k=2, of the travel, at the zero: what is doubtful on the roll came after."""


class CameraPlace(Struct, frozen=True, kw_only=True):
    """How far a camera has come; survives a restart."""

    rolls: tuple[RollPlace, ...] = ()
    roll: str = ""
    """Of the strips."""
    strip: int = 0
    """Number of the next."""
    travel_um: int = 0
    """Of the end of the film that has results."""
    doubt_um: float = 0.0
    """k=2, of the travel."""
    count: int | None = None
    """Of the encoder, there."""
    speed_um_per_s: float = 0.0
    at_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Lines that arrived together, all of them."""

    lines: NDArray[np.uint8]
    """Shape (lines of all channels, width)."""
    count: int | None
    """Encoder at the first line; None where the camera does not send it."""
    lost_blocks_count: int
    """Between the block before and this one."""
    arrived_ns: int


class WebTravel:
    """The travel of the web under one camera.

    Args:
        camera: its row in the line model.
        file: how it counts.
        place: where it stood.
    """

    def __init__(self, camera: Camera, file: CameraFile, place: CameraPlace) -> None:
        self.end_um = float(place.travel_um)
        """Where the film that has come ends."""
        self.doubt_um = place.doubt_um
        """k=2, of the travel."""
        self._camera = camera
        self._file = file
        self._at_um = camera.position_um or 0
        self._rolls = place.rolls
        self._count, self._count_um = place.count, float(place.travel_um)
        self._speed_um_per_s, self._end_ns = place.speed_um_per_s, place.at_ns
        self._block_um = 0.0
        self._fresh = True
        self._history: deque[tuple[int, float]] = deque(maxlen=_HISTORY_COUNT)

    @property
    def position_is(self) -> str:
        """Where positions come from, in words."""
        if self._file.encoder:
            return f"position from {self._file.encoder}, {self._file.um_per_count:g} µm a count"
        share = self._file.lines_uncertainty_fraction
        return f"no encoder: position from lines of {self._camera.pixel_um:g} µm, ±{share:.1%} of the way"

    def resumed(self) -> None:
        """The camera was away: its counters may have begun again."""
        self._fresh = True

    def start_of(self, block: Block, lines: int) -> float:
        """Travel at a block's first line.

        Args:
            block: the next.
            lines: of the web in it.
        """
        length_um = lines * self._camera.pixel_um
        fresh, self._fresh = self._fresh, False
        if not self._end_ns:
            self._count, self._count_um = block.count, self.end_um
            if self._file.roll and not self._rolls:
                self._rolls = (RollPlace(roll=self._file.roll, zero_um=round(self.end_um) - self._at_um),)
            return self.end_um
        if block.count is not None:
            run_um = self._steps(block.count) * self._file.um_per_count
            began_anew = self._count is None or run_um < -_JUMP_UM or (fresh and self._impossible(run_um, block))
            start_um = self._guessed(block, length_um) if began_anew else self._count_um + run_um
            self._count, self._count_um = block.count, start_um
            return start_um
        if fresh:
            return self._guessed(block, length_um)
        lost_um = block.lost_blocks_count * length_um
        self.doubt_um += self._file.lines_uncertainty_fraction * (lost_um + length_um)
        return self.end_um + lost_um

    def passed(self, block: Block, end_um: float) -> None:
        """The film of a block has come, up to here."""
        history = self._history
        while history and block.arrived_ns - history[0][0] > _HISTORY_NS:
            history.popleft()
        if history:
            since_ns, since_um = history[max(0, len(history) - _SPEED_BLOCKS)]
            if block.arrived_ns > since_ns:
                self._speed_um_per_s = (end_um - since_um) / (block.arrived_ns - since_ns) * 1e9
        history.append((block.arrived_ns, end_um))
        self._block_um = end_um - self.end_um
        self.end_um, self._end_ns = end_um, block.arrived_ns

    def place(self, travel_um: float, roll: str, strip: int, doubt_um: float) -> CameraPlace:
        """What to remember once film up to a travel has results."""
        count = None
        if self._count is not None:
            count = self._count + round((travel_um - self._count_um) / self._file.um_per_count)
            count %= 1 << self._file.encoder_bits
        return CameraPlace(
            rolls=self._rolls,
            roll=roll,
            strip=strip,
            travel_um=round(travel_um),
            doubt_um=doubt_um,
            count=count,
            speed_um_per_s=self._speed_um_per_s,
            at_ns=self._end_ns,
        )

    def roll_started(self, roll: str, at_ns: int, now_ns: int) -> None:
        """The zero of a roll was under the die lip at a time; a roll that is known changes nothing."""
        if any(place.roll == roll for place in self._rolls):
            return
        begun = RollPlace(roll=roll, zero_um=round(self._at(at_ns, now_ns)), doubt_um=self.doubt_um)
        self._rolls = tuple(sorted((*self._rolls, begun), key=lambda place: place.zero_um)[-_ROLLS_COUNT:])

    def roll_ended(self, roll: str, length_um: int) -> None:
        """What passes behind a roll's end belongs to no roll."""
        self._rolls = tuple(
            replace(place, end_um=place.zero_um + length_um) if place.roll == roll else place for place in self._rolls
        )

    def roll_at(self, travel_um: float) -> RollPlace | None:
        """The roll in view when the web has travelled so far; None when none is known."""
        seen_um = travel_um - self._at_um
        for place in reversed(self._rolls):
            if seen_um >= place.zero_um:
                return place if place.end_um is None or seen_um < place.end_um else None
        return None

    def borders(self, start_um: float, lines: int) -> list[int]:
        """Line numbers at which film of another roll, or of none, may begin; the first and the last are ends."""
        marks = {place.zero_um for place in self._rolls} | {place.end_um for place in self._rolls if place.end_um}
        pixel = self._camera.pixel_um
        cuts = {int(np.ceil((mark + self._at_um - start_um) / pixel - 1e-6)) for mark in marks}
        return sorted({0, lines, *(cut for cut in cuts if 0 < cut < lines)})

    def _steps(self, count: int) -> int:
        """Counts since the reading before, through the counter's own end."""
        whole = 1 << self._file.encoder_bits
        steps = (count - (count if self._count is None else self._count)) % whole
        return steps - whole if steps >= whole // 2 else steps

    def _fastest_um_per_s(self) -> float:
        return (self._camera.line_rate_hz or 0) * self._camera.pixel_um or _USUAL_SPEED_UM_PER_S

    def _impossible(self, run_um: float, block: Block) -> bool:
        """Whether the web cannot have run so far while the camera was away."""
        away_s = max(0.0, (block.arrived_ns - self._end_ns) / 1e9)
        most_um = 2 * self._fastest_um_per_s() * away_s + 1_000_000
        return not -TOLERANCE_LINES * self._camera.pixel_um <= run_um <= most_um

    def _guessed(self, block: Block, length_um: float) -> float:
        """Travel at a block's first line by the speed before, when nothing else bridges the time away."""
        speed = self._speed_um_per_s or self._fastest_um_per_s()
        away_um = max(0.0, speed * (block.arrived_ns - self._end_ns) / 1e9 - length_um)
        self.doubt_um += _GUESS_DOUBT * (away_um + length_um)
        log.warning("%s: counts began again: by the speed before, %.0f mm went by", self._camera.id, away_um / 1e3)
        return self.end_um + away_um

    def _at(self, at_ns: int, now_ns: int) -> float:
        """Travel at a time, by what is known of it."""
        if not self._history:
            return self.end_um
        if self._history[0][0] <= at_ns < self._end_ns:
            place = bisect_right([time for time, _ in self._history], at_ns)
            (before_ns, before_um), (after_ns, after_um) = self._history[place - 1], self._history[place]
            return before_um + (after_um - before_um) * (at_ns - before_ns) / max(1, after_ns - before_ns)
        if self._end_ns <= at_ns <= max(now_ns, self._end_ns) + 1_000_000_000:
            # A web that ran on would have filled the next block.
            run_um = self._speed_um_per_s * (at_ns - self._end_ns) / 1e9
            return self.end_um + max(0.0, min(run_um, self._block_um))
        log.warning(
            "%s: a roll began %.1f s from now by the PLC's clock, when no line was seen: its zero is taken as now; "
            "synchronise the clocks", self._camera.id, (at_ns - now_ns) / 1e9,
        )  # fmt: skip
        return self.end_um

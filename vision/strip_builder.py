"""Lines as a camera sends them to strips of a roll: channels apart, every strip at its place, every hole counted.

A hole in the film is never closed: what follows lies as much further along, and says how many lines are missing. Pure:
it waits for nothing and opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from line.errors import ConfigError, FrameError
from line.film_sources import CameraFile
from line.frames import StripHeader
from line.model import Camera
from vision.web_travel import TOLERANCE_LINES, Block, CameraPlace, RollPlace, WebTravel

LEAST_LINES = 8
"""A shorter piece before a hole is not worth a strip; its lines are missing too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A strip, and where the camera stands behind it."""

    header: StripHeader
    planes: NDArray[np.uint8]
    place: CameraPlace


class StripBuilder:
    """Makes the strips of one camera.

    Args:
        camera: its row in the line model.
        file: how its lines become strips.
        place: where it stood.

    Raises:
        ConfigError: the order of channels is not that of the camera's row.
    """

    def __init__(self, camera: Camera, file: CameraFile, place: CameraPlace) -> None:
        order = file.channel_order or camera.channels
        if sorted(order) != sorted(camera.channels):
            raise ConfigError(
                f"is {', '.join(order)}; {camera.id} has {', '.join(camera.channels)}, each once", key="channel_order"
            )
        self.web = WebTravel(camera, file, place)
        self.missed_lines_count = 0
        """In all: lost on the way here, or dropped for want of room."""
        self.unnamed_lines_count = 0
        """In all: passed while no roll was known."""
        self._camera = camera
        self._planes_of = [order.index(channel) for channel in camera.channels]
        self._strip_lines = camera.strip_lines or 256
        self._roll = RollPlace(roll=place.roll, zero_um=0)
        self._strip = place.strip
        self._missed = 0
        """Lines before the strip that is being filled."""
        self._next_missed = 0
        self._filled = 0
        self._start_um = self._doubt_um = 0.0
        self._arrived_ns = place.at_ns
        self._planes = self._room()

    @property
    def roll(self) -> str:
        """In view of the camera; empty when none is known."""
        place = self.web.roll_at(self.web.end_um)
        return place.roll if place else ""

    def dropped(self, strip: Built) -> None:
        """Nobody had room for a strip: its lines are missing before the next."""
        self.missed_lines_count += strip.header.lines
        if strip.header.roll == self._roll.roll:
            self._next_missed += strip.header.lines + strip.header.missed_lines_count

    def add(self, block: Block) -> Iterator[Built]:
        """Strips that a block completes; take all of them.

        Raises:
            FrameError: the block is not as wide as the camera's row says, or its lines are no whole turns of the
                strobes.
        """
        turn = len(self._planes_of)
        count, width = block.lines.shape
        if width != self._camera.width_px or count % turn:
            raise FrameError(
                f"{self._camera.id}: blocks of {count} lines of {width} px; {self._camera.width_px} px and a multiple "
                f"of {turn} lines are needed, {', '.join(self._camera.channels)} in turn: set Width and Height in "
                "features"
            )
        lines = count // turn
        pixel = self._camera.pixel_um
        start_um = self.web.start_of(block, lines)
        hole_um = start_um - self.web.end_um
        skip = 0
        if hole_um > TOLERANCE_LINES * pixel:
            yield from self._flushed()
            self._miss(hole_um)
        elif hole_um < -TOLERANCE_LINES * pixel:
            # The web ran back: what was seen once is not seen again.
            skip = min(lines, round(-hole_um / pixel))
            start_um += skip * pixel
        else:
            start_um = self.web.end_um
        self._arrived_ns = block.arrived_ns
        if skip < lines:
            turns = block.lines[skip * turn :].reshape(lines - skip, turn, width)
            yield from self._filled_with(turns, start_um)
            self.web.passed(block, start_um + len(turns) * pixel)

    def _filled_with(self, turns: NDArray[np.uint8], start_um: float) -> Iterator[Built]:
        pixel = self._camera.pixel_um
        for first, last in pairwise(self.web.borders(start_um, len(turns))):
            at_um = start_um + first * pixel
            roll = self.web.roll_at(at_um)
            if roll is None:
                yield from self._flushed()
                self._roll = RollPlace(roll="", zero_um=0)
                self.unnamed_lines_count += last - first
                continue
            if roll.roll != self._roll.roll:
                yield from self._flushed()
                self._begin(roll, at_um)
            self._roll = roll
            while first < last:
                if not self._filled:
                    self._start_um, self._doubt_um = start_um + first * pixel, self.web.doubt_um
                    self._missed, self._next_missed = self._next_missed, 0
                some = min(last - first, self._strip_lines - self._filled)
                for plane, which in zip(self._planes, self._planes_of, strict=True):
                    plane[self._filled : self._filled + some] = turns[first : first + some, which]
                self._filled += some
                first += some
                if self._filled == self._strip_lines:
                    yield from self._flushed()

    def _begin(self, roll: RollPlace, at_um: float) -> None:
        """The first strip of a roll; film of it that went by before is missing."""
        self._strip, self._next_missed = 0, 0
        before_um = at_um - (self._camera.position_um or 0) - roll.zero_um
        if before_um > TOLERANCE_LINES * self._camera.pixel_um:
            self._next_missed = round(before_um / self._camera.pixel_um)
            self._strip = self._next_missed // self._strip_lines

    def _miss(self, hole_um: float) -> None:
        """Film that nobody saw: its lines, and the numbers that its strips would have had."""
        lines = round(hole_um / self._camera.pixel_um)
        self.missed_lines_count += lines
        self._next_missed += lines
        self._strip += lines // self._strip_lines

    def _flushed(self) -> Iterator[Built]:
        """The strip that is being filled, as far as it is."""
        lines, self._filled = self._filled, 0
        if not lines:
            return
        if lines < LEAST_LINES:
            self.missed_lines_count += lines
            self._next_missed += self._missed + lines
            return
        camera, roll = self._camera, self._roll
        planes, self._planes = self._planes[:, :lines], self._room()
        number, self._strip = self._strip, self._strip + 1
        header = StripHeader(
            camera=camera.id,
            roll=roll.roll,
            strip=number,
            encoder_um=round(self._start_um) - roll.zero_um,
            encoder_uncertainty_um=round(max(0.0, self._doubt_um - roll.doubt_um), 1),
            lines=lines,
            width_px=camera.width_px,
            pixel_um=camera.pixel_um,
            channels=camera.channels,
            at_ns=self._arrived_ns,
            wall_ns=self._arrived_ns,
            missed_lines_count=self._missed,
        )
        place = self.web.place(self._start_um + lines * camera.pixel_um, roll.roll, self._strip, self._doubt_um)
        yield Built(header=header, planes=planes, place=place)

    def _room(self) -> NDArray[np.uint8]:
        return np.empty((len(self._camera.channels), self._strip_lines, self._camera.width_px), np.uint8)

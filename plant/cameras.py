"""What the cameras of the simulated line do: they expose film that has passed and layers that were placed.

Up to a speed that the machine can render, pictures go to the spools; above it nothing is exposed and inspection is
drawn by whoever asks for the stretches that passed. A camera does not wait: when a spool is full the frame is lost,
its lines are counted in the next frame, and no inspection follows.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import Struct

from line.frames import CornerHeader, SpoolWriter, StripHeader, waiting_count
from line.model import Camera, LineModel
from line.stack_geometry import CORNERS, HEIGHT_PX, PIXEL_UM, WIDTH_PX
from plant.film_texture import FilmBank, film_bank
from plant.flaw_looks import Triple
from plant.render_film import render_strip
from plant.render_stack import StackBank, render_corners, stack_bank
from plant.truth_types import PlacedSheet
from plant.world import FilmView, World

FILM_SPOOL, STACK_SPOOL = "fins-1", "sins"
"""Folders below `spool` in the state folder."""
_FILM_FRAMES, _STACK_FRAMES = 24, 12
"""Frames that may wait: 280 MB of strips, 240 MB of corner pictures."""
_REACH_UM = 3_000
"""Some looks reach further than the flaw's own extent, such as an agglomerate's tail."""
DRAWN_STRIPS = 49
"""Film that is not exposed is handed out in stretches of at least so many strips, a quarter of a metre."""
_PAST_UM = 1_000_000
"""A past ends at a whole metre of film."""
_STACKS_KEPT = 8
_BELOW_KEPT = 2


class FilmPlace(Struct, kw_only=True):
    """How far the film camera has come; survives a restart."""

    roll: str = ""
    strip: int = 0
    next_um: int = 0
    """Web travel at which the next strip begins."""
    missed_lines_count: int = 0
    """Lost since the last frame that was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Film that passed the camera without a picture; whole strips."""

    roll: str
    first_strip: int
    strips_count: int
    start_um: int
    """As-coated."""
    end_um: int
    at_ns: int
    """When its end passed."""


class FilmCamera:
    """The line-scan camera over the web.

    Args:
        world: what passes.
        camera: its row in the line model.
        folder: its spool.
        place: where it stands.
        bank: how its pictures look; made when the first is taken, if none is given.
    """

    def __init__(
        self, world: World, camera: Camera, folder: Path, place: FilmPlace, bank: FilmBank | None = None
    ) -> None:
        self.place = place
        self.lost_strips_count = 0
        self._world = world
        self._camera = camera
        self._folder = folder
        self._spool = SpoolWriter(folder, _FILM_FRAMES)
        self._at_um = camera.position_um or 0
        self._lines = camera.strip_lines or 256
        self._strip_um = round(self._lines * camera.pixel_um)
        self._bank = bank
        self._planes = np.empty((3, self._lines, camera.width_px), np.uint8)
        self._rng = np.random.default_rng([world.seed, 0xCA4])
        self._rendered = False

    def pass_film(self, *, render: bool) -> list[Stretch]:
        """Expose all strips that have passed since the last call; those without a picture are returned to be drawn.

        Blocks for the time that rendering takes.
        """
        view = self._world.film_view()
        if view is None:
            return []
        if view.roll != self.place.roll:
            # A roll that has begun to pass when the line opens goes on where its past ended.
            past_um = max(0, view.encoder_um - self._at_um) // _PAST_UM * _PAST_UM
            strip = -(-past_um // self._strip_um)
            self.place = FilmPlace(roll=view.roll, strip=strip, next_um=self._at_um + strip * self._strip_um)
            self._rendered = render and strip == 0
        end_um = min(view.encoder_um, self._at_um + view.coated_um) if view.complete else view.encoder_um
        count = (end_um - self.place.next_um) // self._strip_um
        # What passed before rendering began has no picture, however short it is.
        begins, self._rendered = render and not self._rendered, render
        if count <= 0:
            return []
        if render and not begins:
            for _ in range(count):
                self._expose(view)
            return []
        finished = view.complete and end_um < view.encoder_um
        return [self._skip(view, count)] if begins or finished or count >= DRAWN_STRIPS else []

    def _skip(self, view: FilmView, count: int) -> Stretch:
        place = self.place
        start_um = place.next_um - self._at_um
        stretch = Stretch(
            roll=place.roll,
            first_strip=place.strip,
            strips_count=count,
            start_um=start_um,
            end_um=start_um + count * self._strip_um,
            at_ns=self._passed_ns(view, place.next_um + count * self._strip_um),
        )
        place.strip += count
        place.next_um += count * self._strip_um
        place.missed_lines_count = 0
        return stretch

    def _expose(self, view: FilmView) -> None:
        place = self.place
        health = self._world.camera_health()
        dropped = int(self._rng.poisson(health.dropped_lines_per_strip)) if health.dropped_lines_per_strip > 0 else 0
        place.missed_lines_count += dropped
        place.next_um += round(dropped * self._camera.pixel_um)
        strip, begins_um = place.strip, place.next_um
        place.strip += 1
        place.next_um += self._strip_um
        if waiting_count(self._folder) >= _FILM_FRAMES:
            self._lose()
            return
        wall_ns = time.time_ns()
        start_um = begins_um - self._at_um
        flaws = self._world.flaws_between(place.roll, start_um - _REACH_UM, start_um + self._strip_um + _REACH_UM)
        if self._bank is None:
            self._bank = film_bank(self._world.seed, width_px=self._camera.width_px)
        render_strip(
            place.roll,
            start_um,
            flaws,
            health,
            self._bank,
            seed=self._world.seed,
            nameless=self._nameless(),
            lines=self._lines,
            out=self._planes,
        )
        header = StripHeader(
            camera=self._camera.id,
            roll=place.roll,
            strip=strip,
            encoder_um=begins_um,
            lines=self._lines,
            width_px=self._camera.width_px,
            pixel_um=self._camera.pixel_um,
            channels=self._camera.channels,
            at_ns=self._passed_ns(view, place.next_um),
            wall_ns=wall_ns,
            missed_lines_count=place.missed_lines_count,
            simulated=True,
        )
        if self._spool.write(header, self._planes):
            place.missed_lines_count = 0
        else:
            self._lose()

    def _lose(self) -> None:
        self.place.missed_lines_count += self._lines
        self.lost_strips_count += 1

    def _passed_ns(self, view: FilmView, encoder_um: int) -> int:
        """When the web had travelled so far, at the speed of now."""
        if view.web_speed_m_per_min <= 0:
            return self._world.now_ns
        since_s = (view.encoder_um - encoder_um) / (view.web_speed_m_per_min * 1e6 / 60)
        return self._world.now_ns - max(0, round(since_s * 1e9))

    def _nameless(self) -> Mapping[str, Triple]:
        return {row.code: (row.contrast_bf, row.contrast_df, row.contrast_tx) for row in self._world.hidden_defects()}


class StackCamera:
    """The four corner cameras of the stacking station.

    Args:
        world: what is placed, and how far the cameras have moved.
        line: which cameras they are.
        folder: their spool.
        bank: how their pictures look; made when the first is taken, if none is given.
    """

    def __init__(self, world: World, line: LineModel, folder: Path, bank: StackBank | None = None) -> None:
        self.lost_frames_count = 0
        self._world = world
        cameras = sorted((row for row in line.cameras if row.kind == "corner"), key=lambda row: row.corner or 0)
        self._cameras = tuple(row.id for row in cameras)
        self._station = cameras[0].station
        self._folder = folder
        self._spool = SpoolWriter(folder, _STACK_FRAMES)
        self._bank = bank
        self._planes: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None = None
        self._below: dict[str, deque[PlacedSheet]] = {}

    def see(self, placements: Sequence[tuple[int, PlacedSheet]], *, render: bool) -> None:
        """Expose layers as they were placed, or only remember them. Blocks for the time that rendering takes."""
        for at_ns, sheet in placements:
            below = self._below.setdefault(sheet.stack, deque(maxlen=_BELOW_KEPT))
            if render:
                self._expose(at_ns, sheet, below)
            below.append(sheet)
        while len(self._below) > _STACKS_KEPT:
            del self._below[next(iter(self._below))]

    def _expose(self, at_ns: int, sheet: PlacedSheet, below: deque[PlacedSheet]) -> None:
        if waiting_count(self._folder) >= _STACK_FRAMES:
            self.lost_frames_count += 1
            return
        wall_ns = time.time_ns()
        if self._bank is None or self._planes is None:
            self._bank = stack_bank(self._world.seed)
            self._planes = np.empty((len(CORNERS), HEIGHT_PX, WIDTH_PX), np.uint8)
        render_corners(
            sheet,
            list(below),
            self._bank,
            shifts_um=[self._world.corner_shift_um(corner) for corner in CORNERS],
            seed=self._world.seed,
            out=self._planes,
        )
        header = CornerHeader(
            station=self._station,
            stack=sheet.stack,
            layer=sheet.layer,
            kind="laminate" if sheet.kind == "laminate" else "cathode",
            height_px=HEIGHT_PX,
            width_px=WIDTH_PX,
            pixel_um=PIXEL_UM,
            cameras=self._cameras,
            at_ns=at_ns,
            wall_ns=wall_ns,
            simulated=True,
        )
        if not self._spool.write(header, self._planes):
            self.lost_frames_count += 1

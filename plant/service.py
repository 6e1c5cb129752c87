"""The role `plant`: a simulated line behind a real OPC-UA server and spools of frames, under a clock of its own speed.

Ten times a wall second the world goes on, and what became of it is shown: tags, states and part records on OPC-UA,
pictures of film and layers in the spools, or, above the speed that can be rendered, inspection results drawn through a
detection curve and emitted by the plant itself. Nothing of the truth behind them leaves but into the sealed file.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import cv2
import msgspec

from line.commands import Command, Done, InjectFault, PlantCommand, SetSpeed
from line.config import Site
from line.errors import LamellaError
from line.events import Event
from line.model import Camera, LineModel, load_line
from line.service import Service, open_service
from plant.cameras import FILM_SPOOL, STACK_SPOOL, FilmCamera, StackCamera
from plant.film_texture import FilmBank, film_bank
from plant.opening import PAST, Opened, opened, save_opened
from plant.pace import Pace
from plant.render_stack import StackBank, stack_bank
from plant.scenario import load_scenario
from plant.server import PlantServer, plant_server
from plant.shifts import Shifts
from plant.tag_schedule import TagSchedule
from plant.truth import SEALED, TruthFile

log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_R = TypeVar("_R")
_TICK_S = 0.1
_STATES_S = 1.0
"""All states are written so often, for their counters; changes are written at once."""
_SAVE_S = 30.0
_ANSWERS_KEPT = 256
_commands = msgspec.json.Decoder(PlantCommand)


async def serve(site: Site) -> None:
    """Run the plant until it is cancelled.

    Raises:
        LamellaError: the line, the saved world, a scenario or the port is not usable.
    """
    # OpenCV would spread each call over all cores, which other services need.
    cv2.setNumThreads(1)
    async with open_service("plant", site) as service:
        state, banks = await asyncio.gather(
            asyncio.to_thread(opened, site, service.line, _reporter(service)),
            asyncio.to_thread(_banks, site, service.line),
        )
        _give_back_memory()
        service.ready = "starting the OPC-UA server"
        async with plant_server(service.line, site.plant.port) as server:
            await server.restore_rings(state.shown.rings, state.world.now_ns)
            with ExitStack() as stack:
                truth = stack.enter_context(TruthFile(site.state_dir / SEALED))
                plant = Plant(service, server, state, banks, truth)
                service.bus.answer(service.topics.command("plant", "do"), plant.obey)
                _announce(site.state_dir / "plant" / "endpoint", server.endpoint)
                try:
                    await plant.live()
                finally:
                    await asyncio.shield(plant.save())


class Plant:
    """A world and everything that shows it."""

    def __init__(
        self,
        service: Service,
        server: PlantServer,
        state: Opened,
        banks: tuple[FilmBank, StackBank],
        truth: TruthFile,
    ) -> None:
        site, line, world = service.site, service.line, state.world
        self._service = service
        self._server = server
        self._state = state
        self._world = world
        self._truth = truth
        self.pace = Pace(Shifts(line.calendar), world.now_ns, speed=site.plant.speed)
        self._schedule = TagSchedule({name: tag.sampling_ms for name, tag in line.all_tags().items()})
        spool = site.state_dir / "spool"
        self._film = FilmCamera(world, _film_camera(line), spool / FILM_SPOOL, state.shown.place, banks[0])
        self._stack = StackCamera(world, line, spool / STACK_SPOOL, banks[1])
        self._moving = asyncio.Lock()
        # One thread for all that takes long: threads keep what they have freed, and the world has no two movers.
        self._hand = ThreadPoolExecutor(1, thread_name_prefix="plant")
        self._states_due_s = self._save_due_s = 0.0
        self._answers: dict[str, Done] = {}
        self._obeying = asyncio.Lock()
        """One command at a time, so that one that arrives twice is obeyed once."""
        self._slow_said_s = 0.0

    async def live(self) -> None:
        """Let the world go on, for ever."""
        self._save_due_s = time.monotonic() + _SAVE_S
        while True:
            began_s = time.monotonic()
            async with self._moving:
                await _whole(self.tick(began_s))
            self._service.ready = ""
            self._service.beat("plant")
            if began_s >= self._save_due_s:
                await self.save()
                self._save_due_s = time.monotonic() + _SAVE_S
            await asyncio.sleep(max(0.005, _TICK_S - (time.monotonic() - began_s)))

    async def tick(self, wall_s: float) -> None:
        """Go on to a moment of the wall's monotonic clock and show what happened."""
        world, pace = self._world, self.pace
        now_ns = pace.step(wall_s)
        await self._in_thread(world.advance, now_ns)
        await self._show(wall_s, now_ns)
        render = pace.speed <= self._service.site.plant.render_limit
        stretches = await self._in_thread(self._film.pass_film, render=render)
        placements = world.take_placements()
        await self._in_thread(self._stack.see, placements, render=render)
        drawn: list[Event] = [event for stretch in stretches for event in self._state.inspection.film(world, stretch)]
        layers = [self._state.inspection.layer(world, at_ns, sheet) for at_ns, sheet in placements]
        drawn += [] if render else layers
        if drawn:
            await self._service.emit(*drawn)
        self._truth.append(world.take_truth())
        self._account(wall_s)

    async def _show(self, wall_s: float, now_ns: int) -> None:
        """Write on OPC-UA what a real line's controllers would."""
        world, server = self._world, self._server
        await server.push_states(world.take_states())
        if wall_s >= self._states_due_s:
            await server.push_states(world.station_states())
            self._states_due_s = wall_s + _STATES_S
        await server.push_tags(self._schedule.due(world.tags(), wall_s, self.pace.speed), now_ns)
        await server.push_parts(world.take_material())
        await server.push_clock(self.pace.actual_speed, now_ns)

    def _account(self, wall_s: float) -> None:
        pace, counters = self.pace, self._service.counters
        counters["plant_speed"] = pace.actual_speed
        counters["plant_lost_wall_seconds_total"] = pace.lost_s
        counters["plant_lost_strips_total"] = self._film.lost_strips_count
        counters["plant_lost_layers_total"] = self._stack.lost_frames_count
        if pace.actual_speed < 0.8 * pace.speed and wall_s > self._slow_said_s + 30:
            self._slow_said_s = wall_s
            log.warning("the plant runs at %.1f instead of %.1f; this machine is busy", pace.actual_speed, pace.speed)

    async def save(self) -> None:
        """Write down where the line stands, so that the plant goes on from there when it is started again."""
        async with self._moving:
            self._world.forget()
            self._state.shown.rings = self._server.rings
            self._state.shown.place = self._film.place
            await self._in_thread(save_opened, self._service.site, self._state)

    async def _in_thread(self, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await asyncio.get_running_loop().run_in_executor(self._hand, partial(work, *args, **kwargs))

    async def obey(self, payload: bytes) -> bytes:
        """Answer a command; one that was answered before gets the same answer and does nothing."""
        try:
            command = _commands.decode(payload)
        except msgspec.DecodeError as error:
            return msgspec.json.encode(Done(id="", ok=False, detail=f"no command of the plant: {error}"))
        async with self._obeying:
            answer = self._answers.get(command.id)
            if answer is None:
                answer = self._answers[command.id] = await self._done(command)
                while len(self._answers) > _ANSWERS_KEPT:
                    del self._answers[next(iter(self._answers))]
                log.info("%s of %s: %s", type(command).__name__, command.person, answer.detail)
        return msgspec.json.encode(answer)

    async def _done(self, command: Command) -> Done:
        late_s = (time.time_ns() - command.expires_ns) / 1e9
        if late_s > 0:
            return Done(id=command.id, ok=False, detail=f"it expired {late_s:.1f} s ago; send it again")
        match command:
            case SetSpeed(speed=speed):
                self.pace.set_speed(speed)
                return Done(id=command.id, ok=True, detail=f"the line runs at {speed:g} plant seconds a second")
            case InjectFault(scenario=name, strength=strength):
                try:
                    scenario = load_scenario(name, self._service.line)
                except LamellaError as error:
                    return Done(id=command.id, ok=False, detail=str(error))
                async with self._moving:
                    self._world.inject(scenario, strength)
                return Done(id=command.id, ok=True, detail=f"{scenario.name} began: {scenario.title}")
            case _:
                return Done(id=command.id, ok=False, detail=f"{type(command).__name__} is no command of the plant")


def prepare(site: Site, progress: Callable[[str, float], None]) -> Path:
    """Make the line's past if it has none yet; the path of its journal.

    Args:
        site: settings.
        progress: told what is being done and which share of it is.

    Raises:
        LamellaError: the line or the saved world is not usable.
    """
    opened(site, load_line(site.line.model), progress)
    return site.state_dir / PAST


def _banks(site: Site, line: LineModel) -> tuple[FilmBank, StackBank]:
    """What pictures are put together from; seconds of work that would else stop the line at its first picture."""
    return film_bank(site.plant.seed, width_px=_film_camera(line).width_px), stack_bank(site.plant.seed)


def _film_camera(line: LineModel) -> Camera:
    return next(row for row in line.cameras if row.kind == "film")


def _give_back_memory() -> None:
    """What making past and textures took for a while: glibc keeps it, some 150 MB, unless asked."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


async def _whole(work: Coroutine[None, None, None]) -> None:
    """Finish work that has begun also when we are cancelled meanwhile: a thread may hold the world."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _reporter(service: Service) -> Callable[[str, float], None]:
    """Progress that stands in `/readyz` and, at every tenth, in the log."""
    said = -1

    def report(what: str, share: float) -> None:
        nonlocal said
        service.ready = f"{what}: {share:.0%}"
        if int(share * 10) != said:
            said = int(share * 10)
            log.info("%s: %.0f %%", what, share * 100)

    return report


def _announce(path: Path, endpoint: str) -> None:
    """Say where the server listens: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(endpoint, encoding="utf-8")
    temporary.replace(path)
    log.info("OPC-UA server at %s", endpoint)

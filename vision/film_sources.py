"""The sources of the film cameras as the settings say: opened, kept in touch with the line, and closed.

Cameras that stream learn from the line when a roll begins; what they lost and whether they are there is said as link
states and counters. Another maker's inspector has no frames: its findings go straight out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from line.config import Site
from line.errors import ConfigError, FrameError, LamellaError
from line.events import (
    AnyEvent,
    Event,
    FilmDefect,
    LinkState,
    RollEnded,
    RollStarted,
    StripInspected,
    WebMapped,
    decoded,
    tag_of,
)
from line.evidence import Evidence
from line.film_sources import KEY, SourceSetting, camera_file, require_cameras, source_of
from line.journal import read_entries
from line.model import Camera, LineModel
from line.service import Service
from vision.camera_check import CameraCheck
from vision.folder_source import FolderSource
from vision.foreign import ForeignInspector
from vision.foreign_rolls import LineRolls
from vision.genicam import found_camera, viva
from vision.live_source import LiveSource
from vision.pattern_feed import PatternFeed
from vision.sources import FrameSource

log = logging.getLogger(__name__)

_LOOK_S = 0.5
"""Between two looks at links and at the files of a foreign inspector."""
_EVENTS_COUNT = 500
"""Made durable together, of one file."""


@dataclass(slots=True, kw_only=True)
class FilmSources:
    """What the film cameras are fed by. Cameras that are in neither have a spool."""

    frames: dict[str, FrameSource] = field(default_factory=dict)
    live: list[LiveSource] = field(default_factory=list)
    foreign: dict[str, ForeignInspector] = field(default_factory=dict)
    settings: dict[str, SourceSetting] = field(default_factory=dict)
    rolls: LineRolls = field(default_factory=LineRolls)
    """That the line has spoken of, for the foreign inspectors."""

    def loops(self, service: Service, feed: PatternFeed) -> Iterator[Coroutine[None, None, None]]:
        """What must run beside inspection."""
        yield hear_line(service, self.live, feed, self.rolls)
        if self.live:
            yield tell_links(service, self.live, self.settings)
        for camera, inspector in self.foreign.items():
            yield watch(service, self.settings[camera], inspector, feed, self.rolls)


@asynccontextmanager
async def film_sources(service: Service) -> AsyncIterator[FilmSources]:
    """The sources of all fitted film cameras; cameras stream while inside.

    Raises:
        ConfigError: a source is wrong; names key, value and the next step.
    """
    site, line = service.site, service.line
    require_cameras(site.vision.sources, line)
    found = FilmSources()
    async with AsyncExitStack() as stack:
        for camera in line.film_cameras():
            setting = found.settings[camera.id] = source_of(site.vision.sources, camera)
            match setting.kind:
                case "genicam":
                    live = _live(camera, setting, site)
                    await asyncio.to_thread(stack.enter_context, live)
                    found.live.append(live)
                    found.frames[camera.id] = live
                case "folder":
                    found.frames[camera.id] = await asyncio.to_thread(_folder, camera, setting, site)
                case "foreign":
                    found.foreign[camera.id] = await asyncio.to_thread(_foreign, service, camera, setting)
                case "spool":
                    pass
        if found.foreign:
            found.rolls = await asyncio.to_thread(_line_rolls, service.journal.path)
        yield found


def require_sources(site: Site, line: LineModel) -> None:
    """Refuse what the vision role would not start with; a camera that does not answer is waited for, not refused.

    Raises:
        ConfigError: a source is wrong; names key or file, value and the next step.
    """
    require_cameras(site.vision.sources, line)
    for camera in line.film_cameras():
        setting = source_of(site.vision.sources, camera)
        match setting.kind:
            case "genicam":
                _live(camera, setting, site)
            case "folder":
                _folder(camera, setting, site)
            case "foreign":
                ForeignInspector(line, camera, Path(setting.place))
            case "spool":
                pass


def unreachable(setting: SourceSetting) -> str:
    """Why a source cannot be reached or used now; empty when it can. Blocks for half a second for a camera."""
    try:
        match setting.kind:
            case "genicam":
                found_camera(camera_file(setting.place))
            case "folder":
                if not Path(setting.place).exists() and not any(letter in setting.place for letter in "*?["):
                    return f"{setting.place}: no such folder"
            case "foreign":
                if not Path(setting.place).is_file():
                    return f"{setting.place}: no such mapping file"
            case "spool":
                pass
    except LamellaError as error:
        return str(error)
    return ""


async def hear_line(
    service: Service, live: list[LiveSource], feed: PatternFeed, rolls: LineRolls | None = None
) -> None:
    """The loop that tells cameras which roll passes, and finds patterns in what others say of film."""
    service.hear(RollStarted, RollEnded, WebMapped, FilmDefect, StripInspected)
    rolls = rolls or LineRolls()
    state_dir = service.site.state_dir
    checks = {camera.id: CameraCheck(camera, state_dir, drawn=True) for camera in service.line.film_cameras()}
    async for batch in service.heard_batches():
        for event in batch:
            rolls.heard(event)
            for source in live:
                if isinstance(event, RollStarted) and event.web == (source.camera.web or "film"):
                    source.roll_started(event.roll, event.at_ns)
                elif isinstance(event, RollEnded):
                    source.roll_ended(event.roll, event.length_um)
        patterns = feed.heard(batch)
        if patterns:
            await service.emit(*patterns)
            service.count("patterns_total", len(patterns))
        for event in batch:
            if isinstance(event, StripInspected) and event.method == "drawn" and event.camera in checks:
                said = checks[event.camera].heard(event)
                if said:
                    await service.emit(said)


async def tell_links(service: Service, live: list[LiveSource], settings: dict[str, SourceSetting]) -> None:
    """The loop that says whether cameras are there, and what was lost."""
    told: dict[str, tuple[str, str]] = {}
    while True:
        service.beat("cameras")
        totals: dict[str, int] = {}
        for source in live:
            name, link = source.camera.id, source.link
            if link.detail and told.get(name) != (link.state, link.detail):
                told[name] = (link.state, link.detail)
                await service.emit(_link(settings[name], link.state, link.detail))
            for counter, value in source.counters().items():
                totals[counter] = totals.get(counter, 0) + value
        service.counters.update(totals)
        await asyncio.sleep(_LOOK_S)


async def watch(
    service: Service, setting: SourceSetting, inspector: ForeignInspector, feed: PatternFeed, rolls: LineRolls
) -> None:
    """The loop of another maker's inspector."""
    told: tuple[str, str] | None = None
    warned: set[str] = set()
    refused = 0
    lists = f"lists of {inspector.model}"
    while True:
        service.beat(f"foreign {setting.camera}")
        for file in await asyncio.to_thread(lambda: list(inspector.look())):
            for first in range(0, len(file.events), _EVENTS_COUNT):
                events = file.events[first : first + _EVENTS_COUNT]
                await service.emit(*events, *feed.heard(events))
            service.count("foreign_files_total")
            service.count("foreign_rows_total", file.rows_count)
            service.count("foreign_rows_refused_total", len(file.refused))
            refused += len(file.refused)
            if file.refused:
                lists = f"lists of {inspector.model}; {refused} rows refused, the last: {file.refused[-1]}"
        unknown = rolls.unknown(inspector.rolls)
        for roll in (name for name in unknown if name not in warned):
            log.warning("%s: %s (%d defects so far)", setting, rolls.in_words([roll]), inspector.rolls[roll])
        warned.update(unknown)
        detail = "; ".join(filter(None, (lists, rolls.in_words(unknown))))
        there = inspector.folder.is_dir()
        now = ("up", detail) if there else ("down", f"{inspector.folder}: no such folder")
        if told != now:
            told = now
            await service.emit(_link(setting, "up" if there else "down", now[1]))
        await asyncio.sleep(_LOOK_S)


def _link(setting: SourceSetting, state: Literal["up", "stale", "down"], detail: str) -> LinkState:
    return LinkState(
        at_ns=time.time_ns(),
        link=f"camera {setting.camera}",
        endpoint=f"{setting.kind}:{setting.place}",
        state=state,
        detail=detail,
        wanted_count=1,
        live_count=int(state == "up"),
    )


def _live(camera: Camera, setting: SourceSetting, site: Site) -> LiveSource:
    viva()
    return LiveSource(camera, camera_file(setting.place), site.state_dir / "vision" / f"{camera.id}.json")


def _folder(camera: Camera, setting: SourceSetting, site: Site) -> FolderSource:
    try:
        return FolderSource(camera, setting.place, speed=site.vision.replay_speed)
    except FrameError as error:
        raise ConfigError(f"value {str(setting)!r}: {error}", key=KEY) from error


def _foreign(service: Service, camera: Camera, setting: SourceSetting) -> ForeignInspector:
    evidence = Evidence(service.site.state_dir / "evidence")
    known = _known(service.journal.path)
    return ForeignInspector(service.line, camera, Path(setting.place), evidence=evidence, known=known)


def _known(journal: Path) -> Iterator[AnyEvent]:
    """What was said of film before, so that a list that is read again says nothing twice."""
    return _kept(journal, FilmDefect, StripInspected, own=True, holding=b'"foreign"')


def _line_rolls(journal: Path) -> LineRolls:
    """The rolls that the line spoke of before this start."""
    return LineRolls(_kept(journal, RollStarted, WebMapped, own=False))


def _kept(journal: Path, *kinds: type[Event], own: bool, holding: bytes = b"") -> Iterator[AnyEvent]:
    """Events of some classes in a journal, in order."""
    names = tuple(f"/{tag_of(kind)}" for kind in kinds)
    for entry in read_entries(journal, own=own):
        if entry.topic.endswith(names) and holding in entry.payload:
            yield decoded(entry.payload)

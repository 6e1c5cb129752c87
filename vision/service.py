"""The vision role: frames from spools or cameras in, results out, always: also when nothing was found.

A frame is removed when its results are durable; what was being worked on when the service died is inspected again and
gives the same event ids.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from line.config import Site
from line.errors import FrameError
from line.events import LayerInspected
from line.evidence import Evidence
from line.frames import CornerHeader, StripHeader
from line.model import Camera, LineModel
from line.service import Service, open_service
from vision.camera_check import CameraCheck
from vision.film_memory import FilmMemory
from vision.film_models import FilmModel, opened_backbone, opened_models
from vision.film_sources import film_sources
from vision.parallel import ALONE, Crew
from vision.pattern_feed import PatternFeed
from vision.rate_memory import film_tail
from vision.session import ModelSession
from vision.sources import FrameSource, SpoolSource, Taken
from vision.stacks import StackInspector
from vision.strips import StripInspector, StripResult

log = logging.getLogger(__name__)

STACK_SPOOL = "sins"
_IDLE_S = 0.02
_LATENCIES_COUNT = 256
"""Latest frames that the quantiles of latency are taken over."""


async def serve(site: Site) -> None:
    """Inspect film and stacks until cancelled.

    Raises:
        LamellaError: a bundle, the line model or the journal is wrong, or there is no CUDA where it is required.
    """
    # Two sessions of one thread beat one of two, and so do two calls of OpenCV.
    cv2.setNumThreads(1)
    async with open_service("vision", site) as service:
        with Crew(site.vision.threads) as crew, ExitStack() as stack:
            models = await asyncio.to_thread(stack.enter_context, opened_models(site, service.line, crew))
            backbone = await asyncio.to_thread(stack.enter_context, opened_backbone(site))
            curves = {camera: model.bundle.standing_detection for camera, model in models.items()}
            feed = PatternFeed(service.line, curves, site.state_dir)
            await service.emit(*await asyncio.to_thread(lambda: feed.resume(film_tail(service.journal.path))))
            async with film_sources(service) as sources, asyncio.TaskGroup() as group:
                for camera in film_cameras(service.line):
                    if camera.id not in sources.foreign:
                        source = sources.frames.get(camera.id)
                        film = inspect_film(
                            service, camera, models[camera.id], source, crew=crew, feed=feed, backbone=backbone
                        )
                        group.create_task(film, name=f"film {camera.id}")
                for loop in sources.loops(service, feed):
                    group.create_task(loop)
                group.create_task(inspect_stacks(service), name="stacks")
                service.ready = ""


def film_cameras(line: LineModel) -> list[Camera]:
    """The cameras that look at a web; those that are only planned are passed over."""
    return list(line.film_cameras())


async def inspect_film(
    service: Service,
    camera: Camera,
    model: FilmModel,
    source: FrameSource | None = None,
    *,
    crew: Crew = ALONE,
    feed: PatternFeed | None = None,
    backbone: ModelSession | None = None,
) -> None:
    """The loop of one film camera, from its spool if it has no other source; returns when the source has ended."""
    site = service.site
    source = source or SpoolSource(spool_folder(site, camera.id), site.state_dir / "spool" / "refused")
    inspector = StripInspector(
        service.line,
        camera,
        model,
        now_ns=time.time_ns,
        evidence=Evidence(site.state_dir / "evidence"),
        false_alarms_per_m2=site.vision.false_alarms_per_m2,
        most_candidates=site.vision.candidates_per_strip,
        crew=crew,
        check=CameraCheck(camera, site.state_dir, policy=site.vision.calibration),
        film=FilmMemory(backbone, camera) if backbone else None,
    )
    feed = feed or PatternFeed(service.line)
    latency = Latencies(service, "film")
    pending: deque[Taken] = deque()
    while True:
        frame = await _next(service, source, f"film {camera.id}")
        if frame is None:
            await _tell(service, source, pending, await asyncio.to_thread(inspector.finish), feed, latency)
            log.info("%s: all was played", camera.id)
            return
        if not isinstance(frame.header, StripHeader):
            _refused(service, source, frame)
            continue
        results = await _strip_results(service, inspector, frame, frame.header, pending)
        if results is None:
            await service.emit(inspector.unreadable(frame.header).strip)
            _refused(service, source, frame)
            continue
        await _tell(service, source, pending, results, feed, latency)


async def _tell(
    service: Service,
    source: FrameSource,
    pending: deque[Taken],
    results: list[StripResult],
    feed: PatternFeed,
    latency: Latencies,
) -> None:
    """Make results durable, then let go of their frames."""
    for result in results:
        patterns = feed.seen(result.strip, result.defects)
        others = [event for event in (result.camera, result.profile) if event is not None]
        await service.emit(result.strip, *result.defects, *patterns, *others)
        source.done(pending.popleft())
        service.count("strips_total")
        service.count("candidates_total", result.strip.candidates_count)
        service.count("defects_total", result.strip.defects_count)
        service.count("patterns_total", len(patterns))
        service.count("lines_missed_total", result.strip.missed_lines_count)
        service.count("strips_over_capacity_total", result.strip.state == "over_capacity")
        service.count("strips_uncalibrated_total", result.strip.state == "uncalibrated")
        latency.add(result.strip.latency_ms)


async def _strip_results(
    service: Service, inspector: StripInspector, frame: Taken, header: StripHeader, pending: deque[Taken]
) -> list[StripResult] | None:
    """Results due after a frame; None when it cannot be inspected at all."""
    if frame.planes is None:
        log.warning("%s", frame.error)
        return None
    pending.append(frame)
    try:
        return await asyncio.to_thread(inspector.inspect, header, frame.planes)
    except FrameError as error:
        log.warning("%s: %s", frame.name, error)
        pending.pop()
        return None


async def inspect_stacks(service: Service) -> None:
    """The loop of the corner cameras."""
    site = service.site
    source = SpoolSource(spool_folder(site, STACK_SPOOL), site.state_dir / "spool" / "refused")
    inspector = StackInspector(
        service.line.product(), now_ns=time.time_ns, evidence=Evidence(site.state_dir / "evidence")
    )
    latency = Latencies(service, "stack")
    while True:
        frame = await _next(service, source, "stacks")
        assert frame is not None, "a spool does not end"
        if not isinstance(frame.header, CornerHeader):
            _refused(service, source, frame)
            continue
        if frame.planes is None:
            await service.emit(inspector.unreadable(frame.header, frame.error))
            _refused(service, source, frame)
            continue
        event: LayerInspected = await asyncio.to_thread(inspector.inspect, frame.header, frame.planes)
        await service.emit(event)
        source.done(frame)
        service.count("layers_total")
        service.count("layers_uninspected_total", event.verdict == "uninspected")
        latency.add(event.latency_ms)


def spool_folder(site: Site, group: str) -> Path:
    """Where a camera group puts its frames."""
    return site.state_dir / "spool" / group


class Latencies:
    """Quantiles of the latest latencies, shown as gauges."""

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self._name = name
        self._latest: deque[float] = deque(maxlen=_LATENCIES_COUNT)

    def add(self, latency_ms: float) -> None:
        """Take in a frame's latency."""
        self._latest.append(latency_ms)
        p50, p95 = np.quantile(self._latest, (0.5, 0.95))
        self._service.counters[f"{self._name}_latency_p50_ms"] = float(p50)
        self._service.counters[f"{self._name}_latency_p95_ms"] = float(p95)


async def _next(service: Service, source: FrameSource, loop: str) -> Taken | None:
    """The next frame, however long that takes; None when there will be none."""
    while True:
        service.beat(loop)
        frame = await asyncio.to_thread(source.take)
        if frame is not None:
            return frame
        if source.ended:
            return None
        await asyncio.sleep(_IDLE_S)


def _refused(service: Service, source: FrameSource, frame: Taken) -> None:
    service.count("frames_refused_total")
    log.warning("%s: refused: %s", frame.name, frame.error or "not a frame of this camera")
    source.refuse(frame)

"""The vision role: frames from the spools in, results out, always: also when nothing was found.

A frame is removed when its results are durable; what was being worked on when the service died is inspected again and
gives the same event ids.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from pathlib import Path

import cv2
import numpy as np

from line.bundle import open_bundle
from line.config import Site
from line.errors import FrameError
from line.events import LayerInspected
from line.evidence import Evidence
from line.frames import CornerHeader, StripHeader
from line.model import Camera, LineModel
from line.service import Service, open_service
from vision.candidates import Classifier
from vision.session import ModelSession, verify_golden
from vision.sources import SpoolSource, Taken
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
        LamellaError: the bundle, the line model or the journal is wrong.
    """
    # Two sessions of one thread beat one of two, and so do two calls of OpenCV.
    cv2.setNumThreads(1)
    async with open_service("vision", site) as service:
        bundle = await asyncio.to_thread(open_bundle, Path(site.vision.film_model), task="film-candidates")
        with ModelSession(bundle, site.vision.provider) as session:
            await asyncio.to_thread(verify_golden, session)
            async with asyncio.TaskGroup() as group:
                for camera in film_cameras(service.line):
                    group.create_task(inspect_film(service, camera, Classifier(session)), name=f"film {camera.id}")
                group.create_task(inspect_stacks(service), name="stacks")
                service.ready = ""


def film_cameras(line: LineModel) -> list[Camera]:
    """The cameras that look at a web."""
    return [camera for camera in line.cameras if camera.kind == "film"]


async def inspect_film(service: Service, camera: Camera, classifier: Classifier) -> None:
    """The loop of one film camera."""
    site = service.site
    source = SpoolSource(spool_folder(site, camera.id), site.state_dir / "spool" / "refused")
    inspector = StripInspector(
        service.line,
        camera,
        classifier,
        now_ns=time.time_ns,
        evidence=Evidence(site.state_dir / "evidence"),
        false_alarms_per_m2=site.vision.false_alarms_per_m2,
        most_candidates=site.vision.candidates_per_strip,
    )
    latency = Latencies(service, "film")
    pending: deque[Taken] = deque()
    while True:
        frame = await _next(service, source, f"film {camera.id}")
        if not isinstance(frame.header, StripHeader):
            _refused(service, source, frame)
            continue
        results = await _strip_results(service, inspector, frame, frame.header, pending)
        if results is None:
            await service.emit(inspector.unreadable(frame.header).strip)
            _refused(service, source, frame)
            continue
        for result in results:
            await service.emit(result.strip, *result.defects)
            source.done(pending.popleft())
            service.count("strips_total")
            service.count("candidates_total", result.strip.candidates_count)
            service.count("defects_total", result.strip.defects_count)
            service.count("strips_over_capacity_total", result.strip.state == "over_capacity")
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
        log.warning("%s: %s", frame.path, error)
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


async def _next(service: Service, source: SpoolSource, loop: str) -> Taken:
    """The next frame, however long that takes."""
    while True:
        service.beat(loop)
        frame = await asyncio.to_thread(source.take)
        if frame is not None:
            return frame
        await asyncio.sleep(_IDLE_S)


def _refused(service: Service, source: SpoolSource, frame: Taken) -> None:
    service.count("frames_refused_total")
    log.warning("%s: moved aside: %s", frame.path, frame.error or "not a frame of this camera")
    source.refuse(frame)

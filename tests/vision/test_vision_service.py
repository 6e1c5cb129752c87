from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from line.bundle import open_bundle
from line.config import LineSettings, Site, VisionSettings
from line.errors import BundleError
from line.events import AnyEvent, FilmDefect, LayerInspected, StripInspected
from line.frames import SpoolWriter, waiting
from line.service import open_service
from tests.vision.made_film import MadeFilm, pinhole, streak
from tests.vision.made_stack import cathode, corner_header, corner_pictures, laminate
from tests.vision.vision_role import emitted, serving
from vision.candidates import Classifier
from vision.service import film_cameras, inspect_film, serve, spool_folder
from vision.session import ModelSession

Strips = list[NDArray[np.uint8]]


@pytest.fixture
def vision_site(site: Site, tmp_path: Path, bundle_folder: Path) -> Site:
    """A site whose film camera has 3,000 pixels."""
    text = (files("line") / "lines" / "assb-20-agc.toml").read_text(encoding="utf-8")
    model = tmp_path / "narrow.toml"
    model.write_text(text.replace("width_px = 15_000", "width_px = 3_000"), encoding="utf-8")
    return msgspec.structs.replace(
        site,
        line=LineSettings(model=str(model), state_dir=site.line.state_dir),
        vision=VisionSettings(film_model=str(bundle_folder), provider="cpu", backbone=""),
    )


async def wait_for_strips(site: Site, count: int, seconds: float = 30.0) -> list[AnyEvent]:
    async with asyncio.timeout(seconds):
        while True:
            events = await asyncio.to_thread(emitted, site)
            if sum(isinstance(event, StripInspected | LayerInspected) for event in events) >= count:
                return events
            await asyncio.sleep(0.05)


async def wait_until_empty(folder: Path, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        # The folder is a file system's: nothing can be awaited there.
        while waiting(folder):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def strips_of(events: list[AnyEvent]) -> list[StripInspected]:
    return [event for event in events if isinstance(event, StripInspected)]


@pytest.mark.parametrize("threads", [1, 2])
async def test_frames_become_durable_results_and_are_removed(
    vision_site: Site, film: MadeFilm, good_strips: Strips, threads: int
) -> None:
    settings = msgspec.structs.replace(vision_site.vision, threads=threads)
    vision_site = msgspec.structs.replace(vision_site, vision=settings)
    folder = spool_folder(vision_site, "fins-1")
    writer = SpoolWriter(folder)
    planted = {8: [pinhole(100, 1500, 100), streak(900, 300)], 9: [streak(900, 300)]}
    async with serving(vision_site):
        for number in range(11):
            planes = good_strips[number] if number < 8 else film.planes(500 + number, planted.get(number, ()))
            assert writer.write(film.header(number, wall_ns=time.time_ns()), planes)
        events = await wait_for_strips(vision_site, 11)
        await wait_until_empty(folder)
    strips = strips_of(events)
    assert [strip.strip for strip in strips] == list(range(11))
    assert {strip.state for strip in strips} == {"inspected"}
    assert [strip.defects_count for strip in strips] == [0] * 8 + [2, 1, 0]
    defects = [event for event in events if isinstance(event, FilmDefect)]
    assert [(defect.kind, defect.revision) for defect in defects if defect.kind == "STR"] == [("STR", 1), ("STR", 2)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {event.source for event in events} == {"vision@test"}
    assert all(0 < strip.latency_ms < 30_000 for strip in strips)
    picture = vision_site.state_dir / "evidence" / defects[0].image[:2] / f"{defects[0].image}.png"
    assert picture.is_file()


async def test_frames_left_by_a_service_that_died_are_inspected_once(
    vision_site: Site, film: MadeFilm, good_strips: Strips
) -> None:
    folder = spool_folder(vision_site, "fins-1")
    writer = SpoolWriter(folder)
    for number in range(8):
        writer.write(film.header(number), good_strips[number])
    async with serving(vision_site):
        await wait_for_strips(vision_site, 8)
    # The frames come back as if they had not been removed before the end.
    for number in range(8):
        writer.write(film.header(number), good_strips[number])
    writer.write(film.header(8), film.planes(600))
    async with serving(vision_site):
        events = await wait_for_strips(vision_site, 9)
        await wait_until_empty(folder)
    assert [strip.strip for strip in strips_of(events)] == list(range(9))


async def test_a_truncated_frame_is_reported_and_moved_aside_and_the_next_is_inspected(
    vision_site: Site, film: MadeFilm, good_strips: Strips
) -> None:
    folder = spool_folder(vision_site, "fins-1")
    writer = SpoolWriter(folder)
    for number in range(8):
        writer.write(film.header(number), good_strips[number])
    writer.write(film.header(8), good_strips[0])
    broken = waiting(folder)[-1]
    broken.write_bytes(broken.read_bytes()[:100_000])
    (folder / "999999999998.frame").write_bytes(b"rubbish")
    writer.write(film.header(9), good_strips[1])
    async with serving(vision_site):
        events = await wait_for_strips(vision_site, 10)
        await wait_until_empty(folder)
    states = {strip.strip: strip.state for strip in strips_of(events)}
    assert states[8] == "unreadable"
    assert states[9] == "inspected"
    refused = sorted(path.name for path in (vision_site.state_dir / "spool" / "refused").iterdir())
    assert refused == [f"fins-1-{broken.name}", "fins-1-999999999998.frame"]


async def test_layers_are_inspected_from_their_own_spool(vision_site: Site) -> None:
    writer = SpoolWriter(spool_folder(vision_site, "sins"))
    lower, upper = laminate(20, 0), cathode(-30, 10)
    writer.write(corner_header(1, "laminate"), corner_pictures([lower]))
    writer.write(corner_header(2, "cathode"), corner_pictures([lower, upper], seed=1))
    async with serving(vision_site):
        events = await wait_for_strips(vision_site, 2)
    layers = [event for event in events if isinstance(event, LayerInspected)]
    assert [(layer.layer, layer.verdict, len(layer.overhangs)) for layer in layers] == [(1, "pass", 0), (2, "pass", 8)]
    assert layers[1].overhangs[0].value_um == pytest.approx(1000 - 20 - 30, abs=10)


async def test_counts_and_latency_are_kept_for_the_metrics(
    vision_site: Site, film: MadeFilm, good_strips: Strips, bundle_folder: Path
) -> None:
    writer = SpoolWriter(spool_folder(vision_site, "fins-1"))
    for number in range(8):
        writer.write(film.header(number, wall_ns=time.time_ns()), good_strips[number])
    with ModelSession(open_bundle(bundle_folder), "cpu") as session:
        async with open_service("vision", vision_site) as service:
            camera = film_cameras(service.line)[0]
            task = asyncio.create_task(inspect_film(service, camera, Classifier(session)))
            await wait_for_strips(vision_site, 8)
            await wait_until_empty(spool_folder(vision_site, "fins-1"))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            counters = service.counters
    assert counters["strips_total"] == 8
    assert counters["film_latency_p95_ms"] >= counters["film_latency_p50_ms"] > 0


async def test_a_missing_bundle_stops_the_start(vision_site: Site, tmp_path: Path) -> None:
    site = msgspec.structs.replace(vision_site, vision=VisionSettings(film_model=str(tmp_path / "none")))
    with pytest.raises(BaseExceptionGroup) as raised:
        await serve(site)
    assert raised.group_contains(BundleError, match="no manifest.json")


def test_it_starts_where_there_is_no_plant() -> None:
    code = "import sys; sys.modules['plant'] = None; import vision.service; print('plant' in str(vision.service))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""The vision role fed by a camera, a folder of recorded film, and another maker's lists."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from line.config import LineSettings, Site, VisionSettings
from line.errors import ConfigError
from line.events import AnyEvent, FilmDefect, LinkState, RollStarted, StripInspected
from line.film_sources import source_settings
from line.frames import SpoolWriter, waiting
from line.model import load_line
from line.service import open_service
from tests.vision.made_film import MadeFilm, pinhole
from tests.vision.test_foreign import MAPPING, ROWS, write
from tests.vision.test_genicam import SERIAL, aravis
from tests.vision.vision_role import emitted, serving
from vision.film_sources import require_sources, unreachable
from vision.service import serve


@pytest.fixture
def small_line(tmp_path: Path) -> Callable[[int], str]:
    """A line whose film camera has few pixels and stands 60 mm behind the die."""

    def path(width_px: int) -> str:
        text = (files("line") / "lines" / "assb-20-agc.toml").read_text(encoding="utf-8")
        text = text.replace("width_px = 15_000", f"width_px = {width_px}").replace("8_000_000", "60_000")
        model = tmp_path / "small.toml"
        model.write_text(text.replace("strip_lines = 256", "strip_lines = 170", 1), encoding="utf-8")
        return str(model)

    return path


def with_source(site: Site, bundle: Path, model: str, source: str) -> Site:
    return msgspec.structs.replace(
        site,
        line=LineSettings(model=model, state_dir=site.line.state_dir),
        vision=VisionSettings(film_model=str(bundle), provider="cpu", backbone="", sources=source, replay_speed=0),
    )


async def until(site: Site, holds: Callable[[list[AnyEvent]], bool], seconds: float = 30.0) -> list[AnyEvent]:
    deadline = time.monotonic() + seconds
    while True:
        events = await asyncio.to_thread(emitted, site)
        if holds(events):
            return events
        assert time.monotonic() < deadline, [event for event in events if isinstance(event, LinkState)]
        await asyncio.sleep(0.05)


def strips(events: list[AnyEvent]) -> list[StripInspected]:
    return [event for event in events if isinstance(event, StripInspected)]


def links(events: list[AnyEvent]) -> list[str]:
    return [event.state for event in events if isinstance(event, LinkState)]


async def test_a_camera_on_the_line_is_inspected_from_where_the_roll_begins(
    site: Site, broker: object, bundle_folder: Path, small_line: Callable[[int], str], tmp_path: Path
) -> None:
    """A camera, a PLC that says a roll began, and the link's state while the camera is off."""
    file = tmp_path / "fins-1.toml"
    file.write_text(f'camera = "{SERIAL}"\ninterface = "127.0.0.1"\nfeatures = ["Width=512", "Height=510"]\n')
    site = with_source(site, bundle_folder, small_line(512), f"fins-1=genicam:{file}")
    async with open_service("plc", site) as plc, serving(site):
        with aravis() as process:
            await until(site, lambda events: "up" in links(events))
            assert not strips(await asyncio.to_thread(emitted, site))
            await plc.emit(RollStarted(at_ns=time.time_ns(), station="S03", counter=1, roll="FR-5", web="film"))
            events = await until(site, lambda events: len(strips(events)) >= 9)
            process.kill()
        events = await until(site, lambda events: links(events)[-1] == "down")
    found = strips(events)
    assert {strip.roll for strip in found} == {"FR-5"}
    assert found[0].md_start_um == pytest.approx(0, abs=20)
    assert [strip.strip for strip in found] == list(range(len(found)))
    assert [strip.md_start_um - found[0].md_start_um for strip in found] == [3400 * strip.strip for strip in found]
    link = next(event for event in events if isinstance(event, LinkState))
    assert (link.link, link.wanted_count) == ("camera fins-1", 1)
    place = json.loads((site.state_dir / "vision" / "fins-1.json").read_text())
    assert (place["roll"], place["strip"]) == ("FR-5", len(found))


async def test_a_recording_is_inspected_once_however_often_it_is_played(
    site: Site, broker: object, bundle_folder: Path, small_line: Callable[[int], str], tmp_path: Path
) -> None:
    """Five strips, fewer than good film is learnt from: they are inspected when the folder has been played."""
    film = MadeFilm(width_px=3000, lines=170)
    writer = SpoolWriter(tmp_path / "rec")
    for number in (0, 1, 2, 3, 6):
        planted = [pinhole(100, 1500, 120)] if number == 3 else []
        assert writer.write(film.header(number), film.planes(number, planted))
    site = with_source(site, bundle_folder, small_line(3000), f"fins-1=folder:{tmp_path / 'rec'}")
    async with serving(site):
        await until(site, lambda events: len(strips(events)) >= 5)
    assert writer.write(film.header(7), film.planes(7))
    async with serving(site):
        events = await until(site, lambda events: len(strips(events)) >= 6)
    assert [strip.strip for strip in strips(events)] == [0, 1, 2, 3, 6, 7]
    assert [strip.missed_lines_count for strip in strips(events)] == [0, 0, 0, 0, 340, 0]
    assert {strip.state for strip in strips(events)} == {"inspected"}
    assert [event.kind for event in events if isinstance(event, FilmDefect)] == ["PIN"]
    assert len(waiting(tmp_path / "rec")) == 6


async def test_another_inspectors_list_goes_out_once_however_often_vision_starts(
    site: Site, broker: object, bundle_folder: Path, small_line: Callable[[int], str], tmp_path: Path
) -> None:
    (tmp_path / "lists" / "img").mkdir(parents=True)
    mapping = tmp_path / "acme.toml"
    mapping.write_text(MAPPING, encoding="utf-8")
    write(mapping, *ROWS, "Fehler;FR-1;20;24.11.2026 09:05:00;Riss;2;;40;130;;;")
    site = with_source(site, bundle_folder, small_line(15_000), f"fins-1=foreign:{mapping}")
    async with serving(site):
        events = await until(site, lambda events: len(events) >= 5)
    link = next(event for event in reversed(events) if isinstance(event, LinkState))
    assert link.state == "up"
    assert "1 rows refused" in link.detail
    assert "'Riss'" in link.detail
    assert [event.kind for event in events if isinstance(event, FilmDefect)] == ["PIN", "MET"]
    write(mapping, *ROWS, "Fehler;FR-1;21;24.11.2026 09:06:00;Loch;3;;40;130;;;")
    async with serving(site):
        events = await until(site, lambda events: sum(isinstance(event, FilmDefect) for event in events) >= 3)
    assert sum(isinstance(event, FilmDefect) for event in events) == 3
    assert len(strips(events)) == 1


async def test_a_listed_roll_that_the_line_never_began_is_said_once_and_its_defects_are_kept(
    site: Site,
    broker: object,
    bundle_folder: Path,
    small_line: Callable[[int], str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "lists" / "img").mkdir(parents=True)
    mapping = tmp_path / "acme.toml"
    mapping.write_text(MAPPING, encoding="utf-8")
    strange = [row.replace(";FR-1;", ";FR1;") for row in ROWS]
    write(mapping, *ROWS, *strange)
    site = with_source(site, bundle_folder, small_line(15_000), f"fins-1=foreign:{mapping}")

    def details(events: list[AnyEvent]) -> list[str]:
        return [event.detail for event in events if isinstance(event, LinkState)]

    async with open_service("plc", site) as plc, serving(site):
        await until(site, lambda events: any("'FR1'" in detail for detail in details(events)))
        await plc.emit(RollStarted(at_ns=time.time_ns(), station="S03", counter=1, roll="FR-1", web="film"))
        events = await until(site, lambda events: "'FR-1'" not in details(events)[-1])
    assert "has not said that it began roll 'FR1' (FR-1?)" in details(events)[-1]
    # By then both were strange, each is warned of once and no more.
    warned = [row.getMessage() for row in caplog.records if "has not said that it began" in row.getMessage()]
    assert len(warned) == 2
    assert "began roll 'FR1'" in "".join(warned) and "(2 defects so far)" in warned[0]
    assert [event.roll for event in events if isinstance(event, FilmDefect)] == ["FR-1", "FR-1", "FR1", "FR1"]
    assert {strip.roll for strip in strips(events)} == {"FR-1", "FR1"}
    async with serving(site):
        count = len(details(events))
        events = await until(site, lambda events: len(details(events)) > count)
    assert "'FR-1'" not in details(events)[-1], "what the line said before a restart is not forgotten"
    assert "'FR1'" in details(events)[-1]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("fins-9=genicam:1", "no film camera 'fins-9'"),
        ("fins-1=folder:/nowhere", "nothing there to play"),
        ("fins-1=foreign:/nowhere.toml", "cannot be read"),
    ],
)
async def test_a_source_that_cannot_be_stops_the_start_with_its_name(
    site: Site, broker: object, bundle_folder: Path, small_line: Callable[[int], str], source: str, says: str
) -> None:
    with pytest.raises(BaseExceptionGroup) as raised:
        await serve(with_source(site, bundle_folder, small_line(512), source))
    assert raised.group_contains(ConfigError, match=says)


def test_what_cannot_be_reached_is_named(tmp_path: Path) -> None:
    (folder,) = source_settings(f"fins-1=folder:{tmp_path}")
    assert unreachable(folder) == ""
    (folder,) = source_settings("fins-1=folder:/nowhere")
    assert "no such folder" in unreachable(folder)
    (camera,) = source_settings("fins-1=genicam:NOBODY")
    assert "no camera NOBODY answers" in unreachable(camera)
    with aravis():
        (camera,) = source_settings(f"fins-1=genicam:{SERIAL}")
        assert unreachable(camera) == ""


def test_a_camera_that_does_not_answer_is_no_wrong_source(site: Site, bundle_folder: Path, tmp_path: Path) -> None:
    line = load_line()
    require_sources(with_source(site, bundle_folder, "", "fins-1=genicam:NOBODY"), line)
    file = tmp_path / "fins-1.toml"
    file.write_text('camera = "NOBODY"\nchannel_order = ["BF", "DF", "UV"]\n')
    with pytest.raises(ConfigError, match="UV"):
        require_sources(with_source(site, bundle_folder, "", f"fins-1=genicam:{file}"), line)

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from line.config import Site, VisionSettings
from line.events import FilmDefect, FilmPattern, RollStarted, StripInspected, decoded
from line.journal import read_entries
from line.model import load_line
from line.service import open_service
from tests.vision.made_defects import STRIP_UM, defect, strip
from tests.vision.vision_role import emitted, serving
from vision.film_sources import hear_line
from vision.pattern_feed import PatternFeed


@pytest.fixture
def feed() -> PatternFeed:
    return PatternFeed(load_line())


def pinholes(md_um: int, *, roll: str = "FR-1") -> list[FilmDefect]:
    return [defect("PIN", md_um + 700 * k, 60_000, roll=roll) for k in range(3)]


def test_defects_may_come_before_or_after_their_strip(feed: PatternFeed) -> None:
    (first,) = feed.heard([*pinholes(10_000), strip(0, STRIP_UM)])
    assert (first.form, first.md_start_um) == ("cluster", 9_950)
    assert feed.heard([strip(STRIP_UM, 2 * STRIP_UM), *pinholes(STRIP_UM + 10_000)]) == []
    (second,) = feed.heard([strip(2 * STRIP_UM, 3 * STRIP_UM)])
    assert second.md_start_um == STRIP_UM + 9_950
    # What lies on film that is still to come waits for it.
    assert feed.heard([*pinholes(5 * STRIP_UM), strip(3 * STRIP_UM, 4 * STRIP_UM)]) == []
    assert len(feed.heard([strip(4 * STRIP_UM, 6 * STRIP_UM)])) == 1


def test_defects_of_a_roll_that_is_over_are_dropped(feed: PatternFeed) -> None:
    assert feed.heard([*pinholes(10_000, roll="FR-0"), strip(0, STRIP_UM, roll="FR-1")]) == []
    assert feed.heard([strip(0, STRIP_UM, roll="FR-0")]) == []


def test_what_an_unknown_camera_says_is_passed_over(feed: PatternFeed) -> None:
    events: list[FilmDefect | StripInspected] = [*pinholes(10_000), strip(0, STRIP_UM)]
    elsewhere = [msgspec.structs.replace(row, camera="x-1") for row in events]
    assert feed.heard(elsewhere) == []


@pytest.mark.usefixtures("broker")
async def test_drawn_defects_of_the_plant_become_patterns_of_vision(site: Site) -> None:
    async with open_service("vision", site) as vision, open_service("plant", site) as plant:
        hearing = asyncio.create_task(hear_line(vision, [], PatternFeed(vision.line)))
        found: list[FilmPattern] = []
        async with asyncio.timeout(20):
            for number in range(200):
                start = number * STRIP_UM
                await plant.emit(*pinholes(start + 10_000), strip(start, start + STRIP_UM))
                await asyncio.sleep(0.1)
                journal = site.state_dir / "journals" / "vision.journal"
                events = [decoded(entry.payload) for entry in read_entries(journal, own=True)]
                found = [event for event in events if isinstance(event, FilmPattern)]
                if found:
                    break
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
    assert found[0].source == "vision@test"
    assert (found[0].form, found[0].verdict) == ("cluster", "reject")


@pytest.mark.usefixtures("broker")
async def test_vision_that_is_ended_within_a_cluster_goes_on_with_it(site: Site, bundle_folder: Path) -> None:
    site = msgspec.structs.replace(
        site, vision=VisionSettings(film_model=str(bundle_folder), provider="cpu", backbone="")
    )
    pins = [msgspec.structs.replace(row, method="drawn") for row in pinholes(STRIP_UM - 1_000)]
    strips = [msgspec.structs.replace(strip(k * STRIP_UM, (k + 1) * STRIP_UM), method="drawn") for k in range(2)]

    journal = site.state_dir / "journals" / "vision.journal"

    def heard_ids() -> list[str]:
        return [entry.id for entry in read_entries(journal, own=False)] if journal.exists() else []

    async with open_service("plant", site) as plant:
        for said in ([*pins[:2], strips[0]], [*pins[2:], strips[1]]):
            async with serving(site), asyncio.timeout(30):
                before = heard_ids()
                while heard_ids() == before:
                    # Until vision has subscribed, nobody hears.
                    await plant.emit(RollStarted(at_ns=time.time_ns(), station="S03", roll="FR-1", web="film"))
                    await asyncio.sleep(0.2)
                last = (await plant.emit(*said))[-1]
                for _ in range(200):
                    await asyncio.sleep(0.1)
                    if last.id in heard_ids():
                        break
    (cluster,) = [event for event in emitted(site) if isinstance(event, FilmPattern)]
    assert (cluster.form, cluster.defects) == ("cluster", tuple(pin.defect for pin in pins))

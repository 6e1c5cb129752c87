"""The pages in a real Chromium, over a real broker, with a twin that answers by script."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import cv2
import msgspec
import numpy as np
import pytest
from iotcore import Broker
from playwright.async_api import Browser, ConsoleMessage, Page, Route, async_playwright, expect

import lamella.web
from lamella.broker import broker_config
from line.commands import InjectFault, SetSpeed
from line.config import BrokerSettings, Site
from line.events import StationState
from line.queries import Span
from tests.conftest import absent, wait_for_port
from tests.lamella.canned import CELL, KILLER, LAMP, NOW_NS, ROLL, camera_checked, film_defect, film_pattern
from tests.lamella.rig import Rig, running_console

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
SIZE = {"width": 1366, "height": 768}
PAGES = {
    "/": "flow", "/rolls": "rolls", f"/rolls/{ROLL}": "defects-in-view", "/cells": "cells", f"/cells/{CELL}": "layers",
    "/yield": "track", "/api/v1/docs": "operations",
}  # fmt: skip
EN = Path(lamella.web.__file__).parent / "static" / "i18n" / "en.json"
ALARM_COLOURS = ("#b3001b", "#f08a24", "#f0d53c")


class Window:
    """A page and what it did that it should not."""

    def __init__(self, page: Page, rig: Rig) -> None:
        self.page = page
        self.rig = rig
        self.strayed: list[str] = []
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._said)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.rig.url}{path}")

    async def judge(self, route: Route) -> None:
        """Nothing but the console itself may be asked for."""
        if route.request.url.startswith((f"{self.rig.url}/", "data:", "blob:")):
            await route.continue_()
        else:
            self.strayed.append(route.request.url)
            await route.abort()

    async def is_within_its_width(self) -> bool:
        return bool(await self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))

    async def state(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.page.evaluate("window.__ui.state")
        return found


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        absent("chromium", "install Debian's package chromium")
        raise AssertionError
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture
async def rig(site: Site, broker: BrokerSettings) -> AsyncIterator[Rig]:
    async with running_console(site) as found:
        yield found


@pytest.fixture
async def window(chromium: Browser, rig: Rig) -> AsyncIterator[Window]:
    yield await opened(chromium, rig)


async def opened(chromium: Browser, rig: Rig, **options: Any) -> Window:
    context = await chromium.new_context(viewport=SIZE, color_scheme="light", **options)  # type: ignore[arg-type]
    window = Window(await context.new_page(), rig)
    await context.route("**/*", window.judge)
    return window


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
async def test_every_page_renders_within_its_width_and_asks_nobody_but_the_console(window: Window, theme: str) -> None:
    await window.page.add_init_script(f"localStorage.setItem('lamella.theme', '{theme}')")
    for path, landmark in PAGES.items():
        await window.go(path)
        await expect(window.page.get_by_test_id(landmark)).to_be_visible()
        if not path.startswith("/api"):
            await expect(window.page.get_by_test_id("simulated")).to_contain_text("SIMULATED")
            await expect(window.page.get_by_test_id("clock")).to_contain_text("2026-11-24")
            await expect(window.page.get_by_test_id("data-age")).to_contain_text(re.compile(r"\d\.\d\ss"))
        assert await window.page.evaluate("document.documentElement.dataset.theme") == theme
        assert await window.is_within_its_width(), path
    assert window.strayed == []
    assert window.complaints == []


async def test_texts_that_are_two_fifths_longer_still_fit(window: Window) -> None:
    """What German does to English, on the smallest screen."""
    longer = {key: f"{text}{'~' * (2 * len(text) // 5)}" for key, text in json.loads(EN.read_text()).items()}

    async def padded(route: Route) -> None:
        await route.fulfill(json=longer)

    await window.page.route("**/i18n/en.json", padded)
    for path, landmark in PAGES.items():
        await window.go(path)
        await expect(window.page.get_by_test_id(landmark)).to_be_visible()
        assert await window.is_within_its_width(), path


async def test_the_line_shows_states_in_words_and_what_is_abnormal(window: Window) -> None:
    await window.go("/")
    await expect(window.page.get_by_test_id("station-S03")).to_contain_text("EXECUTE")
    await expect(window.page.get_by_test_id("station-S10")).to_contain_text("HELD")
    await expect(window.page.get_by_test_id("abnormal")).to_contain_text("CAST PumpPressure outside its alarm limits")
    await expect(window.page.get_by_test_id("forecast-value")).to_have_text("94.1\u00a0%")
    await expect(window.page.get_by_test_id("passed")).to_have_text("126 cells, 118 passed")
    await expect(window.page.get_by_test_id("forecast")).to_contain_text("66 cells to come from the newest film")
    await expect(window.page.get_by_test_id("coated")).to_have_text("62.4\u00a0m")
    counts = window.page.get_by_test_id("station-S18").get_by_role("img", name="5 units here now, 526 done")
    await expect(counts).to_have_text("5 / 526")
    assert await window.page.locator("[data-testid^=station-S]").count() == 19


async def test_a_normal_line_has_no_pixel_in_an_alarm_colour_and_one_alarm_has(rig: Rig, window: Window) -> None:
    rig.line.states = dict.fromkeys(rig.line.states, "Execute")
    rig.line.abnormal_tags = {}
    rig.line.cameras = (camera_checked("ok"),)
    rig.line.patterns = ()
    rig.line.uninspected = (Span(50_000_000, 50_000_040, "lines dropped"),)
    rig.line.defects = [row for row in rig.line.defects if row.verdict == "pass"]
    await window.go("/")
    await expect(window.page.get_by_test_id("defects-count")).to_have_text(str(len(rig.line.defects)))
    await expect(window.page.get_by_test_id("station-S10")).to_contain_text("EXECUTE")
    await expect(window.page.get_by_test_id("abnormal")).to_contain_text("Nothing.")
    assert alarm_pixels(await window.page.screenshot()) == 0
    rig.line.states["S07"] = "Aborted"
    await expect(window.page.get_by_test_id("abnormal")).to_contain_text("ABORTED")
    assert alarm_pixels(await window.page.screenshot()) > 100


async def test_a_camera_a_pattern_and_film_nobody_looked_at_are_abnormal_and_lead_to_their_place(
    window: Window,
) -> None:
    page = window.page
    await window.go("/")
    await expect(page.get_by_test_id("abnormal-fins-1")).to_contain_text("2 S05")
    await expect(page.get_by_test_id("abnormal-fins-1")).to_contain_text(
        f"fins-1: {LAMP}; film counts as not inspected"
    )
    await expect(page.get_by_test_id("station-S05")).to_contain_text("2 fins-1")
    await expect(page.get_by_test_id("services")).to_contain_text("cal-7, valid until 2026-11-24 14:00 UTC")
    rate = page.get_by_test_id("abnormal-rate-1")
    await expect(rate).to_contain_text("2 S05")
    await expect(rate).to_contain_text(
        "agglomerate ×19, 8.2× the usual rate over 7.0\u00a0m, p = 3·10⁻⁹: poor dispersion, worn filter"
    )
    await expect(page.get_by_test_id("abnormal-film-over-capacity")).to_contain_text(
        "920\u00a0mm not inspected: over capacity"
    )
    await expect(page.get_by_test_id("abnormal-film-uncalibrated")).to_contain_text("camera not calibrated")
    await expect(page.get_by_test_id("abnormal-film-lines-dropped")).to_have_count(0)
    repeat = page.get_by_test_id("abnormal-repeat-1")
    await expect(repeat).to_contain_text("3 S05")
    await expect(repeat).to_contain_text(
        "foreign metal particle ×7, repeat every 251.3\u00a0mm, roller idler, p = 2·10⁻⁵: the idler roller"
    )
    await repeat.get_by_role("link").click()
    await expect(page.get_by_test_id("window")).to_have_text("49.70\u00a0m – 52.21\u00a0m")
    await expect(page.get_by_test_id("pattern-table").locator("tr[aria-selected=true]")).to_contain_text("251.3")
    assert window.complaints == []


async def test_the_line_is_shown_whole_when_nobody_knows_the_roll_under_way(rig: Rig, window: Window) -> None:
    """Nothing that is abnormal need have a station, a roll that is known, or a reason."""
    rig.line.current_roll = "FR-261124-1-004"
    rig.line.cameras = (camera_checked("uncalibrated"),)
    await window.go("/")
    for landmark in ("flow", "abnormal", "events", "services", "forecast"):
        await expect(window.page.get_by_test_id(landmark)).to_be_visible()
    await expect(window.page.get_by_test_id("abnormal-fins-1")).to_contain_text(
        "no reason given; film counts as not inspected"
    )
    await expect(window.page.get_by_test_id("current-roll")).to_contain_text("No roll is being coated")
    rig.line.current_roll = ROLL
    await expect(window.page.get_by_test_id("abnormal-film-over-capacity")).to_be_visible()
    assert window.complaints == []


async def test_a_camera_without_a_calibration_is_said_to_inspect_only_where_it_needs_none(
    rig: Rig, window: Window
) -> None:
    bare = [
        msgspec.structs.replace(camera_checked(state), calibration="", valid_until_ns=0)
        for state in ("ok", "uncalibrated")
    ]
    services = window.page.get_by_test_id("services")
    rig.line.cameras = (bare[0],)
    await window.go("/")
    await expect(services).to_contain_text("figures of the line model")
    rig.line.cameras = (bare[1],)
    await window.go("/")
    await expect(window.page.get_by_test_id("abnormal-fins-1")).to_contain_text("film counts as not inspected")
    await expect(services).to_contain_text("uncalibrated")
    await expect(services).to_contain_text("no calibration that counts")
    await expect(services).not_to_contain_text("figures of the line model")


async def test_what_a_camera_and_a_pattern_say_is_on_the_page_at_once(rig: Rig, window: Window) -> None:
    rig.line.cameras, rig.line.patterns = (), ()
    await window.go("/")
    page = window.page
    await expect(page.get_by_test_id("passed")).to_be_visible()
    await expect(page.get_by_test_id("abnormal-fins-1")).to_have_count(0)
    await rig.say(camera_checked("ok"))
    rig.line.cameras = (camera_checked("drifting", "focus 8 % down"),)
    await rig.say(rig.line.cameras[0])
    found = film_pattern(
        "repeat-2", "repeat", kind="MET", defects=(), defects_count=3, md_start_um=52_000_000, md_end_um=52_502_654,
        cd_start_um=10_000, cd_end_um=10_200, period_um=251_327.0, roller="idler", cause="something sticks to it",
    )  # fmt: skip
    rig.line.patterns = (found,)
    await rig.say(found)
    await expect(page.get_by_test_id("abnormal-fins-1")).to_contain_text("3 S05", timeout=2_000)
    await expect(page.get_by_test_id("abnormal-repeat-2")).to_be_visible(timeout=2_000)
    events = page.get_by_test_id("events")
    await expect(events).to_contain_text("Camera fins-1: drifting focus 8 % down")
    await events.get_by_role("link", name="Repeat: foreign metal particle ×3 from 52.00 m").click()
    await expect(page.get_by_test_id("pattern-table").locator("tr[aria-selected=true]")).to_have_count(1)


def alarm_pixels(png: bytes) -> int:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    counts = 0
    for colour in ALARM_COLOURS:
        red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
        counts += int(np.all(picture == (blue, green, red), axis=-1).sum())
    return counts


async def test_what_the_twin_and_the_bus_say_is_on_the_page_without_a_reload(rig: Rig, window: Window) -> None:
    await window.go("/")
    await expect(window.page.get_by_test_id("passed")).to_have_text("126 cells, 118 passed")
    rig.line.passed_count = 119
    await expect(window.page.get_by_test_id("passed")).to_have_text("126 cells, 119 passed")
    rig.line.states["S07"] = "Held"
    await rig.say(StationState(at_ns=NOW_NS, station="S07", state="Held"), "plc@test")
    await expect(window.page.get_by_test_id("station-S07")).to_contain_text("HELD", timeout=1_000)
    await window.go(f"/rolls/{ROLL}")
    known = len(rig.line.defects)
    await expect(window.page.get_by_test_id("roll-defects")).to_have_text(str(known))
    await rig.say(film_defect(903, md_um=1_000_000, verdict="reject"))
    await expect(window.page.get_by_test_id("roll-defects")).to_have_text(str(known + 1), timeout=1_000)


async def test_findings_of_one_kind_in_one_lane_share_a_line_of_the_events(rig: Rig, window: Window) -> None:
    await window.go("/")
    await expect(window.page.get_by_test_id("flow")).to_be_visible()
    for number in range(5):
        await rig.say(film_defect(910 + number, md_um=50_000_000 + number, kind="STR", verdict="reject"))
    streaks = window.page.get_by_test_id("events").locator("li").filter(has_text="streak")
    await expect(streaks).to_have_count(1)
    await expect(streaks).to_contain_text("×5")


async def test_clicking_a_defect_shows_its_card_and_the_address_shows_it_again(
    chromium: Browser, rig: Rig, window: Window
) -> None:
    page = window.page
    await window.go(f"/rolls/{ROLL}?from=19&to=22")
    roll_map = page.get_by_test_id("roll-map")
    await expect(roll_map).to_be_visible()
    await expect(page.get_by_test_id("window")).to_have_text("19.00\u00a0m – 22.00\u00a0m")
    box = await roll_map.bounding_box()
    assert box is not None
    # The plot leaves 48 px left, 10 right, 26 above and 22 below; the killer lies at MD 20.4 m, CD 211 mm of 300.
    x = box["x"] + 48 + (box["width"] - 58) * (20.4 - 19) / 3
    y = box["y"] + 26 + (box["height"] - 48) * (1 - 211 / 300)
    await page.mouse.click(x, y)
    await card_is_shown(page)
    assert f"defect={quote_plus(KILLER)}" in page.url
    again = await opened(chromium, rig)
    await again.page.goto(page.url)
    await card_is_shown(again.page)
    assert window.complaints == again.complaints == []


async def card_is_shown(page: Page) -> None:
    card = page.get_by_test_id("defect-card")
    await expect(card).to_contain_text("agglomerate")
    await expect(page.get_by_test_id("card-size")).to_contain_text("210\u00a0µm ± 14\u00a0µm")
    await expect(page.get_by_test_id("card-place")).to_contain_text("MD 20.400\u00a0m, CD 211.0\u00a0mm")
    await expect(page.get_by_test_id("card-extent")).to_have_text("273\u00a0µm × 168\u00a0µm")
    await expect(page.get_by_test_id("card-depth")).to_have_text("34\u00a0% ± 6\u00a0% of film thickness")
    await expect(page.get_by_test_id("card-anomaly")).to_have_text(
        "+6.40 spreads of good film, efficientnet-lite0-s32@v1"
    )
    await expect(page.get_by_test_id("card-calibration")).to_have_text("cal-7")
    await expect(page.get_by_test_id("card-reason")).to_have_text("diameter 210 µm above 150 µm")
    await expect(page.get_by_test_id("card-model")).to_contain_text("film-candidates@v3 5c65ab260000")
    await expect(page.get_by_test_id("card-units").get_by_role("link")).to_have_text(CELL)
    await expect(page.get_by_test_id("card-picture")).to_be_visible()
    width = await page.get_by_test_id("card-picture").evaluate("image => image.decode().then(() => image.naturalWidth)")
    assert width == 192


async def test_a_defect_without_a_picture_says_why(window: Window) -> None:
    await window.go(f"/rolls/{ROLL}?defect={quote_plus(f'{ROLL}/0001')}")
    await expect(window.page.get_by_test_id("no-picture")).to_contain_text(
        "draws its findings from the detection curve"
    )
    await expect(window.page.get_by_test_id("card-depth")).to_have_text("not measured")
    await expect(window.page.get_by_test_id("card-anomaly")).to_have_text("not measured")


async def test_the_map_is_moved_by_keys_wheel_and_drag(window: Window) -> None:
    page = window.page
    await window.go(f"/rolls/{ROLL}")
    shown = page.get_by_test_id("window")
    await expect(shown).to_have_text("0.00\u00a0m – 62.41\u00a0m")
    await expect(page.get_by_test_id("defect-table").locator("tbody tr").first).to_be_visible()
    await page.keyboard.press("n")
    await expect(page.get_by_test_id("card-place")).to_contain_text("MD 20.400")
    await page.keyboard.press("n")
    await expect(page.get_by_test_id("card-place")).to_contain_text("MD 28.250")
    await page.keyboard.press("p")
    await expect(page.get_by_test_id("card-place")).to_contain_text("MD 20.400")
    await page.keyboard.press("+")
    await expect(shown).to_have_text("12.48\u00a0m – 49.93\u00a0m")
    await page.keyboard.press("ArrowRight")
    await expect(shown).to_have_text("19.97\u00a0m – 57.42\u00a0m")
    await page.keyboard.press("Home")
    await expect(shown).to_have_text("0.00\u00a0m – 62.41\u00a0m")
    box = await page.get_by_test_id("roll-map").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 120)
    await page.mouse.wheel(0, -400)
    zoomed = (await window.state())["view"]
    assert zoomed["to"] - zoomed["from"] < 50_000_000
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] / 2 - 100, box["y"] + 120, steps=4)
    await page.mouse.up()
    moved = (await window.state())["view"]
    assert moved["from"] > zoomed["from"]
    await expect(page).to_have_url(re.compile(r"from=\d+\.\d{3}&to="))


async def test_the_table_is_a_way_to_every_defect_without_a_mouse(window: Window) -> None:
    page = window.page
    await window.go(f"/rolls/{ROLL}")
    await page.get_by_test_id("sort-size").focus()
    await page.keyboard.press("Enter")
    first = page.get_by_test_id("defect-table").locator("tbody tr").first
    await expect(first).to_contain_text("260\u00a0µm")
    await page.get_by_test_id(f"defect-{ROLL}/0200").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("defect-card")).to_contain_text("streak")
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("defect-card")).to_have_count(0)


async def test_a_cell_shows_where_each_layer_came_from_and_why_it_may_fail(window: Window) -> None:
    page = window.page
    await window.go(f"/cells/{CELL}")
    await expect(page.get_by_test_id("layer-table").locator("tbody tr")).to_have_count(37)
    await expect(page.get_by_test_id("layer-9")).to_contain_text("reject")
    await expect(page.get_by_test_id("layer-4")).to_contain_text("not inspected")
    await expect(page.get_by_test_id("layer-3")).to_contain_text("measured on the cathode above")
    await expect(page.get_by_test_id("layer-22")).to_contain_text("650\u00a0µm")
    await expect(page.get_by_test_id("p-pass")).to_have_text("62\u00a0%")
    await expect(page.get_by_test_id("reasons").locator("li")).to_have_count(4)
    await expect(page.get_by_test_id("reasons").locator("li").first).to_contain_text("× 0.73")
    await expect(page.get_by_test_id("steps")).to_contain_text("channel 117")
    await page.get_by_test_id("layer-9").get_by_role("link", name=ROLL).first.click()
    await expect(page.get_by_test_id("window")).to_have_text("19.85\u00a0m – 20.95\u00a0m")


async def test_classes_that_no_camera_could_see_are_named_on_the_cell(window: Window) -> None:
    await window.go(f"/cells/{CELL}")
    await expect(window.page.get_by_test_id("unseen")).to_contain_text(
        "Not inspected on this cell: blister / delamination; crack made by calendering, cutting."
    )


async def test_patterns_are_drawn_listed_and_looked_at_by_keyboard(rig: Rig, window: Window) -> None:
    page = window.page
    await window.go(f"/rolls/{ROLL}?from=28&to=29.2")
    await expect(page.get_by_test_id("pattern-table").locator("tbody tr")).to_have_count(3)
    await expect(page).to_have_url(re.compile(r"from=28\.000&to=29\.200"))
    drawn = await painted_pixels(page)
    row = page.get_by_test_id("pattern-table").locator("tbody tr").nth(1)
    await expect(row).to_contain_text("8.2× the usual rate")
    await expect(row).to_contain_text("MD 44.00–51.00\u00a0m")
    await expect(row).to_contain_text("3·10⁻⁹")
    await expect(row).to_contain_text("reject")
    await expect(row).to_contain_text("poor dispersion, worn filter")
    await page.get_by_test_id("pattern-cluster-1").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("window")).to_have_text("28.45\u00a0m – 28.76\u00a0m")
    await expect(page).to_have_url(re.compile("pattern=cluster-1"))
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("pattern-table").locator("tr[aria-selected=true]")).to_have_count(0)
    rig.line.patterns = ()
    await window.go(f"/rolls/{ROLL}?from=28&to=29.2")
    await expect(page.get_by_test_id("defects-in-view")).to_be_visible()
    await expect(page.get_by_test_id("pattern-table")).to_have_count(0)
    assert drawn - await painted_pixels(page) > 200
    assert window.complaints == []


async def painted_pixels(page: Page) -> int:
    """Pixels of the roll map that hold defects or patterns."""
    count: int = (
        await page
        .get_by_test_id("roll-map")
        .locator("canvas")
        .nth(1)
        .evaluate(
            """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
            .reduce((sum, value, index) => sum + (index % 4 === 3 && value > 0 ? 1 : 0), 0)"""
        )
    )
    return count


async def test_a_profile_shows_mass_beads_and_the_gauge_with_limits_and_units(rig: Rig, window: Window) -> None:
    page = window.page
    await window.go(f"/rolls/{ROLL}")
    place = page.get_by_test_id("profile-place")
    await expect(place).to_have_text("MD 53.00–54.00\u00a0m · 54 of 54")
    mean = page.get_by_test_id("profile-mean")
    await expect(mean).to_contain_text("−0.1\u00a0% 49.96 g/m²")
    await expect(mean).to_contain_text("± 0.55 g/m² U at k = 2, limit ±3\u00a0%")
    await expect(page.get_by_test_id("profile-worst")).to_contain_text("2 −7.3\u00a0% CD 113\u00a0mm")
    gauge = rig.line.gauge[53]
    assert gauge is not None
    await expect(page.get_by_test_id("profile-gauge")).to_contain_text(f"{50 * gauge:.2f} g/m²")
    await expect(page.get_by_test_id("profile-bead-low")).to_contain_text("+5.2\u00a0% of +8\u00a0%, 4.1\u00a0mm wide")
    await expect(page.get_by_test_id("profile-bead-high").locator(".alarm.p2")).to_contain_text("+9.1\u00a0%")
    await expect(page.get_by_test_id("profile-verdict")).to_contain_text("review bead 9.1 % above 8 %")
    await expect(page.get_by_test_id("profile-latest")).to_be_disabled()
    await page.get_by_test_id("profile-before").click()
    await expect(place).to_have_text("MD 52.00–53.00\u00a0m · 53 of 54")
    await expect(page).to_have_url(re.compile(r"profile=52\.000"))
    await window.go(f"/rolls/{ROLL}?profile=1.000")
    await expect(place).to_have_text("MD 1.00–2.00\u00a0m · 2 of 54")
    await expect(page.get_by_test_id("profile-gauge")).to_have_text("read nothing on this film")
    await expect(page.get_by_test_id("profile-bead-high").locator(".alarm")).to_have_count(0)
    await page.get_by_test_id("profile-latest").click()
    await expect(place).to_contain_text("54 of 54")
    mass_map = page.get_by_test_id("mass-map")
    box = await mass_map.bounding_box()
    assert box is not None
    await mass_map.click(position={"x": 48 + (box["width"] - 58) * 30.5 / 62.412, "y": 20})
    await expect(place).to_have_text("MD 30.00–31.00\u00a0m · 31 of 54")
    assert window.complaints == []


async def test_a_roll_without_profiles_says_so(rig: Rig, window: Window) -> None:
    rig.line.profiles, rig.line.gauge = (), ()
    await window.go(f"/rolls/{ROLL}")
    await expect(window.page.get_by_test_id("profile")).to_contain_text("No profile was measured on this roll")
    await expect(window.page.get_by_test_id("mass-map")).to_have_count(0)
    assert window.complaints == []


async def test_an_unknown_cell_says_so(window: Window) -> None:
    await window.go("/cells/NOPE")
    await expect(window.page.get_by_test_id("unknown")).to_contain_text("'NOPE' is not known")


async def test_the_controls_of_the_simulated_line_reach_the_plant(rig: Rig, window: Window) -> None:
    page = window.page
    await window.go("/yield")
    await page.get_by_test_id("simulated").click()
    await page.get_by_test_id("speed-60").click()
    await expect(page.get_by_test_id("sim-said")).to_have_text("The line runs at 60×.")
    await page.get_by_test_id("fault").select_option("F01")
    await page.get_by_test_id("inject").click()
    await expect(page.get_by_test_id("sim-said")).to_contain_text("F01 die lip blocked at CD 112 mm")
    speed, fault = rig.orders
    assert isinstance(speed, SetSpeed) and speed.speed == 60
    assert isinstance(fault, InjectFault) and fault.scenario == "F01"
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("sim-panel")).to_have_count(0)


async def test_a_real_line_has_neither_badge_nor_controls(
    site: Site, broker: BrokerSettings, chromium: Browser
) -> None:
    async with running_console(site, simulated=False) as rig:
        window = await opened(chromium, rig)
        await window.go("/")
        await expect(window.page.get_by_test_id("flow")).to_be_visible()
        await expect(window.page.get_by_test_id("clock")).to_contain_text("2026-11-24")
        await expect(window.page.get_by_test_id("simulated")).to_have_count(0)


async def test_a_broker_that_is_lost_is_said_within_seconds_and_forgotten_when_it_is_back(
    site: Site, chromium: Browser
) -> None:
    async with AsyncExitStack() as stack:
        with Broker(config_path=str(broker_config(site))):
            wait_for_port(site.broker.port)
            rig = await stack.enter_async_context(running_console(site))
            window = await opened(chromium, rig)
            await window.go("/")
            await expect(window.page.get_by_test_id("flow")).to_be_visible()
            await expect(window.page.get_by_test_id("stale")).to_have_count(0)
        banner = window.page.get_by_test_id("stale")
        await expect(banner).to_contain_text("broker is away", timeout=4_000)
        await expect(banner).to_contain_text("What you see is old")
        with Broker(config_path=str(broker_config(site))):
            wait_for_port(site.broker.port)
            await expect(banner).to_have_count(0, timeout=20_000)
            await expect(window.page.get_by_test_id("passed")).to_have_text("126 cells, 118 passed")
            await stack.aclose()


async def test_a_console_that_is_gone_leaves_no_value_that_looks_live(rig: Rig, window: Window) -> None:
    await window.go("/")
    await expect(window.page.get_by_test_id("flow")).to_be_visible()
    rig.stop()
    await rig.stopped()
    await expect(window.page.get_by_test_id("stale")).to_contain_text("The console does not answer", timeout=4_000)
    await expect(window.page.get_by_test_id("link")).to_contain_text("lost")


async def test_a_gap_in_the_sequence_is_noticed(window: Window) -> None:
    await window.go("/")
    found = await window.page.evaluate(
        """async () => {
            const { applied, follows } = await import("/static/js/reduce.js");
            const value = { length: 1, defects: [{ defect: "a", revision: 1 }] };
            const defects = [{ defect: "a", revision: 2 }, { defect: "b" }];
            const delta = { seq: 7, prev: 5, set: { length: 2 }, add: { defects } };
            return [follows(5, delta), follows(4, delta), applied(value, delta), value];
        }"""
    )
    assert found == [
        True, False,
        {"length": 2, "defects": [{"defect": "a", "revision": 2}, {"defect": "b"}]},
        {"length": 1, "defects": [{"defect": "a", "revision": 1}]},
    ]  # fmt: skip


async def test_a_hundred_thousand_defects_are_drawn_within_a_frame_or_two(window: Window) -> None:
    await window.go("/")
    found = await window.page.evaluate(
        """async () => {
            const { DefectTable } = await import("/static/js/roll/defects.js");
            const { drawDefects, nearest } = await import("/static/js/roll/raster.js");
            const defects = Array.from({ length: 100_000 }, (_, i) => ({
                defect: `d${i}`, md_start_um: i * 5_000, md_end_um: i * 5_000 + 100, cd_start_um: (i * 7919) % 300_000,
                cd_end_um: (i * 7919) % 300_000 + 100, verdict: i % 100 ? "pass" : "reject",
            }));
            const table = new DefectTable(defects);
            const context = document.createElement("canvas").getContext("2d");
            context.canvas.width = 1600; context.canvas.height = 500;
            const view = { from: 0, to: 500_000_000 };
            const plot = { left: 0, top: 0, width: 1600, height: 500 };
            const palette = { dot: 0xff808080, mark: 0xff202020, killer: 0xff1b00b3, outline: 0xff000000 };
            const times = [];
            for (let n = 0; n < 20; n += 1) {
                const began = performance.now();
                drawDefects(context, table, table.within(view.from, view.to), view, plot, 300_000, 1, palette);
                times.push(performance.now() - began);
            }
            const near = { from: 0, to: 1_000_000 };
            const index = nearest(table, table.within(near.from, near.to), near, plot, 300_000, 800, 250, 9e9);
            const seen = table.within(10_000_000, 20_000_000).length;
            return { least_ms: Math.min(...times), all: times, seen, grade: table.grade[index] };
        }"""
    )
    assert found["seen"] == 2000
    assert found["grade"] == 2
    # Measured 21 ms on two cores under a load of 14; the best of twenty, so that a busy machine may do it too.
    assert found["least_ms"] < 60

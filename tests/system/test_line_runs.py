"""From light to screen: a blocked die lip, seen by the camera, found on the roll map, followed into a cell.

The tests of this module share one line and follow each other on it: the fault is put in, film is coated under it at the
speed that is rendered, then plant hours pass until cells are made of that film.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import expect

from line import events
from line.events import FilmDefect, StripInspected
from line.journal import read_entries
from plant.score import inspection_score
from plant.truth import SEALED, FlawTruth, read_truth
from tests.system.whole_line import OPENS_AT, WholeLine, chromium_page, line_running, mosquitto_running, until

pytestmark = pytest.mark.timeout(900)

LIP_CD_UM = 112_000
"""Where scenario F01 blocks the lip."""
LIP_TO_CAMERA_UM = 8_000_000
CD_TOLERANCE_UM = 2_000
PLANT_STEP_UM = 1_000_000
"""The simulated caster looks at its faults once a metre."""
RENDERED_UM = 5_500_000
"""Streak that is looked at in pictures: 80 s at the default speed; a cluster of pinholes lies on it."""
STREAK_UM = 10_000_000


@dataclass(slots=True, kw_only=True)
class Struck:
    """A line whose lip is blocked, and how things stood before."""

    line: WholeLine
    roll: str
    lip_um: int
    """Where the lip was along the roll when it was blocked."""
    forecast_before: dict[str, Any]

    def map(self) -> Any:
        """The roll's map; None while the twin is busy."""
        return self.line.get(f"/api/v1/rolls/{self.roll}")

    def coated_past(self, um: int) -> bool:
        """Whether the camera has seen the roll up to a place."""
        view = self.map()
        return view is not None and bool(view["length_um"] >= um)

    def pieces(self) -> list[dict[str, Any]]:
        """Defects on the map that are a piece of the streak."""
        view = self.map() or {"defects": []}
        return [row for row in view["defects"] if _is_streak(row) and row["md_end_um"] > self.lip_um]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Puts a measured figure before whoever runs the tests."""

    def said(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return said


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeLine]:
    folder = tmp_path_factory.mktemp("line")
    opens = ("--set", f"plant.opens_at={OPENS_AT}")
    with (
        mosquitto_running(folder) as external,
        line_running(folder / "state", *external, *opens, command=("run", "--port", "0")) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def struck(line: WholeLine) -> Struck:
    """The lip is blocked; the film between it and the camera is sound, so most of that passes unseen and fast."""
    whole = _whole(line)
    roll, before = whole["current_roll"], whole["forecast"]
    line.order("faults", scenario="F01")
    seen_um = until(lambda: line.get(f"/api/v1/rolls/{roll}"), 60, "the map of the roll")["length_um"]
    found = Struck(line=line, roll=roll, lip_um=seen_um + LIP_TO_CAMERA_UM, forecast_before=before)
    line.order("speed", speed=60)
    until(lambda: found.coated_past(found.lip_um - 1_500_000), 120, "film passes the camera", every_s=0.05)
    line.order("speed", speed=4)
    return found


@pytest.fixture(scope="module")
def streaked(struck: Struck) -> Struck:
    """Metres of the streak have been looked at in pictures."""
    until(struck.pieces, 300, f"a streak at CD 112 mm behind MD {struck.lip_um} um\n{struck.line.report()}")
    until(lambda: struck.coated_past(struck.lip_um + RENDERED_UM), 400, f"more of the streak\n{struck.line.report()}")
    return struck


@pytest.fixture(scope="module")
def long_streak(streaked: Struck) -> Struck:
    """So much film has the streak that what is to come of it must have changed."""
    streaked.line.order("speed", speed=60)
    until(lambda: streaked.coated_past(streaked.lip_um + STREAK_UM), 60, "ten metres of the streak")
    return streaked


@pytest.fixture(scope="module")
def made(long_streak: Struck) -> dict[str, Any]:
    """A place of a cell in which film with the streak lies, as the map answers it."""
    line, roll = long_streak.line, long_streak.roll
    line.order("speed", speed=600)

    def placed() -> dict[str, Any] | None:
        where = {"from_um": long_streak.lip_um, "to_um": 2**53, "lane": 1}
        view = line.get(f"/api/v1/rolls/{roll}/cells", **where)
        return next((row for row in view["units"] if row["cell"]), None) if view else None

    return until(placed, 600, f"a cell is made of {roll}, which takes a plant day\n{line.report()}", every_s=1.0)


def test_all_roles_are_there_and_the_line_opens_with_a_past(line: WholeLine) -> None:
    whole = _whole(line)
    assert sorted(line.processes()) == ["console", "plant", "plc", "twin", "vision"]
    assert whole["cells_tested_count"] > 300
    assert whole["fresh"]["simulated"]
    assert whole["forecast"]["labels_count"] > 300


def test_a_streak_stands_on_the_roll_map_where_the_lip_is_blocked(streaked: Struck) -> None:
    pieces = streaked.pieces()
    assert {row["method"] for row in pieces} == {"pixels"}
    assert {row["lane"] for row in pieces} == {1}
    assert {row["simulated"] for row in pieces} == {True}
    assert abs(min(row["md_start_um"] for row in pieces) - streaked.lip_um) < PLANT_STEP_UM + 500_000
    covered_um = sum(row["md_end_um"] - row["md_start_um"] for row in pieces)
    looked_um = sum(strip.md_end_um - strip.md_start_um for strip in _pictures(streaked)[1])
    assert covered_um > 0.5 * min(looked_um, RENDERED_UM), "most of what was looked at behind the lip has the streak"
    spans = [row for row in (streaked.map() or {})["streaks"] if row["end_um"] > streaked.lip_um]
    assert any(row["label"] in {"STR at CD 112.0 mm", "STR at CD 111.9 mm", "STR at CD 112.1 mm"} for row in spans)


async def test_the_pages_show_the_streak_with_its_picture(streaked: Struck) -> None:
    from_m, to_m = streaked.lip_um / 1e6 - 0.5, streaked.lip_um / 1e6 + 2
    async with chromium_page() as page:
        await page.goto(f"{streaked.line.url}/rolls/{streaked.roll}?from={from_m:.3f}&to={to_m:.3f}")
        row = page.get_by_test_id("defect-table").locator("tbody tr", has_text="STR").first
        await expect(row).to_contain_text("STR streak", timeout=60_000)
        place, lane = (await row.locator("td.number").all_inner_texts())[1::2][:2]
        cd_mm = float(place.replace("\u00a0", " ").split()[0])
        assert abs(cd_mm - LIP_CD_UM / 1e3) <= CD_TOLERANCE_UM / 1e3
        assert lane == "1"
        await expect(page.get_by_test_id("simulated")).to_contain_text("SIMULATED")
        await row.get_by_role("button").click()
        picture = page.get_by_test_id("card-picture")
        await expect(picture).to_be_visible(timeout=60_000)
        assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        await page.goto(streaked.line.url)
        await expect(page.get_by_test_id("current-roll")).to_contain_text("STR at CD 112", timeout=60_000)


def test_the_forecast_falls(long_streak: Struck, say: Callable[[str], None]) -> None:
    before = long_streak.forecast_before

    def fallen() -> dict[str, Any] | None:
        view = long_streak.line.get("/api/v1/yield")
        later = [row for row in view["track"] if row["at"] > before["at"]] if view else []
        last = later[-1] if later else None
        return last if last and last["expected_fraction"] < before["expected_fraction"] - 0.03 else None

    last = until(fallen, 60, f"a forecast well below {before['expected_fraction']:.3f}")
    say(f"forecast {before['expected_fraction']:.3f} -> {last['expected_fraction']:.3f}")
    assert last["low_fraction"] < before["low_fraction"]


def test_what_was_found_agrees_with_the_sealed_truth(streaked: Struck, say: Callable[[str], None]) -> None:
    """Floors with room for a machine so busy that frames are lost; an idle one reaches what the score prints.

    Killers are mostly pinholes of 30 to 50 um, two pixels across: the released model finds 93 % of them on film as
    sound as this, and six in ten is the least that is worth showing.
    """
    defects, strips = _pictures(streaked)
    records = read_truth(streaked.line.state_dir / SEALED)
    flaws = [row for row in records if isinstance(row, FlawTruth) and row.roll == streaked.roll]
    score = inspection_score(flaws, defects, strips)
    lost = sum(row.missed_lines_count for row in strips) / 256
    say(f"{score}; {lost:.0f} strips lost beside {len(strips)}")
    assert score.inspected_m2 > 0.5
    assert score.killers_count >= 1
    assert score.killers_found_count >= 0.6 * score.killers_count
    assert score.of("STR").recall == 1.0
    assert score.of("STR").named_right_count == score.of("STR").found_count
    assert score.position_error_um[0] <= 100.0
    assert score.false_alarms_per_m2 <= 3.0
    large = inspection_score(flaws, defects, strips, least_um=60.0)
    found = sum(row.found_count for row in large.classes)
    assert found >= 0.8 * sum(row.flaws_count for row in large.classes)


def test_a_cell_of_the_streak_is_found_from_the_metre_and_the_metre_from_the_cell(
    long_streak: Struck, made: dict[str, Any]
) -> None:
    line, roll, cell = long_streak.line, long_streak.roll, made["cell"]
    whole = until(lambda: line.get(f"/api/v1/cells/{cell}"), 60, f"cell {cell}")
    origins = [
        (layer["layer"], face) for layer in whole["layers"] for face in layer["faces"]
        if face["roll"] == roll and layer["sheet"] == made["sheet"]
    ]  # fmt: skip
    ((layer, origin),) = origins
    assert (layer, origin["face"], origin["lane"]) == (made["layer"], made["face"], 1)
    assert origin["start_um"] >= long_streak.lip_um
    assert any(_is_streak(row) for row in origin["defects"]), "the streak is among what was found on this film"
    middle_um = (origin["start_um"] + origin["end_um"]) // 2
    spans = until(long_streak.map, 60, "the map")["streaks"]
    assert any(row["start_um"] <= middle_um <= row["end_um"] for row in spans)
    here = {"from_um": middle_um - 10_000, "to_um": middle_um + 10_000}
    units = until(lambda: line.get(f"/api/v1/rolls/{roll}/cells", **here, lane=1), 60, "cells of a metre")["units"]
    assert [(row["sheet"], row["cell"], row["layer"]) for row in units] == [(made["sheet"], cell, layer)]
    other = until(lambda: line.get(f"/api/v1/rolls/{roll}/cells", **here, lane=2), 60, "cells of the other lane")
    assert made["sheet"] not in {row["sheet"] for row in other["units"]}


async def test_the_page_of_the_cell_leads_back_to_the_roll(long_streak: Struck, made: dict[str, Any]) -> None:
    async with chromium_page() as page:
        await page.goto(f"{long_streak.line.url}/cells/{made['cell']}")
        row = page.get_by_test_id(f"layer-{made['layer']}")
        await row.get_by_role("link", name=long_streak.roll).first.click(timeout=60_000)
        await expect(page.get_by_test_id("roll-map")).to_be_visible(timeout=60_000)
        assert f"/rolls/{long_streak.roll}" in page.url


def _whole(line: WholeLine) -> dict[str, Any]:
    """The line as a whole, once there is a forecast."""

    def forecast() -> dict[str, Any] | None:
        view: dict[str, Any] | None = line.get("/api/v1/line")
        return view if view and view["forecast"] else None

    return until(forecast, 60, "the twin has a forecast")


def _is_streak(row: dict[str, Any]) -> bool:
    """A long defect where the lip is blocked."""
    middle_um = (row["cd_start_um"] + row["cd_end_um"]) / 2
    return row["kind"] in {"STR", "SCR"} and abs(middle_um - LIP_CD_UM) <= CD_TOLERANCE_UM


def _pictures(struck: Struck) -> tuple[list[FilmDefect], list[StripInspected]]:
    """What vision found on pictures of the roll, and the strips it looked at, in order."""
    defects, strips = [], []
    for entry in read_entries(struck.line.state_dir / "journals" / "vision.journal", own=True):
        event = events.decoded(entry.payload)
        if isinstance(event, FilmDefect) and event.roll == struck.roll:
            defects.append(event)
        elif isinstance(event, StripInspected) and event.roll == struck.roll:
            strips.append(event)
    return defects, strips

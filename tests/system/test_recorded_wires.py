"""Everything but the plant, from recorded wires: the plant cannot even be imported where the recording is played."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.async_api import expect

from line import events
from line.events import Event, LayerInspected, Material, StripInspected, TagBatch
from line.journal import read_entries
from line.recording import FRAMES_FILE, RecordedFrame, read_header, read_rows
from tests.system.whole_line import OPENS_AT, ROOT, WholeLine, chromium_page, line_running, until

pytestmark = pytest.mark.timeout(600)

PACKAGES = ("line", "plc", "vision", "twin", "models", "lamella")
SECONDS = 15
IMPORT_ALL = """\
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != "torch":  # the extra `train` is not needed here
            raise
"""
_E = TypeVar("_E", bound=Event)
BLOCK = '''\
"""Where this is on the path, no interpreter can import the simulated plant."""

import sys


class _NoPlant:
    def find_spec(self, name, path=None, target=None):
        if name == "plant" or name.startswith("plant."):
            raise ImportError(f"{name} is blocked in this process")
        return None


sys.meta_path.insert(0, _NoPlant())
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording and what was seen while it was made."""

    folder: Path
    roll: str
    strips_count: int
    """Film strips among its frames."""
    layers_count: int
    """Stack pictures among its frames."""


@pytest.fixture(scope="module")
def without_plant(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which nobody can import the plant; children inherit it."""
    folder = tmp_path_factory.mktemp("block")
    (folder / "sitecustomize.py").write_text(BLOCK)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """Fifteen seconds of a line, made beside it; frames are large, so they go when the module is done."""
    folder = tmp_path_factory.mktemp("recorded")
    flags = ("--set", f"plant.opens_at={OPENS_AT}", "--set", "plant.history_weeks=1", "--set", "plant.speed=2")
    try:
        with line_running(folder / "state", *flags, command=("run", "--port", "0")) as line:
            # The next stack of this line is begun five minutes after it opens; until shortly before, it may run fast.
            line.order("speed", speed=20)
            until(lambda: _plant_time(line) >= "2026-11-24T08:04:10", 120, f"plant minutes pass\n{line.report()}")
            line.order("speed", speed=2)
            until(lambda: _seen_layers(line.state_dir), 400, f"a stack is made before the cameras\n{line.report()}")
            roll = until(lambda: line.get("/api/v1/line"), 60, "the console answers")["current_roll"]
            command = [sys.executable, "-m", "lamella", "--state", str(line.state_dir)]
            command += ["wires", "record", "--seconds", str(SECONDS), "--out", str(folder / "rec")]
            subprocess.run(command, cwd=ROOT, check=True, timeout=SECONDS + 60)
        spools = [row.spool for row in read_rows(folder / "rec" / FRAMES_FILE, RecordedFrame)]
        counts = {"strips_count": spools.count("fins-1"), "layers_count": spools.count("sins")}
        yield Recording(folder=folder / "rec", roll=roll, **counts)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def played(
    recording: Recording, without_plant: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WholeLine]:
    """A line that has nothing but the recording."""
    folder = tmp_path_factory.mktemp("played")
    command = ("wires", "replay", str(recording.folder))
    try:
        with line_running(
            folder / "state", "--set", "console.port=0", command=command, environment=without_plant
        ) as line:
            yield line
    finally:
        shutil.rmtree(folder)


def test_the_block_is_one(without_plant: dict[str, str]) -> None:
    tried = subprocess.run(
        [sys.executable, "-c", "import plant"],
        cwd=ROOT, env={**os.environ, **without_plant}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert tried.returncode == 1
    assert "plant is blocked in this process" in tried.stderr


def test_every_module_but_the_plants_is_imported_without_the_plant(without_plant: dict[str, str]) -> None:
    names = [name for package in PACKAGES for name in _modules(package)]
    assert len(names) > 100
    tried = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names],
        cwd=ROOT, env={**os.environ, **without_plant}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert tried.returncode == 0, tried.stderr


def test_a_recording_holds_what_crossed_the_wires(recording: Recording) -> None:
    header = read_header(recording.folder)
    assert header.simulated
    assert header.seconds == SECONDS
    assert recording.strips_count > 20
    assert recording.layers_count > 0
    frames = list(read_rows(recording.folder / FRAMES_FILE, RecordedFrame))
    assert all((recording.folder / row.file).stat().st_size > 1_000_000 for row in frames)


def test_all_roles_but_the_plant_run_from_the_recording(played: WholeLine) -> None:
    assert sorted(played.processes()) == ["broker", "console", "plc", "replay", "twin", "vision"]


def test_recorded_strips_are_inspected_anew(recording: Recording, played: WholeLine) -> None:
    """All but the last few, which lie in wait when the recording ends."""
    least = recording.strips_count - 8

    def inspected() -> list[StripInspected] | None:
        strips = _said(played.state_dir, "vision", StripInspected)
        return strips if len(strips) >= least else None

    strips = until(inspected, 180, f"{least} strips are inspected\n{played.report()}", every_s=1.0)
    assert {row.method for row in strips} == {"pixels"}
    assert {row.roll for row in strips} == {recording.roll}
    view = until(lambda: played.get(f"/api/v1/rolls/{recording.roll}"), 60, "the twin has the roll")
    assert view["length_um"] == pytest.approx(max(row.md_end_um for row in strips), abs=1_000_000)
    until(lambda: _seen_layers(played.state_dir), 60, "layers are inspected", every_s=1.0)


def test_recorded_tags_and_part_records_reach_the_twin(played: WholeLine) -> None:
    until(lambda: _said(played.state_dir, "plc", Material), 60, f"part records\n{played.report()}", every_s=1.0)
    tags = {sample.tag for batch in _said(played.state_dir, "plc", TagBatch) for sample in batch.samples}
    assert {"S03.WebSpeed", "S05.ArealMass"} <= tags
    assert len(tags) > 100

    def trend() -> Any:
        view = played.get("/api/v1/trends/S03.WebSpeed", from_ns=0, to_ns=2**62)
        return view if view and view["values"] else None

    view = until(trend, 60, "the historian has the tag")
    assert view["unit"] == "m/min"
    assert all(0.5 < value < 2 for value in view["values"] if value is not None)
    cells = until(lambda: played.get("/api/v1/cells"), 60, "the twin answers")
    assert cells["cells"], "layers that were placed make stacks"


async def test_the_page_works_from_a_recording(recording: Recording, played: WholeLine) -> None:
    async with chromium_page() as page:
        await page.goto(played.url)
        await expect(page.get_by_test_id("station-S03")).to_contain_text("EXECUTE", timeout=60_000)
        await expect(page.get_by_test_id("services")).to_contain_text("replay", timeout=60_000)
        await page.goto(f"{played.url}/rolls/{recording.roll}")
        await expect(page.get_by_test_id("roll-map")).to_be_visible(timeout=60_000)


def _plant_time(line: WholeLine) -> str:
    whole = line.get("/api/v1/line")
    return str(whole["fresh"]["at"]) if whole else ""


def _seen_layers(state_dir: Path) -> list[LayerInspected]:
    return [row for row in _said(state_dir, "vision", LayerInspected) if row.method == "pixels"]


def _modules(package: str) -> list[str]:
    found = importlib.import_module(package)
    inside = pkgutil.walk_packages(found.__path__, f"{package}.")
    return [package, *(row.name for row in inside if not row.name.endswith("__main__"))]


def _said(state_dir: Path, role: str, kind: type[_E]) -> list[_E]:
    """Events of a class that a role has emitted."""
    path = state_dir / "journals" / f"{role}.journal"
    entries = read_entries(path, own=True) if path.exists() else ()
    return [event for entry in entries if isinstance(event := events.decoded(entry.payload), kind)]

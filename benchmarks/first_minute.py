"""How long until somebody sees the line live, how long from light to event to screen, and what it takes in memory.

    python benchmarks/first_minute.py --json > benchmarks/results/first_minute.json
    python benchmarks/first_minute.py --json --cold        # also a fresh clone with an empty venv

Needs the extra `bench`, playwright and Chromium. Everything is measured on the real thing: processes started as a user
starts them, their own journals, a page in a browser. The last line of standard output is the result.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.async_api import Page, async_playwright

from benchmarks.machine import machine_described
from lamella.running import running_site
from line import events
from line.bundle import ModelRef
from line.bus import Bus, connect
from line.config import LineSettings, Site
from line.events import FilmDefect, StripInspected
from line.ids import event_id
from line.journal import last_position, read_entries
from line.model import load_line
from line.topics import Topics, topics_of

ROOT = Path(__file__).parents[1]
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking")
STRIPS_COUNT = 300
SKIPPED_STRIPS_COUNT = 60
REAL_TIME_STRIPS_COUNT = 150
SCREEN_EVENTS_COUNT = 120
START_S = 600.0
DEFINITIONS = {
    "cold_start_s": "from `git clone` of this checkout's HEAD into an empty folder, then `scripts/run` there with no "
    "venv (pip downloads or takes from its cache as this machine is set up, and a past of four weeks is lived), until "
    "the page shows changing state; null without --cold",
    "first_start_s": "from `lamella run`, installed but with an empty state directory, so that a past of four weeks is "
    "lived first, until the page shows changing state",
    "warm_start_s": "from `lamella run` on the state directory of a line that has run before, until the page shows "
    "changing state",
    "changing state": "in Chromium, opened as soon as the address is written: the metres of film that the line page "
    "shows for the roll under way have changed, and nothing is marked stale",
    "frame_to_event_p95_ms": "95th percentile of StripInspected.latency_ms, wall time from the exposure of the strip's "
    "last line to its event, of strips inspected in pixels at the default speed, after the first 60 of a warm start: "
    "the first eight wait until good film is learnt, the next catch up; the simulated "
    "camera's rendering of the picture lies inside",
    "frame_to_event_real_time_p95_ms": "the same of a line that runs at plant.speed 1, 12.5 MPix/s in each of three "
    "channels on a web of 1 m/min",
    "event_to_screen_p95_ms": "95th percentile of the time from the arrival of a FilmDefect at an MQTT subscriber "
    "beside the console until the frame after its row stands in the defect table of the roll's page in Chromium; one "
    "clock; the events are published by this program at random intervals, since real ones come too seldom",
    "rss_mb_total": "sum of the proportional set sizes (PSS) of launcher, roles and embedded broker, in 1e6 bytes, at "
    "the end of the warm run; memory that processes share counts once; the browser is not counted",
    "rss_mb_sum": "the plain sum of their resident set sizes, which counts shared memory once per process",
    "peer": "none: no other open system starts a simulated line, its inspection, twin and console with one command, so "
    "there is nothing to compare the whole with",
}

_CHANGED = """() => {
  const shown = document.querySelector('[data-testid="coated"]')?.textContent;
  if (!shown || document.querySelector('[data-testid="stale"]')) return false;
  window.__first ??= shown;
  return shown !== window.__first;
}"""
_WATCH = """() => {
  window.__seen = {};
  new MutationObserver((changes) => {
    const names = [];
    for (const change of changes)
      for (const node of change.addedNodes) {
        if (node.nodeType !== Node.ELEMENT_NODE) continue;
        const found = [node, ...node.querySelectorAll("[data-testid]")];
        for (const { dataset } of found)
          if (dataset?.testid?.startsWith("defect-bench/")) names.push(dataset.testid);
      }
    if (names.length)
      requestAnimationFrame(() => {
        const at = performance.timeOrigin + performance.now();
        for (const name of names) window.__seen[name] ??= at;
      });
  }).observe(document.body, { childList: true, subtree: true });
}"""


async def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--cold", action="store_true", help="measure a cold start too: installs about 600 MB")
    options = parser.parse_args()
    machine = machine_described()
    async with browser_page() as (page, browser):
        result: dict[str, Any] = {"cold_start_s": await cold_start_s(page) if options.cold else None}
        with temporary_folder() as folder:
            result |= await measured_line(page, folder)
    result |= {"peer": None, "machine": machine | {"browser": browser}, "definitions": DEFINITIONS}
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


async def cold_start_s(page: Page) -> float:
    """Seconds from a clone to a live page."""
    with temporary_folder() as folder:
        began = time.monotonic()
        clone = folder / "clone"
        command = ["git", "clone", "--quiet", str(ROOT), str(clone)]
        await asyncio.to_thread(subprocess.run, command, check=True)
        # The tools of this checkout's own environment must not be found instead of those of the new one.
        outside = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
        with started([str(clone / "scripts" / "run"), "--port", "0"], clone, outside) as process:
            return round(await live_s(page, clone / "state", process, began), 2)


async def measured_line(page: Page, folder: Path) -> dict[str, Any]:
    """Everything that one state directory has to tell."""
    state_dir = folder / "state"
    command = [sys.executable, "-m", "lamella", "--state", str(state_dir), "run", "--port", "0"]
    began = time.monotonic()
    with started(command, ROOT) as process:
        first_s = await live_s(page, state_dir, process, began)
        await asyncio.sleep(5)
    began = time.monotonic()
    with started(command, ROOT) as process:
        warm_s = await live_s(page, state_dir, process, began)
        say("counting strips")
        latencies_ms = await strip_latencies_ms(state_dir)
        say("counting events on screen")
        screen_ms = await screen_latencies_ms(page, state_dir)
        memory = memory_mb(process)
    began = time.monotonic()
    with started([*command, "--set", "plant.speed=1"], ROOT) as process:
        await live_s(page, state_dir, process, began)
        say("counting strips in real time")
        real_time_ms = await strip_latencies_ms(state_dir, REAL_TIME_STRIPS_COUNT)
    return {
        "first_start_s": round(first_s, 2),
        "warm_start_s": round(warm_s, 2),
        "frame_to_event_p95_ms": round(float(np.percentile(latencies_ms, 95)), 1),
        "frame_to_event_p50_ms": round(float(np.percentile(latencies_ms, 50)), 1),
        "strips_count": len(latencies_ms),
        "frame_to_event_real_time_p95_ms": round(float(np.percentile(real_time_ms, 95)), 1),
        "frame_to_event_real_time_p50_ms": round(float(np.percentile(real_time_ms, 50)), 1),
        "real_time_strips_count": len(real_time_ms),
        "event_to_screen_p95_ms": round(float(np.percentile(screen_ms, 95)), 1),
        "event_to_screen_p50_ms": round(float(np.percentile(screen_ms, 50)), 1),
        "screen_events_count": len(screen_ms),
        **memory,
    }


async def live_s(page: Page, state_dir: Path, process: subprocess.Popen[bytes], began: float) -> float:
    """Seconds from `began` until the page of a line shows changing state."""
    address = state_dir / "console" / "url"
    # A file of the run before is removed by the launcher before it starts anybody.
    while not address.exists() or address.stat().st_mtime < time.time() - (time.monotonic() - began):
        if process.poll() is not None:
            sys.exit(f"the line ended with status {process.returncode}; see {state_dir / 'logs'}")
        if time.monotonic() - began > START_S:
            sys.exit(f"no address after {START_S:g} s; see {state_dir / 'logs'}")
        await asyncio.sleep(0.05)
    await page.goto(address.read_text().strip())
    await page.wait_for_function(_CHANGED, timeout=START_S * 1e3)
    took_s = time.monotonic() - began
    say(f"live after {took_s:.1f} s")
    return took_s


async def strip_latencies_ms(state_dir: Path, count: int = STRIPS_COUNT) -> list[float]:
    """Latencies of the next strips that are inspected in pixels."""
    path = state_dir / "journals" / "vision.journal"
    after = last_position(path)
    deadline = time.monotonic() + 300
    while True:
        decoded = (events.decoded(entry.payload) for entry in read_entries(path, after, own=True))
        strips = [row.latency_ms for row in decoded if isinstance(row, StripInspected) and row.method == "pixels"]
        if len(strips) >= SKIPPED_STRIPS_COUNT + count:
            return strips[SKIPPED_STRIPS_COUNT:][:count]
        if time.monotonic() > deadline:
            sys.exit(f"only {len(strips)} strips in 300 s; see {state_dir / 'logs'}")
        await asyncio.sleep(1)


async def screen_latencies_ms(page: Page, state_dir: Path) -> list[float]:
    """Times from arrival on MQTT to the row on the page, of defects that we make ourselves."""
    site = running_site(Site(line=LineSettings(state_dir=str(state_dir))))
    topics = topics_of(load_line(site.line.model), site.broker.topic_root)
    link = page.get_by_test_id("open-roll")
    roll = str(await link.get_attribute("href")).rpartition("/")[2]
    await page.goto(f"{page.url.rstrip('/')}/rolls/{roll}?from=0&to=1")
    await page.get_by_test_id("defect-table").wait_for()
    await page.evaluate(_WATCH)
    rng = np.random.default_rng(1)
    arrived_ms: dict[str, float] = {}
    async with connect(site.broker, f"bench-{os.getpid()}", lasting=False) as bus:
        await bus.connected.wait()
        bus.subscribe(topics.every(FilmDefect))
        listening = asyncio.create_task(_note_arrivals(bus, arrived_ms))
        for number in range(1, SCREEN_EVENTS_COUNT + 1):
            await _publish(bus, topics, _defect(roll, number))
            await asyncio.sleep(float(rng.uniform(0.1, 0.4)))
        await asyncio.sleep(5)
        listening.cancel()
    seen_ms: dict[str, float] = await page.evaluate("window.__seen")
    both = [name for name in arrived_ms if f"defect-{name}" in seen_ms]
    if len(both) < SCREEN_EVENTS_COUNT:
        sys.exit(f"{SCREEN_EVENTS_COUNT - len(both)} of {SCREEN_EVENTS_COUNT} events did not come to the screen")
    return [seen_ms[f"defect-{name}"] - arrived_ms[name] for name in both]


async def _note_arrivals(bus: Bus, arrived_ms: dict[str, float]) -> None:
    while True:
        messages = await bus.heard()
        now_ms = time.time() * 1e3
        for message in messages:
            bus.acknowledge(message)
            event = events.decoded(message.payload)
            if isinstance(event, FilmDefect) and event.defect.startswith("bench/"):
                arrived_ms.setdefault(event.defect, now_ms)


async def _publish(bus: Bus, topics: Topics, defect: FilmDefect) -> None:
    await bus.publish(topics.of(defect), events.encoded(defect))


def _defect(roll: str, number: int) -> FilmDefect:
    """A defect on the first metre of a roll, among the first in the table."""
    at_ns = time.time_ns()
    md_um = 8_000 * number
    return FilmDefect(
        at_ns=at_ns, simulated=True, id=event_id(at_ns, f"bench{number}"), source="bench@box-1", seq=number,
        defect=f"bench/{number:04d}", roll=roll, station="S05", camera="fins-1", lane=1, kind="PIN", score=0.9,
        md_start_um=md_um, md_end_um=md_um + 60, cd_start_um=50_000, cd_end_um=50_060, size_um=60.0,
        size_uncertainty_um=10.0, position_uncertainty_um=100.0, area_um2=2800.0, contrast_bf=0.0, contrast_df=0.0,
        contrast_tx=1.0, severity="A", verdict="reject", reason="made by a benchmark",
        model=ModelRef(name="bench", version=1, digest="0" * 64), method="drawn",
    )  # fmt: skip


def memory_mb(launcher: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What launcher, roles and broker hold."""
    main = psutil.Process(launcher.pid)
    pss: dict[str, float] = {}
    rss = 0.0
    for process in [main, *main.children(recursive=True)]:
        words = process.cmdline()
        role = words[words.index("--role") + 1] if "--role" in words else "launcher"
        held = process.memory_full_info()
        pss[role] = pss.get(role, 0.0) + held.pss / 1e6
        rss += held.rss / 1e6
    return {
        "rss_mb_total": round(sum(pss.values()), 1),
        "rss_mb_sum": round(rss, 1),
        "pss_mb_by_role": {role: round(held, 1) for role, held in sorted(pss.items())},
    }


@asynccontextmanager
async def browser_page() -> AsyncIterator[tuple[Page, str]]:
    """An empty page in Chromium, and what Chromium that is."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("no Chromium: install Debian's package chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            page = await browser.new_page(viewport={"width": 1366, "height": 768})
            yield page, f"Chromium {browser.version}"
        finally:
            await browser.close()


@contextmanager
def started(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> Iterator[Any]:
    """A line as a user starts it; Ctrl-C ends it."""
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lamella-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())

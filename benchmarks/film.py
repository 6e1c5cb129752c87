"""How fast film is inspected: screening, cascade and the whole inspector, on rendered strips, beside peers.

python benchmarks/film.py --json
python benchmarks/film.py --json --soak 10000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import psutil

from benchmarks.film_made import PIXEL_UM, WIDTH_PX, Bytes, header, rendered, speckled
from benchmarks.film_peers import TILE_PX, patchcore, textbook
from benchmarks.machine import machine_described
from line.bundle import Bundle, open_bundle
from line.config import VisionSettings
from line.evidence import Evidence
from line.model import load_line
from models.registry import released
from plant.film_texture import film_bank
from vision.candidates import CHANNELS, Classifier, patch
from vision.gates import FilmLook, Gates, learnt_look, limits_for
from vision.parallel import ALONE, Crew
from vision.screening import Screened, StreakMemory, screened
from vision.session import CPU_BATCH, ModelSession
from vision.strips import LEARNING_STRIPS, StripInspector, StripResult

LINES, LINE_STRIP_LINES, SOAK_LINES = 1024, 256, 64
MARGIN_PX = 75
CORES = 2
BEST_OF = 5
CHANNEL_PIXELS_PER_S = 12.5e6
LATENCY_STRIPS = 40
OVERLOAD_SPOTS = 5_000
COPIED_BYTES = 256_000_000
DEFINITIONS = {
    "strips": "rendered by the repository's own film renderer (grain of 2.5 %, correlated over 3 px, mottling, bands, "
    "column gain, noise of 2 grey levels), 16,384 px wide, 20 planted defects on 1,024 lines; single-channel ones show "
    "transmission; channel pixels are counted; gates are set for the false alarms that a line tolerates by default",
    "screen_mpix_per_s": "screening of single-channel strips of 1,024 lines, strip to list of candidates, by "
    "vision.screening; 2 strips at a time, each on a thread of its own, as of two cameras; best of 5 rounds of 12 "
    "strips",
    "screen_one_strip_mpix_per_s": "the same, one strip at a time whose work is shared by 2 threads, as "
    "vision.threads = 2 does",
    "screen_mpix_per_cpu_s": "the same on one thread, by CPU time, which other work on the machine disturbs less",
    "cascade_mpix_per_s": "screening, cutting of the patches, and the shipped candidate network on each of them in "
    "onnxruntime sessions (one a core, one thread each, no spinning), as StripInspector does it before it measures; "
    "2 strips at a time; measuring and pictures are not in it; channels the strip lacks are shown as good film",
    "candidates_per_strip": "mean number of candidates that screening found on the single-channel strips",
    "candidate_patch_us": "CPU time of the shipped candidate network for a patch, batches of 8",
    "candidate_cut_us": "CPU time to cut a patch",
    "model": "the shipped bundle that was used",
    "inspect_mpix_per_s": "StripInspector.inspect, all of it, on strips of 3 channels of 1,024 lines with 20 defects, "
    "with measuring, verdicts and pictures of defects written to disk, one strip at a time on 2 threads; best of 5 "
    "rounds of 6 strips",
    "latency_p95_ms": "95th percentile from a strip being complete in memory until StripInspector has its result, for "
    "3 channels of 12.5 MPix/s each in strips of 256 lines with 5 defects, fed at that pace, on 2 threads",
    "overload_strip_ms": "StripInspector.inspect on a strip of 3 channels of 1,024 lines with 5,000 spots and the "
    "default cap, which must come out as over_capacity; such a strip is exposed in 1,342 ms at 12.5 MPix/s per channel",
    "overload_candidates_count": "candidates that were counted on it",
    "textbook_mpix_per_s": "peer: float flat field, Gaussian background of sigma 12 px, threshold at 5.5 sigma, "
    "connectedComponentsWithStats, all at full resolution; 2 strips at a time; best of 2",
    "patchcore_r18_mpix_per_s": "peer: PatchCore on ResNet-18 (strides 8 and 16, bank of 5,000) in onnxruntime on "
    "tiles of 256 x 256, two sessions of one thread; weights at random, so its speed only",
    "memory_copy_gb_per_s": "bytes copied by numpy.copyto from one 256 MB array to another, by one thread and by two "
    "at once: no pass over the pixels can be faster than reading them",
    "rss_mb": "resident set of a process that does nothing but inspect 3-channel strips of 64 lines, at its end, in "
    "1e6 bytes",
    "rss_growth_mb_per_10000_strips": "slope of its resident set over the strips of --soak after the first fifth, by "
    "least squares, for 10,000 strips",
    "ratio_*": "our figure over the peer's; they do not find the same, see film_pod.py for what we find",
}  # fmt: skip


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--soak", type=int, default=2000, help="strips to watch memory over")
    parser.add_argument("--soak-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.soak_only:
        print(json.dumps(soaked(options.soak)))
        return
    machine = machine_described()
    result = measured() | memory_watched(options.soak)
    result["definitions"] = DEFINITIONS
    result["machine"] = machine
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def measured() -> dict[str, Any]:
    """All figures but memory."""
    bank = film_bank(1, width_px=WIDTH_PX)
    good = [rendered(bank, number, LINE_STRIP_LINES, 0) for number in range(LEARNING_STRIPS)]
    strips = [rendered(bank, 10 + number, LINES, 20) for number in range(3)]
    short = [rendered(bank, 60 + number, LINE_STRIP_LINES, 5) for number in range(6)]
    look = learnt_look([strip[2:] for strip in good])
    single = [np.ascontiguousarray(strip[2:]) for strip in strips]
    bundle = open_bundle(released(VisionSettings().film_model), task="film-candidates")
    with Crew(CORES) as crew, ModelSession(bundle, "cpu", crew=crew) as session:
        classifier = Classifier(session)
        result = cascade_figures(look, single, bundle, crew) | inspector_figures(good, strips, short, classifier, crew)
    result |= peer_figures(look, single)
    for peer in ("textbook", "patchcore_r18"):
        for own in ("screen", "cascade"):
            result[f"ratio_{own}_{peer}"] = round(result[f"{own}_mpix_per_s"] / result[f"{peer}_mpix_per_s"], 1)
    return result


class Screening:
    """Strips of one camera that sees transmission only, screened."""

    def __init__(self, gates: Gates, crew: Crew = ALONE) -> None:
        self.gates = gates
        self._crew = crew
        self._memory = StreakMemory()

    def __call__(self, strip: Bytes) -> Screened:
        """Screen a strip."""
        most = VisionSettings().candidates_per_strip
        return screened(strip, self.gates, self._memory, most_spots=most, crew=self._crew)


class Cascade(Screening):
    """The same, and every candidate classified."""

    def __init__(self, gates: Gates, classifier: Classifier) -> None:
        super().__init__(gates)
        self._classifier = classifier

    def __call__(self, strip: Bytes) -> Screened:
        """Screen a strip and classify its candidates."""
        found = super().__call__(strip)
        if found.spots:
            self._classifier.classify(patches_of(strip, found, self.gates))
        return found


def patches_of(strip: Bytes, found: Screened, gates: Gates) -> Bytes:
    """Patches of all candidates."""
    return np.stack([patch(strip, found, gates, spot, channels=CHANNELS[2:]) for spot in found.spots])


def cascade_figures(look: FilmLook, strips: Sequence[Bytes], bundle: Bundle, crew: Crew) -> dict[str, Any]:
    """Rates of screening alone and with the classifier, and the time of a patch."""
    with ExitStack() as stack:
        classifiers = [Classifier(stack.enter_context(ModelSession(bundle, "cpu"))) for _ in range(CORES)]
        budget = classifiers[0].budget(VisionSettings().false_alarms_per_m2)
        rates = {"candidates_per_m2": budget.candidates_per_m2, "streaks_per_m2": budget.streaks_per_m2}
        limits = limits_for(look, **rates, pixel_um=PIXEL_UM)

        def gates() -> Gates:
            return Gates(look, limits, margin_px=MARGIN_PX)

        alone = Screening(gates())
        found = [alone(strip) for strip in strips]
        patches = patches_of(strips[0], found[0], alone.gates)
        cut_s = least_s(lambda: patches_of(strips[0], found[0], alone.gates), 10)
        net_s = least_s(lambda: classifiers[0].classify(patches[:CPU_BATCH]), 50)
        screen_s = least_s(lambda: alone(strips[0]), 10)
        return {
            "screen_mpix_per_s": best_rate([Screening(gates()) for _ in range(CORES)], strips),
            "screen_one_strip_mpix_per_s": best_rate([Screening(gates(), crew)], strips),
            "screen_mpix_per_cpu_s": round(strips[0].size / 1e6 / screen_s),
            "cascade_mpix_per_s": best_rate([Cascade(gates(), each) for each in classifiers], strips),
            "model": str(bundle.ref),
            "candidates_per_strip": round(float(np.mean([each.found_count for each in found])), 1),
            "candidate_patch_us": round(1e6 * net_s / min(CPU_BATCH, len(patches)), 1),
            "candidate_cut_us": round(1e6 * cut_s / len(patches), 1),
        }


class Inspecting:
    """Strips of three channels, one after the other on the same roll, inspected wholly."""

    def __init__(self, inspector: StripInspector) -> None:
        self._inspector = inspector
        self._strip = 0
        self._line = 0

    def __call__(self, strip: Bytes) -> list[StripResult]:
        """Inspect a strip."""
        results = self._inspector.inspect(header(self._strip, self._line, strip.shape[1]), strip)
        self._strip += 1
        self._line += strip.shape[1]
        return results


def inspector(classifier: Classifier, crew: Crew, evidence: Evidence | None) -> StripInspector:
    """As the vision role makes it, for a camera of 16,384 px."""
    line, settings = load_line(), VisionSettings()
    camera = msgspec.structs.replace(line.camera("fins-1"), width_px=WIDTH_PX)
    return StripInspector(
        line, camera, classifier, now_ns=time.time_ns, evidence=evidence, crew=crew,
        false_alarms_per_m2=settings.false_alarms_per_m2, most_candidates=settings.candidates_per_strip,
    )  # fmt: skip


def inspector_figures(
    good: Sequence[Bytes],
    strips: Sequence[Bytes],
    short: Sequence[Bytes],
    classifier: Classifier,
    crew: Crew,
) -> dict[str, Any]:
    """Rate and latency of the whole inspector."""
    with tempfile.TemporaryDirectory(prefix="lamella-bench-") as folder:
        inspect = Inspecting(inspector(classifier, crew, Evidence(Path(folder))))
        for strip in good:
            inspect(strip)
        rate = best_rate([inspect], strips, count=6)
        latencies_ms = [
            1e3 * late_s for late_s in delays_s(inspect, short, LINE_STRIP_LINES * WIDTH_PX / CHANNEL_PIXELS_PER_S)
        ]
        crowd = speckled(strips[0], OVERLOAD_SPOTS)
        began = time.monotonic()
        (result,) = inspect(crowd)
        overload_ms = 1e3 * (time.monotonic() - began)
    if result.strip.state != "over_capacity":
        sys.exit(f"a strip of {OVERLOAD_SPOTS} spots was told to be {result.strip.state}")
    p50, p95 = np.percentile(latencies_ms, (50, 95))
    return {
        "inspect_mpix_per_s": rate,
        "latency_p95_ms": round(float(p95), 1),
        "latency_p50_ms": round(float(p50), 1),
        "overload_strip_ms": round(overload_ms),
        "overload_candidates_count": result.strip.candidates_count,
    }


def delays_s(inspect: Inspecting, strips: Sequence[Bytes], period_s: float) -> list[float]:
    """How long after a strip was complete its result was there, strips being complete once a period."""
    found = []
    began = time.monotonic()
    for number in range(LATENCY_STRIPS):
        complete = began + (number + 1) * period_s
        time.sleep(max(0.0, complete - time.monotonic()))
        inspect(strips[number % len(strips)])
        found.append(time.monotonic() - complete)
    return found


def peer_figures(look: FilmLook, strips: Sequence[Bytes]) -> dict[str, Any]:
    """Rates of the peers, and of memory."""
    find = textbook(look)
    planes = [strip[0] for strip in strips]
    tiles = [np.ascontiguousarray(planes[0][:TILE_PX, left : left + TILE_PX]) for left in range(0, 4096, TILE_PX)]
    return {
        "textbook_mpix_per_s": best_rate([find] * CORES, planes, rounds=2, count=CORES),
        "patchcore_r18_mpix_per_s": best_rate([patchcore() for _ in range(CORES)], tiles, rounds=2),
        "memory_copy_gb_per_s": {str(threads): copy_rate_gb_per_s(threads) for threads in (1, CORES)},
    }


def copy_rate_gb_per_s(threads: int) -> float:
    """Bytes copied a second by so many threads at once."""
    pairs = [(np.ones(COPIED_BYTES, np.uint8), np.empty(COPIED_BYTES, np.uint8)) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(BEST_OF):
            began = time.monotonic()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            best = max(best, threads * COPIED_BYTES / 1e9 / (time.monotonic() - began))
    return round(best, 1)


def best_rate(
    workers: Sequence[Callable[[Bytes], object]], strips: Sequence[Bytes], *, rounds: int = BEST_OF, count: int = 12
) -> float:
    """Channel pixels a second, in millions, of workers that share `count` strips a round, each on its own thread."""

    def share(number: int) -> None:
        for place in range(number, count, len(workers)):
            workers[number](strips[place % len(strips)])

    best_s = float("inf")
    pixels = sum(strips[place % len(strips)].size for place in range(count))
    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(lambda worker: worker(strips[0]), workers))
        for _ in range(rounds):
            began = time.monotonic()
            list(pool.map(share, range(len(workers))))
            best_s = min(best_s, time.monotonic() - began)
    rate = pixels / 1e6 / best_s
    return round(rate) if rate > 10 else round(rate, 2)


def least_s(work: Callable[[], object], times: int) -> float:
    """Least CPU seconds of a piece of work on this thread."""
    least = float("inf")
    for _ in range(times):
        began = time.thread_time()
        work()
        least = min(least, time.thread_time() - began)
    return least


def memory_watched(strips_count: int) -> dict[str, Any]:
    """Memory of another process that inspects; this one holds much that inspecting does not need."""
    command = [sys.executable, __file__, "--soak-only", "--soak", str(strips_count)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def soaked(strips_count: int) -> dict[str, Any]:
    """Inspect so many short strips and tell what memory that took."""
    bank = film_bank(1, width_px=WIDTH_PX)
    good = [rendered(bank, number, SOAK_LINES, 0) for number in range(LEARNING_STRIPS)]
    strips = [rendered(bank, 20 + number, SOAK_LINES, number % 3) for number in range(12)]
    del bank
    bundle = open_bundle(released(VisionSettings().film_model), task="film-candidates")
    held: list[int] = []
    with Crew(CORES) as crew, ModelSession(bundle, "cpu", crew=crew) as session:
        inspect = Inspecting(inspector(Classifier(session), crew, None))
        for strip in good:
            inspect(strip)
        process = psutil.Process()
        for number in range(strips_count):
            inspect(strips[number % len(strips)])
            held.append(process.memory_info().rss)
    settled = np.array(held[len(held) // 5 :]) / 1e6
    slope = float(np.polyfit(np.arange(settled.size), settled, 1)[0])
    return {
        "rss_mb": round(float(settled[-1]), 1),
        "rss_growth_mb_per_10000_strips": round(1e4 * slope, 2),
        "soak_strips_count": strips_count,
    }


if __name__ == "__main__":
    main()

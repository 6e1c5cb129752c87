"""A whole detection study: which targets and how much sound film under which conditions, run in several processes."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2

from line.bundle import open_bundle
from line.model import load_line
from models.detection_study import (
    FALSE_ALARMS_PER_M2,
    FAULTS,
    FINE,
    HARDER,
    NOMINAL,
    Condition,
    DetectionStudy,
    SeenTarget,
    SoundFilm,
    killer_sizes,
    killing_size,
    reject_size,
)
from models.escapes import LEFT_OUT
from models.film_patches import event_classes
from vision.candidates import Classifier
from vision.session import ModelSession

What = Literal["curve", "killing_size", "reject_size", "killers", "sound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured; targets are of each class, areas in m²."""

    curve_targets: int
    size_targets: int
    """At the killing size and at the reject size, and of the killers as they come."""
    sound_m2: float
    fine_sound_m2: float
    """At 10 µm, four times the pixels."""
    harder_targets: int
    harder_sound_m2: float
    fault_sound_m2: float


FULL = Plan(
    curve_targets=200, size_targets=200, sound_m2=10.0, fine_sound_m2=2.5, harder_targets=60, harder_sound_m2=2.0,
    fault_sound_m2=0.5,
)  # fmt: skip
QUICK = Plan(
    curve_targets=40, size_targets=25, sound_m2=0.5, fine_sound_m2=0.1, harder_targets=10, harder_sound_m2=0.1,
    fault_sound_m2=0.1,
)  # fmt: skip


def scaled(plan: Plan, share: float) -> Plan:
    """A share of a plan; sound film at 20 µm stays as much as it is, since its false alarms are few."""
    return Plan(
        curve_targets=max(20, round(share * plan.curve_targets)),
        size_targets=max(20, round(share * plan.size_targets)),
        sound_m2=plan.sound_m2,
        fine_sound_m2=share * plan.fine_sound_m2,
        harder_targets=max(10, round(share * plan.harder_targets)),
        harder_sound_m2=share * plan.harder_sound_m2,
        fault_sound_m2=share * plan.fault_sound_m2,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A part of a study that runs by itself."""

    what: What
    condition: Condition
    stage: int
    """Of the seed: no two jobs see the same film."""
    targets: int = 0
    area_m2: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """Everything that was seen."""

    targets: dict[tuple[str, What], dict[str, list[SeenTarget]]]
    """By condition and kind of sizes, then by class."""
    sound: dict[str, SoundFilm]
    """By condition."""
    candidates_per_m2: float
    """That the gates were set for."""


def jobs_of(plan: Plan) -> tuple[Job, ...]:
    """The parts of a study, the longest first."""
    whole_parts = max(1, round(plan.sound_m2 / 1.0))
    wanted: list[tuple[What, Condition, int, float]] = []
    for condition, area_m2, parts in ((NOMINAL, plan.sound_m2, whole_parts), (FINE, plan.fine_sound_m2, whole_parts)):
        wanted += [("sound", condition, 0, area_m2 / parts)] * parts
        wanted += [
            ("curve", condition, plan.curve_targets, 0.0),
            ("killing_size", condition, plan.size_targets, 0.0),
            ("killers", condition, plan.size_targets, 0.0),
            ("reject_size", condition, plan.size_targets, 0.0),
        ]
    for condition in HARDER:
        wanted += [
            ("killing_size", condition, plan.harder_targets, 0.0),
            ("killers", condition, plan.harder_targets, 0.0),
            ("sound", condition, 0, plan.harder_sound_m2),
        ]
    wanted += [("sound", condition, 0, plan.fault_sound_m2) for condition in FAULTS]
    return tuple(
        Job(what=what, condition=condition, stage=10 * number, targets=targets, area_m2=area_m2)
        for number, (what, condition, targets, area_m2) in enumerate(wanted)
    )


def studied(
    bundle: Path, plan: Plan, *, seed: int, workers: int, progress: Callable[[str, float], None]
) -> StudyResult:
    """Run a study.

    Args:
        bundle: folder of a `film-candidates` bundle.
        plan: how much.
        seed: of film and targets; another one than the bundle was trained with.
        workers: processes, each with one thread.
        progress: told what is done and the share of jobs that are done.

    Raises:
        BundleError: no such bundle, or altered.
    """
    jobs = jobs_of(plan)
    targets: dict[tuple[str, What], dict[str, list[SeenTarget]]] = {}
    sound: dict[str, SoundFilm] = {}
    with _classifier(bundle) as classifier:
        rate = classifier.budget(FALSE_ALARMS_PER_M2).candidates_per_m2
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=spawning) as pool:
        running = {pool.submit(_done, bundle, job, seed): job for job in jobs}
        for number, future in enumerate(as_completed(running), start=1):
            job, answer = running[future], future.result()
            if isinstance(answer, SoundFilm):
                sound[answer.condition] = _added(sound.get(answer.condition), answer)
            else:
                targets[job.condition.name, job.what] = answer
            progress(f"{job.condition.name}: {job.what}", number / len(jobs))
    return StudyResult(targets=targets, sound=sound, candidates_per_m2=rate)


def _added(one: SoundFilm | None, other: SoundFilm) -> SoundFilm:
    if one is None:
        return other
    return replace(
        one,
        area_m2=one.area_m2 + other.area_m2,
        alarms=one.alarms + other.alarms,
        candidates_count=one.candidates_count + other.candidates_count,
    )


@contextmanager
def _classifier(bundle: Path) -> Iterator[Classifier]:
    with ModelSession(open_bundle(bundle, task="film-candidates"), "cpu") as session:
        yield Classifier(session)


def _done(bundle: Path, job: Job, seed: int) -> dict[str, list[SeenTarget]] | SoundFilm:
    cv2.setNumThreads(1)
    # A lamp that jumps is part of some conditions, and said once for every roll.
    logging.getLogger("vision").setLevel(logging.ERROR)
    line = load_line()
    rows = event_classes(line)
    with _classifier(bundle) as classifier:
        study = DetectionStudy(line, classifier, seed=seed)
        match job.what:
            case "sound":
                return study.sound_film(job.condition, job.area_m2, job.stage)
            case "curve":
                return study.curve_targets(rows, job.condition, job.targets, job.stage)
            case "killing_size":
                return study.targets(rows, job.condition, job.targets, job.stage, killing_size)
            case "reject_size":
                return study.targets(rows, job.condition, job.targets, job.stage, reject_size)
            case "killers":
                stopped = [row for row in rows if row.code not in LEFT_OUT]
                return study.targets(stopped, job.condition, job.targets, job.stage, killer_sizes)

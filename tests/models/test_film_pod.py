from __future__ import annotations

import math
from dataclasses import asdict, replace

import msgspec
import numpy as np
import pytest

from line.bundle import open_bundle
from line.errors import ConfigError
from line.events import Verdict
from line.model import load_line
from models.detection_card import card_section
from models.detection_figures import PodFigures, alarms_of, figures_of, killers_per_m2
from models.detection_plan import FULL, QUICK, Plan, StudyResult, What, jobs_of, scaled
from models.detection_study import FAULTS, FINE, HARDER, NOMINAL, DetectionStudy, SeenTarget, SoundFilm, killing_size
from models.escapes import counted
from models.film_patches import event_classes
from models.film_pod import curves, headline, rounded, written
from models.registry import released
from vision.candidates import Classifier
from vision.session import ModelSession

LINE = load_line()
ROWS = event_classes(LINE)
A50_UM, S = 30.0, 0.2


def seen(kind: str, size_um: float, found: bool, verdict: Verdict = "reject") -> SeenTarget:
    return SeenTarget(
        kind=kind, size_um=size_um, found=found, named=kind if found else "", verdict=verdict if found else "pass"
    )


def made_result(*, found_at_size: int = 95, stopped: int = 90, alarms: int = 4, rejecting: int = 1) -> StudyResult:
    """A study whose answers are known."""
    rng = np.random.default_rng(2)
    sizes = np.exp(rng.uniform(math.log(10), math.log(100), 400))
    found = rng.random(400) < 1 / (1 + np.exp(-(np.log(sizes) - math.log(A50_UM)) / S))
    curve = list(zip(sizes.tolist(), found.tolist(), strict=True))
    targets: dict[tuple[str, What], dict[str, list[SeenTarget]]] = {}
    for condition in (NOMINAL, FINE, *HARDER):
        name = condition.name
        targets[name, "curve"] = {row.code: [seen(row.code, size, hit) for size, hit in curve] for row in ROWS}
        at_size = {row.code: [seen(row.code, 50.0, index < found_at_size) for index in range(100)] for row in ROWS}
        targets[name, "killing_size"] = targets[name, "reject_size"] = at_size
        targets[name, "killers"] = {
            row.code: [seen(row.code, 50.0, True, "review" if index < stopped else "mark") for index in range(100)]
            for row in counted(ROWS)
        }
    kinds: list[tuple[str, Verdict]] = [("PIN", "reject") for _ in range(rejecting)]
    kinds += [("DIS", "review") for _ in range(alarms - rejecting)]
    sound = {
        condition.name: SoundFilm(condition=condition.name, area_m2=10.0, alarms=tuple(kinds), candidates_count=400)
        for condition in (NOMINAL, FINE, *HARDER, *FAULTS)
    }
    return StudyResult(targets=targets, sound=sound, candidates_per_m2=40.0)


@pytest.fixture(scope="module")
def figures() -> PodFigures:
    return figures_of(made_result(), ROWS, "film-candidates@v3 abc")


def test_the_curve_and_its_bound_are_those_of_the_hits(figures: PodFigures) -> None:
    each = figures.classes_20um["PIN"]
    assert each.a50_um == pytest.approx(A50_UM, rel=0.05)
    assert each.a90_um == pytest.approx(A50_UM * math.exp(S * math.log(9)), rel=0.12)
    assert each.a90_95_um is not None
    assert each.a90_um < each.a90_95_um < 1.5 * each.a90_um
    assert (each.targets_count, each.recall_killing) == (400, 0.95)
    assert each.recall_killing_low < 0.95


def test_blisters_have_a_curve_and_no_killers_to_stop(figures: PodFigures) -> None:
    assert figures.classes_20um["BLI"].stopped_killers_fraction is None
    assert figures.classes_20um["PIN"].stopped_killers_fraction == 0.9


def test_escapes_as_judged_are_the_killers_that_were_not_stopped(figures: PodFigures) -> None:
    every = sum(killers_per_m2(row) for row in counted(ROWS))
    assert figures.escapes_20um.as_judged == pytest.approx(0.1 * every)
    assert figures.escapes_20um.as_judged_upper > figures.escapes_20um.as_judged


def test_escapes_by_curves_lie_between_a_perfect_detector_and_their_upper_bound(figures: PodFigures) -> None:
    each = figures.escapes_20um
    assert each.perfect < each.by_curves < each.by_curves_upper
    assert each.published == pytest.approx(0.147, abs=0.001)


def test_false_alarms_have_an_exact_interval_and_those_that_reject_are_counted_apart() -> None:
    found = alarms_of(made_result().sound[NOMINAL.name])
    assert (found.false_alarms_per_m2, found.rejecting_per_m2) == (0.4, 0.1)
    # 95 % of 4 events: 1.09 to 10.24 (Garwood).
    assert found.false_alarms_low_per_m2 == pytest.approx(0.109, abs=0.001)
    assert found.false_alarms_high_per_m2 == pytest.approx(1.024, abs=0.001)
    assert found.alarms_by_class == {"DIS": 3, "PIN": 1}


def test_the_headline_has_the_figures_that_the_line_is_held_to(figures: PodFigures) -> None:
    found = headline(figures)
    assert {
        "escaped_killers_per_m2_20um", "escaped_killers_per_m2_10um", "false_alarms_per_m2",
        "recall_severity_a_min_10um", "recall_other_min_10um",
    } <= set(found)  # fmt: skip
    assert found["recall_severity_a_min_20um"] == 0.95


def test_the_lowest_recall_is_told_by_severity(figures: PodFigures) -> None:
    worse = replace(figures.classes_10um["AGG"], recall_killing=0.5)
    found = replace(figures, classes_10um={**figures.classes_10um, "AGG": worse})
    assert found.recall_min("10um", severity_a=False) == 0.5
    assert found.recall_min("10um", severity_a=True) == 0.95


def test_figures_survive_their_own_json(figures: PodFigures) -> None:
    read = msgspec.convert(msgspec.json.decode(msgspec.json.encode(rounded(asdict(figures)))), PodFigures)
    assert read.classes_20um["PIN"].a50_um == pytest.approx(figures.classes_20um["PIN"].a50_um, rel=1e-4)


def test_the_card_has_every_class_and_says_what_the_optics_cannot_see(figures: PodFigures) -> None:
    text = "\n".join(card_section(figures))
    assert text.count("| PIN |") == 2
    assert "0.40 (0.11 to 1.02)" in text
    assert "1.6 px" in text
    assert "design" in text


def test_curves_are_marked_as_measured_on_rendered_film(figures: PodFigures) -> None:
    curve = curves(figures.classes_20um, 20.0)["PIN"]
    assert curve.measured
    assert curve.basis == "design"
    assert "rendered film, 400 targets, 20 µm/px" in curve.how
    assert curve.a90_95_um is not None


def test_figures_of_another_bundle_are_not_written(figures: PodFigures) -> None:
    with pytest.raises(ConfigError, match="measure this bundle"):
        written(open_bundle(released("film-candidates")), replace(figures, bundle="film-candidates@v9 abc"))


def test_no_two_jobs_of_a_plan_see_the_same_film() -> None:
    for plan in (FULL, QUICK, scaled(FULL, 0.1)):
        stages = [job.stage for job in jobs_of(plan)]
        assert len(set(stages)) == len(stages)
        assert sum(job.area_m2 for job in jobs_of(plan) if job.condition is NOMINAL) == pytest.approx(plan.sound_m2)
    assert scaled(FULL, 0.1).sound_m2 >= 10.0


def test_targets_that_are_easily_seen_are_found_named_and_rejected_by_the_shipped_bundle() -> None:
    rows = [row for row in ROWS if row.code in {"PIN", "CRK"}]
    with ModelSession(open_bundle(released("film-candidates")), "cpu") as session:
        study = DetectionStudy(LINE, Classifier(session), seed=77)
        seen_targets = study.targets(rows, NOMINAL, 10, 1, killing_size)
    for kind, targets in seen_targets.items():
        assert sum(each.found for each in targets) >= 0.9 * len(targets)
        assert sum(each.named == kind for each in targets) >= 0.8 * len(targets)
        assert sum(each.stopped for each in targets) >= 0.8 * len(targets)


def test_sound_film_is_counted_by_the_area_that_was_judged() -> None:
    with ModelSession(open_bundle(released("film-candidates")), "cpu") as session:
        found = DetectionStudy(LINE, Classifier(session), seed=78).sound_film(NOMINAL, 0.02, 2)
    assert found.area_m2 >= 0.02
    assert found.rejecting_count <= len(found.alarms) <= 2


def test_a_full_plan_holds_ten_square_metres() -> None:
    assert isinstance(FULL, Plan)
    assert FULL.sound_m2 >= 10.0

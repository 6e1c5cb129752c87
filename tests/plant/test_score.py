"""Detected defects against the sealed truth."""

from __future__ import annotations

import math
from typing import Literal

import pytest

from line.bundle import ModelRef
from line.events import FilmDefect, StripInspected
from plant.score import inspection_score
from plant.truth import FlawTruth

MODEL = ModelRef(name="m", version=1, digest="0" * 64)


def flaw(number: int, md_um: int, *, kind: str = "PIN", killer: bool = False, **changes: float) -> FlawTruth:
    fields: dict[str, float] = {"size_um": 50.0, "length_um": 50.0, "width_um": 50.0} | changes
    return FlawTruth(
        at_ns=1, flaw=f"f{number}", roll="R", kind=kind, md_um=md_um, cd_um=100_000, depth_fraction=1.0, killer=killer,
        cause="", **fields,
    )  # fmt: skip


def defect(number: int, start_um: int, end_um: int, *, kind: str = "PIN", revision: int = 1) -> FilmDefect:
    return FilmDefect(
        at_ns=1, defect=f"d{number}", revision=revision, roll="R", station="S05", camera="fins-1", lane=1, kind=kind,
        score=0.9, md_start_um=start_um, md_end_um=end_um, cd_start_um=99_950, cd_end_um=100_050, size_um=50.0,
        size_uncertainty_um=5.0, position_uncertainty_um=100.0, area_um2=1.0, contrast_bf=0.0, contrast_df=0.0,
        contrast_tx=1.0, severity="A", verdict="reject", reason="", model=MODEL, method="pixels",
    )  # fmt: skip


def strip(start_um: int, end_um: int, state: Literal["inspected", "unreadable"] = "inspected") -> StripInspected:
    return StripInspected(
        at_ns=1, roll="R", station="S05", camera="fins-1", strip=0, md_start_um=start_um, md_end_um=end_um,
        cd_start_um=0, cd_end_um=300_000, state=state, candidates_count=0, defects_count=0, model=MODEL,
        method="pixels",
    )  # fmt: skip


def test_recall_false_alarms_and_position_error_are_counted() -> None:
    flaws = [flaw(1, 100_000, killer=True), flaw(2, 200_000, killer=True), flaw(3, 300_000, kind="AGG")]
    defects = [defect(1, 100_250, 100_350), defect(2, 299_900, 300_100, kind="FIB"), defect(3, 800_000, 800_100)]
    score = inspection_score(flaws, defects, [strip(0, 1_000_000)])
    assert (score.of("PIN").flaws_count, score.of("PIN").found_count) == (2, 1)
    assert score.of("PIN").recall == 0.5
    assert (score.of("AGG").found_count, score.of("AGG").named_right_count) == (1, 0)
    assert (score.killers_count, score.killers_found_count) == (2, 1)
    assert score.false_alarms_per_m2 == pytest.approx(1 / 0.3)
    assert score.position_error_um[2] == pytest.approx(300.0)
    assert math.isnan(score.of("MET").recall)


def test_film_that_nobody_inspected_counts_for_nothing() -> None:
    score = inspection_score([flaw(1, 100_000)], [], [strip(0, 1_000_000, "unreadable"), strip(1_000_000, 2_000_000)])
    assert score.classes == ()
    assert score.inspected_m2 == pytest.approx(0.3)


def test_two_flaws_need_two_defects_and_a_second_sighting_is_no_alarm() -> None:
    flaws = [flaw(1, 100_000), flaw(2, 100_400)]
    one = inspection_score(flaws, [defect(1, 100_000, 100_050)], [strip(0, 1_000_000)])
    assert one.of("PIN").found_count == 1
    seen_twice = inspection_score(
        flaws[:1], [defect(1, 99_990, 100_010), defect(2, 100_100, 100_150)], [strip(0, 1_000_000)]
    )
    assert seen_twice.false_alarms_count == 0


def test_a_streak_stands_for_all_the_pieces_that_the_truth_knows() -> None:
    pieces = [flaw(n, n * 500_000 + 250_000, kind="STR", length_um=503_000.0) for n in range(4)]
    early = defect(1, 0, 1_000_000, kind="STR")
    whole = defect(1, 0, 2_000_000, kind="STR", revision=2)
    score = inspection_score(pieces, [whole, early], [strip(0, 2_000_000)])
    assert (score.of("STR").found_count, score.defects_count, score.false_alarms_count) == (4, 1, 0)


def test_flaws_too_small_to_matter_are_neither_missed_nor_false_alarms() -> None:
    score = inspection_score(
        [flaw(1, 100_000, size_um=9.0)], [defect(1, 99_990, 100_010)], [strip(0, 1_000_000)], least_um=20.0
    )
    assert score.classes == ()
    assert score.false_alarms_count == 0


def test_what_was_made_behind_the_camera_could_not_be_found() -> None:
    blister = FlawTruth(
        at_ns=1, flaw="b", roll="R", kind="BLI", md_um=5, cd_um=5, size_um=1.0, length_um=1.0, width_um=1.0,
        depth_fraction=0.1, killer=True, cause="lamination",
    )  # fmt: skip
    assert inspection_score([blister], [], [strip(0, 1_000_000)]).killers_count == 0


def test_the_end_of_a_streak_whose_middle_nobody_inspected_is_no_false_alarm_and_no_recall() -> None:
    streak = flaw(1, 500_000, kind="STR", length_um=1_000_000.0)
    score = inspection_score([streak], [defect(1, 800_000, 900_000, kind="STR")], [strip(750_000, 1_000_000)])
    assert (score.classes, score.false_alarms_count) == ((), 0)

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest

from line.model import LineModel, load_line
from vision.depth import Depth
from vision.verdict import Finding, Judge, Judgement, rules_version, worse


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


@pytest.fixture
def judge(line: LineModel) -> Judge:
    return Judge(line)


def finding(
    kind: str,
    size_um: float,
    *,
    doubt_um: float = 2.0,
    tx: float = 0.0,
    md_um: int = 1_000_000,
    cd_um: int = 60_000,
    lane: int = 1,
) -> Finding:
    half = round(size_um / 2)
    return Finding(
        kind=kind,
        size_um=size_um,
        size_uncertainty_um=doubt_um,
        contrast_tx=tx,
        md_um=md_um,
        cd_start_um=cd_um - half,
        cd_end_um=cd_um + half,
        lane=lane,
    )


def streak_of(depth: Depth) -> Finding:
    return replace(finding("STR", 300, tx=0.9), depth=depth)


def test_a_pinhole_above_its_limit_is_rejected_in_words(judge: Judge) -> None:
    answer = judge.judged(finding("PIN", 45))
    assert (answer.verdict, answer.severity) == ("reject", "A")
    assert answer.reason == f"pinhole of 45 ± 2 µm: at most 30 µm (rules {judge.version})"


def test_a_size_below_its_limit_by_less_than_its_uncertainty_is_for_review(judge: Judge) -> None:
    answer = judge.judged(finding("AGG", 145, doubt_um=10))
    assert answer.verdict == "review"
    assert "not certainly below" in answer.reason


def test_one_small_pinhole_is_marked_and_a_second_on_the_same_sheet_rejects(judge: Judge) -> None:
    assert judge.judged(finding("PIN", 20)).verdict == "mark"
    again = judge.judged(finding("PIN", 20, md_um=1_050_000))
    assert again.verdict == "reject"
    assert "2 of this kind within a sheet's 104 mm, at most 1" in again.reason


def test_small_pinholes_on_different_sheets_do_not_add_up(judge: Judge) -> None:
    assert judge.judged(finding("PIN", 20)).verdict == "mark"
    assert judge.judged(finding("PIN", 20, md_um=1_200_000)).verdict == "mark"
    assert judge.judged(finding("PIN", 20, cd_um=200_000, lane=2)).verdict == "mark"


def test_three_of_the_smallest_pinholes_within_two_millimetres_reject(judge: Judge) -> None:
    places = [1_000_000, 1_000_700, 1_001_400]
    verdicts = [judge.judged(finding("PIN", 12, doubt_um=1, md_um=md)).verdict for md in places]
    assert verdicts == ["pass", "pass", "reject"]


def test_a_longer_sighting_of_the_same_defect_counts_once(judge: Judge) -> None:
    judge.judged(finding("PIN", 20))
    assert judge.judged(finding("PIN", 20), again=True).verdict == "mark"


def test_a_new_roll_begins_with_nothing_counted(judge: Judge) -> None:
    judge.judged(finding("PIN", 20))
    judge.forget()
    assert judge.judged(finding("PIN", 20)).verdict == "mark"


def test_a_crack_that_touches_the_edge_of_its_lane_rejects(judge: Judge, line: LineModel) -> None:
    lane = line.web("film").lanes[0]
    answer = judge.judged(finding("CRK", 150, cd_um=lane.cd_low_um + 20))
    assert answer.verdict == "reject"
    assert "edge" in answer.reason
    assert judge.judged(finding("CRK", 150)).verdict == "pass"


@pytest.mark.parametrize(("tx", "verdict"), [(0.05, "pass"), (0.24, "review"), (0.40, "reject")])
def test_a_streak_is_judged_by_its_depth(judge: Judge, tx: float, verdict: str) -> None:
    assert judge.judged(finding("STR", 300, tx=tx)).verdict == verdict


def test_a_deep_scratch_is_critical_and_a_flat_one_is_not(judge: Judge) -> None:
    assert judge.judged(finding("SCR", 90, tx=0.6)).severity == "A"
    assert judge.judged(finding("SCR", 90, tx=0.1)).severity == "B"


def test_a_wrinkle_is_never_allowed(judge: Judge) -> None:
    assert judge.judged(finding("WRK", 520)).verdict == "reject"


def test_thickness_is_judged_by_transmission_from_the_size_of_a_spot_on(judge: Judge) -> None:
    assert judge.judged(finding("THK", 15_000, tx=0.10)).verdict == "reject"
    assert judge.judged(finding("THK", 15_000, tx=0.01)).verdict == "pass"
    small = judge.judged(finding("THK", 3_000, tx=0.10))
    assert small.verdict == "reject" and "at most 3%" in small.reason


def test_an_unknown_defect_goes_to_review(judge: Judge) -> None:
    answer = judge.judged(finding("unknown", 500))
    assert (answer.verdict, answer.severity) == ("review", "B")


def test_film_that_no_sheet_is_cut_from_passes(judge: Judge) -> None:
    answer = judge.judged(finding("MET", 100, lane=0))
    assert (answer.verdict, answer.severity) == ("pass", "C")
    assert "no sheet" in answer.reason


def test_what_passes_is_of_the_least_severity(judge: Judge) -> None:
    assert judge.judged(finding("BUB", 80)).severity == "C"


def test_a_measured_depth_counts_rather_than_the_contrast(judge: Judge) -> None:
    shallow = streak_of(Depth(fraction=0.05, uncertainty_fraction=0.02))
    unsure = streak_of(Depth(fraction=0.09, uncertainty_fraction=0.03))
    deep = streak_of(Depth(fraction=0.14, uncertainty_fraction=0.03))
    answers = [judge.judged(row) for row in (shallow, unsure, deep)]
    assert [row.verdict for row in answers] == ["pass", "review", "reject"]
    assert "14% ± 3% of the thickness deep, at most 10%" in answers[2].reason


def test_the_version_of_the_rules_changes_with_a_limit_and_with_nothing_else(line: LineModel) -> None:
    assert re.fullmatch("[0-9a-f]{8}", rules_version(line))
    renamed = msgspec.structs.replace(line, title="another name")
    assert rules_version(renamed) == rules_version(line)
    first = line.defects[0]
    tighter = msgspec.structs.replace(
        first, accept=(msgspec.structs.replace(first.accept[0], above_um=29), *first.accept[1:])
    )
    changed = msgspec.structs.replace(line, defects=(tighter, *line.defects[1:]))
    assert rules_version(changed) != rules_version(line)


def test_the_graver_judgement_is_the_worse() -> None:
    mild = Judgement(verdict="review", severity="B", reason="a")
    grave = Judgement(verdict="reject", severity="A", reason="b")
    assert worse(mild, grave) is grave
    assert worse(grave, mild) is grave

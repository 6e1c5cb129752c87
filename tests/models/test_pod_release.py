"""A release study finds the curve that made the hits, says what is missing, and never mixes with a design POD."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from line.bundle import open_bundle
from line.errors import ConfigError, MessageError, NotFoundError
from line.events import FilmDefect, StripInspected
from line.inspection_files import FilmImageResult, Region
from line.recording import RecordedEvent
from models.pod_bundle import Circumstances, release_study, released_copy, require_same_model, study_lines
from models.pod_files import read_inspection, read_targets
from models.pod_release import Area, Inspection, Target, poisson_interval, studied
from models.registry import released

GRID_UM = 2_000.0
A50_UM, WIDTH = 60.0, 0.25


def coupons(seed: int, count: int = 80, kind: str = "PIN", a50_um: float = A50_UM) -> tuple[list[Target], list[Area]]:
    """Targets on a grid, and findings drawn through a known curve."""
    rng = np.random.default_rng(seed)
    targets, findings = [], []
    for number in range(count):
        size = float(np.exp(rng.uniform(np.log(20), np.log(180))))
        x, y = GRID_UM * (1 + number % 10), GRID_UM * (1 + number // 10)
        targets.append(
            Target(
                id=f"{kind}{number}", kind=kind, size_um=size, uncertainty_um=1.0, piece=kind, x_um=x, y_um=y,
                made="laser-drilled hole",
            )
        )  # fmt: skip
        if rng.random() < 1 / (1 + math.exp(-(math.log(size / a50_um)) / WIDTH)):
            off = rng.normal(0, 40, 2)
            findings.append(
                Area(
                    piece=kind, left_um=x - size / 2 + off[0], right_um=x + size / 2 + off[0],
                    top_um=y - size / 2 + off[1], bottom_um=y + size / 2 + off[1], kind=kind,
                )
            )  # fmt: skip
    return targets, findings


def inspection(findings: list[Area], pieces: tuple[str, ...] = ("PIN", "blank")) -> Inspection:
    return Inspection(
        model="film-candidates@v1",
        digest="0" * 64,
        cameras=("FI1",),
        calibrations=("C7",),
        findings=tuple(findings),
        inspected=tuple(
            Area(piece=piece, left_um=0, right_um=300_000, top_um=0, bottom_um=1_000_000) for piece in pieces
        ),
    )


def test_the_study_finds_the_curve_that_made_the_hits_and_bounds_it_from_above() -> None:
    targets, findings = coupons(1, count=100)
    study = studied(targets, inspection(findings))
    (found,) = study.classes
    assert found.is_released
    assert found.targets_count == 100
    assert found.named_count == found.hits_count == len(findings)
    assert found.a50_um == pytest.approx(A50_UM, rel=0.25)
    assert found.a90_um < found.a90_95_um < 2 * found.a90_um


def test_the_bound_lies_above_the_true_size_in_about_nineteen_of_twenty_studies() -> None:
    true_a90_um = A50_UM * math.exp(math.log(9) * WIDTH)
    studies = 120
    covered = 0
    for seed in range(studies):
        targets, findings = coupons(1000 + seed, count=60)
        (found,) = studied(targets, inspection(findings)).classes
        covered += found.a90_95_um >= true_a90_um
    # Nominal 0.95; the standard error of 120 studies is 0.02, and the likelihood ratio is only nearly exact at 60.
    assert 0.90 <= covered / studies <= 0.99


def test_too_few_targets_are_not_released_and_the_study_says_how_many_more_are_needed(tmp_path: Path) -> None:
    targets, findings = coupons(2, count=47)
    study = studied(targets, inspection(findings))
    (found,) = study.classes
    assert not found.is_released
    assert "add 13" in found.shortfall
    circumstances = Circumstances(camera="FI1", calibration="C7", um_per_px=20.0, targets=tmp_path / "t.csv")
    with pytest.raises(ConfigError, match="PIN: 47 targets, 60 are needed: add 13"):
        release_study(open_bundle(released("film-candidates")), study, circumstances)


def test_targets_that_are_all_missed_set_no_bound() -> None:
    targets, _ = coupons(3)
    (found,) = studied(targets, inspection([])).classes
    assert found.hits_count == 0
    assert not found.is_released
    assert "no upper bound" in found.shortfall


def test_a_finding_belongs_to_the_nearest_target_in_reach_and_the_rest_are_false_calls_on_blank_film_only() -> None:
    targets = [
        Target(id="a", kind="PIN", size_um=50, uncertainty_um=1, piece="PIN", x_um=5000, y_um=5000, made="hole"),
        Target(id="b", kind="PIN", size_um=50, uncertainty_um=1, piece="PIN", x_um=6000, y_um=5000, made="hole"),
    ]

    def near(piece: str, x: float) -> Area:
        return Area(piece=piece, left_um=x, right_um=x + 10, top_um=4990, bottom_um=5010, kind="AGG")

    study = studied(targets, inspection([near("PIN", 5200), near("PIN", 8000), near("blank", 5000)]))
    assert study.classes[0].hits_count == 1
    assert study.classes[0].named_count == 0
    assert study.false_calls_count == 1
    assert study.blank_m2 == pytest.approx(0.3)


def test_a_target_on_film_that_was_not_inspected_is_neither_hit_nor_miss() -> None:
    targets, findings = coupons(4)
    lost = Target(id="lost", kind="PIN", size_um=50, uncertainty_um=1, piece="gone", x_um=1, y_um=1, made="hole")
    study = studied([*targets, lost], inspection(findings))
    assert study.classes[0].targets_count == len(targets)
    assert study.uninspected == ("lost",)
    with pytest.raises(ConfigError, match="not one target lies on inspected film"):
        studied([lost], inspection(findings))


def test_targets_too_near_to_be_told_apart_and_blank_pieces_with_targets_are_refused() -> None:
    targets, findings = coupons(5)
    with pytest.raises(ConfigError, match="PIN0 and PIN1 on PIN are 2000 µm apart"):
        studied(targets, inspection(findings), reach_um=1_500)
    with pytest.raises(ConfigError, match="PIN holds a target"):
        studied(targets, inspection(findings), blank=["PIN"])


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904)])
def test_the_poisson_interval_is_the_exact_one(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), abs=1e-3)


def test_the_next_version_holds_release_curves_beside_the_design_ones(tmp_path: Path) -> None:
    bundle = open_bundle(released("film-candidates"))
    targets, findings = coupons(6)
    said = inspection(findings)
    table = tmp_path / "targets.csv"
    table.write_text("id\n", encoding="utf-8")
    circumstances = Circumstances(camera="FI1", calibration="C7", um_per_px=20.0, targets=table)
    study = studied(targets, said)
    with pytest.raises(ConfigError, match="inspected with film-candidates@v1 000000000000"):
        require_same_model(bundle, said)
    copy = released_copy(
        bundle, release_study(bundle, study, circumstances), study_lines(study, said, circumstances), tmp_path / "next"
    )
    assert copy.manifest.version == bundle.manifest.version + 1
    assert copy.manifest.detection == bundle.manifest.detection
    assert copy.manifest.release is not None
    assert copy.manifest.release.curves["PIN"].basis == "release"
    assert copy.manifest.release.curves["PIN"].how.startswith("release POD: 80 targets (laser-drilled hole)")
    assert copy.standing_detection.keys() == {"PIN"}
    assert all(curve.basis == "design" for curve in copy.manifest.detection.values())
    card = (copy.path / "card.md").read_text(encoding="utf-8")
    assert card.index("## Probability of detection") < card.index("## Release probability of detection")
    assert open_bundle(released("film-candidates")).digest == bundle.digest
    with pytest.raises(ConfigError, match="released bundles never change"):
        released_copy(bundle, copy.manifest.release, [], bundle.path)


def write_targets(path: Path, rows: list[str], place: str = "roll,md_um,cd_um") -> Path:
    path.write_text("\n".join([f"id,kind,size_um,uncertainty_um,made,{place}", *rows]) + "\n", encoding="utf-8")
    return path


def test_a_wrong_row_of_targets_is_named_by_line_and_column(tmp_path: Path) -> None:
    table = tmp_path / "targets.csv"
    assert read_targets(write_targets(table, ["a,PIN,50,1,laser hole,R1,1000,2000"]), None)[0].x_um == 2000
    with pytest.raises(ConfigError, match=r"line 3, size_um: '-5' is no number above 0"):
        read_targets(write_targets(table, ["a,PIN,50,1,hole,R1,1,2", "b,PIN,-5,1,hole,R1,1,2"]), None)
    with pytest.raises(ConfigError, match=r"line 3, id: 'a' stands there twice"):
        read_targets(write_targets(table, ["a,PIN,50,1,hole,R1,1,2", "a,PIN,60,1,hole,R1,5,6"]), None)
    with pytest.raises(ConfigError, match="no column 'md_um'"):
        read_targets(write_targets(table, ["a,PIN,50,1,hole,R1,1"], "roll,cd_um,x"), None)
    with pytest.raises(ConfigError, match="give --pixel-um"):
        read_targets(write_targets(table, ["a,PIN,50,1,hole,p.png,1,2"], "picture,x_px,y_px"), None)
    with pytest.raises(NotFoundError, match=r"none\.csv"):
        read_targets(tmp_path / "none.csv", None)


def test_results_of_pictures_are_read_in_micrometres(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    region = Region(x_px=10, y_px=20, width_px=3, height_px=4, area_px=9, score=0.9, kind="hole")
    rows = [
        FilmImageResult(
            file="c/one.png", sha256="0", width_px=100, height_px=50, verdict="reject", regions=(region,),
            model="m@v1", model_digest="1" * 64,
        ),
        FilmImageResult(file="c/two.png", sha256="", verdict="uninspected", model="m@v1", model_digest="1" * 64),
    ]  # fmt: skip
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    found = read_inspection(tmp_path, 20.0)
    assert (found.findings[0].left_um, found.findings[0].bottom_um) == (200, 480)
    assert [area.piece for area in found.inspected] == ["one"]
    with pytest.raises(ConfigError, match="give --pixel-um"):
        read_inspection(path, None)
    path.write_bytes(b'{"file": 3}\n')
    with pytest.raises(MessageError, match="line 1"):
        read_inspection(path, 20.0)


def test_events_of_a_recording_are_read_with_the_last_sighting_of_each_defect(tmp_path: Path) -> None:
    model = open_bundle(released("film-candidates")).ref
    strip = StripInspected(
        at_ns=1, roll="R1", station="S05", camera="FI1", cd_start_um=0, cd_end_um=300_000, strip=1,
        md_start_um=0, md_end_um=9000, state="inspected", candidates_count=1, defects_count=1,
        model=model, method="pixels",
    )  # fmt: skip

    def defect(revision: int, md_end_um: int) -> FilmDefect:
        return FilmDefect(
            at_ns=1, roll="R1", station="S05", camera="FI1", cd_start_um=1000, cd_end_um=1100,
            defect="D1", revision=revision, lane=1, kind="PIN", score=0.9, md_start_um=500,
            md_end_um=md_end_um, size_um=80, size_uncertainty_um=5, position_uncertainty_um=50, area_um2=1,
            contrast_bf=0, contrast_df=0, contrast_tx=0, severity="A", verdict="reject", reason="", model=model,
            method="pixels", calibration="C7",
        )  # fmt: skip

    events = [strip, defect(2, 700), defect(1, 600)]
    lines = [
        msgspec.json.encode(RecordedEvent(after_s=0.0, topic="t", event=msgspec.Raw(msgspec.json.encode(event))))
        for event in events
    ]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    found = read_inspection(tmp_path, None)
    assert [(area.top_um, area.bottom_um) for area in found.findings] == [(500, 700)]
    assert found.calibrations == ("C7",)
    assert found.digest == model.digest
    drawn = msgspec.structs.replace(strip, method="drawn")
    (tmp_path / "events.jsonl").write_bytes(msgspec.json.encode(drawn) + b"\n")
    with pytest.raises(ConfigError, match="simulated"):
        read_inspection(tmp_path, None)

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from line.bundle import open_bundle
from line.errors import BundleError, FrameError
from line.evidence import Evidence
from line.frames import StripHeader
from line.model import Camera, LineModel, load_line
from tests.vision.made_film import (
    CLASSES,
    WIDTH_PX,
    MadeFilm,
    Planted,
    candidate_bundle,
    metal,
    pinhole,
    streak,
)
from vision.candidates import Classifier
from vision.parallel import Crew
from vision.session import ModelSession
from vision.strips import MOST_PICTURES, StripInspector, StripResult


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


@pytest.fixture(scope="module")
def camera(line: LineModel) -> Camera:
    """The film camera of the line, with fewer pixels: it sees the first 60 mm of the web."""
    return msgspec.structs.replace(line.camera("fins-1"), width_px=WIDTH_PX)


@pytest.fixture(scope="module")
def classifier(bundle_folder: Path) -> Iterator[Classifier]:
    with ModelSession(open_bundle(bundle_folder, task="film-candidates"), "cpu") as session:
        yield Classifier(session)


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path / "evidence")


@pytest.fixture
def inspector(line: LineModel, camera: Camera, classifier: Classifier, evidence: Evidence) -> StripInspector:
    return StripInspector(line, camera, classifier, now_ns=lambda: 50_000_000, evidence=evidence)


def play(
    inspector: StripInspector,
    film: MadeFilm,
    planted: Mapping[int, Sequence[Planted]],
    count: int,
    good: Sequence[NDArray[np.uint8]],
) -> list[StripResult]:
    """Results of strips 0 to count - 1; the first eight are sound film unless something is planted."""
    results = []
    for number in range(count):
        clean = number < len(good) and number not in planted
        planes = good[number] if clean else film.planes(400 + number, planted.get(number, ()))
        results += inspector.inspect(film.header(number), planes)
    return results


Strips = list[NDArray[np.uint8]]


def test_every_strip_is_reported_also_when_nothing_was_found(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    results = play(inspector, film, {}, 10, good_strips)
    assert [result.strip.strip for result in results] == list(range(10))
    assert {result.strip.state for result in results} == {"inspected"}
    assert all(result.defects == () and result.strip.defects_count == 0 for result in results)
    assert results[0].strip.mean_grey_bf == pytest.approx(140, abs=3)


def test_strips_wait_while_film_is_learnt_and_are_inspected_after_all(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    planted = {2: [pinhole(100, 1500, 100)]}
    results: list[StripResult] = []
    for number in range(8):
        assert results == []
        assert inspector.learning
        planes = film.planes(400, planted[2]) if number == 2 else good_strips[number]
        results = inspector.inspect(film.header(number), planes)
    assert not inspector.learning
    assert [result.strip.defects_count for result in results] == [0, 0, 1, 0, 0, 0, 0, 0]
    assert results[2].defects[0].kind == "PIN"


def test_a_defect_lies_where_it_was_planted(inspector: StripInspector, film: MadeFilm, good_strips: Strips) -> None:
    results = play(inspector, film, {9: [pinhole(100.0, 1500.0, 100)]}, 10, good_strips)
    (defect,) = results[9].defects
    assert (defect.md_start_um + defect.md_end_um) / 2 == pytest.approx(9 * 5120 + 2000, abs=10)
    assert (defect.cd_start_um + defect.cd_end_um) / 2 == pytest.approx(30_000, abs=10)
    assert defect.size_um == pytest.approx(100, abs=defect.size_uncertainty_um)
    assert (defect.lane, defect.kind, defect.verdict, defect.severity) == (1, "PIN", "reject", "A")
    assert (defect.method, defect.simulated, defect.recipe) == ("pixels", True, "r-1")
    assert defect.latency_ms == 50.0
    assert results[9].strip.md_start_um == 9 * 5120
    assert results[9].strip.defects_count == 1


def test_a_defect_has_a_picture_under_its_digest(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips, evidence: Evidence
) -> None:
    results = play(inspector, film, {9: [metal(100, 1500, 100)]}, 10, good_strips)
    png = evidence.get(results[9].defects[0].image)
    assert png is not None
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    height, width, _ = picture.shape
    assert 96 <= height <= 256
    assert width == pytest.approx(3 * height, abs=8)
    dark_field = picture[:, width // 3 : 2 * width // 3, 0]
    assert dark_field[height // 2 - 2 : height // 2 + 2, dark_field.shape[1] // 2].max() > 200


def test_a_streak_through_three_strips_is_one_defect_with_growing_revision(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    lines = [streak(1200, 300)]
    results = play(inspector, film, {9: lines, 10: lines, 11: lines}, 14, good_strips)
    sightings = [defect for result in results for defect in result.defects]
    assert [defect.revision for defect in sightings] == [1, 2, 3]
    assert len({defect.defect for defect in sightings}) == 1
    assert len({defect.id for defect in sightings}) == 3
    assert [defect.md_end_um for defect in sightings] == [10 * 5120, 11 * 5120, 12 * 5120]
    assert {defect.md_start_um for defect in sightings} == {9 * 5120}
    assert {defect.kind for defect in sightings} == {"STR"}
    assert len({defect.image for defect in sightings}) == 1


def test_a_streak_with_every_fifth_strip_missing_is_one_defect(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    play(inspector, film, {}, 8, good_strips)
    pictures = [film.planes(500 + number, [streak(1200, 300)]) for number in range(3)]
    looked = [number for number in range(8, 208) if number % 5]
    results = [inspector.inspect(film.header(number), pictures[number % 3])[0] for number in looked]
    defects = [defect for result in results for defect in result.defects]
    assert [defect.revision for defect in defects] == list(range(1, 161))
    assert {(defect.defect, defect.md_start_um) for defect in defects} == {(defects[0].defect, 8 * 5120)}
    assert [defect.md_end_um for defect in defects] == [(number + 1) * 5120 for number in looked]
    assert [result.strip.strip for result in results] == looked


@pytest.mark.parametrize(("missing", "one"), [(1, True), (97, True), (98, False), (5_000, False)])
def test_a_streak_goes_on_beyond_half_a_metre_that_was_not_inspected_and_no_more(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips, missing: int, one: bool
) -> None:
    play(inspector, film, {}, 8, good_strips)
    first = inspector.inspect(film.header(8), film.planes(500, [streak(1200, 300)]))
    after = inspector.inspect(film.header(9 + missing), film.planes(501, [streak(1200, 300)]))
    assert (first[0].defects[0].defect == after[0].defects[0].defect) == one
    assert after[0].defects[0].revision == 1 + one


def test_a_streak_beside_the_place_of_one_before_a_hole_is_another(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    play(inspector, film, {}, 8, good_strips)
    first = inspector.inspect(film.header(8), film.planes(500, [streak(1200, 300)]))
    after = inspector.inspect(film.header(10), film.planes(501, [streak(1240, 300)]))
    assert first[0].defects[0].defect != after[0].defects[0].defect


@pytest.mark.parametrize(("dropped_lines", "defects_count"), [(0, 1), (100, 2)])
def test_spots_at_both_sides_of_dropped_lines_are_not_joined(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips, dropped_lines: int, defects_count: int
) -> None:
    play(inspector, film, {}, 8, good_strips)
    results = inspector.inspect(film.header(8), film.planes(500, [pinhole(256, 1500, 240)]))
    after = film.header(9)
    after = msgspec.structs.replace(
        after, encoder_um=after.encoder_um + 20 * dropped_lines, missed_lines_count=dropped_lines
    )
    results += inspector.inspect(after, film.planes(501, [pinhole(0, 1500, 240)]))
    assert len({defect.defect for result in results for defect in result.defects}) == defects_count


def test_a_faint_streak_across_a_hole_began_before_it(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    play(inspector, film, {}, 8, good_strips)
    looked = [8, 9, *range(20, 30)]
    faint = [film.planes(500 + number, [streak(1202, 80, 0.2)]) for number in range(4)]
    results = [inspector.inspect(film.header(number), faint[number % 4])[0] for number in looked]
    defects = [defect for result in results for defect in result.defects]
    assert len({defect.defect for defect in defects}) == 1
    assert defects[0].md_end_um > 20 * 5120
    assert defects[0].md_start_um == 8 * 5120


def test_a_hole_cut_by_the_border_of_two_strips_is_one_defect(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    halves = {9: [pinhole(256, 1500, 240)], 10: [pinhole(0, 1500, 240)]}
    results = play(inspector, film, halves, 11, good_strips)
    sightings = [defect for result in results for defect in result.defects]
    assert [defect.revision for defect in sightings] == [1, 2]
    whole = sightings[-1]
    assert whole.defect == sightings[0].defect
    assert whole.size_um == pytest.approx(240, rel=0.15)
    assert (whole.md_start_um + whole.md_end_um) / 2 == pytest.approx(10 * 5120, abs=60)


def test_replaying_the_same_film_gives_the_same_ids(
    line: LineModel, camera: Camera, classifier: Classifier, film: MadeFilm, good_strips: Strips
) -> None:
    planted = {9: [pinhole(100, 1500, 60), streak(800, 300)], 10: [streak(800, 300)]}
    runs = []
    for now_ns in (1, 99_000_000):
        inspector = StripInspector(line, camera, classifier, now_ns=lambda now_ns=now_ns: now_ns)  # type: ignore[misc]
        results = play(inspector, film, planted, 11, good_strips)
        runs.append([
            (result.strip.id, [(defect.id, defect.defect) for defect in result.defects]) for result in results
        ])
    assert runs[0] == runs[1]


def test_more_candidates_than_the_cap_are_said_to_be_over_capacity(
    line: LineModel, camera: Camera, classifier: Classifier, film: MadeFilm, good_strips: Strips
) -> None:
    inspector = StripInspector(line, camera, classifier, now_ns=lambda: 0, most_candidates=5)
    holes = [pinhole(40 + 30 * (k % 6), 500 + 150 * k, 80) for k in range(12)]
    result = play(inspector, film, {9: holes}, 10, good_strips)[9]
    assert result.strip.state == "over_capacity"
    assert result.strip.candidates_count >= 12
    assert len(result.defects) == 5


def test_a_streak_goes_on_through_a_strip_of_thousands_of_spots(
    line: LineModel, camera: Camera, classifier: Classifier, film: MadeFilm, good_strips: Strips
) -> None:
    inspector = StripInspector(line, camera, classifier, now_ns=lambda: 0, most_candidates=10)
    play(inspector, film, {}, 8, good_strips)
    results = []
    for number in range(8, 11):
        strip = film.planes(800 + number, [streak(1200, 300, 2.0)])
        if number == 9:
            places = (np.arange(1_000)[:, None] * (0.7548776662, 0.5698402910) % 1 * strip.shape[1:]).astype(int)
            strip[2, places[:, 0], places[:, 1]] += 45
        results += inspector.inspect(film.header(number), strip)
    assert [result.strip.state for result in results] == ["inspected", "over_capacity", "inspected"]
    assert results[1].strip.candidates_count > 500
    defects = [defect for result in results for defect in result.defects]
    streaks = [defect for defect in defects if defect.md_end_um - defect.md_start_um >= 5120]
    assert [defect.revision for defect in streaks] == [1, 2, 3]
    assert len({defect.defect for defect in streaks}) == 1


def test_a_streak_goes_on_beyond_a_strip_that_stands_out_as_a_whole(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    play(inspector, film, {}, 8, good_strips)
    lines = film.planes(800, [streak(1200, 300)])
    dark = MadeFilm(lamp=(0.3, 1.0, 1.0)).planes(801)
    results = [inspector.inspect(film.header(8 + k), planes)[0] for k, planes in enumerate((lines, dark, lines))]
    assert [result.strip.state for result in results] == ["inspected", "over_capacity", "inspected"]
    (before,), (after,) = results[0].defects, results[2].defects
    assert after.defect == before.defect
    assert (after.md_start_um, after.md_end_um) == (8 * 5120, 11 * 5120)


def test_a_burst_of_defects_has_pictures_of_the_strongest_only(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    holes = [pinhole(20 + 40 * (k % 6), 200 + 70 * k, 100) for k in range(MOST_PICTURES + 8)]
    result = play(inspector, film, {9: holes}, 10, good_strips)[9]
    assert len(result.defects) == len(holes)
    assert sum(bool(defect.image) for defect in result.defects) == MOST_PICTURES


def test_how_many_threads_share_a_strip_changes_nothing(
    line: LineModel, camera: Camera, bundle_folder: Path, film: MadeFilm, good_strips: Strips
) -> None:
    planted = {9: [pinhole(30 + 8 * k, 300 + 100 * k, 80) for k in range(20)], 10: [streak(800, 300)]}
    runs = []
    for threads in (1, 2, 3):
        with (
            Crew(threads) as crew,
            ModelSession(open_bundle(bundle_folder, task="film-candidates"), "cpu", crew=crew) as session,
        ):
            inspector = StripInspector(line, camera, Classifier(session), now_ns=lambda: 0, crew=crew)
            runs.append(play(inspector, film, planted, 12, good_strips))
    assert len(runs[0][9].defects) == 20
    assert runs[0] == runs[1] == runs[2]


def test_a_lamp_that_fails_is_never_passed_as_inspected(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    play(inspector, film, {}, 8, good_strips)
    dark = MadeFilm(lamp=(0.3, 1.0, 1.0))
    assert inspector.inspect(film.header(8), dark.planes(600))[0].strip.state == "over_capacity"


def test_film_in_the_dark_is_reported_as_learning_and_not_as_inspected(
    inspector: StripInspector, film: MadeFilm
) -> None:
    dark = MadeFilm(lamp=(0.03, 0.03, 0.03))
    results = play(inspector, dark, {}, 8, [])
    assert [result.strip.state for result in results] == ["learning"] * 8
    assert inspector.learning


def test_the_end_of_a_short_source_gives_the_strips_that_wait(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    assert play(inspector, film, {}, 3, good_strips) == []
    assert [result.strip.state for result in inspector.finish()] == ["inspected"] * 3


def test_a_new_roll_begins_without_the_streaks_of_the_old_one(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    results = play(inspector, film, {8: [streak(1200, 300)]}, 9, good_strips)
    other = MadeFilm(roll="FR-2")
    header = msgspec.structs.replace(other.header(9), roll="FR-2")
    (next_roll,) = inspector.inspect(header, film.planes(700, [streak(1200, 300)]))
    assert next_roll.defects[0].defect != results[8].defects[0].defect
    assert next_roll.defects[0].roll == "FR-2"


def test_a_strip_of_another_width_is_refused_naming_both(inspector: StripInspector, film: MadeFilm) -> None:
    header = film.header(0, width_px=2000)
    with pytest.raises(FrameError, match=r"planes \(3, 256, 2000\).*expected \(3, 256, 3000\)"):
        inspector.inspect(header, np.zeros((3, 256, 2000), np.uint8))


def test_a_strip_of_another_pixel_is_refused_with_both_units(inspector: StripInspector, film: MadeFilm) -> None:
    header: StripHeader = msgspec.structs.replace(film.header(0), pixel_um=10.0)
    with pytest.raises(FrameError, match="pixel of 10 µm, the line model says 20 µm"):
        inspector.inspect(header, np.zeros((3, 256, WIDTH_PX), np.uint8))


def test_an_unreadable_strip_is_reported_as_such(inspector: StripInspector, film: MadeFilm) -> None:
    strip = inspector.unreadable(film.header(3)).strip
    assert (strip.state, strip.strip, strip.candidates_count) == ("unreadable", 3, 0)


def test_a_classifier_for_another_pixel_is_refused(line: LineModel, camera: Camera, tmp_path: Path) -> None:
    folder = candidate_bundle(tmp_path / "b", um_per_px=10.0)
    with (
        ModelSession(open_bundle(folder), "cpu") as session,
        pytest.raises(BundleError, match="10 um/px, the images have 20"),
    ):
        StripInspector(line, camera, Classifier(session), now_ns=lambda: 0)


def test_a_classifier_without_a_class_for_sound_film_is_refused(tmp_path: Path) -> None:
    folder = candidate_bundle(tmp_path / "b", classes=[*CLASSES[:-1], "good"])
    with (
        ModelSession(open_bundle(folder), "cpu") as session,
        pytest.raises(BundleError, match="no class 'clean'"),
    ):
        Classifier(session)

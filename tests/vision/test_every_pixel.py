"""A network on every pixel finds, measures and judges as the cascade does, and says what it computed on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from line.bundle import Bundle, open_bundle
from line.errors import BundleError, ProviderError
from line.events import FilmDefect, StripInspected
from line.model import Camera, LineModel, load_line
from tests.vision.made_dense import dense_bundle
from tests.vision.made_film import WIDTH_PX, MadeFilm, Planted, metal, pinhole, streak
from vision.candidates import Classifier
from vision.every_pixel import EveryPixel
from vision.session import ModelSession
from vision.strips import StripInspector, StripResult

Strips = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


@pytest.fixture(scope="module")
def camera(line: LineModel) -> Camera:
    """The film camera of the line, with fewer pixels: no multiple of what the network needs, as its own are none."""
    return msgspec.structs.replace(line.camera("fins-1"), width_px=WIDTH_PX)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return dense_bundle(tmp_path_factory.mktemp("dense") / "net")


@pytest.fixture
def net(bundle: Bundle, camera: Camera, line: LineModel) -> Iterator[EveryPixel]:
    with EveryPixel(bundle, camera, reject_um(line), "cpu") as opened:
        yield opened


@pytest.fixture
def inspector(line: LineModel, camera: Camera, net: EveryPixel) -> StripInspector:
    return StripInspector(line, camera, net, now_ns=lambda: 50_000_000)


def reject_um(line: LineModel) -> dict[str, float | None]:
    return {row.code: row.reject_um for row in line.defects}


def play(
    inspector: StripInspector, film: MadeFilm, planted: Mapping[int, Sequence[Planted]], count: int, good: Strips
) -> list[StripResult]:
    """Results of strips 0 to count - 1; the first eight are sound film."""
    results = []
    for number in range(count):
        clean = number < len(good) and number not in planted
        planes = good[number] if clean else film.planes(400 + number, planted.get(number, ()))
        results += inspector.inspect(film.header(number), planes)
    return results


def test_defects_get_the_place_size_class_and_decision_that_the_cascade_gives(
    line: LineModel, camera: Camera, inspector: StripInspector, bundle_folder: Path, film: MadeFilm, good_strips: Strips
) -> None:
    planted = {9: [pinhole(100, 1500, 100), metal(60, 700, 120), pinhole(200, 2400, 160)]}
    with ModelSession(open_bundle(bundle_folder), "cpu") as session:
        cascade = StripInspector(line, camera, Classifier(session), now_ns=lambda: 50_000_000)
        one = play(cascade, film, planted, 10, good_strips)
    other = play(inspector, film, planted, 10, good_strips)
    assert [result.strip.state for result in other] == ["inspected"] * 10
    assert [result.strip.defects_count for result in other] == [0] * 9 + [3]
    pairs = zip(*(sorted(each[9].defects, key=lambda row: row.cd_start_um) for each in (one, other)), strict=True)
    for seen, found in pairs:
        assert (found.kind, found.verdict, found.severity, found.lane) == (
            seen.kind, seen.verdict, seen.severity, seen.lane,
        )  # fmt: skip
        for place in ("md_start_um", "md_end_um", "cd_start_um", "cd_end_um"):
            assert getattr(found, place) == pytest.approx(getattr(seen, place), abs=30)
        assert found.size_um == pytest.approx(seen.size_um, abs=seen.size_uncertainty_um)
        assert found.depth_fraction == pytest.approx(seen.depth_fraction, abs=0.02)
        assert found.contrast_tx == pytest.approx(seen.contrast_tx, rel=0.1)
        assert 0.9 < found.score <= 1


def test_every_result_says_which_model_on_what(
    inspector: StripInspector, bundle: Bundle, film: MadeFilm, good_strips: Strips
) -> None:
    result = play(inspector, film, {9: [pinhole(100, 1500, 100)]}, 10, good_strips)[9]
    said: list[StripInspected | FilmDefect] = [result.strip, *result.defects]
    assert [(event.model, event.providers, event.device) for event in said] == [
        (bundle.ref, ("CPUExecutionProvider",), "cpu")
    ] * 2


def test_more_spots_than_the_cap_are_said_to_be_over_capacity(
    line: LineModel, camera: Camera, net: EveryPixel, film: MadeFilm, good_strips: Strips
) -> None:
    inspector = StripInspector(line, camera, net, now_ns=lambda: 0, most_candidates=5)
    holes = [pinhole(40 + 30 * (k % 6), 500 + 150 * k, 80) for k in range(12)]
    result = play(inspector, film, {9: holes}, 10, good_strips)[9]
    assert (result.strip.state, result.strip.candidates_count, len(result.defects)) == ("over_capacity", 12, 5)


def test_a_strip_that_is_all_defect_is_over_capacity_and_not_inspected(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    play(inspector, film, {}, 8, good_strips)
    (result,) = inspector.inspect(film.header(8), MadeFilm(lamp=(1.0, 1.0, 0.3)).planes(600))
    assert (result.strip.state, result.defects) == ("over_capacity", ())


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
    assert [result.strip.missed_lines_count for result in results] == [0, dropped_lines]
    assert len({defect.defect for result in results for defect in result.defects}) == defects_count


def test_a_streak_that_the_network_sees_is_one_defect_with_growing_revision(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    lines = [streak(1200, 300, 3.0)]
    results = play(inspector, film, {9: lines, 10: lines, 11: lines}, 13, good_strips)
    defects = [defect for result in results for defect in result.defects]
    assert [(defect.kind, defect.revision) for defect in defects] == [("STR", 1), ("STR", 2), ("STR", 3)]
    assert len({defect.defect for defect in defects}) == 1


def test_a_streak_too_faint_for_the_network_is_found_by_the_means_along_the_web(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    lines = [streak(1200, 300)]
    results = play(inspector, film, {9: lines, 10: lines}, 11, good_strips)
    defects = [defect for result in results for defect in result.defects]
    assert [(defect.kind, defect.revision) for defect in defects] == [("STR", 1), ("STR", 2)]


def test_a_hole_on_a_streak_is_not_taken_for_the_streak(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    result = play(inspector, film, {9: [streak(1200, 300), metal(100, 1200, 200)]}, 10, good_strips)[9]
    assert sorted(defect.kind for defect in result.defects) == ["MET", "STR"]


def test_replaying_the_same_film_gives_the_same_ids(
    line: LineModel, camera: Camera, net: EveryPixel, film: MadeFilm, good_strips: Strips
) -> None:
    planted = {9: [pinhole(100, 1500, 100), streak(800, 300)], 10: [streak(800, 300)]}
    runs = [play(StripInspector(line, camera, net, now_ns=lambda: 7), film, planted, 11, good_strips) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("lines", [200, 300])
def test_a_strip_of_fewer_or_more_lines_than_usual_is_seen_to_its_end(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips, lines: int
) -> None:
    play(inspector, film, {}, 8, good_strips)
    other = MadeFilm(lines=lines)
    header = msgspec.structs.replace(other.header(0), strip=8, encoder_um=film.header(8).encoder_um)
    (result,) = inspector.inspect(header, other.planes(700, [pinhole(lines - 20, 1500, 100)]))
    assert result.strip.state == "inspected"
    (defect,) = result.defects
    assert (defect.md_start_um + defect.md_end_um) / 2 == pytest.approx(8 * 5120 + 20 * (lines - 20), abs=15)


def test_a_class_that_the_line_does_not_know_goes_to_review(
    line: LineModel, camera: Camera, tmp_path: Path, film: MadeFilm, good_strips: Strips
) -> None:
    bundle = dense_bundle(tmp_path / "net", classes=("blowhole", "MET", "STR"))
    with EveryPixel(bundle, camera, reject_um(line), "cpu") as net:
        inspector = StripInspector(line, camera, net, now_ns=lambda: 0)
        (defect,) = play(inspector, film, {9: [pinhole(100, 1500, 100)]}, 10, good_strips)[9].defects
    assert (defect.kind, defect.verdict) == ("blowhole", "review")


@pytest.mark.parametrize(
    ("names", "planes", "stride_px"),
    [(("BF", "DF", "TX"), 3, 2), (("TX",), 1, 1), (("TX",), 1, 4), (("TX",), 1, 8), (("TX", "TX"), 1, 2)],
)
def test_networks_of_several_planes_looks_and_cells_find_the_same(
    line: LineModel, camera: Camera, tmp_path: Path, film: MadeFilm, good_strips: Strips,
    names: tuple[str, ...], planes: int, stride_px: int,
) -> None:  # fmt: skip
    bundle = dense_bundle(tmp_path / "net", channel_names=names, planes=planes, stride_px=stride_px)
    with EveryPixel(bundle, camera, reject_um(line), "cpu") as net:
        inspector = StripInspector(line, camera, net, now_ns=lambda: 0)
        (defect,) = play(inspector, film, {9: [pinhole(100, 1500, 240)]}, 10, good_strips)[9].defects
    assert defect.kind == "PIN"
    assert (defect.cd_start_um + defect.cd_end_um) / 2 == pytest.approx(30_000, abs=20)
    assert defect.size_um == pytest.approx(240, rel=0.15)


def test_models_that_do_not_suit_the_camera_are_refused_with_the_next_step(
    line: LineModel, camera: Camera, tmp_path: Path, bundle_folder: Path
) -> None:
    def opened(bundle: Bundle, at: Camera = camera) -> None:
        EveryPixel(bundle, at, reject_um(line), "cpu").close()

    with pytest.raises(BundleError, match="a film-segmentation model is needed here"):
        opened(open_bundle(bundle_folder))
    with pytest.raises(BundleError, match="10 um/px, the images have 20 um/px"):
        opened(dense_bundle(tmp_path / "fine", um_per_px=10.0))
    unnamed = dense_bundle(tmp_path / "unnamed", channel_names=())
    with pytest.raises(BundleError, match=r"does not say which of BF, DF, TX; train it again, lamella train film"):
        opened(unnamed)
    opened(unnamed, msgspec.structs.replace(camera, channels=("TX",)))
    without = msgspec.structs.replace(camera, id="lins-1", channels=("BF", "DF"))
    with pytest.raises(BundleError, match=r"made-dense@v1 needs TX, camera lins-1 has BF, DF and no TX.*lins-1=NAME"):
        opened(dense_bundle(tmp_path / "tx"), without)
    with pytest.raises(BundleError, match="one of"):
        opened(dense_bundle(tmp_path / "odd", stride_px=16, classes=("PIN", "MET")))


def test_cuda_that_is_required_and_absent_is_refused_with_the_next_step(
    line: LineModel, camera: Camera, bundle: Bundle
) -> None:
    with ModelSession(bundle, "auto") as session:
        if session.provenance.device == "cuda":
            pytest.skip("there is CUDA here")
    with pytest.raises(ProviderError, match=r"provider 'cuda' is required.*install lamella\[cuda\]"):
        EveryPixel(bundle, camera, reject_um(line), "cuda")

"""A film camera has the channels of its row: a second station behind metal sees no transmission."""

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
from line.model import Camera, LineModel, load_line
from tests.vision.made_dense import dense_bundle
from tests.vision.made_film import WIDTH_PX, MadeFilm, Planted, candidate_bundle, metal, pinhole, streak
from vision.camera_check import CameraCheck
from vision.candidates import Classifier
from vision.every_pixel import EveryPixel
from vision.session import ModelSession
from vision.strips import StripInspector, StripResult

ALL = ("BF", "DF", "TX")
REFLECTED = ("BF", "DF")
Strips = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


@pytest.fixture(scope="module")
def camera(line: LineModel) -> Camera:
    """The camera behind the calender, with fewer pixels."""
    return msgspec.structs.replace(line.camera("lins-1"), width_px=WIDTH_PX, fitted=True)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classifier]:
    folder = candidate_bundle(tmp_path_factory.mktemp("reflected") / "net", channels=REFLECTED)
    with ModelSession(open_bundle(folder), "cpu") as session:
        yield Classifier(session)


@pytest.fixture
def inspector(line: LineModel, camera: Camera, classifier: Classifier) -> StripInspector:
    return StripInspector(line, camera, classifier, now_ns=lambda: 0)


def play(
    inspector: StripInspector,
    film: MadeFilm,
    planted: Mapping[int, Sequence[Planted]],
    count: int,
    good: Strips,
    channels: tuple[str, ...] = REFLECTED,
) -> list[StripResult]:
    """Results of strips 0 to count - 1 as a camera of some channels sees them; the first eight are sound film."""
    order = [ALL.index(name) for name in channels]
    results = []
    for number in range(count):
        clean = number < len(good) and number not in planted
        planes = good[number] if clean else film.planes(400 + number, planted.get(number, ()))
        header = msgspec.structs.replace(film.header(number), camera="lins-1", channels=channels)
        results += inspector.inspect(header, np.ascontiguousarray(planes[order]))
    return results


def test_defects_are_found_and_measured_without_transmission_and_their_depth_is_not_guessed(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    results = play(inspector, film, {9: [metal(100, 1500, 200)]}, 10, good_strips)
    assert {result.strip.state for result in results} == {"inspected"}
    assert all(result.profile is None for result in results)
    strip = results[9].strip
    assert strip.mean_grey_bf == pytest.approx(140, abs=3)
    assert strip.mean_grey_df == pytest.approx(23, abs=1)
    assert strip.mean_grey_tx is None
    (defect,) = results[9].defects
    assert (defect.kind, defect.verdict) == ("MET", "reject")
    assert (defect.cd_start_um + defect.cd_end_um) / 2 == pytest.approx(30_000, abs=10)
    assert defect.size_um == pytest.approx(200, abs=defect.size_uncertainty_um)
    assert defect.contrast_bf is not None and defect.contrast_df is not None
    assert defect.contrast_df > defect.contrast_bf > 0.3
    assert (defect.contrast_tx, defect.depth_fraction, defect.depth_uncertainty_fraction) == (None, None, None)


def test_a_limit_of_depth_sends_what_was_not_measured_to_review(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    lines = [streak(1200, 400, 2.0)]
    results = play(inspector, film, {9: lines, 10: lines, 11: lines}, 12, good_strips)
    defects = [defect for result in results for defect in result.defects]
    assert [(defect.kind, defect.revision, defect.verdict) for defect in defects] == [
        ("STR", number, "review") for number in (1, 2, 3)
    ]
    assert len({defect.defect for defect in defects}) == 1
    assert {defect.contrast_tx for defect in defects} == {None}
    assert "depth not measured, this camera sees no transmission; at most 10%" in defects[0].reason


def test_the_picture_of_a_defect_shows_the_channels_that_there_are(
    line: LineModel, camera: Camera, classifier: Classifier, film: MadeFilm, good_strips: Strips, tmp_path: Path
) -> None:
    evidence = Evidence(tmp_path / "evidence")
    inspector = StripInspector(line, camera, classifier, now_ns=lambda: 0, evidence=evidence)
    (defect,) = play(inspector, film, {9: [metal(100, 1500, 200)]}, 10, good_strips)[9].defects
    png = evidence.get(defect.image)
    assert png is not None
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    height, width, _ = picture.shape
    assert width == pytest.approx(2 * height, abs=8)


def test_a_strip_of_other_channels_than_the_cameras_is_refused(
    inspector: StripInspector, film: MadeFilm, good_strips: Strips
) -> None:
    header = msgspec.structs.replace(film.header(0), camera="lins-1")
    with pytest.raises(FrameError, match=r"of BF, DF, TX, expected \(2, 256, 3000\) of BF, DF: check the camera's row"):
        inspector.inspect(header, good_strips[0])


def test_channels_in_another_order_give_the_same_defects(
    line: LineModel, bundle_folder: Path, film: MadeFilm, good_strips: Strips
) -> None:
    usual = msgspec.structs.replace(line.camera("fins-1"), width_px=WIDTH_PX)
    planted = {9: [pinhole(100, 1500, 100), streak(900, 300)]}
    found = []
    with ModelSession(open_bundle(bundle_folder), "cpu") as session:
        for channels in (ALL, ("TX", "BF", "DF")):
            camera = msgspec.structs.replace(usual, channels=channels)
            inspector = StripInspector(line, camera, Classifier(session), now_ns=lambda: 0)
            result = play(inspector, film, planted, 10, good_strips, channels)[9]
            found.append((result.strip, sorted(result.defects, key=lambda row: row.kind)))
    assert found[0] == found[1]
    assert [defect.depth_fraction is not None for defect in found[1][1]] == [True, True]


def test_a_classifier_that_needs_transmission_is_refused_by_name_with_the_next_step(
    line: LineModel, camera: Camera, bundle_folder: Path
) -> None:
    wanted = r"film-candidates@v1 needs BF, DF, TX, camera lins-1 has BF, DF and no TX: .*--renderer --channels BF,DF"
    with ModelSession(open_bundle(bundle_folder), "cpu") as session, pytest.raises(BundleError, match=wanted):
        StripInspector(line, camera, Classifier(session), now_ns=lambda: 0)


def test_a_classifier_of_reflected_light_serves_a_camera_that_sees_more(
    line: LineModel, classifier: Classifier, film: MadeFilm, good_strips: Strips
) -> None:
    camera = msgspec.structs.replace(line.camera("fins-1"), width_px=WIDTH_PX)
    inspector = StripInspector(line, camera, classifier, now_ns=lambda: 0)
    (defect,) = play(inspector, film, {9: [metal(100, 1500, 200)]}, 10, good_strips, ALL)[9].defects
    assert defect.kind == "MET"
    assert defect.contrast_tx == pytest.approx(-0.9, abs=0.1)


@pytest.mark.parametrize("names", [("BF", "XR"), ("BF", "DF", "TX", "XR")])
def test_a_classifier_of_channels_that_film_cameras_do_not_have_is_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    manifest = open_bundle(candidate_bundle(tmp_path / "net", channels=REFLECTED)).manifest
    odd = msgspec.structs.replace(manifest, input=msgspec.structs.replace(manifest.input, channel_names=names))
    bundle = open_bundle(candidate_bundle(tmp_path / "other", channels=REFLECTED))
    with ModelSession(bundle, "cpu") as session, pytest.raises(BundleError, match="needed is a name for each"):
        session.bundle = type(bundle)(path=bundle.path, manifest=odd, digest=bundle.digest)
        Classifier(session)


def test_full_coverage_serves_a_camera_without_transmission(
    line: LineModel, camera: Camera, tmp_path: Path, film: MadeFilm, good_strips: Strips
) -> None:
    bundle = dense_bundle(tmp_path / "net", channel_names=("DF",), film_grey=22.0)
    with EveryPixel(bundle, camera, {}, "cpu") as net:
        inspector = StripInspector(line, camera, net, now_ns=lambda: 0)
        (defect,) = play(inspector, film, {9: [metal(100, 1500, 200)]}, 10, good_strips)[9].defects
    assert (defect.contrast_tx, defect.depth_fraction) == (None, None)
    assert defect.size_um == pytest.approx(200, abs=defect.size_uncertainty_um)


def test_reflection_that_changes_alike_is_not_said_to_be_no_film(
    line: LineModel, camera: Camera, classifier: Classifier, tmp_path: Path, film: MadeFilm, good_strips: Strips
) -> None:
    check = CameraCheck(camera, tmp_path)
    inspector = StripInspector(line, camera, classifier, now_ns=lambda: 0, check=check)
    play(inspector, film, {}, 8, good_strips)
    dim = MadeFilm(lamp=(0.9, 0.9, 1.0))
    said = []
    for number in range(8, 24):
        header = msgspec.structs.replace(dim.header(number), camera="lins-1", channels=REFLECTED)
        said += [result.camera for result in inspector.inspect(header, dim.planes(900 + number % 3)[:2])]
    (event,) = (event for event in said if event is not None and event.state != "ok")
    assert event.state == "drifting"
    assert "BF and DF both at 90%" in event.reason
    assert "not the film" not in event.reason

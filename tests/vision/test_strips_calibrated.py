"""Strips of a camera that is calibrated, or is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from line.bundle import open_bundle
from line.calibration import Calibration, Target, write_calibration
from line.events import Measure
from line.model import Camera, LineModel, load_line
from tests.vision.made_film import WIDTH_PX, MadeFilm, Planted, pinhole
from vision.calibration_watch import Policy
from vision.camera_check import CameraCheck
from vision.candidates import Classifier
from vision.session import ModelSession
from vision.strips import StripInspector, StripResult

HOUR_NS = 3_600_000_000_000
Strips = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


@pytest.fixture(scope="module")
def camera(line: LineModel) -> Camera:
    return msgspec.structs.replace(line.camera("fins-1"), width_px=WIDTH_PX, film_grey={})


@pytest.fixture(scope="module")
def classifier(bundle_folder: Path) -> Iterator[Classifier]:
    with ModelSession(open_bundle(bundle_folder, task="film-candidates"), "cpu") as session:
        yield Classifier(session)


class Rig:
    """An inspector of one camera with its state folder."""

    def __init__(self, line: LineModel, camera: Camera, classifier: Classifier, state_dir: Path) -> None:
        self._parts = (line, camera, classifier)
        self._state_dir = state_dir

    def calibrate(self, at_ns: int, *, hours: float = 8, white: float = 200.0) -> None:
        write_calibration(
            self._state_dir,
            Calibration(
                calibration="fins-1-a",
                camera="fins-1",
                station="S05",
                person="ada",
                at_ns=at_ns,
                valid_until_ns=at_ns + round(hours * HOUR_NS),
                recalibrate_by_ns=at_ns + 1000 * HOUR_NS,
                pixel_um=20.06,
                line_um=19.96,
                nominal_um=20.0,
                target=Target(),
                frames_count=1,
                frames_digest="",
                simulated=False,
                measures=(Measure("white", "BF", white, None, 180.0, 220.0, "{DN}"),),
            ),
        )

    def play(
        self, film: MadeFilm, planes: Sequence[NDArray[np.uint8]], *, simulated: bool, policy: Policy = "required"
    ) -> list[StripResult]:
        """Results of strips 0 and on."""
        line, camera, classifier = self._parts
        check = CameraCheck(camera, self._state_dir, policy=policy)
        inspector = StripInspector(line, camera, classifier, now_ns=lambda: 0, check=check)
        results = []
        for number, strip in enumerate(planes):
            header = msgspec.structs.replace(film.header(number), simulated=simulated)
            results += inspector.inspect(header, strip)
        return results + inspector.finish()


@pytest.fixture
def rig(line: LineModel, camera: Camera, classifier: Classifier, tmp_path: Path) -> Rig:
    return Rig(line, camera, classifier, tmp_path)


def holed(film: MadeFilm, good: Strips, *defects: Planted) -> Strips:
    return [*good, film.planes(409, defects)]


def test_simulated_film_counts_as_inspected_without_a_calibration(
    rig: Rig, film: MadeFilm, good_strips: Strips
) -> None:
    results = rig.play(film, good_strips, simulated=True)
    assert {result.strip.state for result in results} == {"inspected"}
    assert [result.camera.state for result in results if result.camera] == ["ok"]


def test_real_film_of_a_camera_that_was_never_calibrated_is_uninspected_and_its_defects_are_told(
    rig: Rig, film: MadeFilm, good_strips: Strips
) -> None:
    results = rig.play(film, holed(film, good_strips, pinhole(100, 1500, 100)), simulated=False)
    assert {result.strip.state for result in results} == {"uncalibrated"}
    assert [result.camera.state for result in results if result.camera] == ["uncalibrated"]
    (defect,) = results[-1].defects
    assert (defect.kind, defect.calibration) == ("PIN", "")


def test_recordings_are_played_again_with_nominal_figures(rig: Rig, film: MadeFilm, good_strips: Strips) -> None:
    results = rig.play(film, good_strips, simulated=False, policy="nominal")
    assert {result.strip.state for result in results} == {"inspected"}


def test_a_calibrated_camera_places_and_sizes_a_defect_with_its_own_figures(
    rig: Rig, film: MadeFilm, good_strips: Strips
) -> None:
    strips = holed(film, good_strips, pinhole(100.0, 1500.0, 100))
    (nominal,) = rig.play(film, strips, simulated=True)[-1].defects
    rig.calibrate(film.header(0).at_ns - HOUR_NS)
    results = rig.play(film, strips, simulated=False)
    assert {result.strip.state for result in results} == {"inspected"}
    (defect,) = results[-1].defects
    assert defect.calibration == "fins-1-a"
    travelled = film.header(8).encoder_um + 100 * 20
    assert (defect.md_start_um + defect.md_end_um) / 2 == pytest.approx(travelled * 19.96 / 20 - 8_000_000, abs=10)
    assert (defect.cd_start_um + defect.cd_end_um) / 2 == pytest.approx(1500 * 20.06, abs=10)
    assert defect.size_um / nominal.size_um == pytest.approx((20.06 * 19.96) ** 0.5 / 20, abs=0.001)


def test_strips_of_a_calibrated_camera_join_without_gaps(rig: Rig, film: MadeFilm, good_strips: Strips) -> None:
    rig.calibrate(film.header(0).at_ns - HOUR_NS)
    strips = [result.strip for result in rig.play(film, good_strips, simulated=False)]
    assert [strip.md_start_um for strip in strips[1:]] == [strip.md_end_um for strip in strips[:-1]]
    assert strips[0].cd_end_um == round(WIDTH_PX * 20.06) - 1_200


def test_film_behind_the_end_of_a_shift_is_uninspected_until_the_tile_was_looked_at(
    rig: Rig, film: MadeFilm, good_strips: Strips
) -> None:
    at_ns = film.header(5).at_ns - 8 * HOUR_NS
    rig.calibrate(at_ns)
    states = [result.strip.state for result in rig.play(film, good_strips, simulated=False)]
    assert states == ["inspected"] * 6 + ["uncalibrated"] * 2


def test_a_camera_that_failed_its_calibration_inspects_nothing(rig: Rig, film: MadeFilm, good_strips: Strips) -> None:
    rig.calibrate(film.header(0).at_ns - HOUR_NS, white=150.0)
    results = rig.play(film, good_strips, simulated=False)
    assert {result.strip.state for result in results} == {"uncalibrated"}
    assert [result.camera.state for result in results if result.camera] == ["fault"]


def test_film_under_a_lamp_that_lost_a_quarter_is_uninspected(rig: Rig, film: MadeFilm, good_strips: Strips) -> None:
    dim = MadeFilm(lamp=(0.76, 1.0, 1.0))
    slow = [MadeFilm(lamp=(1 - 0.02 * k, 1.0, 1.0)).planes(700 + k) for k in range(1, 12)]
    results = rig.play(film, [*good_strips, *slow, *(dim.planes(800 + k) for k in range(18))], simulated=True)
    assert results[0].strip.state == "inspected"
    assert results[-1].strip.state == "uncalibrated"
    said = [result.camera for result in results if result.camera]
    assert said[-1].state == "fault"
    assert said[-1].reason.startswith("bright-field lamp at ")


def test_a_camera_in_the_dark_is_a_fault_that_says_why(rig: Rig, film: MadeFilm) -> None:
    dark = MadeFilm(lamp=(0.03, 0.03, 0.03))
    results = rig.play(film, [dark.planes(k) for k in range(8)], simulated=True)
    assert {result.strip.state for result in results} == {"learning"}
    assert results[-1].camera is not None
    assert results[-1].camera.state == "fault"
    assert "check lamps" in results[-1].camera.reason

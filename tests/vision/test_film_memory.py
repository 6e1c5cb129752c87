"""How unlike good film a defect looks, with the shipped backbone on made film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from line.bundle import open_bundle
from line.errors import BundleError
from line.model import Camera, LineModel, load_line
from models.registry import released
from tests.vision.made_film import WIDTH_PX, MadeFilm, Planted, metal, pinhole
from vision.candidates import Classifier
from vision.film_memory import FilmMemory
from vision.gates import Gates, learnt_look, limits_for
from vision.parallel import ALONE
from vision.screening import Spot, StreakMemory, screened
from vision.session import ModelSession
from vision.strips import StripInspector, StripResult

STRIPS_COUNT = 45


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


@pytest.fixture(scope="module")
def camera(line: LineModel) -> Camera:
    return msgspec.structs.replace(line.camera("fins-1"), width_px=WIDTH_PX)


@pytest.fixture(scope="module")
def backbone() -> Iterator[ModelSession]:
    with ModelSession(open_bundle(released("efficientnet-lite0-s32"), task="backbone"), "cpu") as session:
        yield session


@pytest.fixture(scope="module")
def results(line: LineModel, camera: Camera, backbone: ModelSession, bundle_folder: Path) -> list[StripResult]:
    """Sound strips but for a pinhole in the second, and in the last a large and a small hole and a piece of metal."""
    film = MadeFilm()
    planted: dict[int, list[Planted]] = {
        1: [pinhole(100, 700, 200)],
        STRIPS_COUNT - 1: [pinhole(100, 500, 400), pinhole(60, 1500, 80), metal(180, 2200, 200)],
    }
    found: list[StripResult] = []
    with ModelSession(open_bundle(bundle_folder, task="film-candidates"), "cpu") as session:
        inspector = StripInspector(
            line, camera, Classifier(session), now_ns=lambda: 0, film=FilmMemory(backbone, camera)
        )
        for number in range(STRIPS_COUNT):
            found += inspector.inspect(film.header(number), film.planes(700 + number, planted.get(number, ())))
    return found


def test_nothing_is_judged_before_good_film_is_known(results: list[StripResult]) -> None:
    (early,) = results[1].defects
    assert (early.anomaly_score, early.anomaly_model) == (None, None)


def test_a_defect_is_many_spreads_from_good_film_and_a_larger_one_more(results: list[StripResult]) -> None:
    scores = {round(defect.cd_start_um / 20): defect.anomaly_score for defect in results[-1].defects}
    large, small, piece = (
        next(score for at, score in scores.items() if abs(at - column) < 30) for column in (500, 1500, 2200)
    )
    assert large is not None
    assert small is not None
    assert piece is not None
    assert small > 3
    assert large > small
    assert piece > 6


def test_the_event_names_the_backbone_behind_the_score(results: list[StripResult], backbone: ModelSession) -> None:
    assert {defect.anomaly_model for defect in results[-1].defects} == {backbone.bundle.ref}
    assert {defect.model.name for defect in results[-1].defects} == {"film-candidates"}


def test_good_film_is_within_a_few_spreads_of_good_film(
    camera: Camera, backbone: ModelSession, film: MadeFilm, good_strips: list[NDArray[np.uint8]]
) -> None:
    look = learnt_look(good_strips)
    limits = limits_for(look, candidates_per_m2=40, streaks_per_m2=0.1, pixel_um=20.0)
    gates = Gates(look, limits, margin_px=75, pixel_um=20.0)
    memory, film_memory = StreakMemory(), FilmMemory(backbone, camera, seed=1)
    number = 800
    while film_memory.learning:
        planes = film.planes(number)
        film_memory.learn(planes, screened(planes, gates, memory, most_spots=50, crew=ALONE), gates)
        number += 1
    planes = film.planes(number)
    found = screened(planes, gates, memory, most_spots=50, crew=ALONE)
    places = [
        Spot(row_start=row, row_end=row + 8, column_start=column, column_end=column + 8, strength=1.0, test="pixel")
        for row in (60, 120, 180)
        for column in range(200, 2800, 130)
    ]
    scores = np.array(film_memory.scores(planes, found, gates, places), float)
    assert abs(scores.mean()) < 1
    assert scores.max() < 5


@pytest.mark.parametrize("pixel_um", [10.0, 5.0])
def test_a_fine_camera_on_short_strips_scores_defects_of_every_size(
    line: LineModel, backbone: ModelSession, pixel_um: float
) -> None:
    """Its largest pictures of good film are no lines through the strip, and sizes that it lacks are judged."""
    film = MadeFilm()
    camera = msgspec.structs.replace(line.camera("fins-1"), width_px=WIDTH_PX, pixel_um=pixel_um)
    look = learnt_look([film.planes(600 + number) for number in range(8)])
    limits = limits_for(look, candidates_per_m2=40, streaks_per_m2=0.1, pixel_um=pixel_um)
    gates = Gates(look, limits, margin_px=75, pixel_um=pixel_um)
    film_memory, number = FilmMemory(backbone, camera, seed=1), 800
    while film_memory.learning:
        planes = film.planes(number)
        found = screened(planes, gates, StreakMemory(), most_spots=50, crew=ALONE)
        places = film_memory._places(planes.shape, found.spots)
        assert max(place.height for place in places) < planes.shape[1] // 4 * 4
        film_memory.learn(planes, found, gates)
        number += 1
    spots = [
        Spot(
            row_start=4, row_end=4 + min(side, 248), column_start=900, column_end=900 + side, strength=1.0, test="pixel"
        )
        for side in (12, 160, 600)
    ]
    scores = film_memory.scores(planes, found, gates, spots)
    assert all(score is not None and np.isfinite(score) and abs(score) < 20 for score in scores)


def test_a_model_that_is_no_backbone_is_refused(camera: Camera, bundle_folder: Path) -> None:
    with (
        ModelSession(open_bundle(bundle_folder, task="film-candidates"), "cpu") as session,
        pytest.raises(BundleError, match="a backbone model is needed here"),
    ):
        FilmMemory(session, camera)

"""Which model serves which camera."""

from __future__ import annotations

import pytest

from line.config import VisionSettings
from line.errors import ConfigError
from line.film_models import camera_models, film_model, film_models, model_task, with_folders
from line.model import load_line


def test_the_usual_model_serves_every_camera_and_a_camera_that_is_named_has_its_own() -> None:
    vision = VisionSettings(camera_models="lins-1=/models/laminate net, fins-2 = film@v3;")
    assert camera_models(vision) == {"lins-1": "/models/laminate net", "fins-2": "film@v3"}
    assert film_model(vision, "fins-1") == "film-candidates"
    assert film_model(vision, "lins-1") == "/models/laminate net"
    assert model_task(vision) == "film-candidates"


def test_full_coverage_has_models_of_its_own_and_says_how_to_train_one() -> None:
    vision = VisionSettings(coverage="full", coverage_model="net", film_model="film-candidates")
    assert film_models(vision, load_line()) == {"fins-1": "net"}
    assert model_task(vision) == "film-segmentation"
    with pytest.raises(ConfigError, match=r"vision\.coverage_model.*lamella train film --labelled FOLDER"):
        film_models(VisionSettings(coverage="full"), load_line())
    assert film_models(VisionSettings(coverage="full", camera_models="fins-1=own"), load_line()) == {"fins-1": "own"}
    assert film_models(VisionSettings(coverage="full", sources="fins-1=foreign:lists.toml"), load_line()) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("net", "'net' is not CAMERA=MODEL"),
        ("lins-1=", "'lins-1=' is not CAMERA=MODEL"),
        ("lins-1=a, lins-1=b", "camera lins-1 has a model already"),
        ("fins-9=a", r"no film camera 'fins-9'; it has fins-1, lins-1"),
    ],
)
def test_what_is_no_model_of_a_camera_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        film_models(VisionSettings(camera_models=text), load_line())


def test_models_in_use_are_named_by_their_folders_for_other_processes() -> None:
    def folder(name: str) -> str:
        return f"/registry/{name}"

    cascade = with_folders(VisionSettings(camera_models="lins-1=a, fins-2=b", coverage_model="net"), folder)
    assert cascade.film_model == "/registry/film-candidates"
    assert cascade.camera_models == "lins-1=/registry/a, fins-2=/registry/b"
    assert cascade.coverage_model == "net"
    full = with_folders(VisionSettings(coverage="full", coverage_model="net"), folder)
    assert (full.film_model, full.coverage_model) == ("film-candidates", "/registry/net")
    assert with_folders(VisionSettings(coverage="full"), folder).coverage_model == ""

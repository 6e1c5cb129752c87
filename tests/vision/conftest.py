"""What the tests of vision share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.vision.made_film import MadeFilm, candidate_bundle


@pytest.fixture(scope="session")
def film() -> MadeFilm:
    """Sound film of 3,000 px, without defects until some are planted."""
    return MadeFilm()


@pytest.fixture(scope="session")
def good_strips(film: MadeFilm) -> list[NDArray[np.uint8]]:
    """Eight strips of sound film."""
    return [film.planes(seed) for seed in range(8)]


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier of candidates."""
    return candidate_bundle(tmp_path_factory.mktemp("bundles") / "film-candidates")

"""A line, an hour at which it opens, and worlds that live on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from line.bundle import ModelRef
from line.model import LineModel, load_line
from plant.world import World


@pytest.fixture(scope="session")
def line() -> LineModel:
    return load_line()


@pytest.fixture(scope="session")
def model() -> ModelRef:
    return ModelRef(name="film-candidates", version=1, digest="0" * 64)


@pytest.fixture(scope="session")
def opens_ns() -> int:
    """A Monday, two hours into the shift."""
    return int(datetime(2026, 9, 21, 8, tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture(scope="session")
def world_of(line: LineModel, opens_ns: int) -> Callable[..., World]:
    """Makes a world that has not advanced yet."""

    def make(*, seed: int = 5, hidden_seed: int = 0, line_model: LineModel = line) -> World:
        return World(line_model, seed=seed, hidden_seed=hidden_seed, opens_at_ns=opens_ns)

    return make

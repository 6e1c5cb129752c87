"""The areal-mass gauge on the film of a profile: truth is a web whose mass is known by the metre."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from line.events import Event, RollStarted
from line.model import LineModel
from twin.gauge import passings_of
from twin.state import LineState

if TYPE_CHECKING:
    from tests.twin.conftest import LineMaker

Fold = Callable[[Iterable[Event]], LineState]

CAMERA_UM, GAUGE_UM, STRIP_UM = 8_000_000, 7_200_000, 5_120
METRES = 12
TURN_S, HALT_S = 500.0, 60.0
"""The web runs at 1 m/min, halts a minute, then runs at 2 m/min."""


def travel_um(at_s: ArrayLike) -> NDArray[np.float64]:
    """How far the web has run since the roll's start."""
    at = np.asarray(at_s, np.float64)
    after = np.maximum(0.0, at - TURN_S - HALT_S)
    return np.asarray((np.minimum(at, TURN_S) + 2 * after) / 60 * 1e6, np.float64)


def mass_fraction(md_um: ArrayLike) -> NDArray[np.float64]:
    """A step at each metre, every metre another one."""
    return 1.0 + 0.01 * np.sin(1.7 * np.floor(np.asarray(md_um) / 1e6))


def coated(maker: LineMaker) -> int:
    """A roll of so many metres with a strip at every place and a profile at every metre; returns when it began."""
    began_ns = maker.at_ns + 1_000_000_000
    maker.say(RollStarted, station="S03", roll="FR-1", web="film")
    at_s = np.arange(0.0, 1_200.0, 0.05)
    for strip in range(METRES * 1_000_000 // STRIP_UM):
        end_um = (strip + 1) * STRIP_UM
        passed_s = float(np.interp(end_um + CAMERA_UM, travel_um(at_s), at_s))
        maker.at_ns = began_ns + round(passed_s * 1e9) - 1_000_000_000
        maker.strip("FR-1", end_um - STRIP_UM, end_um, strip)
    for metre in range(METRES - 1):
        maker.profile("FR-1", metre * 1_000_000)
    return began_ns


def readings(began_ns: int, *, until_s: float = 1_200.0) -> tuple[list[int], list[float]]:
    """What the gauge reads each second, in g/m2."""
    at_s = np.arange(GAUGE_UM / 1e6 * 60, until_s)
    times = began_ns + (at_s * 1e9).astype(np.int64)
    values = 50.0 * mass_fraction(travel_um(at_s) - GAUGE_UM)
    return times.tolist(), values.tolist()


def test_a_profile_is_beside_what_the_gauge_read_on_the_same_metre_though_the_web_halted_and_sped_up(
    line: LineModel, maker: LineMaker, folded: Fold
) -> None:
    began_ns = coated(maker)
    roll = folded(maker.events).rolls["FR-1"]
    profiles = roll.profiles_within(0, METRES * 1_000_000)
    passings = passings_of(line, roll, began_ns, profiles)
    assert passings is not None
    assert passings.tag == "S05.ArealMass"
    means = passings.means(*readings(began_ns), 50.0)
    truth = [float(mass_fraction(row.md_start_um + 1)) for row in profiles]
    # A reading a second on a metre that takes 30 s or 60 s: one reading at most lies on the neighbour.
    assert means == pytest.approx(truth, abs=0.02 / 30)
    beside = [float(mass_fraction(row.md_start_um + 800_000 + 500_000)) for row in profiles]
    assert beside != pytest.approx(truth, abs=0.005), "0.8 m beside would be told"


def test_where_the_gauge_read_nothing_there_is_no_value(line: LineModel, maker: LineMaker, folded: Fold) -> None:
    began_ns = coated(maker)
    roll = folded(maker.events).rolls["FR-1"]
    passings = passings_of(line, roll, began_ns, roll.profiles_within(0, METRES * 1_000_000))
    assert passings is not None
    # The gauge fell silent 40 s before the web halted, 0.47 m into the roll.
    means = passings.means(*readings(began_ns, until_s=460.0), 50.0)
    assert means[0] == pytest.approx(1.0, abs=1e-3)
    assert set(means[1:]) == {None}
    assert set(passings.means((), (), 50.0)) == {None}


def test_a_roll_of_which_no_time_is_known_has_no_gauge_values(line: LineModel, maker: LineMaker, folded: Fold) -> None:
    maker.profile("FR-1", 0)
    roll = folded(maker.events).rolls["FR-1"]
    passings = passings_of(line, roll, 0, roll.profiles_within(0, 1_000_000))
    assert passings is not None
    assert passings.spans_ns == (None,)
    assert passings.from_ns == passings.to_ns == 0
    assert passings_of(line, roll, 0, ()) is None

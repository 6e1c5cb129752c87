"""The encoder joins plant time and web position, through stops, speed changes and jogs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from line.encoder import Encoder, placed_on_web, seen_at_ns
from line.errors import WebMapError

S = 1_000_000_000
M = 1_000_000
START_NS = 1_790_000_000 * S


def one_metre_a_minute_with_a_stop() -> Encoder:
    """10 min at 1 m/min, 5 min stopped, 10 min at 2 m/min; 20 µm a count."""
    minutes, metres = np.array([0, 10, 15, 25]), np.array([0, 10, 10, 30])
    return Encoder(START_NS + minutes * 60 * S, 7_000 + metres * M // 20, um_per_count=20.0, zero_count=7_000)


def test_the_web_is_where_its_speed_and_stops_have_brought_it() -> None:
    encoder = one_metre_a_minute_with_a_stop()
    minutes = np.array([0, 5, 12, 20, 25])
    assert encoder.mds_um(START_NS + minutes * 60 * S).tolist() == [0, 5 * M, 10 * M, 20 * M, 30 * M]
    assert encoder.md_um(START_NS + 6 * S) == 100_000


def test_a_place_reached_before_a_stop_was_first_there_before_the_stop() -> None:
    encoder = one_metre_a_minute_with_a_stop()
    assert encoder.at_ns(10 * M) == START_NS + 600 * S
    assert encoder.at_ns(10 * M + 2) > START_NS + 900 * S
    assert encoder.at_ns(0) == START_NS


def test_a_camera_sees_a_fault_of_the_lip_480_s_later_at_one_metre_a_minute() -> None:
    encoder = one_metre_a_minute_with_a_stop()
    fault_md = placed_on_web(START_NS + 60 * S, 0, encoder)
    assert fault_md == 1 * M
    assert seen_at_ns(fault_md, 8 * M, encoder) == START_NS + 60 * S + 480 * S
    assert placed_on_web(START_NS + 540 * S, 8 * M, encoder) == fault_md


def test_a_tag_downstream_acts_on_the_roll_before_until_the_new_one_arrives() -> None:
    assert placed_on_web(START_NS + 60 * S, 2_500_000, one_metre_a_minute_with_a_stop()) == -1_500_000


def test_a_web_that_runs_back_was_first_at_a_place_on_its_way_out() -> None:
    encoder = Encoder(np.array([0, 10, 20, 40]), np.array([0, 1000, 500, 1500]), um_per_count=1.0)
    assert encoder.mds_um([10, 15, 20]).tolist() == [1000, 750, 500]
    assert encoder.at_ns(750) == 8
    assert encoder.at_ns(1000) == 10
    assert encoder.at_ns(1250) == 35


def test_beyond_its_log_the_encoder_does_not_guess() -> None:
    encoder = one_metre_a_minute_with_a_stop()
    assert encoder.covers([START_NS - 1, START_NS, encoder.last_ns, encoder.last_ns + 1]).tolist() == [
        False,
        True,
        True,
        False,
    ]
    with pytest.raises(WebMapError, match="outside the encoder log"):
        encoder.md_um(encoder.last_ns + 1)
    with pytest.raises(WebMapError, match="MD 30000001 µm is outside the encoder log 0 to 30000000 µm"):
        encoder.at_ns(30 * M + 1)


@pytest.mark.parametrize(
    ("times_ns", "counts", "um_per_count", "message"),
    [
        ([0], [0], 1.0, "expected as many, 2 or more"),
        ([0, 1], [0], 1.0, "expected as many"),
        ([0, 2, 2], [0, 1, 2], 1.0, "reading 2 at 2 ns is not after"),
        ([0, 1], [0, 1], 0.0, "um_per_count"),
        ([0.0, 1.5], [0, 1], 1.0, "time in ns of type float64"),
    ],
)
def test_a_log_that_cannot_be_is_refused(
    times_ns: list[float], counts: list[int], um_per_count: float, message: str
) -> None:
    with pytest.raises(WebMapError, match=message):
        Encoder(times_ns, counts, um_per_count=um_per_count)


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 3600 * S), st.integers(0, 100_000)), min_size=1, max_size=20),
    share=st.floats(0, 1),
)
def test_a_place_is_under_the_lip_when_it_is_first_there(steps: list[tuple[int, int]], share: float) -> None:
    times, counts = np.cumsum([(START_NS, 0), *steps], axis=0).T
    encoder = Encoder(times, counts, um_per_count=19.998)
    md_um = round(share * encoder.md_um(encoder.last_ns))
    fastest_um_per_ns = max(count * 19.998 / ns for ns, count in steps)
    assert abs(encoder.md_um(encoder.at_ns(md_um)) - md_um) <= 1 + fastest_um_per_ns

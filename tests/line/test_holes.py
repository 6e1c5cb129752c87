from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from line.holes import Sequence


@given(st.permutations(range(1, 30)), st.lists(st.integers(1, 29), max_size=20))
def test_any_order_with_repetitions_is_complete_in_the_end(order: list[int], again: list[int]) -> None:
    sequence = Sequence()
    for number in [*order, *again]:
        sequence.note(number)
    assert (sequence.complete, list(sequence.missing()), sequence.missing_count()) == (29, [], 0)


@given(st.sets(st.integers(1, 60), min_size=1))
def test_what_is_missing_is_what_was_not_seen_below_the_highest(seen: set[int]) -> None:
    sequence = Sequence()
    for number in sorted(seen, reverse=True):
        sequence.note(number)
    absent = set(range(1, max(seen))) - seen
    assert sequence.missing_count() == len(absent)
    hole = sequence.missing()
    assert set(hole) <= absent
    assert (not hole) == (not absent)


def test_a_last_event_that_never_came_is_a_hole_once_the_source_says_it_exists() -> None:
    sequence = Sequence(complete=5)
    sequence.note(6)
    assert not sequence.missing()
    sequence.expect(8)
    assert list(sequence.missing()) == [7, 8]
    sequence.note(8)
    assert list(sequence.missing()) == [7]
    assert sequence.missing_count() == 1

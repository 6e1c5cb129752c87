from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twin.intervals import IntervalSet

PAIRS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda row: (row[0], row[0] + row[1])), max_size=30
)


@given(PAIRS)
def test_a_set_of_intervals_is_the_union_of_its_points(pairs: list[tuple[int, int]]) -> None:
    kept = IntervalSet(pairs)
    points = {x for start, end in pairs for x in range(start, end)}
    assert {x for start, end in kept for x in range(start, end)} == points
    assert kept.total == len(points)
    assert kept.covered(10, 40) == len(points & set(range(10, 40)))
    assert {x for a, b in kept.gaps(10, 40) for x in range(a, b)} == set(range(10, 40)) - points
    bounds = [bound for pair in kept for bound in pair]
    assert bounds == sorted(set(bounds))


@given(PAIRS, st.randoms())
def test_the_order_of_adding_does_not_matter(pairs: list[tuple[int, int]], random: object) -> None:
    shuffled = [*pairs, *pairs[: len(pairs) // 2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert list(IntervalSet(shuffled)) == list(IntervalSet(pairs))

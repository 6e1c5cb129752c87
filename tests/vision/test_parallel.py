from __future__ import annotations

import threading
import time

import pytest

from vision.parallel import ALONE, Crew


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_the_order_of_the_items(threads: int, count: int) -> None:
    with Crew(threads) as crew:
        assert crew.each(lambda number: number**2, range(count)) == [number**2 for number in range(count)]


def test_alone_the_work_is_done_on_the_calling_thread() -> None:
    assert ALONE.each(lambda _item: threading.get_ident(), range(3)) == [threading.get_ident()] * 3


def test_each_thread_has_neighbouring_items_and_the_same_ones_every_time() -> None:
    with Crew(3) as crew:
        first, second = (crew.each(lambda _item: threading.get_ident(), range(9)) for _ in range(2))
    assert first == second
    assert [first[0], first[3], first[6]] == [first[2], first[5], first[8]]
    assert len(set(first)) == 3
    assert first[0] == threading.get_ident()


@pytest.mark.parametrize("bad", [0, 5])
def test_an_error_is_raised_when_nobody_works_any_more(bad: int) -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == bad:
            raise ValueError(f"item {item}")
        time.sleep(0.01)
        done.append(item)

    with Crew(2) as crew, pytest.raises(ValueError, match=f"item {bad}"):
        crew.each(work, range(6))
    assert {0, 1, 2, 3, 4} - {bad} - set(done) <= {1, 2}

from __future__ import annotations

from line.address import RING_SIZE
from line.events import RollEnded, encoded
from plc.parts import part_id, records_between


def record(number: int) -> RollEnded:
    return RollEnded(at_ns=1000 + number, station="S03", counter=number, roll=f"FR-{number}", length_um=number)


def ring_up_to(counter: int) -> list[str]:
    ring = [""] * RING_SIZE
    for number in range(1, counter + 1):
        ring[number % RING_SIZE] = encoded(record(number)).decode()
    return ring


def test_only_records_behind_the_last_one_seen_are_found_in_order() -> None:
    records = records_between(ring_up_to(10), seen=7, counter=10)
    assert [event.counter for event in records.found] == [8, 9, 10]
    assert (records.lost_count, records.refused) == (0, ())


def test_records_that_the_ring_has_overwritten_are_counted_as_lost() -> None:
    records = records_between(ring_up_to(RING_SIZE + 40), seen=30, counter=RING_SIZE + 40)
    assert records.lost_count == 10
    assert [event.counter for event in records.found] == list(range(41, RING_SIZE + 41))


def test_a_counter_that_went_back_is_a_plc_that_began_anew() -> None:
    records = records_between(ring_up_to(3), seen=900, counter=3)
    assert [event.counter for event in records.found] == [1, 2, 3]


def test_a_record_that_is_none_is_refused_by_number_and_the_rest_is_found() -> None:
    ring = ring_up_to(4)
    ring[2] = "{broken"
    ring[3] = encoded(record(77)).decode()
    records = records_between(ring, seen=0, counter=4)
    assert [event.counter for event in records.found] == [1, 4]
    assert records.refused[0].startswith("record 2: ")
    assert records.refused[1].startswith("record 3: ")


def test_a_record_read_twice_has_one_id() -> None:
    assert part_id(record(5)) == part_id(record(5)) != part_id(record(6))

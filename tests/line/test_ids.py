from __future__ import annotations

import uuid

from line.ids import event_id, is_plain, iso, roll_id, sheet_id

AT_NS = 1_790_000_000_123_000_000


def test_an_event_id_is_a_uuid_of_version_7_that_sorts_by_time() -> None:
    first, second = event_id(AT_NS), event_id(AT_NS + 1_000_000)
    assert uuid.UUID(first).version == 7
    assert uuid.UUID(first).variant == uuid.RFC_4122
    assert int(uuid.UUID(first).hex[:12], 16) == AT_NS // 1_000_000
    assert first < second


def test_the_same_record_read_twice_gets_the_same_id_and_another_one_another() -> None:
    assert event_id(AT_NS, "S09:17") == event_id(AT_NS, "S09:17")
    assert event_id(AT_NS, "S09:17") != event_id(AT_NS, "S09:18")
    assert event_id(AT_NS) != event_id(AT_NS)


def test_names_of_rolls_and_sheets_say_where_they_come_from() -> None:
    roll = roll_id("film", AT_NS, 1, 3)
    assert roll == "FR-260921-1-003"
    assert sheet_id(roll, 2, 312_410_000) == "FR-260921-1-003/2/312410"


def test_plant_time_is_shown_in_utc_with_milliseconds() -> None:
    assert iso(AT_NS) == "2026-09-21T14:13:20.123Z"


def test_a_plain_name_fits_addresses_files_and_topics() -> None:
    assert all(map(is_plain, ["FR-261124-1-003c", "7", "roll_a.2", "R" * 64]))
    assert not any(map(is_plain, ["", "..", "../../x", "a/b", "a+#b", "a b", "a\n", "-r", "Rülle", "R" * 65]))

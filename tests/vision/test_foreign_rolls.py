from __future__ import annotations

from line.events import RollStarted, WebMapped, WebSegment
from vision.foreign_rolls import LineRolls

AT_NS = 1_800_000_000_000_000_000


def begun(roll: str) -> RollStarted:
    return RollStarted(at_ns=AT_NS, station="S03", roll=roll, web="film")


def test_a_roll_that_was_begun_made_or_used_is_known() -> None:
    segment = WebSegment(0, 1_000, "FR-0001", 0, 1_000)
    made = WebMapped(at_ns=AT_NS, station="S07", child="LR-0001", web="laminate", operation="lamination",
                     segments=(segment,))  # fmt: skip
    rolls = LineRolls([begun("FR-0002"), made])
    assert rolls.unknown(["FR-0001", "FR-0002", "LR-0001"]) == []
    assert rolls.unknown(["FR-0003", "FR-0001"]) == ["FR-0003"]
    rolls.heard(begun("FR-0003"))
    assert rolls.unknown(["FR-0003", "FR-0001"]) == []


def test_words_name_each_roll_once_with_what_may_be_meant_and_stay_short() -> None:
    rolls = LineRolls([begun("FR-0001")])
    assert rolls.in_words([]) == ""
    said = rolls.in_words(["FR-001", "other"])
    assert "roll 'FR-001' (FR-0001?), 'other': what is listed there is kept" in said
    many = rolls.in_words([f"R{number}" for number in range(1_000)])
    assert "'R4' and 995 more: " in many
    assert len(many) < 400

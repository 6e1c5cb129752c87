from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from line.events import (
    AnyEvent,
    CameraChecked,
    Event,
    FilmPattern,
    FilmProfile,
    LabResult,
    ServiceState,
    SheetCut,
    UnitMoved,
)
from line.model import load_line
from twin.state import LineState
from twin.units import steps_of

if TYPE_CHECKING:
    from tests.twin.conftest import LineMaker

Fold = Callable[[Iterable[Event]], LineState]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), repeated=st.integers(0, 300))
def test_any_order_and_any_repetition_give_the_same_state(
    folded: Fold, small_past: list[AnyEvent], seed: int, repeated: int
) -> None:
    chance = random.Random(seed)
    shuffled = [*small_past, *chance.choices(small_past, k=repeated)]
    chance.shuffle(shuffled)
    assert folded(shuffled).digest() == folded(small_past).digest()


def test_another_past_gives_another_digest(folded: Fold, small_past: list[AnyEvent]) -> None:
    for missing in (0, 3, 8, len(small_past) // 2, len(small_past) - 1):
        rest = [event for index, event in enumerate(small_past) if index != missing]
        assert folded(rest).digest() != folded(small_past).digest()


def test_a_later_event_repairs_a_lost_one(folded: Fold, small_past: list[AnyEvent]) -> None:
    kept = [
        row for row in small_past if not (isinstance(row, UnitMoved) and row.station in {"S13", "S14", "S15", "S16"})
    ]
    state = folded(kept)
    assert state.station("ST-2") == "S17"
    assert state.station("CE-2") == "S17"
    assert state.station("ST-0") == "S18"


def test_position_is_the_largest_progress_not_the_last_heard(folded: Fold, maker: LineMaker) -> None:
    maker.move("CE-9", "cell", "S16")
    late = UnitMoved(at_ns=maker.at_ns + 10**12, station="S15", unit="CE-9", kind="cell", phase="entered")
    state = folded([*maker.events, late])
    assert state.station("CE-9") == "S16"


def test_steps_of_a_stack_and_its_cell_are_one_history(folded: Fold, small_past: list[AnyEvent]) -> None:
    state = folded(small_past)
    steps = steps_of(state.names_of("ST-0"), state.stations)
    assert [row.station for row in steps] == ["S13", "S14", "S15", "S16", "S17", "S18"]
    assert all(row.entered_ns < row.left_ns for row in steps)


def test_an_event_of_an_unknown_kind_or_station_changes_nothing(folded: Fold, small_past: list[AnyEvent]) -> None:
    class Strange(Event, frozen=True, kw_only=True):
        weight: int = 0

    state = folded(small_past)
    before = state.digest()
    state.apply(Strange(at_ns=1))
    state.apply(
        LabResult(at_ns=1, unit="CE-0", kind="cell", quantity="q", value=1.0, unit_ucum="1", method="m", person="p")
    )
    state.apply(UnitMoved(at_ns=1, station="S77", unit="CE-0", kind="cell", phase="left"))
    assert state.digest() == before


def test_a_lower_revision_of_a_defect_never_replaces_a_higher_one(folded: Fold, small_past: list[AnyEvent]) -> None:
    state = folded(list(reversed(small_past)))
    assert state.rolls["FR-1"].defects["d1"].revision == 2
    assert state.rolls["FR-1"].defects["d1"].kind == "STR"


def test_a_corrected_cut_moves_a_sheet_to_its_right_place(folded: Fold, small_past: list[AnyEvent]) -> None:
    state = folded(small_past)
    cut = next(event for event in small_past if isinstance(event, SheetCut))
    state.apply(replace(cut, at_ns=cut.at_ns + 1, roll="LR-9c", start_um=7, end_um=9))
    assert state.sheets[cut.sheet].roll == "LR-9c"


def test_a_service_whose_last_will_is_older_than_its_last_word_is_gone() -> None:
    state = LineState(load_line())
    online = ServiceState(at_ns=20, source="vision@box", service="vision@box", role="vision", state="online")
    state.apply(online)
    state.apply(replace(online, at_ns=10, state="offline"))
    assert state.services["vision@box"].state == "offline"


def test_of_patterns_profiles_and_cameras_the_latest_word_counts_in_any_order(
    folded: Fold, small_past: list[AnyEvent]
) -> None:
    for heard in (small_past, small_past[::-1]):
        state = folded(heard)
        patterns = state.rolls["FR-1"].patterns
        assert {name: (row.revision, row.defects_count) for name, row in patterns.items()} == {"p1": (3, 7)}
        profiles = state.rolls["FR-1"].profiles_within(0, 10_000_000)
        assert [(row.md_start_um, row.mass_fraction[0]) for row in profiles] == [
            (0, 1.0), (1_000_000, 1.03), (2_000_000, 1.02),
        ]  # fmt: skip
        assert {name: row.state for name, row in state.cameras.items()} == {"fins-1": "fault"}


def test_what_patterns_profiles_and_cameras_say_is_part_of_the_digest(folded: Fold, small_past: list[AnyEvent]) -> None:
    whole = folded(small_past).digest()
    kinds = (FilmPattern, FilmProfile, CameraChecked)
    latest = {type(row): index for index, row in enumerate(small_past) if isinstance(row, kinds)}
    assert len(latest) == 3
    for index in latest.values():
        assert folded([*small_past[:index], *small_past[index + 1 :]]).digest() != whole

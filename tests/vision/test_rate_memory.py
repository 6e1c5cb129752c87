"""A pattern finder that is ended and begun again says what one says that was never ended."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import numpy as np
import pytest

from line.bundle import DetectionCurve
from line.events import FilmDefect, FilmPattern, StripInspected, encoded
from line.ids import event_id
from line.journal import Entry, write_past
from line.model import LineModel, load_line
from tests.vision.made_defects import STRIP_UM, defect, of_form, strip
from vision.pattern_feed import PatternFeed
from vision.rate_memory import TAIL_COUNT, FilmEvent, film_tail, read_rates

Look = tuple[StripInspected, list[FilmDefect]]
Method = Literal["pixels", "drawn"]
_Event = TypeVar("_Event", FilmDefect, StripInspected)
ROLL_STRIPS = 120
IDLER_UM = 251_327


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


def rolls(seed: int, *rates: float, method: Method = "pixels", strips: int = ROLL_STRIPS) -> list[Look]:
    """Film with agglomerates at a rate a roll, scratches of the idler on every second roll and gathered pinholes."""
    rng = np.random.default_rng(seed)
    looks: list[Look] = []
    for number, rate in enumerate(rates):
        named = partial(defect, roll=f"FR-{seed}-{number}")
        for place in range(strips):
            start = place * STRIP_UM
            count = rng.poisson(rate * STRIP_UM * 0.3e-6)
            here = [named("AGG", start + int(rng.integers(1_000, STRIP_UM - 1_000)), int(rng.integers(10_000, 290_000)))
                    for _ in range(count)]  # fmt: skip
            if number % 2 and place > strips // 3:
                turns = range(-(-start // IDLER_UM), -(-(start + STRIP_UM - 500) // IDLER_UM))
                here += [named("SCR", turn * IDLER_UM + 200, 80_000) for turn in turns if rng.random() < 0.9]
            if place % 40 == 20:
                here += [named("PIN", start + STRIP_UM - 1_500 + 700 * k, 60_000) for k in range(2)]
            if place % 40 == 21:
                here += [named("PIN", start + 200, 60_000)]
            seen = strip(start, start + STRIP_UM, roll=f"FR-{seed}-{number}")
            looks.append((identified(seen, method), [identified(row, method) for row in here]))
    return looks


def identified(event: _Event, method: Method) -> _Event:
    name = event.defect if isinstance(event, FilmDefect) else f"strip {event.roll} {event.strip}"
    return msgspec.structs.replace(event, id=event_id(event.at_ns, name), method=method)


def fed(feed: PatternFeed, looks: Sequence[Look]) -> list[FilmPattern]:
    found: list[FilmPattern] = []
    for seen, defects in looks:
        if seen.method == "pixels":
            found += feed.seen(seen, defects)
        else:
            found += feed.heard([*defects, seen])
    return found


def journaled(looks: Sequence[Look]) -> list[FilmEvent]:
    """In the order in which it stands in a journal."""
    found: list[FilmEvent] = []
    for seen, defects in looks:
        found += [seen, *defects] if seen.method == "pixels" else [*defects, seen]
    return found


def raised(found: Sequence[FilmPattern]) -> bool:
    """Whether agglomerates come too often."""
    return any(row.kind == "AGG" for row in of_form(found, "rate"))


def told(*found: FilmPattern) -> dict[str, FilmPattern]:
    return {pattern.id: pattern for pattern in found}


@pytest.mark.parametrize("method", ["pixels", "drawn"])
@pytest.mark.parametrize("cut", [30, 101, 2 * ROLL_STRIPS, 2 * ROLL_STRIPS + 1, 3 * ROLL_STRIPS + 80])
def test_a_restart_in_the_middle_changes_nothing_that_is_said(
    line: LineModel, tmp_path: Path, method: Method, cut: int
) -> None:
    looks = rolls(3, 0.9, 0.9, 12.0, 12.0, 0.9, method=method)
    wanted = told(*fed(PatternFeed(line), looks))
    assert {row.form for row in wanted.values()} == {"rate", "repeat", "cluster"}
    before = fed(PatternFeed(line, state_dir=tmp_path), looks[:cut])
    second = PatternFeed(line, state_dir=tmp_path)
    again = second.resume(journaled(looks[:cut]))
    assert told(*again).items() <= told(*before).items()
    # What was durable and still in the spool is inspected again, and counts once.
    overlap = 2 if method == "pixels" else 0
    after = fed(second, looks[cut - overlap :])
    assert told(*before, *after) == wanted


def test_what_was_not_said_any_more_before_the_end_is_said_after_it(line: LineModel, tmp_path: Path) -> None:
    looks = rolls(4, 12.0, strips=60)
    wanted = fed(PatternFeed(line), looks)
    again = PatternFeed(line, state_dir=tmp_path).resume(journaled(looks))
    assert again == wanted
    assert raised(again)


def test_what_is_usual_outlasts_the_journals_tail(line: LineModel, tmp_path: Path) -> None:
    """Days of film with six times what the line model expects have made it usual; the tail shows one roll of it."""
    looks = rolls(5, *[6.0] * 20)
    fed(PatternFeed(line, state_dir=tmp_path), looks)
    last, following = looks[-ROLL_STRIPS:], rolls(6, 6.0)
    kept = PatternFeed(line, state_dir=tmp_path)
    kept.resume(journaled(last))
    assert not raised(fed(kept, following))
    forgetful = PatternFeed(line)
    forgetful.resume(journaled(last))
    assert raised(fed(forgetful, following))


@pytest.mark.parametrize(("a50_um", "wanted"), [(0.0, False), (200.0, True)])
def test_what_was_learnt_through_another_detection_curve_is_learnt_anew(
    line: LineModel, tmp_path: Path, a50_um: float, wanted: bool
) -> None:
    fed(PatternFeed(line, state_dir=tmp_path), rolls(5, *[6.0] * 20))
    curves = {"AGG": DetectionCurve(a50_um=a50_um, s=0.2, measured=True, how="made")} if a50_um else {}
    feed = PatternFeed(line, {"fins-1": curves}, state_dir=tmp_path)
    feed.resume([])
    assert raised(fed(feed, rolls(6, 6.0, 6.0, 6.0))) == wanted


@pytest.mark.parametrize("text", ["", "{", '{"schema_version": 2}'])
def test_a_damaged_file_is_as_none(line: LineModel, tmp_path: Path, text: str) -> None:
    fed(PatternFeed(line, state_dir=tmp_path), rolls(3, 0.9, strips=3))
    (file,) = (tmp_path / "vision").iterdir()
    assert read_rates(tmp_path, "fins-1") is not None
    file.write_text(text)
    assert read_rates(tmp_path, "fins-1") is None
    looks = rolls(3, 12.0, strips=60)
    assert PatternFeed(line, state_dir=tmp_path).resume(journaled(looks)) == fed(PatternFeed(line), looks)


def test_the_tail_of_a_journal_is_bounded_and_in_order(tmp_path: Path) -> None:
    seen = identified(strip(0, STRIP_UM), "drawn")
    other = Entry("x", False, 0, "lamella/x/y/layer_inspected", b"{}")
    journal = tmp_path / "vision.journal"
    entries = [
        Entry(f"{name}{number}", False, 0, f"lamella/x/y/{name}", encoded(seen))
        for number in range(TAIL_COUNT // 2 + 5)
        for name in ("strip_inspected", "tag_batch")
    ]
    write_past(journal, iter([other, *entries]))
    assert film_tail(journal) == [seen] * (TAIL_COUNT // 2)

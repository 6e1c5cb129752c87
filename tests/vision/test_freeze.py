"""The freeze rule, both ways: gates follow the lamp and the web, and never learn a defect."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from plant.truth_types import CameraHealth, Flaw
from tests.vision.rendered_film import AT_NS, SOUND, STRIP_UM, strip
from vision.gates import FilmLook, Gates, Limits, learnt_look, limits_for
from vision.screening import Screened, Spot, StreakMemory, screened

MARGIN_PX = 75
Strips = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def good() -> Strips:
    return [strip(number) for number in range(8)]


@pytest.fixture(scope="module")
def look(good: Strips) -> FilmLook:
    return learnt_look(good)


def limits(look: FilmLook) -> Limits:
    return limits_for(look, candidates_per_m2=8, streaks_per_m2=0.1, pixel_um=20)


def flaw(kind: str, number: int, cd_um: int, size_um: float, *, length_um: float, depth: float = 1.0) -> Flaw:
    return Flaw(
        flaw=f"{kind}-{number}-{cd_um}",
        roll="FR-1",
        kind=kind,
        md_um=number * STRIP_UM + STRIP_UM // 2,
        cd_um=cd_um,
        size_um=size_um,
        length_um=length_um,
        width_um=size_um,
        depth_fraction=depth,
        angle_rad=0.0,
        born_ns=AT_NS,
        killer=False,
    )


def played(
    look: FilmLook, count: int, planes_of: Callable[[int], NDArray[np.uint8]], *, first: int = 8
) -> tuple[Gates, list[Screened]]:
    """Gates after a run of strips, and what was found on each."""
    gates, memory = Gates(look, limits(look), margin_px=MARGIN_PX, pixel_um=20.0), StreakMemory()
    found = [
        screened(planes_of(number), gates, memory, most_spots=200) for number in range(first, first + count)
    ]  # fmt: skip
    return gates, found


def streaked(planes: NDArray[np.uint8], cd_um: int, width_um: int, depth: float) -> NDArray[np.uint8]:
    """Film thinner along a line by a share of its thickness: brighter in transmission, darker in reflection."""
    columns = slice((cd_um - width_um // 2) // 20, (cd_um + width_um // 2) // 20)
    for plane, share in zip(planes, (-0.3, 0.0, 1.0), strict=True):
        plane[:, columns] = np.clip(np.rint(plane[:, columns] * (1 + share * depth)), 0, 255)
    return planes


def at(spots: Sequence[Spot], cd_um: float, reach_um: float = 400) -> list[Spot]:
    """Spots near a place across the web."""
    return [
        spot
        for spot in spots
        if 20 * spot.column_start - reach_um <= cd_um <= 20 * spot.column_end + reach_um
    ]  # fmt: skip


def test_a_lamp_that_loses_twelve_percent_is_followed_without_false_alarms(look: FilmLook) -> None:
    def ageing(number: int) -> NDArray[np.uint8]:
        return strip(number, CameraHealth(lamp_bf=1 - 0.12 * min((number - 8) / 100, 1.0)))

    gates, found = played(look, 120, ageing)
    assert gates.gain[0] == pytest.approx(0.88, abs=0.01)
    assert gates.gain[1:] == pytest.approx(np.ones(2), abs=0.01)
    # 8 candidates a m2 on 120 strips of 307 mm2 are 0.3 expected.
    assert sum(row.found_count for row in found) <= 3
    assert not any(row.crowded for row in found)


def test_defects_are_seen_under_the_aged_lamp_as_before(look: FilmLook) -> None:
    def holed(lamp: float) -> list[int]:
        def planes_of(number: int) -> NDArray[np.uint8]:
            lamp_now = 1 - (1 - lamp) * min((number - 8) / 60, 1.0)
            hole = [flaw("PIN", number, 30_000, 60, length_um=60)] if number >= 70 else []
            return strip(number, CameraHealth(lamp_bf=lamp_now, lamp_df=lamp_now, lamp_tx=lamp_now), hole)

        _, found = played(look, 72, planes_of)
        return [len(at(row.spots, 30_000)) for row in found[-10:]]

    assert holed(1.0) == holed(0.88) == [1] * 10


@pytest.mark.parametrize("wander_um", [-300, -200, 200, 300])
def test_a_web_that_wanders_by_a_third_of_a_millimetre_gives_no_false_alarms(look: FilmLook, wander_um: int) -> None:
    def wandering(number: int) -> NDArray[np.uint8]:
        return strip(number, CameraHealth(wander_um=round(wander_um * min((number - 8) / 20, 1.0))))

    gates, found = played(look, 60, wandering)
    assert sum(row.found_count for row in found) <= 2
    assert abs(wander_um) - 100 <= gates.wander.bare_um <= abs(wander_um) + 100
    assert gates.wander.shift_um == pytest.approx(wander_um, abs=100)


def test_a_web_within_reach_does_not_alarm_either(look: FilmLook) -> None:
    gates, found = played(look, 40, lambda number: strip(number, CameraHealth(wander_um=700)))
    assert sum(row.found_count for row in found[4:]) <= 2
    assert gates.wander.shift_um == pytest.approx(700, abs=100)


def test_a_line_beside_the_edge_is_not_taken_for_a_web_that_wanders(look: FilmLook) -> None:
    line = flaw("STR", 40, 4_000, 300, length_um=1_000_000, depth=0.2)
    gates, found = played(look, 60, lambda number: strip(number, SOUND, [line]))
    assert abs(gates.wander.shift_um) <= 100
    assert all(at(row.spots, 4_000) for row in found[-20:])


def test_a_streak_that_grows_over_a_hundred_strips_stays_detected(look: FilmLook) -> None:
    def growing(number: int) -> NDArray[np.uint8]:
        return streaked(strip(number), 30_000, 300, 0.1 * min((number - 8) / 100, 1.0))

    gates, found = played(look, 140, growing)
    seen = [bool(at(row.spots, 30_000)) for row in found]
    assert not any(seen[:3])
    begins = seen.index(True)
    assert begins < 70
    assert np.mean(seen[begins + 8 :]) > 0.95
    assert all(seen[-30:])
    assert gates.gain == pytest.approx(np.ones(3), abs=0.01)


def test_a_streak_under_an_ageing_lamp_on_a_wandering_web_stays_detected(look: FilmLook) -> None:
    def all_at_once(number: int) -> NDArray[np.uint8]:
        share = min((number - 8) / 80, 1.0)
        health = CameraHealth(lamp_bf=1 - 0.12 * share, wander_um=round(300 * share))
        return streaked(strip(number, health), round(30_000 + 300 * share), 300, 0.08 * share)

    _, found = played(look, 110, all_at_once)
    assert all(at(row.spots, 30_300) for row in found[-20:])


def test_defects_on_the_first_strips_are_not_learnt() -> None:
    """Holes and a streak on all of the film that is learnt from stand out on it, and on film to come."""
    line = flaw("STR", 4, 30_000, 300, length_um=40 * STRIP_UM, depth=0.25)
    holes = [flaw("PIN", number, 45_000, 150, length_um=150) for number in range(8)]
    spoilt = learnt_look([strip(number, SOUND, [line, *holes]) for number in range(8)])
    _, again = played(spoilt, 8, lambda number: strip(number, SOUND, [line, *holes]), first=0)
    assert all(at(row.spots, 30_000) and at(row.spots, 45_000) for row in again)
    _, after = played(spoilt, 6, lambda number: strip(number, SOUND, [line]))
    assert all(at(row.spots, 30_000) for row in after)
    assert not any(at(row.spots, 45_000) for row in after)


def test_sound_film_after_learning_from_spoilt_film_is_sound() -> None:
    line = flaw("STR", 4, 30_000, 300, length_um=40 * STRIP_UM, depth=0.25)
    spoilt = learnt_look([strip(number, SOUND, [line]) for number in range(8)])
    _, found = played(spoilt, 20, lambda number: strip(number))
    assert sum(row.found_count for row in found) <= 1

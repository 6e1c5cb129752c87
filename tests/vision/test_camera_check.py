from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from line.bundle import ModelRef
from line.calibration import Calibration, Target, calibration_file, write_calibration
from line.events import CameraChecked, Measure, StripInspected
from line.model import load_line
from plant.truth_types import CameraHealth
from tests.vision.rendered_film import AT_NS, SOUND, WIDTH_PX, header, strip
from vision.camera_check import CameraCheck
from vision.wander import Wander

HOUR_NS = 3_600_000_000_000
STILL = Wander(np.full((3, WIDTH_PX // 4), 100, np.float32), 19, 20.0)


def check(state_dir: Path, *, film_grey: dict[str, float] | None = None, **changes: str | bool) -> CameraCheck:
    camera = msgspec.structs.replace(load_line().camera("fins-1"), width_px=WIDTH_PX)
    if film_grey is not None:
        camera = msgspec.structs.replace(camera, film_grey=film_grey)
    return CameraCheck(camera, state_dir, **changes)  # type: ignore[arg-type]


def seen(
    found: CameraCheck, count: int, health: Callable[[int], CameraHealth] = lambda _number: SOUND, *, first: int = 0,
    thickness: Callable[[int], float] = lambda _number: 1.0, simulated: bool = True, recipe: str = "r-1",
) -> list[tuple[int, CameraChecked]]:  # fmt: skip
    """What was said, by strip."""
    said = []
    for number in range(first, first + count):
        planes = strip(number, health(number), thickness=thickness(number))
        event = found.strip(header(number, simulated=simulated, recipe=recipe), planes, STILL)
        if event:
            said.append((number, event))
    return said


def calibration(*, white: float = 200.0, simulated: bool = False, name: str = "fins-1-a") -> Calibration:
    return Calibration(
        calibration=name,
        camera="fins-1",
        station="S05",
        person="ada",
        at_ns=AT_NS - HOUR_NS,
        valid_until_ns=AT_NS + 7 * HOUR_NS,
        recalibrate_by_ns=AT_NS + 1000 * HOUR_NS,
        pixel_um=20.04,
        line_um=19.98,
        nominal_um=20.0,
        target=Target(),
        frames_count=3,
        frames_digest="",
        simulated=simulated,
        measures=(Measure("white", "BF", white, 2.0, 180.0, 220.0, "{DN}"),),
    )


def test_sound_film_is_said_to_be_so_once_and_then_nothing(tmp_path: Path) -> None:
    said = seen(check(tmp_path), 60)
    assert [number for number, _ in said] == [0]
    event = said[0][1]
    assert (event.state, event.calibration, event.simulated) == ("ok", "", True)
    assert "figures of the line model count" in event.reason


def ageing(number: int) -> CameraHealth:
    """To 88 % over 120 strips, as in F12."""
    return CameraHealth(lamp_bf=1 - 0.12 * min(max((number - 20) / 120, 0.0), 1.0))


def test_an_ageing_bright_field_lamp_is_named_as_a_measurement_fault(tmp_path: Path) -> None:
    said = seen(check(tmp_path), 170, ageing)
    number, event = said[1]
    # It passes 95 % at strip 70; the median over 15 strips follows eight behind.
    assert 70 <= number <= 70 + 16
    assert event.state == "drifting"
    assert event.reason.startswith("bright-field lamp at 9")
    assert "a measurement fault, not the film" in event.reason
    last = said[-1][1]
    assert last.state == "drifting"
    light = {row.channel: row for row in last.measures if row.quantity == "light"}
    assert light["BF"].value == pytest.approx(0.895, abs=0.02)
    assert light["DF"].value == pytest.approx(1.0, abs=0.02)
    assert light["BF"].low == 0.95
    assert len(said) <= 4


def test_film_that_grows_thicker_is_not_called_a_lamp_fault(tmp_path: Path) -> None:
    said = seen(check(tmp_path), 120, thickness=lambda number: 1 + 0.10 * min(max((number - 20) / 60, 0.0), 1.0))
    assert {event.state for _, event in said} == {"ok"}
    assert "film thicker by some percent" in said[-1][1].reason
    assert "fault" not in said[-1][1].reason


def test_a_lamp_that_loses_a_quarter_makes_what_follows_uninspected(tmp_path: Path) -> None:
    found = check(tmp_path)
    seen(found, 20)
    assert found.blind == ""
    said = seen(found, 20, lambda _number: CameraHealth(lamp_bf=0.75), first=20)
    assert said[-1][1].state == "fault"
    assert said[-1][0] <= 20 + 9
    assert "bright-field lamp at 75%" in found.blind


def test_a_lamp_that_is_mended_is_said_to_be_well_again(tmp_path: Path) -> None:
    found = check(tmp_path)
    seen(found, 20)
    seen(found, 20, lambda _number: CameraHealth(lamp_bf=0.75), first=20)
    said = seen(found, 20, first=40)
    assert said[-1][1].state == "ok"
    assert found.blind == ""


def test_a_service_that_starts_under_an_aged_lamp_still_knows_how_it_was(tmp_path: Path) -> None:
    seen(check(tmp_path, film_grey={}), 20)
    said = seen(check(tmp_path, film_grey={}), 12, lambda _number: CameraHealth(lamp_bf=0.88), first=400)
    assert said[-1][1].state == "drifting"
    assert "bright-field lamp at 88%" in said[-1][1].reason


def test_simulated_film_that_begins_under_an_aged_lamp_is_known_by_the_line_model(tmp_path: Path) -> None:
    said = seen(check(tmp_path), 12, lambda _number: CameraHealth(lamp_bf=0.88))
    assert [(number, event.state) for number, event in said] == [(0, "ok"), (7, "drifting")]
    assert "bright-field lamp at 88% of its level by the line model" in said[-1][1].reason
    assert "detection a50 up by about 3%" in said[-1][1].reason


def test_another_recipe_is_another_film_and_is_looked_at_anew(tmp_path: Path) -> None:
    found = check(tmp_path, film_grey={})
    seen(found, 20)
    said = seen(found, 30, lambda _number: CameraHealth(lamp_bf=0.85), first=20, recipe="r-2")
    assert [event.state for _, event in said] == []


def test_a_lens_out_of_focus_is_seen_in_the_texture_of_the_film(tmp_path: Path) -> None:
    found = check(tmp_path)
    seen(found, 20)
    said = seen(found, 16, lambda _number: CameraHealth(blur_px=1.2), first=20)
    assert said[-1][1].state == "drifting"
    assert "out of focus, or the film is of another grain" in said[-1][1].reason


def test_lost_lines_are_said(tmp_path: Path) -> None:
    found = check(tmp_path)
    seen(found, 20)
    said = [found.strip(header(20 + k, missed=12), strip(20 + k), STILL) for k in range(10)]
    event = next(event for event in said if event)
    assert event.state == "drifting"
    assert "of lines lost over the last" in event.reason


def test_a_web_beyond_its_margin_is_said(tmp_path: Path) -> None:
    away = Wander(np.full((3, WIDTH_PX // 4), 100, np.float32), 19, 20.0)
    away.bare_um = 1_400
    event = check(tmp_path).strip(header(0), strip(0), away)
    assert event is not None
    assert event.state == "drifting"
    assert "web lies 1.4 mm beside its place" in event.reason


def test_a_lamp_on_the_limit_does_not_come_and_go(tmp_path: Path) -> None:
    found = check(tmp_path)
    seen(found, 20)
    said = seen(found, 100, lambda number: CameraHealth(lamp_bf=0.95 + 0.006 * (number // 10 % 2 * 2 - 1)), first=20)
    assert len(said) <= 1


def test_real_film_without_a_calibration_is_uncalibrated(tmp_path: Path) -> None:
    found = check(tmp_path)
    (said,) = seen(found, 3, simulated=False)
    assert said[1].state == "uncalibrated"
    assert "lamella calibrate film" in said[1].reason
    assert found.in_force(header(3, simulated=False)).standing == "uncalibrated"


def test_recordings_may_be_played_again_with_nominal_figures(tmp_path: Path) -> None:
    found = check(tmp_path, policy="nominal")
    (said,) = seen(found, 3, simulated=False)
    assert said[1].state == "ok"
    assert "not calibrated" in said[1].reason and "vision.calibration" in said[1].reason
    assert found.in_force(header(3, simulated=False)).pixel_um == 20.0


def test_a_calibration_that_is_written_meanwhile_is_taken_on(tmp_path: Path) -> None:
    found = check(tmp_path)
    seen(found, 3, simulated=False)
    write_calibration(tmp_path, calibration())
    ((_, event),) = seen(found, 3, first=3, simulated=False)
    assert (event.state, event.calibration) == ("ok", "fins-1-a")
    assert "calibrated by ada" in event.reason
    assert [row.quantity for row in event.measures][-1] == "white"
    figures = found.in_force(header(6, simulated=False))
    assert (figures.pixel_um, figures.line_um) == (20.04, 19.98)


def test_a_calibration_expires_in_the_middle_of_a_roll(tmp_path: Path) -> None:
    late = msgspec.structs.replace(calibration(), valid_until_ns=header(5).at_ns + 1)
    write_calibration(tmp_path, late)
    said = seen(check(tmp_path), 10, simulated=False)
    assert [(number, event.state) for number, event in said] == [(0, "ok"), (6, "expired")]
    assert "reference tile was due" in said[1][1].reason


def test_a_failed_calibration_is_a_fault_and_says_what_failed(tmp_path: Path) -> None:
    write_calibration(tmp_path, calibration(white=150.0))
    (said,) = seen(check(tmp_path), 2, simulated=False)
    assert said[1].state == "fault"
    assert "white BF is 150 DN" in said[1].reason


def test_a_damaged_calibration_is_none(tmp_path: Path) -> None:
    file = calibration_file(tmp_path, "fins-1")
    file.parent.mkdir(parents=True)
    file.write_text("{")
    (said,) = seen(check(tmp_path), 2, simulated=False)
    assert said[1].state == "uncalibrated"
    assert "calibrate fins-1 again" in said[1].reason


def test_film_that_cannot_be_learnt_from_is_a_fault_that_says_why(tmp_path: Path) -> None:
    event = check(tmp_path).unusable(header(7), "film of grey 3, 1, 2 cannot be learnt from: check lamps")
    assert event is not None
    assert (event.state, event.reason) == ("fault", "film of grey 3, 1, 2 cannot be learnt from: check lamps")


def test_the_same_film_gives_the_same_ids(tmp_path: Path) -> None:
    runs = [seen(check(tmp_path / name), 100, ageing) for name in ("a", "b")]
    assert [event.id for _, event in runs[0]] == [event.id for _, event in runs[1]]


def drawn(number: int, lamp_bf: float) -> StripInspected:
    return StripInspected(
        at_ns=AT_NS + number,
        simulated=True,
        roll="FR-1",
        station="S05",
        camera="fins-1",
        strip=number,
        md_start_um=0,
        md_end_um=1,
        cd_start_um=0,
        cd_end_um=1,
        state="inspected",
        candidates_count=0,
        defects_count=0,
        mean_grey_bf=150 * lamp_bf,
        mean_grey_df=25,
        mean_grey_tx=90,
        model=ModelRef(name="m", version=1, digest=""),
        method="drawn",
    )


def test_a_channel_that_drawn_film_says_nothing_of_is_left_out(tmp_path: Path) -> None:
    found = check(tmp_path, drawn=True)
    strips = [drawn(number, 1.0 if number < 20 else 0.88) for number in range(60)]
    said = [found.heard(msgspec.structs.replace(strip, mean_grey_tx=None)) for strip in strips]
    assert [event.state for event in said if event] == ["ok", "drifting"]
    assert {row.channel for event in said if event for row in event.measures} - {""} == {"BF", "DF"}


def test_a_lamp_is_named_too_where_film_was_drawn_and_no_picture_exists(tmp_path: Path) -> None:
    found = check(tmp_path, drawn=True)
    said = [found.heard(drawn(number, 1.0 if number < 20 else 0.88)) for number in range(60)]
    states = [event.state for event in said if event]
    assert states == ["ok", "drifting"]
    last = [event for event in said if event][-1]
    assert last.reason == (
        "bright-field lamp at 88% of its level by the line model: a measurement fault, not the film: recalibrate"
    )


def test_drawn_film_is_never_compared_with_seen_film(tmp_path: Path) -> None:
    seen(check(tmp_path), 20)
    said = [check(tmp_path, drawn=True).heard(drawn(number, 0.7)) for number in range(1)]
    assert [event.state for event in said if event] == ["ok"]

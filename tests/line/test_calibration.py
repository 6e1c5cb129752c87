from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from line.calibration import (
    Calibration,
    InForce,
    Target,
    TileCheck,
    calibration_file,
    holds,
    in_force,
    in_words,
    known_frames,
    read_calibration,
    write_calibration,
)
from line.errors import ConfigError
from line.events import Measure

HOUR_NS = 3_600_000_000_000
AT_NS = 1_800_000_000_000_000_000
GOOD = Measure("white", "BF", 198.0, 2.0, 180.0, 220.0, "{DN}")
BAD = Measure("white", "BF", 150.0, 2.0, 180.0, 220.0, "{DN}")


def made(*, measures: tuple[Measure, ...] = (GOOD,), simulated: bool = False) -> Calibration:
    return Calibration(
        calibration="fins-1-a",
        camera="fins-1",
        station="S05",
        person="ada",
        at_ns=AT_NS,
        valid_until_ns=AT_NS + 8 * HOUR_NS,
        recalibrate_by_ns=AT_NS + 90 * 24 * HOUR_NS,
        pixel_um=20.013,
        line_um=19.988,
        nominal_um=20.0,
        target=Target(),
        frames_count=3,
        frames_digest="ab",
        simulated=simulated,
        measures=measures,
    )


def with_tile(calibration: Calibration, *, after_h: float, measures: tuple[Measure, ...] = (GOOD,)) -> Calibration:
    at_ns = AT_NS + round(after_h * HOUR_NS)
    tile = TileCheck(
        at_ns=at_ns, valid_until_ns=at_ns + 8 * HOUR_NS, person="bob", frames_digest="cd", measures=measures
    )
    return msgspec.structs.replace(calibration, tile=tile)


def after(hours: float, calibration: Calibration | None, *, simulated: bool = False) -> InForce:
    return in_force(calibration, at_ns=AT_NS + round(hours * HOUR_NS), simulated=simulated, nominal_um=20.0)


def test_a_calibrated_camera_inspects_with_its_own_figures() -> None:
    found = after(1, made())
    assert (found.standing, found.calibration) == ("ok", "fins-1-a")
    assert (found.pixel_um, found.line_um) == (20.013, 19.988)


def test_real_film_without_a_calibration_is_uninspected() -> None:
    found = after(0, None)
    assert (found.standing, found.calibration) == ("uncalibrated", "")
    assert "lamella calibrate film" in found.reason


def test_simulated_film_needs_no_calibration_and_says_whose_figures_count() -> None:
    found = after(0, None, simulated=True)
    assert (found.standing, found.pixel_um) == ("ok", 20.0)
    assert "figures of the line model count" in found.reason


def test_a_calibration_of_simulated_frames_counts_for_no_real_film() -> None:
    found = after(1, made(simulated=True))
    assert (found.standing, found.calibration) == ("uncalibrated", "")


def test_a_calibration_of_real_frames_counts_for_no_simulated_film() -> None:
    found = after(1, made(), simulated=True)
    assert (found.standing, found.calibration, found.pixel_um) == ("ok", "", 20.0)


def test_without_a_look_at_the_reference_tile_the_calibration_expires_with_the_shift() -> None:
    assert after(7.9, made()).standing == "ok"
    found = after(8.1, made())
    assert found.standing == "expired"
    assert "reference tile was due 2027-01-15 16:00Z" in found.reason


def test_the_reference_tile_renews_the_calibration_for_a_shift() -> None:
    renewed = with_tile(made(), after_h=7)
    assert after(14.9, renewed).standing == "ok"
    assert after(15.1, renewed).standing == "expired"


def test_no_reference_tile_renews_a_calibration_beyond_its_last_day() -> None:
    renewed = with_tile(made(), after_h=90 * 24 - 1)
    assert after(90 * 24 - 0.5, renewed).standing == "ok"
    found = after(90 * 24 + 1, renewed)
    assert found.standing == "expired"
    assert "calibrate with the target again" in found.reason


def test_a_failed_calibration_is_a_fault_and_names_what_failed() -> None:
    found = after(1, made(measures=(GOOD, BAD)))
    assert found.standing == "fault"
    assert "white BF is 150 DN; allowed: at least 180 and at most 220" in found.reason


def test_a_failed_reference_tile_is_a_fault_until_a_good_one() -> None:
    failed = with_tile(made(), after_h=2, measures=(BAD,))
    assert after(3, failed).standing == "fault"
    assert after(4, with_tile(failed, after_h=3.5)).standing == "ok"


def test_film_older_than_the_calibration_is_uninspected() -> None:
    assert after(-1, made()).standing == "uncalibrated"


def test_a_measure_that_is_no_number_is_not_within_its_limits() -> None:
    nothing = Measure("mtf50", "BF", float("nan"), None, 0.18, None, "{cycle}/{px}")
    assert not holds(nothing)
    assert not holds(msgspec.structs.replace(nothing, low=None, high=0.5))


def test_words_name_quantity_channel_value_unit_and_limit() -> None:
    assert in_words(Measure("skew", "", 3.1, 0.1, None, 2.0, "mrad")) == "skew is 3.1 mrad; allowed: at most 2"


def test_a_calibration_is_read_as_it_was_written_and_stays_by_its_name(tmp_path: Path) -> None:
    first, second = made(), msgspec.structs.replace(made(), calibration="fins-1-b")
    for calibration in (first, second):
        assert write_calibration(tmp_path, calibration) == calibration_file(tmp_path, "fins-1")
    assert read_calibration(tmp_path, "fins-1") == second
    assert {path.name for path in (tmp_path / "calibrations" / "before").iterdir()} == {
        "fins-1-a.json",
        "fins-1-b.json",
    }
    assert not list((tmp_path / "calibrations").rglob("*.tmp"))


def test_frames_of_every_look_at_the_tile_stay_known_and_are_the_cameras_own(tmp_path: Path) -> None:
    assert known_frames(tmp_path, "fins-1") == set()
    full = made()
    for digest in ("1" * 64, "2" * 64, "3" * 64):
        tile = TileCheck(at_ns=AT_NS, valid_until_ns=AT_NS, person="bob", frames_digest=digest, measures=())
        write_calibration(tmp_path, msgspec.structs.replace(full, tile=tile))
    write_calibration(tmp_path, full)
    other = msgspec.structs.replace(full, camera="fins-10", calibration="fins-10-a", frames_digest="f" * 64)
    write_calibration(tmp_path, other)
    assert known_frames(tmp_path, "fins-1") == {full.frames_digest, "1" * 64, "2" * 64, "3" * 64}
    kept = tmp_path / "calibrations" / "before" / "fins-1-a.json"
    kept.write_text("{")
    with pytest.raises(ConfigError, match=r"before/fins-1-a\.json: cannot be read .*: move it out of this folder"):
        known_frames(tmp_path, "fins-1")


def test_a_camera_that_was_never_calibrated_has_none(tmp_path: Path) -> None:
    assert read_calibration(tmp_path, "fins-1") is None


@pytest.mark.parametrize("text", ["", "{}", '{"calibration": 1}'])
def test_a_damaged_file_is_refused_by_its_name_and_with_the_next_step(tmp_path: Path, text: str) -> None:
    file = calibration_file(tmp_path, "fins-1")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"fins-1\.json.*calibrate fins-1 again"):
        read_calibration(tmp_path, "fins-1")


def test_a_file_of_another_camera_is_refused(tmp_path: Path) -> None:
    write_calibration(tmp_path, msgspec.structs.replace(made(), camera="lins-1"))
    calibration_file(tmp_path, "lins-1").rename(calibration_file(tmp_path, "fins-1"))
    with pytest.raises(ConfigError, match="is of lins-1"):
        read_calibration(tmp_path, "fins-1")

"""What `lamella doctor` says of the film cameras' calibration."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from lamella.cli import main
from lamella.doctor import Finding, findings
from lamella.exit_codes import DEPENDENCY_UNREACHABLE
from line.calibration import Calibration, Target, TileCheck, calibration_file, write_calibration
from line.config import Site
from line.events import Measure

HOUR_NS = 3_600_000_000_000
GOOD = Measure("white", "BF", 198.0, 2.0, 180.0, 220.0, "{DN}")
BAD = Measure("white", "BF", 150.0, 2.0, 180.0, 220.0, "{DN}")


@pytest.fixture
def real(tmp_path: Path) -> Site:
    """A line with a PLC of its own, whose cameras see real film."""
    site = msgspec.convert({"line": {"state_dir": str(tmp_path / "state")}}, Site)
    return with_settings(site, plc={"endpoint": "opc.tcp://127.0.0.1:1"})


def with_settings(site: Site, **sections: dict[str, str]) -> Site:
    told = msgspec.to_builtins(site)
    for name, settings in sections.items():
        told[name] |= settings
    return msgspec.convert(told, Site)


def calibrate(site: Site, *, age_h: float, tile_age_h: float | None = None, measure: Measure = GOOD) -> Path:
    at_ns = time.time_ns() - round(age_h * HOUR_NS)
    calibration = Calibration(
        calibration="fins-1-a",
        camera="fins-1",
        station="S05",
        person="ada",
        at_ns=at_ns,
        valid_until_ns=at_ns + 8 * HOUR_NS,
        recalibrate_by_ns=at_ns + 90 * 24 * HOUR_NS,
        pixel_um=20.0,
        line_um=20.0,
        nominal_um=20.0,
        target=Target(),
        frames_count=3,
        frames_digest="ab",
        simulated=False,
        measures=(measure,),
    )
    if tile_age_h is not None:
        at_ns = time.time_ns() - round(tile_age_h * HOUR_NS)
        tile = TileCheck(
            at_ns=at_ns, valid_until_ns=at_ns + 8 * HOUR_NS, person="bob", frames_digest="cd", measures=(GOOD,)
        )
        calibration = msgspec.structs.replace(calibration, tile=tile)
    return write_calibration(site.state_dir, calibration)


def of_camera(site: Site) -> Finding:
    (found,) = (row for row in findings(site) if row.name == "camera fins-1")
    return found


def test_a_calibrated_camera_is_shown_with_its_file_and_until_when(real: Site) -> None:
    file = calibrate(real, age_h=1)
    found = of_camera(real)
    assert (found.state, found.next_step) == ("ok", "")
    assert "calibrated by ada" in found.detail
    assert "in force until" in found.detail
    assert str(file) in found.detail


def test_an_expired_look_at_the_tile_means_uninspected_film_and_asks_for_the_tile(real: Site) -> None:
    calibrate(real, age_h=30, tile_age_h=9)
    found = of_camera(real)
    assert found.state == "failed"
    assert "look at the reference tile was due" in found.detail
    assert found.detail.endswith("film is uninspected")
    assert found.next_step == "lamella calibrate film --camera fins-1 --reference-tile"


@pytest.mark.parametrize(("age_h", "measure", "says"), [(91 * 24, GOOD, "expired"), (1, BAD, "white BF is 150 DN")])
def test_what_the_target_must_mend_asks_for_the_target(real: Site, age_h: float, measure: Measure, says: str) -> None:
    calibrate(real, age_h=age_h, tile_age_h=1, measure=measure)
    found = of_camera(real)
    assert found.state == "failed"
    assert says in found.detail
    assert found.detail.endswith("film is uninspected")
    assert found.next_step == "lamella calibrate film --camera fins-1"


def test_a_camera_that_was_never_calibrated_fails_the_doctor_on_real_film_only(
    real: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    found = of_camera(real)
    assert found.state == "failed"
    assert found.detail.startswith("not calibrated: film is uninspected")
    simulated = of_camera(with_settings(real, plc={"endpoint": ""}))
    assert simulated.state == "ok"
    assert "simulated frames need no calibration" in simulated.detail
    recorded = of_camera(with_settings(real, vision={"sources": f"fins-1=folder:{real.state_dir}"}))
    assert (recorded.state, recorded.next_step.partition(",")[0]) == ("degraded", "--set vision.calibration=nominal")
    assert recorded.detail == "not calibrated: recorded film, unless simulated, is uninspected"
    nominal = of_camera(with_settings(real, vision={"calibration": "nominal"}))
    assert nominal.state == "ok"
    assert "figures of the line model count" in nominal.detail
    words = ["doctor", "--state", str(real.state_dir), "--set", "vision.sources=fins-1=genicam:NOBODY"]
    assert main(words) == DEPENDENCY_UNREACHABLE
    assert "next: lamella calibrate film --camera fins-1" in capsys.readouterr().out


def test_a_damaged_calibration_is_named(real: Site) -> None:
    file = calibration_file(real.state_dir, "fins-1")
    file.parent.mkdir(parents=True)
    file.write_text("{")
    found = of_camera(real)
    assert found.state == "failed"
    assert str(file) in found.detail
    assert found.detail.endswith("film is uninspected")

from __future__ import annotations

import numpy as np
import pytest

from plant.truth_types import CameraHealth
from tests.vision.rendered_film import strip
from vision.film_light import (
    COARSER_FRACTION,
    Finding,
    a50_growth,
    focus_finding,
    light_findings,
    middle,
    roughness_at,
    strip_level,
    strip_texture,
)

NO_WORSE = {"BF": 0.0, "DF": 0.0, "TX": 0.0}


def said(bf: float, df: float, tx: float, *, worse: float = 0.0) -> list[Finding]:
    return light_findings({"BF": bf, "DF": df, "TX": tx}, NO_WORSE | {"BF": worse}, "when calibrated")


@pytest.mark.parametrize(("bf", "df", "tx"), [(1.0, 1.0, 1.0), (0.96, 1.03, 1.04), (1.049, 0.951, 0.96)])
def test_within_five_percent_nothing_is_said(bf: float, df: float, tx: float) -> None:
    assert said(bf, df, tx) == []


def test_an_aged_lamp_is_a_measurement_fault_and_not_the_film() -> None:
    (found,) = said(0.88, 1.0, 1.0, worse=0.02)
    assert (found.what, found.state) == ("lamp BF", "drifting")
    assert found.text == (
        "bright-field lamp at 88% of its level when calibrated: a measurement fault, not the film; "
        "detection a50 up by about 2%: recalibrate"
    )


def test_a_lamp_beyond_twenty_percent_is_a_fault() -> None:
    assert said(0.78, 1.0, 1.0)[0].state == "fault"
    assert said(1.0, 1.25, 1.0)[0].what == "lamp DF"
    assert said(1.0, 1.25, 1.0)[0].state == "fault"


@pytest.mark.parametrize(("tx", "word"), [(0.92, "thicker"), (1.08, "thinner")])
def test_transmission_alone_is_the_film_first_and_never_called_a_lamp_fault(tx: float, word: str) -> None:
    (found,) = said(1.0, 1.0, tx)
    assert (found.what, found.state) == ("transmission", "ok")
    assert f"film {word}" in found.text
    assert "S05.ArealMass" in found.text
    assert "fault" not in found.text


def test_a_channel_that_has_lost_half_its_light_sees_no_film_whoever_is_to_blame() -> None:
    assert said(1.0, 1.0, 0.55)[0].state == "drifting"
    assert (said(1.0, 1.0, 0.3)[0].what, said(1.0, 1.0, 0.3)[0].state) == ("transmission", "fault")
    assert (said(0.4, 0.4, 1.0)[0].what, said(0.4, 0.4, 1.0)[0].state) == ("reflection", "fault")


def test_thicker_film_that_shines_back_more_is_still_film() -> None:
    (found,) = said(1.04, 1.03, 0.80)
    assert found.what == "transmission"


def test_a_lamp_that_ages_over_thicker_film_is_told_beside_it() -> None:
    assert [row.what for row in said(0.88, 1.0, 0.93)] == ["lamp BF", "transmission"]


def test_all_channels_alike_are_what_they_share() -> None:
    (found,) = said(0.90, 0.89, 0.905)
    assert (found.what, found.state) == ("all channels", "drifting")
    assert "exposure, aperture or a dirty window" in found.text


def test_both_reflected_channels_alike_leave_open_whether_it_is_the_film() -> None:
    (found,) = said(0.90, 0.91, 1.0)
    assert (found.what, found.state) == ("reflection", "drifting")
    assert "reference tile tells which" in found.text


def test_a_camera_without_transmission_names_its_lamp_too() -> None:
    (found,) = light_findings({"BF": 0.88, "DF": 1.0}, {"BF": 0.0, "DF": 0.0}, "when calibrated")
    assert found.what == "lamp BF"


def test_fine_texture_follows_focus_and_nothing_else() -> None:
    sharp = np.array([strip_texture(strip(k)).fineness for k in range(6)])
    assert sharp[:, 0].std() / sharp[:, 0].mean() < 0.02
    for other in (CameraHealth(lamp_bf=0.8, lamp_tx=0.8), CameraHealth(noise_dn=4.0)):
        found = strip_texture(strip(9, other)).fineness
        assert found[0] / sharp[:, 0].mean() == pytest.approx(1.0, abs=0.05)
        assert found[2] / sharp[:, 2].mean() == pytest.approx(1.0, abs=0.05)
    blurred = strip_texture(strip(9, CameraHealth(blur_px=1.0))).fineness
    assert blurred[0] / sharp[:, 0].mean() < 1 - COARSER_FRACTION
    assert blurred[2] / sharp[:, 2].mean() < 1 - COARSER_FRACTION


def test_coarser_film_in_one_channel_only_is_no_focus() -> None:
    assert focus_finding({"BF": 0.8, "TX": 1.0}, "before") == []
    (found,) = focus_finding({"BF": 0.8, "TX": 0.78, "DF": 1.0}, "before")
    assert (found.what, found.state) == ("focus", "drifting")
    assert "21% of its fine texture" in found.text


def test_twice_the_roughness_hides_defects_of_twice_the_area() -> None:
    assert a50_growth(0.04, 0.02) == pytest.approx(2**0.5 - 1)
    assert a50_growth(0.01, 0.02) == 0.0


def test_noise_weighs_more_under_less_light() -> None:
    assert roughness_at(0.05, 100, 100, 2.0) == pytest.approx(0.05)
    assert roughness_at(np.hypot(0.03, 0.02), 100, 50, 2.0) == pytest.approx(np.hypot(0.03, 0.04))


def test_a_defect_does_not_move_the_light_of_its_strip() -> None:
    planes = strip(3)
    before = strip_level(planes)
    planes[:, 40:140, 500:800] = 0
    assert strip_level(planes) == pytest.approx(before, rel=0.01)


def test_one_odd_strip_of_many_does_not_move_the_middle() -> None:
    assert middle([(1.0, 2.0), (1.0, 2.0), (9.0, 0.0)]) == (1.0, 2.0)

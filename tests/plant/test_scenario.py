"""Scenario files: what is refused and how, and the shapes of the waveforms."""

from __future__ import annotations

from pathlib import Path

import pytest

from line.errors import ConfigError, NotFoundError
from line.model import LineModel
from plant.scenario import ActiveScenario, Timed, combined, load_scenario, shipped_scenarios

HEAD = 'name = "X"\ntitle = "x"\n'


def written(folder: Path, body: str) -> Path:
    path = folder / "x.toml"
    path.write_text(HEAD + body, encoding="utf-8")
    return path


def test_every_published_fault_ships_and_names_itself(line: LineModel) -> None:
    published = {f"F{number:02d}" for number in range(1, 17)} - {"F08", "F14"}
    assert set(shipped_scenarios()) == published
    for name in shipped_scenarios():
        scenario = load_scenario(name, line)
        assert scenario.name == name
        assert scenario.title and scenario.expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('tags = [{ tag = "S03.WebSped", to = 2.0 }]', ["S03.WebSped", "S03.WebSpeed"]),
        ('tags = [{ tag = "S03.WebSpeed", to = 2.0, by = 1.0 }]', ["tags.S03.WebSpeed", "one of by_z, by, to"]),
        ('tags = [{ tag = "S03.WebSpeed" }]', ["no amplitude"]),
        ('tags = [{ tag = "S03.WebSpeed", to = 2.0, form = "ramp" }]', ["over_s", "more than 0 s"]),
        ('tags = [{ tag = "S03.WebSpeed", to = 2.0, form = "jump" }]', ["jump"]),
        ('tags = [{ tag = "S03.WebSpeed", form = "stuck" }]', ["sensor"]),
        ('rates = [{ defect = "STX", factor = 2.0 }]', ["STX", "STR"]),
        ('rates = [{ defect = "STR", persistent = true }]', ["rates.STR", "cd_um"]),
        ('rates = [{ defect = "STR", cd_um = 400000 }]', ["400000", "300000"]),
        ('rates = [{ defect = "SCR", cd_um = 40000, roller = "idle" }]', ["idle", "idler"]),
        ('conditions = [{ condition = "event.idler", to = 1.0 }]', ["event.idler", "event.idler_stuck"]),
        ("stack_camera = [{ corner = 5, shift_um = 1.0 }]", ["corner", "5"]),
        ('speed = "fast"', ["speed"]),
    ],
)
def test_a_wrong_row_is_refused_naming_file_and_what_is_allowed(
    tmp_path: Path, line: LineModel, body: str, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_scenario(written(tmp_path, body), line)
    for word in ["x.toml", *words]:
        assert word in str(refused.value)


def test_an_unknown_name_is_answered_with_the_known_ones(line: LineModel) -> None:
    with pytest.raises(NotFoundError, match=r"'F0'.*F01, F02"):
        load_scenario("F0", line)


@pytest.mark.parametrize(
    ("row", "at_s", "amplitude"),
    [
        (Timed(form="step", from_s=10), 9.9, 0.0),
        (Timed(form="step", from_s=10), 10.0, 1.0),
        (Timed(form="step", until_s=20), 20.0, 0.0),
        (Timed(form="ramp", from_s=10, over_s=100), 35.0, 0.25),
        (Timed(form="ramp", over_s=100), 1e6, 1.0),
        (Timed(form="pulse", over_s=5), 4.9, 1.0),
        (Timed(form="pulse", over_s=5), 5.1, 0.0),
        (Timed(form="sine", period_s=40), 10.0, 1.0),
        (Timed(form="sine", period_s=40), 30.0, -1.0),
        (Timed(form="drift", over_s=100), 250.0, 2.5),
    ],
)
def test_a_waveform_has_its_amplitude_at_its_time(row: Timed, at_s: float, amplitude: float) -> None:
    assert row.amplitude(at_s) == pytest.approx(amplitude, abs=1e-9)


def test_strength_scales_and_a_lifted_scenario_does_nothing(line: LineModel) -> None:
    scenario = load_scenario("F04", line)
    active = ActiveScenario(scenario=scenario, strength=0.5, began_ns=0, ends_ns=10**12)
    (row,) = scenario.tags
    assert active.scaled(row, 500 * 10**9) == pytest.approx(0.5)
    assert active.scaled(row, 10**12) == 0.0
    assert active.elapsed_s(-1) is None


def test_scenarios_combine(line: LineModel) -> None:
    both = combined([load_scenario("F01", line), load_scenario("F06", line)], "both")
    assert {row.defect for row in both.rates} == {"STR", "SCR"}
    assert len(both.tags) == 2

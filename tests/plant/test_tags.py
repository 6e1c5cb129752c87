"""Tags: their noise, the relations between them, and what sensors say that is not so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from line.model import LineModel
from plant.hidden import Hidden, Lie, drawn_hidden
from plant.scenario import ActiveScenario, Scenario, TagChange
from plant.tags import TagField, door_open

S = 10**9


@pytest.fixture
def published(line: LineModel) -> Hidden:
    return drawn_hidden(line, 0)


def field_of(line: LineModel, hidden: Hidden) -> TagField:
    return TagField(line, hidden, seed=3, began_ns=0)


def fault(*rows: TagChange) -> ActiveScenario:
    return ActiveScenario(scenario=Scenario(name="x", title="x", tags=rows), strength=1.0, began_ns=0)


def said(field: TagField, tag: str, at_ns: int, active: Sequence[ActiveScenario] = ()) -> float:
    values = field.reported(at_ns, field.process(at_ns, active), active, ())
    return float(values[field.index[tag]])


def test_all_147_tags_stand_near_their_nominal_value(line: LineModel, published: Hidden) -> None:
    field = field_of(line, published)
    z = field.deviations(field.process(0, ()))
    assert len(z) == 147
    worst = max(z, key=lambda tag: abs(z[tag]))
    assert abs(z[worst]) < 1.0, worst


@pytest.mark.parametrize(("tag", "time_constant_s"), [("S03.WebTension", 3.0), ("S04.Zone1Temp", 30.0)])
def test_noise_is_a_quarter_of_the_half_range_with_the_time_constant_of_its_kind(
    line: LineModel, published: Hidden, tag: str, time_constant_s: float
) -> None:
    field = field_of(line, published)
    row = line.tag(tag)
    values = np.array([said(field, tag, n * S) for n in range(6000)]) - row.nominal
    assert values.std() == pytest.approx(row.half_range / 4, rel=0.15)
    assert np.corrcoef(values[1:], values[:-1])[0, 1] == pytest.approx(np.exp(-1 / time_constant_s), abs=0.05)


def test_noise_is_the_same_in_one_long_step_as_in_many_short_ones(line: LineModel, published: Hidden) -> None:
    field = field_of(line, published)
    far = np.array([said(field, "S03.WebTension", n * 3600 * S) for n in range(1, 1500)])
    assert far.std() == pytest.approx(line.tag("S03.WebTension").half_range / 4, rel=0.1)
    assert abs(np.corrcoef(far[1:], far[:-1])[0, 1]) < 0.1


def test_twice_the_speed_with_twice_the_flow_leaves_the_wet_film_and_overruns_the_dryer(
    line: LineModel, published: Hidden
) -> None:
    field = field_of(line, published)
    fast = fault(TagChange(tag="S03.WebSpeed", to=2.0), TagChange(tag="S03.PumpFlow", to=58.6))
    values = field.process(1, [fast])
    at = field.index
    assert values[at["S03.WetThickness"]] == pytest.approx(98.0, abs=0.5)
    assert values[at["S04.ResidualSolvent"]] == pytest.approx(2.98, abs=0.1)  # R11
    assert values[at["S05.LineRate"]] == pytest.approx(1666, rel=0.01)  # R23


def test_more_flow_alone_gives_a_heavier_film(line: LineModel, published: Hidden) -> None:
    field = field_of(line, published)
    values = field.process(1, [fault(TagChange(tag="S03.PumpFlow", by=0.293))])
    assert values[field.index["S05.ArealMass"]] == pytest.approx(50.5, abs=0.1)
    assert values[field.index["S03.WetThickness"]] == pytest.approx(98.98, abs=0.1)


def test_a_fault_of_a_sensor_moves_what_it_says_and_not_what_is_so(line: LineModel, published: Hidden) -> None:
    field = field_of(line, published)
    lying = fault(TagChange(tag="S03.CoatGap", by=50.0, where="sensor"))
    assert field.process(1, [lying])[field.index["S03.CoatGap"]] == pytest.approx(200.0)
    assert said(field, "S03.CoatGap", 1, [lying]) == pytest.approx(250.0, abs=8)


def test_a_stuck_sensor_says_the_same_for_ever(line: LineModel, published: Hidden) -> None:
    field = field_of(line, published)
    stuck = fault(TagChange(tag="S03.CoatGap", form="stuck", where="sensor"))
    assert len({said(field, "S03.CoatGap", n * S, [stuck]) for n in range(1, 50)}) == 1


def test_a_hidden_lie_grows_as_drawn(line: LineModel, published: Hidden) -> None:
    week_s = 7 * 86400
    hidden = replace(published, lies=(Lie(tag="S04.Zone1Temp", form="drift", z=2.0, after_h=0.0),))
    field = field_of(line, hidden)
    half = line.tag("S04.Zone1Temp").half_range
    late = np.mean([said(field, "S04.Zone1Temp", (2 * week_s + n * 60) * S) for n in range(200)])
    assert late == pytest.approx(45.0 + 2 * 2.0 * half, abs=0.3)
    assert field.process(0, ())[field.index["S04.Zone1Temp"]] == pytest.approx(45.0)


def test_speeds_are_0_while_their_station_stands(line: LineModel, published: Hidden) -> None:
    field = field_of(line, published)
    values = field.reported(1, field.process(1, ()), (), ("S03", "S09"))
    assert values[field.index["S03.WebSpeed"]] == values[field.index["S09.CutSpeed"]] == 0.0
    assert values[field.index["S07.WebSpeed"]] > 0.5


def test_looking_does_not_change_what_is_so(line: LineModel) -> None:
    hidden = drawn_hidden(line, 4)
    watched, alone = field_of(line, hidden), field_of(line, hidden)
    for n in range(1, 40):
        said(watched, "S03.WebSpeed", n * 10 * S)
    for field in (watched, alone):
        field.step(400 * S)
    assert np.array_equal(watched.process(400 * S, ()), alone.process(400 * S, ()))


def test_what_a_part_gave_stands_until_the_next_part(line: LineModel, published: Hidden) -> None:
    field = field_of(line, published)
    values = field.part_values(["S14.WeldEnergy"], field.process(0, ()), np.random.default_rng(1))
    assert said(field, "S14.WeldEnergy", 5 * S) == said(field, "S14.WeldEnergy", 500 * S) == values["S14.WeldEnergy"]


def test_doors_open_now_and_then_and_only_by_the_seed() -> None:
    open_share = np.mean([door_open(1, n * 10 * S) for n in range(20_000)])
    assert 0.01 < open_share < 0.06
    assert [door_open(1, n * 600 * S) for n in range(99)] != [door_open(2, n * 600 * S) for n in range(99)]

"""What `hidden_seed` draws."""

from __future__ import annotations

import numpy as np
import pytest

from line.model import LineModel
from plant.hidden import drawn_episodes, drawn_hidden


def links_of(line: LineModel, seed: int) -> set[tuple[str, str]]:
    return {(link.defect, link.tag) for link in drawn_hidden(line, seed).links}


def test_seed_0_is_the_line_as_published(line: LineModel) -> None:
    hidden = drawn_hidden(line, 0)
    assert [(link.defect, link.tag, link.beta) for link in hidden.links] == [
        (row.defect, row.tag, row.beta) for row in line.drivers
    ]
    assert {row.code: row.rate_per_m2 for row in hidden.defects} == {
        row.code: row.rate_per_m2 for row in line.defects if row.measured_as == "event"
    }
    assert not any((hidden.lies, hidden.causes, hidden.wanders, hidden.unnamed()))
    assert drawn_episodes(hidden, 10) == ()


def test_the_same_number_gives_the_same_line(line: LineModel) -> None:
    assert drawn_hidden(line, 7) == drawn_hidden(line, 7)
    assert drawn_episodes(drawn_hidden(line, 7), 4) == drawn_episodes(drawn_hidden(line, 7), 4)


def test_another_number_gives_other_strengths_and_another_structure(line: LineModel) -> None:
    one, other = ({link.beta for link in drawn_hidden(line, seed).links if link.published} for seed in (1, 2))
    assert not one & other
    assert links_of(line, 1) != links_of(line, 2)


@pytest.mark.parametrize("seed", range(1, 8))
def test_links_are_removed_added_and_bent(line: LineModel, seed: int) -> None:
    published = {(row.defect, row.tag) for row in line.drivers}
    found = links_of(line, seed)
    assert len(published - found) == 4
    assert 3 <= len(found - published) <= 4
    assert sum(link.bend != "straight" for link in drawn_hidden(line, seed).links) == 4


@pytest.mark.parametrize("seed", range(1, 8))
def test_a_sensor_lies_and_one_cause_and_one_defect_have_no_name(line: LineModel, seed: int) -> None:
    hidden = drawn_hidden(line, seed)
    assert 1 <= len(hidden.lies) <= 2
    assert all(lie.tag in line.all_tags() for lie in hidden.lies)
    (unnamed,) = hidden.unnamed()
    assert unnamed.code not in {row.code for row in line.defects}
    (cause,) = hidden.causes
    assert cause.name not in line.all_tags()


def test_drifting_tags_leave_a_class_its_drawn_rate_on_average(line: LineModel) -> None:
    hidden = drawn_hidden(line, 3)
    rates = [hidden.defect(row.code).rate_per_m2 / (row.rate_per_m2 or 1.0) for row in line.defects if row.rate_per_m2]
    # what drift adds is taken off the rate at nominal tags, so that most classes lie below their published rate
    assert 0.4 < float(np.median(rates)) < 1.1


def test_episodes_of_a_past_come_in_order_of_time(line: LineModel) -> None:
    episodes = drawn_episodes(drawn_hidden(line, 3), 20)
    assert len(episodes) > 10
    assert [row.at_fraction for row in episodes] == sorted(row.at_fraction for row in episodes)

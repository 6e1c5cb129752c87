from __future__ import annotations

import re

import pytest
from paho.mqtt.client import topic_matches_sub

from line import events
from line.events import EVENT_TYPES, Event, StationState
from line.model import load_line
from line.topics import category, topics_of

TOPICS = topics_of(load_line(), "lamella")


def test_a_topic_has_the_isa_95_levels_in_order() -> None:
    state = StationState(at_ns=1, station="S03", state="Execute")
    assert TOPICS.of(state) == "lamella/v1/lamella/pilot/assb/line-1/s03/state/station_state"


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_a_filter_for_a_class_matches_its_topic_and_no_other_class(kind: type[Event]) -> None:
    topic = f"{TOPICS.base}/s05/{category(kind)}/{events.tag_of(kind)}"
    assert topic_matches_sub(TOPICS.every(kind), topic)
    assert [other for other in EVENT_TYPES if topic_matches_sub(TOPICS.every(other), topic)] == [kind]
    assert sum(topic_matches_sub(each, topic) for each in TOPICS.all_events()) == 1
    assert re.fullmatch(r"[a-z0-9_/-]+", topic)


def test_commands_and_questions_have_topics_of_their_own() -> None:
    assert TOPICS.command("plant", "do").endswith("/plant/cmd/do")
    assert TOPICS.question("twin", "ask").endswith("/twin/ask/ask")
    for topic in (TOPICS.question("twin", "ask"), TOPICS.command("plant", "do")):
        assert not any(topic_matches_sub(each, topic) for each in TOPICS.all_events())

"""Channels: snapshots, deltas, and watchers that are slower than what they watch."""

from __future__ import annotations

import json
from typing import Any

from lamella.web.channels import GRACE_S, ITEMS_LIMIT, Channel, Watcher
from lamella.web.outside import JsonObject


def roll_channel() -> Channel:
    return Channel("roll:R", {"defects": "defect"}, value={"length": 1, "defects": []})


def watcher_of(channel: Channel) -> Watcher:
    watcher = Watcher(lambda: None)
    watcher.watch(channel)
    return watcher


def taken(watcher: Watcher) -> list[dict[str, Any]]:
    return [json.loads(message) for message in watcher.take()]


def defect(number: int, revision: int = 1) -> JsonObject:
    return {"defect": f"d{number}", "revision": revision}


def test_a_watcher_gets_a_snapshot_and_then_what_changed() -> None:
    channel = roll_channel()
    watcher = watcher_of(channel)
    (snapshot,) = taken(watcher)
    channel.replace({"length": 2, "defects": []}, 0.0)
    (delta,) = taken(watcher)
    assert snapshot["op"] == "snapshot"
    assert snapshot["data"] == {"length": 1, "defects": []}
    assert delta == {
        "op": "delta", "ch": "roll:R", "seq": snapshot["seq"] + 1, "prev": snapshot["seq"],
        "set": {"length": 2}, "add": {},
    }  # fmt: skip


def test_a_slow_watcher_gets_the_latest_value_and_every_defect() -> None:
    channel = roll_channel()
    watcher = watcher_of(channel)
    (snapshot,) = taken(watcher)
    for number in range(10):
        channel.update({"length": number})
        channel.push("defects", defect(number), 0.0)
    (delta,) = taken(watcher)
    assert delta["prev"] == snapshot["seq"]
    assert delta["seq"] == channel.seq
    assert delta["set"] == {"length": 9}
    assert [each["defect"] for each in delta["add"]["defects"]] == [f"d{number}" for number in range(10)]


def test_too_many_waiting_defects_become_a_snapshot_that_holds_them_all() -> None:
    channel = roll_channel()
    watcher = watcher_of(channel)
    taken(watcher)
    for number in range(ITEMS_LIMIT + 1):
        channel.push("defects", defect(number), 0.0)
    (message,) = taken(watcher)
    assert message["op"] == "snapshot"
    assert len(message["data"]["defects"]) == ITEMS_LIMIT + 1


def test_an_older_revision_does_not_replace_a_newer_one() -> None:
    channel = roll_channel()
    channel.push("defects", defect(1, revision=2), 0.0)
    channel.push("defects", defect(1, revision=1), 0.0)
    assert channel.item("defects", "d1") == defect(1, revision=2)


def test_a_defect_that_the_twin_has_not_heard_of_yet_stays_for_a_while() -> None:
    channel = roll_channel()
    channel.push("defects", defect(1), 0.0)
    channel.replace({"length": 1, "defects": []}, 1.0)
    assert channel.item("defects", "d1") == defect(1)
    channel.replace({"length": 1, "defects": []}, 1.0 + GRACE_S)
    assert channel.item("defects", "d1") is None


def test_an_item_that_vanished_makes_the_list_a_value() -> None:
    channel = Channel("roll:R", {"defects": "defect"}, value={"defects": [defect(1), defect(2)]})
    watcher = watcher_of(channel)
    taken(watcher)
    channel.replace({"defects": [defect(2)]}, 0.0)
    (delta,) = taken(watcher)
    assert delta["set"] == {"defects": [defect(2)]}
    assert delta["add"] == {}


def test_only_the_latest_events_are_kept() -> None:
    channel = Channel("events", {"events": "id"}, {"events": 3}, {"events": []})
    for number in range(5):
        channel.push("events", {"id": str(number)}, 0.0)
    assert channel.value == {"events": [{"id": "2"}, {"id": "3"}, {"id": "4"}]}


def test_nothing_changed_is_nothing_sent() -> None:
    channel = roll_channel()
    watcher = watcher_of(channel)
    taken(watcher)
    assert not channel.replace({"length": 1, "defects": []}, 0.0)
    assert taken(watcher) == []


def test_a_watcher_that_left_is_told_nothing() -> None:
    channel = roll_channel()
    watcher = watcher_of(channel)
    watcher.leave("roll:R")
    channel.update({"length": 5})
    assert taken(watcher) == []
    assert not channel.watchers


def test_of_notices_the_latest_of_a_kind_is_sent() -> None:
    watcher = Watcher(lambda: None)
    watcher.notice("beat", {"op": "beat", "n": 1})
    watcher.notice("beat", {"op": "beat", "n": 2})
    assert taken(watcher) == [{"op": "beat", "n": 2}]

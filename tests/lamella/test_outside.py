"""How structs look outside."""

from __future__ import annotations

import json

import pytest

from lamella.web.outside import JsonObject, outside, outside_bytes, outside_schema
from line.queries import StepView, TrendView
from tests.lamella.canned import NOW_NS, CannedLine


def test_nanoseconds_become_iso_text_under_a_name_without_unit() -> None:
    step = StepView("S11", NOW_NS, 0, "", "ok", ())
    assert outside(step) == {
        "station": "S11", "entered": "2026-11-24T06:00:00.123Z", "left": None,
        "place": "", "outcome": "ok", "readings": [],
    }  # fmt: skip


def test_many_times_become_many_texts_and_the_tag_stays() -> None:
    trend = TrendView(fresh=CannedLine().fresh(), tag="S03.WebSpeed", unit="m/min", times_ns=(NOW_NS,), values=(None,))
    found = outside(trend)
    assert isinstance(found, dict)
    assert found["answer"] == "trend"
    assert found["times"] == ["2026-11-24T06:00:00.123Z"]


def test_a_number_that_is_not_finite_becomes_null() -> None:
    assert json.loads(outside_bytes({"value": float("nan")})) == {"value": None}


def test_what_no_wire_carries_has_no_outside_form() -> None:
    with pytest.raises(TypeError, match="set"):
        outside({1, 2})


def test_the_schema_says_what_goes_out() -> None:
    inside: JsonObject = {
        "properties": {"left_ns": {"type": "integer"}, "times_ns": {"type": "array"}},
        "required": ["left_ns"],
    }
    moment: JsonObject = {"type": ["string", "null"], "format": "date-time"}
    assert outside_schema({"components": inside}) == {
        "components": {
            "properties": {"left": moment, "times": {"type": "array", "items": moment}}, "required": ["left"],
        }
    }  # fmt: skip

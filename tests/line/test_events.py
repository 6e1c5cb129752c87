from __future__ import annotations

from typing import Any

import msgspec
import pytest

from line import events
from line.bundle import ModelRef
from line.errors import MessageError
from line.events import EVENT_TYPES, AnyEvent, Event, TagBatch, TagSample, decoded, encoded

_FILLED: dict[type, object] = {str: "x", int: 7, float: 0.5, bool: True}


def sample(kind: type[Event]) -> Event:
    """An event of a class with every required field filled by its type."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.required:
            fields[field.name] = _value(field.type)
    return kind(**fields)


def _value(annotation: object) -> object:
    info = msgspec.inspect.type_info(annotation)
    match info:
        case msgspec.inspect.StrType():
            return "x"
        case msgspec.inspect.IntType():
            return 7
        case msgspec.inspect.FloatType():
            return 0.5
        case msgspec.inspect.BoolType():
            return True
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case msgspec.inspect.VarTupleType():
            return ()
        case msgspec.inspect.DictType():
            return {}
        case msgspec.inspect.UnionType(types=types) if any(
            isinstance(kind, msgspec.inspect.NoneType) for kind in types
        ):
            return None
        case msgspec.inspect.StructType(cls=cls) if cls is ModelRef:
            return ModelRef(name="net", version=1, digest="0" * 64)
    raise AssertionError(f"no sample for {annotation}")


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_every_event_comes_back_from_the_wire_as_it_was(kind: type[Event]) -> None:
    event = sample(kind)
    assert decoded(encoded(event)) == event


def test_the_union_holds_every_event_class_that_is_not_a_base() -> None:
    leaves = {
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind not in {Event, events.Material}
    }
    assert leaves == set(EVENT_TYPES)


def test_an_addition_is_ignored_and_a_wrong_type_is_refused_by_name() -> None:
    event = TagBatch(at_ns=1, station="S03", samples=(TagSample("S03.WebSpeed", 1.0, "good", 1),))
    wire = msgspec.json.decode(encoded(event))
    assert decoded(msgspec.json.encode({**wire, "colour": "blue"})) == event
    with pytest.raises(MessageError, match=r"\$\.station"):
        decoded(msgspec.json.encode({**wire, "station": 3}))
    with pytest.raises(MessageError, match="unknown"):
        decoded(b'{"type":"unknown_thing"}')
    with pytest.raises(MessageError, match="malformed"):
        decoded(b"\xff\x00 no json")


def test_every_numeric_field_of_an_event_says_its_unit() -> None:
    """Names end in a unit, a count, a fraction, or are on the short list of plain numbers."""
    endings = ("_ns", "_um", "_um2", "_mm", "_ms", "_s", "_g", "_kg", "_ah", "_mohm", "_mv_per_d", "_urad", "_count",
               "_fraction", "_mb", "_percent")  # fmt: skip
    plain = {
        "seq", "delivered_seq", "counter", "revision", "layer", "lane", "visit", "gripper", "version", "strip",
        "score", "coverage", "p_pass", "p_low", "p_high", "p_value", "rate_factor", "log_share",
        "value", "target", "low", "high", "uncertainty", "speed",
        "contrast_bf", "contrast_df", "contrast_tx", "mean_grey_bf", "mean_grey_df", "mean_grey_tx",
    }  # fmt: skip
    nameless = [
        f"{kind.__name__}.{field.name}"
        for kind in EVENT_TYPES
        for field in msgspec.structs.fields(kind)
        if isinstance(msgspec.inspect.type_info(field.type), msgspec.inspect.IntType | msgspec.inspect.FloatType)
        and not field.name.endswith(endings)
        and field.name not in plain
    ]
    assert nameless == []


def test_events_sort_by_plant_time() -> None:
    late, early = sample(events.RollEnded), msgspec.structs.replace(sample(events.RollEnded), at_ns=3)
    ordered: list[AnyEvent] = events.in_order([late, early])  # type: ignore[list-item]
    assert ordered == [early, late]

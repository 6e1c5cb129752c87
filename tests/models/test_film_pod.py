from __future__ import annotations

import pytest

from models.detection_study import ClassDetection, Detection
from models.film_pod import card_section, curves


def detection(kind: str, hits: int) -> ClassDetection:
    return ClassDetection(
        kind=kind, targets_count=200, hits_count=hits, named_fraction=0.8, a50_um=30.0, s=0.2, published_a50_um=34.0,
        published_s=0.18,
    )  # fmt: skip


FOUND = Detection(
    classes=(detection("PIN", 120), detection("AGG", 130)),
    clean_m2=4.0,
    false_alarms_count=2,
    streak_alarms_count=1,
    candidates_count=90,
    candidates_per_m2=25.0,
)


def test_curves_are_marked_as_measured_on_rendered_film() -> None:
    curve = curves(FOUND)["PIN"]
    assert (curve.a50_um, curve.s, curve.measured) == (30.0, 0.2, True)
    assert "design POD" in curve.how
    assert "rendered film, 200 targets, 20 µm/px" in curve.how


def test_the_card_names_each_class_and_the_false_alarms_on_how_much_film() -> None:
    text = "\n".join(card_section(FOUND))
    assert "| PIN | 200 | 120 | 30 |" in text
    assert "0.50 false alarms per m²" in text
    assert "design" in text


def test_a90_is_where_nine_of_ten_are_found() -> None:
    each = FOUND.classes[0]
    assert 1 / (1 + (each.a90_um / each.a50_um) ** (-1 / each.s)) == pytest.approx(0.9)

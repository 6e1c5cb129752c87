"""Contrast of the three themes, by WCAG 2.2: text 4.5:1 (1.4.3), symbols and frames 3:1 (1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lamella.web

THEMES = ("light", "dark", "contrast")
GROUNDS = ("ground", "panel", "raised", "sunken")


def colours(theme: str) -> dict[str, str]:
    text = (Path(lamella.web.__file__).parent / "static" / "css" / "themes.css").read_text()
    block = re.search(rf'data-theme="{theme}"\] \{{(.*?)\}}', text, re.S)
    assert block is not None
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block[1]))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two sRGB colours, 1 to 21."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_black_on_white_is_21_to_1() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", THEMES)
def test_text_is_read_on_every_ground(theme: str) -> None:
    found = colours(theme)
    weak = {
        (ink, ground): round(contrast(found[ink], found[ground]), 2)
        for ink in ("ink", "muted", "accent")
        for ground in GROUNDS
        if contrast(found[ink], found[ground]) < 4.5
    }
    assert weak == {}


@pytest.mark.parametrize("theme", THEMES)
def test_an_alarm_is_read_and_its_frame_is_seen(theme: str) -> None:
    found = colours(theme)
    assert contrast(found["p1-ink"], found["p1"]) >= 4.5
    assert contrast(found["p2-ink"], found["p2"]) >= 4.5
    assert contrast(found["p3-ink"], found["p3"]) >= 4.5
    for ground in (*GROUNDS, "film"):
        assert contrast(found["outline"], found[ground]) >= 3
        assert contrast(found["edge"], found[ground]) >= 3 or ground == "sunken"


@pytest.mark.parametrize("theme", THEMES)
def test_what_the_roll_map_draws_is_seen_on_film(theme: str) -> None:
    found = colours(theme)
    for name in ("dot", "mark", "outline"):
        assert contrast(found[name], found["film"]) >= 3

"""Lines that a camera lost are film nobody looked at, from the camera's blocks to the twin's map of the roll."""

from __future__ import annotations

import msgspec
import numpy as np

from line.bundle import ModelRef
from line.events import StripInspected
from line.film_sources import CameraFile
from line.model import load_line
from twin.rolls import RollMap
from vision.film_events import strip_event
from vision.strip_builder import StripBuilder
from vision.web_travel import Block, CameraPlace

WIDTH, LINES = 3000, 64


def inspected(lost_before: dict[int, int], dropped: set[int], blocks: int) -> list[StripInspected]:
    """What vision says of the strips of a camera that loses blocks, and whose queue is full at times."""
    camera = msgspec.structs.replace(load_line().camera("fins-1"), width_px=WIDTH, strip_lines=LINES)
    builder = StripBuilder(camera, CameraFile(camera="X", roll="FR-1"), CameraPlace())
    model = ModelRef(name="m", version=1, digest="0" * 64)
    found = []
    pixels = np.zeros((3 * LINES, WIDTH), np.uint8)
    for number in range(blocks):
        lost = lost_before.get(number, 0)
        block = Block(lines=pixels, count=None, lost_blocks_count=lost, arrived_ns=1_800_000_000_000_000_000 + number)
        for built in builder.add(block):
            if number in dropped:
                builder.dropped(built)
                continue
            found.append(
                strip_event(
                    camera, built.header, "inspected", None, margin_um=0, defects_count=0, model=model, providers=(),
                    latency_ms=0.0,
                )
            )  # fmt: skip
    return found


def test_lost_blocks_and_dropped_strips_are_uninspected_for_the_reason_that_lines_were_dropped() -> None:
    strips = inspected({4: 3}, {8, 9}, 12)
    strip_um = LINES * 20
    roll = RollMap("FR-1")
    for strip in strips[::-1]:
        roll.add_strip(strip, pixel_um=20.0)
    assert roll.uninspected(0, 15 * strip_um) == [
        (4 * strip_um, 7 * strip_um, "lines dropped"),
        (11 * strip_um, 13 * strip_um, "lines dropped"),
    ]
    assert sum(strip.missed_lines_count for strip in strips) == 5 * LINES
    assert roll.inspected_fraction(0, 15 * strip_um, 0, WIDTH * 20) == 10 / 15


def test_a_camera_that_loses_nothing_leaves_no_hole() -> None:
    strips = inspected({}, set(), 6)
    roll = RollMap("FR-1")
    for strip in strips:
        roll.add_strip(strip, pixel_um=20.0)
    assert roll.uninspected(0, 6 * LINES * 20) == []
    assert {strip.missed_lines_count for strip in strips} == {0}

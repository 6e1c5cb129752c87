"""What the film camera does when nobody takes its pictures, and when it may not make any."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from line.frames import StripHeader, read_frame, waiting
from line.model import load_line
from plant.cameras import DRAWN_STRIPS, FilmCamera, FilmPlace, Stretch
from plant.inspection import PUBLISHED, DrawnInspection
from plant.scenario import CameraChange, Scenario
from plant.world import World

LINE = load_line()
OPENS_NS = int(datetime(2026, 11, 24, 8, tzinfo=UTC).timestamp()) * 10**9
STRIP_UM = 5_120
STRIP_NS = round(STRIP_UM / (1e6 / 60) * 1e9)


@pytest.fixture
def world() -> World:
    """A line whose first roll has just reached the camera."""
    made = World(LINE, seed=1, hidden_seed=0, opens_at_ns=OPENS_NS)
    made.begin(OPENS_NS)
    while True:
        made.advance(made.now_ns + 10**9)
        view = made.film_view()
        if view is not None and view.encoder_um > 8_000_000:
            return made


def camera_of(world: World, folder: Path) -> FilmCamera:
    return FilmCamera(world, next(row for row in LINE.cameras if row.kind == "film"), folder, FilmPlace())


def pass_strips(world: World, camera: FilmCamera, count: int, *, render: bool) -> list[Stretch]:
    found = []
    for _ in range(count):
        world.advance(world.now_ns + STRIP_NS)
        found += camera.pass_film(render=render)
    return found


def header_of(path: Path) -> StripHeader:
    header, _ = read_frame(path)
    assert isinstance(header, StripHeader)
    return header


def test_a_full_spool_loses_frames_and_the_next_one_counts_their_lines(world: World, tmp_path: Path) -> None:
    camera = camera_of(world, tmp_path)
    while not camera.lost_strips_count:
        pass_strips(world, camera, 1, render=True)
    pass_strips(world, camera, 3, render=True)
    lost = camera.lost_strips_count
    frames = waiting(tmp_path)
    before = header_of(frames[-1])
    frames[0].unlink()
    while len(waiting(tmp_path)) < len(frames):
        pass_strips(world, camera, 1, render=True)
    after = header_of(waiting(tmp_path)[-1])
    assert after.missed_lines_count == 256 * lost
    assert after.strip == before.strip + 1 + lost, "a hole in the numbers is film nobody looked at"
    assert after.encoder_um == before.encoder_um + (1 + lost) * STRIP_UM


def test_film_without_pictures_comes_in_stretches_that_join(world: World, tmp_path: Path) -> None:
    camera = camera_of(world, tmp_path)
    stretches = pass_strips(world, camera, 4 * DRAWN_STRIPS, render=False)
    assert len(stretches) >= 3
    assert stretches[0].start_um == 0
    for first, second in pairwise(stretches):
        assert second.start_um == first.end_um
        assert second.first_strip == first.first_strip + first.strips_count
        assert second.at_ns > first.at_ns
    assert not waiting(tmp_path)


def test_rendering_begins_where_drawing_ended(world: World, tmp_path: Path) -> None:
    camera = camera_of(world, tmp_path)
    drawn = pass_strips(world, camera, DRAWN_STRIPS + 10, render=False)
    drawn += pass_strips(world, camera, 3, render=True)
    first = header_of(waiting(tmp_path)[0])
    assert first.encoder_um - 8_000_000 == drawn[-1].end_um
    assert first.strip == drawn[-1].first_strip + drawn[-1].strips_count


def test_dropped_lines_are_counted_and_move_what_follows(world: World, tmp_path: Path) -> None:
    camera = camera_of(world, tmp_path)
    pass_strips(world, camera, 2, render=True)
    dropping = CameraChange(field="dropped_lines_per_strip", to=20.0)
    world.inject(Scenario(name="drop", title="the camera drops lines", camera=(dropping,)))
    pass_strips(world, camera, 6, render=True)
    headers = [header_of(path) for path in waiting(tmp_path)]
    missed = sum(header.missed_lines_count for header in headers)
    assert missed > 20
    travelled_um = headers[-1].encoder_um - headers[0].encoder_um
    assert travelled_um == (len(headers) - 1) * STRIP_UM + missed * 20


def test_a_drawn_stretch_is_reported_as_drawn_and_by_whose_curves(world: World, tmp_path: Path) -> None:
    camera = camera_of(world, tmp_path)
    inspection = DrawnInspection(world, PUBLISHED, None)
    events = [
        event
        for stretch in pass_strips(world, camera, 20 * DRAWN_STRIPS, render=False)
        for event in inspection.film(world, stretch)
    ]
    assert events
    assert {event.method for event in events} == {"drawn"}
    assert {event.model.name for event in events} == {"published-curve"}
    assert len({event.id for event in events}) == len(events)

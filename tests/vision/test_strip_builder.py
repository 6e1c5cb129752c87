from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from line.errors import ConfigError, FrameError
from line.film_sources import CameraFile
from line.model import Camera, load_line
from vision.strip_builder import Built, StripBuilder
from vision.web_travel import Block, CameraPlace

WIDTH, LINES, PIXEL_UM = 64, 16, 20.0
AT_UM = 8_000_000
SECOND = 1_000_000_000
START_NS = 1_800_000_000 * SECOND


def camera_row(**changes: object) -> Camera:
    row = load_line().camera("fins-1")
    return msgspec.structs.replace(row, width_px=WIDTH, strip_lines=LINES, line_rate_hz=833.0, **changes)


def pattern(first_line: int, count: int) -> NDArray[np.uint8]:
    """Web lines whose grey says which line they are, BF, DF, TX in turn: shape (3 * count, width)."""
    lines = np.arange(first_line, first_line + count)
    turns = np.stack([lines % 64, lines % 64 + 64, lines % 64 + 128], axis=1).astype(np.uint8)
    return np.repeat(turns.reshape(-1, 1), WIDTH, axis=1)


class Web:
    """Film under a camera with an encoder of 5 µm a count, 8 web lines a block, ten blocks a second."""

    def __init__(self, *, encoder: bool = True, roll: str = "FR-1", bits: int = 32, first_count: int = 0) -> None:
        self.file = CameraFile(
            camera="X",
            encoder="ChunkEncoderValue" if encoder else "",
            um_per_count=5.0,
            encoder_bits=bits,
            roll=roll,
            channel_order=("BF", "DF", "TX"),
        )
        self.bits, self.first_count = bits, first_count
        self.builder = StripBuilder(camera_row(), self.file, CameraPlace())
        self.line = 0
        self.lost = 0
        self.now_ns = START_NS

    def lose(self, blocks: int) -> None:
        self.line += 8 * blocks
        self.lost += blocks
        self.now_ns += blocks * SECOND // 10

    def block(self) -> Block:
        self.now_ns += SECOND // 10
        count = (self.first_count + 4 * self.line) % (1 << self.bits) if self.file.encoder else None
        block = Block(lines=pattern(self.line, 8), count=count, lost_blocks_count=self.lost, arrived_ns=self.now_ns)
        self.line, self.lost = self.line + 8, 0
        return block

    def strips(self, blocks: int) -> list[Built]:
        return [built for _ in range(blocks) for built in self.builder.add(self.block())]


def md_um(built: Built) -> int:
    return built.header.encoder_um - AT_UM


def assert_at_its_place(built: Built) -> None:
    """Every line of a strip shows the film that its header says is there."""
    first = round(md_um(built) / PIXEL_UM)
    lines = np.arange(first, first + built.header.lines)
    for plane, level in zip(built.planes, (0, 64, 128), strict=True):
        assert (plane == (lines % 64 + level)[:, None]).all()


def test_lines_become_strips_with_their_channels_apart() -> None:
    strips = Web().strips(6)
    assert [built.header.strip for built in strips] == [0, 1, 2]
    assert [md_um(built) for built in strips] == [0, 320, 640]
    assert {built.header.channels for built in strips} == {("BF", "DF", "TX")}
    for built in strips:
        assert_at_its_place(built)
        assert built.planes.shape == (3, LINES, WIDTH)
        assert built.header.missed_lines_count == 0


def test_the_order_of_the_strobes_is_that_of_the_file() -> None:
    file = CameraFile(camera="X", roll="FR-1", channel_order=("TX", "BF", "DF"))
    builder = StripBuilder(camera_row(), file, CameraPlace())
    lines = np.repeat(np.tile(np.array([30, 10, 20], np.uint8), LINES)[:, None], WIDTH, axis=1)
    (built,) = builder.add(Block(lines=lines, count=None, lost_blocks_count=0, arrived_ns=START_NS))
    assert [int(plane[0, 0]) for plane in built.planes] == [10, 20, 30]
    assert built.header.channels == ("BF", "DF", "TX")


def test_an_order_that_lacks_a_channel_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"channel_order: is BF, BF, TX; fins-1 has BF, DF, TX"):
        StripBuilder(camera_row(), CameraFile(camera="X", channel_order=("BF", "BF", "TX")), CameraPlace())


def test_a_block_that_is_no_whole_turn_of_the_strobes_says_what_to_set() -> None:
    block = Block(lines=np.zeros((8, WIDTH), np.uint8), count=None, lost_blocks_count=0, arrived_ns=START_NS)
    with pytest.raises(FrameError, match="multiple of 3 lines"):
        list(Web(encoder=False).builder.add(block))


@pytest.mark.parametrize("encoder", [True, False])
def test_lost_blocks_leave_a_hole_and_are_counted(encoder: bool) -> None:
    web = Web(encoder=encoder)
    before = web.strips(3)
    web.lose(5)
    after = web.strips(4)
    strips = before + after
    # The strip that was half full ends before the hole; the next begins behind it and says what is missing.
    assert [built.header.lines for built in strips] == [16, 8, 16, 16]
    assert [round(md_um(built) / PIXEL_UM) for built in strips] == [0, 16, 64, 80]
    assert [built.header.missed_lines_count for built in strips] == [0, 0, 40, 0]
    assert [built.header.strip for built in strips] == [0, 1, 4, 5]
    assert web.builder.missed_lines_count == 40
    for built in strips:
        assert_at_its_place(built)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12)), min_size=1, max_size=8), st.booleans())
def test_whatever_is_lost_film_and_holes_add_up(runs: list[tuple[int, int]], encoder: bool) -> None:
    web = Web(encoder=encoder, bits=16, first_count=65_000)
    strips: list[Built] = []
    for blocks, lost in runs:
        strips += web.strips(blocks)
        web.lose(lost)
    place = 0
    for built in strips:
        assert_at_its_place(built)
        missing = round(md_um(built) / PIXEL_UM) - place
        assert built.header.missed_lines_count == missing
        place = round(md_um(built) / PIXEL_UM) + built.header.lines
    numbers = [built.header.strip for built in strips]
    assert numbers == sorted(set(numbers))


def test_a_strip_that_found_no_room_is_missing_before_the_next() -> None:
    web = Web()
    strips = []
    for _ in range(6):
        for built in web.builder.add(web.block()):
            strips.append(built)
            if built.header.strip == 1:
                web.builder.dropped(built)
    assert [built.header.missed_lines_count for built in strips] == [0, 0, 16]
    assert [md_um(built) for built in strips] == [0, 320, 640]


def test_counter_that_overflows_is_no_hole() -> None:
    web = Web(bits=16, first_count=65_536 - 40)
    strips = web.strips(8)
    assert [md_um(built) for built in strips] == [0, 320, 640, 960]


def test_rounding_of_an_encoder_is_no_hole_and_does_not_add_up() -> None:
    file = CameraFile(camera="X", encoder="E", um_per_count=33.0, roll="FR-1")
    builder = StripBuilder(camera_row(), file, CameraPlace())
    strips = []
    for number in range(400):
        count = int(number * 8 * PIXEL_UM / 33.0)
        block = Block(lines=pattern(8 * number, 8), count=count, lost_blocks_count=0, arrived_ns=START_NS + number)
        strips += list(builder.add(block))
    assert [md_um(built) for built in strips] == [320 * number for number in range(200)]
    assert builder.missed_lines_count == 0


def test_film_that_runs_back_is_not_seen_twice() -> None:
    web = Web()
    strips = web.strips(4)
    web.line -= 12
    strips += web.strips(4)
    assert [md_um(built) for built in strips] == [0, 320, 640]
    for built in strips:
        assert_at_its_place(built)


def test_without_a_known_roll_nothing_is_made_and_the_lines_are_counted() -> None:
    web = Web(roll="")
    assert web.strips(5) == []
    assert web.builder.unnamed_lines_count == 40


def test_a_roll_begins_when_its_zero_reaches_the_camera() -> None:
    """The PLC says that coating of a roll began; its film is in view 8 m of web later."""
    web = Web()
    web.builder = StripBuilder(camera_row(position_um=480), web.file, CameraPlace())
    strips = web.strips(4)
    web.builder.web.roll_started("FR-2", web.now_ns, web.now_ns)
    strips += web.strips(6)
    assert [(built.header.roll, built.header.strip, built.header.lines) for built in strips] == [
        ("FR-1", 0, 16), ("FR-1", 1, 16), ("FR-1", 2, 16), ("FR-1", 3, 8), ("FR-2", 0, 16),
    ]  # fmt: skip
    assert strips[4].header.encoder_um == 480
    web.builder.web.roll_started("FR-2", web.now_ns + SECOND, web.now_ns)
    assert [built.header.roll for built in web.strips(2)] == ["FR-2"]


def test_what_passes_behind_the_end_of_a_roll_belongs_to_none() -> None:
    web = Web()
    strips = web.strips(2)
    web.builder.web.roll_ended("FR-1", 2 * 320)
    strips += web.strips(6)
    assert [md_um(built) for built in strips] == [0, 320]
    assert web.builder.unnamed_lines_count == 32


def test_a_zero_is_found_by_time_between_two_blocks() -> None:
    web = Web()
    web.strips(10)
    web.builder.web.roll_started("FR-2", web.now_ns - SECOND // 4, web.now_ns)
    (place,) = [row for row in next(iter(web.strips(2))).place.rolls if row.roll == "FR-2"]
    zero = next(row for row in web.builder.web._rolls if row.roll == "FR-1").zero_um
    # Ten blocks of 160 µm, a quarter of a second ago at 1,600 µm/s.
    assert place.zero_um - zero == pytest.approx(AT_UM + 1600 - 400, abs=2)


def test_after_a_restart_the_encoder_says_how_much_film_went_by() -> None:
    web = Web()
    last = web.strips(8)[-1]
    place = msgspec.json.decode(msgspec.json.encode(last.place), type=CameraPlace)
    web.lose(20)
    web.builder = StripBuilder(camera_row(), web.file, place)
    strips = web.strips(2)
    assert [round(md_um(built) / PIXEL_UM) for built in strips] == [64 + 160]
    assert strips[0].header.missed_lines_count == 160
    assert strips[0].header.encoder_uncertainty_um == 0
    assert_at_its_place(strips[0])


def test_without_a_counter_that_goes_on_film_is_guessed_by_the_speed_before_and_said_to_be_doubtful() -> None:
    web = Web(encoder=False)
    before = web.strips(20)
    web.builder.web.resumed()
    web.now_ns += 10 * SECOND
    after = web.strips(2)
    # 1,600 µm/s for ten seconds.
    hole_um = md_um(after[0]) - md_um(before[-1]) - 320
    assert hole_um == pytest.approx(16_000, abs=40)
    assert after[0].header.missed_lines_count == round(hole_um / PIXEL_UM)
    assert after[0].header.encoder_uncertainty_um >= 0.5 * hole_um
    assert before[-1].header.encoder_uncertainty_um < 100


def test_what_was_certain_before_a_guess_stays_certain() -> None:
    """The strip that was half full when the camera vanished ends before the hole and knows where it lies."""
    web = Web(encoder=False)
    before = web.strips(21)
    web.builder.web.resumed()
    web.now_ns += 10 * SECOND
    half = web.strips(1)[0]
    assert half.header.lines == 8
    assert half.header.encoder_uncertainty_um == pytest.approx(before[-1].header.encoder_uncertainty_um, abs=2)
    assert half.place.doubt_um < 100


def test_an_encoder_that_began_again_does_not_close_the_hole() -> None:
    web = Web(first_count=4_000_000)
    web.strips(20)
    web.builder.web.resumed()
    web.now_ns += 10 * SECOND
    web.first_count, end = 0, web.line * PIXEL_UM
    web.line = 0
    after = web.strips(2)
    assert md_um(after[0]) - end == pytest.approx(16_000, abs=40)
    assert after[0].header.missed_lines_count > 700


def test_a_roll_that_begins_while_the_web_stands_begins_where_it_stands() -> None:
    """A camera with a line trigger sends nothing then; the speed before says nothing of where the web is."""
    web = Web()
    web.strips(10)
    stands_um = web.builder.web.end_um
    web.now_ns += 30 * SECOND
    web.builder.web.roll_started("FR-2", web.now_ns - SECOND, web.now_ns)
    zero_um = web.builder.web._rolls[-1].zero_um
    assert zero_um == pytest.approx(stands_um, abs=160)


def test_a_roll_whose_time_is_far_from_ours_begins_now(caplog: pytest.LogCaptureFixture) -> None:
    web = Web()
    web.strips(10)
    web.builder.web.roll_started("FR-2", web.now_ns - 3_600 * SECOND, web.now_ns)
    assert web.builder.web._rolls[-1].zero_um == round(web.builder.web.end_um)
    assert "synchronise the clocks" in caplog.text

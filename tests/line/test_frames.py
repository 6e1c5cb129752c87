from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from line.errors import FrameError
from line.frames import CornerHeader, SpoolWriter, StripHeader, read_frame, waiting


def header(strip: int = 0, width_px: int = 40) -> StripHeader:
    return StripHeader(
        camera="fins-1", roll="FR-1", strip=strip, encoder_um=8_000_000, lines=16, width_px=width_px, pixel_um=20.0,
        channels=("BF", "DF", "TX"), at_ns=1, wall_ns=2, simulated=True,
    )  # fmt: skip


def planes(width_px: int = 40) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 16, width_px), dtype=np.uint8)


def test_a_frame_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    assert writer.write(header(), planes())
    [path] = waiting(tmp_path / "spool")
    found, pixels = read_frame(path)
    assert found == header()
    assert np.array_equal(pixels, planes())


def test_frames_are_read_in_the_order_written_also_after_a_restart(tmp_path: Path) -> None:
    for start in (0, 5):
        writer = SpoolWriter(tmp_path)
        for strip in range(start, start + 5):
            writer.write(header(strip), planes())
    strips = [head.strip for head, _ in map(read_frame, waiting(tmp_path)) if isinstance(head, StripHeader)]
    assert strips == list(range(10))


def test_a_full_spool_refuses_instead_of_growing(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, limit_count=3)
    assert [writer.write(header(strip), planes()) for strip in range(5)] == [True, True, True, False, False]
    waiting(tmp_path)[0].unlink()
    assert writer.write(header(5), planes())


def test_planes_that_are_not_as_the_header_says_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"\(3, 16, 41\)"):
        SpoolWriter(tmp_path).write(header(width_px=40), planes(width_px=41))


@pytest.mark.parametrize("size", [0, 3, 8, 100, 1000])
def test_a_truncated_frame_is_refused_by_name(tmp_path: Path, size: int) -> None:
    SpoolWriter(tmp_path).write(header(), planes())
    [path] = waiting(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FrameError, match=path.name):
        read_frame(path)


def test_a_header_that_claims_more_pixels_than_the_file_has_is_refused(tmp_path: Path) -> None:
    SpoolWriter(tmp_path).write(header(), planes())
    [path] = waiting(tmp_path)
    whole = path.read_bytes()
    length = int.from_bytes(whole[4:8], "little")
    lying = msgspec.json.encode(msgspec.structs.replace(header(), lines=10**9))
    path.write_bytes(whole[:4] + len(lying).to_bytes(4, "little") + lying + whole[8 + length :])
    with pytest.raises(FrameError, match="truncated"):
        read_frame(path)


def test_corner_frames_have_a_plane_a_camera(tmp_path: Path) -> None:
    head = CornerHeader(
        station="S12", stack="ST-1", layer=2, kind="cathode", height_px=8, width_px=10, pixel_um=8.0,
        cameras=("sins-1", "sins-2", "sins-3", "sins-4"), at_ns=1, wall_ns=1,
    )  # fmt: skip
    SpoolWriter(tmp_path).write(head, np.zeros((4, 8, 10), np.uint8))
    found, pixels = read_frame(waiting(tmp_path)[0])
    assert found == head
    assert pixels.shape == (4, 8, 10)


def test_a_spool_that_does_not_exist_yet_has_no_frames(tmp_path: Path) -> None:
    assert waiting(tmp_path / "nowhere") == ()

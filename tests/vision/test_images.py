"""Picture files of every kind that a line or a user may hand over."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from line.errors import FrameError
from vision.images import Image, image_paths, iter_images, read_image


def ramp() -> NDArray[np.uint8]:
    """40 rows of 60 columns, hardly two alike."""
    return (np.arange(40 * 60).reshape(40, 60) % 251).astype(np.uint8)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pgm"])
def test_lossless_grey_of_8_bit_is_read_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    cv2.imwrite(str(path), ramp())
    image = read_image(path)
    assert image.grey.dtype == np.uint8
    np.testing.assert_array_equal(image.grey, ramp())
    assert image.info.notes == ()
    assert (image.info.width_px, image.info.height_px) == (60, 40)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_keep_the_size(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    cv2.imwrite(str(path), np.full((40, 60), 90, np.uint8))
    image = read_image(path)
    assert image.grey.shape == (40, 60)
    assert abs(float(image.grey.mean()) - 90) < 2


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_stays_16_bit_and_is_scaled_by_its_type_never_by_its_values(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"xray{suffix}"
    dark = np.full((40, 60), 257, np.uint16)
    dark[0, 0] = 514
    cv2.imwrite(str(path), dark)
    image = read_image(path)
    assert image.grey.dtype == np.uint16
    np.testing.assert_array_equal(image.grey, dark)
    grey, info = image.grey8()
    assert (int(grey[0, 0]), int(grey[5, 5])) == (2, 1)
    assert any("257" in note for note in info.notes)


def test_full_16_bit_range_becomes_full_8_bit_range(tmp_path: Path) -> None:
    path = tmp_path / "xray.png"
    values = np.zeros((2000, 16), np.uint16)
    values[1500:] = 65535
    cv2.imwrite(str(path), values)
    grey, _ = read_image(path).grey8()
    assert (int(grey[0, 0]), int(grey[1999, 0])) == (0, 255)


def test_colour_becomes_grey_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((40, 60, 3), (255, 0, 0), np.uint8))
    image = read_image(path)
    assert image.grey.shape == (40, 60)
    assert int(image.grey[0, 0]) == 29
    assert "0.114 B" in image.info.notes[0]


def test_transparency_is_dropped_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "screen.png"
    cv2.imwrite(str(path), np.full((40, 60, 4), (90, 90, 90, 10), np.uint8))
    image = read_image(path)
    assert int(image.grey[3, 3]) == 90
    assert "transparency dropped" in image.info.notes


def test_a_rotation_tag_does_not_turn_the_sensor(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    _, plain = cv2.imencode(".jpg", ramp())
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = plain.tobytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    assert read_image(path).grey.shape == (40, 60)


def test_the_info_holds_the_digest_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    cv2.imwrite(str(path), ramp())
    assert read_image(path).info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_picture_of_20000_by_20000_is_read(tmp_path: Path) -> None:
    path = tmp_path / "web.pgm"
    header = b"P5 20000 20000 255\n"
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 20_000 * 20_000)
        file.seek(-1, 2)
        file.write(b"\x07")
    grey = read_image(path).grey
    assert grey.shape == (20_000, 20_000)
    assert (int(grey[0, 0]), int(grey[-1, -1])) == (0, 7)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".pgm", ".webp"])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"film{suffix}"
    noise = np.random.default_rng(3).integers(0, 256, (80, 120), dtype=np.uint8)
    cv2.imwrite(str(path), noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(FrameError, match=r"film.*(ends early|damaged).*again"):
        read_image(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.touch()
    with pytest.raises(FrameError, match=r"film\.png: empty file \(0 bytes\)"):
        read_image(path)


def test_a_text_file_with_a_picture_suffix_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture at all")
    with pytest.raises(FrameError, match=r"notes\.png: not a picture .*give a PNG"):
        read_image(path)


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="a folder, not a picture"):
        read_image(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")


def test_a_small_file_that_claims_a_huge_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    )
    with pytest.raises(FrameError, match=r"200000x200000 px \(40 gigapixel\), at most 1 gigapixel"):
        read_image(path)


def test_damaged_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    noise = np.random.default_rng(3).integers(0, 256, (80, 120), dtype=np.uint8)
    cv2.imwrite(str(path), noise)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    path.write_bytes(data)
    with pytest.raises(FrameError, match=r"film\.png"):
        read_image(path)


def test_floating_point_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.tif"
    cv2.imwrite(str(path), np.zeros((40, 60), np.float32))
    with pytest.raises(FrameError, match="samples are float32, 8 or 16 bit unsigned are read"):
        read_image(path)


def test_folders_are_expanded_sorted_and_other_files_passed_over(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.PNG", "a/9.jpg", "c.tif", ".hidden/4.png", "a/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in image_paths([tmp_path])]
    assert found == ["a/9.jpg", "b/1.PNG", "b/2.png", "c.tif"]


def test_a_bad_file_does_not_stop_the_rest(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), ramp())
    (tmp_path / "b.png").write_text("broken")
    cv2.imwrite(str(tmp_path / "c.png"), ramp())
    outcome = list(iter_images([tmp_path, tmp_path / "absent"]))
    assert [path.name for path, _ in outcome] == ["a.png", "b.png", "c.png", "absent"]
    assert [isinstance(image, Image) for _, image in outcome] == [True, False, True, False]


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    [(path, error)] = iter_images([tmp_path])
    assert path == tmp_path
    assert isinstance(error, FrameError)
    assert "no picture in this folder" in str(error)

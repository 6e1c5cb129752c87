"""A folder of recorded film that is played again: frames, or pictures a channel. Nothing in it is changed or removed.

Pictures are named `ROLL_STRIP_CHANNEL.png`, or a table `strips.csv` or `strips.json` beside them says which are which.
It has a row a strip: `roll`, `strip`, a column a channel with the picture's name, and where they are known `encoder_um`
(web travel at the first line since the roll's zero was under the die lip), `at_ns` and `missed_lines`. Film that is
missing between two strips is counted as missed lines.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace

from line.errors import FrameError
from line.frames import SUFFIX, StripHeader, waiting
from line.ids import PLAIN_IS, is_plain
from line.model import Camera
from vision.images import SUFFIXES, read_image
from vision.sources import Taken, taken

log = logging.getLogger(__name__)

TABLES = ("strips.csv", "strips.json")
_NAME = re.compile(r"(?P<roll>.+)_(?P<strip>\d{1,9})_(?P<channel>[A-Za-z]+)")
_GLOB = re.compile(r"[*?\[]")
_TABLE_BYTES = 64_000_000
_MOST = {"strip": 999_999_999, "encoder_um": 10**12, "at_ns": 2**63 - 1, "missed_lines": 10**9}
"""Of a table's numbers: a thousand kilometres of web; beyond it they are a mistake and fit no message."""
_BEHIND_S = 1.0
"""That is made up for when inspection was slow for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pictures:
    """Pictures of one strip."""

    roll: str
    strip: int
    channels: dict[str, Path]
    place: str
    """For messages: where this was said."""
    encoder_um: int | None = None
    at_ns: int | None = None
    missed_lines_count: int = 0


class FolderSource:
    """Strips of one camera from a folder, each once, in order.

    Args:
        camera: row of the line model; what is played counts as its own.
        place: a folder, or a pattern of folders or files as `recordings/*/`.
        speed: 1 plays as fast as the film passed, by the camera's line rate; 0 as fast as strips are inspected.

    Raises:
        FrameError: there is nothing to play, or a table cannot be read; names file, line, column and value.
    """

    def __init__(self, camera: Camera, place: str, *, speed: float = 1.0) -> None:
        self._camera = camera
        self._speed = speed
        self._frames = _frames(camera, _paths(place))
        self._next: Taken | None = None
        self._before: StripHeader | None = None
        self._due_s = 0.0
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether all was played."""
        return self._ended

    def take(self) -> Taken | None:
        """The next strip once it is due; None before, and after the last."""
        now_s = time.monotonic()
        if self._ended or now_s < self._due_s:
            return None
        frame = next(self._frames, None)
        if frame is None:
            self._ended = True
            return None
        if not isinstance(frame.header, StripHeader):
            return frame
        header = replace(self._placed(frame.header), camera=self._camera.id, wall_ns=time.time_ns())
        self._before = header
        if self._speed and self._camera.line_rate_hz:
            since_s = max(self._due_s or now_s, now_s - _BEHIND_S)
            self._due_s = since_s + header.lines / self._camera.line_rate_hz / self._speed
        return Taken(name=frame.name, path=frame.path, header=header, planes=frame.planes, error=frame.error)

    def done(self, frame: Taken) -> None:
        """Nothing: what was recorded stays."""

    def refuse(self, frame: Taken) -> None:
        """Nothing: what was recorded stays."""

    def _placed(self, header: StripHeader) -> StripHeader:
        """With the lines that are missing between the strip before and this one."""
        before = self._before
        if before is None or before.roll != header.roll:
            return header
        end_um = before.encoder_um + round(before.lines * before.pixel_um)
        hole = round((header.encoder_um - end_um) / header.pixel_um)
        return replace(header, missed_lines_count=max(header.missed_lines_count, hole, 0))


def _paths(place: str) -> list[Path]:
    """Folders and files that a place means.

    Raises:
        FrameError: none.
    """
    if not _GLOB.search(place):
        paths = [Path(place)]
    else:
        parts = Path(place).parts
        first = next(number for number, part in enumerate(parts) if _GLOB.search(part))
        paths = sorted(Path(*parts[:first]).glob(str(Path(*parts[first:]))))
    found = [path for path in paths if path.exists()]
    if not found:
        raise FrameError(f"{place}: nothing there to play: check the path in vision.sources")
    return found


def _frames(camera: Camera, paths: Sequence[Path]) -> Iterator[Taken]:
    """All strips of all paths; what is wrong with a folder as a whole is said at once."""
    frames: list[Path] = []
    pictures: list[_Pictures] = []
    loose: list[Path] = []
    for path in paths:
        if path.is_file():
            (frames if path.suffix == SUFFIX else loose).append(path)
            continue
        table = next((path / name for name in TABLES if (path / name).is_file()), None)
        inside = waiting(path)
        if table:
            pictures += _of_table(table, camera)
        elif inside:
            frames += inside
        else:
            loose += sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    pictures += _of_names(loose, camera)
    if not frames and not pictures:
        raise FrameError(f"{paths[0]}: no {SUFFIX} file and no picture to play: check the path in vision.sources")
    return _played(camera, frames, pictures)


def _played(camera: Camera, frames: Sequence[Path], pictures: Sequence[_Pictures]) -> Iterator[Taken]:
    for path in frames:
        yield taken(path)
    usual = camera.strip_lines or 0
    for row in pictures:
        frame = _strip(camera, row, usual)
        if frame.header is not None and isinstance(frame.header, StripHeader):
            usual = usual or frame.header.lines
        yield frame


def _strip(camera: Camera, row: _Pictures, usual_lines: int) -> Taken:
    """A strip from its pictures; without planes when one is missing or differs in size."""
    name = f"{row.place}: roll {row.roll} strip {row.strip}"
    planes = []
    error = ""
    written_ns = 0
    for channel in camera.channels:
        path = row.channels.get(channel)
        if path is None:
            error = error or f"{name}: no picture of channel {channel}"
            continue
        try:
            planes.append(read_image(path).grey8()[0])
            written_ns = max(written_ns, path.stat().st_mtime_ns)
        except (FrameError, OSError) as problem:
            error = error or str(problem)
    shapes = {plane.shape for plane in planes}
    if len(shapes) > 1:
        error = error or f"{name}: pictures of {' and '.join(f'{w} x {h} px' for h, w in sorted(shapes))}"
    lines, width = next(iter(shapes), (usual_lines or 1, camera.width_px))
    travel_um = (camera.position_um or 0) + round(row.strip * (usual_lines or lines) * camera.pixel_um)
    header = StripHeader(
        camera=camera.id,
        roll=row.roll,
        strip=row.strip,
        encoder_um=travel_um if row.encoder_um is None else row.encoder_um,
        lines=lines,
        width_px=width,
        pixel_um=camera.pixel_um,
        channels=camera.channels,
        at_ns=row.at_ns or written_ns or time.time_ns(),
        wall_ns=0,
        missed_lines_count=row.missed_lines_count,
    )
    return Taken(name=name, header=header, planes=None if error else np.stack(planes), error=error)


def _of_names(files: Sequence[Path], camera: Camera) -> list[_Pictures]:
    """Strips from names of pictures.

    Raises:
        FrameError: a name says no roll, strip and channel.
    """
    strips: dict[tuple[Path, str, int], dict[str, Path]] = {}
    one = camera.channels[0] if len(camera.channels) == 1 else ""
    for file in files:
        match = _NAME.fullmatch(file.stem) or (one and _NAME.fullmatch(f"{file.stem}_{one}"))
        if not match or match["channel"].upper() not in camera.channels:
            raise FrameError(
                f"{file}: the name is not ROLL_STRIP_CHANNEL with a channel of {', '.join(camera.channels)}: "
                f"rename it, or put a table {TABLES[0]} beside it"
            )
        if not is_plain(match["roll"]):
            raise FrameError(f"{file}: roll {match['roll']!r}: rename it: {PLAIN_IS}")
        strips.setdefault((file.parent, match["roll"], int(match["strip"])), {})[match["channel"].upper()] = file
    return [
        _Pictures(roll=roll, strip=strip, channels=channels, place=str(folder))
        for (folder, roll, strip), channels in sorted(strips.items())
    ]


def _of_table(table: Path, camera: Camera) -> list[_Pictures]:
    """Strips from a table beside the pictures.

    Raises:
        FrameError: the table cannot be read, or a row lacks what it needs; names file, line, column and value.
    """
    found = []
    for number, row in _rows(table):
        where = f"{table}: row {number}"
        for name in ("roll", "strip"):
            if not row.get(name):
                raise FrameError(f"{where}: column {name}: empty: every strip has a roll and a number")
        if not is_plain(row["roll"]):
            raise FrameError(f"{where}: column roll: {row['roll']!r}: write {PLAIN_IS}")
        encoder, at = _whole(where, row, "encoder_um"), _whole(where, row, "at_ns")
        strip = _whole(where, row, "strip")
        assert strip is not None
        channels = {name: table.parent / row[name] for name in camera.channels if row.get(name)}
        outside = [path for path in channels.values() if not path.resolve().is_relative_to(table.parent.resolve())]
        if outside:
            raise FrameError(f"{where}: picture {outside[0]} lies outside the table's folder: give names below it")
        missed = _whole(where, row, "missed_lines") or 0
        found.append(
            _Pictures(
                roll=row["roll"], strip=strip, channels=channels, place=str(table), encoder_um=encoder, at_ns=at,
                missed_lines_count=missed,
            )
        )  # fmt: skip
    return found


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a table as text by column, with their numbers from 1."""
    try:
        if table.stat().st_size > _TABLE_BYTES:
            raise FrameError(f"{table}: more than {_TABLE_BYTES / 1e6:.0f} MB: split the folder")
        data = table.read_bytes()
        if table.suffix == ".json":
            rows = msgspec.json.decode(data, type=list[dict[str, str | int]])
            yield from ((number, {key: str(cell) for key, cell in row.items()}) for number, row in enumerate(rows, 1))
        else:
            reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
            for number, cells in enumerate(reader, 1):
                yield number, {key.strip(): (cell or "").strip() for key, cell in cells.items() if isinstance(key, str)}
    except OSError as error:
        raise FrameError(f"{table}: cannot be read ({error.strerror}): check the rights") from error
    except (csv.Error, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise FrameError(f"{table}: is no table of strips: {error}: write rows of text in UTF-8") from error


def _whole(where: str, row: dict[str, str], name: str) -> int | None:
    text = row.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"-?\d{1,19}", text):
        raise FrameError(f"{where}: column {name}: {text!r}: not a whole number")
    number = int(text)
    if number > _MOST[name] or number < (-_MOST[name] if name == "encoder_um" else 0):
        raise FrameError(f"{where}: column {name}: {text!r}: out of all measure, at most {_MOST[name]}")
    return number

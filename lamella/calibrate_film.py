"""Pictures of a calibration target, from a spool or from files, and what they say of a camera, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lamella.target_frames import Exposure, TargetFrames
from line.calibration import Target
from line.errors import ConfigError, FrameError, NotFoundError, UnusableFrameError
from line.frames import StripHeader
from line.model import Camera
from vision.calibration import lp_per_mm
from vision.images import read_image
from vision.target import LEAST_MARKS, grid, seen_target

MOST_LINES = 2_048
"""Of the target that are looked at, 41 mm at 20 µm: a picture of 92 MB."""
_POLL_S = 0.05
_CLOCK_DOUBT_NS = 60_000_000_000
"""That a file server's clock may be ahead of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPicture:
    """The target as the camera took it, without gaps."""

    planes: NDArray[np.uint8]
    """Shape (channels, lines, width)."""
    channels: tuple[str, ...]
    at_ns: int
    """When it was taken: of the last frame, or of the newest file."""
    simulated: bool
    frames_count: int
    dated_by: Path | None = None
    """The file whose time counts, since pictures say none of their own; None for frames."""


def picture_of_frames(frames: TargetFrames) -> TargetPicture:
    """The longest run of strips without a gap, at most `MOST_LINES` lines of it.

    Raises:
        NotFoundError: there is no strip of this camera.
        FrameError: a strip has other channels or another width than the camera's row.
        LinkError: the camera does not stream.
    """
    best: list[Exposure] = []
    run: list[Exposure] = []
    for header, planes in frames.some(MOST_LINES):
        if run and not _follows(run[-1][0], header):
            run = []
        run.append((header, planes))
        while len(run) > 1 and _lines(run) > MOST_LINES:
            run.pop(0)
        if _lines(run) >= _lines(best):
            best = list(run)
    if not best:
        raise NotFoundError(f"{frames.where}: no readable frame of this camera among those there")
    last = best[-1][0]
    return TargetPicture(
        planes=np.concatenate([planes for _, planes in best], axis=1),
        channels=last.channels,
        at_ns=last.at_ns,
        simulated=any(header.simulated for header, _ in best),
        frames_count=len(best),
    )


def picture_of_files(files: Sequence[str], camera: Camera) -> TargetPicture:
    """The target from one picture file a channel, `BF=target-bf.png`, taken when the newest of them was written.

    Raises:
        ConfigError: not `CHANNEL=FILE`, or a channel that the camera does not have or that was named before.
        FrameError: a channel is missing or has another size than the others, or a file is of the future.
    """
    given: dict[str, str] = {}
    for pair in files:
        channel, _, file = pair.partition("=")
        if not channel or not file:
            example = f"{camera.channels[0]}=target.png"
            raise ConfigError(f"{pair!r} is no CHANNEL=FILE; write for example {example}", key="--image")
        if channel not in camera.channels:
            raise ConfigError(f"{pair!r}: {camera.id} has {', '.join(camera.channels)}", key="--image")
        if channel in given:
            raise ConfigError(f"{pair!r}: {channel} has {given[channel]} already; one file a channel", key="--image")
        given[channel] = file
    if set(given) != set(camera.channels):
        wanted = " ".join(f"--image {channel}=FILE" for channel in camera.channels)
        raise FrameError(f"pictures given for {', '.join(given)}; {camera.id} needs {wanted}")
    planes = [read_image(Path(given[channel])).grey8()[0] for channel in camera.channels]
    sizes = {plane.shape for plane in planes}
    if len(sizes) > 1:
        raise FrameError(f"pictures of {', '.join(f'{w} x {h} px' for h, w in sorted(sizes))}: all must be of one size")
    if planes[0].shape[1] != camera.width_px:
        raise FrameError(
            f"{given[camera.channels[0]]}: {planes[0].shape[1]} px wide; {camera.id} has {camera.width_px} px: is it "
            "of this camera, and its row right?"
        )
    newest = max((Path(file) for file in given.values()), key=_written_ns)
    at_ns = _written_ns(newest)
    if at_ns > time.time_ns() + _CLOCK_DOUBT_NS:
        written = datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%MZ")
        raise FrameError(
            f"{newest}: was written {written} by its file time, which is to come: set this machine's clock, or the "
            "file's time to when the picture was taken (touch -d)"
        )
    return TargetPicture(
        planes=np.stack(planes),
        channels=camera.channels,
        at_ns=at_ns,
        simulated=False,
        frames_count=1,
        dated_by=newest,
    )


def followed(
    frames: TargetFrames, camera: Camera, target: Target, *, count: int, quiet_s: float = 10.0
) -> Iterator[str]:
    """A line for each new strip, the newest where several came: what turning the lens or a lamp just did.

    Args:
        frames: of the camera.
        camera: its row.
        target: in view.
        count: strips to show; 0 goes on until interrupted.
        quiet_s: without a new strip for so long, a line says so.
    """
    shown, since = 0, time.monotonic()
    while not count or shown < count:
        try:
            exposure = frames.newest()
        except FrameError as error:
            yield str(error)
            continue
        if exposure is not None:
            header, planes = exposure
            yield f"strip {header.strip:>6}  {_live(planes, header.channels, camera, target)}"
            shown, since = shown + 1, time.monotonic()
            continue
        if time.monotonic() - since > quiet_s:
            since = time.monotonic()
            yield f"no new strip from {frames.where} for {quiet_s:.0f} s: {frames.silence}"
        time.sleep(_POLL_S)


def _live(planes: NDArray[np.uint8], channels: Sequence[str], camera: Camera, target: Target) -> str:
    parts = []
    for number, (name, plane) in enumerate(zip(channels, planes, strict=True)):
        try:
            view = seen_target(np.asarray(plane), target, camera.pixel_um)
        except UnusableFrameError as error:
            parts.append(f"{name} {error}")
            continue
        edges = [(square.column, edge) for square in view.squares for edge in square.across]
        by_place: dict[float, list[float]] = {}
        for column, edge in edges:
            by_place.setdefault(column, []).append(edge.mtf50_cpp)
        values = [sum(found) / len(found) for _, found in sorted(by_place.items())]
        focus = "MTF50 " + " ".join(f"{value:.3f}" for value in values) + " c/px" if values else "no slanted edge"
        if values:
            focus += f" ({lp_per_mm(min(values), camera.pixel_um):.1f} lp/mm at worst)"
        scale = ""
        if number == 0 and len(view.marks) >= LEAST_MARKS:
            try:
                lattice = grid(view.marks, target.pitch_um / camera.pixel_um)
                pixel_um = target.pitch_um / float(np.hypot(lattice.across[0], lattice.along[0]))
                scale = f" {pixel_um:.3f} um/px"
            except UnusableFrameError:
                pass
        parts.append(f"{name} {focus}{scale} white {view.white:.0f}")
    return " | ".join(parts)


def _written_ns(file: Path) -> int:
    return file.stat().st_mtime_ns


def _lines(run: Sequence[Exposure]) -> int:
    return sum(header.lines for header, _ in run)


def _follows(before: StripHeader, header: StripHeader) -> bool:
    return header.roll == before.roll and header.strip == before.strip + 1 and header.missed_lines_count == 0

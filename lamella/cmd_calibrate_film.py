"""`lamella calibrate film`."""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lamella.exit_codes import GATE_NOT_MET, OK
from lamella.number_arguments import above_zero
from line.config import Site
from line.errors import ConfigError, FrameError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lamella.calibrate_film import TargetPicture
    from line.calibration import Calibration, Target
    from line.events import Measure
    from line.model import Camera
    from vision.calibration import Limits

_HOUR_NS = 3_600_000_000_000


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--camera", help="of the line model (default: its first film camera)")
    parser.add_argument("--frames", type=Path, metavar="DIR",
                        help="spool or recording with the target in it (default: the camera's own source)")  # fmt: skip
    parser.add_argument("--image", action="append", default=[], metavar="CHANNEL=FILE",
                        help="picture of the target instead of frames, one a channel: BF=target.png; it counts as "
                             "taken when the newest file was written")  # fmt: skip
    parser.add_argument("--reference-tile", action="store_true",
                        help="quick look each shift: renews the calibration until the next")  # fmt: skip
    parser.add_argument("--follow", action="store_true",
                        help="one line a frame while somebody turns the lens; writes nothing")  # fmt: skip
    parser.add_argument("--count", type=int, default=0, help="with --follow: stop after so many frames")
    parser.add_argument("--discard", action="store_true",
                        help="with --follow: remove the frames, so that the spool does not fill")  # fmt: skip
    parser.add_argument("--person", default=None, help="who calibrates (default: the user's name)")
    parser.add_argument(
        "--shift-hours", type=above_zero, default=8.0, help="until the reference tile is due (default: 8)"
    )
    parser.add_argument(
        "--valid-days", type=above_zero, default=90.0, help="until the target is due again (default: 90)"
    )
    parser.add_argument("--pitch-um", type=above_zero, default=2_000.0, help="of the target's marks (default: 2000)")
    parser.add_argument("--mark-um", type=above_zero, default=600.0, help="diameter of a mark (default: 600)")
    parser.add_argument(
        "--square-um", type=above_zero, default=4_000.0, help="side of a slanted square (default: 4000)"
    )
    parser.add_argument("--least-mtf50", type=above_zero, default=0.18, metavar="CPP",
                        help="focus that must be reached, cycles a pixel (default: 0.18)")  # fmt: skip
    parser.add_argument("--white", action="append", default=[], metavar="CHANNEL=GREY",
                        help="what the target's white shall read, 10 %% around it pass: BF=180")  # fmt: skip
    parser.add_argument("--draw-target", type=Path, metavar="FILE",
                        help="write the target for this camera as SVG, to be plotted on film")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON document")


def work(options: argparse.Namespace, site: Site) -> int:
    """Exit status 5 when the camera is not within its limits; what was found is written either way."""
    from lamella.calibrate_film import followed, picture_of_files, picture_of_frames
    from lamella.target_frames import target_frames
    from line.calibration import Target
    from line.model import load_line

    line = load_line(site.line.model)
    cameras = line.film_cameras()
    if options.camera is None and not cameras:
        raise NotFoundError(f"line {line.name} has no fitted film camera: give --camera")
    known = {row.id: row for row in line.cameras if row.kind == "film"}
    if options.camera and options.camera not in known:
        raise NotFoundError(f"{options.camera!r} is no film camera of {line.name}; it has {', '.join(known)}")
    camera = known[options.camera] if options.camera else cameras[0]
    limits = _limits(options, camera)
    target = Target(pitch_um=options.pitch_um, mark_um=options.mark_um, square_um=options.square_um)
    if options.draw_target:
        from lamella.target_svg import target_svg

        try:
            options.draw_target.write_text(target_svg(target, camera.width_px * camera.pixel_um), encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{options.draw_target}: cannot be written: {error.strerror}", key="--draw-target"
            ) from error
        print(f"{options.draw_target}: marks every {target.pitch_um:g} um; have the plotted pitch certified")
        return OK
    if options.image:
        picture = picture_of_files(options.image, camera)
        print(f"lamella: pictures say no time of their own: these count as taken when {picture.dated_by} was written, "
              f"{_moment(picture.at_ns)}; copy pictures with their times (cp -p)", file=sys.stderr)  # fmt: skip
    else:
        with target_frames(site, camera, options.frames, discard=options.discard) as frames:
            if options.follow:
                for text in followed(frames, camera, target, count=options.count):
                    print(text, flush=True)
                return OK
            picture = picture_of_frames(frames)
    _require_newer(site, camera, picture)
    if options.reference_tile:
        calibration = _renewed(options, site, camera, picture, limits)
    else:
        calibration = _calibrated(options, camera, picture, target, limits)
    return _kept(options, site, calibration)


def _require_newer(site: Site, camera: Camera, picture: TargetPicture) -> None:
    """Refuse pictures that are older than what the camera was last found to be: they would take it out of force.

    Raises:
        FrameError: says of when both are.
    """
    from line.calibration import read_calibration

    try:
        known = read_calibration(site.state_dir, camera.id)
    except ConfigError:
        return  # Damaged, or another camera's: calibrating again is what mends it.
    if known is None or known.simulated != picture.simulated:
        return
    latest_ns = (known.tile or known).at_ns
    if picture.at_ns < latest_ns:
        raise FrameError(f"{camera.id}: these pictures were taken {_moment(picture.at_ns)}, before the latest look at "
                         f"the camera of {_moment(latest_ns)}: take new ones")  # fmt: skip


def _calibrated(
    options: argparse.Namespace, camera: Camera, picture: TargetPicture, target: Target, limits: Limits
) -> Calibration:
    from line.calibration import Calibration
    from vision.calibration import frames_digest, target_figures

    figures = target_figures(
        picture.planes, picture.channels, target, nominal_um=camera.pixel_um, limits=limits
    )  # fmt: skip
    digest = frames_digest(picture.planes)
    when = _moment(picture.at_ns, "%Y%m%dT%H%M%SZ")
    return Calibration(
        calibration=f"{camera.id}-{when}-{digest[:6]}",
        camera=camera.id,
        station=camera.station,
        person=_person(options),
        at_ns=picture.at_ns,
        valid_until_ns=picture.at_ns + round(options.shift_hours * _HOUR_NS),
        recalibrate_by_ns=picture.at_ns + round(options.valid_days * 24 * _HOUR_NS),
        pixel_um=round(figures.pixel_um, 5),
        line_um=round(figures.line_um, 5),
        nominal_um=camera.pixel_um,
        target=target,
        frames_count=picture.frames_count,
        frames_digest=digest,
        simulated=picture.simulated,
        measures=figures.measures,
    )


def _renewed(
    options: argparse.Namespace, site: Site, camera: Camera, picture: TargetPicture, limits: Limits
) -> Calibration:
    import msgspec

    from line.calibration import TileCheck, holds, in_words, known_frames, read_calibration
    from vision.calibration import frames_digest, tile_measures

    calibration = read_calibration(site.state_dir, camera.id)
    if calibration is None:
        raise NotFoundError(f"{camera.id} was never calibrated: run lamella calibrate film with the target first")
    failed = [row for row in calibration.measures if not holds(row)]
    if failed:
        raise NotFoundError(
            f"{camera.id} has no calibration that passed ({in_words(failed[0])}): calibrate it with the target first"
        )
    if calibration.simulated != picture.simulated:
        raise ConfigError(f"{camera.id} was calibrated with {'simulated' if calibration.simulated else 'real'} frames, "
                          f"these are {'simulated' if picture.simulated else 'real'}")  # fmt: skip
    digest = frames_digest(picture.planes)
    if digest in known_frames(site.state_dir, camera.id):
        raise FrameError(f"{camera.id}: these very frames were used before, pixel by pixel, and say nothing of the "
                         "camera now: take new ones of the reference tile")  # fmt: skip
    tile = TileCheck(
        at_ns=picture.at_ns,
        valid_until_ns=picture.at_ns + round(options.shift_hours * _HOUR_NS),
        person=_person(options),
        frames_digest=digest,
        measures=tile_measures(picture.planes, picture.channels, calibration, limits=limits),
    )
    return msgspec.structs.replace(calibration, tile=tile)


def _kept(options: argparse.Namespace, site: Site, calibration: Calibration) -> int:
    import msgspec

    from line.calibration import in_words, write_calibration

    file = write_calibration(site.state_dir, calibration)
    failures = calibration.failures
    # Frames that were kept, or a target that is due again: what has passed may be over before it is written.
    now_ns = calibration.tile.at_ns if options.reference_tile and calibration.tile else calibration.at_ns
    now_ns = now_ns if calibration.simulated else max(now_ns, time.time_ns())
    over = not failures and calibration.in_force_until_ns < now_ns
    rows = calibration.tile.measures if options.reference_tile and calibration.tile else calibration.measures
    if options.json:
        said = {
            "passed": not failures and not over,
            "expired": over,
            "failures": [in_words(row) for row in failures],
            "file": str(file),
            "calibration": calibration,
        }
        print(msgspec.json.format(msgspec.json.encode(said), indent=1).decode())
    else:
        for text in _table(rows, calibration):
            print(text)
        stands = "not in force" if failures else f"{'expired' if over else 'in force until'} {_when(calibration)}"
        print(f"{calibration.calibration} in {file}: {stands}")
    if over:
        due = "target" if calibration.in_force_until_ns == calibration.recalibrate_by_ns else "reference tile"
        text = f"{calibration.camera} passes, but expired {_when(calibration)}: the {due} is due, with new frames"
        print(f"lamella: {text}", file=sys.stderr)
    for channel in dict.fromkeys(row.channel for row in failures):
        first, *others = (row for row in failures if row.channel == channel)
        more = f", and {len(others)} more" if others else ""
        print(f"lamella: {calibration.camera} does not pass: {in_words(first)}{more}", file=sys.stderr)
    return GATE_NOT_MET if failures or over else OK


def _when(calibration: Calibration) -> str:
    return _moment(calibration.in_force_until_ns)


def _moment(at_ns: int, form: str = "%Y-%m-%d %H:%MZ") -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime(form)


def _table(rows: Iterable[Measure], calibration: Calibration) -> Iterable[str]:
    from line.calibration import holds
    from vision.calibration import CYCLES, lp_per_mm

    for row in rows:
        bounds = " .. ".join("" if limit is None else f"{limit:.4g}" for limit in (row.low, row.high))
        uncertainty = "" if row.uncertainty is None else f"± {row.uncertainty:.2g}"
        unit = "" if row.unit == "1" else row.unit.replace("{", "").replace("}", "")
        also = f"{lp_per_mm(row.value, calibration.pixel_um):.1f} lp/mm" if row.unit == CYCLES else ""
        mark = "ok  " if holds(row) else "FAIL"
        name = f"{row.quantity} {row.channel}".strip()
        yield f"{mark} {name:22} {row.value:>10.5g} {uncertainty:10} {unit:9} [{bounds}] {also}".rstrip()


def _limits(options: argparse.Namespace, camera: Camera) -> Limits:
    from vision.calibration import Limits

    white = dict(Limits().white_grey)
    for pair in options.white:
        channel, _, grey = pair.partition("=")
        if channel not in camera.channels:
            raise ConfigError(f"{pair!r}: {camera.id} has {', '.join(camera.channels)}", key="--white")
        try:
            white[channel] = float(grey)
        except ValueError:
            raise ConfigError(f"{pair!r} is no CHANNEL=GREY; write for example BF=180", key="--white") from None
    return Limits(least_mtf50_cpp=options.least_mtf50, white_grey=tuple(white.items()))


def _person(options: argparse.Namespace) -> str:
    if options.person:
        return str(options.person)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"

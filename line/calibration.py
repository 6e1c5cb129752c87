"""What a film camera was found to be when it was commissioned, and how long that counts.

One file a camera, `calibrations/<camera>.json` in the state folder, written whole or not at all. A full calibration
with the target counts for months; on top of it a look at the reference tile is due every shift. What is expired or did
not pass is not in force, and film seen by such a camera is uninspected.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from line.errors import ConfigError
from line.events import Measure

Standing = Literal["ok", "fault", "expired", "uncalibrated"]

_FOLDER = "calibrations"
_BEFORE = "before"


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calibration target or reference tile: dark round marks on a square grid, slanted squares, white between."""

    pitch_um: Annotated[float, Meta(gt=0)] = 2_000.0
    """From mark to mark."""
    pitch_uncertainty_fraction: Annotated[float, Meta(ge=0, lt=0.01)] = 2e-5
    """Expanded, k=2, of the pitch: from the target's certificate."""
    mark_um: Annotated[float, Meta(gt=0)] = 600.0
    """Diameter of a mark."""
    square_um: Annotated[float, Meta(gt=0)] = 4_000.0
    """Side of a slanted square, which stands in the place of three by three marks."""


class TileCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A look at the reference tile, compared with the full calibration before it."""

    at_ns: int
    valid_until_ns: int
    person: str
    frames_digest: str
    measures: tuple[Measure, ...]


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a camera was found to be."""

    schema_version: Annotated[int, Meta(ge=1, le=1)] = 1
    calibration: str
    """Identifier, in every result that rests on it."""
    camera: str
    station: str
    person: str
    at_ns: int
    """Plant time of the last frame of the target."""
    valid_until_ns: int
    """Without a look at the reference tile."""
    recalibrate_by_ns: int
    """Whatever the reference tile says."""
    pixel_um: float
    """Side of a pixel across the web, on the film."""
    line_um: float
    """Travel of the web from line to line."""
    nominal_um: float
    """What the line model says of both."""
    target: Target
    frames_count: int
    frames_digest: str
    """sha256 over all pixels, in hexadecimal."""
    simulated: bool
    """Of simulated frames; never counts for real ones."""
    measures: tuple[Measure, ...]
    tile: TileCheck | None = None
    """The latest look at the reference tile."""

    @property
    def in_force_until_ns(self) -> int:
        """When the next look at the reference tile, or the next full calibration, is due."""
        shift_ns = self.tile.valid_until_ns if self.tile else self.valid_until_ns
        return min(shift_ns, self.recalibrate_by_ns)

    @property
    def failures(self) -> tuple[Measure, ...]:
        """Measures outside their limits: the reference tile's, if the calibration itself passed."""
        own = tuple(row for row in self.measures if not holds(row))
        return own or tuple(row for row in (self.tile.measures if self.tile else ()) if not holds(row))

    def value(self, quantity: str, channel: str = "") -> float | None:
        """Value of one measure; None where it was not measured."""
        return next((row.value for row in self.measures if (row.quantity, row.channel) == (quantity, channel)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """Whether a camera may inspect at a moment, and with which figures."""

    standing: Standing
    reason: str
    calibration: str = ""
    """Empty: the figures of the line model count."""
    valid_until_ns: int = 0
    pixel_um: float
    line_um: float


def holds(row: Measure) -> bool:
    """Whether a measure lies within its limits; one that is no number does not."""
    return (row.low is None or row.value >= row.low) and (row.high is None or row.value <= row.high)


def in_force(calibration: Calibration | None, *, at_ns: int, simulated: bool, nominal_um: float) -> InForce:
    """Whether film exposed at a moment was seen by a calibrated camera.

    Args:
        calibration: of the camera; None where there is none.
        at_ns: plant time.
        simulated: whether the film is simulated; that needs no calibration, and one of it counts for nothing else.
        nominal_um: pixel of the camera by the line model, used where no calibration counts.
    """
    if calibration is None or calibration.simulated != simulated:
        if simulated:
            reason = "simulated frames need no calibration: the figures of the line model count"
            return InForce(standing="ok", reason=reason, pixel_um=nominal_um, line_um=nominal_um)
        why = "not calibrated" if calibration is None else "calibrated with simulated frames only"
        reason = f"{why}: film is uninspected until lamella calibrate film has passed"
        return InForce(standing="uncalibrated", reason=reason, pixel_um=nominal_um, line_um=nominal_um)
    until_ns = calibration.in_force_until_ns
    standing, reason = _judged(calibration, at_ns)
    return InForce(
        standing=standing,
        reason=reason,
        calibration=calibration.calibration,
        valid_until_ns=until_ns,
        pixel_um=calibration.pixel_um,
        line_um=calibration.line_um,
    )


def read_calibration(state_dir: Path, camera: str) -> Calibration | None:
    """The calibration of a camera; None where it was never calibrated.

    Raises:
        ConfigError: the file is damaged or of another camera.
    """
    file = calibration_file(state_dir, camera)
    calibration = _read(file, f"calibrate {camera} again")
    if calibration and calibration.camera != camera:
        raise ConfigError(f"is of {calibration.camera}, not of {camera}: calibrate {camera} again", file=file)
    return calibration


def known_frames(state_dir: Path, camera: str) -> frozenset[str]:
    """Digests of all frames that a camera was ever calibrated with, or its reference tile looked at.

    Raises:
        ConfigError: a file is damaged.
    """
    files = sorted(calibration_file(state_dir, camera).parent.rglob(f"{camera}*.json"))
    kept = [_read(file, "move it out of this folder") for file in files]
    looks = [look for row in kept if row and row.camera == camera for look in (row, row.tile) if look]
    return frozenset(look.frames_digest for look in looks)


def write_calibration(state_dir: Path, calibration: Calibration) -> Path:
    """Put a calibration in force, whole or not at all; a copy of it and of each look at the tile stays in `before/`."""
    file = calibration_file(state_dir, calibration.camera)
    look = f"-{calibration.tile.frames_digest[:12]}" if calibration.tile else ""
    kept = file.parent / _BEFORE / f"{calibration.calibration}{look}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(calibration), indent=2)
    for path in (kept, file):
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(text)
        temporary.replace(path)
    return file


def calibration_file(state_dir: Path, camera: str) -> Path:
    """Where the calibration of a camera is kept."""
    return state_dir / _FOLDER / f"{camera}.json"


def in_words(row: Measure) -> str:
    """A measure with its limits, for people: `white BF is 182 DN; allowed: at least 190 and at most 210`."""
    unit = "" if row.unit == "1" else f" {row.unit.replace('{', '').replace('}', '')}"
    bounds = [
        f"{word} {limit:.4g}" for word, limit in (("at least", row.low), ("at most", row.high)) if limit is not None
    ]
    name = f"{row.quantity} {row.channel}".strip()
    return f"{name} is {row.value:.4g}{unit}" + (f"; allowed: {' and '.join(bounds)}" if bounds else "")


def _read(file: Path, next_step: str) -> Calibration | None:
    """None where there is no such file."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Calibration)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"cannot be read ({error}): {next_step}", file=file) from error


def _judged(calibration: Calibration, at_ns: int) -> tuple[Standing, str]:
    if at_ns < calibration.at_ns:
        return "uncalibrated", f"film is older than the calibration of {_when(calibration.at_ns)}"
    failures = calibration.failures
    if failures:
        more = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
        return "fault", f"calibration did not pass: {in_words(failures[0])}{more}"
    if at_ns > calibration.recalibrate_by_ns:
        return "expired", f"calibration expired {_when(calibration.recalibrate_by_ns)}: calibrate with the target again"
    until_ns = calibration.in_force_until_ns
    if at_ns > until_ns:
        return "expired", f"look at the reference tile was due {_when(until_ns)}"
    return "ok", f"calibrated by {calibration.person} {_when(calibration.at_ns)}, in force until {_when(until_ns)}"


def _when(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%MZ")

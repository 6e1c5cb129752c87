"""How film looked to a camera when it was first seen after a calibration: what ageing lamps are measured against.

Kept in a file, so that a service that starts anew under an aged lamp does not take that for how it should be.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct


class FilmReference(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Film of one recipe, as one camera saw it under one calibration. All by channel."""

    camera: str
    calibration: str
    """Empty: the figures of the line model counted."""
    recipe: str
    simulated: bool
    at_ns: int
    """Plant time."""
    level: dict[str, float]
    """Grey of film."""
    fineness: dict[str, float]
    """Share of the film's texture that is finer than two pixels, without noise."""
    roughness: dict[str, float]
    """Standard deviation from pixel to pixel over the grey of film."""

    def fits(self, calibration: str, recipe: str, *, simulated: bool) -> bool:
        """Whether film under this calibration and recipe may be compared with it."""
        return (self.calibration, self.recipe, self.simulated) == (calibration, recipe, simulated)


def read_reference(state_dir: Path, camera: str) -> FilmReference | None:
    """The reference of a camera; None where there is none, or none that can be read: then it is taken anew."""
    try:
        return msgspec.json.decode(_file(state_dir, camera).read_bytes(), type=FilmReference)
    except (OSError, msgspec.DecodeError):
        return None


def write_reference(state_dir: Path, reference: FilmReference) -> None:
    """Keep a reference, whole or not at all."""
    file = _file(state_dir, reference.camera)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(reference), indent=2))
    temporary.replace(file)


def _file(state_dir: Path, camera: str) -> Path:
    return state_dir / "calibrations" / f"{camera}-film.json"

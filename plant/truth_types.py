"""What is really so on the simulated line, passed between its world and its renderer. Never leaves `plant`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """A real defect in a coated film, in as-coated coordinates of its roll."""

    flaw: str
    """Identifier, unique on the line."""
    roll: str
    kind: str
    """Class code of the line model, or the code of a defect that no table names."""
    md_um: int
    """Centre."""
    cd_um: int
    """Centre, from the operator-side edge of the coating."""
    size_um: float
    """By the class's own measure."""
    length_um: float
    """Extent along the web."""
    width_um: float
    """Extent across the web."""
    depth_fraction: float
    """Of the film's thickness, 1 is through."""
    angle_rad: float
    """Of the long axis against the web direction."""
    born_ns: int
    """When the film under it passed the place where it was made."""
    killer: bool
    """Whether it fails the cell it comes to lie in."""
    cause: str = ""
    """What made it likely: a driver, a fault, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedSheet:
    """Where a sheet really lies on its stack, relative to the machine's fiducials."""

    stack: str
    layer: int
    kind: str
    offset_x_um: float
    """Of the centre; x along the 142 mm side of a laminate, which is across the web."""
    offset_y_um: float
    rotation_urad: float
    size_x_um: float
    """Of the coated part as really cut: the cathode without its frame, the laminate as a whole."""
    size_y_um: float
    frame_x_um: float
    """Outline including the insulating frame; equal to the size for a laminate."""
    frame_y_um: float
    slipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraHealth:
    """How the film camera sees at this moment, 1 and 0 being as new."""

    lamp_bf: float = 1.0
    lamp_df: float = 1.0
    lamp_tx: float = 1.0
    blur_px: float = 0.6
    noise_dn: float = 2.0
    wander_um: int = 0
    """Web edge offset against its nominal place."""
    dropped_lines_per_strip: float = 0.0

"""Where things stand in the OPC-UA address space of a line that follows our convention.

Objects / <enterprise> / <site> / <area> / <line> / <station> with below each station

    Tags/<tag>            AnalogItem, value in the tag's unit, EURange and EngineeringUnits
    Status/<name>         PackML (OPC 30050) status and counters
    Parts/Counter         UInt64: part records ever written by the station
    Parts/Ring            String[RING_SIZE]: record n as JSON (a `line.events` material event) at index n % RING_SIZE

and below the line `IsSimulated` (Boolean). Nodes have string identifiers that spell their path, so a client needs no
browsing. A part record is written before its counter moves; a reader that sees the counter move by more than the ring
holds knows how many records it has lost. A foreign PLC is connected by a tag map file instead.
"""

from __future__ import annotations

from typing import Literal

from line.model_rows import Identity

NAMESPACE_URI = "urn:lamella:line"
RING_SIZE = 512

STATUS_NAMES = (
    "StateCurrent", "UnitModeCurrent", "StopReason", "CurMachSpeed", "EquipmentBlocked", "EquipmentStarved",
    "ProdProcessedCount", "ProdDefectiveCount",
)  # fmt: skip
"""Status variables; states and modes are PackML words, never bare integers."""

Folder = Literal["Tags", "Status", "Parts"]


def line_path(place: Identity) -> str:
    """Identifier of the line's object."""
    return "/".join((place.enterprise, place.site, place.area, place.line))


def node_path(place: Identity, station: str, folder: Folder, name: str) -> str:
    """Identifier of a variable: `lamella/pilot/assb/line-1/S03/Tags/WebSpeed`."""
    return f"{line_path(place)}/{station}/{folder}/{name}"

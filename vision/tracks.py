"""Defects that reach from one strip into the next: one defect with a growing revision, not one per strip.

A line along the web goes on beyond film that nobody saw as well: an inspection that loses strips must not make hundreds
of defects of one streak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import hypot, pi, sqrt

from line.defect_rows import SizeMeasure
from vision.depth import Depth
from vision.verdict import Judgement

REACH_UM = 100
"""How far to the side a line may go on in the next strip: five pixels. Missing film no longer than that is no hole."""
HOLE_UM = 500_000
"""Film that was not inspected, beyond which a line at the same place is another one: five sheets, 1.5 s at 20 m/min.

Streaks and scratches begin 0.11 times on a square metre (line model), hence within the reach on so little film less
than once in 10,000 times; beyond more it is the patterns that say whether lines at one place belong together."""
_LENGTHWISE_ASPECT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A defect as seen in one strip, on the roll [µm]."""

    kind: str
    score: float
    md_start_um: int
    md_end_um: int
    cd_start_um: int
    cd_end_um: int
    size_um: float
    size_uncertainty_um: float
    position_uncertainty_um: float
    length_um: float
    width_um: float
    area_um2: float
    contrast: tuple[float | None, float | None, float | None]
    """Of BF, DF and TX; None for a channel that the camera does not have."""
    depth: Depth | None
    from_start: bool
    """It reaches the strip's first line."""
    to_end: bool
    """It reaches the strip's last line."""

    @property
    def lengthwise(self) -> bool:
        """Whether it lies along the web, or is as long as the strip: a spot that a hole cuts is neither."""
        length_um, width_um = self.md_end_um - self.md_start_um, self.cd_end_um - self.cd_start_um
        return (self.from_start and self.to_end) or length_um >= _LENGTHWISE_ASPECT * width_um


@dataclass(slots=True, kw_only=True)
class Track:
    """What is known of a defect after all its sightings."""

    defect: str
    sight: Sighting
    """All sightings as one."""
    revision: int = 1
    image: str = ""
    judgement: Judgement | None = None
    """The gravest so far for its class: film that was rejected stays so when more of the defect comes by."""
    here: list[Sighting] = field(default_factory=list)
    """Sightings in the present strip."""
    leaving: list[Sighting] = field(default_factory=list)
    """Sightings that reached the end of the latest strip that shows the defect."""
    anomaly_score: float | None = None
    """The highest of all sightings."""
    beyond_hole: bool = False
    """Film that was not inspected lies behind `leaving`."""
    scores: dict[str, float] = field(default_factory=dict)
    """Sum of the scores of each class, weighted by the film it was seen on."""


def begun(defect: str, sight: Sighting) -> Track:
    """The track of a defect seen for the first time."""
    length = max(1, sight.md_end_um - sight.md_start_um)
    return Track(defect=defect, sight=sight, here=[sight], scores={sight.kind: sight.score * length})


def continued(tracks: Sequence[Track], sight: Sighting) -> Track | None:
    """The defect that a sighting goes on with: one that left the strip before, or went into a hole, at its place."""
    if not sight.from_start:
        return None
    for track in tracks:
        if track.beyond_hole and not sight.lengthwise:
            continue
        for last in track.leaving:
            beside = max(sight.cd_start_um - last.cd_end_um, last.cd_start_um - sight.cd_end_um)
            if beside <= REACH_UM:
                return track
    return None


def going_on(tracks: Sequence[Track], *, over_capacity: bool = False) -> list[Track]:
    """The defects that leave a strip at its end, ready for the next strip.

    Args:
        tracks: are changed.
        over_capacity: not all that the strip shows was looked at, so that it is a hole to those it does not show.
    """
    for track in tracks:
        track.beyond_hole = over_capacity and not track.here
        if not track.beyond_hole:
            track.leaving = [sight for sight in track.here if sight.to_end]
        track.here = []
    return [track for track in tracks if track.leaving]


def within_reach(tracks: Sequence[Track], md_um: int, *, hole: bool) -> list[Track]:
    """The defects that may go on in a strip.

    Args:
        tracks: are changed.
        md_um: where the strip begins.
        hole: film before it was not inspected.
    """
    for track in tracks:
        track.beyond_hole |= hole
        if track.beyond_hole:
            track.leaving = [last for last in track.leaving if last.lengthwise and md_um - last.md_end_um <= HOLE_UM]
    return [track for track in tracks if track.leaving]


def joined(track: Track, sight: Sighting, measures: dict[str, SizeMeasure]) -> None:
    """Take another sighting into a track: its extent grows, its class is the one that more film speaks for.

    Args:
        track: is changed.
        sight: in the strip after the track's last, or another one in the same.
        measures: size measure of each class; one that is not in it is measured by diameter.
    """
    old, length = track.sight, max(1, sight.md_end_um - sight.md_start_um)
    track.scores[sight.kind] = track.scores.get(sight.kind, 0.0) + sight.score * length
    kind = max(track.scores, key=lambda name: (track.scores[name], name))
    total = sum(track.scores.values())
    before = max(1, old.md_end_um - old.md_start_um)
    md_start, md_end = min(old.md_start_um, sight.md_start_um), max(old.md_end_um, sight.md_end_um)
    measure = measures.get(kind, "diameter")
    # The end of a line is where it moved to; a blob is as wide as it was at its widest.
    moving = measure in {"width", "height"} and not track.here
    cd_start = sight.cd_start_um if moving else min(old.cd_start_um, sight.cd_start_um)
    cd_end = sight.cd_end_um if moving else max(old.cd_end_um, sight.cd_end_um)
    area = old.area_um2 + sight.area_um2
    doubt = max(old.size_uncertainty_um, sight.size_uncertainty_um)
    match measure:
        case "width" | "height":
            # The same width again and again: each sighting counts by the film it saw and by how well it saw it.
            one, two = before / old.size_uncertainty_um**2, length / sight.size_uncertainty_um**2
            size = (one * old.size_um + two * sight.size_um) / (one + two)
            doubt = min(old.size_uncertainty_um, sight.size_uncertainty_um)
            sides = (max(float(md_end - md_start), size), size)
        case "length":
            size = hypot(md_end - md_start, cd_end - cd_start)
            sides = (size, min(max(old.width_um, sight.width_um), size))
        case "diameter":
            size = max(sqrt(4 / pi * area), old.size_um, sight.size_um)
            length_um = max(float(md_end - md_start), float(cd_end - cd_start), size)
            sides = (length_um, size * size / length_um)
    area = sides[0] * sides[1] * (pi / 4 if measure == "diameter" else 1.0)
    weights = (before / (before + length), length / (before + length))
    track.sight = Sighting(
        kind=kind,
        score=min(1.0, track.scores[kind] / total * max(old.score, sight.score)),
        md_start_um=md_start,
        md_end_um=md_end,
        cd_start_um=cd_start,
        cd_end_um=cd_end,
        size_um=size,
        size_uncertainty_um=doubt,
        position_uncertainty_um=max(old.position_uncertainty_um, sight.position_uncertainty_um),
        length_um=sides[0],
        width_um=sides[1],
        area_um2=area,
        depth=_deeper(old.depth, sight.depth),
        contrast=(
            _mixed(old.contrast[0], sight.contrast[0], weights),
            _mixed(old.contrast[1], sight.contrast[1], weights),
            _mixed(old.contrast[2], sight.contrast[2], weights),
        ),
        from_start=old.from_start,
        to_end=sight.to_end,
    )
    track.here.append(sight)
    track.revision += 1


def _mixed(one: float | None, other: float | None, weights: tuple[float, float]) -> float | None:
    """The weighted mean; None for a channel that is not there."""
    return None if one is None or other is None else weights[0] * one + weights[1] * other


def _deeper(one: Depth | None, other: Depth | None) -> Depth | None:
    """The deeper of two: what is deep at one place is a deep defect."""
    if one is None or other is None:
        return one or other
    return one if one.fraction >= other.fraction else other

"""How well inspection did, against the sealed truth: recall by class, false alarms, error of position."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from line.events import FilmDefect, StripInspected
from plant.truth import FlawTruth

_TOLERANCE_UM = 1_500.0
"""From the edge of one to the edge of the other: encoder, distortion and a defect's ragged outline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """What became of the real flaws of one class on inspected film."""

    kind: str
    flaws_count: int
    found_count: int
    named_right_count: int

    @property
    def recall(self) -> float:
        """Share that was found, under whatever name; NaN where there was none."""
        return self.found_count / self.flaws_count if self.flaws_count else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionScore:
    """Detected defects against real flaws."""

    classes: tuple[ClassScore, ...]
    killers_count: int
    killers_found_count: int
    defects_count: int
    false_alarms_count: int
    inspected_m2: float
    position_error_um: tuple[float, float, float]
    """Median, 95th percentile and largest distance of centres, of flaws shorter than 10 mm; NaN without any."""

    @property
    def false_alarms_per_m2(self) -> float:
        """NaN where nothing was inspected."""
        return self.false_alarms_count / self.inspected_m2 if self.inspected_m2 else math.nan

    def of(self, kind: str) -> ClassScore:
        """The score of a class; an empty one where no such flaw lay on inspected film."""
        empty = ClassScore(kind=kind, flaws_count=0, found_count=0, named_right_count=0)
        return next((row for row in self.classes if row.kind == kind), empty)


def inspection_score(
    flaws: Iterable[FlawTruth], defects: Iterable[FilmDefect], strips: Iterable[StripInspected], *,
    least_um: float = 0.0, tolerance_um: float = _TOLERANCE_UM,
) -> InspectionScore:  # fmt: skip
    """Score detected defects against the flaws that lay on inspected film, roll by roll.

    A defect and a flaw belong together when their extents, each widened by half of the tolerance, overlap. Short ones
    are paired one to one, nearest first; a defect longer than 10 mm may stand for every flaw that it covers, as a
    streak does that the truth knows in pieces.

    Args:
        flaws: of the sealed truth; those made behind the camera are left out.
        defects: in any order; of several revisions the highest counts.
        strips: which film was inspected.
        least_um: real flaws smaller than this do not count as missed, and finding one is no false alarm.
    """
    newest: dict[str, FilmDefect] = {}
    for defect in defects:
        if defect.defect not in newest or defect.revision > newest[defect.defect].revision:
            newest[defect.defect] = defect
    inspected: dict[str, list[tuple[int, int]]] = defaultdict(list)
    area_m2 = 0.0
    for strip in strips:
        if strip.state == "inspected":
            inspected[strip.roll].append((strip.md_start_um, strip.md_end_um))
            area_m2 += (strip.md_end_um - strip.md_start_um) * (strip.cd_end_um - strip.cd_start_um) * 1e-12
    by_roll: dict[str, list[FlawTruth]] = defaultdict(list)
    looked_at: list[FlawTruth] = []
    for flaw in flaws:
        if flaw.cause not in {"lamination", "calendering", "cutting"}:
            # A streak whose middle nobody looked at may still be found at its ends.
            by_roll[flaw.roll].append(flaw)
            if any(low <= flaw.md_um < high for low, high in inspected.get(flaw.roll, ())):
                looked_at.append(flaw)
    found: dict[str, FilmDefect] = {}
    errors: list[float] = []
    alarms = 0
    for roll in {defect.roll for defect in newest.values()}:
        of_roll = [defect for defect in newest.values() if defect.roll == roll]
        pairs, loose = _paired(by_roll.get(roll, []), of_roll, tolerance_um)
        found |= {flaw.flaw: defect for flaw, defect, _ in pairs}
        errors += [away for flaw, _, away in pairs if flaw.length_um < 10_000 and flaw.size_um >= least_um]
        alarms += loose
    counted = [flaw for flaw in looked_at if flaw.size_um >= least_um]
    classes = []
    for kind in sorted({flaw.kind for flaw in counted}):
        rows = [flaw for flaw in counted if flaw.kind == kind]
        hits = [found[flaw.flaw] for flaw in rows if flaw.flaw in found]
        classes.append(
            ClassScore(
                kind=kind,
                flaws_count=len(rows),
                found_count=len(hits),
                named_right_count=sum(1 for defect in hits if defect.kind == kind),
            )
        )
    spread = np.percentile(errors, [50, 95, 100]).tolist() if errors else [math.nan] * 3
    return InspectionScore(
        classes=tuple(classes),
        killers_count=sum(1 for flaw in counted if flaw.killer),
        killers_found_count=sum(1 for flaw in counted if flaw.killer and flaw.flaw in found),
        defects_count=len(newest),
        false_alarms_count=alarms,
        inspected_m2=area_m2,
        position_error_um=(spread[0], spread[1], spread[2]),
    )


def _paired(
    flaws: Sequence[FlawTruth], defects: Sequence[FilmDefect], tolerance_um: float
) -> tuple[list[tuple[FlawTruth, FilmDefect, float]], int]:
    """Flaws with the defect that found them and the distance of centres; and how many defects found nothing."""
    candidates: list[tuple[float, int, int]] = []
    for i, flaw in enumerate(flaws):
        for j, defect in enumerate(defects):
            if _apart_um(flaw, defect) <= tolerance_um:
                md_um = (defect.md_start_um + defect.md_end_um) / 2 - flaw.md_um
                cd_um = (defect.cd_start_um + defect.cd_end_um) / 2 - flaw.cd_um
                candidates.append((math.hypot(md_um, cd_um), i, j))
    pairs: list[tuple[FlawTruth, FilmDefect, float]] = []
    taken: set[int] = set()
    used: set[int] = set()
    for away_um, i, j in sorted(candidates):
        long = defects[j].md_end_um - defects[j].md_start_um > 10_000
        if i in taken or (j in used and not long):
            continue
        taken.add(i)
        used.add(j)
        pairs.append((flaws[i], defects[j], away_um))
    # a second sighting of a flaw that was found is no false alarm
    used |= {j for _, i, j in candidates if i in taken}
    return pairs, len(defects) - len(used)


def _apart_um(flaw: FlawTruth, defect: FilmDefect) -> float:
    """Gap between the extents, the larger of along and across the web; 0 where they overlap."""
    along = max(
        defect.md_start_um - (flaw.md_um + flaw.length_um / 2), flaw.md_um - flaw.length_um / 2 - defect.md_end_um, 0.0
    )
    across = max(
        defect.cd_start_um - (flaw.cd_um + flaw.width_um / 2), flaw.cd_um - flaw.width_um / 2 - defect.cd_end_um, 0.0
    )
    return max(along, across)

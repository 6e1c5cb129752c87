"""Results as a film camera gives them: defects at places of choice, in strips that were looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from line.bundle import ModelRef
from line.events import FilmDefect, FilmPattern, StripInspected, Verdict
from vision.marks import Mark
from vision.patterns import PatternFinder

MODEL = ModelRef(name="film-candidates", version=1, digest="0" * 64)
STRIP_UM = 250_000
_numbers = count(1)


def defect(
    kind: str,
    md_um: int,
    cd_um: int,
    *,
    length_um: int = 100,
    roll: str = "FR-1",
    lane: int = 1,
    verdict: Verdict = "pass",
    name: str = "",
    revision: int = 1,
) -> FilmDefect:
    """A defect whose centre lies there; a new one unless it is named."""
    return FilmDefect(
        at_ns=1_800_000_000_000_000_000 + md_um,
        defect=name or f"d{next(_numbers)}",
        revision=revision,
        roll=roll,
        station="S05",
        camera="fins-1",
        lane=lane,
        kind=kind,
        score=0.9,
        md_start_um=md_um - length_um // 2,
        md_end_um=md_um + length_um // 2,
        cd_start_um=cd_um - 50,
        cd_end_um=cd_um + 50,
        size_um=100.0,
        size_uncertainty_um=10.0,
        position_uncertainty_um=50.0,
        area_um2=7_850.0,
        contrast_bf=0.1,
        contrast_df=0.5,
        contrast_tx=-0.3,
        severity="B",
        verdict=verdict,
        reason="",
        model=MODEL,
        method="pixels",
    )


def strip(start_um: int, end_um: int, *, roll: str = "FR-1", looked: bool = True) -> StripInspected:
    """A strip of the whole width."""
    return StripInspected(
        at_ns=1_800_000_000_000_000_000 + end_um,
        roll=roll,
        station="S05",
        camera="fins-1",
        strip=start_um // STRIP_UM,
        md_start_um=start_um,
        md_end_um=end_um,
        cd_start_um=0,
        cd_end_um=300_000,
        state="inspected" if looked else "unreadable",
        candidates_count=0,
        defects_count=0,
        model=MODEL,
        method="pixels",
    )


def passed(
    finder: PatternFinder, defects: Iterable[FilmDefect], *, length_um: int, roll: str = "FR-1", from_um: int = 0
) -> list[FilmPattern]:
    """What a finder says of a piece of a roll."""
    waiting = sorted(defects, key=lambda row: row.md_end_um)
    found: list[FilmPattern] = []
    for start in range(from_um, from_um + length_um, STRIP_UM):
        here = [row for row in waiting if row.md_end_um < start + STRIP_UM]
        waiting = waiting[len(here) :]
        found += finder.seen(strip(start, start + STRIP_UM, roll=roll), here)
    return found


def mark(md_um: float, cd_um: float = 150_000, *, length_um: float = 100, area_m2: float = 0.0) -> Mark:
    """A mark whose centre lies there."""
    half = length_um / 2
    return Mark(
        defect=f"m{next(_numbers)}",
        kind="AGG",
        roll="FR-1",
        md_start_um=round(md_um - half),
        md_end_um=round(md_um + half),
        cd_start_um=round(cd_um) - 50,
        cd_end_um=round(cd_um) + 50,
        md_um=round(md_um),
        cd_um=round(cd_um),
        lane=1,
        verdict="pass",
        area_m2=area_m2,
    )


def of_form(patterns: Sequence[FilmPattern], form: str) -> list[FilmPattern]:
    """Those of one form."""
    return [row for row in patterns if row.form == form]

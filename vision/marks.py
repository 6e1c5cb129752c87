"""What patterns are made of: defects as points of a roll, each with how much film was looked at before it."""

from __future__ import annotations

from dataclasses import dataclass

from line.events import FilmDefect, StripInspected, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A defect as a pattern sees it."""

    defect: str
    kind: str
    roll: str
    md_start_um: int
    md_end_um: int
    cd_start_um: int
    cd_end_um: int
    md_um: int
    """Centre; kept, since every defect is compared with many."""
    cd_um: int
    lane: int
    verdict: Verdict
    area_m2: float
    """Film inspected before it, counted from when the finder began."""

    @property
    def length_um(self) -> int:
        return self.md_end_um - self.md_start_um

    def apart_um(self, other: Mark) -> int:
        """Larger of the distances of the centres along and across the web."""
        return max(abs(self.md_um - other.md_um), abs(self.cd_um - other.cd_um))


def mark_of(event: FilmDefect, area_m2: float) -> Mark:
    """The mark that a defect makes."""
    return Mark(
        defect=event.defect,
        kind=event.kind,
        roll=event.roll,
        md_start_um=event.md_start_um,
        md_end_um=event.md_end_um,
        cd_start_um=event.cd_start_um,
        cd_end_um=event.cd_end_um,
        md_um=(event.md_start_um + event.md_end_um) // 2,
        cd_um=(event.cd_start_um + event.cd_end_um) // 2,
        lane=event.lane,
        verdict=event.verdict,
        area_m2=area_m2,
    )


def inspected_m2(strip: StripInspected) -> float:
    """Film that a strip was a look at; none when it was not inspected."""
    if strip.state != "inspected":
        return 0.0
    return (strip.md_end_um - strip.md_start_um) * 1e-6 * (strip.cd_end_um - strip.cd_start_um) * 1e-6

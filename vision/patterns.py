"""Defects that belong together: clusters, repeats of rollers, lines that stay, and classes that come too often.

A finder takes what a camera says, strip by strip, wherever that comes from: this process's own pictures, drawn
results, another maker's inspector. It is pure and its memory is bounded. Its messages grow by revision, so that a roll
has one message a pattern however long it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isclose
from statistics import median

from line.bundle import DetectionCurve
from line.events import FilmDefect, FilmPattern, StripInspected, Verdict
from line.model import Camera, LineModel
from vision.causes import usual_cause
from vision.gatherings import Cluster, GatheringWatch
from vision.lasting import LastingLines, Place
from vision.marks import Mark, inspected_m2, mark_of
from vision.pattern_events import PatternBook, Words
from vision.rate_memory import RateMemory
from vision.rates import FALSE_ALARMS_PER_M2, RateAlarm, RateWatch, usual_of, usual_rates_per_m2
from vision.repeats import Repeat, RepeatWatch
from vision.rollers import rollers_before
from vision.verdict import rules_version

_FOLDED_PER_STRIP = 4
_LENGTH_PER_FOLD_UM = 50_000
"""Defects of a class that are folded on a strip, and on each length of a longer one; more are no print of a roller."""
_ONE_PLACE_UM = 5_000
_ONE_PLACE_SHARE = 0.6


class PatternFinder:
    """Patterns in what one camera reports, roll after roll.

    Args:
        line: the line model.
        camera: a film camera's row.
        curves: measured detection curves of the model that looks; a class without one takes the line model's.
        false_alarms_per_m2: of rates and lasting lines, all classes together.
    """

    def __init__(
        self,
        line: LineModel,
        camera: Camera,
        *,
        curves: Mapping[str, DetectionCurve] | None = None,
        false_alarms_per_m2: float = FALSE_ALARMS_PER_M2,
    ) -> None:
        self._line = line
        self._camera = camera
        self._web = camera.web or "film"
        self._width_um = line.web(self._web).coat_width_um
        self._rows = {row.code: row for row in line.defects}
        self._rules = rules_version(line)
        usual = self._expected_per_m2 = usual_rates_per_m2(line, camera, curves)
        budget = false_alarms_per_m2 / len(usual)
        rollers = rollers_before(line, camera)
        self._rates = {
            kind: RateWatch(usual=usual_of(rate), budget_per_m2=budget, dispersion=line.defect_model.count_dispersion)
            for kind, rate in usual.items()
        }
        self._repeats = {kind: RepeatWatch(rollers, len(usual)) for kind in usual}
        self._lines = {
            row.code: LastingLines(row, usual[row.code], budget)
            for row in line.defects
            if row.size_measure == "width" and row.code in usual
        }
        roll_m2 = line.web(self._web).roll_length_um * 1e-6 * self._width_um * 1e-6
        self._gatherings = {kind: GatheringWatch(self._rows.get(kind), roll_m2) for kind in usual}
        self._book = PatternBook(camera)
        self._rate_from_um: dict[str, int] = {}
        self.roll = ""
        """That passes; set by `begin`."""
        self._area_m2 = 0.0

    def resume(self, memory: RateMemory) -> None:
        """Go on with a roll as a finder before this one began it; a class that is expected otherwise begins anew."""
        self._positions_anew(memory.roll)
        self._area_m2 = memory.area_m2
        for kind, known in memory.rates.items():
            own = self._rates.get(kind)
            expected = self._expected_per_m2.get(kind, 0.0)
            if own is not None and isclose(memory.expected_per_m2.get(kind, 0.0), expected, rel_tol=1e-6):
                self._rates[kind] = replace(known, budget_per_m2=own.budget_per_m2, dispersion=own.dispersion)

    def begin(self, strip: StripInspected) -> RateMemory:
        """Begin a roll with its first strip; what outlasts rolls, for `resume`.

        Positions begin anew; rates go on, and one that is up is told of the new roll as well.
        """
        self._positions_anew(strip.roll)
        return RateMemory(
            roll=strip.roll,
            strip=strip.id,
            area_m2=self._area_m2,
            expected_per_m2=self._expected_per_m2,
            rates=self._rates,
        )

    def seen(self, strip: StripInspected, defects: Sequence[FilmDefect]) -> list[FilmPattern]:
        """Patterns that are new or have grown with a strip.

        Args:
            strip: of this finder's camera.
            defects: reported with it; longer sightings of known ones too.
        """
        if strip.roll != self.roll:
            self.begin(strip)
        area_m2 = inspected_m2(strip)
        length_um = max(1, strip.md_end_um - strip.md_start_um)
        found: list[FilmPattern] = []
        folds: dict[str, int] = {}
        for event in sorted(defects, key=lambda row: row.md_end_um):
            share = min(1.0, max(0.0, (event.md_end_um - strip.md_start_um) / length_um))
            mark = mark_of(event, self._area_m2 + share * area_m2)
            if mark.kind not in self._rates:
                continue
            place = self._lines[mark.kind].came(mark) if mark.kind in self._lines else None
            if place is not None:
                found += self._lasting(strip, place, mark.kind)
                # Pieces of a line that lasts are no rate: it is one cause, and it is told.
                found += self._rate(strip, self._rates[mark.kind].without(place.holds), mark.kind)
            if event.revision > 1:
                self._repeats[mark.kind].grew(mark)
                continue
            cluster, alone = self._gatherings[mark.kind].came(mark, self._rates[mark.kind].usual.rate_per_m2)
            found += self._cluster(strip, cluster, mark.kind)
            if not alone:
                continue
            if area_m2 and place is None:
                found += self._rate(strip, self._rates[mark.kind].came(mark), mark.kind)
            folds[mark.kind] = folds.get(mark.kind, 0) + 1
            if folds[mark.kind] <= max(_FOLDED_PER_STRIP, length_um // _LENGTH_PER_FOLD_UM):
                found += self._repeat(strip, self._repeats[mark.kind].came(mark), mark.kind)
        self._area_m2 += area_m2
        for kind, watch in self._rates.items():
            found += self._rate(strip, watch.went_by(area_m2), kind)
        for kind, lines in self._lines.items():
            for place in lines.went_by(strip.md_end_um):
                found += self._lasting(strip, place, kind, over=True)
        for kind, repeats in self._repeats.items():
            for repeat in repeats.went_by(strip.md_end_um) if repeats.active else ():
                found += self._repeat(strip, repeat, kind)
        return found

    def _positions_anew(self, roll: str) -> None:
        self.roll = roll
        self._book.forget()
        for watches in (self._gatherings, self._repeats, self._lines):
            for watch in watches.values():
                watch.forget()
        self._rate_from_um = dict.fromkeys(self._rates, 0)

    def _cluster(self, strip: StripInspected, cluster: Cluster | None, kind: str) -> list[FilmPattern]:
        if cluster is None or not self._book.due("cluster", kind, cluster.first, cluster.count):
            return []
        marks = list(cluster.marks)
        lanes = [one.lane for one in marks if one.lane]
        verdict: Verdict = "reject" if lanes else "pass"
        where = f"lane {lanes[0]}" if lanes else "where no sheet is cut"
        near_by = f"{self._rows[kind].title} within {cluster.within_um / 1000:g} mm of one another, {where}"
        reason = f"{cluster.count} times {near_by}; {cluster.rule.text} (rules {self._rules})"
        return self._book.told(
            strip, "cluster", cluster.first, cluster.count,
            Words(kind=kind, marks=marks, count=cluster.count, p_value=cluster.p_value, verdict=verdict,
                  reason=reason, cause=usual_cause(self._line, kind)),
        )  # fmt: skip

    def _lasting(self, strip: StripInspected, place: Place, kind: str, *, over: bool = False) -> list[FilmPattern]:
        if over and not self._book.knows("rate", kind, place.first):
            return []
        if not over and not self._book.due("rate", kind, place.first, place.length_um):
            return []
        title, marks = self._rows[kind].title, list(place.marks.values())
        lane = marks[-1].lane
        where = f"CD {place.cd_um / 1000:.0f} mm, {f'lane {lane}' if lane else 'where no sheet is cut'}"
        rejected = any(one.verdict == "reject" for one in marks)
        source = "at the die lip" if kind == "STR" else "at one place of the line"
        ends = f"ended at MD {place.md_end_um / 1e6:.2f} m" if over else "going on"
        return self._book.told(
            strip, "rate", place.first, place.length_um,
            Words(
                kind=kind,
                marks=marks,
                count=len(marks),
                p_value=self._lines[kind].chance(place.length_um),
                verdict="reject" if rejected and lane else "mark",
                reason=f"{title} at {where}, over {place.length_um / 1e6:.1f} m, {ends}",
                cause=f"{source}, {where}: {usual_cause(self._line, kind)}",
                md_start_um=place.md_start_um,
                rate_factor=self._line_factor(place, kind),
                last=over,
            ),
        )  # fmt: skip

    def _line_factor(self, place: Place, kind: str) -> float:
        """Length of line on the stretch against what is usual on as much film."""
        row = self._rows[kind]
        stretch_um = max(place.md_end_um - place.md_start_um, 1)
        area_m2 = stretch_um * 1e-6 * self._width_um * 1e-6
        usual_um = self._rates[kind].usual.rate_per_m2 * area_m2 * (row.aspect or 1.0) * (row.median_um or 1.0)
        return place.length_um / usual_um

    def _rate(self, strip: StripInspected, alarm: RateAlarm | None, kind: str) -> list[FilmPattern]:
        if alarm is None:
            return []
        known = self._book.knows("rate", kind, alarm.first)
        if not known if alarm.ended else not self._book.due("rate", kind, alarm.first, alarm.count):
            return []
        marks = [mark for mark in alarm.latest if mark.roll == strip.roll]
        if not marks:
            return []
        if not known:
            self._rate_from_um[kind] = marks[0].md_start_um if len(marks) == len(alarm.latest) else 0
        title = self._rows[kind].title if kind in self._rows else "defect of an unknown class"
        place, where = self._one_place(marks)
        rate = alarm.count / max(alarm.area_m2, 0.6)
        # A rise that began on the roll before is told of this one from its start.
        reason = f"{title}: {rate:.2g} per m², {alarm.factor:.1f} times the usual {alarm.usual_per_m2:.2g}{where}"
        raised = [other for other, watch in self._rates.items() if watch.alarm is not None]
        return self._book.told(
            strip, "rate", alarm.first, alarm.count,
            Words(
                kind=kind,
                marks=marks,
                count=alarm.count,
                p_value=alarm.p_value,
                verdict="review",
                reason=f"{reason}; {alarm.ended}" if alarm.ended else reason,
                cause=usual_cause(self._line, kind, raised),
                md_start_um=min(self._rate_from_um[kind], marks[0].md_start_um),
                cd=place,
                rate_factor=alarm.factor,
                last=bool(alarm.ended),
            ),
        )  # fmt: skip

    def _one_place(self, marks: Sequence[Mark]) -> tuple[tuple[int, int], str]:
        """Where across the web most of them lie, when that is one place; else the whole width."""
        middle = median(mark.cd_um for mark in marks)
        here = [mark for mark in marks if abs(mark.cd_um - middle) <= _ONE_PLACE_UM]
        if len(here) < max(4, _ONE_PLACE_SHARE * len(marks)):
            return (0, self._width_um), ""
        lane = here[-1].lane
        where = f" at CD {middle / 1000:.0f} mm, {f'lane {lane}' if lane else 'where no sheet is cut'}"
        return (min(mark.cd_start_um for mark in here), max(mark.cd_end_um for mark in here)), where

    def _repeat(self, strip: StripInspected, repeat: Repeat | None, kind: str) -> list[FilmPattern]:
        if repeat is None or not (repeat.ended or self._book.due("repeat", kind, repeat.first, repeat.count)):
            return []
        roller = repeat.circumference
        title = self._rows[kind].title if kind in self._rows else "defect of an unknown class"
        marks = list(repeat.latest)
        wide = repeat.cd_high_um - repeat.cd_low_um > 2 * _ONE_PLACE_UM
        middle_mm = (repeat.cd_low_um + repeat.cd_high_um) / 2000
        where = "across the web" if wide else f"at CD {middle_mm:.0f} mm"
        reason = (
            f"{title} every {repeat.period_um / 1000:.1f} mm {where}, on {repeat.count} of {repeat.turns + 1} turns of "
            f"the {roller.roller} roller ({roller.station}, {roller.diameter_mm:g} mm)"
        )
        if repeat.ended:
            reason += f"; none since MD {marks[-1].md_end_um / 1e6:.2f} m, ended"
        cause = f"the {roller.roller} roller of {roller.station} {where}: {usual_cause(self._line, kind)}"
        return self._book.told(
            strip, "repeat", repeat.first, repeat.count,
            Words(
                kind=kind,
                marks=marks,
                count=repeat.count,
                p_value=repeat.p_value,
                verdict="review",
                reason=reason,
                cause=cause,
                md_start_um=repeat.first_um,
                cd=(repeat.cd_low_um, repeat.cd_high_um),
                period_um=round(repeat.period_um, 1),
                roller=roller.roller,
                last=repeat.ended,
            ),
        )  # fmt: skip

"""Defects that belong together: clusters, repeats of rollers, lines that stay, and classes that come too often.

A finder takes what a camera says, strip by strip, wherever that comes from: this process's own pictures, drawn
results, another maker's inspector. It is pure and its memory is bounded. Its messages grow by revision, so that a roll
has one message a pattern however long it goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from line.bundle import DetectionCurve
from line.events import FilmDefect, FilmPattern, StripInspected, Verdict
from line.model import Camera, LineModel
from vision.causes import usual_cause
from vision.lasting import LastingLines, Place
from vision.marks import Mark, inspected_m2, mark_of
from vision.pattern_events import PatternBook, Words
from vision.rates import (
    FALSE_ALARMS_PER_M2,
    RateAlarm,
    RateWatch,
    tail_probability,
    usual_of,
    usual_rates_per_m2,
)
from vision.repeats import Repeat, RepeatWatch
from vision.rollers import rollers_before
from vision.verdict import rules_version

_GATHERED_UM = 2_000
"""Defects of a class nearer than this come from one cause at once, and count once."""
_STRIP_UM = 6_000
"""Defects of a strip come in no order."""
_LINE_GAP_UM = 20_000
"""Film without it after which a line has ended, or as much as it is long."""
_FOLDED_PER_STRIP = 4
_LENGTH_PER_FOLD_UM = 50_000
"""Defects of a class that are folded on a strip, and on each length of a longer one; more are no print of a roller."""
_NEAR_COUNT = 64
"""Latest defects of a class that one is compared with; more within millimetres are one gathering by any count."""
_ONE_PLACE_UM = 5_000
_ONE_PLACE_SHARE = 0.6


@dataclass(slots=True, kw_only=True)
class _Cluster:
    """Defects near one another."""

    first: str
    """Defect by which it is known."""
    marks: deque[Mark]
    """The latest."""
    count: int
    p_value: float


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
        usual = usual_rates_per_m2(line, camera, curves)
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
        self._near: dict[str, deque[Mark]] = {kind: deque(maxlen=_NEAR_COUNT) for kind in usual}
        self._clusters: dict[str, deque[_Cluster]] = {}
        self._book = PatternBook(camera)
        self._rate_from_um: dict[str, int] = {}
        self._roll = ""
        self._area_m2 = 0.0

    def seen(self, strip: StripInspected, defects: Sequence[FilmDefect]) -> list[FilmPattern]:
        """Patterns that are new or have grown with a strip.

        Args:
            strip: of this finder's camera.
            defects: reported with it; longer sightings of known ones too.
        """
        if strip.roll != self._roll:
            self._begin(strip.roll)
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
            found += self._cluster(strip, mark)
            if not self._counts(mark):
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

    def _begin(self, roll: str) -> None:
        """Positions begin anew; rates go on, and one that is up is told of the new roll as well."""
        self._roll = roll
        self._book.forget()
        self._clusters.clear()
        for near in self._near.values():
            near.clear()
        for repeats in self._repeats.values():
            repeats.forget()
        for lines in self._lines.values():
            lines.forget()
        self._rate_from_um = dict.fromkeys(self._rates, 0)

    def _counts(self, mark: Mark) -> bool:
        """Whether a defect is one of its own: neither part of a gathering nor the next piece of a line."""
        near, line, alone = self._near[mark.kind], mark.kind in self._lines, True
        for other in reversed(near):
            if not line and mark.md_um - other.md_um > _GATHERED_UM + _STRIP_UM:
                break
            if mark.apart_um(other) <= _GATHERED_UM or (line and _goes_on(other, mark)):
                alone = False
                break
        near.append(mark)
        return alone

    def _cluster(self, strip: StripInspected, mark: Mark) -> list[FilmPattern]:
        """By the class's accept rule; called before the mark is one of those near."""
        row = self._rows.get(mark.kind)
        rule = next((rule for rule in row.accept if rule.kind == "cluster"), None) if row else None
        if rule is None or rule.count is None or rule.within_um is None:
            return []
        within = rule.within_um
        near = [other for other in self._near[mark.kind] if mark.apart_um(other) <= within]
        clusters = self._clusters.setdefault(mark.kind, deque(maxlen=8))
        cluster = next((row for row in clusters if any(mark.apart_um(one) <= within for one in row.marks)), None)
        if cluster is None:
            if len(near) + 1 < rule.count:
                return []
            usual = self._rates[mark.kind].usual.rate_per_m2
            mean = usual * (2e-6 * within) ** 2
            roll_m2 = self._line.web(self._web).roll_length_um * 1e-6 * self._width_um * 1e-6
            # Any defect of a roll might have been the one with others so near.
            chance = min(1.0, tail_probability(len(near), mean, 0.0) * max(1.0, usual * roll_m2))
            began = deque([*near, mark], maxlen=_NEAR_COUNT)
            cluster = _Cluster(first=near[0].defect, marks=began, count=len(began), p_value=chance)
            clusters.append(cluster)
        else:
            cluster.marks.append(mark)
            cluster.count += 1
        if not self._book.due("cluster", mark.kind, cluster.first, cluster.count):
            return []
        marks = list(cluster.marks)
        name = row.title if row else mark.kind
        lanes = [one.lane for one in marks if one.lane]
        verdict: Verdict = "reject" if lanes else "pass"
        where = f"lane {lanes[0]}" if lanes else "where no sheet is cut"
        near_by = f"{cluster.count} times {name} within {within / 1000:g} mm of one another, {where}"
        reason = f"{near_by}; {rule.text} (rules {self._rules})"
        return self._book.told(
            strip, "cluster", cluster.first, cluster.count,
            Words(kind=mark.kind, marks=marks, count=cluster.count, p_value=cluster.p_value, verdict=verdict,
                   reason=reason, cause=usual_cause(self._line, mark.kind)),
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


def _goes_on(line: Mark, mark: Mark) -> bool:
    """Whether a defect is the next piece of a line."""
    gap_um = mark.md_start_um - line.md_end_um
    return abs(mark.cd_um - line.cd_um) <= _GATHERED_UM and gap_um <= max(_LINE_GAP_UM, line.length_um)

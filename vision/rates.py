"""Whether a class of defect comes more often than is usual, told as early as the stated rate of false alarms allows.

At every defect the film is measured that holds the last few of its class: 4 of them, 5, 7, up to 49, so that neither a
short burst nor a small lasting rise needs a window of its own. How likely so many would be on so much film follows
from the usual rate, from how far the line's own rate may lie from the line model's, and from the gathering that the
line model states for counts (a negative binomial; Poisson where it states none). A class that comes rarely is tested
rarely, so its limit is the milder: the sum over classes keeps to `FALSE_ALARMS_PER_M2`, whatever their rates.

What is usual is learnt from film that has gone by without an alarm, late, and never from film under one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import exp, lgamma, log, log1p, sqrt

import numpy as np

from line.bundle import DetectionCurve
from line.defect_rows import DefectClass
from line.model import Camera, LineModel
from line.relations_defects import detection_probability
from vision.marks import Mark

FALSE_ALARMS_PER_M2 = 1e-3
"""Of all classes together, on film as usual."""
UNKNOWN = "unknown"

_GAPS = (3, 4, 6, 8, 12, 16, 24, 32, 48)
"""Defects after the first of those looked back on."""
_LEAST_M2 = 0.6
"""Film over which defects of a class gather (2 m of a 300 mm web, D); a rate is one over at least as much."""
_PRIOR_COUNT = 8.0
"""Defects that the line model's rate is worth: a line's own rates scatter by a third around it (D)."""
_MOST_COUNT = 400.0
"""Defects that what is usual is remembered by; older ones fade."""
_LATEST_COUNT = 16
"""Defects of an alarm that are remembered."""
_LARGEST_P = 0.01
_SEPARATE_TESTS = 4.0
"""So many tests of separate defects are as much as one for each of `_GAPS`, which share theirs. By simulation."""
_LAG_M2, _LAG_COUNT, _LAG_CHUNKS = 24.0, 8.0, 12
"""Film is learnt from when so much has gone by since, and as much as usually holds so many of the class: a rise that is
not certain yet must not become the usual rate."""
_END_DOUBT = log(200)
"""Likelihood of the usual rate over the raised one at which an alarm ends."""
_LEAST_FACTOR = 2.0
"""Over the usual rate; what falls below it over the whole of an alarm is no alarm any more."""
_ACCEPTED_M2 = 150.0
"""Film under one alarm after which its rate is the usual one: an alarm that never ends says nothing."""


@dataclass(slots=True, kw_only=True)
class Usual:
    """A rate as it is known: `count` defects on `area_m2` of film, the line model's counted in."""

    count: float
    area_m2: float

    @property
    def rate_per_m2(self) -> float:
        return self.count / self.area_m2

    def learn(self, count: int, area_m2: float) -> None:
        """Take in film without an alarm."""
        self.count += count
        self.area_m2 += area_m2
        if self.count > _MOST_COUNT:
            self.count, self.area_m2 = _MOST_COUNT, self.area_m2 * _MOST_COUNT / self.count


def usual_of(rate_per_m2: float) -> Usual:
    """What is known of a rate from the line model alone."""
    return Usual(count=_PRIOR_COUNT, area_m2=_PRIOR_COUNT / rate_per_m2)


def usual_rates_per_m2(
    line: LineModel, camera: Camera, curves: Mapping[str, DetectionCurve] | None = None
) -> dict[str, float]:
    """Rate at which each class is reported on a line as its model says: what comes, and what of it is found.

    Args:
        line: the line model.
        camera: that looks.
        curves: measured detection curves by class; a class without one takes the line model's own.
    """
    order = [row.code for row in line.stations]
    events = [row for row in line.defects if row.measured_as == "event"]
    false_per_m2 = max(line.defect_model.false_alarms_per_m2, 1e-3)
    share = camera.pixel_um / line.defect_model.pod_pixel_um
    rates = {UNKNOWN: false_per_m2}
    for row in events:
        curve = (curves or {}).get(row.code)
        a50, s = (curve.a50_um, curve.s) if curve else ((row.pod_a50_um or 1e9) * share, row.pod_s or 0.3)
        made_at = line.defect_model.stage_stations.get(row.seen_after, camera.station)
        comes = order.index(made_at) <= order.index(camera.station)
        found = (row.rate_per_m2 or 0.0) * _found_fraction(row, a50, s) if comes else 0.0
        rates[row.code] = found + false_per_m2 / len(events)
    return rates


def _found_fraction(row: DefectClass, a50_um: float, s: float) -> float:
    """Share of a class that a detection curve finds: its integral over the sizes."""
    normal = np.linspace(-4, 4, 81)
    weights = np.exp(-0.5 * normal**2)
    sizes = np.maximum((row.median_um or 1.0) * np.exp((row.sigma_ln or 0.5) * normal), row.min_um or 0.0)
    return float((weights * detection_probability(sizes, a50_um, s)).sum() / weights.sum())


def tail_probability(count: int, mean: float, variance_fraction: float) -> float:
    """Chance of at least `count` when counts are negative binomial; Poisson where the variance fraction is 0.

    Args:
        count: at least 1.
        mean: above 0.
        variance_fraction: what the variance has beyond the mean's, over the squared mean.
    """
    if variance_fraction < 1e-9:
        term, shape, share = exp(count * log(mean) - mean - lgamma(count + 1)), 0.0, mean
    else:
        shape = 1 / variance_fraction
        share = mean / (mean + shape)
        choose = lgamma(count + shape) - lgamma(shape) - lgamma(count + 1)
        term = exp(choose + count * log(share) + shape * log1p(-share))
    total, k = term, count
    while term > 1e-6 * total or k < mean:
        k += 1
        term *= share * (k - 1 + shape) / k if shape else share / k
        total += term
    return min(1.0, total)


@dataclass(slots=True, kw_only=True)
class RateAlarm:
    """A class that comes more often than is usual."""

    first: str
    """Defect with which it set in, by which the alarm is known."""
    p_value: float
    from_m2: float
    """Film inspected before it set in."""
    count: int
    area_m2: float
    """Film since it set in, as far as the latest defect."""
    usual_per_m2: float
    latest: list[Mark]
    since_m2: float = 0.0
    """Film after the latest defect."""
    doubt: float = 0.0
    """Likelihood of the usual rate over the raised one since it was last certain, as a logarithm."""
    ended: str = ""
    """Why it has ended; empty while it goes on."""

    @property
    def factor(self) -> float:
        """Rate over the usual one."""
        return self.count / max(self.area_m2, _LEAST_M2) / self.usual_per_m2

    @property
    def least_factor(self) -> float:
        """Halfway to the usual rate: an alarm begins where the count happens to be high, and film gathers defects."""
        return max(_LEAST_FACTOR, sqrt(self.factor))


@dataclass(slots=True, kw_only=True)
class RateWatch:
    """One class on one camera, over all rolls. All that it knows stands in its fields, so that it can be kept."""

    usual: Usual
    budget_per_m2: float
    """False alarms that this class may raise."""
    dispersion: float
    """Of the gathering, over `_LEAST_M2` of film; the larger, the more like Poisson."""
    alarm: RateAlarm | None = None
    recent: list[Mark] = field(default_factory=list)
    """The latest defects, as many as are looked back on."""
    pending: list[list[float]] = field(default_factory=list)
    """Film not learnt from yet: area and count of each piece."""

    @property
    def limit(self) -> float:
        """Chance below which so many on so little film are an alarm."""
        return min(_LARGEST_P, self.budget_per_m2 / (self.usual.rate_per_m2 * _SEPARATE_TESTS))

    def came(self, mark: Mark) -> RateAlarm | None:
        """Take in a defect; the alarm when there is one, new or not."""
        self.recent.append(mark)
        del self.recent[: -max(_GAPS) - 1]
        if self.alarm is not None:
            self._goes_on(self.alarm, mark)
            return self.alarm
        if self.pending:
            self.pending[-1][1] += 1
        chances = {gaps: self._chance(gaps, mark) for gaps in _GAPS if gaps < len(self.recent)}
        if not chances:
            return None
        gaps = min(chances, key=lambda number: chances[number])
        if chances[gaps] > self.limit:
            return None
        first = self.recent[-1 - gaps]
        self.alarm = RateAlarm(
            first=first.defect,
            p_value=chances[gaps],
            from_m2=first.area_m2,
            count=gaps + 1,
            area_m2=mark.area_m2 - first.area_m2,
            usual_per_m2=self.usual.rate_per_m2,
            latest=self.recent[-1 - gaps :][-_LATEST_COUNT:],
        )
        self.pending.clear()
        return self.alarm

    def went_by(self, area_m2: float) -> RateAlarm | None:
        """Take in inspected film; the alarm that ends with it, if one does."""
        alarm = self.alarm
        if alarm is None:
            self._learn(area_m2)
            return None
        alarm.since_m2 += area_m2
        alarm.doubt += (alarm.least_factor - 1) * alarm.usual_per_m2 * area_m2
        over_all = alarm.count / (alarm.area_m2 + alarm.since_m2) / alarm.usual_per_m2
        if alarm.doubt > _END_DOUBT or (over_all < _LEAST_FACTOR and alarm.area_m2 + alarm.since_m2 > _LEAST_M2):
            alarm.ended = "as usual again"
        elif alarm.area_m2 > _ACCEPTED_M2:
            alarm.ended = f"as usual from now on, after {alarm.area_m2:.0f} m² of it"
            self.usual = Usual(count=_PRIOR_COUNT, area_m2=_PRIOR_COUNT / (alarm.factor * alarm.usual_per_m2))
        else:
            return None
        self.alarm = None
        self.recent.clear()
        return alarm

    def without(self, known: Callable[[Mark], bool]) -> RateAlarm | None:
        """Leave out defects that turn out to have a cause of their own; the alarm that ends, if most of it was these.

        The others stay, so that an alarm of theirs is raised when the next one comes.
        """
        self.recent = [mark for mark in self.recent if not known(mark)]
        alarm = self.alarm
        if alarm is None or 2 * sum(map(known, alarm.latest)) <= len(alarm.latest):
            return None
        alarm.ended = "most of them pieces of one that lasts"
        self.alarm = None
        return alarm

    def _goes_on(self, alarm: RateAlarm, mark: Mark) -> None:
        alarm.count += 1
        alarm.area_m2, alarm.since_m2 = mark.area_m2 - alarm.from_m2, 0.0
        alarm.latest.append(mark)
        del alarm.latest[:-_LATEST_COUNT]
        alarm.doubt = max(0.0, alarm.doubt - log(alarm.least_factor))

    def _chance(self, gaps: int, mark: Mark) -> float:
        area_m2 = max(mark.area_m2 - self.recent[-1 - gaps].area_m2, _LEAST_M2)
        mean = self.usual.rate_per_m2 * area_m2
        variance = _LEAST_M2 / area_m2 / self.dispersion + 1 / self.usual.count
        # Where one defect has come the rate is likelier to be high: a gamma's shape grows by one.
        return tail_probability(gaps, mean * (1 + variance), variance / (1 + variance))

    def _learn(self, area_m2: float) -> None:
        chunk_m2 = max(_LAG_M2, _LAG_COUNT / self.usual.rate_per_m2) / _LAG_CHUNKS
        if not self.pending or self.pending[-1][0] > chunk_m2:
            self.pending.append([0.0, 0.0])
        self.pending[-1][0] += area_m2
        if len(self.pending) > _LAG_CHUNKS:
            area, count = self.pending.pop(0)
            self.usual.learn(round(count), area)

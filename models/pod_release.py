"""The release study: real targets of known size under the real camera, hits and misses, and what follows from them.

Every place is micrometres on a *piece* of coupon: a roll (x is CD, y is MD) or a picture (from its top left). A finding
belongs to the nearest target in reach of it, whatever its class; a target that has one is a hit. What belongs to none
and lies on film known to be blank is a false call.

MIL-HDBK-1823A: hit/miss, at least 60 targets of a kind.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from line.errors import ConfigError
from models.detection_fit import CONFIDENCE, a90_bound_um, logit_fit

LEAST_TARGETS = 60
"""Of a class, for hit/miss data, as MIL-HDBK-1823A asks."""
DEFAULT_REACH_UM = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A hole, wire or speck that was put into a coupon and measured by other means."""

    id: str
    kind: str
    size_um: float
    uncertainty_um: float
    """Expanded, k=2."""
    piece: str
    x_um: float
    y_um: float
    made: str
    """How, in words: laser-drilled hole, wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A rectangle of a piece; findings have the class they were given, film has none."""

    piece: str
    left_um: float
    right_um: float
    top_um: float
    bottom_um: float
    kind: str = ""

    @property
    def m2(self) -> float:
        return max(0.0, self.right_um - self.left_um) * max(0.0, self.bottom_um - self.top_um) * 1e-12

    def holds(self, x_um: float, y_um: float) -> bool:
        return self.left_um <= x_um <= self.right_um and self.top_um <= y_um <= self.bottom_um

    def distance_um(self, x_um: float, y_um: float) -> float:
        """From a place to the nearest part of the rectangle, 0 inside."""
        return math.hypot(
            max(self.left_um - x_um, 0.0, x_um - self.right_um), max(self.top_um - y_um, 0.0, y_um - self.bottom_um)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What one model said of the coupons."""

    model: str
    """name@vN."""
    digest: str
    cameras: tuple[str, ...]
    calibrations: tuple[str, ...]
    findings: tuple[Area, ...]
    inspected: tuple[Area, ...]
    """Film that was looked at; without overlaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStudy:
    """Hits and misses of one class."""

    kind: str
    targets_count: int
    hits_count: int
    named_count: int
    """Of the hits, those given their own class."""
    smallest_um: float
    largest_um: float
    uncertainty_fraction: float
    """Median of expanded uncertainty over size."""
    a50_um: float
    s: float
    a90_95_um: float
    """Infinite where the targets set no bound."""
    made: tuple[str, ...]

    @property
    def missing_count(self) -> int:
        """Targets still needed."""
        return max(0, LEAST_TARGETS - self.targets_count)

    @property
    def a90_um(self) -> float:
        return self.a50_um * math.exp(math.log(9) * self.s)

    @property
    def is_released(self) -> bool:
        return self.missing_count == 0 and math.isfinite(self.a90_95_um)

    @property
    def shortfall(self) -> str:
        """Why there is no release curve, and what to do; empty where there is one."""
        if self.missing_count:
            return f"{self.targets_count} targets, {LEAST_TARGETS} are needed: add {self.missing_count}"
        if not math.isfinite(self.a90_95_um):
            return (
                f"{self.hits_count} of {self.targets_count} found: the targets set no upper bound; add some larger "
                f"than {self.largest_um:.0f} µm"
            )
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """All of a release study."""

    classes: tuple[ClassStudy, ...]
    false_calls_count: int
    blank_m2: float
    uninspected: tuple[str, ...]
    """Targets on film that was not inspected: neither hit nor miss, and not counted."""
    reach_um: float

    @property
    def false_calls_per_m2(self) -> tuple[float, float | None]:
        """Exact two-sided 95 % interval of the rate; no upper end without blank film."""
        if self.blank_m2 <= 0:
            return 0.0, None
        low, high = poisson_interval(self.false_calls_count)
        return low / self.blank_m2, high / self.blank_m2


def studied(
    targets: Sequence[Target],
    inspection: Inspection,
    *,
    reach_um: float = DEFAULT_REACH_UM,
    blank: Sequence[str] | None = None,
) -> Study:
    """Match findings to targets and fit a curve for each class.

    Args:
        reach_um: from a target's edge to a finding that still belongs to it: the error of both positions together.
        blank: pieces known to hold no target and no defect; by default all inspected ones without a target.

    Raises:
        ConfigError: two targets are too near to be told apart, a piece is called blank and holds a target, or not one
            target lies on inspected film.
    """
    _require_apart(targets, reach_um)
    with_targets = {target.piece for target in targets}
    for piece in blank or ():
        if piece in with_targets:
            raise ConfigError(f"{piece} holds a target; name blank pieces only", key="--blank")
    film: dict[str, list[Area]] = defaultdict(list)
    for area in inspection.inspected:
        film[area.piece].append(area)
    seen = [each for each in targets if any(area.holds(each.x_um, each.y_um) for area in film[each.piece])]
    if not seen:
        pieces = ", ".join(sorted(piece for piece, areas in film.items() if areas)[:5]) or "none"
        raise ConfigError(
            "not one target lies on inspected film; targets are on "
            f"{', '.join(sorted(with_targets)[:5])}, inspected were {pieces}: compare the names and the places"
        )
    found = _kinds_found(seen, inspection.findings, reach_um)
    classes = []
    for kind in sorted({target.kind for target in seen}):
        own = [target for target in seen if target.kind == kind]
        classes.append(_class_study(kind, own, found))
    pieces_blank = set(blank) if blank is not None else set(film) - with_targets
    return Study(
        classes=tuple(classes),
        false_calls_count=sum(finding.piece in pieces_blank for finding in inspection.findings),
        blank_m2=sum(area.m2 for piece in pieces_blank for area in film.get(piece, ())),
        uninspected=tuple(sorted({each.id for each in targets} - {each.id for each in seen})),
        reach_um=reach_um,
    )


def poisson_interval(count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact two-sided interval of a Poisson mean from one count (Garwood 1936)."""
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else _mean_with(count - 1, 1 - tail)
    return low, _mean_with(count, tail)


def _mean_with(count: int, probability: float) -> float:
    """The Poisson mean at which so many or fewer have this probability."""

    def at_most(mean: float) -> float:
        terms = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(count + 1)]
        return sum(math.exp(term) for term in terms)

    low, high = 1e-9, count + 10 * math.sqrt(count + 1) + 20
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(middle) > probability else (low, middle)
    return (low + high) / 2


def _require_apart(targets: Sequence[Target], reach_um: float) -> None:
    by_piece: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        by_piece[target.piece].append(target)
    for piece, own in by_piece.items():
        own.sort(key=lambda each: each.y_um)
        for place, one in enumerate(own):
            for other in own[place + 1 :]:
                apart = math.hypot(one.x_um - other.x_um, one.y_um - other.y_um)
                needed = 2 * reach_um + (one.size_um + other.size_um) / 2
                if apart < needed:
                    raise ConfigError(
                        f"{one.id} and {other.id} on {piece} are {apart:.0f} µm apart, {needed:.0f} µm are needed to "
                        "tell their findings apart; give a smaller --reach-um or leave one out"
                    )
                if other.y_um - one.y_um > 2 * reach_um + max(each.size_um for each in own):
                    break


def _kinds_found(targets: Sequence[Target], findings: Sequence[Area], reach_um: float) -> Mapping[str, Counter[str]]:
    """By target that was hit: the classes of its findings."""
    by_piece: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        by_piece[target.piece].append(target)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for finding in findings:
        distances = [
            (finding.distance_um(each.x_um, each.y_um) - each.size_um / 2, each) for each in by_piece[finding.piece]
        ]
        if distances:
            distance, nearest = min(distances, key=lambda pair: pair[0])
            if distance <= reach_um:
                found[nearest.id][finding.kind] += 1
    return found


def _class_study(kind: str, targets: Sequence[Target], found: Mapping[str, Counter[str]]) -> ClassStudy:
    sizes = np.array([target.size_um for target in targets])
    hits = np.array([target.id in found for target in targets])
    a50, s = logit_fit(sizes, hits)
    return ClassStudy(
        kind=kind,
        targets_count=len(targets),
        hits_count=int(hits.sum()),
        named_count=sum(kind in found[target.id] for target in targets if target.id in found),
        smallest_um=float(sizes.min()),
        largest_um=float(sizes.max()),
        uncertainty_fraction=float(np.median([target.uncertainty_um / target.size_um for target in targets])),
        # Below the smallest that was tried nothing is known, however many of those were found.
        a50_um=max(a50, float(sizes.min())),
        s=s,
        a90_95_um=a90_bound_um(sizes, hits),
        made=tuple(sorted({target.made for target in targets})),
    )

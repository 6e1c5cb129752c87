"""What follows from a measured defect: pass, mark, review or reject, how severe, and why in words.

The rules are the accept limits of the line model. A size above its limit rejects; one below it by less than its
uncertainty goes to review; one that may lie on a sheet in small numbers is marked until there are too many. Film
that no sheet is cut from passes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p

from line.defect_rows import AcceptRule, DefectClass
from line.events import Severity, Verdict
from line.model import LineModel
from line.model_rows import Lane

_RANK: dict[Verdict, int] = {"pass": 0, "mark": 1, "review": 2, "reject": 3, "uninspected": 4}
_DEPTH_DOUBT = 0.2
"""Relative expanded uncertainty of a depth that was read from transmission (D)."""
_REMEMBERED_COUNT = 512
"""Defects of a lane that counts and clusters look back on; more on one sheet reject by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A defect as measured, on its roll [µm]."""

    kind: str
    size_um: float
    size_uncertainty_um: float
    """Expanded, k=2."""
    contrast_tx: float
    md_um: int
    """Centre."""
    cd_start_um: int
    cd_end_um: int
    lane: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is to be done about a defect."""

    verdict: Verdict
    severity: Severity
    reason: str


def worse(one: Judgement, other: Judgement) -> Judgement:
    """The graver of two judgements; the first when they are alike."""
    return other if _RANK[other.verdict] > _RANK[one.verdict] else one


class Judge:
    """The accept rules of a web, with the memory that counts per sheet and clusters need; of one roll at a time."""

    def __init__(self, line: LineModel, web: str = "film") -> None:
        self._rows = {row.code: row for row in line.defects}
        self._lanes: dict[int, Lane] = {lane.number: lane for lane in line.web(web).lanes}
        self._pitch_um = max(sheet.pitch_um for sheet in line.product().sheets)
        self._seen: dict[int, deque[Finding]] = {}

    def row(self, kind: str) -> DefectClass | None:
        """The class of a code; None for `unknown` or a class this line does not have."""
        return self._rows.get(kind)

    def forget(self) -> None:
        """Begin a roll."""
        self._seen.clear()

    def judged(self, finding: Finding, *, again: bool = False) -> Judgement:
        """What is to be done about a defect.

        Args:
            finding: as measured.
            again: a longer sighting of a defect that was judged before, which counts once.
        """
        row = self._rows.get(finding.kind)
        if row is None:
            return Judgement(verdict="review", severity="B", reason=f"{finding.kind}: like no class of the line model")
        if finding.lane == 0:
            return Judgement(verdict="pass", severity="C", reason=f"{_named(row, finding)}, where no sheet is cut")
        seen = self._seen.setdefault(finding.lane, deque(maxlen=_REMEMBERED_COUNT))
        if not again:
            seen.append(finding)
        depth = depth_fraction(row, finding.contrast_tx)
        found = [self._by_rule(rule, row, finding, depth, seen) for rule in row.accept]
        verdict, reason = max(found, key=lambda answer: _RANK[answer[0]], default=("pass", ""))
        if verdict == "pass":
            return Judgement(verdict="pass", severity="C", reason=f"{_named(row, finding)}, within its limits")
        critical = row.critical_from_depth_fraction
        severity: Severity = (
            "A" if critical is not None and depth is not None and depth >= critical else row.criticality
        )
        return Judgement(verdict=verdict, severity=severity, reason=f"{_named(row, finding)}: {reason}")

    def _by_rule(
        self, rule: AcceptRule, row: DefectClass, finding: Finding, depth: float | None, seen: Sequence[Finding]
    ) -> tuple[Verdict, str]:
        size, doubt = finding.size_um, finding.size_uncertainty_um
        match rule.kind:
            case "reject_above" if rule.above_um is not None:
                return _against(size, doubt, rule.above_um, "µm")
            case "depth_fraction_above" if rule.fraction is not None and depth is not None:
                verdict, _ = _against(depth, _DEPTH_DOUBT * depth, rule.fraction, "")
                return verdict, f"about {depth:.0%} of the thickness deep, at most {rule.fraction:.0%}"
            case "mean_deviation_above" | "spot_deviation_above" if rule.fraction is not None:
                if size < (rule.spot_um or 0):
                    return "pass", ""
                change = abs(thickness_change_fraction(finding.contrast_tx, self._rows))
                return (
                    "reject" if change > rule.fraction else "pass",
                    f"thickness off by about {change:.1%}, at most {rule.fraction:.0%}",
                )
            case "max_per_sheet" if rule.at_most_per_sheet is not None:
                return self._counted(rule, row, finding, seen)
            case "cluster" if rule.count is not None and rule.within_um is not None:
                near = [
                    other for other in seen if other.kind == row.code and _apart_um(other, finding) <= rule.within_um
                ]
                text = f"{len(near)} of them within {rule.within_um / 1000:g} mm, {rule.count} reject"
                return ("reject" if len(near) >= rule.count else "pass"), text
            case "touches_edge":
                return self._at_edge(finding)
            case "none_allowed":
                return "reject", "none allowed"
            case _:
                # What needs more than one defect's picture (dose, profile of the edge) is decided elsewhere.
                return "pass", ""

    def _counted(
        self, rule: AcceptRule, row: DefectClass, finding: Finding, seen: Sequence[Finding]
    ) -> tuple[Verdict, str]:
        low, high = rule.from_um or 0, rule.to_um or float("inf")

        def counts(other: Finding) -> bool:
            near = abs(other.md_um - finding.md_um) <= self._pitch_um
            return other.kind == row.code and near and low <= other.size_um <= high

        if not counts(finding):
            return "pass", ""
        count = sum(counts(other) for other in seen)
        allowed = rule.at_most_per_sheet or 0
        text = f"{count} of this kind within a sheet's {self._pitch_um / 1000:g} mm, at most {allowed}"
        return ("reject" if count > allowed else "mark"), text

    def _at_edge(self, finding: Finding) -> tuple[Verdict, str]:
        lane = self._lanes[finding.lane]
        touching = finding.cd_start_um <= lane.cd_low_um or finding.cd_end_um >= lane.cd_high_um
        return ("reject" if touching else "pass"), "touches the edge of its sheet"


def depth_fraction(row: DefectClass, contrast_tx: float) -> float | None:
    """Depth (or height) of a defect as a share of the film's thickness, from transmission; None without a scale.

    The contrast that the line model gives for a class is taken to belong to the depth from which the class is
    rejected or critical; depth is proportional to contrast (D). Never above 1.
    """
    by_rule = next((rule.fraction for rule in row.accept if rule.kind == "depth_fraction_above"), None)
    scale = by_rule or row.critical_from_depth_fraction
    if not scale or not row.contrast_tx:
        return None
    return min(1.0, max(0.0, scale * contrast_tx / row.contrast_tx))


def thickness_change_fraction(contrast_tx: float, rows: dict[str, DefectClass]) -> float:
    """Relative change of thickness that a change of transmission means: Lambert-Beer, scaled by an open hole.

    A pinhole is film of no thickness, so ln(1 + its contrast) is the optical density of the film.
    """
    hole = rows["PIN"].contrast_tx if "PIN" in rows and rows["PIN"].contrast_tx else 2.5
    return -log1p(max(contrast_tx, -0.95)) / log1p(hole)


def _against(value: float, doubt: float, limit: float, unit: str) -> tuple[Verdict, str]:
    said = f"at most {limit:g} {unit}".strip()
    if value > limit:
        return "reject", said
    if value + doubt > limit:
        return "review", f"{said}, not certainly below"
    return "pass", ""


def _apart_um(one: Finding, other: Finding) -> float:
    return float(max(abs(one.md_um - other.md_um), abs(one.cd_start_um - other.cd_start_um)))


def _named(row: DefectClass, finding: Finding) -> str:
    return f"{row.title} of {finding.size_um:.0f} ± {finding.size_uncertainty_um:.0f} µm"

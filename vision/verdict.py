"""What follows from a measured defect: pass, mark, review or reject, how severe, and why in words.

The rules are the accept limits of the line model. A size above its limit rejects; one below it by less than its
uncertainty goes to review; one that may lie on a sheet in small numbers is marked until there are too many. Film
that no sheet is cut from passes.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from line.defect_rows import AcceptRule, DefectClass
from line.events import Severity, Verdict
from line.model import LineModel
from line.model_rows import Lane
from vision.depth import Depth, depth_of, hole_contrast

_RANK: dict[Verdict, int] = {"pass": 0, "mark": 1, "review": 2, "reject": 3, "uninspected": 4}
_REMEMBERED_COUNT = 512
"""Defects of a lane that counts and clusters look back on; more on one sheet reject by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A defect as measured, on its roll [µm]."""

    kind: str
    size_um: float
    size_uncertainty_um: float
    """Expanded, k=2."""
    contrast_tx: float | None
    """At the core; a depth follows from it where none was measured. None: no transmission was seen."""
    md_um: int
    """Centre."""
    cd_start_um: int
    cd_end_um: int
    lane: int
    depth: Depth | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is to be done about a defect."""

    verdict: Verdict
    severity: Severity
    reason: str


def worse(one: Judgement, other: Judgement) -> Judgement:
    """The graver of two judgements; the first when they are alike."""
    return other if _RANK[other.verdict] > _RANK[one.verdict] else one


def rules_version(line: LineModel) -> str:
    """Eight hexadecimal digits that change with any accept limit, severity, lane or sheet of a line model."""
    rules = [(row.code, row.criticality, row.critical_from_depth_fraction, row.accept) for row in line.defects]
    lanes = [(web.name, web.lanes) for web in line.webs]
    sheets = [(sheet.kind, sheet.pitch_um) for sheet in line.product().sheets]
    return hashlib.sha256(msgspec.json.encode((rules, lanes, sheets))).hexdigest()[:8]


class Judge:
    """The accept rules of a web, with the memory that counts per sheet and clusters need; of one roll at a time."""

    def __init__(self, line: LineModel, web: str = "film") -> None:
        self._rows = {row.code: row for row in line.defects}
        self._hole = hole_contrast(self._rows)
        self._lanes: dict[int, Lane] = {lane.number: lane for lane in line.web(web).lanes}
        self._pitch_um = max(sheet.pitch_um for sheet in line.product().sheets)
        self._seen: dict[int, deque[Finding]] = {}
        self.version = rules_version(line)
        """Of the rules, told with every judgement."""

    def row(self, kind: str) -> DefectClass | None:
        """The class of a code; None for `unknown` or a class this line does not have."""
        return self._rows.get(kind)

    def forget(self) -> None:
        """Begin a roll."""
        self._seen.clear()

    def judged(self, finding: Finding, *, again: bool = False) -> Judgement:
        """What is to be done about a defect, and by which version of the rules.

        Args:
            finding: as measured.
            again: a longer sighting of a defect that was judged before, which counts once.
        """
        found = self._judged(finding, again=again)
        return replace(found, reason=f"{found.reason} (rules {self.version})")

    def _judged(self, finding: Finding, *, again: bool) -> Judgement:
        row = self._rows.get(finding.kind)
        if row is None:
            return Judgement(verdict="review", severity="B", reason=f"{finding.kind}: like no class of the line model")
        if finding.lane == 0:
            return Judgement(verdict="pass", severity="C", reason=f"{_named(row, finding)}, where no sheet is cut")
        seen = self._seen.setdefault(finding.lane, deque(maxlen=_REMEMBERED_COUNT))
        if not again:
            seen.append(finding)
        depth = finding.depth
        if depth is None and finding.contrast_tx is not None:
            depth = depth_of(row, finding.contrast_tx, 0.0, hole=self._hole)
        found = [self._by_rule(rule, row, finding, depth, seen) for rule in row.accept]
        verdict, reason = max(found, key=lambda answer: _RANK[answer[0]], default=("pass", ""))
        if verdict == "pass":
            return Judgement(verdict="pass", severity="C", reason=f"{_named(row, finding)}, within its limits")
        critical = row.critical_from_depth_fraction
        severity: Severity = (
            "A" if critical is not None and depth is not None and depth.fraction >= critical else row.criticality
        )
        return Judgement(verdict=verdict, severity=severity, reason=f"{_named(row, finding)}: {reason}")

    def _by_rule(
        self, rule: AcceptRule, row: DefectClass, finding: Finding, depth: Depth | None, seen: Sequence[Finding]
    ) -> tuple[Verdict, str]:
        size, doubt = finding.size_um, finding.size_uncertainty_um
        match rule.kind:
            case "reject_above" if rule.above_um is not None:
                return _against(size, doubt, rule.above_um, "µm")
            case "depth_fraction_above" if rule.fraction is not None and depth is not None:
                verdict, _ = _against(depth.fraction, depth.uncertainty_fraction, rule.fraction, "")
                deep = f"{depth.fraction:.0%} ± {depth.uncertainty_fraction:.0%} of the thickness deep"
                return verdict, f"{deep}, at most {rule.fraction:.0%}"
            case "mean_deviation_above" | "spot_deviation_above" if rule.fraction is not None and depth is not None:
                if size < (rule.spot_um or 0):
                    return "pass", ""
                verdict, _ = _against(depth.fraction, depth.uncertainty_fraction, rule.fraction, "")
                off = f"thickness off by {depth.fraction:.1%} ± {depth.uncertainty_fraction:.1%}"
                return verdict, f"{off}, at most {rule.fraction:.0%}"
            case "depth_fraction_above" | "mean_deviation_above" | "spot_deviation_above" if (
                rule.fraction is not None and finding.contrast_tx is None and size >= (rule.spot_um or 0)
            ):
                # A depth that nobody measured is not a depth below its limit.
                return "review", f"depth not measured, this camera sees no transmission; at most {rule.fraction:.0%}"
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

"""Defects of one class close together on one roll: clusters by its accept rule, and what counts as one of its own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from line.defect_rows import AcceptRule, DefectClass
from vision.marks import Mark
from vision.rates import tail_probability

_GATHERED_UM = 2_000
"""Defects of a class nearer than this come from one cause at once, and count once."""
_STRIP_UM = 6_000
"""Defects of a strip come in no order."""
_LINE_GAP_UM = 20_000
"""Film without it after which a line has ended, or as much as it is long."""
_NEAR_COUNT = 64
"""Latest defects of a class that one is compared with; more within millimetres are one gathering by any count."""
_CLUSTERS_COUNT = 8


@dataclass(slots=True, kw_only=True)
class Cluster:
    """Defects near one another."""

    rule: AcceptRule
    within_um: int
    first: str
    """Defect by which it is known."""
    marks: deque[Mark]
    """The latest."""
    count: int
    p_value: float


class GatheringWatch:
    """What gathers of one class on the present roll.

    Args:
        row: the class; None for one that the line model lacks, which has no rule.
        roll_m2: film of a whole roll.
    """

    def __init__(self, row: DefectClass | None, roll_m2: float) -> None:
        self._rule = next((rule for rule in row.accept if rule.kind == "cluster"), None) if row else None
        self._lines = row is not None and row.size_measure == "width"
        self._roll_m2 = roll_m2
        self._near: deque[Mark] = deque(maxlen=_NEAR_COUNT)
        self._clusters: deque[Cluster] = deque(maxlen=_CLUSTERS_COUNT)

    def forget(self) -> None:
        """Begin a roll."""
        self._near.clear()
        self._clusters.clear()

    def came(self, mark: Mark, usual_per_m2: float) -> tuple[Cluster | None, bool]:
        """Take in a defect.

        Args:
            mark: of it.
            usual_per_m2: rate of its class.

        Returns:
            The cluster that it is of, new or known; and whether it is a defect of its own: neither part of a gathering
            nor the next piece of a line.
        """
        cluster, alone = self._cluster(mark, usual_per_m2), self._alone(mark)
        self._near.append(mark)
        return cluster, alone

    def _alone(self, mark: Mark) -> bool:
        for other in reversed(self._near):
            if not self._lines and mark.md_um - other.md_um > _GATHERED_UM + _STRIP_UM:
                break
            if mark.apart_um(other) <= _GATHERED_UM or (self._lines and _goes_on(other, mark)):
                return False
        return True

    def _cluster(self, mark: Mark, usual_per_m2: float) -> Cluster | None:
        rule = self._rule
        if rule is None or rule.count is None or rule.within_um is None:
            return None
        within_um = rule.within_um
        known = next((row for row in self._clusters if any(mark.apart_um(one) <= within_um for one in row.marks)), None)
        if known is not None:
            known.marks.append(mark)
            known.count += 1
            return known
        near = [other for other in self._near if mark.apart_um(other) <= within_um]
        if len(near) + 1 < rule.count:
            return None
        mean = usual_per_m2 * (2e-6 * within_um) ** 2
        # Any defect of a roll might have been the one with others so near.
        chance = min(1.0, tail_probability(len(near), mean, 0.0) * max(1.0, usual_per_m2 * self._roll_m2))
        cluster = Cluster(
            rule=rule,
            within_um=within_um,
            first=near[0].defect,
            marks=deque([*near, mark], maxlen=_NEAR_COUNT),
            count=len(near) + 1,
            p_value=chance,
        )
        self._clusters.append(cluster)
        return cluster


def _goes_on(line: Mark, mark: Mark) -> bool:
    """Whether a defect is the next piece of a line."""
    gap_um = mark.md_start_um - line.md_end_um
    return abs(mark.cd_um - line.cd_um) <= _GATHERED_UM and gap_um <= max(_LINE_GAP_UM, line.length_um)

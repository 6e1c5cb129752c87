"""A film roll as it really is: what was so when it was coated, and its flaws."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from plant.truth_types import Flaw

STEP_UM = 500_000
"""Film between two looks at the tags, on a line that is watched."""
PAST_STEP_UM = 1_000_000
"""The same, in a past that is lived in seconds."""
LONG_UM = 50_000.0
"""A longer flaw is looked up on its own, since it reaches into film far from its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locus:
    """A place across the web where the flaws of a class gather while a fault lasts."""

    defect: str
    cd_um: int
    share: float
    """Strength times amplitude of the fault now."""
    persistent: bool
    size_um: float | None
    period_um: float | None
    mass_fraction: float
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What was so on the line when the web had travelled to a step of the roll."""

    at_ns: int
    z: NDArray[np.float64]
    """Deviation of each driving variable, in the order of `FilmProcess.variables`."""
    zone1_c: float
    zone1_air_m_per_s: float
    speed_m_per_min: float
    wet_um: float
    viscosity_pa_s: float
    gap_um: float
    mass_ratio: float
    hood_dose_pa_h: float
    """Water pressure over the caster, integrated since the line's life began."""
    binder_wt_percent: float
    rates: Mapping[str, float] = field(default_factory=dict)
    """Factors on classes by faults, and by causes that no sensor sees."""
    loci: tuple[Locus, ...] = ()


@dataclass(slots=True, kw_only=True)
class FilmRoll:
    """A film roll as it really is, in as-coated coordinates."""

    roll: str
    batch: str
    number: int
    length_um: int
    rng: np.random.Generator
    step_um: int = STEP_UM
    moments: list[Moment] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    """In order of their middles."""
    middles: list[int] = field(default_factory=list)
    long: list[Flaw] = field(default_factory=list)
    killers: list[Flaw] = field(default_factory=list)
    """In order of their middles, which `killer_middles` repeats."""
    killer_middles: list[int] = field(default_factory=list)
    killer_reach_um: float = 0.0
    """Half of the longest."""
    blister_exponent: list[float] = field(default_factory=list)
    """By step: what the coated film brings to the lamination."""
    mass_ratio: list[float] = field(default_factory=list)
    done_steps: int = 0
    gamma: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    """By class, on the present stretch."""
    gamma_stretch: int = -1
    fresh: list[Flaw] = field(default_factory=list)
    """Not yet written to the sealed truth."""

    @property
    def steps(self) -> int:
        return math.ceil(self.length_um / self.step_um)

    def add(self, flaw: Flaw) -> None:
        """Put a flaw in its place."""
        place = bisect_left(self.middles, flaw.md_um)
        self.middles.insert(place, flaw.md_um)
        self.flaws.insert(place, flaw)
        self.fresh.append(flaw)
        if flaw.length_um > LONG_UM:
            self.long.append(flaw)
        if flaw.killer:
            place = bisect_left(self.killer_middles, flaw.md_um)
            self.killers.insert(place, flaw)
            self.killer_middles.insert(place, flaw.md_um)
            self.killer_reach_um = max(self.killer_reach_um, flaw.length_um / 2)

    def between(self, start_um: int, end_um: int) -> list[Flaw]:
        """Flaws that reach into a stretch."""
        half = int(LONG_UM / 2)
        low, high = bisect_left(self.middles, start_um - half), bisect_left(self.middles, end_um + half)
        found = [
            flaw
            for flaw in self.flaws[low:high]
            if flaw.length_um <= LONG_UM
            and flaw.md_um + flaw.length_um / 2 >= start_um
            and flaw.md_um - flaw.length_um / 2 <= end_um
        ]
        found += [
            flaw
            for flaw in self.long
            if flaw.md_um + flaw.length_um / 2 >= start_um and flaw.md_um - flaw.length_um / 2 <= end_um
        ]
        return sorted(found, key=lambda flaw: (flaw.md_um, flaw.flaw))

    def killers_in(self, start_um: float, end_um: float, cd_low_um: float, cd_high_um: float) -> list[Flaw]:
        """Killers that reach into a rectangle of the film."""
        low = bisect_left(self.killer_middles, start_um - self.killer_reach_um)
        high = bisect_right(self.killer_middles, end_um + self.killer_reach_um)
        return on_sheet(self.killers[low:high], start_um, end_um, cd_low_um, cd_high_um) if low < high else []

    def passed_ns(self, encoder_um: float) -> int:
        """When the web had travelled so far, between the steps in a straight line."""
        place = min(max(int(encoder_um // self.step_um), 0), len(self.moments) - 2)
        if place < 0:
            return self.moments[0].at_ns
        before, after = self.moments[place].at_ns, self.moments[place + 1].at_ns
        return int(before + (after - before) * (encoder_um / self.step_um - place))


def on_sheet(flaws: Sequence[Flaw], start_um: float, end_um: float, cd_low_um: float, cd_high_um: float) -> list[Flaw]:
    """Flaws that reach into a rectangle of the film."""
    return [
        flaw
        for flaw in flaws
        if flaw.md_um + flaw.length_um / 2 > start_um
        and flaw.md_um - flaw.length_um / 2 < end_um
        and flaw.cd_um + flaw.width_um / 2 > cd_low_um
        and flaw.cd_um - flaw.width_um / 2 < cd_high_um
    ]

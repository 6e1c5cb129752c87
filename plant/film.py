"""Flaws of the electrolyte film: a point process along the web, evaluated at metres and not at seconds.

A stretch of film gets its flaws once it has passed the last place of the casting line where a tag acts on it, which is
before the camera. Each driver counts with the value that its tag had when this stretch passed the place where the tag
acts. Counts are Poisson with a gamma factor per class and stretch of 2 m, hence negative binomial there (R14).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from line.model import LineModel
from line.relations_defects import kill_probability
from line.relations_film import (
    blister_rate_factor,
    crack_rate_factor,
    critical_wet_thickness_um,
    drying_rate_g_per_m2_s,
    low_flow_limit_um,
    low_flow_streak_factor,
    peclet_number,
    peel_n_per_m,
)
from plant.film_roll import LONG_UM, FilmRoll, Locus, Moment
from plant.hidden import Hidden, HiddenDefect, Link
from plant.truth_types import Flaw

_STRETCH_UM = 2_000_000
"""Film that shares one gamma factor."""
_CLUSTER_FRACTION = 0.06
_CLUSTER_LEAST, _CLUSTER_MOST = 3, 10
_NEAR_EDGE = {"DIS": 0.5, "WRK": 0.5}
_DEPTH = {"PIN": (0.6, 1.0), "CRK": (0.7, 1.0), "AGG": (0.2, 0.9), "MET": (0.5, 1.0), "FIB": (0.2, 0.8),
          "STR": (0.05, 0.35), "SCR": (0.05, 0.5), "BUB": (0.3, 1.0), "BLI": (0.1, 0.5),
          "DIS": (0.0, 0.05), "WRK": (0.1, 0.6), "THK": (0.05, 0.12)}  # fmt: skip
_LATER = {"S07": "lamination", "S08": "calendering", "S09": "cutting"}


class FilmProcess:
    """Turns what was so into flaws.

    Args:
        hidden: strengths, structure and kill curves of this line.
    """

    def __init__(self, line: LineModel, hidden: Hidden) -> None:
        self._line = line
        self._hidden = hidden
        self.width_um = line.web("film").coat_width_um
        self._cap = math.log(line.defect_model.rate_cap_factor)
        self._dispersion = line.defect_model.count_dispersion
        self._classes: dict[str, HiddenDefect] = {row.code: row for row in hidden.defects}
        offsets = {link.tag: line.web_position_um(link.tag) for link in hidden.links}
        inline = [link for link in hidden.links if offsets[link.tag] is not None]
        self._later_links = tuple(link for link in hidden.links if offsets[link.tag] is None)
        self.variables: tuple[str, ...] = tuple(sorted({link.tag for link in inline}))
        place = {name: number for number, name in enumerate(self.variables)}
        codes = list(self._classes)
        self._codes = codes
        self._links = inline
        self._variable = np.array([place[link.tag] for link in inline], dtype=np.intp)
        self._defect = np.array([codes.index(link.defect) for link in inline], dtype=np.intp)
        self._beta = np.array([link.beta for link in inline])
        self._up = np.array([link.side != "-" for link in inline])
        self._down = np.array([link.side != "+" for link in inline])
        self._bend = np.array([("straight", "saturating", "threshold", "square").index(link.bend) for link in inline])
        self._bent = bool(self._bend.any())
        self._offset_um = np.array([float(offsets[name] or 0) for name in self.variables])
        self.last_place_um = max((offset for offset in offsets.values() if offset is not None), default=0)
        self._wet_um = line.position("wet_gauge").offset_um
        self._zone1_um = line.position("zone1_in").offset_um
        self._columns = np.arange(len(self.variables))
        self._coated = np.array([self._classes[code].stage != "lamination" for code in codes])
        self._rates = np.array([self._classes[code].rate_per_m2 for code in codes])
        self._clusters = np.ones(len(codes))
        if "PIN" in codes:
            self._clusters[codes.index("PIN")] += _CLUSTER_FRACTION * ((_CLUSTER_LEAST + _CLUSTER_MOST) / 2 - 1)

    def finish_steps(self, roll: FilmRoll, encoder_um: int) -> None:
        """Give all film its flaws that has passed the last place where a tag acts on it."""
        ready = (encoder_um - self.last_place_um) // roll.step_um
        while roll.done_steps < min(ready, roll.steps):
            self._step(roll, roll.done_steps)
            roll.done_steps += 1

    def rates_per_m2(self, z: NDArray[np.float64]) -> dict[str, float]:
        """Rate of every class for one deviation per variable."""
        exponents = np.minimum(self._exponents(z), self._cap)
        return {code: self._classes[code].rate_per_m2 * math.exp(exponents[k]) for k, code in enumerate(self._codes)}

    def _exponents(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        driven = z[self._variable]
        g: NDArray[np.float64] = np.where(self._up, np.maximum(driven, 0.0), 0.0)
        g = g + np.where(self._down, np.maximum(-driven, 0.0), 0.0)
        if self._bent:
            capped = np.minimum(g, 3.0)
            forms: list[NDArray[np.float64]] = [
                1.5 * np.tanh(g / 1.5),
                1.4 * np.maximum(g - 0.7, 0.0),
                capped * capped / 1.5,
            ]
            for number, bent in enumerate(forms, 1):
                g = np.where(self._bend == number, bent, g)
        return np.asarray(np.bincount(self._defect, self._beta * g, len(self._codes)), dtype=np.float64)

    def _step(self, roll: FilmRoll, step: int) -> None:
        """Flaws of one step of film."""
        last, step_um = len(roll.moments) - 1, roll.step_um
        # what acts on the middle of the step stood at the look after it passed
        places: NDArray[np.intp] = np.minimum((step + 1 + self._offset_um / step_um).astype(np.intp), last)
        first = int(places.min())
        z = np.array([moment.z for moment in roll.moments[first : int(places.max()) + 1]])[
            places - first, self._columns
        ]
        die = roll.moments[min(step + 1, last)]
        zone1 = roll.moments[min(step + 1 + self._zone1_um // step_um, last)]
        wet_um = roll.moments[min(step + 1 + self._wet_um // step_um, last)].wet_um
        exponents = np.minimum(self._exponents(z), self._cap)
        factors = self._relation_factors(die, zone1, wet_um)
        start_um = step * step_um
        end_um = min(start_um + step_um, roll.length_um)
        area_m2 = (end_um - start_um) * 1e-12 * self.width_um
        self._renew_gamma(roll, start_um)
        more = np.array([factors.get(code, 1.0) * die.rates.get(code, 1.0) for code in self._codes])
        ratios = np.exp(exponents) * more
        means = self._rates * ratios * roll.gamma * area_m2 / self._clusters
        counts = roll.rng.poisson(np.where(self._coated, means, 0.0))
        for k in np.flatnonzero(counts):
            code = self._codes[k]
            locus = next((entry for entry in die.loci if entry.defect == code), None)
            for _ in range(int(counts[k])):
                self._draw(roll, self._classes[code], start_um, end_um, locus, float(ratios[k]))
        for locus in die.loci:
            if locus.persistent:
                self._line_piece(roll, locus, step, start_um, end_um)
        blister = self._codes.index("BLI") if "BLI" in self._codes else None
        roll.blister_exponent.append(
            0.0 if blister is None else float(exponents[blister]) + math.log(factors.get("BLI", 1.0))
        )
        roll.mass_ratio.append(die.mass_ratio)

    def _relation_factors(self, die: Moment, zone1: Moment, wet_um: float) -> dict[str, float]:
        """R02 on streaks, R12 on cracks, R13 on blisters: they stand beside the driver matrix."""
        model = self._line.defect_model
        limit_um: float = low_flow_limit_um(
            die.speed_m_per_min, gap_um=die.gap_um, viscosity_at_100_per_s_pa_s=die.viscosity_pa_s
        )
        streak: float = low_flow_streak_factor(
            wet_um, limit_um, factor=model.low_flow_factor, margin=model.low_flow_margin
        )
        critical_um: float = critical_wet_thickness_um(die.binder_wt_percent, zone1.zone1_c)
        crack: float = crack_rate_factor(wet_um, critical_um)
        rate: float = drying_rate_g_per_m2_s(zone1.zone1_air_m_per_s, zone1.zone1_c)
        peclet: float = peclet_number(rate, wet_um)
        blister: float = blister_rate_factor(peel_n_per_m(peclet))
        return {"STR": streak, "CRK": crack, "BLI": blister}

    def _renew_gamma(self, roll: FilmRoll, start_um: int) -> None:
        stretch = start_um // _STRETCH_UM
        if stretch != roll.gamma_stretch:
            roll.gamma_stretch = stretch
            roll.gamma = roll.rng.gamma(self._dispersion, 1 / self._dispersion, len(self._codes))

    def _draw(
        self, roll: FilmRoll, row: HiddenDefect, start_um: int, end_um: int, locus: Locus | None, ratio: float
    ) -> None:
        """One flaw, or a cluster of pinholes."""
        rng = roll.rng
        md_um = int(rng.integers(start_um, end_um))
        cause = ""
        if locus is not None and rng.random() < 1 - 1 / max(ratio, 1.0):
            if locus.persistent:
                # what comes more is the line itself
                return
            cd_um = int(np.clip(locus.cd_um + rng.normal(0.0, 300.0), 0, self.width_um))
            cause = locus.cause
            if locus.period_um:
                turn = round(md_um / locus.period_um)
                md_um = int(np.clip(turn * locus.period_um + rng.normal(0.0, 400.0), 0, roll.length_um - 1))
        else:
            cd_um = self._cd_um(row.code, rng)
        count, spread_um = 1, 0.0
        if row.code == "PIN" and rng.random() < _CLUSTER_FRACTION:
            count = int(rng.integers(_CLUSTER_LEAST, _CLUSTER_MOST + 1))
            spread_um = 600.0
        for _ in range(count):
            self._put(roll, row, md_um, cd_um, cause)
            md_um = min(md_um + int(rng.exponential(spread_um)) if spread_um else md_um, roll.length_um - 1)
            cd_um = int(np.clip(cd_um + rng.normal(0.0, spread_um / 4), 0, self.width_um))

    def _cd_um(self, code: str, rng: np.random.Generator) -> int:
        if rng.random() < _NEAR_EDGE.get(code, 0.0):
            from_edge = int(rng.integers(0, 40_000))
            return from_edge if rng.random() < 0.5 else self.width_um - from_edge
        return int(rng.integers(0, self.width_um))

    def _put(self, roll: FilmRoll, row: HiddenDefect, md_um: int, cd_um: int, cause: str) -> None:
        """Shape, depth and fate of one flaw whose first place on the web is known."""
        rng = roll.rng
        size_um = max(row.median_um * math.exp(row.sigma_ln * rng.standard_normal()), row.min_um)
        length_um, width_um, angle_rad = _shape(row, size_um, rng)
        if length_um > LONG_UM:
            # a long flaw is found where it begins; the web has not come further yet
            length_um = min(length_um, float(roll.length_um - md_um))
            md_um += int(length_um / 2)
        low, high = _DEPTH.get(row.code, (0.2, 0.8))
        self._add(
            roll, row, md_um, cd_um, size_um, length_um, width_um, float(rng.uniform(low, high)), angle_rad, cause
        )

    def _line_piece(self, roll: FilmRoll, locus: Locus, step: int, start_um: int, end_um: int) -> None:
        """The part of a persistent line that lies in one step of film; parts touch, so that they are one line."""
        before = roll.moments[step] if step < len(roll.moments) else None
        known = before is not None and any(row.persistent and row.defect == locus.defect for row in before.loci)
        if not known:
            start_um = int(roll.rng.integers(start_um, end_um))
        row = self._classes[locus.defect]
        size_um = (locus.size_um or row.median_um) * math.sqrt(locus.share) * math.exp(0.1 * roll.rng.standard_normal())
        # a line is drawn with tapered ends, so its pieces overlap by one taper
        length_um = float(end_um - start_um) + 3_000.0
        depth = min(abs(locus.mass_fraction) * locus.share + 0.05, 1.0)
        middle_um = (start_um + end_um) // 2
        self._add(roll, row, middle_um, locus.cd_um, size_um, length_um, size_um, depth, 0.0, locus.cause)

    def _add(
        self, roll: FilmRoll, row: HiddenDefect, md_um: int, cd_um: int, size_um: float, length_um: float,
        width_um: float, depth: float, angle_rad: float, cause: str, born_ns: int | None = None,
    ) -> None:  # fmt: skip
        chance: float = kill_probability(size_um, row.kill.d50_um, row.kill.s)
        roll.add(
            Flaw(
                flaw=f"{roll.roll}/f{len(roll.flaws) + 1:04d}",
                roll=roll.roll,
                kind=row.code,
                md_um=md_um,
                cd_um=cd_um,
                size_um=size_um,
                length_um=length_um,
                width_um=width_um,
                depth_fraction=depth,
                angle_rad=angle_rad,
                born_ns=roll.passed_ns(md_um) if born_ns is None else born_ns,
                killer=bool(roll.rng.random() < chance),
                cause=cause,
            )
        )

    def later(self, roll: FilmRoll, station: str, z: Mapping[str, float], at_ns: int) -> list[Flaw]:
        """Flaws that a station behind the camera adds to a film roll that it processes; nothing looks at these.

        Args:
            station: S07, S08 or S09.
            z: deviation of every tag of the line, by name.
            at_ns: when.
        """
        if station not in _LATER:
            raise ValueError(f"station {station} adds no flaws; expected one of {', '.join(_LATER)}")
        exponent: dict[str, float] = {}
        for link in self._later_links:
            if link.tag.startswith(station):
                exponent[link.defect] = exponent.get(link.defect, 0.0) + link.beta * driving(link, z[link.tag])
        before = len(roll.flaws)
        area_m2 = roll.length_um * 1e-12 * self.width_um
        for code, row in self._classes.items():
            if row.stage == "lamination" and station == "S07":
                by_step = np.minimum(np.array(roll.blister_exponent) + exponent.get(code, 0.0), self._cap)
                weights = np.exp(by_step)
                mean = row.rate_per_m2 * area_m2 * float(weights.mean()) if len(weights) else 0.0
            elif code in exponent:
                # the film has its own share already; this is what the later station adds to it
                mean = row.rate_per_m2 * area_m2 * (math.exp(min(exponent[code], self._cap)) - 1)
                weights = np.ones(max(len(roll.blister_exponent), 1))
            else:
                continue
            for _ in range(int(roll.rng.poisson(mean))):
                step = int(roll.rng.choice(len(weights), p=weights / weights.sum()))
                md_um = min(step * roll.step_um + int(roll.rng.integers(roll.step_um)), roll.length_um - 1)
                size_um = max(row.median_um * math.exp(row.sigma_ln * roll.rng.standard_normal()), row.min_um)
                length_um, width_um, angle_rad = _shape(row, size_um, roll.rng)
                cd_um = self._cd_um(code, roll.rng)
                self._add(roll, row, md_um, cd_um, size_um, length_um, width_um, 0.3, angle_rad, _LATER[station], at_ns)
        return [flaw for flaw in roll.flaws if flaw.born_ns == at_ns] if len(roll.flaws) > before else []


def driving(link: Link, z: float) -> float:
    """The part of a deviation that drives, bent as this line bends it."""
    g = abs(z) if link.side == "+-" else max(z, 0.0) if link.side == "+" else max(-z, 0.0)
    match link.bend:
        case "saturating":
            return 1.5 * math.tanh(g / 1.5)
        case "threshold":
            return 1.4 * max(g - 0.7, 0.0)
        case "square":
            return min(g, 3.0) ** 2 / 1.5
        case _:
            return g


def _shape(row: HiddenDefect, size_um: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Extent along and across the web, and the angle of the long axis against the web direction."""
    if row.code == "STR":
        length_um = float(np.clip(row.aspect * size_um * math.exp(0.8 * rng.standard_normal()), 50_000.0, 2e7))
        return length_um, size_um, 0.0
    if row.code == "SCR":
        return row.aspect * size_um, size_um, float(rng.normal(0.0, 0.01))
    if row.code == "THK":
        return size_um, min(row.aspect * size_um, 150_000.0), 0.0
    if row.measure == "length":
        angle_rad = math.pi / 2 if rng.random() < 0.3 else float(rng.uniform(-math.pi / 2, math.pi / 2))
        across_um = size_um / row.aspect
        along = size_um * abs(math.cos(angle_rad)) + across_um * abs(math.sin(angle_rad))
        across = size_um * abs(math.sin(angle_rad)) + across_um * abs(math.cos(angle_rad))
        return along, across, angle_rad
    long_um, short_um = size_um * math.sqrt(row.aspect), size_um / math.sqrt(row.aspect)
    angle_rad = 0.0 if row.code == "AGG" else float(rng.uniform(-math.pi / 2, math.pi / 2))
    along = math.hypot(long_um * math.cos(angle_rad), short_um * math.sin(angle_rad))
    across = math.hypot(long_um * math.sin(angle_rad), short_um * math.cos(angle_rad))
    return along, across, angle_rad

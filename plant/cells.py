"""Whether a cell passes, and what its test shows: killers in its film, overhang, pressing, moisture, and chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from line.model import LineModel
from line.relations_cell import (
    capacity_ah,
    cathode_asr_ohm_cm2,
    conductivity_ms_per_cm,
    dcir_mohm,
    edge_crack_probability,
    electrolyte_asr_ohm_cm2,
    interface_asr_ohm_cm2,
    wip_porosity,
)
from line.relations_defects import (
    HARD_SHORT_FRACTION,
    SOFT_SHORT_FRACTION,
    healthy_self_discharge_mv_per_day,
    kill_probability,
    soft_short_self_discharge_mv_per_day,
)
from line.relations_film import calender_conductivity_factor
from plant.film import driving
from plant.hidden import Hidden
from plant.stock import CathodeRoll, LaminateRoll, Sheet, conductivity_left, film_moisture
from plant.surroundings import Surroundings
from plant.truth_types import Flaw, PlacedSheet

Stage = Literal["none", "formation", "ageing", "latent", "test"]
_EDGE_SHORT = 0.85
"""Chance that a cathode edge that faces no anode fails the cell."""
_DENSITY = 1.822
_SIGNS = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
"""Of x and y at the four corners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A sheet on its stack."""

    sheet: Sheet
    placed: PlacedSheet
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PressCycle:
    """What one cycle of the press did to all its stacks."""

    pressure_mpa: float
    temperature_c: float
    dwell_s: float
    ramp_mpa_per_s: float
    depress_z: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFate:
    """What a cell is, before anybody has tested it."""

    cause: str
    """Why it will fail: `film`, `overhang`, `edge crack`, `blister`, `unseen`; empty for a sound cell."""
    stage: Stage
    """Where that shows."""
    killers: tuple[tuple[int, str, str], ...]
    """Layer, face and flaw of every killer in it."""
    least_overhang_um: float
    capacity_ah: float
    dcir_mohm: float
    acir_mohm: float
    self_discharge_mv_per_d: float
    coulombic_fraction: float
    ocv_mv: float
    end_voltage_v: float
    insulation_mohm: float
    thickness_mm: float
    mass_g: float


class CellMaker:
    """Makes cells out of stacks, as nature would."""

    def __init__(self, line: LineModel, hidden: Hidden, surroundings: Surroundings, *, seed: int) -> None:
        self._line = line
        self._hidden = hidden
        self._around = surroundings
        self._seed = seed
        self._press_links = tuple(link for link in hidden.links if link.tag == "S13.DepressRate")
        self._limits = {name: line.tag(f"S18.{name}") for name in ("Capacity", "DCIR10s", "ACIR1k", "Insulation",
                                                                   "Thickness", "Mass")}  # fmt: skip
        self._drop_limit = line.tag("S17.dOCV").alarm_high or 0.71

    def fate(
        self, layers: Sequence[Layer], press: PressCycle, stacked_ns: int, bagged_ns: int, *, number: int,
        overhang_um: float,
    ) -> CellFate:  # fmt: skip
        """What becomes of a stack that was pressed and sealed; the same stack has the same fate.

        Args:
            stacked_ns: when stacking began.
            bagged_ns: when it left the room's air.
            number: of the cell, which seeds what is left to chance.
            overhang_um: the least of its edge readings.
        """
        rng = np.random.default_rng([self._seed, 0xCE, number])
        killers = self.killers(layers)
        cause, stage = self._death(killers, overhang_um, press, rng)
        asr, conductivity_share, loading, thickness = self._resistance(layers, press, stacked_ns, bagged_ns)
        draws: list[float] = rng.standard_normal(9).tolist()
        drop: float = healthy_self_discharge_mv_per_day(draws[0])
        if stage == "ageing":
            drop = max(drop, float(soft_short_self_discharge_mv_per_day(draws[1])))
        missing_cm2 = 140.0 * max(-overhang_um, 0.0) * 1e-3 / 100.0
        capacity: float = capacity_ah(loading_ratio=loading, asr_ohm_cm2=asr, missing_area_cm2=missing_cm2)
        resistance: float = dcir_mohm(asr)
        insulation = 1000.0 * math.exp(0.15 * draws[2])
        if stage == "test":
            insulation = 20.0 * math.exp(0.5 * draws[2])
        return CellFate(
            cause=cause,
            stage=stage,
            killers=tuple((layer, face, flaw.flaw) for layer, face, flaw in killers),
            least_overhang_um=overhang_um,
            capacity_ah=capacity * (1 + 0.004 * draws[3]),
            dcir_mohm=resistance * (1 + 0.012 * draws[4]),
            acir_mohm=2.3 * (0.5 + 0.5 / conductivity_share) * (1 + 0.02 * draws[5]),
            self_discharge_mv_per_d=drop,
            coulombic_fraction=0.89 + 0.003 * draws[6] - (0.03 if cause == "overhang" else 0.0),
            ocv_mv=3680.0 + 2.0 * draws[7],
            end_voltage_v=4.25 + 0.0012 * draws[8],
            insulation_mohm=insulation,
            thickness_mm=4.95 + thickness * 36 * 1e-3 + 0.015 * float(rng.standard_normal()),
            mass_g=205.0 + 0.8 * float(rng.standard_normal()),
        )

    def killers(self, layers: Sequence[Layer]) -> list[tuple[int, str, Flaw]]:
        """Killers under the active area of a stack: layer, face and flaw."""
        found: list[tuple[int, str, Flaw]] = []
        cathode = self._line.product().sheet("cathode")
        for layer in layers:
            web = layer.sheet.web
            if not isinstance(web, LaminateRoll):
                continue
            for face in ("bottom", "top"):
                # no cathode lies below the lowest laminate, none above the highest
                outer = 1 if face == "bottom" else self._line.product().placements
                if layer.placed.layer == outer:
                    continue
                found += [
                    (layer.placed.layer, face, flaw) for flaw in self._on_face(layer.sheet, web, face, cathode.md_um)
                ]
        return found

    def _on_face(self, sheet: Sheet, web: LaminateRoll, face: str, active_um: int) -> list[Flaw]:
        """Killers of one face under the cathode that faces it."""
        source = web.faces[face]
        if not source.roll.killers:
            return []
        lane = next(row for row in self._line.web("laminate").lanes if row.number == sheet.lane)
        middle_um = (lane.cd_low_um + lane.cd_high_um) / 2
        half_cd = self._line.product().sheet("cathode").cd_um / 2
        centre_um = (sheet.start_um + sheet.end_um) / 2
        stretch = 1 + web.stretch
        low, high = (centre_um - active_um / 2) / stretch, (centre_um + active_um / 2) / stretch
        found: list[Flaw] = []
        for start_um, end_um in source.film_um(low, high):
            found += source.roll.killers_in(start_um, end_um, middle_um - half_cd, middle_um + half_cd)
        return found

    def least_overhang_um(self, layers: Sequence[Layer]) -> float:
        """The least of all edge readings of a stack, against the laminate below and the one above."""
        placed = [layer.placed for layer in layers]
        pairs = [
            (row, placed[other])
            for place, row in enumerate(placed)
            if row.kind == "cathode"
            for other in (place - 1, place + 1)
            if 0 <= other < len(placed)
        ]
        return float(least_overhangs_um(pairs).min()) if pairs else 0.0

    def _death(
        self, killers: Sequence[tuple[int, str, Flaw]], overhang_um: float, press: PressCycle, rng: np.random.Generator
    ) -> tuple[str, Stage]:
        """Why a cell dies, and where that shows (R24, R25 and the hidden rest)."""
        draws: list[float] = rng.random(6).tolist()
        cause = ""
        blister: float = 0.0
        for link in self._press_links:
            row = self._hidden.defect(link.defect)
            extra = math.exp(min(link.beta * driving(link, press.depress_z), math.log(50.0))) - 1
            kills: float = kill_probability(row.median_um, row.kill.d50_um, row.kill.s)
            blister += row.rate_per_m2 * extra * kills * self._line.product().active_area_m2
        short_um = 1 - max(overhang_um, 0.0) / self._line.product().stack.overhang_low_um
        plating = _EDGE_SHORT if overhang_um < 0 else self._hidden.plating_probability * max(short_um, 0.0)
        crack: float = edge_crack_probability(press.pressure_mpa, press.ramp_mpa_per_s)
        if killers:
            cause = "film"
        elif draws[0] < plating:
            cause = "overhang"
        elif draws[1] < crack:
            cause = "edge crack"
        elif draws[2] < -math.expm1(-blister):
            cause = "blister"
        elif draws[3] < self._hidden.base_failure_fraction:
            return "unseen", "formation" if draws[4] < 0.5 else "test"
        if not cause:
            return "", "none"
        if draws[5] < HARD_SHORT_FRACTION:
            return cause, "formation"
        return cause, "ageing" if draws[5] < HARD_SHORT_FRACTION + SOFT_SHORT_FRACTION else "latent"

    def _resistance(
        self, layers: Sequence[Layer], press: PressCycle, stacked_ns: int, bagged_ns: int
    ) -> tuple[float, float, float, float]:
        """ASR [ohm cm2], conductivity left, loading ratio, film thickness above nominal [um] (R05 to R09, R19)."""
        room = self._around.room_dose_pa_h(stacked_ns, bagged_ns)
        hours = (bagged_ns - stacked_ns) / 3.6e12
        # frost point -60 °C is 1.08 Pa; what is usual is in the nominal conductivity already
        excess_room = self._hidden.moisture_scale * max(room - 1.08 * hours, 0.0)
        sigma_inverse: list[float] = []
        thickness: list[float] = []
        moist: list[float] = []
        loadings: list[float] = []
        seen: dict[tuple[str, str, int], tuple[float, float, float]] = {}
        for layer in layers:
            web = layer.sheet.web
            if isinstance(web, CathodeRoll):
                loadings.append(web.loading_ratio)
                continue
            for face in ("bottom", "top"):
                key = (web.roll, face, layer.sheet.start_um // 500_000)
                if key not in seen:
                    seen[key] = self._of_film(web, face, layer.sheet, press, excess_room)
                h_um, sigma, left = seen[key]
                thickness.append(h_um)
                sigma_inverse.append(1 / sigma)
                moist.append(left)
        h_um = float(np.mean(thickness))
        left = float(np.mean(moist))
        film: float = electrolyte_asr_ohm_cm2(h_um, 1 / float(np.mean(sigma_inverse)))
        cathode: float = cathode_asr_ohm_cm2()
        interface: float = interface_asr_ohm_cm2(moisture_factor=left, pressure_mpa=press.pressure_mpa)
        return film + cathode + interface, left, float(np.mean(loadings)), h_um - 29.75

    def _of_film(
        self, web: LaminateRoll, face: str, sheet: Sheet, press: PressCycle, excess_room: float
    ) -> tuple[float, float, float]:
        """Thickness [um], conductivity [mS/cm] and the share of it that moisture left, of one stretch of film."""
        source = web.faces[face]
        stretches = source.film_um(sheet.start_um / (1 + web.stretch), sheet.end_um / (1 + web.stretch))
        md_um = stretches[0][0] if stretches else 0.0
        step = min(max(int(md_um // source.roll.step_um), 0), max(len(source.roll.mass_ratio) - 1, 0))
        mass = 50.0 * (source.roll.mass_ratio[step] if source.roll.mass_ratio else 1.0)
        pores: float = wip_porosity(press.pressure_mpa, press.temperature_c, press.dwell_s, porosity_in=web.porosity)
        excess = excess_room + film_moisture(source.roll, md_um, self._hidden.moisture_scale)
        left = conductivity_left(excess)
        sigma: float = conductivity_ms_per_cm(pores, moisture_factor=left)
        sigma *= float(calender_conductivity_factor(web.line_load, web.roll_temperature_c))
        return mass / (_DENSITY * (1 - pores)), sigma, left

    def fail_codes(self, fate: CellFate) -> tuple[str, ...]:
        """Names of the test's limits that a cell breaks."""
        found = {
            "Capacity": fate.capacity_ah,
            "DCIR10s": fate.dcir_mohm,
            "ACIR1k": fate.acir_mohm,
            "Insulation": fate.insulation_mohm,
            "Thickness": fate.thickness_mm,
            "Mass": fate.mass_g,
        }
        codes = [
            name
            for name, value in found.items()
            if not _within(value, self._limits[name].alarm_low, self._limits[name].alarm_high)
        ]
        if fate.self_discharge_mv_per_d > self._drop_limit:
            codes.append("dOCV")
        return tuple(codes)

    def grade(self, fate: CellFate, codes: Sequence[str]) -> str:
        """A within 2 % of the capacity and in the normal range of resistance and self-discharge, else B; F failed."""
        if codes:
            return "F"
        normal = self._limits["DCIR10s"].normal_high
        good = abs(fate.capacity_ah / self._line.product().capacity_ah - 1) < 0.02 and fate.dcir_mohm <= normal
        return "A" if good and fate.self_discharge_mv_per_d <= self._line.tag("S17.dOCV").normal_high else "B"


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def least_overhangs_um(pairs: Sequence[tuple[PlacedSheet, PlacedSheet]]) -> NDArray[np.float64]:
    """For each cathode and laminate the least of their eight readings [um], shape (pairs,); R18, both turned."""

    def corners(sheets: Sequence[PlacedSheet]) -> NDArray[np.float64]:
        values = np.array([
            (row.offset_x_um, row.offset_y_um, row.rotation_urad, row.size_x_um, row.size_y_um) for row in sheets
        ])
        turn = values[:, 2:3] * 1e-6
        half_x, half_y = values[:, 3:4] / 2 * _SIGNS[:, 0], values[:, 4:5] / 2 * _SIGNS[:, 1]
        x = values[:, 0:1] + half_x * np.cos(turn) - half_y * np.sin(turn)
        y = values[:, 1:2] + half_x * np.sin(turn) + half_y * np.cos(turn)
        return np.stack((x, y), axis=-1)

    beyond = (corners([laminate for _, laminate in pairs]) - corners([cathode for cathode, _ in pairs])) * _SIGNS
    least: NDArray[np.float64] = beyond.min(axis=(1, 2))
    return least

"""All tags of the line: what is so, and what the sensors say.

What is so moves slowly (room, drift, batch, fault) and decides what happens to the film; it is a function of the events
of the line and never of who looks. What a sensor says has in addition the fast noise of its kind, an AR(1) that is
exact for any step, and its lies; it draws from a stream of its own.

Noise: sigma is a quarter of the half normal range; 600 s for the room, 30 s for temperatures, 3 s for the rest (D).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from line.model import LineModel
from line.relations_cell import h2s_release_cc_per_g_h, h2s_room_ppm, water_pressure_pa
from line.relations_film import (
    areal_mass_g_per_m2,
    calendered_porosity,
    dry_thickness_um,
    residual_solvent_wt_percent,
)
from plant.hidden import Hidden, Lie
from plant.scenario import ActiveScenario, TagChange

Values = NDArray[np.float64]

ROOM_S, TEMPERATURE_S, FAST_S = 600.0, 30.0, 3.0
BATCH_TAGS = ("S01.SolidContent", "S01.MixerTipSpeed", "S01.MixerTorque", "S01.DegasVacuum", "S01.DegasTime",
              "S01.WaterContent")  # fmt: skip
"""What a batch keeps from its mixing until its last film is coated."""
RUN_TAGS = ("S02.WebSpeed", "S02.PumpFlow", "S03.WebSpeed", "S03.PumpFlow", "S05.LineRate", "S06.WebSpeed",
            "S07.WebSpeed", "S08.Speed", "S09.CutSpeed")  # fmt: skip
"""What is 0 while its station does not run."""
MIXER_TAGS = ("S01.MixerTipSpeed", "S01.MixerTorque", "S01.DegasVacuum")
"""What the mixer shows while it mixes; between batches it holds what the last one had."""
_GAUGES = ("S05.ArealMass", "S05.ThicknessDry")
"""Measured in passing, and therefore with noise; what a part gave is a number in a record."""
_FILM_DENSITY = 1.822
_WEEK_S = 7 * 86400.0


class TagField:
    """The state of all tags. Vectors follow `names`, the line's order.

    Args:
        began_ns: when the line's life began; lies and drifts count from here.
    """

    def __init__(self, line: LineModel, hidden: Hidden, *, seed: int, began_ns: int) -> None:
        rows = line.all_tags()
        self.names: tuple[str, ...] = tuple(rows)
        self.index: dict[str, int] = {name: number for number, name in enumerate(self.names)}
        self.nominal: Values = np.array([row.nominal for row in rows.values()])
        self.half: Values = np.array([row.half_range for row in rows.values()])
        self.divisor: Values = np.where(self.half > 0, self.half, 1.0)
        self.event_driven = np.array([row.sampling_ms == 0 for row in rows.values()])
        self._sigma = self.half / 4
        self._room = np.array([line.station(name[:3]).kind == "room" for name in self.names])
        temperature = np.array([row.unit == "Cel" for row in rows.values()])
        self._fast_s: Values = np.where(temperature, TEMPERATURE_S, FAST_S)
        self._low = np.where(np.array([row.normal_low >= 0 for row in rows.values()]), 0.0, -np.inf)
        self._high = np.where(np.array([row.normal_high == 100 for row in rows.values()]), 100.0, np.inf)
        self._high[np.array([row.data_type == "bool" for row in rows.values()])] = 1.0
        self.set_point: Values = self.nominal.copy()
        self._wander_z: Values = np.zeros(len(rows))
        self._wander_s: Values = np.full(len(rows), 3600.0)
        for wander in hidden.wanders:
            self._wander_z[self.index[wander.tag]] = wander.z_sigma
            self._wander_s[self.index[wander.tag]] = wander.time_constant_h * 3600
        self._slow_rng = np.random.default_rng([seed, 0x51])
        self._fast_rng = np.random.default_rng([seed, 0xFA])
        self._began_ns = began_ns
        self._slow_ns = began_ns
        self._fast_ns = began_ns
        self._wander: Values = self._wander_z * self._slow_rng.standard_normal(len(rows))
        self._room_noise: Values = np.where(self._room, self._sigma, 0.0) * self._slow_rng.standard_normal(len(rows))
        self._fast: Values = np.where(self._room, 0.0, self._sigma) * self._fast_rng.standard_normal(len(rows))
        self.causes: dict[str, float] = {cause.name: 0.0 for cause in hidden.causes}
        self._cause_s = {cause.name: cause.time_constant_h * 3600 for cause in hidden.causes}
        self.measured: Values = np.full(len(rows), np.nan)
        """Values that a part or a place on the web gave, which stand until the next one; NaN where there is none."""
        self._lies = hidden.lies
        self._stuck: dict[str, float] = {}
        self._gauge_sigma = {self.index[name]: sigma for name, sigma in hidden.gauge_sigma.items()}
        self._places = _Places(self.index)

    def step(self, at_ns: int) -> None:
        """Move what is so to a later time; only the events of the line may call this."""
        step_s = (at_ns - self._slow_ns) / 1e9
        if step_s <= 0:
            return
        self._slow_ns = at_ns
        draws = self._slow_rng.standard_normal((2, len(self.names)))
        self._wander = _ar1(self._wander, step_s, self._wander_s, self._wander_z, draws[0])
        room_sigma = np.where(self._room, self._sigma, 0.0)
        self._room_noise = _ar1(self._room_noise, step_s, np.full(len(self.names), ROOM_S), room_sigma, draws[1])
        for name, time_constant_s in self._cause_s.items():
            keep = math.exp(-step_s / time_constant_s)
            self.causes[name] = keep * self.causes[name] + math.sqrt(1 - keep * keep) * self._slow_rng.standard_normal()

    def process(self, at_ns: int, active: Iterable[ActiveScenario], *, door_open: bool = False) -> Values:
        """What is so: every tag's true value, without the noise that averages out over a metre of film."""
        values = self.set_point + self._wander * self.half + self._room_noise
        for scenario in active:
            for row in scenario.scenario.tags:
                if row.where == "process":
                    self._move(values, row, scenario.scaled(row, at_ns))
        if door_open:
            pressure = self.index["S00.RoomOverPressure"]
            values[pressure] -= 1.5 * self.half[pressure]
        self._places.relate(values, self.nominal)
        return np.clip(values, self._low, self._high)

    def reported(self, at_ns: int, process: Values, active: Iterable[ActiveScenario], idle: Iterable[str]) -> Values:
        """What the sensors say now.

        Args:
            process: what is so.
            active: scenarios, of which those at sensors act here.
            idle: codes of stations that do not run.
        """
        step_s = (at_ns - self._fast_ns) / 1e9
        if step_s > 0:
            self._fast_ns = at_ns
            sigma = np.where(self._room, 0.0, self._sigma)
            self._fast = _ar1(self._fast, step_s, self._fast_s, sigma, self._fast_rng.standard_normal(len(self.names)))
        values = np.where(np.isnan(self.measured), process + self._fast, self.measured)
        for name in _GAUGES:
            place = self.index[name]
            if not np.isnan(self.measured[place]):
                values[place] += self._fast[place]
        for place, gauge_sigma in self._gauge_sigma.items():
            values[place] += gauge_sigma * self._fast_rng.standard_normal()
        for scenario in active:
            for row in scenario.scenario.tags:
                if row.where == "sensor":
                    share = scenario.scaled(row, at_ns)
                    if row.form == "stuck":
                        self._stick(values, row.tag, stuck=share > 0)
                    else:
                        self._move(values, row, share)
        for lie in self._lies:
            self._tell(lie, values, at_ns)
        values = np.clip(values, self._low, self._high)
        stopped = set(idle)
        for name in RUN_TAGS:
            if name[:3] in stopped:
                values[self.index[name]] = 0.0
        return values

    def deviation(self, values: Values, tag: str) -> float:
        """z of one tag in a vector."""
        place = self.index[tag]
        return float((values[place] - self.nominal[place]) / (self.half[place] or 1.0))

    def deviations(self, values: Values) -> dict[str, float]:
        """z of every tag in a vector, by name."""
        return dict(zip(self.names, ((values - self.nominal) / self.divisor).tolist(), strict=True))

    def batch_values(self, process: Values, rng: np.random.Generator) -> dict[str, float]:
        """What a batch mixed under these values keeps, as its laboratory finds it."""
        places = [self.index[name] for name in BATCH_TAGS]
        drawn = process[places] + self._sigma[places] * rng.standard_normal(len(places))
        return dict(zip(BATCH_TAGS, np.clip(drawn, self._low[places], np.inf).tolist(), strict=True))

    def part_values(self, names: Iterable[str], process: Values, rng: np.random.Generator) -> dict[str, float]:
        """Once-per-part values of some tags, which then stand as reported until the next part."""
        places = [self.index[name] for name in names]
        drawn = process[places] + self._sigma[places] * rng.standard_normal(len(places))
        drawn = np.clip(drawn, self._low[places], self._high[places])
        self.measured[places] = drawn
        return dict(zip([self.names[place] for place in places], drawn.tolist(), strict=True))

    def give(self, readings: Mapping[str, float]) -> None:
        """Let measured values stand as reported."""
        for name, value in readings.items():
            self.measured[self.index[name]] = value

    def follow(self, names: Iterable[str]) -> None:
        """Let tags show again what is so, and no longer what was measured."""
        for name in names:
            self.measured[self.index[name]] = np.nan

    def with_batch(self, process: Values, batch: Mapping[str, float]) -> Values:
        """What is so for film of a batch: its own mixing in place of the mixer's present one."""
        values = process.copy()
        for name, value in batch.items():
            values[self.index[name]] = value
        return values

    def _move(self, values: Values, row: TagChange, share: float) -> None:
        if share == 0.0:
            return
        place = self.index[row.tag]
        values[place] += share * row.amount(float(self.nominal[place]), float(self.half[place]))

    def _stick(self, values: Values, tag: str, *, stuck: bool) -> None:
        place = self.index[tag]
        if stuck:
            values[place] = self._stuck.setdefault(tag, float(values[place]))
        else:
            self._stuck.pop(tag, None)

    def _tell(self, lie: Lie, values: Values, at_ns: int) -> None:
        since_s = (at_ns - self._began_ns) / 1e9 - lie.after_h * 3600
        if since_s < 0:
            return
        place = self.index[lie.tag]
        match lie.form:
            case "bias":
                values[place] += lie.z * self.half[place]
            case "drift":
                values[place] += lie.z * self.half[place] * since_s / _WEEK_S
            case "stuck":
                self._stick(values, lie.tag, stuck=True)


class _Places:
    """Tags that follow from other tags by published relations. Each keeps its own drift beside what it follows."""

    def __init__(self, index: Mapping[str, int]) -> None:
        self._at = dict(index)

    def relate(self, v: Values, nominal: Values) -> None:
        """Work the relations into a vector whose independent tags are set."""
        at = self._at

        def ratio(tag: str) -> float:
            place = at[tag]
            return float(v[place] / nominal[place])

        speed, flow = max(ratio("S03.WebSpeed"), 0.01), ratio("S03.PumpFlow")
        solids = ratio("S01.SolidContent")
        # R01; own drift of the gauge's tag is that of the lip
        v[at["S03.WetThickness"]] *= flow / speed
        v[at["S03.PumpPressure"]] *= flow**0.6
        warm = v[at["S01.SlurryTemp"]] - nominal[at["S01.SlurryTemp"]]
        v[at["S01.Viscosity100"]] *= math.exp(-0.05 * warm + 8.0 * (solids - 1))
        v[at["S01.MixerTorque"]] *= ratio("S01.Viscosity100") ** 0.5 * ratio("S01.MixerTipSpeed")
        # R03: nominal wet film of 98 µm is 50.0 g/m²
        wet = float(v[at["S03.WetThickness"]]) * 97.667 / 98.0
        mass: float = areal_mass_g_per_m2(wet, solids_fraction=0.45 * solids)
        v[at["S05.ArealMass"]] *= mass / 50.0
        dry: float = dry_thickness_um(float(v[at["S05.ArealMass"]]), film_density_g_per_cm3=_FILM_DENSITY)
        v[at["S05.ThicknessDry"]] += dry - 49.90
        zones = [float(v[at[f"S04.Zone{zone}Temp"]]) for zone in (1, 2, 3)]
        air = [float(v[at["S04.Zone1AirSpeed"]]), float(v[at["S04.Zone2AirSpeed"]]), 5.0]
        speed_m_per_min = float(max(v[at["S03.WebSpeed"]], 0.05))
        solvent: float = residual_solvent_wt_percent(
            speed_m_per_min,
            zone_temperature_c=zones,
            zone_air_m_per_s=air,
            solvent_g_per_m2=61.1 * mass / 50.0,
            areal_mass_g_per_m2=mass,
        )
        v[at["S04.ResidualSolvent"]] += solvent - 0.10
        v[at["S04.FilmTempExit"]] += 0.6 * (zones[2] - 80.0)
        v[at["S04.ExhaustLEL"]] *= flow
        v[at["S05.LineRate"]] *= speed
        v[at["S05.MeanGreyTX"]] *= 1 - 0.5 * (mass / 50.0 - 1)
        # R10: what 0.5 kg of open film gives off into the room above its usual dew point
        dew_pa: float = water_pressure_pa(float(v[at["S00.DewPointSupply"]]))
        usual_pa: float = water_pressure_pa(-60.0)
        release: float = h2s_release_cc_per_g_h(max(dew_pa - usual_pa, 0.0), form_factor=0.2)
        h2s: float = h2s_room_ppm(500.0, release, air_changes_per_h=float(v[at["S00.AirChangeRate"]]))
        v[at["S00.H2SConc"]] += h2s
        # the cathode's coat, as R01 and R03
        v[at["S02.ArealMassSide"]] *= ratio("S02.PumpFlow") / max(ratio("S02.WebSpeed"), 0.01)
        v[at["S02.ThicknessDrySide"]] *= ratio("S02.ArealMassSide")
        v[at["S06.ThicknessSide"]] *= ratio("S06.ArealMassSide")
        # R05: 10 µm foil, 6 µm of Ag-C and the calendered film on both sides
        rolls = 0.5 * float(v[at["S08.RollTempTop"]] + v[at["S08.RollTempBottom"]])
        pores: float = calendered_porosity(float(v[at["S08.LineLoad"]]), rolls)
        v[at["S08.ThicknessOut"]] += 2 * (float(dry_thickness_um(mass, porosity=pores)) - 34.0)
        v[at["S08.WebElongation"]] *= ratio("S08.LineLoad")


def _ar1(state: Values, step_s: float, time_constant_s: Values, sigma: Values, draws: Values) -> Values:
    """The exact step of an AR(1) (Ornstein-Uhlenbeck) over any time."""
    keep = np.exp(-step_s / time_constant_s)
    moved: Values = keep * state + np.sqrt(1 - keep * keep) * sigma * draws
    return moved


def door_open(seed: int, at_ns: int) -> bool:
    """Whether a door of the dry room stands open: for two minutes in about one of seven ten-minute slots."""
    slot, inside_s = divmod(at_ns // 1_000_000_000, 600)
    return inside_s < 120 and _hash01(seed, slot) < 0.15


def _hash01(seed: int, number: int) -> float:
    """A uniform number that depends on two integers only (splitmix64)."""
    value = (number * 0x9E3779B97F4A7C15 + seed * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & (2**64 - 1)
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (value ^ (value >> 31)) / 2.0**64

"""Film inspection without pictures: what a model with known detection curves would have found.

For time that runs faster than strips can be rendered, and for a past. Every result says so: `method` is `drawn`. Which
real flaw is found depends on the flaw and the seed alone, so looking twice finds the same.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from msgspec.structs import replace

from line.bundle import DetectionCurve, ModelRef
from line.defect_rows import DefectClass
from line.events import FilmDefect, Severity, StripInspected, Verdict
from line.ids import event_id
from line.model import LineModel
from line.relations_defects import detection_probability, false_alarms_per_m2
from plant.drawn_measure import DrawnDepth, area_um2, depth_of, sides_um
from plant.hidden import HiddenDefect
from plant.truth_types import CameraHealth, Flaw
from plant.world import World

_CONFUSED_FRACTION = 0.03
_SIMILAR = {"PIN": "BUB", "BUB": "PIN", "AGG": "FIB", "FIB": "AGG", "STR": "SCR", "SCR": "STR", "CRK": "FIB",
            "MET": "AGG", "DIS": "THK", "THK": "DIS", "WRK": "CRK"}  # fmt: skip
_UNKNOWN_CURVE = (150.0, 0.3)
"""a50 [µm] and s for what no table names."""
_SIZE_SIGMA_FRACTION, _SIZE_SIGMA_UM = 0.06, 8.0
_POSITION_SIGMA_UM = 60.0
_NORMAL = NormalDist()
_LINES = frozenset({"STR", "SCR"})
_TOUCHING_UM, _SAME_CD_UM = 10_000, 3_000
_SHORT_UM = 50_000
"""A longer defect is told again when more of it has passed."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Sighting:
    """A defect that may go on in the next strip."""

    event: FilmDefect
    flaws: set[str]

    def goes_on(self, flaw: Flaw, start_um: int) -> bool:
        """Whether a flaw is part of this defect, or touches its end at the same place across the web."""
        middle_um = (self.event.cd_start_um + self.event.cd_end_um) // 2
        return flaw.flaw in self.flaws or (
            flaw.kind in _LINES
            and abs(start_um - self.event.md_end_um) < _TOUCHING_UM
            and abs(flaw.cd_um - middle_um) < _SAME_CD_UM
        )


def _longer(
    event: FilmDefect, flaw: Flaw, end_um: int, at_ns: int, revision: int, depth: DrawnDepth | None
) -> FilmDefect:
    """The same defect, seen further: as wide as its widest piece, as deep as its deepest."""
    if depth is not None and depth.fraction > (event.depth_fraction or 0.0):
        event = replace(event, depth_fraction=depth.fraction, depth_uncertainty_fraction=depth.uncertainty_fraction)
    size_um = round(max(event.size_um, flaw.size_um), 1)
    length_um = end_um - event.md_start_um
    return replace(
        event,
        at_ns=at_ns,
        id=event_id(at_ns, f"{event.defect}:{revision}"),
        revision=revision,
        md_end_um=end_um,
        size_um=size_um,
        length_um=float(length_um),
        width_um=size_um,
        area_um2=round(length_um * size_um, 0),
    )


class FilmDrawer:
    """Draws what the film camera's model would report.

    Args:
        curves: measured detection curves by class; a class without one takes the line model's own.
        model: what the results shall name.
        strip_um: length of film that one `StripInspected` stands for.
        unnamed: classes that no table names, for their looks.
        first_number: of the defects, so that two drawers of one roll do not share names.
    """

    def __init__(
        self, line: LineModel, *, seed: int, model: ModelRef, curves: Mapping[str, DetectionCurve] | None = None,
        strip_um: int = 1_000_000, unnamed: Iterable[HiddenDefect] = (), first_number: int = 1,
    ) -> None:  # fmt: skip
        self._line = line
        self._seed = seed
        self._model = model
        self._strip_um = strip_um
        self._camera = next(row for row in line.cameras if row.kind == "film")
        self._camera_um = self._camera.position_um or 0
        self._width_um = line.web("film").coat_width_um
        self._classes: dict[str, DefectClass] = {row.code: row for row in line.defects if row.measured_as == "event"}
        self._looks = {
            code: (row.contrast_bf or 0.0, row.contrast_df or 0.0, row.contrast_tx or 0.0)
            for code, row in self._classes.items()
        } | {row.code: (row.contrast_bf, row.contrast_df, row.contrast_tx) for row in unnamed}
        given = curves or {}
        scale = self._camera.pixel_um / line.defect_model.pod_pixel_um
        self._curves = {
            code: (given[code].a50_um, given[code].s)
            if code in given
            else ((row.pod_a50_um or 1e9) * scale, row.pod_s or 0.3)
            for code, row in self._classes.items()
        }
        self._unknown = (given["unknown"].a50_um, given["unknown"].s) if "unknown" in given else _UNKNOWN_CURVE
        self._roll = ""
        self._next_um = 0
        self._open: list[_Sighting] = []
        self._count = first_number - 1

    def skip(self, world: World) -> None:
        """Take all film that has passed the camera as looked at by somebody else."""
        passed = world.film_passed()
        self._roll, self._next_um = passed[-1] if passed else ("", 0)
        self._open.clear()

    def due(self, world: World) -> list[FilmDefect | StripInspected]:
        """Results for all whole strips that passed the camera since the last call, in order of time."""
        found: list[FilmDefect | StripInspected] = []
        passed = world.film_passed()
        known = next((place for place, (roll, _) in enumerate(passed) if roll == self._roll), None)
        start = 0 if known is None else known
        for roll, seen_um in passed[start:]:
            if roll != self._roll:
                self._roll, self._next_um = roll, 0
                self._open.clear()
            length_um = world.roll_length_um(roll)
            while self._next_um < length_um:
                end_um = min(self._next_um + self._strip_um, length_um)
                if end_um > seen_um:
                    break
                at_ns = world.at_camera_ns(roll, end_um)
                flaws = world.flaws_between(roll, self._next_um, end_um)
                found += self.strip(roll, self._next_um, end_um, flaws, world.camera_health_at(at_ns), at_ns)
                self._next_um = end_um
        return found

    def strip(
        self, roll: str, md_start_um: int, md_end_um: int, flaws: Iterable[Flaw], health: CameraHealth, at_ns: int
    ) -> list[FilmDefect | StripInspected]:
        """Results for one strip; lines that go on from the strip before keep their defect's name."""
        rng = np.random.default_rng([self._seed, zlib.crc32(roll.encode()), md_start_um])
        found: list[FilmDefect | StripInspected] = []
        lines = self._open
        changed: list[_Sighting] = []
        for flaw in sorted(flaws, key=lambda row: row.md_um - row.length_um / 2):
            if flaw.born_ns > at_ns or not self._detects(flaw, health):
                continue
            start_um, end_um = int(flaw.md_um - flaw.length_um / 2), math.ceil(flaw.md_um + flaw.length_um / 2)
            if flaw.kind not in _LINES and flaw.length_um <= _SHORT_UM:
                if md_start_um <= flaw.md_um < md_end_um:
                    found.append(self._defect(roll, flaw, start_um, end_um, at_ns, rng))
                continue
            end_um = min(end_um, md_end_um)
            sighting = next((row for row in lines if row.goes_on(flaw, start_um)), None)
            if sighting is None:
                sighting = _Sighting(event=self._defect(roll, flaw, start_um, end_um, at_ns, rng), flaws={flaw.flaw})
                lines.append(sighting)
            elif end_um > sighting.event.md_end_um:
                sighting.flaws.add(flaw.flaw)
                # one revision a strip, however many pieces it adds
                revision = sighting.event.revision + (sighting not in changed)
                sighting.event = _longer(
                    sighting.event, flaw, end_um, at_ns, revision, self._depth(flaw, sighting.event.kind)
                )
            else:
                continue
            if sighting not in changed:
                changed.append(sighting)
        found += [sighting.event for sighting in changed]
        self._open = [row for row in lines if row.event.md_end_um > md_end_um - _TOUCHING_UM]
        area_m2 = (md_end_um - md_start_um) * 1e-12 * self._width_um
        lamp_z = (1 - health.lamp_bf) / 0.03
        rate: float = false_alarms_per_m2(lamp_z, nominal_per_m2=self._line.defect_model.false_alarms_per_m2)
        alarms = int(rng.poisson(rate * area_m2))
        found += [self._false_alarm(roll, md_start_um, md_end_um, at_ns, rng) for _ in range(alarms)]
        found.append(self._inspected(roll, md_start_um, md_end_um, len(found), health, at_ns))
        return found

    def _detects(self, flaw: Flaw, health: CameraHealth) -> bool:
        a50_um, s = self._curves.get(flaw.kind, self._unknown)
        # R15 with F12: 12 % less light moves the curve by 20 %; a blurred picture by its width
        worse = (1 + (1 - health.lamp_bf) / 0.6) * max(health.blur_px / 0.6, 1.0) ** 0.5
        chance: float = detection_probability(flaw.size_um, a50_um * worse, s)
        return self._uniform(f"{flaw.flaw}:seen") < chance

    def _defect(
        self, roll: str, flaw: Flaw, start_um: int, end_um: int, at_ns: int, rng: np.random.Generator
    ) -> FilmDefect:
        sigma_um = math.hypot(_SIZE_SIGMA_FRACTION * flaw.size_um, _SIZE_SIGMA_UM)
        size_um = max(flaw.size_um + sigma_um * float(rng.standard_normal()), 5.0)
        kind = flaw.kind if flaw.kind in self._classes else "unknown"
        if kind in _SIMILAR and rng.random() < _CONFUSED_FRACTION:
            kind = _SIMILAR[kind]
        md_off, cd_off = (int(value) for value in _POSITION_SIGMA_UM * rng.standard_normal(2))
        half = math.ceil(flaw.width_um / 2)
        looks = self._looks.get(flaw.kind, (0.1, 0.5, 0.1))
        contrast = [round(value * float(rng.normal(1.0, 0.15)), 3) for value in looks]
        return self._event(
            roll, kind, max(start_um + md_off, 0), max(end_um + md_off, start_um + md_off + 1),
            flaw.cd_um - half + cd_off, flaw.cd_um + half + cd_off, size_um, sigma_um,
            float(rng.beta(20, 2)), contrast, self._depth(flaw, kind), at_ns,
        )  # fmt: skip

    def _depth(self, flaw: Flaw, kind: str) -> DrawnDepth | None:
        noise = _NORMAL.inv_cdf(max(self._uniform(f"{flaw.flaw}:depth"), 1e-9))
        return depth_of(self._classes.get(kind), flaw, noise, self._camera.pixel_um)

    def _false_alarm(
        self, roll: str, md_start_um: int, md_end_um: int, at_ns: int, rng: np.random.Generator
    ) -> FilmDefect:
        kind = str(rng.choice(["AGG", "FIB", "PIN"]))
        size_um = self._curves[kind][0] * float(rng.lognormal(0.0, 0.3))
        md_um = int(rng.integers(md_start_um, md_end_um))
        cd_um = int(rng.integers(0, self._width_um))
        half = int(size_um / 2) + 1
        contrast = [round(0.5 * value, 3) for value in self._looks[kind]]
        return self._event(
            roll, kind, max(md_um - half, 0), md_um + half, cd_um - half, cd_um + half, size_um, 0.2 * size_um,
            float(rng.beta(6, 6)), contrast, None, at_ns,
        )  # fmt: skip

    def _event(
        self, roll: str, kind: str, md_start_um: int, md_end_um: int, cd_start_um: int, cd_end_um: int, size_um: float,
        size_sigma_um: float, score: float, contrast: list[float], depth: DrawnDepth | None, at_ns: int,
    ) -> FilmDefect:  # fmt: skip
        self._count += 1
        defect = f"{roll}/d{self._count:05d}"
        cd_start_um, cd_end_um = max(cd_start_um, 0), min(cd_end_um, self._width_um)
        row = self._classes.get(kind)
        sides = sides_um(row, size_um, md_end_um - md_start_um)
        severity, verdict, reason = self.judged(kind, size_um, depth.fraction if depth else 0.0)
        return FilmDefect(
            at_ns=at_ns,
            simulated=True,
            id=event_id(at_ns, f"{defect}:1"),
            defect=defect,
            roll=roll,
            station=self._camera.station,
            camera=self._camera.id,
            lane=self._line.lane_at("film", (cd_start_um + cd_end_um) // 2),
            kind=kind,
            score=round(score, 3),
            md_start_um=md_start_um,
            md_end_um=md_end_um,
            cd_start_um=cd_start_um,
            cd_end_um=cd_end_um,
            size_um=round(size_um, 1),
            size_uncertainty_um=round(2 * size_sigma_um, 1),
            position_uncertainty_um=2 * _POSITION_SIGMA_UM,
            area_um2=round(area_um2(row, sides), 0),
            length_um=round(sides[0], 1),
            width_um=round(sides[1], 1),
            depth_fraction=depth.fraction if depth else None,
            depth_uncertainty_fraction=depth.uncertainty_fraction if depth else None,
            contrast_bf=contrast[0],
            contrast_df=contrast[1],
            contrast_tx=contrast[2],
            severity=severity,
            verdict=verdict,
            reason=reason,
            model=self._model,
            method="drawn",
        )

    def judged(self, kind: str, size_um: float, depth_fraction: float) -> tuple[Severity, Verdict, str]:
        """Severity, verdict and reason of a defect by the line model's limits."""
        row = self._classes.get(kind)
        if row is None:
            return "B", "review", "no class of the line model"
        deep = row.critical_from_depth_fraction is not None and depth_fraction >= row.critical_from_depth_fraction
        severity: Severity = "A" if row.criticality == "A" or deep else "B"
        if row.reject_um is not None and size_um > row.reject_um:
            return severity, "reject", f"{kind} {row.size_measure} {size_um:.0f} µm above {row.reject_um:g} µm"
        return severity, "pass", ""

    def _inspected(
        self, roll: str, md_start_um: int, md_end_um: int, defects: int, health: CameraHealth, at_ns: int
    ) -> StripInspected:
        return StripInspected(
            at_ns=at_ns,
            simulated=True,
            id=event_id(at_ns, f"{roll}:strip:{md_start_um}"),
            roll=roll,
            station=self._camera.station,
            camera=self._camera.id,
            strip=md_start_um // self._strip_um,
            md_start_um=md_start_um,
            md_end_um=md_end_um,
            cd_start_um=0,
            cd_end_um=self._width_um,
            state="inspected",
            candidates_count=defects,
            defects_count=defects,
            mean_grey_bf=self._grey("BF", 150 * health.lamp_bf),
            mean_grey_df=self._grey("DF", 25 * health.lamp_df),
            mean_grey_tx=self._grey("TX", 90 * health.lamp_tx),
            model=self._model,
            method="drawn",
        )

    def _grey(self, channel: str, level: float) -> float | None:
        return round(level, 1) if channel in self._camera.channels else None

    def _uniform(self, key: str) -> float:
        return zlib.crc32(f"{self._seed}:{key}".encode()) / 2**32

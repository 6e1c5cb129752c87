"""A line as a twin would describe it, made up: what the console's tests are served, so that every figure is known."""

from __future__ import annotations

import math

import cv2
import msgspec
import numpy as np

from line.bundle import ModelRef
from line.events import (
    CameraChecked,
    CellPredicted,
    CellTested,
    FilmDefect,
    FilmPattern,
    FilmProfile,
    LayerInspected,
    Measure,
    Overhang,
    Reason,
    StationState,
    Verdict,
    YieldForecast,
)
from line.model import load_line
from line.queries import (
    AskCell,
    AskCells,
    AskCellsOf,
    AskDefect,
    AskLine,
    AskRoll,
    AskRolls,
    AskTrend,
    AskYield,
    CellRow,
    CellsOfView,
    CellsView,
    CellView,
    DefectView,
    FaceOrigin,
    Freshness,
    LaneView,
    LayerView,
    LineView,
    LossRow,
    LotYield,
    RollRow,
    RollsView,
    RollView,
    ScorePoint,
    SheetSpan,
    Span,
    StationView,
    StepView,
    TrendView,
    UnitOf,
    Unknown,
    YieldView,
)

NOW_NS = 1_795_500_000_123_456_789
"""2026-11-24, more nanoseconds than a browser's number holds exactly."""
HOUR_NS = 3_600_000_000_000
ROLL = "FR-261124-1-003"
CELL = "C-261124-0421"
STACK = "K-261124-0421"
KILLER = f"{ROLL}/0007"
MODEL = ModelRef(name="film-candidates", version=3, digest="5c65ab26" + "0" * 56)
BACKBONE = ModelRef(name="efficientnet-lite0-s32", version=1, digest="7d11" + "0" * 60)
STREAK_CD_UM = 112_000
LAMP = (
    "bright-field lamp at 74 % of its level when calibrated: a measurement fault, not the film; "
    "detection a50 up by about 9 %: recalibrate"
)

PRESSED = (("S13.VesselPressure", 500.2),)

AnyCanned = (
    AskLine | AskRolls | AskRoll | AskCellsOf | AskCell | AskCells | AskYield | AskDefect | AskTrend
)  # fmt: skip


def evidence_png() -> bytes:
    """Grey film with one dark spot, as a camera sees it."""
    rng = np.random.default_rng(5)
    grey = rng.normal(128, 4, (192, 192))
    y, x = np.mgrid[:192, :192]
    grey -= 90 * np.exp(-((x - 100) ** 2 + (y - 92) ** 2) / 160)
    done, png = cv2.imencode(".png", np.clip(grey, 0, 255).astype(np.uint8))
    assert done
    return bytes(png)


def film_defect(
    number: int,
    *,
    roll: str = ROLL,
    md_um: int = 12_345_678,
    cd_um: int = 80_000,
    kind: str = "AGG",
    verdict: Verdict = "pass",
    size_um: float = 110.0,
    image: str = "",
    length_um: int = 0,
) -> FilmDefect:
    """One defect of the film."""
    half = round(size_um / 2)
    return FilmDefect(
        at_ns=NOW_NS, simulated=True, id=f"e-{number:04d}", source="vision@test", seq=number,
        defect=f"{roll}/{number:04d}",
        roll=roll, station="S05", camera="fins-1", lane=1 if cd_um < 150_000 else 2, kind=kind, score=0.91,
        md_start_um=md_um - half, md_end_um=md_um + max(half, length_um), cd_start_um=cd_um - half,
        cd_end_um=cd_um + half, size_um=size_um, size_uncertainty_um=14.0, position_uncertainty_um=60.0,
        area_um2=math.pi * half * half, contrast_bf=-0.42, contrast_df=0.18, contrast_tx=-0.31,
        length_um=0.0 if length_um else 1.3 * size_um, width_um=0.0 if length_um else 0.8 * size_um,
        depth_fraction=0.34 if verdict == "reject" else None,
        depth_uncertainty_fraction=0.06 if verdict == "reject" else None,
        anomaly_score=6.4 if verdict == "reject" else None, anomaly_model=BACKBONE if verdict == "reject" else None,
        severity="A" if verdict == "reject" else "C", verdict=verdict,
        reason="diameter 210 µm above 150 µm" if verdict == "reject" else "within limits", model=MODEL,
        method="pixels" if image else "drawn", calibration="cal-7", recipe="AGC-1", image=image, latency_ms=84.0,
    )  # fmt: skip


def camera_checked(state: str, reason: str = "") -> CameraChecked:
    """What the film camera says of itself."""
    return CameraChecked(
        at_ns=NOW_NS, simulated=True, id=f"k-{state}", source="vision@test", station="S05", camera="fins-1",
        state=state, reason=reason, calibration="cal-7", valid_until_ns=NOW_NS + 8 * HOUR_NS,  # type: ignore[arg-type]
        measures=(Measure("lamp", "BF", 0.74, 0.01, 0.8, 1.2, "1"),),
    )  # fmt: skip


def film_profile(number: int) -> FilmProfile:
    """A metre of the roll: 8 % thin at CD 112 mm from 31 m on, a bead that grows at the drive side."""
    cds_mm = [2.5 + 5 * place for place in range(60)]
    streak = 0.08 if number >= 31 else 0.0
    mass = tuple(
        1.002 + 0.006 * math.sin(cd / 40 + number / 9) - streak * math.exp(-(((cd - 112) / 6) ** 2))
        + 0.05 * math.exp(-cd / 4) + 0.06 * math.exp(-(300 - cd) / 4)
        for cd in cds_mm
    )  # fmt: skip
    over = number > 50
    return FilmProfile(
        at_ns=NOW_NS - (54 - number) * 60 * 10**9, simulated=True, id=f"m-{number:04d}", source="vision@test",
        seq=5_000 + number, roll=ROLL, station="S05", camera="fins-1", md_start_um=number * 1_000_000,
        md_end_um=(number + 1) * 1_000_000, cd_start_um=0, cd_step_um=5_000, mass_fraction=mass,
        mass_uncertainty_fraction=0.011, bead_low_fraction=0.052, bead_high_fraction=0.091 if over else 0.064,
        bead_low_um=4_100, bead_high_um=6_300 if over else 4_700, edge_low_um=250, edge_high_um=299_600,
        verdict="review" if over else "pass", reason="bead 9.1 % above 8 % after 5 mm edge trim" if over else "",
        method="pixels",
    )  # fmt: skip


def film_pattern(name: str, form: str, **fields: object) -> FilmPattern:
    """A pattern of the roll under way."""
    return FilmPattern(**{  # type: ignore[arg-type]
        "at_ns": NOW_NS, "simulated": True, "id": f"n-{name}", "source": "vision@test", "pattern": name, "roll": ROLL,
        "station": "S05", "camera": "fins-1", "form": form, "verdict": "review", "reason": "", "p_value": 2e-5,
        **fields,
    })  # fmt: skip


def _patterns() -> tuple[FilmPattern, ...]:
    return (
        film_pattern(
            "repeat-1", "repeat", kind="MET", defects=tuple(f"{ROLL}/{number:04d}" for number in range(301, 308)),
            defects_count=7, md_start_um=50_200_000, md_end_um=51_707_962, cd_start_um=243_900, cd_end_um=244_200,
            period_um=251_327.0, roller="idler",
            reason="foreign metal particle every 251.3 mm at CD 244 mm, on 7 of 7 turns of the idler roller",
            cause="the idler roller of S03 at CD 244 mm: wear, slitting burr",
        ),
        film_pattern(
            "rate-1", "rate", kind="AGG", defects=(), defects_count=19, md_start_um=44_000_000, md_end_um=51_000_000,
            cd_start_um=0, cd_end_um=300_000, rate_factor=8.2, p_value=3e-9, verdict="reject",
            reason="agglomerate: 9 per m², 8.2 times the usual 1.1",
            cause="poor dispersion, worn filter; driven by S01.SolidContent, S01.MixTime",
        ),
        film_pattern(
            "cluster-1", "cluster", kind="PIN", defects=tuple(f"{ROLL}/{number:04d}" for number in range(311, 316)),
            defects_count=5, md_start_um=28_600_000, md_end_um=28_612_000, cd_start_um=180_000, cd_end_um=190_000,
            p_value=0.004, verdict="mark", reason="5 within 12 mm", cause="poor degassing",
        ),
    )  # fmt: skip


class CannedLine:
    """Answers questions about the made-up line; tests change `revision`, `pass_count` and the defects."""

    def __init__(self, image: str = "") -> None:
        self.model = load_line()
        self.revision = 1_000
        self.at_ns = NOW_NS
        self.age_s = 0.2
        self.simulated = True
        self.passed_count = 118
        self.states = dict.fromkeys((row.code for row in self.model.stations), "Execute")
        self.states |= {"S10": "Held", "S13": "Idle", "S02": "Suspended"}
        self.abnormal_tags = {"S03": ("S03.PumpPressure",)}
        self.blocked = {"S09"}
        self.defects = _defects(image)
        self.current_roll = ROLL
        self.cameras: tuple[CameraChecked, ...] = (camera_checked("fault", LAMP),)
        self.patterns = _patterns()
        self.profiles = tuple(film_profile(number) for number in range(54))
        self.gauge: tuple[float | None, ...] = tuple(
            None if number < 2 else 1.0 + 0.004 * math.sin(number / 5) for number in range(54)
        )
        self.uninspected: tuple[Span, ...] = (
            Span(12_100_000, 13_020_000, "over capacity"),
            Span(47_500_000, 47_750_000, "uncalibrated"),
            Span(50_000_000, 50_000_040, "lines dropped"),
        )

    def answer(self, question: AnyCanned) -> msgspec.Struct:
        """What the twin would say."""
        match question:
            case AskLine():
                return self._line()
            case AskRolls():
                return self._rolls()
            case AskRoll(roll=roll):
                return (
                    self._roll() if roll == ROLL else Unknown(fresh=self.fresh(), detail=f"roll {roll!r} is not known")
                )
            case AskCellsOf():
                return CellsOfView(
                    fresh=self.fresh(), roll=question.roll, from_um=question.from_um, to_um=question.to_um,
                    units=(_unit(),), complete=True,
                )  # fmt: skip
            case AskCell(unit=unit):
                return self._cell() if unit in {CELL, STACK} else self._unknown("cell", unit)
            case AskCells():
                return self._cells()
            case AskYield():
                return self._yield()
            case AskDefect(defect=defect):
                found = next((row for row in self.defects if row.defect == defect), None)
                if found is None:
                    return self._unknown("defect", defect)
                return DefectView(fresh=self.fresh(), defect=found, units=(_unit(),))
            case AskTrend():
                times = tuple(
                    range(question.from_ns, question.to_ns, max(1, (question.to_ns - question.from_ns) // 50))
                )
                return TrendView(
                    fresh=self.fresh(), tag=question.tag, unit="m/min", times_ns=times,
                    values=tuple(1 + 0.02 * math.sin(index) for index in range(len(times))),
                )  # fmt: skip

    def _unknown(self, what: str, name: str) -> Unknown:
        return Unknown(fresh=self.fresh(), detail=f"{what} {name!r} is not known")

    def fresh(self) -> Freshness:
        return Freshness(
            revision=self.revision,
            at_ns=self.at_ns,
            age_s=self.age_s,
            lag_ms=12.0,
            parts_count=184,
            simulated=self.simulated,
        )

    def _line(self) -> LineView:
        return LineView(
            fresh=self.fresh(),
            line="line-1",
            product="ASSB-20-AGC",
            stations=tuple(
                StationView(
                    code=row.code,
                    title=row.title,
                    state=StationState(
                        at_ns=self.at_ns, simulated=True, station=row.code, state=self.states[row.code],  # type: ignore[arg-type]
                        stop_reason="sheet jam" if row.code == "S10" else "", speed=1.0,
                        blocked=row.code in self.blocked,
                        processed_count=400 + 7 * number, defective_count=number,
                    ),
                    abnormal_tags=self.abnormal_tags.get(row.code, ()),
                    units_count=(number * 5) % 17,
                )
                for number, row in enumerate(self.model.stations)
            ),
            current_roll=self.current_roll,
            current_recipe="AGC-1",
            coated_um=62_412_000,
            inspected_um=54_380_000,
            cells_open_count=66,
            cells_tested_count=126,
            cells_passed_count=self.passed_count,
            forecast=self._forecast(),
            services=("plant@test", "plc@test", "vision@test", "twin@test"),
            cameras=self.cameras,
            patterns=self.patterns,
        )  # fmt: skip

    def _forecast(self) -> YieldForecast:
        return YieldForecast(
            at_ns=self.at_ns, simulated=True, id="f-1", source="twin@test", forecast="line-0042", scope="line",
            name="66 cells of the newest film", cells_count=66, expected_fraction=0.941, low_fraction=0.902,
            high_fraction=0.967, model="kill-logistic@4", labels_count=126,
        )  # fmt: skip

    def _rolls(self) -> RollsView:
        rows = tuple(
            RollRow(
                roll=f"FR-261124-1-{number:03d}", started_ns=self.at_ns - (3 - number) * 2 * HOUR_NS,
                length_um=62_412_000 if number == 3 else 100_000_000, complete=number != 3,
                defects_count=len(self.defects) + 20 * number, killers_count=4 + number,
                inspected_fraction=0.87 if number == 3 else 0.998,
            )
            for number in (3, 2, 1)
        )  # fmt: skip
        return RollsView(fresh=self.fresh(), rolls=rows)

    def _roll(self) -> RollView:
        sheets = []
        for number in range(380):
            start = 1_000_000 + 104_000 * number
            for lane in (1, 2):
                stack = number // 19
                sheets.append(
                    SheetSpan(
                        start, start + 102_000, lane, f"{ROLL}/{lane}/{start // 1000:06d}",
                        f"C-261124-{400 + stack:04d}" if stack < 14 else "", 2 * (number % 19) + 1,
                    )
                )  # fmt: skip
        return RollView(
            fresh=self.fresh(),
            roll=ROLL,
            web="film",
            length_um=62_412_000,
            width_um=300_000,
            lanes=(
                LaneView(number=1, cd_low_um=8_000, cd_high_um=150_000),
                LaneView(number=2, cd_low_um=150_000, cd_high_um=292_000),
            ),
            defects=tuple(self.defects),
            uninspected=self.uninspected,
            streaks=(Span(31_000_000, 44_200_000, "STR at CD 112.0 mm"),),
            sheets=tuple(sheets),
            patterns=self.patterns,
            profiles=self.profiles,
            gauge_mass_fraction=self.gauge,
        )

    def _cell(self) -> CellView:
        return CellView(
            fresh=self.fresh(),
            cell=CELL,
            stack=STACK,
            station="S16",
            layers=tuple(_layer(number, self.defects) for number in range(1, 38)),
            steps=(
                StepView("S11", NOW_NS - 30 * HOUR_NS, NOW_NS - 29 * HOUR_NS, "", "ok", ()),
                StepView("S13", NOW_NS - 28 * HOUR_NS, NOW_NS - 27 * HOUR_NS, "slot 4", "ok", PRESSED),
                StepView("S14", NOW_NS - 26 * HOUR_NS, NOW_NS - 26 * HOUR_NS + 60 * 10**9, "", "ok", ()),
                StepView("S15", NOW_NS - 25 * HOUR_NS, NOW_NS - 25 * HOUR_NS + 90 * 10**9, "", "ok", ()),
                StepView("S16", NOW_NS - 24 * HOUR_NS, 0, "channel 117", "ok", ()),
            ),
            prediction=CellPredicted(
                at_ns=NOW_NS, simulated=True, id="p-1", source="twin@test", unit=CELL,
                p_pass=0.62, p_low=0.48, p_high=0.74,
                reasons=(
                    Reason("S05", "AGG 210 µm, layer 9", -0.31, "reject-size agglomerate in the active area"),
                    Reason("S05", "streak, layers 9-13", -0.09, "film 8 % thin along CD 112 mm"),
                    Reason("S11", "overhang 0.62 mm, layer 22", -0.05, "close to the lower limit 0.60 mm"),
                    Reason("S13", "pressing", 0.02, "better than usual"),
                ),
                model="kill-logistic@4", labels_count=126,
            ),
            test=None,
            layers_inspected_count=36,
            film_inspected_fraction=0.984,
            classes_uninspected=("BLI", "CRK by calendering", "CRK by cutting"),
        )  # fmt: skip

    def _cells(self) -> CellsView:
        rows = tuple(
            CellRow(
                unit=f"C-261124-{number:04d}", stack=f"K-261124-{number:04d}", station="S16" if number > 405 else "S18",
                started_ns=NOW_NS - (430 - number) * HOUR_NS // 2, layers_count=37,
                p_pass=0.97 - 0.03 * (number % 7), passed=None if number > 405 else number % 9 != 0,
            )
            for number in range(427, 395, -1)
        )  # fmt: skip
        return CellsView(fresh=self.fresh(), cells=rows)

    def _yield(self) -> YieldView:
        track = tuple(
            ScorePoint(
                NOW_NS - (72 - hour) * HOUR_NS, value := 0.945 + 0.012 * math.sin(hour / 7) - 0.03 * (hour > 60),
                value - 0.045, min(0.995, value + 0.028),
            )
            for hour in range(73)
        )  # fmt: skip
        return YieldView(
            fresh=self.fresh(),
            forecast=self._forecast(),
            lots=tuple(
                LotYield(
                    name=f"SB-2611{day:02d}-1", ended_ns=NOW_NS - (24 - day) * 24 * HOUR_NS,
                    tested_count=42, passed_count=42 - day % 4,
                )
                for day in range(23, 15, -1)
            ),
            losses=(
                LossRow("S05", "agglomerate", 1.9), LossRow("S05", "streak", 0.9), LossRow("S11", "overhang", 0.7),
                LossRow("S05", "pinhole", 0.3), LossRow("S13", "pressing", 0.1),
            ),
            track=track,
            scored_count=41,
            inside_count=37,
        )  # fmt: skip


def tested() -> CellTested:
    """An end-of-line verdict."""
    return CellTested(
        at_ns=NOW_NS, simulated=True, station="S18", cell=CELL, passed=False, grade="C", capacity_ah=19.2,
        dcir_mohm=3.1, ocv_drop_mv_per_d=1.4, first_coulombic_fraction=0.861, insulation_mohm=812.0,
        thickness_mm=4.62, mass_g=251.3, fail_codes=("OCV",),
    )  # fmt: skip


def _defects(image: str) -> list[FilmDefect]:
    rng = np.random.default_rng(3)
    kinds = ("AGG", "AGG", "PIN", "FIB", "BUB", "SCR", "CRK")
    rows = []
    for number in range(1, 140):
        md_um, cd_um = int(rng.integers(200_000, 54_000_000)), int(rng.integers(9_000, 291_000))
        rows.append(
            film_defect(number, md_um=md_um, cd_um=cd_um, kind=kinds[number % 7], size_um=float(rng.uniform(40, 140)))
        )
    for number, md_um in ((7, 20_400_000), (40, 28_250_000), (41, 36_900_000), (42, 48_100_000)):
        rows[number - 1] = film_defect(
            number, md_um=md_um, cd_um=61_000 + 50_000 * (number % 4), verdict="reject", size_um=210, image=image
        )
    rows += [
        film_defect(
            301 + turn, md_um=50_200_000 + 251_327 * turn, cd_um=244_050, kind="MET", size_um=70, verdict="mark"
        )
        for turn in range(7)
    ]
    rows += [
        film_defect(311 + each, md_um=28_600_000 + 3_000 * each, cd_um=181_000 + 2_000 * each, kind="PIN", size_um=28)
        for each in range(5)
    ]
    rows[60] = film_defect(61, md_um=40_000_000, cd_um=220_000, verdict="mark", size_um=149)
    rows.append(
        film_defect(
            200, md_um=31_000_000, cd_um=STREAK_CD_UM, kind="STR", verdict="mark", size_um=260, length_um=13_200_000
        )
    )
    return rows


def _layer(number: int, defects: list[FilmDefect]) -> LayerView:
    kind = "laminate" if number % 2 else "cathode"
    start = 20_350_000 + 104_000 * (number - 9)
    faces: tuple[FaceOrigin, ...] = ()
    if kind == "laminate":
        faces = tuple(
            FaceOrigin(
                face=face, roll=ROLL, lane=2, start_um=start, end_um=start + 102_000,
                inspected_fraction=0.7 if number == 31 else 1.0,
                defects=tuple(defects[6:7]) if number == 9 and face == "top" else (),
            )
            for face in ("top", "bottom")
        )  # fmt: skip
    low = 620.0 if number == 22 else 910.0 + 17 * math.sin(number)
    overhangs = (
        ()
        if kind == "laminate"
        else tuple(Overhang(f"{corner}{axis}", low + 30 * corner, 22.0) for corner in (1, 2, 3, 4) for axis in "xy")
    )
    inspection = LayerInspected(
        at_ns=NOW_NS, simulated=True, stack=STACK, layer=number, station="S12", kind=kind,  # type: ignore[arg-type]
        overhangs=overhangs, offset_x_um=40 * math.sin(number), offset_y_um=35 * math.cos(2 * number),
        rotation_urad=120.0,
        verdict="pass", reason="within limits", method="pixels",
    )  # fmt: skip
    return LayerView(
        layer=number, kind=kind, sheet=f"{ROLL}/1/{start // 1000:06d}",
        placed_ns=NOW_NS - 30 * HOUR_NS + number * 10**10,
        faces=faces, inspection=None if number == 4 else inspection,
    )  # fmt: skip


def _unit() -> UnitOf:
    return UnitOf(
        sheet=f"{ROLL}/1/020400",
        lane=1,
        stack=STACK,
        cell=CELL,
        layer=9,
        face="top",
        station="S16",
        outcome="ok",
        p_pass=0.62,
    )

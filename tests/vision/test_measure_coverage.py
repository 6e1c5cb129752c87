"""How often the stated uncertainty of a size or a depth holds, on film of two renderers that share no form."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from line.defect_rows import DefectClass
from line.model import load_line
from models.film_forms import Target
from models.film_looks import stamp
from plant.flaw_looks import Canvas, contrast_of, reach_um
from plant.truth_types import Flaw
from tests.vision.made_film import LEVELS, LINES, PIXEL_UM, MadeFilm
from vision.gates import FilmLook, Gates, learnt_look, limits_for
from vision.measure import Measured, Optics, measured
from vision.screening import StreakMemory, screened

WIDTH_PX, BLUR_PX = 800, 0.6
FINE = 4
MAIN = ("PIN", "CRK", "AGG", "MET", "FIB", "STR", "SCR", "BUB")
COUNT = 16
"""Defects of a class and renderer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A change of grey by channel, shape (3, lines, columns), and where its first pixel lies."""

    contrast: NDArray[np.float32]
    top: int
    left: int


Draw = Callable[[DefectClass, float, float, np.random.Generator], Seen]


def of_training(row: DefectClass, size_um: float, _: float, rng: np.random.Generator) -> Seen:
    """By the renderer that classifiers are trained on."""
    along = (row.aspect or 1) * size_um if row.code == "SCR" else 20_000.0
    width = row.size_measure == "width"
    target = Target(
        kind=row.code,
        size_um=size_um,
        line_px=LINES / 2 + rng.uniform(-1, 1),
        column_px=WIDTH_PX / 2 + rng.uniform(-60, 60),
        extent_um=along if width else 0.0,
        angle_rad=rng.normal(0, 0.01) if width else rng.uniform(-1.5, 1.5),
        strength=rng.uniform(0.85, 1.15),
        seed=int(rng.integers(1 << 30)),
    )
    drawn = stamp(target, row, pixel_um=PIXEL_UM, blur_px=BLUR_PX)
    return Seen(contrast=np.asarray(drawn.contrast, np.float32), top=drawn.top, left=drawn.left)


def of_plant(row: DefectClass, size_um: float, depth: float, rng: np.random.Generator) -> Seen:
    """By the renderer of the simulated line."""
    width = row.size_measure == "width"
    angle = rng.normal(0, 0.01) if row.code == "SCR" else 0.0 if width else rng.uniform(-1.5, 1.5)
    flaw = Flaw(
        flaw=f"x{rng.integers(1 << 40)}",
        roll="R",
        kind=row.code,
        md_um=0,
        cd_um=0,
        size_um=size_um,
        length_um=((row.aspect or 1) * size_um if row.code == "SCR" else 20_000.0) if width else size_um,
        width_um=size_um,
        depth_fraction=depth,
        angle_rad=angle,
        born_ns=0,
        killer=False,
    )
    reach_y, reach_x = (min(reach / PIXEL_UM + 4, 200.0) for reach in reach_um(flaw))
    row_px, column_px = LINES / 2 + rng.uniform(-1, 1), WIDTH_PX / 2 + rng.uniform(-60, 60)
    top, left = math.floor(row_px - reach_y), math.floor(column_px - reach_x)
    lines, columns = math.ceil(2 * reach_y) + 1, math.ceil(2 * reach_x) + 1
    y, x = (
        ((np.arange(FINE * count, dtype=np.float32) + 0.5) / FINE + start - centre) * np.float32(PIXEL_UM)
        for count, start, centre in ((lines, top, row_px), (columns, left, column_px))
    )
    canvas = Canvas(y_um=y[:, None], x_um=x[None, :], step_um=PIXEL_UM / FINE)
    found = np.empty((3, lines, columns), np.float32)
    for channel, contrast in enumerate(contrast_of(flaw, canvas)):
        full = np.ascontiguousarray(np.broadcast_to(contrast, (FINE * lines, FINE * columns)), np.float32)
        blurred = _blurred(full)
        found[channel] = blurred.reshape(lines, FINE, columns, FINE).mean(axis=(1, 3))
    return Seen(contrast=found, top=top, left=left)


def _blurred(image: NDArray[np.float32]) -> NDArray[np.float32]:
    reach = np.arange(-3 * FINE, 3 * FINE + 1)
    kernel = np.exp(-0.5 * (reach / (BLUR_PX * FINE)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(image, 3 * FINE, mode="edge")
    rows = np.apply_along_axis(np.convolve, 1, padded, kernel, "valid")
    return np.asarray(np.apply_along_axis(np.convolve, 0, rows, kernel, "valid"), np.float32)


class Study:
    """Film on which one defect at a time is drawn, found and measured."""

    def __init__(self) -> None:
        self.film = MadeFilm(width_px=WIDTH_PX)
        self.rows = {row.code: row for row in load_line().defects}
        self.sound = [self.film.planes(1_000 + seed) for seed in range(6)]
        self.look: FilmLook = learnt_look([self.film.planes(seed) for seed in range(8)])

    def results(
        self, code: str, draw: Draw, count: int, *, depths: tuple[float, float] = (0.5, 0.5)
    ) -> list[tuple[float, float, Measured]]:
        """Size and depth as drawn, and as measured, of those that screening found."""
        rng = np.random.default_rng(zlib.crc32(f"{code} {draw.__name__}".encode()))
        found = []
        row = self.rows[code]
        for _ in range(count):
            size = (row.median_um or 0) * math.exp((row.sigma_ln or 0) * rng.normal())
            size = min(max(size, row.min_um or 0), 3_000.0)
            depth = rng.uniform(*depths)
            result = self._one(row, draw(row, size, depth, rng), self.sound[int(rng.integers(len(self.sound)))])
            if result is not None:
                found.append((size, depth, result))
        return found

    def _one(self, row: DefectClass, seen: Seen, sound: NDArray[np.uint8]) -> Measured | None:
        planes = sound.astype(np.float32)
        _, lines, columns = seen.contrast.shape
        rows = slice(max(0, seen.top), min(LINES, seen.top + lines))
        across = slice(max(0, seen.left), min(WIDTH_PX, seen.left + columns))
        level = np.array(LEVELS, np.float32)[:, None, None] * self.film.gain[across]
        inside = seen.contrast[
            :, rows.start - seen.top : rows.stop - seen.top, across.start - seen.left : across.stop - seen.left
        ]
        planes[:, rows, across] += level * inside
        grey = np.clip(np.rint(planes), 0, 255).astype(np.uint8)
        gates = Gates(self.look, limits_for(self.look, candidates_per_m2=20, streaks_per_m2=0.1, pixel_um=PIXEL_UM))
        found = screened(grey, gates, StreakMemory(), most_spots=20)
        near = [
            spot
            for spot in found.spots
            if spot.row_start - 3 <= LINES / 2 <= spot.row_end + 3
            and spot.column_end > seen.left
            and spot.column_start < seen.left + columns
        ]
        if not near:
            return None
        return measured(grey, found, gates, max(near, key=lambda spot: spot.strength), row, Optics(pixel_um=PIXEL_UM))


@pytest.fixture(scope="module")
def study() -> Study:
    return Study()


def test_sizes_lie_within_their_uncertainty_in_about_95_of_100_cases(study: Study) -> None:
    inside: dict[str, list[bool]] = {code: [] for code in MAIN}
    relative: list[float] = []
    for code in MAIN:
        for draw in (of_training, of_plant):
            for size, _, result in study.results(code, draw, COUNT):
                inside[code].append(abs(result.size_um - size) <= result.size_uncertainty_um)
                relative.append(result.size_uncertainty_um / result.size_um)
    every = [row for rows in inside.values() for row in rows]
    assert np.mean(every) >= 0.92
    # 27 or more of 32: at 95 % a class falls below that in 1 case of 250.
    assert min(np.mean(rows) for rows in inside.values()) >= 0.84, {k: np.mean(v) for k, v in inside.items()}
    # Stated widely enough to hold, and not so widely that it says nothing.
    assert np.median(relative) < 0.35


@pytest.mark.parametrize(("code", "depths"), [("STR", (0.05, 0.16)), ("SCR", (0.105, 0.45))])
def test_depths_of_grooves_lie_within_their_uncertainty(study: Study, code: str, depths: tuple[float, float]) -> None:
    """Over the depths that the renderer of the plant shows: it draws no fainter and no stronger groove."""
    found = [
        (depth, result.depth)
        for _, depth, result in study.results(code, of_plant, 24, depths=depths)
        if result.depth is not None
    ]
    assert len(found) >= 20
    inside = [abs(told.fraction - depth) <= told.uncertainty_fraction for depth, told in found]
    assert np.mean(inside) >= 0.83
    assert abs(np.mean([told.fraction / depth for depth, told in found]) - 1) < 0.2


def test_length_and_width_give_the_area(study: Study) -> None:
    for code in ("PIN", "CRK", "SCR"):
        share = math.pi / 4 if study.rows[code].size_measure == "diameter" else 1.0
        for _, _, result in study.results(code, of_training, 4):
            assert result.length_um >= result.width_um > 0
            assert result.area_um2 == pytest.approx(share * result.length_um * result.width_um, rel=1e-6)


def test_a_crack_and_a_chip_of_metal_have_no_depth(study: Study) -> None:
    for code in ("CRK", "MET"):
        assert all(result.depth is None for _, _, result in study.results(code, of_training, 4))

"""Rendered strips against what they were asked to show. The camera is narrow, to be fast; nothing depends on width."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from line.model import load_line
from plant.film_texture import LEVELS_DN, PIXEL_UM, FilmBank, film_bank
from plant.flaw_looks import CORE_CONTRAST
from plant.render_film import STRIP_LINES, render_strip
from plant.truth_types import CameraHealth, Flaw

WIDTH_PX = 1500
STRIP_UM = round(STRIP_LINES * PIXEL_UM)
HEALTH = CameraHealth()
BF, DF, TX = range(3)


@lru_cache
def bank() -> FilmBank:
    return film_bank(7, width_px=WIDTH_PX)


def flaw(kind: str, md_um: int, cd_um: int, size_um: float, **changes: Any) -> Flaw:
    given: dict[str, Any] = {
        "flaw": f"{kind}-{md_um}-{cd_um}", "roll": "FR-1", "kind": kind, "md_um": md_um, "cd_um": cd_um,
        "size_um": size_um, "length_um": size_um, "width_um": size_um, "depth_fraction": 0.0, "angle_rad": 0.0,
        "born_ns": 0, "killer": False,
    }  # fmt: skip
    return Flaw(**(given | changes))


def signal_of(made: Flaw, *, strips: int = 1, health: CameraHealth = HEALTH, first: int = 0) -> NDArray[np.float64]:
    """Grey with the flaw less grey without it, strips joined along the web, by channel."""
    parts = [
        render_strip("FR-1", (first + i) * STRIP_UM, [made], health, bank()).astype(np.float64)
        - render_strip("FR-1", (first + i) * STRIP_UM, [], health, bank())
        for i in range(strips)
    ]
    return np.concatenate(parts, axis=1)


def centre_of(signal: NDArray[np.float64]) -> tuple[float, float]:
    """Row and column of the centre of gravity."""
    weight = np.abs(signal)
    rows, columns = np.indices(weight.shape)
    return float((rows * weight).sum() / weight.sum()), float((columns * weight).sum() / weight.sum())


def test_sound_film_has_the_nominal_greys_and_texture() -> None:
    strip = render_strip("FR-1", 0, [], HEALTH, bank())
    assert strip.shape == (3, STRIP_LINES, WIDTH_PX)
    for channel, level in enumerate(LEVELS_DN):
        assert strip[channel].mean() == pytest.approx(level, rel=0.02)
    middle = strip[BF, :, 600:900].astype(float)
    flat = middle - middle.mean(axis=0)
    assert 0.02 < flat.std() / middle.mean() < 0.04
    neighbours = np.corrcoef(flat[:, :-1].ravel(), flat[:, 1:].ravel())[0, 1]
    assert 0.4 < neighbours < 0.95, "grain is correlated, noise alone would not be"


def test_brightness_falls_by_a_quarter_towards_the_edges_of_the_camera() -> None:
    # The outermost 8 mm carry the edge bead, so it is looked for inside of them.
    wide = film_bank(3, width_px=6000)
    columns = render_strip("FR-1", 0, [], HEALTH, wide)[BF].mean(axis=0)
    middle, edge = columns[2900:3100].mean(), columns[450:550].mean()
    assert edge / middle == pytest.approx(1 - 0.25 * (1 - 500 / 3000) ** 2, abs=0.03)


def test_the_same_strip_is_the_same_bytes_and_another_seed_only_changes_noise() -> None:
    first = render_strip("FR-1", 5 * STRIP_UM, [flaw("AGG", 26_000, 14_000, 120)], HEALTH, bank())
    again = render_strip("FR-1", 5 * STRIP_UM, [flaw("AGG", 26_000, 14_000, 120)], HEALTH, bank())
    other = render_strip("FR-1", 5 * STRIP_UM, [flaw("AGG", 26_000, 14_000, 120)], HEALTH, bank(), seed=2)
    assert np.array_equal(first, again)
    difference = other.astype(float) - first
    assert difference.std() == pytest.approx(HEALTH.noise_dn * 2**0.5, rel=0.1)


def test_strips_of_a_roll_and_of_different_rolls_do_not_repeat() -> None:
    quiet = CameraHealth(noise_dn=0.0)
    strips = [render_strip("FR-1", i * STRIP_UM, [], quiet, bank())[BF, :, 300:1200] for i in range(12)]
    strips.append(render_strip("FR-2", 0, [], quiet, bank())[BF, :, 300:1200])
    flat = [(part - part.mean(axis=0)).ravel() for part in (strip.astype(float) for strip in strips)]
    for i, left in enumerate(flat):
        for right in flat[i + 1 :]:
            assert abs(np.corrcoef(left, right)[0, 1]) < 0.2


def test_grain_goes_on_across_the_border_of_two_strips() -> None:
    quiet = CameraHealth(noise_dn=0.0)
    upper, lower = (
        render_strip("FR-1", i * STRIP_UM, [], quiet, bank())[BF, :, 300:1200].astype(float) for i in (4, 5)
    )
    across = np.abs(upper[-1] - lower[0]).mean()
    within = np.abs(upper[100] - upper[101]).mean()
    assert across == pytest.approx(within, rel=0.35)


@pytest.mark.parametrize(
    ("kind", "channel", "size_um"),
    [("PIN", TX, 40), ("MET", TX, 60), ("BUB", TX, 180), ("BUB", TX, 60), ("PIN", TX, 25)],
)
def test_a_round_flaw_lies_where_it_was_put_to_a_tenth_of_a_pixel(kind: str, channel: int, size_um: float) -> None:
    made = flaw(kind, 2_507, 14_003, size_um, angle_rad=0.4)
    row, column = centre_of(signal_of(made)[channel])
    # A facetted particle's centre of gravity is not quite its centre.
    tolerance = 0.1 if kind != "MET" else 0.4
    assert row == pytest.approx(2_507 / PIXEL_UM - 0.5, abs=tolerance)
    assert column == pytest.approx(14_003 / PIXEL_UM - 0.5, abs=tolerance)


def test_a_bubble_is_as_large_as_it_was_asked_for() -> None:
    core = signal_of(flaw("BUB", 2_500, 14_000, 600))[TX] > 0.3 * 0.8 * LEVELS_DN[TX]
    diameter_um = 2 * np.sqrt(core.sum() / np.pi) * PIXEL_UM
    assert diameter_um == pytest.approx(0.72 * 600, rel=0.05), "its core is 0.72 of the diameter over the rim"


def test_a_particle_covers_its_area() -> None:
    opaque = signal_of(flaw("MET", 2_500, 14_000, 400))[TX] < -0.45 * LEVELS_DN[TX]
    assert 2 * np.sqrt(opaque.sum() / np.pi) * PIXEL_UM == pytest.approx(400, rel=0.15)


def test_a_thread_and_a_crack_are_as_long_as_they_were_asked_for() -> None:
    for kind, angle in (("FIB", 0.0), ("CRK", np.pi / 2)):
        dark = signal_of(flaw(kind, 2_500, 14_000, 1_600, angle_rad=angle))[BF] < -8
        rows, columns = np.nonzero(dark)
        extent = np.ptp(rows) if angle == 0 else np.ptp(columns)
        assert extent * PIXEL_UM == pytest.approx(1_600, rel=0.12)


def test_a_streak_and_a_scratch_run_along_the_web_through_whole_strips() -> None:
    for kind, channel, size in (("STR", TX, 350), ("SCR", DF, 80)):
        made = flaw(kind, 3 * STRIP_UM, 14_000, size, length_um=400_000)
        signal = signal_of(made, strips=2)[channel]
        profile = signal.mean(axis=0)
        assert float((np.arange(WIDTH_PX) * profile).sum() / profile.sum()) == pytest.approx(14_000 / 20 - 0.5, abs=0.6)
        width_um = (profile > profile.max() / 2).sum() * PIXEL_UM
        assert width_um == pytest.approx(size, rel=0.3)
        assert (signal[:, 690:711].max(axis=1) > 3).mean() > 0.9


@pytest.mark.parametrize("kind", [*CORE_CONTRAST, "ZZ4"])
def test_each_class_shows_the_contrasts_of_the_table(kind: str) -> None:
    size = {"THK": 8_000, "DIS": 6_000, "BLI": 3_000, "WRK": 3_000, "CRK": 3_000, "FIB": 900, "STR": 600}.get(kind, 500)
    length_um = 5_000 if kind in {"STR", "SCR"} else size
    core = CORE_CONTRAST.get(kind, (-0.14, 1.3, 0.18))
    # One metal particle in four is black instead of a glint, and it is by its name which.
    names = [f"{kind}-{number}" for number in range(8 if kind == "MET" else 1)]
    signals = [
        signal_of(flaw(kind, 2_560, 14_000, size, length_um=length_um, flaw=name), health=CameraHealth(blur_px=0.3))
        for name in names
    ]
    for channel, contrast in enumerate(core):
        wanted = min(abs(contrast) * LEVELS_DN[channel], 255 - LEVELS_DN[channel])
        if wanted < 1:
            continue
        strongest = []
        for signal in signals:
            touched = np.sort(np.abs(signal[channel][np.abs(signal[channel]) > 0.3 * wanted]))
            strongest.append(touched[int(0.97 * len(touched)) :].mean() if len(touched) else 0.0)
        # Brightest hundredths of what is touched; vignetting, bead and each flaw's own strength give up to 45 %.
        assert max(strongest) == pytest.approx(wanted, rel=0.45, abs=1.5), channel


def test_the_contrasts_are_those_of_the_line_model() -> None:
    rows = {row.code: row for row in load_line().defects if row.measured_as == "event"}
    assert set(CORE_CONTRAST) == set(rows)
    for kind, (bf, df, tx) in CORE_CONTRAST.items():
        assert (bf, df, tx) == (rows[kind].contrast_bf, rows[kind].contrast_df, rows[kind].contrast_tx)


@pytest.mark.parametrize("kind", ["CRK", "AGG", "BUB", "WRK", "DIS", "STR", "ZZ4"])
def test_a_flaw_across_the_border_of_two_strips_is_one_flaw(kind: str) -> None:
    quiet = CameraHealth(noise_dn=0.0)
    size = {"DIS": 3_000, "WRK": 2_000, "CRK": 900}.get(kind, 300)
    made = flaw(kind, 2 * STRIP_UM + 7, 14_000, size, length_um=1_500 if kind == "STR" else size)
    apart = signal_of(made, strips=2, first=1, health=quiet)
    whole = render_strip("FR-1", STRIP_UM, [made], quiet, bank(), lines=2 * STRIP_LINES).astype(float)
    whole -= render_strip("FR-1", STRIP_UM, [], quiet, bank(), lines=2 * STRIP_LINES)
    assert np.abs(apart).max() > 5
    # One step of the smooth classes' coarse grid may differ by rounding; nothing may be torn.
    assert np.abs(apart - whole).max() <= 3
    assert np.abs(apart - whole).mean() < 0.02


def test_a_wandering_web_takes_film_and_flaws_with_it() -> None:
    made = flaw("BUB", 2_500, 14_000, 180)
    moved = CameraHealth(wander_um=250)
    _, column = centre_of(signal_of(made, health=moved)[TX])
    assert column == pytest.approx((14_000 + 250) / PIXEL_UM - 0.5, abs=0.1)
    liner = render_strip("FR-1", 0, [], moved, bank())[TX, :, :10].mean()
    film = render_strip("FR-1", 0, [], HEALTH, bank())[TX, :, 600:900].mean()
    assert liner > 1.5 * film, "bare liner shows beside the coat"


def test_an_ageing_lamp_darkens_its_own_channel() -> None:
    aged = render_strip("FR-1", 0, [], CameraHealth(lamp_bf=0.88), bank()).mean(axis=(1, 2))
    fresh = render_strip("FR-1", 0, [], HEALTH, bank()).mean(axis=(1, 2))
    assert aged[BF] / fresh[BF] == pytest.approx(0.88, abs=0.005)
    assert aged[TX] == pytest.approx(fresh[TX], abs=0.3)


def test_a_blurred_camera_dims_a_pinhole_and_smooths_the_grain() -> None:
    made = flaw("PIN", 2_500, 14_000, 30)
    sharp, soft = (signal_of(made, health=CameraHealth(blur_px=blur))[TX].max() for blur in (0.6, 1.6))
    assert soft < 0.5 * sharp
    grain = [
        np.diff(render_strip("FR-1", 0, [], CameraHealth(blur_px=blur, noise_dn=0), bank())[BF].astype(float)).std()
        for blur in (0.6, 1.6)
    ]
    assert grain[1] < 0.7 * grain[0]


def test_the_edge_bead_is_a_dark_band_in_transmission_inside_either_edge() -> None:
    columns = render_strip("FR-1", 0, [], HEALTH, bank())[TX].mean(axis=0)
    for band, inner in ((columns[80:140], columns[480:600]), (columns[-140:-80], columns[-600:-480])):
        assert band.mean() < 0.95 * inner.mean()

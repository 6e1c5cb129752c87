from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from line.model import load_line
from models.film_forms import Target
from models.film_looks import stamp
from models.film_patches import (
    LEARNT_STRIPS,
    PIXEL_UM,
    Roll,
    drawn_roll,
    drawn_size_um,
    drawn_target,
    event_classes,
    labelled_patches,
)
from models.film_strips import LEVELS, STRIP_LINES, Film
from models.film_styles import FAMILIES, LEFT_OUT, TRAINED, Family, FilmStyle, drawn_style
from models.film_textures import RING_LINES
from vision.candidates import CLEAN

LINE = load_line()
ROWS = event_classes(LINE)
QUIET = FilmStyle(
    family=FAMILIES[1],
    grain_fraction=0.02,
    mottle_fraction=0.003,
    band_fraction=0.0,
    blur_px=0.6,
    noise_grey=1.0,
    gain_fraction=0.1,
    lamp=(1.0, 1.0, 1.0),
    speck_rate=0.0,
    flicker_rate=0.0,
    bordered=False,
)


def roll_of(seed: int, **settings: object) -> Roll:
    return drawn_roll(
        ROWS,
        {},
        np.random.default_rng(seed),
        candidates_per_m2=2000,
        streaks_per_m2=5,
        strips=4,
        **settings,  # type: ignore[arg-type]
    )


def target(kind: str, size_um: float, line_px: float = 300.0) -> Target:
    return Target(
        kind=kind, size_um=size_um, line_px=line_px, column_px=400.0, extent_um=20_000.0, angle_rad=0.0,
        strength=1.0, seed=5,
    )  # fmt: skip


def test_the_same_seed_gives_the_same_patches() -> None:
    first, second = (labelled_patches(roll_of(3, tries=12), strips=4) for _ in range(2))
    assert first.kinds == second.kinds
    assert np.array_equal(first.images, second.images)


def test_patches_are_uint8_squares_of_three_channels_with_a_known_class() -> None:
    found = labelled_patches(roll_of(4, tries=20), strips=4)
    assert found.images.dtype == np.uint8
    assert found.images.shape[1:] == (3, 64, 64)
    assert len(found.images) == len(found.kinds) == len(found.sizes_um) > 10
    assert set(found.kinds) <= {*(row.code for row in ROWS), CLEAN}


def test_patches_show_film_at_its_nominal_grey_whatever_the_lamps_do() -> None:
    style = replace(QUIET, lamp=(0.86, 1.14, 0.9))
    found = labelled_patches(roll_of(5, tries=20, style=style), strips=4)
    medians = np.median(found.images, axis=(0, 2, 3))
    assert medians == pytest.approx(LEVELS, abs=2)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_every_event_class_of_the_line_model_has_a_look_at_every_size(row) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    for size_um in (row.min_um, row.median_um, min(4 * row.median_um, 16_000.0)):
        made = stamp(drawn_target(row, size_um, 500.0, 500.0, rng), row, pixel_um=PIXEL_UM, blur_px=0.6)
        assert np.isfinite(made.contrast).all()
        assert np.abs(made.contrast).max() > 0.005


@pytest.mark.parametrize(
    ("kind", "channel"),
    [("PIN", 2), ("MET", 2), ("AGG", 2), ("BUB", 2), ("STR", 2), ("DIS", 0), ("THK", 2), ("SCR", 1)],
)
def test_a_target_that_is_well_resolved_has_about_the_core_contrast_of_its_row(kind: str, channel: int) -> None:
    row = LINE.defect(kind)
    size_um = max(row.median_um or 0, 400.0)
    made = stamp(target(kind, size_um), row, pixel_um=PIXEL_UM, blur_px=0.6)
    core = (row.contrast_bf, row.contrast_df, row.contrast_tx)[channel] or 0.0
    assert np.abs(made.contrast[channel]).max() == pytest.approx(abs(core), rel=0.55)


def test_a_small_target_changes_less_light_than_its_core_would() -> None:
    row = LINE.defect("PIN")
    peaks = [
        stamp(target("PIN", size_um), row, pixel_um=PIXEL_UM, blur_px=0.8).contrast[2].max()
        for size_um in (15, 30, 120)
    ]
    assert peaks[0] < 0.5 * peaks[1] < 0.5 * peaks[2]


def test_sound_film_has_the_nominal_grey_of_each_channel() -> None:
    strip = Film(QUIET, width_px=1024, seed=2).strip(0, aged=False)
    assert strip.shape == (3, STRIP_LINES, 1024)
    assert strip.mean(axis=(1, 2)) == pytest.approx(LEVELS, rel=0.03)


def neighbour_correlation(family: Family, axis: int) -> float:
    style = replace(QUIET, family=family, mottle_fraction=0.0, noise_grey=0.0, gain_fraction=0.0, blur_px=0.0)
    plane = Film(style, width_px=2048, seed=3).strip(0, aged=False)[0].astype(np.float32)
    plane -= plane.mean(axis=0)
    moved: NDArray[np.float32] = np.roll(plane, 1, axis=axis)
    return float((plane * moved).mean() / plane.var())


def test_the_families_differ_in_how_far_their_grain_is_correlated() -> None:
    along = {family.name: neighbour_correlation(family, axis=0) for family in FAMILIES}
    across = {family.name: neighbour_correlation(family, axis=1) for family in FAMILIES}
    assert along["white"] < 0.45 < along["fine"] < along["coarse"]
    assert along["directional"] > across["directional"] + 0.05


def plane_of(channel: int, **changes: object) -> NDArray[np.float64]:
    style = replace(QUIET, mottle_fraction=0.0, noise_grey=0.0, gain_fraction=0.0, **changes)  # type: ignore[arg-type]
    plane = Film(style, width_px=2048, seed=3).strip(0, aged=False)[channel].astype(np.float64)
    return np.asarray(plane - plane.mean(axis=0), np.float64)


def test_the_grain_of_the_family_left_out_runs_across_both_axes() -> None:
    family = next(family for family in FAMILIES if family.name == LEFT_OUT)
    assert family not in TRAINED
    assert len(TRAINED) >= 4
    plane = plane_of(0, family=family)
    forwards, backwards = ((plane[2:, 2:] * plane[:-2, :-2]).mean(), (plane[2:, :-2] * plane[:-2, 2:]).mean())
    assert abs(forwards - backwards) > 0.1 * plane.var()


def test_gloss_shows_in_reflected_light_and_most_in_dark_field() -> None:
    spreads = [[plane_of(channel, gloss_fraction=gloss).std() for channel in range(3)] for gloss in (0.0, 0.03)]
    added = [
        (glossy**2 - dull**2) / LEVELS[channel] ** 2
        for channel, (dull, glossy) in enumerate(zip(*spreads, strict=True))
    ]
    assert added[1] > 2 * added[0] > 0
    assert abs(added[2]) < 0.1 * added[0]


def test_curl_changes_the_light_at_the_edges_and_not_in_the_middle() -> None:
    means = []
    for curl in (0.0, 0.03):
        film = Film(replace(QUIET, noise_grey=0.0, curl_fraction=curl), width_px=1024, seed=6)
        means.append(np.stack([film.strip(line, aged=False)[0].mean(axis=0) for line in range(0, 8192, 2048)]))
    change = np.abs(means[1] - means[0]).max(axis=0)
    assert change[:20].mean() > 1.0
    assert change[400:600].mean() < 0.3


def test_a_web_that_wanders_moves_its_texture_and_not_the_light() -> None:
    still, moved = (
        Film(replace(QUIET, noise_grey=0.0, wander_px=wander), width_px=1024, seed=7) for wander in (0.0, 30.0)
    )
    far = STRIP_LINES * 40
    shifts = [
        int(
            np.argmax([
                np.corrcoef(np.roll(one[0, :, 100:900], shift, axis=1).ravel(), two[0, :, 100:900].ravel())[0, 1]
                for shift in range(-35, 36)
            ])
            - 35
        )
        for one, two in ((still.strip(line, aged=False), moved.strip(line, aged=False)) for line in (0, far))
    ]
    assert shifts[0] == 0
    assert shifts[1] != 0


def test_half_the_pixel_shows_a_target_and_the_grain_twice_as_large() -> None:
    row = LINE.defect("AGG")
    coarse, fine = (
        np.count_nonzero(np.abs(stamp(target("AGG", 300.0), row, pixel_um=pixel, blur_px=0.6).contrast[2]) > 0.1)
        for pixel in (20.0, 10.0)
    )
    assert fine == pytest.approx(4 * coarse, rel=0.2)
    grain = []
    for pixel in (20.0, 10.0):
        plane = Film(replace(QUIET, noise_grey=0.0), width_px=1024, seed=3, pixel_um=pixel).strip(0, aged=False)[0]
        change = plane - plane.mean(axis=0)
        grain.append(float((change[1:] * change[:-1]).mean() / change.var()))
    assert grain[1] > grain[0] + 0.1


def test_patches_of_a_finer_camera_are_shown_at_the_pixel_of_all_others() -> None:
    roll = roll_of(11, tries=12, pixel_um=10.0)
    assert roll.camera_pixels == 2
    found = labelled_patches(roll, strips=4)
    assert found.images.shape[1:] == (3, 64, 64)


def test_the_texture_goes_on_from_strip_to_strip_and_does_not_repeat_in_the_next() -> None:
    film = Film(replace(QUIET, noise_grey=0.0), width_px=512, seed=4)
    first, shifted, later = (film.strip(line, aged=False) for line in (0, 100, STRIP_LINES))
    assert np.array_equal(first[:, 100:], shifted[:, :-100])
    assert np.corrcoef(first[0].ravel(), later[0].ravel())[0, 1] < 0.9


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_texture_does_not_come_back_to_its_place_while_lines_are_looked_for(family: Family) -> None:
    style = replace(QUIET, family=family, gloss_fraction=0.02, mottle_fraction=0.0, noise_grey=0.0)
    film = Film(style, width_px=3072, seed=8)
    profiles = np.stack([film.strip(STRIP_LINES * number, aged=False)[1].mean(axis=0) for number in range(48)])
    profiles = profiles.reshape(len(profiles), -1, 4).mean(axis=2)
    profiles -= profiles.mean(axis=0)
    alike = [float(np.mean(profiles[apart:] * profiles[:-apart]) / profiles.var()) for apart in range(1, 17)]
    assert np.abs(alike).max() < 0.2
    means = np.stack([profiles[first : first + 16].mean(axis=0) for first in (0, 16, 32)])
    # Of 48 strips less their common mean, 16 scatter as 24 of new film do.
    assert means.std() / profiles.std() == pytest.approx(24**-0.5, rel=0.25)


def test_a_turn_of_the_texture_ends_where_the_next_begins() -> None:
    style = replace(QUIET, family=FAMILIES[2], noise_grey=0.0, gain_fraction=0.0, gloss_fraction=0.02)
    film = Film(style, width_px=1001, seed=9)
    for lines in RING_LINES:
        planes = film.strip(3 * lines - STRIP_LINES // 2, aged=False).astype(np.float64)
        planes -= planes.mean(axis=(1, 2), keepdims=True)
        steps = np.square(np.diff(planes, axis=1)).mean(axis=(0, 2))
        assert steps[STRIP_LINES // 2 - 1] == pytest.approx(np.median(steps), rel=0.3)


def test_a_target_across_the_border_of_two_strips_shows_in_both() -> None:
    made = stamp(target("AGG", 400.0, line_px=STRIP_LINES), LINE.defect("AGG"), pixel_um=PIXEL_UM, blur_px=0.6)
    film = Film(QUIET, width_px=1024, seed=5)
    for number, line in ((0, STRIP_LINES - 1), (1, 0)):
        plane = film.strip(number * STRIP_LINES, (made,), aged=False)[2]
        assert plane[line, 400] < 0.85 * np.median(plane)


def test_every_spot_on_sound_film_is_labelled_clean() -> None:
    found = labelled_patches(roll_of(6, tries=0), strips=16)
    assert len(found.kinds) > 1
    assert set(found.kinds) == {CLEAN}


def test_of_many_patches_as_many_as_wanted_are_taken_from_all_over_the_roll() -> None:
    every = labelled_patches(roll_of(6, tries=0), strips=16)
    few = labelled_patches(roll_of(6, tries=0), strips=16, most=2)
    assert (len(few.kinds), len(few.sizes_um)) == (2, 2)
    assert np.array_equal(few.images, every.images[[0, -1]])


def test_pinholes_that_are_easily_seen_are_found_and_labelled_as_such() -> None:
    rows = (LINE.defect("PIN"),)
    roll = drawn_roll(
        rows, {}, np.random.default_rng(8), candidates_per_m2=100, streaks_per_m2=1, style=QUIET, strips=4,
        tries=20, size_of=lambda _row, _rng: 80.0,
    )  # fmt: skip
    found = labelled_patches(roll, strips=4)
    assert found.kinds.count("PIN") >= len(roll.stamps)
    assert all(size == 80.0 for kind, size in zip(found.kinds, found.sizes_um, strict=True) if kind == "PIN")


def test_targets_lie_behind_the_sound_beginning_that_is_learnt() -> None:
    roll = roll_of(9, tries=30)
    assert min(made.target.line_px for made in roll.stamps) > LEARNT_STRIPS * STRIP_LINES


def test_sizes_are_drawn_as_on_the_line_or_evenly_where_detection_matters() -> None:
    row, rng = LINE.defect("AGG"), np.random.default_rng(2)
    natural = [drawn_size_um(row, rng, oversampled=False) for _ in range(2000)]
    even = [drawn_size_um(row, rng, oversampled=True) for _ in range(2000)]
    assert np.median(natural) == pytest.approx(75, rel=0.06)
    assert np.median(even) == pytest.approx(np.sqrt(36 * 520), rel=0.1)


def test_a_style_stays_within_the_stated_ranges() -> None:
    styles = [drawn_style(np.random.default_rng(seed)) for seed in range(200)]
    assert {style.family.name for style in styles} == {family.name for family in FAMILIES}
    assert all(0.4 <= style.blur_px <= 1.6 for style in styles)
    assert all(0.85 <= lamp <= 1.15 for style in styles for lamp in style.lamp)

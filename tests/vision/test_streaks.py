from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.vision.made_film import MadeFilm, streak
from vision.gates import Gates, learnt_look, limits_for
from vision.pyramid import STREAK_STRIPS, STREAK_WIDTHS
from vision.screening import Spot, StreakMemory, screened
from vision.streaks import FAINTEST_STREAK, lines_along

WIDTH_PX, LEARNT, COUNT = 1200, 8, 40
GLOSS_FRACTION = 0.02
MIDDLE_PX = 600
LINE_PX = 40
Floats = NDArray[np.float64]


def gloss(count: int, kept: float, seed: int) -> Floats:
    """Relative change of each column by gloss, strip by strip; a share of it is kept from one strip to the next."""
    rng = np.random.default_rng(seed)
    fresh = cv2.GaussianBlur(rng.standard_normal((count, WIDTH_PX)), (0, 0), sigmaX=10, sigmaY=1e-3)
    fresh *= GLOSS_FRACTION / fresh.std()
    kept_on = np.empty_like(fresh)
    kept_on[0] = fresh[0]
    for number in range(1, count):
        kept_on[number] = kept * kept_on[number - 1] + (1 - kept**2) ** 0.5 * fresh[number]
    return np.asarray(kept_on, np.float64)


def streak_spots(shine: Floats, line_fraction: float = 0.0) -> list[list[Spot]]:
    """Lines along the web on film with this gloss, by strip after those it was learnt from."""
    film, rng = MadeFilm(width_px=WIDTH_PX), np.random.default_rng(5)
    strips = []
    for number, change in enumerate(shine):
        seen = 1 + change
        if number >= LEARNT:
            seen[MIDDLE_PX - LINE_PX // 2 : MIDDLE_PX + LINE_PX // 2] += line_fraction
        planes = film.planes(number)
        # A grey level is 4 % of dark field: rounded without chance, most of the gloss would be lost.
        strips.append(np.clip(planes * seen + rng.random(planes.shape), 0, 255).astype(np.uint8))
    look = learnt_look(strips[:LEARNT])
    gates = Gates(look, limits_for(look, candidates_per_m2=20, streaks_per_m2=0.1, pixel_um=20), margin_px=40)
    memory = StreakMemory()
    found = [screened(strip, gates, memory, most_spots=200).spots for strip in strips[LEARNT:]]
    return [[spot for spot in spots if spot.test == "streak"] for spots in found]


def strongest_mean(shine: Floats) -> float:
    """The largest mean that gloss reaches in as many strips as are averaged, against what was learnt."""
    change = shine - np.median(shine[:LEARNT], axis=0)
    longest = max(STREAK_STRIPS)
    means = [change[end - longest : end].mean(axis=0) for end in range(LEARNT + longest, len(change) + 1)]
    return float(np.abs(cv2.blur(np.array(means), (LINE_PX, 1))).max())


def test_gloss_that_goes_on_from_strip_to_strip_is_no_streak_but_a_steady_line_as_strong_is() -> None:
    long, short = gloss(LEARNT + COUNT, 0.9, seed=1), gloss(LEARNT + COUNT, 0.0, seed=2)
    assert not any(streak_spots(long))
    contrast = strongest_mean(long)
    assert contrast > FAINTEST_STREAK
    found = streak_spots(short / 2, contrast)
    assert all(found[-8:])
    assert all(abs(spot.column_start + spot.column_end - 2 * MIDDLE_PX) < 60 for spots in found for spot in spots)


def test_a_line_must_stand_out_of_the_scatter_of_the_very_mean_it_is_seen_in() -> None:
    film = MadeFilm(width_px=WIDTH_PX)
    look = learnt_look([film.planes(seed) for seed in range(LEARNT)])
    gates = Gates(look, limits_for(look, candidates_per_m2=20, streaks_per_m2=0.1, pixel_um=20))
    line, cells = np.zeros((3, WIDTH_PX // 4), np.float32), slice(145, 155)
    line[2, cells] = 0.1
    # The pattern is the same in every strip, as what was learnt amiss or gloss metres long would be.
    pattern = np.random.default_rng(3).standard_normal(line.shape).astype(np.float32)
    counts = []
    for scatter in (0.0, 0.05):
        memory = StreakMemory()
        for _ in range(max(STREAK_STRIPS)):
            profile = line + np.float32(scatter) * pattern
            memory.add(profile, np.repeat(profile[:, None], 8, axis=1))
        counts.append(len(lines_along(memory, gates, 256)))
    assert counts == [1, 0]


def test_a_web_full_of_lines_hides_none_of_them() -> None:
    film = MadeFilm()
    look = learnt_look([film.planes(seed) for seed in range(LEARNT)])
    gates = Gates(look, limits_for(look, candidates_per_m2=20, streaks_per_m2=0.1, pixel_um=20), margin_px=40)
    places = range(200, 2900, 300)
    found = screened(film.planes(9, [streak(place, 300) for place in places]), gates, StreakMemory(), most_spots=200)
    starts = [spot.column_start for spot in found.spots if spot.test == "streak"]
    assert len(starts) == len(places)
    assert max(STREAK_WIDTHS) * 4 < 300


def test_film_that_stands_up_at_its_edges_makes_no_line_along_them_but_a_line_there_is_one() -> None:
    film, rng = MadeFilm(), np.random.default_rng(6)
    look = learnt_look([film.planes(seed) for seed in range(LEARNT)])
    standing = 1 - 0.05 * np.linspace(-1, 1, film.width_px) ** 4
    for lines, expected in (([], []), ([120, 2880], [100, 2900])):
        gates = Gates(look, limits_for(look, candidates_per_m2=20, streaks_per_m2=0.1, pixel_um=20), margin_px=40)
        memory = StreakMemory()
        for seed in range(LEARNT, LEARNT + 6):
            planes = film.planes(seed, [streak(place, 300) for place in lines]) * standing
            strip = np.clip(planes + rng.random(planes.shape), 0, 255).astype(np.uint8)
            spots = screened(strip, gates, memory, most_spots=200).spots
            middles = [(spot.column_start + spot.column_end) / 2 for spot in spots if spot.test == "streak"]
            assert sorted(round(middle, -2) for middle in middles) == expected

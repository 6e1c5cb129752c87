from __future__ import annotations

from math import log1p
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from line.bundle import open_bundle
from line.events import FilmProfile, decoded, encoded
from line.frames import StripHeader
from line.model import LineModel, load_line
from tests.vision.made_film import MadeFilm
from vision.candidates import Classifier
from vision.gates import FilmLook, Gates, learnt_look, limits_for
from vision.profile import STRETCH_UM, ProfileGauge
from vision.pyramid import quarter
from vision.session import ModelSession
from vision.strips import StripInspector

DENSITY = log1p(2.5)
WIDTH_PX, LINES, PIXEL_UM = 3_750, 256, 80.0
"""A camera of fewer and larger pixels that sees the whole web."""


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


class MadeWeb:
    """Film across the whole web: lens, bead at either edge, grain."""

    def __init__(self) -> None:
        self.cd_um = (np.arange(WIDTH_PX) + 0.5) * PIXEL_UM
        away = np.linspace(-1, 1, WIDTH_PX)
        self.lens = 1 - 0.25 * away**2
        self._rng = np.random.default_rng(5)

    def bead(self, height: float, reach_um: float = 2_500.0) -> NDArray[np.float64]:
        """Film that is thicker by `height` at the edges, falling off over `reach_um`."""
        from_edge = np.minimum(self.cd_um, 300_000 - self.cd_um)
        return np.asarray(1 + height * np.exp(-((from_edge / reach_um) ** 4)), np.float64)

    def planes(self, mass: NDArray[np.float64] | float = 1.0, lamp_tx: float = 1.0) -> NDArray[np.uint8]:
        """A strip, shape (3, lines, width)."""
        grey = np.empty((3, LINES, WIDTH_PX), np.uint8)
        through: NDArray[np.float64] = lamp_tx * np.exp(-DENSITY * (np.asarray(mass, np.float64) - 1))
        for channel, level in enumerate((150.0, 25.0, 90.0)):
            light = through if channel == 2 else np.float64(1.0)
            noise = 1 + 0.025 * self._rng.standard_normal((LINES, WIDTH_PX))
            grey[channel] = np.clip(np.rint(level * self.lens * light * noise), 0, 255)
        return grey


@pytest.fixture(scope="module")
def web() -> MadeWeb:
    return MadeWeb()


@pytest.fixture(scope="module")
def look(web: MadeWeb) -> FilmLook:
    return learnt_look([web.planes(web.bead(0.06)) for _ in range(8)])


def header(strip: int, roll: str = "FR-1") -> StripHeader:
    return StripHeader(
        camera="fins-1",
        roll=roll,
        strip=strip,
        encoder_um=8_000_000 + round(strip * LINES * PIXEL_UM),
        lines=LINES,
        width_px=WIDTH_PX,
        pixel_um=PIXEL_UM,
        channels=("BF", "DF", "TX"),
        at_ns=1_800_000_000_000_000_000 + strip,
        wall_ns=0,
        simulated=True,
    )


class Measurement:
    """A gauge and its gates, fed with film metre by metre."""

    def __init__(self, line: LineModel, look: FilmLook) -> None:
        self.camera = replace(line.camera("fins-1"), width_px=WIDTH_PX, pixel_um=PIXEL_UM)
        limits = limits_for(look, candidates_per_m2=20, streaks_per_m2=0.1, pixel_um=PIXEL_UM)
        self.gates = Gates(look, limits, margin_px=18, pixel_um=PIXEL_UM)
        self.gauge = ProfileGauge(line, self.camera)
        self.strip = 0

    def metres(
        self, planes: NDArray[np.uint8], metres: int, *, every: int = 1, roll: str = "FR-1"
    ) -> list[FilmProfile]:
        quarters = tuple(quarter(plane) for plane in planes)
        found = []
        for _ in range(round(metres * 1e6 / (LINES * PIXEL_UM))):
            self.strip += 1
            if self.strip % every:
                continue
            self.gates.light(quarters)
            start = round(self.strip * LINES * PIXEL_UM)
            profile = self.gauge.add(header(self.strip, roll), start, quarters[2], self.gates)
            found += [profile] if profile else []
        return found


@pytest.fixture
def measurement(line: LineModel, look: FilmLook) -> Measurement:
    return Measurement(line, look)


def test_film_as_it_was_learnt_is_even_and_passes(measurement: Measurement, web: MadeWeb) -> None:
    profiles = measurement.metres(web.planes(web.bead(0.06)), 4)
    assert [row.md_start_um for row in profiles][:3] == [0, STRETCH_UM, 2 * STRETCH_UM]
    first = profiles[0]
    assert len(first.mass_fraction) == 60 and first.cd_step_um == 5_000
    assert np.allclose(first.mass_fraction, 1, atol=first.mass_uncertainty_fraction)
    assert first.mass_uncertainty_fraction < 0.01
    assert first.verdict == "pass"
    # A cell of this camera's quarter image is 320 µm wide.
    assert abs(first.edge_low_um) < 320 and first.edge_high_um - first.edge_low_um == 300_000
    assert decoded(encoded(first)) == first


def test_thinner_film_at_one_place_is_found_to_its_uncertainty_and_rejected(
    measurement: Measurement, web: MadeWeb
) -> None:
    mass = web.bead(0.06) - 0.07 * np.exp(-(((web.cd_um - 112_000) / 9_000) ** 8))
    profile = measurement.metres(web.planes(mass), 2)[0]
    bins = np.array(profile.mass_fraction)
    assert bins[22] == pytest.approx(0.93, abs=profile.mass_uncertainty_fraction)
    assert bins[40] == pytest.approx(1.0, abs=profile.mass_uncertainty_fraction)
    assert profile.verdict == "reject"
    assert profile.reason.startswith(("-6.9%", "-7.0%")) and "at CD 110 mm, at most ±5% on any spot" in profile.reason


def test_a_lamp_is_not_taken_for_mass_across_the_web_and_the_doubt_is_said(
    measurement: Measurement, web: MadeWeb
) -> None:
    measurement.metres(web.planes(web.bead(0.06)), 3)
    dimmed = measurement.metres(web.planes(web.bead(0.06), lamp_tx=0.94), 3)[-1]
    bins = np.array(dimmed.mass_fraction)
    assert np.ptp(bins) < dimmed.mass_uncertainty_fraction
    assert bins.mean() == pytest.approx(1 - np.log(0.94) / DENSITY, abs=0.01)
    assert dimmed.verdict == "review"
    assert "film or lamp, the mass gauge tells" in dimmed.reason


def test_what_is_slow_all_across_the_web_is_the_lamps(measurement: Measurement, web: MadeWeb) -> None:
    measurement.metres(web.planes(web.bead(0.06)), 2)
    last = [
        measurement.metres(web.planes(web.bead(0.06), lamp_tx=1 - 0.01 * step / 20), 20, every=2)[-1]
        for step in range(1, 5)
    ][-1]
    assert last.verdict == "pass"
    assert np.mean(last.mass_fraction) == pytest.approx(1.0, abs=0.003)


@pytest.mark.parametrize("height", [0.03, 0.12])
def test_a_bead_that_reaches_behind_the_trim_is_measured_and_judged(
    line: LineModel, web: MadeWeb, height: float
) -> None:
    film = web.planes(web.bead(height, reach_um=8_500.0))
    # As high when it was learnt: a bead is compared with the film beside it.
    measurement = Measurement(line, learnt_look([film] * 8))
    profile = measurement.metres(film, 2)[0]
    expected = height * float(np.exp(-((5_000 / 8_500) ** 4)))
    assert profile.bead_low_fraction == pytest.approx(expected, abs=0.01)
    assert profile.bead_high_fraction == pytest.approx(expected, abs=0.01)
    assert profile.verdict == ("reject" if height > 0.1 else "pass")
    if height > 0.1:
        assert profile.bead_low_um == pytest.approx(9_300, abs=800)
        assert "behind the edge trim, at most +8%" in profile.reason


def test_a_bead_within_the_trim_passes(measurement: Measurement, web: MadeWeb) -> None:
    profile = measurement.metres(web.planes(web.bead(0.06)), 2)[0]
    assert profile.bead_low_fraction < 0.012
    assert 1_500 < profile.bead_low_um < 4_500


def test_a_stretch_that_was_hardly_seen_has_no_profile(measurement: Measurement, web: MadeWeb) -> None:
    assert measurement.metres(web.planes(), 4, every=3) == []


def test_a_new_roll_begins_its_own_stretches(measurement: Measurement, web: MadeWeb) -> None:
    planes = web.planes(web.bead(0.06))
    measurement.metres(planes, 2)
    measurement.strip = 0
    other = measurement.metres(planes, 2, roll="FR-2")[0]
    assert (other.roll, other.md_start_um) == ("FR-2", 0)


def test_an_inspector_gives_a_profile_for_each_metre(line: LineModel, bundle_folder: Path) -> None:
    film = MadeFilm(width_px=1_000)
    camera = replace(line.camera("fins-1"), width_px=film.width_px)
    sound = [film.planes(seed) for seed in range(8)]
    with ModelSession(open_bundle(bundle_folder, task="film-candidates"), "cpu") as session:
        inspector = StripInspector(line, camera, Classifier(session), now_ns=lambda: 0)
        results = [
            row
            for strip in range(200)
            for row in inspector.inspect(film.header(strip, width_px=1_000), sound[strip % 8])
        ]
    (profile,) = [row.profile for row in results if row.profile is not None]
    assert (profile.roll, profile.camera, profile.md_start_um, profile.md_end_um) == ("FR-1", "fins-1", 0, 1_000_000)
    assert profile.verdict == "pass"
    assert len(profile.mass_fraction) == 4
    # This camera sees the first 20 mm of the web: there is no far edge to measure.
    assert (profile.bead_high_fraction, profile.bead_high_um) == (0.0, 0)

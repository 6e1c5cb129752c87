from __future__ import annotations

from math import erf, pi, radians, tan

import numpy as np
import pytest
from numpy.typing import NDArray

from line.errors import UnusableFrameError
from vision.focus import FREQUENCIES_CPP, sharpness

_erf = np.vectorize(erf)


def slanted_edge(
    *, blur_px: float, slant_deg: float = 5.0, rows: int = 120, noise: float = 1.0, seed: int = 0, phase: float = 0.3
) -> NDArray[np.float32]:
    """An edge from 20 to 190 through a Gaussian lens onto square pixels, 8 x 8 samples each."""
    columns, fine = 64, 8
    y, x = ((np.arange(size * fine) + 0.5) / fine - 0.5 for size in (rows, columns))
    tilt = tan(radians(slant_deg))
    distance = (x[None, :] - columns / 2 - phase - tilt * (y[:, None] - rows / 2)) / np.hypot(1, tilt)
    grey = 105 + 85 * _erf(distance / (blur_px * np.sqrt(2)))
    pixels = grey.reshape(rows, fine, columns, fine).mean(axis=(1, 3))
    pixels += np.random.default_rng(seed).normal(0, noise, pixels.shape)
    return np.asarray(np.clip(np.rint(pixels), 0, 255), np.float32)


def true_modulation(frequency: NDArray[np.float64], blur_px: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-2 * (pi * blur_px * frequency) ** 2) * np.sinc(frequency), np.float64)


@pytest.mark.parametrize("blur_px", [0.4, 0.6, 0.9, 1.5, 2.0])
def test_mtf50_of_a_known_blur_is_true_to_five_percent(blur_px: float) -> None:
    frequency = np.linspace(0, 0.6, 6001)
    truth = float(frequency[np.argmax(true_modulation(frequency, blur_px) < 0.5)])
    for seed, slant_deg in enumerate((3.0, 5.0, -5.0, 8.0)):
        found = sharpness(slanted_edge(blur_px=blur_px, slant_deg=slant_deg, seed=seed, phase=0.2 * seed))
        assert found.mtf50_cpp == pytest.approx(truth, rel=0.05)


def test_the_whole_curve_is_that_of_lens_and_pixel_and_not_only_its_half() -> None:
    found = sharpness(slanted_edge(blur_px=0.6))
    assert found.modulation == pytest.approx(true_modulation(FREQUENCIES_CPP, 0.6), abs=0.03)


def test_the_sign_of_the_edge_does_not_matter_and_is_told() -> None:
    rising, falling = (sharpness(piece) for piece in (slanted_edge(blur_px=0.6), 210 - slanted_edge(blur_px=0.6)))
    assert falling.mtf50_cpp == pytest.approx(rising.mtf50_cpp, rel=0.001)
    assert rising.step == pytest.approx(170, abs=2)
    assert falling.step == pytest.approx(-170, abs=2)


def test_an_edge_that_stands_still_before_the_pixels_is_refused_and_asks_whether_the_web_moves() -> None:
    with pytest.raises(UnusableFrameError, match="is the web moving"):
        sharpness(slanted_edge(blur_px=0.6, slant_deg=0.0))


def test_a_piece_without_an_edge_is_refused() -> None:
    with pytest.raises(UnusableFrameError, match="no edge"):
        sharpness(np.full((100, 60), 120, np.float32))


def test_an_edge_of_few_rows_is_refused_naming_how_many_are_needed() -> None:
    with pytest.raises(UnusableFrameError, match="30 rows, 40 needed"):
        sharpness(slanted_edge(blur_px=0.6, rows=30))

from __future__ import annotations

import numpy as np
import pytest

from models.detection_fit import logit_fit


def test_the_fit_finds_the_curve_that_made_the_hits() -> None:
    rng = np.random.default_rng(1)
    sizes = np.exp(rng.uniform(np.log(15), np.log(90), 4000))
    hits = rng.random(4000) < 1 / (1 + np.exp(-(np.log(sizes) - np.log(34)) / 0.18))
    a50_um, s = logit_fit(sizes, hits)
    assert a50_um == pytest.approx(34, rel=0.02)
    assert s == pytest.approx(0.18, rel=0.1)


def test_hits_and_misses_that_do_not_overlap_give_a_steep_curve_between_them() -> None:
    sizes = np.geomspace(10, 100, 60)
    a50_um, s = logit_fit(sizes, sizes > 40)
    assert a50_um == pytest.approx(40, rel=0.1)
    assert 0 < s < 0.2


def test_hits_alone_put_the_curve_below_all_sizes() -> None:
    sizes = np.geomspace(50, 200, 40)
    assert logit_fit(sizes, np.ones(40, bool))[0] < 50

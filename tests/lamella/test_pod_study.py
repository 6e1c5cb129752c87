"""`lamella pod study` from coupons to the next version of a bundle."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lamella.cli import main
from lamella.exit_codes import CONFIG_INVALID, CONFLICT, GATE_NOT_MET, OK
from line.bundle import Bundle, open_bundle
from tests.vision.made_net import dark_net

PIXEL_UM = 20.0
HEAD = "id,kind,size_um,uncertainty_um,made,picture,x_px,y_px"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bundle]:
    """Coupons with 64 dark discs of rising size, a blank one, and what a net that knows dark cells says of them."""
    root = tmp_path_factory.mktemp("study")
    net = dark_net(root / "dark-net")
    (root / "coupons").mkdir()
    rows = [HEAD]
    rng = np.random.default_rng(1)
    coupon = np.full((1000, 1000), 160, np.uint8)
    for number in range(64):
        x, y = 60 + 120 * (number % 8), 60 + 120 * (number // 8)
        radius_px = 0.4 + 2.6 * number / 63 + rng.normal(0, 0.15)
        # Eight times finer, so that a disc of half a pixel darkens its pixel by a quarter.
        fine = np.full((128, 128), 160, np.uint8)
        cv2.circle(fine, (64, 64), max(1, round(8 * radius_px)), 20, cv2.FILLED)
        coupon[y - 8 : y + 8, x - 8 : x + 8] = cv2.resize(fine, (16, 16), interpolation=cv2.INTER_AREA)
        rows.append(f"t{number},hole,{2 * radius_px * PIXEL_UM:.1f},2,laser-drilled hole,one.png,{x},{y}")
    cv2.imwrite(str(root / "coupons/one.png"), coupon)
    blank = np.full((500, 1000), 160, np.uint8)
    blank[100:110, 100:110] = 20
    cv2.imwrite(str(root / "coupons/blank.png"), blank)
    (root / "targets.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    inspected = ["inspect", "film", str(root / "coupons"), "--model", str(net.path), "--out", str(root / "results")]
    assert main(inspected) == OK
    return root, net


def arguments(root: Path, targets: str = "targets.csv") -> list[str]:
    where = ["pod", "study", str(root / targets), "--results", str(root / "results"), "--model", str(root / "dark-net")]
    return [*where, "--pixel-um", "20", "--camera", "bench", "--calibration", "C7"]


def test_a_study_writes_the_next_version_with_its_release_curve_and_card(
    study: tuple[Path, Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    root, net = study
    assert main([*arguments(root), "--out", str(root / "next")]) == OK
    said = capsys.readouterr().out
    assert "| hole | 64 |" in said
    assert "False calls: 1 on 0.0002 m² of blank film" in said
    released = open_bundle(root / "next")
    assert released.manifest.version == net.manifest.version + 1
    assert released.manifest.release is not None
    curve = released.manifest.release.curves["hole"]
    assert curve.basis == "release"
    assert curve.a90_95_um is not None
    assert 20 < curve.a50_um < curve.a90_95_um < 150
    assert released.manifest.release.calibration == "C7"
    assert "## Release probability of detection" in (released.path / "card.md").read_text(encoding="utf-8")
    assert main(["model", "verify", str(root / "next")]) == OK
    assert main([*arguments(root), "--out", str(root / "next")]) == CONFLICT


def test_too_few_targets_end_with_the_gate_status_and_write_nothing(
    study: tuple[Path, Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    root, _ = study
    few = (root / "targets.csv").read_text(encoding="utf-8").splitlines()[:41]
    (root / "few.csv").write_text("\n".join(few) + "\n", encoding="utf-8")
    assert main(arguments(root, "few.csv")) == GATE_NOT_MET
    assert "40 targets, 60 are needed: add 20" in capsys.readouterr().out
    assert main([*arguments(root, "few.csv"), "--out", str(root / "never")]) == CONFIG_INVALID
    assert not (root / "never").exists()


def test_another_bundle_than_the_one_that_inspected_is_refused(
    study: tuple[Path, Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, net = study
    other = dark_net(tmp_path / "other", version=7)
    words = arguments(root)
    words[words.index(str(net.path))] = str(other.path)
    assert main(words) == CONFIG_INVALID
    assert "name that bundle, or inspect again with this one" in capsys.readouterr().err

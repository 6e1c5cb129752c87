"""The wheel: complete, ours by name, and at home outside the checkout."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("line", "plc", "vision", "twin", "plant", "models", "lamella")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(out), str(ROOT)], check=True, capture_output=True)
    [found] = out.glob("lamella-*.whl")
    return found


def test_the_wheel_holds_every_file_of_our_packages(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    assert set(tracked) <= inside
    assert {name.split("/")[0] for name in inside if ".dist-info" not in name} == set(PACKAGES)
    assert all(f"{package}/py.typed" in inside for package in PACKAGES)


def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--target", str(home), str(wheel)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(home)}

    def run(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout

    where = run("-c", "import lamella, line, plant; print(lamella.__file__, line.__file__, plant.__file__)")
    assert all(path.startswith(str(home)) for path in where.split())
    assert "147 tags" in run("-m", "lamella", "line", "check")
    assert "film-candidates" in run("-m", "lamella", "model", "list")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_installed_distribution_owns_our_name(package: str) -> None:
    assert set(importlib.metadata.packages_distributions().get(package, ["lamella"])) == {"lamella"}


def test_only_one_onnxruntime_is_installed() -> None:
    found = [dist.name for dist in importlib.metadata.distributions() if dist.name.startswith("onnxruntime")]
    assert len(set(found)) == 1

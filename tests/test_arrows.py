"""The import contracts hold, and would notice a break."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([str(program), "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("file", "planted"),
    [
        ("twin/state.py", "import plant"),
        ("line/ids.py", "import vision"),
        ("plc/parts.py", "import twin"),
        ("twin/units.py", "import asyncua"),
        ("twin/state.py", "import asyncio"),
        ("vision/screening.py", "import line.bus"),
        ("lamella/doctor.py", "import cv2"),
        ("vision/verdict.py", "import paho"),
    ],
)
def test_a_planted_import_breaks_a_contract(tmp_path: Path, file: str, planted: str) -> None:
    for package in ("line", "plc", "vision", "twin", "plant", "models", "lamella"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("static", "registry"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / file
    path.write_text(
        path.read_text().replace(
            "from __future__ import annotations\n", f"from __future__ import annotations\n\n{planted}\n", 1
        )
    )
    result = lint(tmp_path)
    assert result.returncode != 0
    assert "BROKEN" in result.stdout


def test_every_module_of_the_twin_that_waits_for_nothing_is_held_to_it() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [pure] = [contract for contract in contracts if contract["name"].startswith("Pure modules")]
    waiting = {"__init__", "service", "historian", "influx", "samples"}
    modules = {f"twin.{path.stem}" for path in (ROOT / "twin").glob("*.py") if path.stem not in waiting}
    assert modules <= set(pure["source_modules"])

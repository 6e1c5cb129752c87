"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]


def machine_described() -> dict[str, Any]:
    """The machine, and how busy it was."""
    rows = Path("/proc/cpuinfo")
    model = next(
        (
            row.partition(":")[2].strip()
            for row in (rows.read_text().splitlines() if rows.exists() else ())
            if row.startswith("model name")
        ),
        "",
    )
    return {
        "cpu": model or platform.processor(),
        "cores_count": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
        "commit": subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
    }

"""`lamella line check`."""

from __future__ import annotations

import argparse

from line.config import Site
from line.model import load_line


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="a shipped name or a file (default: the site's)")


def work(options: argparse.Namespace, site: Site) -> int:
    """A wrong row raises LineModelError, which names file, key, value and unit."""
    line = load_line(options.model or site.line.model)
    counts = f"{len(line.stations)} stations, {len(line.all_tags())} tags, {len(line.defects)} defect classes"
    print(f"{line.name}: {counts}, {len(line.cameras)} cameras; no fault found")
    return 0

"""`lamella wires record`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from line.config import Site
from line.errors import ConfigError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")


def work(options: argparse.Namespace, site: Site) -> int:
    from lamella.record_wires import endpoint_of, record_wires
    from lamella.running import running_site

    running = running_site(site)
    endpoint_of(running)
    try:
        options.out.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"cannot be made: {error.strerror}; give another --out", file=options.out) from error
    asyncio.run(record_wires(running, options.out, options.seconds))
    return 0

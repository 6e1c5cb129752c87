"""`lamella config show`."""

from __future__ import annotations

import argparse
import sys

import msgspec

from line.config import Site, described, written


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--describe", action="store_true", help="every setting with its meaning and default")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def work(options: argparse.Namespace, site: Site) -> int:
    if options.describe:
        for key, (default, meaning) in described().items():
            print(f"{key} = {default!r}    {meaning}")
    elif options.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(site)).decode() + "\n")
    else:
        sys.stdout.write(written(site))
    return 0

"""`lamella doctor`."""

from __future__ import annotations

import argparse
import dataclasses
import json

from lamella.exit_codes import DEPENDENCY_UNREACHABLE, FAILURE, OK
from line.config import Site

_SIGNS = {"ok": "●", "degraded": "▲", "failed": "■"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document")


def work(options: argparse.Namespace, site: Site) -> int:
    """Exit status 4 when something configured does not answer, 1 when something else failed."""
    from lamella.doctor import findings

    found = findings(site)
    if options.json:
        print(json.dumps({"checks": [dataclasses.asdict(finding) for finding in found]}, indent=1, ensure_ascii=False))
    else:
        for finding in found:
            print(f"{_SIGNS[finding.state]} {finding.state:9} {finding.name:16} {finding.detail}")
            if finding.next_step:
                print(f"{'':28} next: {finding.next_step}")
    if any(finding.unreachable for finding in found):
        return DEPENDENCY_UNREACHABLE
    return FAILURE if any(finding.state == "failed" for finding in found) else OK

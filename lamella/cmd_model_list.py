"""`lamella model list`."""

from __future__ import annotations

import argparse
import sys

import msgspec

from line.config import Site


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document")


def work(options: argparse.Namespace, site: Site) -> int:
    from line.bundle import open_bundle
    from models.registry import listed

    bundles = [open_bundle(path) for _, path in listed(state=site.state_dir / "models")]
    if options.json:
        rows = [{"name": bundle.manifest.name, "version": bundle.manifest.version, "task": bundle.manifest.task,
                 "digest": bundle.digest, "path": str(bundle.path)} for bundle in bundles]  # fmt: skip
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n")
        return 0
    for bundle in bundles:
        manifest = bundle.manifest
        print(
            f"{bundle.ref!s:28} {manifest.task:18} {bundle.digest[:12]}  {manifest.created_at:%Y-%m-%d}  {bundle.path}"
        )
    return 0

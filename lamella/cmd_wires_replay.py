"""`lamella wires replay`: the line without its plant, from a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from lamella.cmd_run import roles_of
from line.config import Site
from line.recording import read_header


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recording", type=Path, help="folder that `lamella wires record` made")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing while starting")


def work(options: argparse.Namespace, site: Site) -> int:
    from lamella.launch import run_line

    read_header(options.recording)
    settings = msgspec.structs.replace(site.line, recording=str(options.recording))
    site = msgspec.structs.replace(site, line=settings)
    return run_line(site, roles_of(site), quiet=options.quiet)

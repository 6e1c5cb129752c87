"""`lamella train film`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from line.config import Site
from line.errors import ConflictError, FrameError, NotFoundError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--good", nargs="+", type=Path, required=True, metavar="DIR", help="pictures of good film")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model; its name is the model's")
    parser.add_argument("--name", help="name of the model (default: that of the folder)")
    parser.add_argument("--seed", type=int, default=1, help="for a repeatable result (default: 1)")


def work(options: argparse.Namespace, site: Site) -> int:
    from lamella.pictures import pictures_in
    from line.bundle import MANIFEST_FILE
    from models.one_class import train_one_class
    from vision.images import read_image

    if (options.out / MANIFEST_FILE).exists():
        raise ConflictError(f"{options.out}: a model is there already; remove it, or give another --out")
    paths = pictures_in(options.good)
    images = []
    for path in paths:
        try:
            images.append(read_image(path).grey8()[0])
        except FrameError as error:
            print(f"left out: {error}", file=sys.stderr)
    if not images:
        raise NotFoundError(f"{options.good[0]}: no pictures that can be read")
    started = time.monotonic()
    said = ""

    def progress(stage: str, share: float) -> None:
        nonlocal said
        text = f"{stage} {share:4.0%}"
        if sys.stderr.isatty():
            print(f"\r{text:60}", end="" if share < 1 else "\n", file=sys.stderr)
        elif stage != said:
            print(stage, file=sys.stderr)
        said = stage

    name = options.name or options.out.resolve().name
    bundle = train_one_class(images, options.out, name=name, seed=options.seed, progress=progress)
    print(f"{bundle.ref} learnt from {len(images)} pictures in {time.monotonic() - started:.0f} s: {options.out}")
    return 0

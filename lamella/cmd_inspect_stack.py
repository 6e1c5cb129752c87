"""`lamella inspect stack`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from lamella.exit_codes import FAILURE, OK
from line.config import Site
from line.errors import FrameError
from line.inspection_files import StackSummary, XrayStackResult

_LOOK_BELOW = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture, or folder of pictures")
    parser.add_argument("--view", choices=["xray"], required=True, help="kind of picture")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")


def work(options: argparse.Namespace, site: Site) -> int:
    from lamella.pictures import pictures_in
    from lamella.results import Count, Results
    from vision.images import read_image
    from vision.png import png_of
    from vision.xray import inspect_xray
    from vision.xray_overlay import xray_overlay

    paths = pictures_in(options.paths)
    started = time.monotonic()
    inspected = uncertain = 0
    with Results(options.out) as results, Count(len(paths), "pictures").shown() as count:
        for number, path in enumerate(paths):
            sha256 = ""
            try:
                grey, info = read_image(path).grey8()
                sha256 = info.sha256
                stack = inspect_xray(grey)
            except FrameError as error:
                text = str(error) if str(path) in str(error) else f"{path}: {error}"
                results.add(XrayStackResult(file=str(path), sha256=sha256, error=text))
                count.step()
                continue
            inspected += 1
            uncertain += stack.confidence < _LOOK_BELOW
            results.add(
                XrayStackResult(
                    file=str(path),
                    sha256=sha256,
                    plates_count=stack.plates_count,
                    tips_px=[(float(x), float(y)) for x, y in stack.tips],
                    overhang_spread_px=stack.overhang_spread_px,
                    spacing_px=stack.spacing_px,
                    body_side=stack.body_side,
                    roi_px=(stack.roi.x0, stack.roi.y0, stack.roi.x1, stack.roi.y1),
                    confidence=stack.confidence,
                    notes=(*info.notes, *stack.notes),
                )
            )
            results.overlay(number, path, png_of(xray_overlay(grey, stack)))
            count.step()
        summary = StackSummary(
            files_count=len(paths),
            inspected_count=inspected,
            uncertain_count=uncertain,
            refused_count=len(paths) - inspected,
            seconds=round(time.monotonic() - started, 3),
        )
        results.summary(summary)
    refused = len(paths) - inspected
    print(f"{len(paths)} pictures: {inspected} inspected, {uncertain} of them uncertain, {refused} refused")
    print(f"results in {options.out}")
    return OK if inspected else FAILURE

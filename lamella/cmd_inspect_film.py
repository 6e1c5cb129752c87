"""`lamella inspect film`."""

from __future__ import annotations

import argparse
from pathlib import Path

from lamella.exit_codes import FAILURE, OK
from line.config import Site


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture, or folder of pictures")
    parser.add_argument("--model", required=True, help="bundle: a folder, or name, or name@version")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--truth", type=Path, metavar="MASKS",
                        help="folder of masks by the pictures' names; a picture without one is good")  # fmt: skip
    parser.add_argument("--provider", choices=["auto", "cpu", "cuda"], default="auto", help="where the model runs")


def work(options: argparse.Namespace, site: Site) -> int:
    from lamella.bundles import bundle_folder
    from lamella.inspect_film import inspect_all
    from lamella.pictures import pictures_in
    from line.bundle import open_bundle

    paths = pictures_in(options.paths)
    bundle = open_bundle(bundle_folder(options.model, site.state_dir))
    summary = inspect_all(paths, bundle, options.provider, options.out, options.truth)
    print(
        f"{summary.files_count} pictures: {summary.passed_count} pass, {summary.rejected_count} reject, "
        f"{summary.refused_count} refused; results in {options.out}"
    )
    if summary.image_auroc is not None:
        print(f"image AUROC {summary.image_auroc:.3f} over {summary.truth_count} pictures, "
              f"{summary.truth_defective_count} of them defective")  # fmt: skip
    if summary.pixel_average_precision is not None:
        print(f"pixel average precision {summary.pixel_average_precision:.3f}")
    good_count = summary.truth_count - summary.truth_defective_count
    for what, share, kind in (
        ("false rejects", summary.false_reject_fraction, f"{good_count} good pictures"),
        ("recall", summary.recall_fraction, f"{summary.truth_defective_count} pictures with defects"),
    ):
        if share is not None:
            print(f"{what} {100 * share:.1f} % of {kind}, at the model's own limits")
    return OK if summary.inspected_count else FAILURE

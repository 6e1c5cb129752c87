"""`lamella pod study`."""

from __future__ import annotations

import argparse
from pathlib import Path

from lamella.exit_codes import GATE_NOT_MET, OK
from line.config import Site
from line.errors import ConfigError, ConflictError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", type=Path, metavar="TARGETS.csv",
                        help="id, kind, size_um, uncertainty_um (k=2), made, and roll, md_um, cd_um or picture, x_px, "
                        "y_px")  # fmt: skip
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        metavar="PATH",
        help="what inspecting the coupons left: results.jsonl, event lines, a recording, a journal",
    )
    parser.add_argument("--model", required=True, help="the bundle that inspected: a folder, or name, or name@version")
    parser.add_argument("--pixel-um", type=float, metavar="UM", help="pitch; needed where places are in pixels")
    parser.add_argument("--camera", help="which camera (default: as the events say)")
    parser.add_argument("--calibration", help="which calibration was in force (default: as the events say)")
    parser.add_argument("--reach-um", type=float, default=300.0,
                        help="from a target's edge to a finding that is still its own (default: 300)")  # fmt: skip
    parser.add_argument(
        "--blank",
        nargs="+",
        metavar="NAME",
        help="rolls or pictures without any defect, for false calls (default: those without a target)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the next version of the bundle with the study")


def work(options: argparse.Namespace, site: Site) -> int:
    from lamella.bundles import bundle_folder
    from line.bundle import MANIFEST_FILE, open_bundle
    from models.pod_bundle import Circumstances, release_study, released_copy, require_same_model, study_lines
    from models.pod_files import read_inspection, read_targets
    from models.pod_release import studied

    if options.out and (options.out / MANIFEST_FILE).exists():
        raise ConflictError(f"{options.out}: a model is there already; remove it, or give another --out")
    bundle = open_bundle(bundle_folder(options.model, site.state_dir))
    pixel_um = options.pixel_um or bundle.manifest.input.um_per_px
    targets = read_targets(options.targets, pixel_um)
    inspection = read_inspection(options.results, pixel_um)
    require_same_model(bundle, inspection)
    if pixel_um is None:
        raise ConfigError("the bundle states no pitch: give the camera's", key="--pixel-um")
    blank = [Path(name).stem if "picture" in name or Path(name).suffix else name for name in options.blank or []]
    study = studied(targets, inspection, reach_um=options.reach_um, blank=blank or None)
    circumstances = Circumstances(
        camera=options.camera or _only(inspection.cameras, "camera"),
        calibration=options.calibration or _only(inspection.calibrations, "calibration"),
        um_per_px=pixel_um,
        targets=options.targets,
    )
    lines = study_lines(study, inspection, circumstances)
    print("\n".join(lines))
    if options.out:
        release = release_study(bundle, study, circumstances)
        copy = released_copy(bundle, release, lines, options.out)
        print(f"{copy.ref} with release curves for {', '.join(sorted(release.curves))}: {options.out}")
    return OK if all(each.is_released for each in study.classes) else GATE_NOT_MET


def _only(said: tuple[str, ...], what: str) -> str:
    if len(said) == 1:
        return said[0]
    found = ", ".join(said) or "none"
    raise ConfigError(f"the results name {found}; say which {what} it was", key=f"--{what}")

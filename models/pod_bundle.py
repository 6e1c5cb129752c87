"""Puts a release study into a copy of the bundle that it is about: the next version, design curves beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from line.bundle import CARD_FILE, Bundle, DetectionCurve, ReleaseStudy, file_digest
from line.errors import ConfigError
from models.bundle_writer import BundleDraft, write_bundle
from models.pod_release import Inspection, Study

TITLE = "## Release probability of detection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a study has to say of itself beside its figures."""

    camera: str
    calibration: str
    um_per_px: float
    targets: Path


def require_same_model(bundle: Bundle, inspection: Inspection) -> None:
    """Raise ConfigError unless the coupons were inspected with this very bundle."""
    if inspection.digest != bundle.digest:
        raise ConfigError(
            f"the coupons were inspected with {inspection.model} {inspection.digest[:12]}, --model is {bundle.ref} "
            f"{bundle.digest[:12]}; name that bundle, or inspect again with this one"
        )


def release_study(bundle: Bundle, study: Study, circumstances: Circumstances) -> ReleaseStudy:
    """The study as a manifest keeps it: classes with enough targets and a bound.

    Raises:
        ConfigError: no class has both; the message says for each what is missing.
    """
    released = [each for each in study.classes if each.is_released]
    if not released:
        wanting = "; ".join(f"{each.kind}: {each.shortfall}" for each in study.classes)
        raise ConfigError(f"no class can be released: {wanting}")
    low, high = study.false_calls_per_m2
    return ReleaseStudy(
        curves={
            each.kind: DetectionCurve(
                a50_um=round(each.a50_um, 2),
                s=round(each.s, 4),
                measured=True,
                how=f"release POD: {each.targets_count} targets ({', '.join(each.made)}), {each.hits_count} found, "
                f"camera {circumstances.camera}, {circumstances.um_per_px:g} µm/px"
                + ("; all were found, a50 is the smallest tried" if each.hits_count == each.targets_count else ""),
                basis="release",
                a90_95_um=round(each.a90_95_um, 2),
            )
            for each in released
        },
        camera=circumstances.camera,
        calibration=circumstances.calibration,
        um_per_px=circumstances.um_per_px,
        made_at=datetime.now(UTC).replace(microsecond=0),
        targets_digest=file_digest(circumstances.targets),
        inspected_model=f"{bundle.ref} {bundle.digest}",
        blank_m2=study.blank_m2,
        false_calls_count=study.false_calls_count,
        false_calls_per_m2_low=low,
        false_calls_per_m2_high=high,
    )


def released_copy(bundle: Bundle, release: ReleaseStudy, section: Sequence[str], out: Path) -> Bundle:
    """Write the next version of a bundle, its network and thresholds unchanged, with a release study.

    Raises:
        ConfigError: `out` holds something that is not a bundle, or the bundle itself.
    """
    if out.resolve() == bundle.path.resolve():
        raise ConfigError("is the studied bundle itself; released bundles never change, give a new folder", file=out)
    known = bundle.manifest
    draft = BundleDraft(
        **{each.name: getattr(known, each.name) for each in fields(BundleDraft)}
        | {"version": known.version + 1, "release": release, "created_at": release.made_at}
    )
    model = onnx.load(bundle.model_path)
    for entry in model.metadata_props:
        if entry.key == "version":
            entry.value = str(draft.version)
    golden: list[NDArray[np.uint8]] = []
    for path in bundle.golden_paths:
        with np.load(path, allow_pickle=False) as tensors:
            golden.append(tensors[known.input.tensor])
    card = (bundle.path / CARD_FILE).read_text(encoding="utf-8").partition(TITLE)[0].rstrip()
    card = card.replace(f"# {known.name} v{known.version}", f"# {known.name} v{draft.version}", 1)
    return write_bundle(out, draft, model, card="\n".join((card, "", TITLE, "", *section, "")), golden_inputs=golden)


def study_lines(study: Study, inspection: Inspection, circumstances: Circumstances) -> list[str]:
    """The study in words and a table, as Markdown: for the card and for the screen."""
    lines = [
        f"Real targets under camera {circumstances.camera} at {circumstances.um_per_px:g} µm/px, calibration "
        f"{circumstances.calibration}, inspected with {inspection.model}.",
        "Each target counts as found when a finding lies within "
        f"{study.reach_um:g} µm of its edge, whatever class it was given.",
        "",
        "| class | targets | found | named right | sizes µm | a50 µm | s | a90 µm | a90/95 µm | made how | released |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    for each in study.classes:
        bound = f"{each.a90_95_um:.0f}" if each.is_released else "none"
        lines.append(
            f"| {each.kind} | {each.targets_count} | {each.hits_count} | {each.named_count} | "
            f"{each.smallest_um:.0f}-{each.largest_um:.0f} | {each.a50_um:.0f} | {each.s:.2f} | {each.a90_um:.0f} | "
            f"{bound} | {', '.join(each.made)} | {each.shortfall or 'yes'} |"
        )
    lines.append("")
    lines += [
        f"{each.kind}: with 95 % confidence nine of ten are found from {each.a90_95_um:.0f} µm on. Sizes are known to "
        f"{100 * each.uncertainty_fraction:.1f} % (k=2, median); an error common to all of them shifts the bound by "
        "as much."
        for each in study.classes
        if each.is_released
    ]
    low, high = study.false_calls_per_m2
    if high is None:
        lines.append("No blank film was inspected: nothing is said about false calls.")
    else:
        lines.append(
            f"False calls: {study.false_calls_count} on {study.blank_m2:.3g} m² of blank film, {low:.3g} to {high:.3g} "
            "per m² (exact 95 % interval)."
        )
    if study.uninspected:
        shown = ", ".join(study.uninspected[:8]) + (", ..." if len(study.uninspected) > 8 else "")
        lines.append(f"{len(study.uninspected)} targets lie on film that was not inspected and do not count: {shown}.")
    return lines

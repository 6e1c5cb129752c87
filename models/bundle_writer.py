"""Writes a model bundle: all of its files or none, read back and checked before it counts."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from line.bundle import (
    CARD_FILE,
    DIGEST_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Bundle,
    DetectionCurve,
    EnsembleMember,
    InputSpec,
    Manifest,
    ModelRef,
    OutputSpec,
    ReleaseStudy,
    Task,
    Threshold,
    bundle_digest,
    file_digest,
    open_bundle,
)
from line.errors import ConfigError
from vision.session import ModelSession, verify_golden


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDraft:
    """A manifest before its files exist; the fields are those of ``line.bundle.Manifest``."""

    name: str
    version: int
    task: Task
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    licence: str
    provenance: str
    opset: int
    golden_tolerance: float
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    more_inputs: tuple[InputSpec, ...] = ()
    members: tuple[EnsembleMember, ...] = ()
    classes: tuple[str, ...] = ()
    feature_extractor: ModelRef | None = None
    training_data_digest: str | None = None
    training_image_count: int | None = None
    seed: int | None = None
    detection: Mapping[str, DetectionCurve] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    release: ReleaseStudy | None = None


def require_place(out: Path) -> None:
    """Raise ConfigError when the folder ``out`` holds something that is not a model bundle; asked before long work."""
    if out.exists() and not (out / MANIFEST_FILE).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError("holds something that is not a model bundle; name a new folder", file=out)


def write_bundle(
    out: Path,
    draft: BundleDraft,
    model: onnx.ModelProto,
    *,
    card: str,
    golden_inputs: Sequence[NDArray[np.uint8] | Mapping[str, NDArray[np.uint8]]],
) -> Bundle:
    """Write a bundle to the folder ``out``, replacing a bundle that is there.

    The golden outputs are those of the written network on the CPU.

    Args:
        golden_inputs: each of shape (n, channels, height, width), or by tensor where there are several inputs.

    Raises:
        ConfigError: ``out`` holds something that is not a bundle.
        BundleError: the network does not load, or does not match the draft.
    """
    require_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        (folder / MODEL_FILE).write_bytes(model.SerializeToString(deterministic=True))
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        _seal(folder, draft)
        _write_golden(folder, draft, golden_inputs)
        bundle = _seal(folder, draft)
        with ModelSession(bundle, "cpu") as session:
            verify_golden(session)
        if out.exists():
            out.rename(Path(scratch) / "replaced")
        folder.rename(out)
    return open_bundle(out)


def _write_golden(
    folder: Path, draft: BundleDraft, golden_inputs: Sequence[NDArray[np.uint8] | Mapping[str, NDArray[np.uint8]]]
) -> None:
    (folder / "golden").mkdir()
    with ModelSession(open_bundle(folder), "cpu") as session:
        for index, images in enumerate(golden_inputs):
            views = images if isinstance(images, Mapping) else {draft.input.tensor: images}
            tensors: dict[str, Any] = {**views, **session.run_views(views)}
            stream = io.BytesIO()
            # savez stamps no time into the archive, so equal tensors give equal bytes.
            np.savez_compressed(stream, allow_pickle=False, **tensors)
            (folder / "golden" / f"{index:02d}.npz").write_bytes(stream.getvalue())


def _seal(folder: Path, draft: BundleDraft) -> Bundle:
    """Write manifest and digest for the files that are there now."""
    for name in (MANIFEST_FILE, DIGEST_FILE):
        (folder / name).unlink(missing_ok=True)
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in folder.rglob("*") if path.is_file()}
    manifest = Manifest(
        name=draft.name,
        version=draft.version,
        task=draft.task,
        input=draft.input,
        outputs=draft.outputs,
        created_at=draft.created_at,
        licence=draft.licence,
        provenance=draft.provenance,
        files=dict(sorted(digests.items())),
        opset=draft.opset,
        thresholds=dict(draft.thresholds),
        more_inputs=draft.more_inputs,
        members=draft.members,
        classes=draft.classes,
        feature_extractor=draft.feature_extractor,
        training_data_digest=draft.training_data_digest,
        training_image_count=draft.training_image_count,
        seed=draft.seed,
        detection=dict(draft.detection),
        metrics=dict(draft.metrics),
        golden_tolerance=draft.golden_tolerance,
        release=draft.release,
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    (folder / MANIFEST_FILE).write_bytes(text)
    digest = bundle_digest({**digests, MANIFEST_FILE: file_digest(folder / MANIFEST_FILE)})
    (folder / DIGEST_FILE).write_text(digest + "\n", encoding="ascii")
    return open_bundle(folder)

"""The reader of model bundles refuses whatever is not exactly what was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from line.bundle import (
    DIGEST_FILE,
    MANIFEST_FILE,
    InputSpec,
    Manifest,
    ModelRef,
    OutputSpec,
    Threshold,
    bundle_digest,
    file_digest,
    open_bundle,
)
from line.errors import BundleError


def seal(folder: Path, manifest: Manifest) -> None:
    """Write manifest and digest by hand, as the documented format says."""
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
    digest = bundle_digest({**manifest.files, MANIFEST_FILE: file_digest(folder / MANIFEST_FILE)})
    (folder / DIGEST_FILE).write_text(digest + "\n")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    folder = tmp_path / "bundle"
    (folder / "golden").mkdir(parents=True)
    for name, content in (("model.onnx", b"network"), ("card.md", b"# card"), ("golden/00.npz", b"frame")):
        (folder / name).write_bytes(content)
    return Manifest(
        name="film",
        version=3,
        task="film-one-class",
        input=InputSpec(tensor="image", channels=1, um_per_px=20.0),
        outputs=(OutputSpec(tensor="anomaly", meaning="anomaly", layout="N1HW", stride_px=8),),
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        licence="Apache-2.0",
        provenance="made in a test",
        files={name: file_digest(folder / name) for name in ("model.onnx", "card.md", "golden/00.npz")},
        opset=17,
        thresholds={"image": Threshold(value=4.5, false_alarm_fraction=0.05, how="made")},
    )


@pytest.fixture
def folder(tmp_path: Path, manifest: Manifest) -> Path:
    seal(tmp_path / "bundle", manifest)
    return tmp_path / "bundle"


def test_an_intact_bundle_opens_with_its_reference_and_paths(folder: Path) -> None:
    bundle = open_bundle(folder, task="film-one-class")
    assert bundle.ref == ModelRef(name="film", version=3, digest=(folder / DIGEST_FILE).read_text().strip())
    assert str(bundle.ref) == "film@v3"
    assert bundle.model_path == folder / "model.onnx"
    assert bundle.golden_paths == [folder / "golden/00.npz"]
    assert bundle.threshold("image").value == 4.5


def test_an_altered_file_is_refused_with_both_digests(folder: Path) -> None:
    expected = file_digest(folder / "model.onnx")
    (folder / "model.onnx").write_bytes(b"netw0rk")
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    for part in (str(folder / "model.onnx"), expected, file_digest(folder / "model.onnx"), "fetch the bundle again"):
        assert part in str(caught.value)


def test_a_changed_threshold_is_refused(folder: Path) -> None:
    text = json.loads((folder / MANIFEST_FILE).read_text())
    text["thresholds"]["image"]["value"] = 99.0
    (folder / MANIFEST_FILE).write_text(json.dumps(text))
    with pytest.raises(BundleError, match=r"manifest\.json: altered"):
        open_bundle(folder)


def remove_the_model(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def remove_the_golden_frame(folder: Path) -> None:
    (folder / "golden/00.npz").unlink()


def remove_the_manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).unlink()


def remove_the_digest(folder: Path) -> None:
    (folder / DIGEST_FILE).unlink()


def add_a_file(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"more")


def replace_the_model_by_a_link(folder: Path) -> None:
    (folder / "model.onnx").rename(folder.parent / "elsewhere.onnx")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere.onnx")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (remove_the_model, "model.onnx"),
        (remove_the_golden_frame, "00.npz"),
        (remove_the_manifest, "manifest.json"),
        (remove_the_digest, "digest"),
        (add_a_file, "weights.bin"),
        (replace_the_model_by_a_link, "model.onnx"),
    ],
)
def test_an_incomplete_or_enlarged_bundle_is_refused_naming_the_file(
    folder: Path, spoil: Callable[[Path], None], named: str
) -> None:
    spoil(folder)
    with pytest.raises(BundleError, match=named):
        open_bundle(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "golden//00.npz", "a\\b"])
def test_a_path_that_leads_out_of_the_bundle_is_refused(folder: Path, manifest: Manifest, name: str) -> None:
    (folder.parent / "outside").write_bytes(b"outside")
    seal(folder, msgspec.structs.replace(manifest, files={**manifest.files, name: "0" * 64}))
    with pytest.raises(BundleError, match="no plain path"):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"version": "3"}, "version"),
        ({"task": "poetry"}, "task"),
        ({"colour": "blue"}, "colour"),
        ({"created_at": "2026-01-02T00:00:00"}, "created_at"),
    ],
)
def test_a_manifest_that_breaks_its_schema_is_refused_naming_the_field(
    folder: Path, change: dict[str, object], named: str
) -> None:
    text = {**json.loads((folder / MANIFEST_FILE).read_text()), **change}
    (folder / MANIFEST_FILE).write_text(json.dumps(text))
    with pytest.raises(BundleError, match=named):
        open_bundle(folder)


def test_a_bundle_for_another_task_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match="is a film-one-class model, a backbone model is needed"):
        open_bundle(folder, task="backbone")


def test_a_camera_of_another_pitch_is_refused_and_two_percent_are_allowed(folder: Path) -> None:
    bundle = open_bundle(folder)
    bundle.require_fit(task="film-one-class", um_per_px=20.3)
    with pytest.raises(BundleError, match=r"trained at 20 um/px, the images have 10 um/px"):
        bundle.require_fit(task="film-one-class", um_per_px=10.0)


def test_an_unknown_threshold_names_those_there_are(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"no threshold named 'region' \(it has: image\)"):
        open_bundle(folder).threshold("region")

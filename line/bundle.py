"""What a model bundle is, and the reader that refuses an altered, incomplete or unfit one.

A bundle is a folder::

    model.onnx      the network
    manifest.json   a Manifest: what goes in, what comes out, thresholds, detection curves, origin, file digests
    card.md         the model card for people
    golden/*.npz    a few inputs with the raw outputs they must give
    digest          the digest of all of the above, one line

The digest of a bundle is the SHA-256 over one line ``<sha256>  <path>`` per file, sorted by path, manifest included,
so that a changed threshold is found as surely as a changed weight. A digest proves that nothing changed by accident;
who released the bundle is what ``SIGNATURE_FILE`` is reserved for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from line.errors import BundleError

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
CARD_FILE = "card.md"
DIGEST_FILE = "digest"
SIGNATURE_FILE = "signature"

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
ModelName = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
Task = Literal["backbone", "film-one-class", "film-candidates", "film-segmentation"]


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which model gave an answer; stands in every result's provenance. Printed as ``name@v3``."""

    name: ModelName
    version: Annotated[int, Meta(ge=1)]
    digest: Sha256
    """Digest of the whole bundle, manifest included."""

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}"


class InputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the network takes. Height and width are free unless ``size_px`` fixes them."""

    tensor: str
    channels: Annotated[int, Meta(ge=1, description="planes, in the order the card states")]
    channel_names: Annotated[
        tuple[str, ...],
        Meta(description="of the camera, one a plane, or those that a single plane may show; none where not stated"),
    ] = ()
    size_px: Annotated[int, Meta(gt=0, description="height and width, when fixed")] | None = None
    multiple_px: Annotated[int, Meta(ge=1, description="height and width are multiples of this")] = 1
    um_per_px: (
        Annotated[float, Meta(gt=0, description="pitch it was trained at; none when it was not stated")] | None
    ) = None
    view_px: (
        Annotated[
            int,
            Meta(gt=0, description="long side that a picture, or a tile of a larger one, is brought to"),
        ]
        | None
    ) = None
    mirrored: bool = False
    """Of each picture two images: the picture and its mirror image."""
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["NCHW"] = "NCHW"
    low: Annotated[int, Meta(ge=0, le=255, description="darkest grey level")] = 0
    high: Annotated[int, Meta(ge=0, le=255, description="brightest grey level")] = 255


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tensor that comes out."""

    tensor: str
    meaning: str
    layout: str
    stride_px: Annotated[int, Meta(ge=1, description="input pixels per output cell")] = 1
    dtype: Literal["float32"] = "float32"


class EnsembleMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One output of a one-class model: what it looks at, how much it counts, and what good film makes it answer."""

    tensor: str
    input: str
    """Tensor of the view that it looks at."""
    highest_count: Annotated[int, Meta(ge=1)]
    """The mean of so many highest cells is the member's score of a picture."""
    weight: Annotated[float, Meta(ge=0)]
    """Of its score in the score of the picture."""
    map_weight: Annotated[float, Meta(ge=0)]
    """Of its cells in the map."""
    score_mean: float
    score_deviation: Annotated[float, Meta(gt=0)]
    cell_mean: float
    cell_deviation: Annotated[float, Meta(gt=0)]
    """Mean and standard deviation on good pictures held out of training."""


class Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit on a score; a score above it is a finding."""

    value: float
    false_alarm_fraction: Annotated[float, Meta(ge=0, le=1, description="share of good samples above it")]
    how: str
    """On what it was set, in words a quality engineer can check."""


class DetectionCurve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Probability of detection over size: ``1 / (1 + exp(-(ln(size_um) - ln(a50_um)) / s))`` (relation R22)."""

    a50_um: Annotated[float, Meta(gt=0, description="size found half of the time")]
    s: Annotated[float, Meta(gt=0, description="width of the curve in ln(size)")]
    measured: bool
    """False: assumed or designed. Only a measured curve may stand for this model on a line."""
    how: str
    """The study behind it: film, pitch, number of targets."""
    basis: Literal["design", "release"] = "design"
    """Rendered film and assumptions give a design curve, real coupons under the real camera a release curve."""
    a90_95_um: Annotated[float, Meta(gt=0)] | None = None
    """Size found nine times of ten, upper 95 % bound by likelihood ratio; none where the targets set no bound."""


class ReleaseStudy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model was released on: real targets under the real camera. Its curves are never mixed with design ones."""

    curves: dict[str, DetectionCurve]
    """By defect class, all of basis `release`."""
    camera: str
    calibration: str
    """Identifier of the calibration in force, or how the camera was set, in words."""
    um_per_px: Annotated[float, Meta(gt=0)]
    made_at: Annotated[datetime, Meta(tz=True)]
    targets_digest: Sha256
    """Of the file of targets."""
    inspected_model: str
    """name@vN digest of the bundle that looked at the coupons."""
    blank_m2: Annotated[float, Meta(ge=0)]
    """Coupon film without targets that was looked at."""
    false_calls_count: Annotated[int, Meta(ge=0)]
    false_calls_per_m2_low: Annotated[float, Meta(ge=0)]
    """Of the exact two-sided 95 % Poisson interval."""
    false_calls_per_m2_high: Annotated[float, Meta(ge=0)] | None = None
    """None where no blank film was looked at."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a program must know about a model before it opens it."""

    name: ModelName
    version: Annotated[int, Meta(ge=1)]
    task: Task
    input: InputSpec
    outputs: Annotated[tuple[OutputSpec, ...], Meta(min_length=1)]
    more_inputs: tuple[InputSpec, ...] = ()
    """Other views of the same picture, that the network takes beside the first."""
    created_at: Annotated[datetime, Meta(tz=True)]
    licence: Annotated[str, Meta(min_length=1, description="SPDX expression")]
    provenance: str
    """Where the weights and the training data come from, in words."""
    files: dict[str, Sha256]
    """Relative POSIX path of each file but manifest, digest and signature, with its SHA-256."""
    opset: Annotated[int, Meta(ge=1, description="ONNX operator set")]
    thresholds: dict[str, Threshold] = {}
    members: tuple[EnsembleMember, ...] = ()
    """Of a one-class model, how its outputs become one map and one score."""
    classes: tuple[str, ...] = ()
    feature_extractor: ModelRef | None = None
    """The frozen backbone inside the network, when there is one."""
    training_data_digest: Sha256 | None = None
    training_image_count: Annotated[int, Meta(ge=0)] | None = None
    seed: int | None = None
    detection: dict[str, DetectionCurve] = {}
    """By defect class, of basis `design`."""
    release: ReleaseStudy | None = None
    metrics: dict[str, float] = {}
    golden_tolerance: Annotated[float, Meta(ge=0, description="largest absolute difference from a golden output")] = 0.0
    schema_version: Literal[1] = 1

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (self.input, *self.more_inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle whose files were all found as the manifest says."""

    path: Path
    manifest: Manifest
    digest: str

    @property
    def ref(self) -> ModelRef:
        return ModelRef(name=self.manifest.name, version=self.manifest.version, digest=self.digest)

    @property
    def standing_detection(self) -> dict[str, DetectionCurve]:
        """Measured curves that stand for this model on a line: those of its release study, or else of its design.

        Never some of each: a class that a release study left out has no standing curve.
        """
        study = self.manifest.release
        curves = self.manifest.detection if study is None else study.curves
        return {kind: curve for kind, curve in curves.items() if curve.measured}

    @property
    def model_path(self) -> Path:
        return self.path / MODEL_FILE

    @property
    def golden_paths(self) -> list[Path]:
        return [self.path / name for name in sorted(self.manifest.files) if name.startswith("golden/")]

    def threshold(self, name: str) -> Threshold:
        """Raises BundleError when the model has no such threshold."""
        try:
            return self.manifest.thresholds[name]
        except KeyError:
            known = ", ".join(sorted(self.manifest.thresholds)) or "none"
            raise BundleError(
                f"{self.path}: no threshold named {name!r} (it has: {known}); train the model again"
            ) from None

    def require_fit(self, *, task: Task, um_per_px: float | None = None, tolerance_fraction: float = 0.02) -> None:
        """Refuse a bundle made for another task, or for another pixel pitch than the camera's.

        Raises:
            BundleError: unfit; the message names both sides. A model that states no pitch fits every pitch.
        """
        if self.manifest.task != task:
            raise BundleError(f"{self.path}: {self.ref} is a {self.manifest.task} model, a {task} model is needed here")
        own_um = self.manifest.input.um_per_px
        if own_um is not None and um_per_px is not None and abs(own_um / um_per_px - 1) > tolerance_fraction:
            raise BundleError(
                f"{self.path}: {self.ref} was trained at {own_um:g} um/px, the images have {um_per_px:g} um/px; "
                "train at this pitch or choose another model"
            )


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def bundle_digest(digests: dict[str, str]) -> str:
    """Digest over the sorted file digests, the manifest's own among them."""
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def open_bundle(path: Path, *, task: Task | None = None) -> Bundle:
    """Read a bundle and check every byte of it; nothing is loaded into a session.

    Args:
        path: the bundle's folder.
        task: refuse a bundle made for anything else.

    Raises:
        BundleError: a file is missing, altered or not listed, the manifest breaks its schema, or the task differs.
    """
    manifest_path = path / MANIFEST_FILE
    if not manifest_path.is_file():
        raise BundleError(
            f"{path}: no {MANIFEST_FILE} in it, so this is not a model bundle; name the bundle's own folder"
        )
    try:
        manifest = msgspec.json.decode(manifest_path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleError(f"{manifest_path}: {error}; fetch the bundle again or train it with this version") from error
    _check_names(path, manifest)
    found = {name: file_digest(path / name) for name in manifest.files}
    for name, expected in sorted(manifest.files.items()):
        if found[name] != expected:
            raise BundleError(_altered(path / name, expected, found[name]))
    digest = bundle_digest({**found, MANIFEST_FILE: file_digest(manifest_path)})
    stated = _stated_digest(path)
    if stated != digest:
        raise BundleError(_altered(manifest_path, f"{stated} (bundle)", f"{digest} (bundle)"))
    bundle = Bundle(path=path, manifest=manifest, digest=digest)
    if task is not None:
        bundle.require_fit(task=task)
    return bundle


def _altered(path: Path, expected: str, found: str) -> str:
    return f"{path}: altered: expected SHA-256 {expected}, found {found}; fetch the bundle again or train it again"


def _stated_digest(path: Path) -> str:
    try:
        return (path / DIGEST_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path / DIGEST_FILE}: cannot be read ({error}); fetch the bundle again") from error


def _check_names(path: Path, manifest: Manifest) -> None:
    """The folder holds exactly the files that the manifest lists, and none of them lies outside it."""
    for required in (MODEL_FILE, CARD_FILE):
        if required not in manifest.files:
            raise BundleError(f"{path / MANIFEST_FILE}: $.files does not list {required}; fetch the bundle again")
    for name in manifest.files:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or "\\" in name or ".." in parts or str(PurePosixPath(name)) != name:
            raise BundleError(
                f"{path / MANIFEST_FILE}: $.files names {name!r}, which is no plain path inside the bundle"
            )
        if (path / name).is_symlink() or not (path / name).is_file():
            raise BundleError(f"{path / name}: missing, though the manifest lists it; fetch the bundle again")
    expected = {*manifest.files, MANIFEST_FILE, DIGEST_FILE, SIGNATURE_FILE}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if not file.is_dir() and name not in expected:
            raise BundleError(f"{file}: not listed in the manifest; remove it or fetch the bundle again")

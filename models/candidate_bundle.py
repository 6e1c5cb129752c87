"""The bundle of the classifier of candidates: scores, thresholds, model card, and the writing of it all at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from line.bundle import CARD_FILE, Bundle, DetectionCurve, InputSpec, OutputSpec, Threshold
from line.model import load_line
from models.bundle_writer import BundleDraft, write_bundle
from models.film_patches import PIXEL_UM, event_classes
from models.onnx_graph import OPSET
from vision.candidates import CHANNELS, CLEAN, FILM_GREY, PATCH_PX, UNKNOWN

NAME, VERSION = "film-candidates", 1
KEPT_ABOVE, MOST_PASSED_FRACTION = 0.5, 0.005
"""A spot is kept when it is likelier a defect than not, or above what this share of clean spots reaches."""
LEAST_STATED_FRACTION = 0.01
"""Of clean spots that pass, as stated to whoever sets the gates: on film with clouds and bands these let several times
more through than they are set for, and so few clean spots were tried that a smaller share is not known."""
GOLDEN_TOLERANCE = 0.05
"""In logits; CUDA's TF32 convolutions differ by about 0.01 from the CPU's answers."""
_UNSURE_BELOW = 0.5
_TIMED_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How a network does on patches with known classes."""

    names: tuple[str, ...]
    confusion: NDArray[np.int64]
    """Shape (classes, classes): true by rows, answered by columns, by the highest logit."""
    keep: float
    """Probability of not being clean above which a spot is kept."""
    passed_fraction: float
    """Of clean patches, kept at that threshold."""
    kept_fraction: float
    """Of defects, kept at that threshold."""
    patch_us: float
    """CPU time of a patch in a batch of 8, one thread; the least of several runs."""

    @property
    def accuracy_fraction(self) -> float:
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> dict[str, float]:
        """By class."""
        totals = np.maximum(self.confusion.sum(axis=1), 1)
        return dict(zip(self.names, (np.diag(self.confusion) / totals).tolist(), strict=True))


def scores_of(
    model: onnx.ModelProto, images: NDArray[np.uint8], labels: NDArray[np.int64], names: tuple[str, ...]
) -> Scores:
    """Run a network over patches and score its answers.

    Args:
        images: shape (n, 3, 64, 64).
        labels: indices into `names`, shape (n,).
    """
    session = _session(model)
    logits = answers(session, images)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, logits.argmax(axis=1)), 1)
    dirty = dirty_probability(logits, names.index(CLEAN))
    is_clean = labels == names.index(CLEAN)
    keep = float(np.clip(np.quantile(dirty[is_clean], 1 - MOST_PASSED_FRACTION), KEPT_ABOVE, 0.98))
    return Scores(
        names=names,
        confusion=confusion,
        keep=keep,
        passed_fraction=float((dirty[is_clean] > keep).mean()),
        kept_fraction=float((dirty[~is_clean] > keep).mean()),
        patch_us=_patch_us(session, images[:_TIMED_BATCH]),
    )


def answers(session: onnxruntime.InferenceSession, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits of patches, shape (n, classes)."""
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: images[start : start + 256]})[0] for start in range(0, len(images), 256)]
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


def dirty_probability(logits: NDArray[np.float32], clean: int) -> NDArray[np.float32]:
    """Probability of not being clean, shape (n,)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(1 - powers[:, clean] / powers.sum(axis=1), np.float32)


def write_candidates(
    out: Path,
    *,
    model: onnx.ModelProto,
    names: tuple[str, ...],
    scores: Scores,
    training_images: NDArray[np.uint8],
    golden_images: NDArray[np.uint8],
    seed: int,
    trained_s: float,
    framework: str,
) -> Bundle:
    """Write the bundle of a trained network, with the line model's assumed detection curves until it is measured."""
    session = _session(model)
    tensors = (session.get_inputs()[0].name, session.get_outputs()[0].name)
    recall = {f"recall_{name}": round(value, 4) for name, value in scores.recall.items()}
    validation_count = int(scores.confusion.sum())
    clean_count = int(scores.confusion[names.index(CLEAN)].sum())
    draft = BundleDraft(
        name=NAME,
        version=VERSION,
        task="film-candidates",
        input=InputSpec(tensor=tensors[0], channels=len(CHANNELS), size_px=PATCH_PX, um_per_px=PIXEL_UM),
        outputs=(
            OutputSpec(
                tensor=tensors[1],
                meaning="logit of each class",
                layout="NK",
                stride_px=PATCH_PX,
            ),
        ),
        licence="Apache-2.0",
        provenance=(
            f"Trained from scratch on film rendered by models/film_patches.py; no image of real film or of any data "
            f"set. {framework}, seed {seed}, {trained_s:.0f} s of training."
        ),
        opset=OPSET,
        thresholds={
            "keep": Threshold(
                value=round(scores.keep, 4),
                false_alarm_fraction=round(max(scores.passed_fraction, LEAST_STATED_FRACTION), 4),
                how=f"{scores.passed_fraction:.4f} of {clean_count} spots of sound rendered film not trained on pass; "
                f"stated as at least {LEAST_STATED_FRACTION:g}, see models/candidate_bundle.py",
            ),
            UNKNOWN: Threshold(
                value=_UNSURE_BELOW,
                false_alarm_fraction=0.0,
                how="a class has to be likelier than all others together; not set on data",
            ),
        },
        classes=names,
        training_data_digest=sha256(training_images.tobytes()).hexdigest(),
        training_image_count=len(training_images),
        seed=seed,
        detection={
            row.code: DetectionCurve(
                a50_um=row.pod_a50_um,
                s=row.pod_s,
                measured=False,
                how="table 2.2 of the line model, assumed before any measurement",
            )
            for row in event_classes(load_line())
            if row.pod_a50_um and row.pod_s
        },
        metrics={
            "accuracy_fraction": round(scores.accuracy_fraction, 4),
            "kept_defects_fraction": round(scores.kept_fraction, 4),
            "kept_clean_fraction": round(scores.passed_fraction, 4),
            "validation_patches_count": float(validation_count),
            "patch_us": round(scores.patch_us, 1),
            **recall,
        },
        golden_tolerance=GOLDEN_TOLERANCE,
    )
    return write_bundle(out, draft, model, card=_card(draft, scores), golden_inputs=[golden_images])


def with_detection(
    bundle: Bundle, curves: Mapping[str, DetectionCurve], metrics: Mapping[str, float], section: Sequence[str]
) -> Bundle:
    """The same bundle with measured detection curves, written in place of it.

    Args:
        curves: by class; classes that were not measured keep what they had.
        metrics: added to the manifest's.
        section: lines of the model card about detection, in place of those it has.
    """
    known = bundle.manifest
    draft = BundleDraft(
        **{each.name: getattr(known, each.name) for each in fields(BundleDraft)}
        | {"detection": {**known.detection, **curves}, "metrics": {**known.metrics, **metrics}}
    )
    card = (bundle.path / CARD_FILE).read_text(encoding="utf-8").partition(_DETECTION_TITLE)[0]
    golden = []
    for path in bundle.golden_paths:
        with np.load(path, allow_pickle=False) as tensors:
            golden.append(tensors[known.input.tensor])
    model = onnx.load(bundle.model_path)
    return write_bundle(
        bundle.path, draft, model, card="\n".join((card + _DETECTION_TITLE, "", *section, "")), golden_inputs=golden
    )


_DETECTION_TITLE = "## Probability of detection"


def _card(manifest: BundleDraft, scores: Scores) -> str:
    names = scores.names
    keep = manifest.thresholds["keep"]
    greys = ", ".join(f"{channel} {grey:g}" for channel, grey in zip(CHANNELS, FILM_GREY, strict=True))
    lines = [
        f"# {manifest.name} v{manifest.version}",
        "",
        "Says which class of film defect a spot is that screening found, or that it is none (`clean`).",
        "",
        "## Intended use",
        "",
        f"Patches of {PATCH_PX} x {PATCH_PX} px, channels {', '.join(CHANNELS)}, {PIXEL_UM:g} µm a pixel, as "
        "`vision/candidates.py` cuts them: brought to",
        f"film grey ({greys}), larger defects shown smaller. It sorts candidates; it does not look at film that",
        "screening passed. Licence Apache-2.0.",
        "",
        "## Training data",
        "",
        f"{manifest.training_image_count} patches of rendered film, nothing else. {manifest.provenance}",
        "Four families of texture (white, fine, coarse and directional grain), lens blur 0.4 to 1.2 px, lamps within",
        "15 % of where the film was learnt, column gain, bands, sensor noise. `clean` is what screening is mistaken",
        "about: extremes of grain, wild pixels, flickering lines, the border of the coat.",
        "",
        "## Scores",
        "",
        f"On {int(scores.confusion.sum())} patches of rendered rolls that it was not trained on: accuracy "
        f"{scores.accuracy_fraction:.3f}. Spots whose probability",
        f"of not being clean is above {keep.value:g} are kept: {scores.passed_fraction:.4f} of the clean ones and "
        f"{scores.kept_fraction:.3f} of the defects. One patch takes",
        f"{scores.patch_us:.0f} µs of one core in batches of {_TIMED_BATCH}.",
        "",
        "True class by rows, answer by columns:",
        "",
        "| | " + " | ".join(names) + " | recall |",
        "|---|" + "---:|" * (len(names) + 1),
    ]
    for name, row in zip(names, scores.confusion.tolist(), strict=True):
        lines.append(f"| {name} | " + " | ".join(str(count) for count in row) + f" | {scores.recall[name]:.3f} |")
    lines += [
        "",
        "## Known failures",
        "",
        "- Nothing here has seen real film. Use the figures for design only; a study on coupons comes before release.",
        "- Defects of one or two pixels look alike: small MET, AGG and FIB are taken for one another. Most of all a",
        "  metal chip that is black in bright field and dull in dark field is taken for a fibre: do not release film",
        "  on a FIB of more than 20 µm without a look.",
        "- Best epoch and threshold were chosen on the very patches that the scores above are of.",
        "- A short FIB and a short CRK differ by the sign of TX alone, and by little where the film is thick.",
        "- A defect cut by the end of a strip, or mirrored at it, may get another class in each strip.",
        "- Large and faint classes (DIS, THK, wide STR) are told from mottled film by their size and channels only.",
        "- A class that is not listed above gets the class it resembles most, or `unknown` when it resembles two.",
        "",
        _DETECTION_TITLE,
        "",
        "Not measured: the manifest's curves are those the line model assumes.",
        "",
    ]
    return "\n".join(lines)


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _patch_us(session: onnxruntime.InferenceSession, images: NDArray[np.uint8]) -> float:
    name = session.get_inputs()[0].name
    least = float("inf")
    for _ in range(8):
        # CPU time: other work on the machine is not this network's.
        started = time.process_time()
        for _ in range(25):
            session.run(None, {name: images})
        least = min(least, (time.process_time() - started) / 25 / len(images))
    return 1e6 * least

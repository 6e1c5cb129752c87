"""How well film models find defects of real parts that they have never seen.

    python benchmarks/film_real.py --data DIR --json > benchmarks/results/film_real.json

DIR holds `index.csv` (class, stem, tile_group), `images/<class>/` and `masks/<class>/`. Five folds by part; a fold that
was judged before by the same code on the same pictures is read from the cache. Progress goes to standard error; the
last line of standard output is the result.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.film_real_peers import Judge, Judgement, padim, patchcore
from benchmarks.film_real_set import Picture, digest, fold_numbers, read_pictures
from benchmarks.film_real_supervised import supervised
from benchmarks.machine import ROOT, machine_described
from models.evaluate import image_auroc, pixel_average_precision, recall_at_false_rejects
from models.one_class import train_one_class
from models.supervised import torch_is_there
from vision.anomaly import AnomalyInspector

FOLDS = 5
SEED = 0
RESAMPLES = 1000
FALSE_REJECT_FRACTION = 0.05
DEFINITIONS = {
    "folds": "five, by part: no part that a model has seen is judged by it; groups with a defect and without are dealt "
    "out one by one; nothing is chosen by fold",
    "*_image_auroc": "probability that a picture with a defect scores above one without, over the pictures of all "
    "folds together; pictures whose label names a defect but whose mask is empty count as defective",
    "*_image_auroc_low, _high": "95 % interval of the same, by drawing parts with replacement",
    "*_image_auroc_folds": "the same within each fold",
    "*_pixel_ap": "average precision over the pixels of all pictures together, at their own resolution",
    "*_recall_<class>": "share of the class's pictures above the score that 5 % of the sound pictures pass; _all: of "
    "all classes",
    "*_train_s": "wall time of the longest training of the five, all that a user waits for; `machine` "
    "holds the load average before",
    "*_train_cpu_s": "processor time of the longest, over all threads",
    "*_inspect_ms": "processor time to judge a picture, map at full resolution included",
    "*_false_rejects": "share of the sound pictures rejected at the model's own limits, by score or region",
    "*_own_recall": "share of the defective pictures rejected at the same limits",
    "one_class": "what `lamella train film --good` trains from sound pictures in the order of index.csv, runs of which "
    "are held out for its limits, and `lamella inspect film` runs",
    "supervised": "what `lamella train film --labelled` trains from masks and `lamella inspect film` runs; left out "
    "where torch is not installed",
    "patchcore, padim": "the peers, sound pictures only, on the same backbone, pictures as squares of 256 px",
    "ratio_*": "one_class over the peer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """A judge that has learnt, and what that took."""

    judge: Judge
    train_s: float
    train_cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row of the table."""

    learn: Callable[[Sequence[Picture], Path], Learnt]
    """From the pictures of the other folds, and a folder to write to, to a judge."""
    sources: tuple[str, ...]
    """Patterns of the files whose change makes cached folds worthless."""


def _lamella(known: Sequence[Picture], scratch: Path) -> Learnt:
    good = [picture.grey for picture in known if not picture.is_bad]
    with _timed() as times:
        bundle = train_one_class(good, scratch / "model", name="film-real", seed=SEED)
    inspector = AnomalyInspector(bundle, "cpu")

    def judge(image: NDArray[np.uint8]) -> Judgement:
        result = inspector.inspect(image)
        return Judgement(score=result.score, score_map=result.score_map, is_rejected=result.is_anomalous)

    return Learnt(judge=judge, train_s=times[0], train_cpu_s=times[1])


def _peer(train: Callable[[Sequence[NDArray[np.uint8]], int], Judge]) -> Callable[[Sequence[Picture], Path], Learnt]:
    def learn(known: Sequence[Picture], scratch: Path) -> Learnt:
        good = [picture.grey for picture in known if not picture.is_bad]
        with _timed() as times:
            judge = train(good, SEED)
        return Learnt(judge=judge, train_s=times[0], train_cpu_s=times[1])

    return learn


def _supervised(known: Sequence[Picture], scratch: Path) -> Learnt:
    judge, train_s, train_cpu_s = supervised(known, scratch, SEED)
    return Learnt(judge=judge, train_s=train_s, train_cpu_s=train_cpu_s)


_ONE_CLASS_SOURCES = (
    "models/one_class*.py",
    "vision/ensemble.py",
    "models/perceptron.py",
    "models/coreset.py",
    "models/artificial_*.py",
    "vision/anomaly.py",
)
_SUPERVISED_SOURCES = (
    "benchmarks/film_real_supervised.py",
    "models/artificial_*.py",
    "models/supervised*.py",
    "vision/anomaly.py",
    "vision/segmentation.py",
)
_PEER_SOURCES = ("benchmarks/film_real_peers.py", "models/coreset.py")
METHODS = {
    "one_class": Method(learn=_lamella, sources=_ONE_CLASS_SOURCES),
    "supervised": Method(learn=_supervised, sources=_SUPERVISED_SOURCES),
    "patchcore": Method(learn=_peer(patchcore), sources=_PEER_SOURCES),
    "padim": Method(learn=_peer(padim), sources=_PEER_SOURCES),
}
_COMMON_SOURCES = (
    "models/registry/efficientnet-lite0-s32/*/digest",
    "models/onnx_graph.py",
    "benchmarks/film_real_set.py",
    "vision/session.py",
    "line/bundle.py",
)
_PEERS = ("patchcore", "padim")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Pictures of one fold by one method."""

    scores: NDArray[np.float64]
    maps: list[NDArray[np.floating[Any]]]
    train_s: float
    train_cpu_s: float
    inspect_s: float
    """Processor time, all pictures."""
    rejected: NDArray[np.float64]
    """1 where the model's own limits reject, 0 where not, NaN where it has none."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="one line of JSON in place of a table")
    parser.add_argument("--methods", nargs="+", choices=METHODS,
                        default=[name for name in METHODS if name != "supervised" or torch_is_there()])  # fmt: skip
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "lamella-film-real", metavar="DIR")
    options = parser.parse_args(arguments)
    pictures = read_pictures(options.data)
    folds = fold_numbers(pictures, FOLDS)
    figures: dict[str, Any] = {"machine": machine_described(), "pictures_count": len(pictures)}
    figures["bad_pictures_count"] = sum(picture.is_bad for picture in pictures)
    figures["bad_parts_count"] = len({picture.group for picture in pictures if picture.is_bad})
    for name in options.methods:
        judged = [_judged(name, pictures, folds, fold, options.cache) for fold in range(FOLDS)]
        figures |= {f"{name}_{key}": value for key, value in _figures(pictures, folds, judged).items()}
    for peer in _PEERS:
        for key in ("image_auroc", "pixel_ap"):
            if {f"one_class_{key}", f"{peer}_{key}"} <= figures.keys():
                figures[f"ratio_{key}_{peer}"] = round(figures[f"one_class_{key}"] / figures[f"{peer}_{key}"], 3)
    if options.json:
        print(json.dumps({**figures, "definitions": DEFINITIONS}))
    else:
        for key, value in figures.items():
            print(f"{key:40} {value}")


def _figures(pictures: Sequence[Picture], folds: NDArray[np.int64], judged: Sequence[Judged]) -> dict[str, Any]:
    scores = np.zeros(len(pictures))
    maps: list[NDArray[np.floating[Any]]] = [np.zeros((1, 1))] * len(pictures)
    for fold, part in enumerate(judged):
        for place, score, score_map in zip(np.flatnonzero(folds == fold), part.scores, part.maps, strict=True):
            scores[place], maps[place] = score, score_map
    bad = np.array([picture.is_bad for picture in pictures])
    kinds = np.array([picture.kind for picture in pictures])
    low, high = _interval(pictures, scores, bad)
    figures: dict[str, Any] = {
        "image_auroc": round(image_auroc(scores, bad), 4),
        "image_auroc_low": round(low, 3),
        "image_auroc_high": round(high, 3),
        "image_auroc_folds": [
            round(image_auroc(scores[folds == fold], bad[folds == fold]), 3) for fold in range(len(judged))
        ],
        "pixel_ap": round(pixel_average_precision(maps, [picture.mask for picture in pictures]), 4),
        "recall_all": round(recall_at_false_rejects(scores, bad, FALSE_REJECT_FRACTION), 3),
    }
    for kind in sorted(set(kinds[bad])):
        part = ~bad | (kinds == kind)
        recall = recall_at_false_rejects(scores[part], bad[part], FALSE_REJECT_FRACTION)
        figures[f"recall_{kind.lower()}"] = round(recall, 3)
        figures[f"image_auroc_{kind.lower()}"] = round(image_auroc(scores[part], bad[part]), 3)
    rejected = np.concatenate([part.rejected for part in judged])
    order = np.concatenate([np.flatnonzero(folds == fold) for fold in range(len(judged))])
    if not np.isnan(rejected).any():
        figures["false_rejects"] = round(float(rejected[~bad[order]].mean()), 3)
        figures["own_recall"] = round(float(rejected[bad[order]].mean()), 3)
    figures["train_s"] = round(max(part.train_s for part in judged), 1)
    figures["train_cpu_s"] = round(max(part.train_cpu_s for part in judged), 1)
    figures["inspect_ms"] = round(1000 * sum(part.inspect_s for part in judged) / len(pictures), 2)
    return figures


def _interval(pictures: Sequence[Picture], scores: NDArray[np.float64], bad: NDArray[np.bool_]) -> tuple[float, float]:
    rng = np.random.default_rng(SEED)
    groups: dict[str, list[int]] = {}
    for place, picture in enumerate(pictures):
        groups.setdefault(picture.group, []).append(place)
    names = list(groups)
    found: list[float] = []
    while len(found) < RESAMPLES:
        drawn = np.concatenate([groups[names[place]] for place in rng.integers(len(names), size=len(names))])
        if 0 < np.count_nonzero(bad[drawn]) < drawn.size:
            found.append(image_auroc(scores[drawn], bad[drawn]))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def _judged(name: str, pictures: Sequence[Picture], folds: NDArray[np.int64], fold: int, cache: Path) -> Judged:
    method = METHODS[name]
    known = [picture for picture, number in zip(pictures, folds, strict=True) if number != fold]
    unseen = [picture for picture, number in zip(pictures, folds, strict=True) if number == fold]
    code = hashlib.sha256()
    for path in sorted(path for pattern in (*method.sources, *_COMMON_SOURCES) for path in ROOT.glob(pattern)):
        code.update(path.read_bytes())
    key = hashlib.sha256(f"{name} {code.hexdigest()} {digest(known)} {digest(unseen)} {SEED}".encode()).hexdigest()
    path = cache / f"{name}-{fold}-{key[:16]}.npz"
    if not path.exists():
        with tempfile.TemporaryDirectory() as scratch:
            learnt = method.learn(known, Path(scratch))
            with _timed() as times:
                answers = [learnt.judge(picture.grey) for picture in unseen]
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npz")
        np.savez(
            partial,
            scores=[answer.score for answer in answers],
            # Half precision: a score map needs no more, and a fold is some 30 megabytes so.
            maps=np.concatenate([answer.score_map.ravel() for answer in answers]).astype(np.float16),
            rejected=[np.nan if answer.is_rejected is None else float(answer.is_rejected) for answer in answers],
            times=[learnt.train_s, learnt.train_cpu_s, times[1]],
        )
        partial.replace(path)
        print(f"{name}, fold {fold}: learnt in {learnt.train_s:.0f} s", file=sys.stderr, flush=True)
    with np.load(path) as stored:
        ends = np.cumsum([picture.grey.size for picture in unseen])[:-1]
        maps = [
            part.reshape(picture.grey.shape)
            for part, picture in zip(np.split(stored["maps"], ends), unseen, strict=True)
        ]
        train_s, train_cpu_s, inspect_s = stored["times"]
        return Judged(
            scores=stored["scores"],
            maps=maps,
            train_s=float(train_s),
            train_cpu_s=float(train_cpu_s),
            inspect_s=float(inspect_s),
            rejected=stored["rejected"],
        )


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Wall and processor seconds, filled in at the end."""
    times = [0.0, 0.0]
    wall, cpu = time.perf_counter(), time.process_time()
    yield times
    times[:] = time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()

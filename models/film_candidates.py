"""How the classifier of candidates is trained, on rendered film alone, into its bundle.

Run ``python -m models.film_candidates --out DIR`` (extra ``train``) to make the shipped bundle again.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle
from line.errors import ProviderError
from line.model import load_line
from models.bundle_writer import require_place
from models.candidate_bundle import NAME, write_candidates
from models.candidate_int8 import quantised
from models.candidate_network import COARSE_GREY, FINE_GREY, FINE_LIMIT, LAYERS, Weights, layers, network, planes
from models.candidate_scores import agreement_fraction, keep_threshold, scores_of
from models.film_patches import PIXEL_UM, Patches, drawn_roll, event_classes, labelled_patches
from vision.candidates import CHANNELS, CLEAN, FILM_GREY, PATCH_PX

log = logging.getLogger(__name__)

SHARES = {
    "PIN": 3.0, "CRK": 2.5, "AGG": 2.6, "MET": 3.2, "FIB": 2.8, "STR": 0.5, "SCR": 0.8, "BUB": 1.6, "BLI": 1.3,
    "DIS": 1.4, "WRK": 1.6, "THK": 1.4,
}  # fmt: skip
"""Of targets, so that patches come out about even: a streak gives one a strip, a pinhole often none."""
MOST_EASY_CLEAN_RATIO = 0.65
"""Clean patches of rolls with targets, against patches of targets."""

_TRAINING_ROLLS, _OTHER_ROLLS = 320, 45
_CLEAN_ROLLS, _OTHER_CLEAN_ROLLS = 160, 30
"""To train on; the others choose epoch and threshold, and as many more are reported on."""
_FINE_PIXEL_UM, _FINE_SHARE = 10.0, 0.2
"""Of rolls under a camera that sees finer; their patches are shown at the same pixel as all others."""
_RATES, _CLEAN_RATES = (300.0, 15_000.0), (90.0, 900.0)
"""Candidates per m² that the gates are set for."""
_STRIPS, _CLEAN_STRIPS = 16, 200
_MOST_OF_A_CLEAN_ROLL = 200
"""Patches: a coat that ends inside the view would give thousands, all alike."""
_WITHOUT_TX_SHARE = 0.12
_CALIBRATION_PER_CLASS = 40
_EPOCHS = 14
_BATCH = 128
_LEARNING_RATE = 3e-3
_PATIENCE_EPOCHS = 8

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Patches with their classes as indices."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sizes_um: NDArray[np.float32]


def class_names() -> tuple[str, ...]:
    """Event classes of the default line model, then `clean`."""
    return (*(row.code for row in event_classes(load_line())), CLEAN)


def rendered_dataset(
    *, seed: int, rolls: int, clean_rolls: int = 0, channels: tuple[str, ...] = CHANNELS, progress: Progress
) -> Dataset:
    """Patches of rendered rolls; the same seed gives the same patches.

    Args:
        seed: of everything.
        rolls: with targets, screened at gates far wider than the line's.
        clean_rolls: of sound film, longer and at nearly the line's gates, so that its worst spots are there.
        channels: of the camera that sees them.
        progress: told the share that is rendered.
    """
    rows = event_classes(load_line())
    total = rolls + clean_rolls

    def of_roll(number: int) -> Patches:
        rng = np.random.default_rng((seed, number))
        sound = number >= rolls
        low, high = _CLEAN_RATES if sound else _RATES
        rate = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        strips = _CLEAN_STRIPS if sound else _STRIPS
        pixel_um = _FINE_PIXEL_UM if rng.random() < _FINE_SHARE else PIXEL_UM
        roll = drawn_roll(
            rows, SHARES, rng, candidates_per_m2=rate, streaks_per_m2=rate / 50, strips=strips,
            tries=0 if sound else 40, pixel_um=pixel_um, channels=channels,
        )  # fmt: skip
        return labelled_patches(roll, strips=strips, most=_MOST_OF_A_CLEAN_ROLL if sound else None)

    parts: list[Patches] = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for part in pool.map(of_roll, range(total)):
            parts.append(part)
            progress("render film", len(parts) / total)
    index = {name: number for number, name in enumerate(class_names())}
    labels = np.array([index[kind] for part in parts for kind in part.kinds], np.int64)
    images = np.concatenate([part.images for part in parts])
    sizes = np.concatenate([part.sizes_um for part in parts])
    hard = np.arange(labels.size) >= sum(len(part.kinds) for part in parts[:rolls])
    is_clean = labels == index[CLEAN]
    others, easy = np.flatnonzero(~is_clean | hard), np.flatnonzero(is_clean & ~hard)
    most = int(MOST_EASY_CLEAN_RATIO * np.count_nonzero(~is_clean))
    chosen = np.random.default_rng((seed, rolls)).permutation(easy)[:most]
    kept = np.sort(np.concatenate((others, chosen)))
    return Dataset(images=images[kept], labels=labels[kept], sizes_um=sizes[kept])


def train_candidates(
    out: Path,
    *,
    seed: int = 1,
    minutes: float = 12.0,
    progress: Progress = lambda _stage, _share: None,
    training_rolls: int = _TRAINING_ROLLS,
    other_rolls: int = _OTHER_ROLLS,
    channels: tuple[str, ...] = CHANNELS,
    name: str = NAME,
) -> Bundle:
    """Render film, train the classifier, and write its bundle.

    Args:
        out: folder of the bundle; replaced as a whole when it exists.
        seed: of film, weights and order.
        minutes: after which training stops with the best network so far; rendering comes before and is not counted.
        progress: told the stage and its share done.
        training_rolls: with targets, to train on.
        other_rolls: as many to choose epoch and threshold by, and as many again to report scores on.
        channels: of the camera that it is for.
        name: of the bundle.

    Raises:
        ProviderError: PyTorch is not installed.
        ConfigError: `out` holds something that is not a bundle.
    """
    torch = _torch()
    require_place(out)
    training, choosing, reported = (
        rendered_dataset(
            seed=3 * seed + part, rolls=rolls, clean_rolls=clean_rolls, channels=channels, progress=progress
        )
        for part, (rolls, clean_rolls) in enumerate([
            (training_rolls, _CLEAN_ROLLS),
            *2 * [(other_rolls, _OTHER_CLEAN_ROLLS)],
        ])
    )
    started = time.monotonic()
    weights = _trained(torch, training, choosing, channels, seed=seed, minutes=minutes, progress=progress)
    trained_s = time.monotonic() - started
    return released_network(
        out, weights, training, choosing, reported, seed=seed, trained_s=trained_s,
        framework=f"PyTorch {torch.__version__}", channels=channels, name=name,
    )  # fmt: skip


def released_network(
    out: Path,
    weights: Weights,
    training: Dataset,
    choosing: Dataset,
    reported: Dataset,
    *,
    seed: int,
    trained_s: float,
    framework: str,
    channels: tuple[str, ...] = CHANNELS,
    name: str = NAME,
) -> Bundle:
    """Bring a trained network to eight bits, set its threshold, score it on film that chose nothing, write it."""
    names = class_names()
    exact = network(weights, channels)
    small = quantised(exact, _some_of_each(training, len(names), _CALIBRATION_PER_CLASS), channels)
    keep = keep_threshold(small, choosing.images, choosing.labels, names)
    scores = scores_of(small, reported.images, reported.labels, names, keep=keep, channels=channels)
    own = scores_of(exact, reported.images, reported.labels, names, keep=keep, channels=channels)
    log.info("accuracy %.4f, before quantising %.4f", scores.accuracy_fraction, own.accuracy_fraction)
    return write_candidates(
        out, model=small, names=names, scores=scores, float_accuracy_fraction=own.accuracy_fraction,
        agreement_fraction=agreement_fraction(small, exact, reported.images),
        training_images=training.images, golden_images=_some_of_each(reported, len(names), 2), seed=seed,
        trained_s=trained_s, framework=framework, channels=channels, name=name,
    )  # fmt: skip


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ProviderError(
            f"the classifier of candidates is trained with PyTorch, which is not installed ({error}); "
            "install lamella[train], or use the shipped bundle film-candidates"
        ) from error


def _trained(
    torch: Any,
    training: Dataset,
    choosing: Dataset,
    channels: Sequence[str],
    *,
    seed: int,
    minutes: float,
    progress: Progress,
) -> Weights:
    """Weights with the least loss on the set that chooses, batch norms folded in."""
    torch.manual_seed(seed)
    torch.set_num_threads(min(2, torch.get_num_threads()))
    trunk = torch.nn.Sequential()
    for inward, outward, kernel, stride in layers(channels):
        padding = 0 if kernel == stride else 1
        trunk.append(torch.nn.Conv2d(inward, outward, kernel, stride, padding, bias=False))
        trunk.append(torch.nn.BatchNorm2d(outward))
        trunk.append(torch.nn.ReLU())
    head = torch.nn.Linear(2 * LAYERS[-1][1], len(class_names()))
    film, fine = (torch.from_numpy(planes(values, channels)) for values in (FILM_GREY, FINE_GREY))

    def logits(images: Any) -> Any:
        change = images.float() - film
        seen = torch.cat(((change / fine).clamp(-FINE_LIMIT, FINE_LIMIT), change / COARSE_GREY), 1)
        features = trunk(seen)
        return head(torch.cat((features.mean((2, 3)), features.amax((2, 3))), 1))

    parameters = [*trunk.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=_LEARNING_RATE, weight_decay=0.02)
    steps = len(training.labels) // _BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _LEARNING_RATE, total_steps=_EPOCHS * steps, pct_start=0.15
    )
    images, labels = torch.from_numpy(training.images), torch.from_numpy(training.labels)
    generator = torch.Generator().manual_seed(seed)
    deadline = time.monotonic() + 60 * minutes
    best, best_loss, since_best = _folded(torch, trunk, head), float("inf"), 0
    for epoch in range(_EPOCHS):
        trunk.train()
        order = torch.randperm(len(labels), generator=generator)
        for step in range(steps):
            chosen = order[step * _BATCH : (step + 1) * _BATCH]
            batch = _varied(torch, images[chosen], channels, generator)
            loss = torch.nn.functional.cross_entropy(logits(batch), labels[chosen], label_smoothing=0.02)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        trunk.eval()
        with torch.no_grad():
            parts = [logits(part) for part in torch.from_numpy(choosing.images).split(512)]
            answers = torch.cat(parts)
            found = float(torch.nn.functional.cross_entropy(answers, torch.from_numpy(choosing.labels)))
            right = float((answers.argmax(1).numpy() == choosing.labels).mean())
        log.info("epoch %d: validation loss %.4f, accuracy %.4f", epoch + 1, found, right)
        progress("train", (epoch + 1) / _EPOCHS)
        since_best += 1
        if found < best_loss:
            best, best_loss, since_best = _folded(torch, trunk, head), found, 0
        if since_best >= _PATIENCE_EPOCHS or time.monotonic() > deadline:
            log.info("stopped after epoch %d of %d", epoch + 1, _EPOCHS)
            break
    return best


def _varied(torch: Any, images: Any, channels: Sequence[str], generator: Any) -> Any:
    """Mirrored, shifted by up to 4 px, under slightly other light, some without transmission."""
    for axis in (2, 3):
        if float(torch.rand(1, generator=generator)) < 0.5:
            images = images.flip(axis)
    shift = torch.randint(-4, 5, (2,), generator=generator).tolist()
    padded = torch.nn.functional.pad(images.float(), (4, 4, 4, 4), mode="reflect")
    moved = padded[:, :, 4 + shift[0] : 4 + shift[0] + PATCH_PX, 4 + shift[1] : 4 + shift[1] + PATCH_PX]
    light = 1 + 0.015 * torch.randn((len(images), len(channels), 1, 1), generator=generator)
    lit = (moved * light).round().clamp(0, 255)
    if "TX" in channels:
        # So that a network leans on every channel, some patches show film grey in place of transmission.
        lost = torch.rand((len(images), 1, 1, 1), generator=generator) < _WITHOUT_TX_SHARE
        tx = channels.index("TX")
        lit[:, tx : tx + 1] = torch.where(lost, FILM_GREY[CHANNELS.index("TX")], lit[:, tx : tx + 1])
    return lit


def _folded(torch: Any, trunk: Any, head: Any) -> Weights:
    weights: Weights = {}
    layers = list(trunk)
    for number in range(len(LAYERS)):
        conv, norm = layers[3 * number : 3 * number + 2]
        with torch.no_grad():
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weights[f"conv{number}_w"] = (conv.weight * scale[:, None, None, None]).numpy().copy()
            weights[f"conv{number}_b"] = (norm.bias - norm.running_mean * scale).numpy().copy()
    weights["head_w"] = head.weight.detach().numpy().copy()
    weights["head_b"] = head.bias.detach().numpy().copy()
    return weights


def _some_of_each(data: Dataset, classes: int, count: int) -> NDArray[np.uint8]:
    """So many patches of each class."""
    places = [np.flatnonzero(data.labels == label)[:count] for label in range(classes)]
    return data.images[np.concatenate(places)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the training."""
    parser = argparse.ArgumentParser(prog="python -m models.film_candidates", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle; replaced when it exists")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=12.0, help="of training, after rendering")
    parser.add_argument("--rolls", type=int, default=_TRAINING_ROLLS, help="rendered to train on")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    def told(stage: str, share: float) -> None:
        if round(share * 1000) % 100 == 0:
            log.info("%s: %.0f %%", stage, 100 * share)

    train_candidates(chosen.out, seed=chosen.seed, minutes=chosen.minutes, progress=told, training_rolls=chosen.rolls)


if __name__ == "__main__":
    main()

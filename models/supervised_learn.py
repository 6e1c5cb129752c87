"""The learning itself: steps of an optimiser over drawn pieces, an average of the weights, early stop. Needs torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from models.supervised_graph import with_weights
from models.supervised_loss import Batch, batch_of, loss_of
from models.supervised_samples import Pieces
from models.supervised_settings import LearningSettings
from models.supervised_torch import LearningGraph

Check = Callable[[onnx.ModelProto], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What came of it."""

    model: onnx.ModelProto
    steps: int
    """Taken; fewer than planned after an early stop."""
    best_step: int


def learnt(
    model: onnx.ModelProto,
    pieces: Pieces,
    check: Check,
    settings: LearningSettings,
    progress: Callable[[int, int, float], None],
) -> Learnt:
    """Let a graph learn and give back the averaged weights that did best on held-out pictures.

    Args:
        model: as `models.supervised_graph.segmentation_graph` makes it.
        check: figure of merit of a model on pictures that it does not learn from; higher is better.
        progress: told steps done, steps planned and the loss of late.
    """
    torch.set_num_threads(settings.threads)
    graph = LearningGraph(model)
    optimiser = torch.optim.AdamW(graph.groups(settings.backbone_rate, settings.rate), weight_decay=1e-4)
    thawed_at = round(settings.frozen_fraction * settings.steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, [lambda step: _rate_share(step, 0, settings), lambda step: _rate_share(step, thawed_at, settings)]
    )
    graph.set_backbone_learning(thawed_at == 0)
    average: dict[str, NDArray[np.float32]] = {}
    best, best_figure, best_step, worse = model, -math.inf, 0, 0
    checked_at = _checks(settings)
    step, smooth = 0, 0.0
    for batch in _batches(pieces, settings):
        average = average or graph.numbers()
        if step == thawed_at:
            graph.set_backbone_learning(True)
        loss = loss_of(graph.run(batch.grey), batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([graph.weights[name] for name in graph.learning], 5.0)
        optimiser.step()
        schedule.step()
        step += 1
        # Young averages follow quickly, or the random beginning would linger in them.
        keep = min(settings.average, step / (step + 10))
        for name, now in graph.numbers().items():
            average[name] = np.asarray(keep * average[name] + (1 - keep) * now, np.float32)
        # One batch differs from the next; people are told a mean of the last twenty or so.
        smooth = loss.item() if step == 1 else 0.95 * smooth + 0.05 * loss.item()
        progress(step, settings.steps, smooth)
        if step in checked_at:
            candidate = with_weights(model, average)
            figure = check(candidate)
            # An equal figure of a later step wins: it has learnt more.
            if figure >= best_figure:
                best, best_figure, best_step, worse = candidate, figure, step, 0
            else:
                worse += 1
                if worse >= settings.patience:
                    break
    return Learnt(model=best, steps=step, best_step=best_step)


def _rate_share(step: int, first: int, settings: LearningSettings) -> float:
    """Rises from a first step on, then falls as half a cosine over all steps."""
    warm = settings.warm_up_fraction * settings.steps
    rise = min(1.0, max(0.0, (step - first + 1) / warm))
    return rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / settings.steps)))


def _checks(settings: LearningSettings) -> set[int]:
    first = settings.steps / 3
    return {round(first + (settings.steps - first) * (k + 1) / settings.checks) for k in range(settings.checks)}


def _batches(pieces: Pieces, settings: LearningSettings) -> Iterator[Batch]:
    """Batches in order; the next one is drawn in a thread while the last one is learnt from."""

    def drawn(number: int) -> Batch:
        return batch_of([pieces.piece(number * settings.batch + k) for k in range(settings.batch)])

    with ThreadPoolExecutor(max_workers=1) as pool:
        following = pool.submit(drawn, 0)
        for number in range(settings.steps):
            batch = following.result()
            if number + 1 < settings.steps:
                following = pool.submit(drawn, number + 1)
            yield batch

"""A small multi-layer perceptron, trained with numpy alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perceptron:
    """Layers of weights (inputs, outputs) and biases, ReLU between them; one logit comes out.

    The inputs' mean and spread are folded into the first layer.
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    def logits(self, inputs: Floats) -> Floats:
        """Shape (n,) for inputs of shape (n, features)."""
        x = inputs
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (np.maximum(x, 0) if layer else x) @ weight + bias
        return x[:, 0]


def trained_perceptron(
    inputs: NDArray[np.floating],
    labels: NDArray[np.bool_],
    *,
    hidden: tuple[int, ...] = (96, 24),
    epochs: int = 3,
    batch: int = 1024,
    rate: float = 2e-3,
    decay: float = 1e-4,
    dropped_fraction: float = 0.1,
    rng: np.random.Generator,
    progress: Callable[[float], None] = lambda _: None,
) -> Perceptron:
    """Fit by AdamW on the binary cross-entropy, the rate falling as half a cosine.

    Args:
        inputs: shape (n, features), n at least one batch; float16 saves memory.
        labels: shape (n,).
        dropped_fraction: of the inputs, left out at random in training.
        progress: told the share done.
    """
    mean = inputs.mean(axis=0, dtype=np.float32)
    spread = inputs.std(axis=0, dtype=np.float32) + np.float32(1e-3)
    sizes = (inputs.shape[1], *hidden, 1)
    parameters: list[Floats] = []
    for size_in, size_out in itertools.pairwise(sizes):
        parameters.append(rng.standard_normal((size_in, size_out), np.float32) * np.float32(np.sqrt(2 / size_in)))
        parameters.append(np.zeros(size_out, np.float32))
    first = [np.zeros_like(values) for values in parameters]
    second = [np.zeros_like(values) for values in parameters]
    batch = min(batch, len(inputs))
    steps = epochs * (len(inputs) // batch)
    for step in range(steps):
        if step % (len(inputs) // batch) == 0:
            order = rng.permutation(len(inputs))
            start = 0
        rows = order[start : start + batch]
        start += batch
        x = (inputs[rows].astype(np.float32) - mean) / spread
        x *= (rng.random(x.shape, np.float32) >= dropped_fraction) / np.float32(1 - dropped_fraction)
        gradients = _gradients(parameters, x, labels[rows])
        now = np.float32(rate * 0.5 * (1 + np.cos(np.pi * step / steps)))
        for values, gradient, m, v in zip(parameters, gradients, first, second, strict=True):
            m += np.float32(0.1) * (gradient - m)
            v += np.float32(0.001) * (gradient**2 - v)
            move = m / (1 - 0.9 ** (step + 1)) / (np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8)
            values -= now * (move + (decay * values if values.ndim == 2 else 0)).astype(np.float32)
        progress((step + 1) / steps)
    parameters[0] = parameters[0] / spread[:, None]
    parameters[1] = parameters[1] - mean @ parameters[0]
    return Perceptron(weights=tuple(parameters[::2]), biases=tuple(parameters[1::2]))


def _gradients(parameters: list[Floats], x: Floats, labels: NDArray[np.bool_]) -> list[Floats]:
    """Gradient of the mean cross-entropy by each parameter."""
    layers = [x]
    depth = len(parameters) // 2
    for layer in range(depth):
        z = layers[-1] @ parameters[2 * layer] + parameters[2 * layer + 1]
        layers.append(np.maximum(z, 0) if layer < depth - 1 else z)
    # The logistic function as tanh: no overflow, whatever the logit.
    probability = 0.5 * (1 + np.tanh(0.5 * layers[-1][:, 0]))
    slope: Floats = ((probability - labels) / len(labels)).astype(np.float32)[:, None]
    gradients: list[Floats] = []
    for layer in reversed(range(depth)):
        gradients = [layers[layer].T @ slope, slope.sum(axis=0), *gradients]
        if layer:
            slope = (slope @ parameters[2 * layer].T) * (layers[layer] > 0)
    return gradients

"""How the supervised net learns; apart from the learning itself, which needs torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningSettings:
    """How the net learns."""

    steps: int = 2000
    batch: int = 8
    rate: float = 3e-3
    backbone_rate: float = 1e-4
    """Its norms are folded into its weights, so that larger steps spoil what it knows."""
    frozen_fraction: float = 0.35
    """Of the steps, in which only what is new learns: quicker, and the backbone is not led astray by a random rest."""
    warm_up_fraction: float = 0.05
    average: float = 0.99
    """Of the averaged weights, kept at each step."""
    checks: int = 6
    """Looks at the held-out pictures, evenly over the last two thirds."""
    patience: int = 3
    """Checks without a better figure after which learning stops."""
    threads: int = 2

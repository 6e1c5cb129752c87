"""Lines along the web that ran through all the film that was learnt: cut off the level of good film.

A line fills its columns in every strip and is recognised by its narrow bump across the web. A patch of gloss makes a
bump as well where few strips are learnt from; there the strips differ.
"""

from __future__ import annotations

import cv2
import numpy as np

from vision.pyramid import Floats
from vision.tails import robust_sigma

_BUMP_FRACTION = 0.02
_BUMP_ERRORS = 9.0
"""Standard errors of what was learnt, by how the strips differ at the very place, below which a bump is chance:
bridged, it would make a line of sound film for the rest of the roll. A bump is measured from the lowest of its
neighbours, so that chance alone reached 6 on 120 rolls of glossy rendered film."""
_BUMP_WINDOW = 5


def bridged(level: Floats, widest: int, edge: int, error: Floats | float = 0.0) -> Floats:
    """A level across the web with narrow bumps cut off: streaks that ran through all that was learnt.

    A bump is narrower than `widest` samples and returns to the level on both sides; slopes, such as light that falls
    off, stay as they are, and so do the outermost `edge` samples, where the coat has a bead.

    Args:
        error: as `level_error` gives it, or one for all samples.
    """
    kernel = np.ones((1, widest), np.uint8)
    repaired = level.copy()
    # A groove has banks: what is left of them when the one is cut off is filled after it, not beside it.
    for operation, sign in ((cv2.MORPH_OPEN, 1), (cv2.MORPH_CLOSE, -1)):
        smooth = np.asarray(cv2.blur(repaired[None], (_BUMP_WINDOW, 1)), np.float32)
        base = np.asarray(cv2.morphologyEx(smooth, operation, kernel)[0], np.float32)
        bump = sign * (smooth[0] - base)
        usual = float(np.median(bump))
        least = max(8 * robust_sigma(bump - usual), _BUMP_FRACTION * float(np.median(level)))
        limit = usual + np.maximum(least, _BUMP_ERRORS * error)
        found = cv2.dilate((bump > limit).astype(np.uint8)[None], np.ones((1, 9), np.uint8))[0] > 0
        found[:edge] = found[-edge:] = False
        repaired[found] = base[found] + sign * usual
    return repaired


def level_error(by_strip: Floats, level: Floats) -> Floats:
    """Standard error of a level across the web by how the strips differ at each place: patches of gloss are long.

    By their median difference, so that a line that began or ended among the strips counts as steady.

    Args:
        by_strip: the level of each strip, shape (strips, samples), each under its own light.
        level: of all of them, shape (samples,).

    Returns:
        Of the mean over 5 neighbours, shape (samples,).
    """
    apart = by_strip - level
    apart -= np.median(apart, axis=1, keepdims=True)
    apart = np.abs(cv2.blur(apart, (_BUMP_WINDOW, 1)))
    scatter = cv2.blur(1.4826 * np.median(apart, axis=0)[None], (2 * _BUMP_WINDOW - 1, 1))[0]
    count = len(by_strip)
    # Few values lie nearer to their own median than to the truth (Croux and Rousseeuw 1992).
    scatter *= count / max(count - 0.8, 0.2)
    return np.asarray(np.sqrt(np.pi / 2 / count) * scatter, np.float32)

"""Numbers on the command line that are refused before any work begins."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def above_zero(text: str) -> float:
    """A finite number above 0.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def whole_number(least: int, most: int = 2**32 - 1) -> Callable[[str], int]:
    """What reads a whole number from `least` to `most`, and raises ArgumentTypeError for anything else."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return value

    return read

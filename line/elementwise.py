"""How a formula takes numbers and arrays alike, and keeps both typed.

A function declared `f(x: Numbers | float, y: Numbers | float) -> Numbers` gives a float for floats, and an array as
soon as one argument is an array.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = TypeVar("Numbers", float, NDArray[np.float64])


def plain(value: Any) -> Any:
    """A result of numpy as a caller wants it: a plain float for a scalar, which msgspec can encode, else the array."""
    return float(value) if np.ndim(value) == 0 else value

"""Pictures as PNG bytes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_FAST = (cv2.IMWRITE_PNG_COMPRESSION, 3)


def png_of(image: NDArray[np.uint8]) -> bytes:
    """A picture as a PNG file.

    Args:
        image: shape (height, width) grey, or (height, width, 3) blue, green, red.
    """
    ok, data = cv2.imencode(".png", image, _FAST)
    assert ok, "a uint8 array of one or three channels always encodes"
    return data.tobytes()

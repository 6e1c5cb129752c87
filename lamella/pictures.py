"""The pictures a command is to work on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from line.errors import FrameError, NotFoundError
from vision.images import image_paths


def pictures_in(paths: Sequence[Path]) -> list[Path]:
    """Files named, and pictures in folders named, in order.

    Raises:
        NotFoundError: a path does not exist, or a folder holds no picture or cannot be listed.
    """
    try:
        return list(image_paths(paths))
    except FrameError as error:
        raise NotFoundError(str(error)) from error

"""The pictures a command is to work on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from line.errors import NotFoundError
from vision.images import image_paths


def pictures_in(paths: Sequence[Path]) -> list[Path]:
    """Files named, and pictures in folders named, in order.

    Raises:
        NotFoundError: a path does not exist, or there is no picture at all.
    """
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"{path}: no such file or folder; check the path")
    found = list(image_paths(paths))
    if not found:
        raise NotFoundError(f"{paths[0]}: no pictures there; PNG, JPEG, TIFF, BMP, WebP, PGM and PPM are read")
    return found

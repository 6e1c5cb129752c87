"""Pictures by what they are: stored under their sha256, in a ring with a size limit."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Evidence:
    """A folder of pictures named by digest.

    Args:
        folder: made when absent.
        limit_bytes: above it the oldest pictures go.
    """

    def __init__(self, folder: Path, limit_bytes: int = 2_000_000_000) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._size_bytes = sum(path.stat().st_size for path in folder.rglob("*.png"))

    def put(self, png: bytes) -> str:
        """Store a picture; returns its digest. Storing it twice is storing it once."""
        digest = hashlib.sha256(png).hexdigest()
        path = self._path(digest)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(png)
            temporary.replace(path)
            self._size_bytes += len(png)
            if self._size_bytes > self._limit_bytes:
                self._forget_oldest()
        return digest

    def get(self, digest: str) -> bytes | None:
        """The picture, or None when it is not here or `digest` is no digest."""
        if not _DIGEST.fullmatch(digest):
            return None
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            return None

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}.png"

    def _forget_oldest(self) -> None:
        """Down to nine tenths of the limit, so that this does not happen at every picture."""
        pictures = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self._folder.rglob("*.png"))
        for _, size, path in pictures:
            if self._size_bytes <= 0.9 * self._limit_bytes:
                return
            path.unlink(missing_ok=True)
            self._size_bytes -= size

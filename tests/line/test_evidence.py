from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from line.evidence import Evidence


def test_a_picture_is_found_by_what_it_is(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    digest = evidence.put(b"picture")
    assert digest == hashlib.sha256(b"picture").hexdigest() == evidence.put(b"picture")
    assert evidence.get(digest) == b"picture"
    assert len(list(tmp_path.rglob("*.png"))) == 1


@pytest.mark.parametrize("digest", ["", "..", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64])
def test_what_is_no_digest_or_not_here_is_nothing(tmp_path: Path, digest: str) -> None:
    assert Evidence(tmp_path).get(digest) is None


def test_the_ring_keeps_its_size_and_forgets_the_oldest(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path, limit_bytes=10_000)
    digests = [evidence.put(bytes([number]) * 1000) for number in range(30)]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.png")) <= 10_000
    assert evidence.get(digests[-1]) is not None
    assert evidence.get(digests[0]) is None

"""Evidence pictures by digest: from the state directory of this box, else from the service that has them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Sequence

import httpx

from line.errors import LinkError, NotFoundError
from line.evidence import Evidence

log = logging.getLogger(__name__)

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIMEOUT_S = 3.0
_LIMIT_BYTES = 20_000_000


class Pictures:
    """Finds pictures.

    Args:
        evidence: pictures of this box.
        urls: where services serve theirs, asked anew for every picture.
        token: the site's secret, which those services want to see.
    """

    def __init__(self, evidence: Evidence, urls: Callable[[], Sequence[str]], token: str) -> None:
        self._evidence = evidence
        self._urls = urls
        self._headers = {"Authorization": f"Bearer {token}"}

    async def png(self, digest: str) -> bytes:
        """The picture of a digest, checked against it.

        Raises:
            NotFoundError: `digest` is no SHA-256, or nobody who answers has such a picture.
            LinkError: nobody answered, so that it is not known whether the picture exists.
        """
        if not _DIGEST.fullmatch(digest):
            raise NotFoundError(f"{digest!r} is not the SHA-256 of a picture: 64 lower-case hexadecimal digits")
        if (png := await asyncio.to_thread(self._evidence.get, digest)) is not None:
            return png
        urls = self._urls()
        silent = []
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            for url in urls:
                try:
                    answer = await client.get(f"{url}/evidence/{digest}", headers=self._headers)
                except httpx.HTTPError as error:
                    log.warning("%s: no answer about picture %s: %s", url, digest[:12], error)
                    silent.append(url)
                    continue
                if answer.status_code == httpx.codes.OK and len(answer.content) <= _LIMIT_BYTES:
                    if hashlib.sha256(answer.content).hexdigest() == digest:
                        return answer.content
                    log.warning("%s: picture %s is not what its digest says; refused", url, digest[:12])
        if silent:
            raise LinkError(f"picture {digest[:12]}: no answer from {', '.join(silent)}")
        raise NotFoundError(
            f"picture {digest[:12]} is not kept any more, or never was; evidence is a ring with a limit"
        )

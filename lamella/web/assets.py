"""The pages' files, read once, served from memory with an ETag, compressed where that pays."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
"""A file of another kind is not served."""
_PAGES = ("/", "/rolls", "/rolls/{thing:path}", "/cells", "/cells/{thing:path}", "/yield")
"""Addresses that the page itself understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    body: bytes
    zipped: bytes
    media_type: str
    etag: str


def asset_routes() -> list[HTTPRouteHandler]:
    """Handlers of everything below `static/` and of the addresses of pages."""
    assets = _read(files("lamella.web") / "static", "")

    @get("/static/{path:path}", sync_to_thread=False, include_in_schema=False)
    def static(path: FromPath[str], request: Request[None, None, State]) -> Response[bytes]:
        asset = assets.get(path.lstrip("/"))
        if asset is None:
            raise NotFoundException(f"no file {path} among the console's own")
        return _answer(asset, request)

    @get(list(_PAGES), sync_to_thread=False, include_in_schema=False)
    def page(request: Request[None, None, State]) -> Response[bytes]:
        return _answer(assets["index.html"], request)

    @get("/api/v1/docs", sync_to_thread=False, include_in_schema=False)
    def docs(request: Request[None, None, State]) -> Response[bytes]:
        return _answer(assets["docs.html"], request)

    return [static, page, docs]


def _read(folder: Traversable, prefix: str) -> dict[str, _Asset]:
    found: dict[str, _Asset] = {}
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found |= _read(entry, f"{name}/")
        elif media_type := _TYPES.get(f".{entry.name.rpartition('.')[2]}"):
            body = entry.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            found[name] = _Asset(body=body, zipped=gzip.compress(body, mtime=0), media_type=media_type, etag=etag)
    return found


def _answer(asset: _Asset, request: Request[None, None, State]) -> Response[bytes]:
    """`no-cache` lets the browser keep a file and ask whether it is still the one: a new version is never half seen."""
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
    body = asset.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = asset.zipped
    return Response(body, headers=headers, media_type=asset.media_type)

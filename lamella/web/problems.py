"""Errors as RFC 9457 problems: what happened, why, what to do next."""

from __future__ import annotations

import logging
from http import HTTPStatus

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from line.errors import LamellaError, LinkError, MessageError, NotFoundError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

AnyRequest = Request[None, None, State]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not answered (RFC 9457)."""

    title: str
    status: int
    detail: str
    instance: str
    type: str = "about:blank"


def problem(request: AnyRequest, status: int, detail: str) -> Response[bytes]:
    """A problem as a response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, instance=request.url.path)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(msgspec.json.encode(body), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def of_lamella(request: AnyRequest, error: LamellaError) -> Response[bytes]:
    """An error of our own: not known 404, a wire that is down 503, an answer that makes no sense 502."""
    match error:
        case NotFoundError():
            status = HTTPStatus.NOT_FOUND
        case LinkError():
            status = HTTPStatus.SERVICE_UNAVAILABLE
        case MessageError():
            status = HTTPStatus.BAD_GATEWAY
        case _:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s %s: %s", request.method, request.url.path, error)
    return problem(request, status, str(error))


def of_http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """A refusal of the framework: a wrong parameter names the parameter."""
    detail = error.detail
    if isinstance(error.extra, list):
        reasons = [
            f"{item.get('key', '?')}: {item.get('message', '')}" for item in error.extra if isinstance(item, dict)
        ]
        detail = "; ".join(reasons) or detail
    return problem(request, error.status_code, detail)

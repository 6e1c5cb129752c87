"""The console's ASGI application: everything a browser or a script can reach."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import License

from lamella import __version__
from lamella.web.api import API_ROUTES
from lamella.web.assets import asset_routes
from lamella.web.guard import AsgiApp, Guard
from lamella.web.hub import Hub
from lamella.web.live import live
from lamella.web.outside import outside_bytes, outside_schema
from lamella.web.pictures import Pictures
from lamella.web.problems import of_http, of_lamella
from lamella.web.shapes import Alive, Readiness, names_of
from lamella.web.twin import Twin
from line.bus import Bus
from line.config import Site
from line.errors import LamellaError
from line.evidence import Evidence
from line.http import site_token
from line.model import LineModel
from line.service import rss_mb
from line.topics import Topics

_COMPRESSION = CompressionConfig(
    backend="gzip", gzip_compress_level=4, minimum_size=2_000, exclude=["^/static", "^/api/v1/pictures"]
)


class OutsideResponse(Response[Any]):
    """Answers in the outside form of our structs."""

    def render(self, content: Any, media_type: str, enc_hook: Any = None) -> bytes:
        return content if isinstance(content, bytes) else outside_bytes(content)


@get("/healthz", sync_to_thread=False, tags=["health"])
def healthz() -> Alive:
    """The console is alive."""
    return Alive()


@get("/readyz", sync_to_thread=False, tags=["health"])
def readyz(hub: NamedDependency[Hub]) -> Response[Readiness]:
    """Whether the console can answer; 503 with the reasons when it cannot."""
    reasons = hub.refusals()
    readiness = Readiness(ready=not reasons, reasons=reasons)
    return OutsideResponse(readiness, status_code=503 if reasons else 200)


@get("/metrics", sync_to_thread=False, media_type="text/plain; version=0.0.4", include_in_schema=False)
def metrics(hub: NamedDependency[Hub], bus: NamedDependency[Bus]) -> bytes:
    """Prometheus text."""
    rows = {
        "broker_connected": float(bus.connected.is_set()),
        "console_events_heard_total": hub.heard_count,
        "console_events_refused_total": hub.refused_count,
        "console_pages_open": hub.watchers_count,
        "resident_memory_bytes": rss_mb() * 1e6,
    }
    return "".join(f'lamella_{name}{{role="console"}} {value:g}\n' for name, value in sorted(rows.items())).encode()


@get("/api/v1/schema", sync_to_thread=False, include_in_schema=False, media_type="application/json")
def schema(request: Request[None, None, State]) -> bytes:
    """The OpenAPI 3.1 document of this interface."""
    document: bytes = request.app.state.schema
    return document


def _provided(value: object) -> Provide:
    def give() -> Any:
        return value

    return Provide(give, sync_to_thread=False)


def application(site: Site, line: LineModel, topics: Topics, bus: Bus, hub: Hub, twin: Twin) -> Guard:
    """The application of one console."""
    pictures = Pictures(Evidence(site.state_dir / "evidence"), hub.evidence_urls, site_token(site.state_dir))
    app = Litestar(
        route_handlers=[*API_ROUTES, *asset_routes(), healthz, readyz, metrics, live, schema],
        dependencies={
            name: _provided(value)
            for name, value in {
                "bus": bus,
                "hub": hub,
                "line_names": names_of(line),
                "pictures": pictures,
                "topics": topics,
                "twin": twin,
            }.items()
        },
        exception_handlers={LamellaError: of_lamella, HTTPException: of_http},
        response_class=OutsideResponse,
        compression_config=_COMPRESSION,
        openapi_config=OpenAPIConfig(
            title="Lamella console",
            version=__version__,
            description="The digital twin of one line: film, sheets, layers, cells, yield. Times are ISO 8601 UTC.",
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
            render_plugins=[],
            use_handler_docstrings=True,
        ),
        logging_config=None,
        request_max_body_size=64_000,
    )
    app.state.schema = msgspec.json.encode(outside_schema(app.openapi_schema.to_schema()))
    return Guard(cast(AsgiApp, app), site.console.host)

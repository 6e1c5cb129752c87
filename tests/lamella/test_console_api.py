"""The console over HTTP, on a real broker, with a twin and a plant that answer by script."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from lamella.console import URL_FILE, serve
from lamella.web.pictures import Pictures
from line import events
from line.commands import InjectFault, SetSpeed
from line.config import BrokerSettings, ConsoleSettings, Site
from line.errors import ConflictError, LinkError, NotFoundError
from line.evidence import Evidence
from line.http import serve_http, site_token
from line.service import Service
from tests.conftest import free_port
from tests.lamella.canned import CELL, KILLER, NOW_NS, ROLL, evidence_png
from tests.lamella.rig import Rig, running_console

PATHS = {
    "/api/v1/line": "LineView",
    "/api/v1/names": "LineNames",
    "/api/v1/rolls": "RollsView",
    f"/api/v1/rolls/{ROLL}": "RollView",
    f"/api/v1/rolls/{ROLL}/cells?from_um=0&to_um=20000000&lane=1": "CellsOfView",
    "/api/v1/cells": "CellsView",
    f"/api/v1/cells/{CELL}": "CellView",
    "/api/v1/yield": "YieldView",
    f"/api/v1/defects/{quote(KILLER, safe='')}": "DefectView",
    f"/api/v1/trends/S03.WebSpeed?from_ns={NOW_NS}&to_ns={NOW_NS + 60_000_000_000}": "TrendView",
}


@pytest.fixture
async def rig(site: Site, broker: BrokerSettings) -> AsyncIterator[Rig]:
    async with running_console(site) as found:
        yield found


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rig.url, timeout=10, trust_env=False) as found:
        yield found


async def test_every_question_is_answered_as_the_schema_says(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/api/v1/schema")).json()["components"]["schemas"]
    for path, name in PATHS.items():
        response = await client.get(path)
        assert response.status_code == 200, f"{path}: {response.text}"
        check(response.json(), {"$ref": f"#/components/schemas/{name}"}, schemas, path)


def check(value: Any, schema: dict[str, Any], schemas: dict[str, Any], place: str) -> None:
    """Every object has exactly the fields that its schema names, and every number fits a browser."""
    if isinstance(value, int):
        assert abs(value) < 2**53, f"{place} is {value}"
    if "$ref" in schema:
        check(value, schemas[schema["$ref"].split("/")[-1]], schemas, place)
    elif many := schema.get("oneOf"):
        chosen: dict[str, Any] = next((each for each in many if ("$ref" in each) == isinstance(value, dict)), {})
        check(value, chosen, schemas, place)
    elif isinstance(value, dict) and "properties" in schema:
        assert value.keys() == schema["properties"].keys(), place
        for name, item in value.items():
            check(item, schema["properties"][name], schemas, f"{place}.{name}")
    elif isinstance(value, list):
        for item in value:
            check(item, schema.get("items", {}), schemas, place)
    elif schema.get("format") == "date-time" and value is not None:
        assert value.endswith("Z"), f"{place} is {value}"


async def test_cameras_patterns_and_profiles_have_names_units_and_limits(rig: Rig, client: httpx.AsyncClient) -> None:
    camera = (await client.get("/api/v1/line")).json()["cameras"][0]
    assert camera["valid_until"] == "2026-11-24T14:00:00.123Z"
    assert camera["measures"] == [
        {"quantity": "lamp", "channel": "BF", "value": 0.74, "uncertainty": 0.01, "low": 0.8, "high": 1.2, "unit": "1"}
    ]
    roll = (await client.get(f"/api/v1/rolls/{ROLL}")).json()
    assert [row["pattern"] for row in roll["patterns"]] == ["repeat-1", "rate-1", "cluster-1"]
    assert len(roll["profiles"]) == len(roll["gauge_mass_fraction"]) == 54
    assert roll["gauge_mass_fraction"][:2] == [None, None]
    names = (await client.get("/api/v1/names")).json()
    assert names["film_mass_g_per_m2"] == rig.line.model.product().film_areal_mass_g_per_m2
    limits = ("film_mean_limit_fraction", "film_spot_limit_fraction", "edge_bead_limit_fraction")
    assert [names[each] for each in limits] == [0.03, 0.05, 0.08]
    assert {row["code"]: row["seen_after"] for row in names["defects"]}["BLI"] == "lamination"


async def test_the_schema_is_openapi_3_1_and_names_no_nanoseconds(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/schema")).json()
    assert document["openapi"].startswith("3.1")
    fields = {field for each in document["components"]["schemas"].values() for field in each.get("properties", {})}
    assert not {field for field in fields if field.endswith("_ns")}
    missing = [
        path for path, methods in document["paths"].items() for each in methods.values() if not each["description"]
    ]
    assert missing == []


async def test_an_unknown_roll_cell_or_defect_is_a_problem_404_that_names_it(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/rolls/NOPE", "/api/v1/cells/NOPE", "/api/v1/defects/NOPE"):
        response = await client.get(path)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
        assert "'NOPE' is not known" in response.json()["detail"]
        assert response.json()["instance"] == path


async def test_a_wrong_parameter_is_a_problem_400_that_names_the_parameter(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/rolls?limit=many", f"/api/v1/rolls/{ROLL}/cells?from_um=-1&to_um=5"):
        response = await client.get(path)
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"
        assert path.partition("?")[2].partition("=")[0] in response.json()["detail"]


async def test_a_silent_twin_is_a_problem_503_and_makes_the_console_not_ready(
    rig: Rig, client: httpx.AsyncClient
) -> None:
    assert (await client.get("/readyz")).json() == {"ready": True, "reasons": []}
    rig.talking.clear()
    response = await client.get("/api/v1/line")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert "no answer within 5 s" in response.json()["detail"]
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert "twin silent" in ready.json()["reasons"][0]
    assert (await client.get("/healthz")).json() == {"status": "alive"}
    rig.talking.set()


async def test_orders_reach_the_plant_once_with_an_expiry(rig: Rig, client: httpx.AsyncClient) -> None:
    speed = await client.post("/api/v1/plant/speed", json={"speed": 60})
    fault = await client.post("/api/v1/plant/faults", json={"scenario": "F01", "strength": 2})
    assert speed.json() == fault.json() == {"ok": True, "detail": ""}
    first, second = rig.orders
    assert isinstance(first, SetSpeed) and first.speed == 60
    assert isinstance(second, InjectFault) and (second.scenario, second.strength) == ("F01", 2.0)
    assert time.time_ns() < first.expires_ns < time.time_ns() + 10_000_000_000
    assert first.id != second.id


async def test_an_order_that_the_plant_refuses_says_why(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/v1/plant/faults", json={"scenario": "X99"})
    assert response.json() == {"ok": False, "detail": "no such scenario"}


async def test_an_impossible_speed_is_refused_before_anybody_is_asked(rig: Rig, client: httpx.AsyncClient) -> None:
    response = await client.post("/api/v1/plant/speed", json={"speed": 6000})
    assert response.status_code == 400
    assert "speed" in response.json()["detail"]
    assert rig.orders == []


async def test_another_page_in_the_browser_may_not_give_orders(rig: Rig, client: httpx.AsyncClient) -> None:
    foreign = {"Origin": "https://evil.example"}
    response = await client.post("/api/v1/plant/speed", json={"speed": 1}, headers=foreign)
    assert response.status_code == 403
    assert "evil.example" in response.json()["detail"]
    rebound = await client.get("/api/v1/line", headers={"Host": "evil.example"})
    assert rebound.status_code == 403
    own = await client.post("/api/v1/plant/speed", json={"speed": 1}, headers={"Origin": rig.url})
    assert own.status_code == 200
    assert len(rig.orders) == 1


async def test_pages_may_load_from_the_console_alone(client: httpx.AsyncClient) -> None:
    for path in ("/", "/rolls", f"/rolls/{ROLL}?from=1", "/cells", f"/cells/{CELL}", "/yield", "/api/v1/docs"):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "<script>" not in response.text and "http" not in response.text


async def test_a_file_that_the_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/static/js/main.js")
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.headers["content-encoding"] == "gzip"
    again = await client.get("/static/js/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    assert (await client.get("/static/../console.py")).status_code == 404
    assert (await client.get("/static/js/nothing.js")).status_code == 404


async def test_a_picture_of_this_box_comes_by_digest_and_may_be_kept_for_ever(client: httpx.AsyncClient) -> None:
    png = evidence_png()
    response = await client.get(f"/api/v1/pictures/{hashlib.sha256(png).hexdigest()}")
    assert response.content == png
    assert response.headers["content-type"] == "image/png"
    assert "immutable" in response.headers["cache-control"]
    for digest in ("0" * 64, "nonsense"):
        assert (await client.get(f"/api/v1/pictures/{digest}")).status_code == 404


async def test_a_picture_of_another_box_is_fetched_with_the_token_and_checked(site: Site, tmp_path: Path) -> None:
    there = Evidence(site.state_dir / "evidence")
    digest = there.put(evidence_png())
    service = Service.__new__(Service)
    service.site = site
    token = site_token(site.state_dir)
    async with serve_http(service) as url:
        found = Pictures(Evidence(tmp_path / "here"), lambda: [url], token)
        assert await found.png(digest) == evidence_png()
        with pytest.raises(NotFoundError, match="not kept any more"):
            await found.png("1" * 64)
        with pytest.raises(NotFoundError):
            await Pictures(Evidence(tmp_path / "here"), lambda: [url], "wrong token").png(digest)
        (site.state_dir / "evidence" / digest[:2] / f"{digest}.png").write_bytes(b"altered")
        with pytest.raises(NotFoundError):
            await found.png(digest)
    with pytest.raises(LinkError, match="no answer from"):
        await found.png(digest)


async def test_the_console_says_where_it_is_and_that_it_went(site: Site, broker: BrokerSettings) -> None:
    async with running_console(site) as rig:
        rig.bus.subscribe(rig.topics.every(events.ServiceState))
        async with asyncio.timeout(5):
            state = await console_state(rig)
            assert (state.role, state.state, state.url) == ("console", "online", rig.url)
        address = site.state_dir / URL_FILE
        assert address.read_text().strip() == rig.url
        rig.stop()
        async with asyncio.timeout(5):
            assert (await console_state(rig)).state == "offline"
        await rig.stopped()
        assert not address.exists()


async def console_state(rig: Rig) -> events.ServiceState:
    while True:
        for message in await rig.bus.heard():
            rig.bus.acknowledge(message)
            state = events.decoded(message.payload)
            if isinstance(state, events.ServiceState) and state.role == "console":
                return state


async def test_a_port_that_is_taken_is_named(site: Site, broker: BrokerSettings) -> None:
    port = free_port()
    taken = msgspec.structs.replace(site, console=ConsoleSettings(port=port))
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", port)
    async with server:
        with pytest.raises(ConflictError, match=f"console.port: 127.0.0.1:{port} is in use"):
            await serve(taken)


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text
    assert 'lamella_broker_connected{role="console"} 1' in text
    assert 'lamella_console_pages_open{role="console"} 0' in text

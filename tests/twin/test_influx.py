"""Against a small server that speaks the documented HTTP interface of InfluxDB 2; not verified on a real one."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from line.config import TwinSettings
from line.errors import ConfigError, HistorianError
from line.events import TagSample
from twin.influx import line_protocol, open_influx

HEADER = "#datatype,string,long,long,double\r\n#group,false,false,false,false\r\n#default,_result,,,\r\n"
LATEST = (
    "#datatype,string,long,long,string,string,double\r\n#group,false,false,false,false,false,false\r\n"
    "#default,_result,,,,,\r\n"
)


@dataclass
class Server:
    """What a server was sent, and what it answers."""

    url: str = ""
    writes: list[tuple[str, str, str]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    csv: str = ""
    status: int = 204


@pytest.fixture
def server() -> Iterator[Server]:
    known = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path.startswith("/api/v2/write"):
                known.writes.append((self.path, self.headers["Authorization"], body.decode()))
                self.send_response(known.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            known.queries.append(json.loads(body)["query"])
            self.send_response(200)
            self.send_header("Content-Type", "text/csv")
            self.send_header("Content-Length", str(len(known.csv.encode())))
            self.end_headers()
            self.wfile.write(known.csv.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        known.url = f"http://127.0.0.1:{http.server_address[1]}"
        yield known
        http.shutdown()
        thread.join()


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> TwinSettings:
    token = tmp_path / "token"
    token.write_text("secret\n")
    return TwinSettings(historian="influxdb", influx_url=server.url, influx_bucket="b", influx_token_file=str(token))


async def test_samples_are_sent_as_line_protocol_in_batches(server: Server, settings: TwinSettings) -> None:
    samples = [TagSample("S03.WebSpeed", 1.25, "good", i) for i in range(12_000)]
    async with open_influx(settings) as historian:
        await historian.write(samples)
    assert [body.count("\n") + 1 for _, _, body in server.writes] == [5_000, 5_000, 2_000]
    path, token, body = server.writes[0]
    assert "bucket=b" in path
    assert "org=lamella" in path
    assert "precision=ns" in path
    assert token == "Token secret"
    assert body.splitlines()[7] == "tag,station=S03,tag=S03.WebSpeed value=1.25,quality=0i 7"


def test_a_sample_without_a_value_keeps_its_quality_and_odd_names_are_escaped() -> None:
    assert (
        line_protocol(TagSample("S03.A b,c=d", None, "bad", 9)) == "tag,station=S03,tag=S03.A\\ b\\,c\\=d quality=2i 9"
    )


async def test_a_trend_is_asked_for_as_extremes_of_bins_and_keeps_nanoseconds(
    server: Server, settings: TwinSettings
) -> None:
    server.csv = (
        HEADER + ",result,table,at_ns,value\r\n,,0,1790000000000000007,2.5\r\n,,0,1790000000000000001,1.5\r\n\r\n"
    )
    async with open_influx(settings) as historian:
        trend = await historian.trend("S03.WebSpeed", 1_790_000_000_000_000_000, 1_790_000_001_000_000_000, 100)
    assert trend.times_ns == (1_790_000_000_000_000_001, 1_790_000_000_000_000_007)
    assert trend.values == (1.5, 2.5)
    (query,) = server.queries
    for part in (
        "window(every: 20000000ns) |> min()",
        "|> max()",
        'r.tag == "S03.WebSpeed"',
        "time(v: 1790000000000000000)",
    ):
        assert part in query


async def test_latest_values_are_read_back(server: Server, settings: TwinSettings) -> None:
    server.csv = LATEST + (
        ",result,table,at_ns,tag,field,number\r\n,,0,5,S03.A,value,1.5\r\n,,0,5,S03.A,quality,0\r\n"
        ",,0,9,S03.B,quality,2\r\n,,0,3,S03.B,value,7.5\r\n\r\n"
    )
    async with open_influx(settings) as historian:
        assert await historian.latest() == [TagSample("S03.A", 1.5, "good", 5), TagSample("S03.B", None, "bad", 9)]


async def test_a_refusal_is_an_error_that_names_the_server_and_the_reason(
    server: Server, settings: TwinSettings
) -> None:
    server.status = 401
    async with open_influx(settings) as historian:
        with pytest.raises(HistorianError, match=r"127\.0\.0\.1.*401"):
            await historian.write([TagSample("S03.WebSpeed", 1.0, "good", 1)])


async def test_a_server_that_is_away_is_an_error_and_no_sample_is_taken_as_written(settings: TwinSettings) -> None:
    away = TwinSettings(
        historian="influxdb", influx_url="http://127.0.0.1:9", influx_token_file=settings.influx_token_file
    )
    async with open_influx(away) as historian:
        with pytest.raises(HistorianError, match="does not answer"):
            await historian.write([TagSample("S03.WebSpeed", 1.0, "good", 1)])


async def test_a_token_file_that_is_missing_is_refused_by_name(server: Server, tmp_path: Path) -> None:
    wrong = TwinSettings(historian="influxdb", influx_url=server.url, influx_token_file=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"influx_token_file.*none"):
        async with open_influx(wrong):
            pass

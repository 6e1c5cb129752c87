"""The historian on an InfluxDB 2 server: line protocol in, Flux out. The one module that knows influxdb_client.

A sample is a point of measurement `tag` with tags `tag` and `station` and the fields `value` (absent where the PLC gave
none) and `quality`. Writes are synchronous and in batches, so that an error is the writer's to see; how long the server
keeps samples is the retention of the bucket. Checked against a server that follows the documented HTTP interface, not
yet on a real InfluxDB 2.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from line.config import TwinSettings
from line.errors import ConfigError, HistorianError
from line.events import Quality, TagSample
from twin.historian import Trend

_R = TypeVar("_R")

_BATCH = 5_000
_TIMEOUT_MS = 10_000
_QUALITIES: tuple[Quality, ...] = ("good", "uncertain", "bad")


class InfluxHistorian:
    """A historian on a server. Made by `open_influx`."""

    def __init__(self, client: InfluxDBClient, settings: TwinSettings) -> None:
        self._client = client
        self._bucket, self._org = settings.influx_bucket, settings.influx_org
        self._write_api = client.write_api(write_options=SYNCHRONOUS)
        self._query_api = client.query_api()

    async def write(self, samples: Sequence[TagSample]) -> None:
        lines = [line_protocol(sample) for sample in samples if sample.value is None or math.isfinite(sample.value)]
        for start in range(0, len(lines), _BATCH):
            await self._called(self._written, lines[start : start + _BATCH])

    async def trend(self, tag: str, from_ns: int, to_ns: int, points_count: int) -> Trend:
        rows = await self._called(self._rows, _trend_query(self._bucket, tag, from_ns, to_ns, points_count))
        points = sorted({(int(row["at_ns"]), float(row["value"])) for row in rows})
        return Trend(tuple(at_ns for at_ns, _ in points), tuple(value for _, value in points))

    async def latest(self) -> list[TagSample]:
        rows = await self._called(self._rows, _latest_query(self._bucket))
        qualities = {str(row["tag"]): row for row in rows if row["field"] == "quality"}
        values = {(str(row["tag"]), int(row["at_ns"])): float(row["number"]) for row in rows if row["field"] == "value"}
        return [
            TagSample(tag, values.get((tag, int(row["at_ns"]))), _QUALITIES[int(row["number"])], int(row["at_ns"]))
            for tag, row in sorted(qualities.items())
        ]

    async def mark(self, name: str) -> int:
        query = (
            f"from(bucket: {json.dumps(self._bucket)}) |> range(start: 0) "
            f'|> filter(fn: (r) => r._measurement == "mark" and r.name == {json.dumps(name)}) |> last() '
            "|> map(fn: (r) => ({position: r._value}))"
        )
        rows = await self._called(self._rows, query)
        return max((int(row["position"]) for row in rows), default=0)

    async def set_mark(self, name: str, position: int) -> None:
        # One point at one time, so that the later mark replaces the earlier.
        await self._called(self._written, [f"mark,name={_escaped(name)} position={position}i 1"])

    async def prune(self) -> int:
        return 0

    def _written(self, lines: list[str]) -> None:
        self._write_api.write(self._bucket, self._org, lines)

    def _rows(self, query: str) -> list[dict[str, str | float | int]]:
        tables = self._query_api.query(query, org=self._org)
        return [record.values for table in tables for record in table.records]

    async def _called(self, call: Callable[..., _R], *arguments: object) -> _R:
        try:
            return await asyncio.to_thread(call, *arguments)
        except ApiException as error:
            raise HistorianError(
                f"InfluxDB at {self._client.url} answers {error.status} {error.reason}; "
                "check bucket, organisation and token"
            ) from error
        except (HTTPError, OSError) as error:
            raise HistorianError(f"InfluxDB at {self._client.url} does not answer: {error}") from error


@asynccontextmanager
async def open_influx(settings: TwinSettings) -> AsyncIterator[InfluxHistorian]:
    """The historian on the server that the settings name; whether it answers shows at the first write.

    Raises:
        ConfigError: the token file cannot be read.
    """
    token = ""
    if settings.influx_token_file:
        try:
            token = Path(settings.influx_token_file).read_text().strip()
        except OSError as error:
            raise ConfigError(
                f"{error.filename}: cannot be read: {error.strerror}", key="twin.influx_token_file"
            ) from error
    client = InfluxDBClient(settings.influx_url, token, org=settings.influx_org, timeout=_TIMEOUT_MS)
    try:
        yield InfluxHistorian(client, settings)
    finally:
        await asyncio.to_thread(client.close)


def line_protocol(sample: TagSample) -> str:
    """A sample as a line of InfluxDB's line protocol."""
    fields = f"quality={_QUALITIES.index(sample.quality)}i"
    if sample.value is not None:
        fields = f"value={sample.value!r},{fields}"
    station = _escaped(sample.tag.partition(".")[0])
    return f"tag,station={station},tag={_escaped(sample.tag)} {fields} {sample.source_ns}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,").replace(" ", "\\ ").replace("=", "\\=")


def _trend_query(bucket: str, tag: str, from_ns: int, to_ns: int, points_count: int) -> str:
    width_ns = max(1, (to_ns - from_ns) // max(1, points_count // 2))
    return (
        f"data = from(bucket: {json.dumps(bucket)}) |> range(start: time(v: {from_ns}), stop: time(v: {to_ns})) "
        f'|> filter(fn: (r) => r._measurement == "tag" and r.tag == {json.dumps(tag)} and r._field == "value")\n'
        f"low = data |> window(every: {width_ns}ns) |> min()\n"
        f"high = data |> window(every: {width_ns}ns) |> max()\n"
        'union(tables: [low, high]) |> group() |> sort(columns: ["_time"]) '
        "|> map(fn: (r) => ({at_ns: int(v: r._time), value: r._value}))"
    )


def _latest_query(bucket: str) -> str:
    return (
        f"from(bucket: {json.dumps(bucket)}) |> range(start: -60d) "
        '|> filter(fn: (r) => r._measurement == "tag") |> last() |> group() '
        "|> map(fn: (r) => ({at_ns: int(v: r._time), tag: r.tag, field: r._field, number: float(v: r._value)}))"
    )

"""Writes through influxdb-client to a real time-series server: victoria-metrics takes InfluxDB's line protocol."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from line.config import TwinSettings
from line.events import TagSample
from twin.influx import open_influx


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("victoria-metrics")
    if program is None:
        message = "victoria-metrics is absent: install Debian's package victoria-metrics"
        if os.environ.get("LAMELLA_REQUIRE_SERVERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [program, f"-httpListenAddr={address}", f"-storageDataPath={tmp_path / 'data'}", "-loggerLevel=ERROR"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://{address}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://{address}"
        process.terminate()


async def test_samples_arrive_with_tag_station_and_time(victoria: str) -> None:
    now_ns = time.time_ns() // 1_000_000_000 * 1_000_000_000
    samples = [
        TagSample("S03.WebSpeed", 1.02, "good", now_ns - 5_000_000_000),
        TagSample("S03.WebSpeed", 1.03, "good", now_ns),
        TagSample("S04.Zone1Temp", 45.5, "uncertain", now_ns),
    ]
    async with open_influx(TwinSettings(historian="influxdb", influx_url=victoria)) as historian:
        await historian.write(samples)

    def found() -> list[tuple[str, str, float]]:
        query = urllib.parse.urlencode({"match[]": '{__name__=~"tag_value"}'})
        with urllib.request.urlopen(f"{victoria}/api/v1/export?{query}", timeout=5) as answer:
            rows = [json.loads(text) for text in answer.read().splitlines()]
        return [
            (row["metric"]["tag"], row["metric"]["station"], value)
            for row in rows
            for value, _ in zip(row["values"], row["timestamps"], strict=True)
        ]

    async with asyncio.timeout(20):
        while len(await asyncio.to_thread(found)) < len(samples):  # noqa: ASYNC110 - the server makes samples visible later
            await asyncio.sleep(0.5)
    assert sorted(await asyncio.to_thread(found)) == [
        ("S03.WebSpeed", "S03", 1.02),
        ("S03.WebSpeed", "S03", 1.03),
        ("S04.Zone1Temp", "S04", 45.5),
    ]

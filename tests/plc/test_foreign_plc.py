"""A third-party PLC through a tag map: node-opcua with names and units of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from line.config import BrokerSettings, Site
from line.events import LinkState, TagBatch
from line.service import open_service
from plc.service import serve

MAP = """
namespace = "urn:maker:coater"
[[tags]]
tag = "S03.WebSpeed"
node = "s=Coater.LineSpeed"
scale = 60.0
[[tags]]
tag = "S03.DieTemp"
node = "s=Coater.DieTempF"
scale = 0.5555555555555556
offset = -17.777777777777779
[[tags]]
tag = "S03.CoatGap"
node = "s=Coater.NotThere"
"""


@pytest.fixture
async def node_plc(port: int) -> AsyncIterator[int]:
    modules = Path(os.environ.get("LAMELLA_NODE_MODULES", "nowhere"))
    node = shutil.which("node")
    if node is None or not (modules / "node-opcua").is_dir():
        message = "node-opcua is absent: npm install node-opcua, and set LAMELLA_NODE_MODULES to its node_modules"
        if os.environ.get("LAMELLA_REQUIRE_SERVERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    program = str(Path(__file__).parent / "node_plc.js")
    environment = {**os.environ, "NODE_PATH": str(modules)}
    process = await asyncio.create_subprocess_exec(
        node, "--no-warnings", program, str(port),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while await process.stdout.readline() != b"up\n":
            assert process.returncode is None
    yield port
    process.kill()
    await process.wait()


async def test_tags_of_a_foreign_plc_arrive_in_our_units_and_a_missing_node_does_not_stop_them(
    site: Site, broker: BrokerSettings, node_plc: int, tmp_path: Path
) -> None:
    file = tmp_path / "map.toml"
    file.write_text(MAP)
    replace = msgspec.structs.replace
    foreign = replace(
        site,
        plc=replace(site.plc, endpoint=f"opc.tcp://127.0.0.1:{node_plc}/maker", publish_ms=100),
        line=replace(site.line, tag_map=str(file)),
    )
    values: dict[str, float] = {}
    link: LinkState | None = None
    async with asyncio.timeout(40), open_service("twin", site) as twin:
        twin.hear()
        task = asyncio.create_task(serve(foreign))
        async for event in twin.heard():
            if isinstance(event, TagBatch):
                values |= {sample.tag: sample.value for sample in event.samples if sample.value is not None}
                assert not event.simulated
            elif isinstance(event, LinkState):
                link = event
            if link is not None and {"S03.WebSpeed", "S03.DieTemp"} <= values.keys():
                break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert link is not None
    assert values["S03.WebSpeed"] == pytest.approx(1.0, abs=1e-3)
    assert values["S03.DieTemp"] == pytest.approx(25.0, abs=1e-6)
    assert (link.state, link.wanted_count, link.live_count) == ("up", 3, 2)
    assert "S03.CoatGap" in link.detail

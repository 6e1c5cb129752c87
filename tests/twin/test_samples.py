from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from line.config import Site, TwinSettings
from line.events import TagSample
from line.model import LineModel
from line.service import Service, open_service
from twin import samples
from twin.historian import open_embedded
from twin.influx import open_influx
from twin.samples import SampleKeeper
from twin.state import LineState

TAG = "S03.PumpPressure"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second and ten waiting samples are enough for a test."""
    for name, value in (("FLUSH_S", 0.02), ("_RETRY_S", 0.02), ("_MOST_WAITING", 10)):
        monkeypatch.setattr(samples, name, value)


def made(count: int) -> tuple[TagSample, ...]:
    return tuple(TagSample(TAG, float(number), "good", number) for number in range(count))


async def kept(keeper: SampleKeeper, service: Service, counter: str, wanted: int) -> None:
    """Run the keeper's loop until a counter has come so far."""
    task = asyncio.create_task(keeper.keep())
    try:
        async with asyncio.timeout(20):
            while True:
                if service.counters.get(counter, 0) >= wanted:
                    return
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_when_the_historian_is_away_the_newest_samples_wait_and_the_others_are_counted(
    site: Site, line: LineModel
) -> None:
    away = TwinSettings(historian="influxdb", influx_url="http://127.0.0.1:9")
    async with open_service("twin", site) as service, open_influx(away) as historian:
        keeper = SampleKeeper(service, historian, LineState(line))
        keeper.take(made(15))
        await kept(keeper, service, "historian_errors_total", 2)
        assert service.counters["historian_samples_lost_total"] == 5
        assert "historian_samples_total" not in service.counters


async def test_what_was_written_is_recalled_as_the_latest_value_of_its_tag(
    site: Site, line: LineModel, tmp_path: Path
) -> None:
    state = LineState(line)
    async with open_service("twin", site) as service, open_embedded(tmp_path / "tags.sqlite") as historian:
        keeper = SampleKeeper(service, historian, state)
        keeper.take(made(7))
        await kept(keeper, service, "historian_samples_total", 7)
        await keeper.recall()
    assert state.tags[TAG] == made(7)[-1]

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import replace

from line import events, queries
from line.bus import Bus, connect
from line.config import BrokerSettings, Site, TwinSettings
from line.errors import DeadlineError, JournalError, MessageError
from line.events import (
    AnyEvent,
    CellPredicted,
    Heartbeat,
    RollStarted,
    ServiceState,
    TagBatch,
    TagSample,
    YieldForecast,
)
from line.journal import Entry, write_past
from line.model import LineModel
from line.topics import Topics, topics_of
from twin import samples
from twin import service as twin_service
from twin.service import serve

if TYPE_CHECKING:
    from tests.twin.conftest import LineMaker

TAG = "S03.PumpPressure"


@pytest.fixture
def topics(line: LineModel) -> Topics:
    return topics_of(line, "lamella")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of a second are for a line; a test need not wait for them."""
    for module, name in ((twin_service, "_ROUND_S"), (twin_service, "_FORECAST_EVERY_S"), (samples, "FLUSH_S")):
        monkeypatch.setattr(module, name, 0.05)


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[None]:
    """The twin, running beside the test."""
    task = asyncio.create_task(serve(site), name="twin")
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def asked(bus: Bus, topics: Topics, question: object) -> queries.AnyAnswer:
    payload = question if isinstance(question, bytes) else msgspec.json.encode(question)
    given = await bus.ask(topics.question("twin", "ask"), payload, deadline_s=1.0)
    answer: queries.AnyAnswer = msgspec.json.decode(given, type=queries.AnyAnswer)
    return answer


async def until(
    bus: Bus, topics: Topics, question: queries.AnyQuestion, wanted: Callable[[queries.AnyAnswer], bool]
) -> queries.AnyAnswer:
    """Ask until the answer is as wanted; the test's time limit ends it otherwise."""
    while True:
        with contextlib.suppress(DeadlineError):
            answer = await asked(bus, topics, question)
            if wanted(answer):
                return answer
        await asyncio.sleep(0.05)


def past_of(path: Path, topics: Topics, heard: Iterable[AnyEvent]) -> Path:
    write_past(path, (Entry(row.id, False, row.at_ns, topics.of(row), events.encoded(row)) for row in heard))
    return path


def pressures(maker: LineMaker, count: int) -> None:
    """Batches of one tag, a second apart."""
    for number in range(count):
        maker.say(TagBatch, station="S03", samples=(TagSample(TAG, 1.8 + number / 100, "good", maker.at_ns),))


async def test_the_past_is_folded_and_its_cells_metres_and_trends_are_answered(
    site: Site, broker: BrokerSettings, topics: Topics, small_past: list[AnyEvent], maker: LineMaker, tmp_path: Path
) -> None:
    pressures(maker, 50)
    past = past_of(tmp_path / "past.journal", topics, [*small_past, *maker.events])
    site = replace(site, twin=TwinSettings(past=str(past)))
    async with asyncio.timeout(30), running(site), connect(broker, "asker", lasting=False) as bus:
        line = await until(
            bus, topics, queries.AskLine(), lambda row: isinstance(row, queries.LineView) and row.forecast is not None
        )
        assert isinstance(line, queries.LineView)
        assert (line.cells_open_count, line.cells_tested_count) == (2, 2)
        assert line.fresh.simulated
        cell = await asked(bus, topics, queries.AskCell(unit="CE-2"))
        assert isinstance(cell, queries.CellView)
        assert cell.prediction is not None
        metres = await asked(bus, topics, queries.AskCellsOf(roll="FR-2", from_um=3_300_000, to_um=3_400_000))
        assert isinstance(metres, queries.CellsOfView)
        assert {row.cell for row in metres.units} == {"CE-1"}
        ask = queries.AskTrend(tag=TAG, from_ns=0, to_ns=2**62)
        trend = await until(
            bus, topics, ask, lambda row: isinstance(row, queries.TrendView) and len(row.times_ns) == 50
        )
        assert isinstance(trend, queries.TrendView)
        assert trend.unit == "bar"
        assert trend.values[-1] == pytest.approx(1.8 + 0.49)


async def test_a_question_nobody_knows_is_answered_with_the_reason(
    site: Site, broker: BrokerSettings, topics: Topics
) -> None:
    async with asyncio.timeout(30), running(site), connect(broker, "asker", lasting=False) as bus:
        await until(bus, topics, queries.AskLine(), lambda row: isinstance(row, queries.LineView))
        for payload in (b"not json", b'{"ask":"weather"}', b'{"ask":"cell"}', b'{"ask":"roll","roll":7}', b"\xff\xfe"):
            answer = await asked(bus, topics, payload)
            assert isinstance(answer, queries.Unknown)
            assert "not a question" in answer.detail
        trend = await asked(bus, topics, queries.AskTrend(tag="S99.Nothing", from_ns=0, to_ns=1))
        assert isinstance(trend, queries.Unknown)
        assert "S99.Nothing" in trend.detail


async def test_live_events_are_folded_predicted_and_remembered_over_a_restart(
    site: Site, broker: BrokerSettings, topics: Topics, small_past: list[AnyEvent], maker: LineMaker
) -> None:
    pressures(maker, 20)
    live = [replace(row, source="plc@test", seq=number) for number, row in enumerate([*small_past, *maker.events], 1)]
    said: list[AnyEvent] = []
    async with asyncio.timeout(60), connect(broker, "speaker", lasting=False) as bus:
        bus.subscribe(topics.every(CellPredicted))
        bus.subscribe(topics.every(YieldForecast))
        async with running(site):
            first = await until(bus, topics, queries.AskLine(), lambda row: isinstance(row, queries.LineView))
            assert first.fresh.revision <= 2
            for row in live:
                await bus.publish(topics.of(row), events.encoded(row))
            await until(
                bus, topics, queries.AskYield(),
                lambda row: isinstance(row, queries.YieldView) and row.forecast is not None and len(row.losses) == 4,
            )  # fmt: skip
            while not {"ST-2", "CE-2"} & {row.unit for row in said if isinstance(row, CellPredicted)}:
                for message in await bus.heard():
                    bus.acknowledge(message)
                    with contextlib.suppress(MessageError):
                        said.append(events.decoded(message.payload))
            beat = Heartbeat(
                at_ns=time.time_ns(), id="beat", source="plc@test", service="plc@test", loops=(), outbox_count=0,
                delivered_seq=len(live), rss_mb=1.0,
            )  # fmt: skip
            await bus.publish(topics.of(beat), events.encoded(beat))
            line = await until(bus, topics, queries.AskLine(), lambda row: row.fresh.lag_ms >= 0)
            assert line.fresh.lag_ms < 5_000
        async with running(site):
            again = await until(
                bus, topics, queries.AskLine(),
                lambda row: isinstance(row, queries.LineView) and row.cells_tested_count == 2,
            )  # fmt: skip
            assert isinstance(again, queries.LineView)
            assert again.forecast is not None
            assert again.fresh.revision >= len(live) - 20
            trend = await asked(bus, topics, queries.AskTrend(tag=TAG, from_ns=0, to_ns=2**62))
            assert isinstance(trend, queries.TrendView)
            assert len(trend.times_ns) == 20
    predicted = [row for row in said if isinstance(row, CellPredicted)]
    assert all(row.source == "twin@test" and 0 < row.p_pass < 1 for row in predicted)
    forecasts = [row for row in said if isinstance(row, YieldForecast)]
    assert forecasts
    assert all(row.low_fraction <= row.expected_fraction <= row.high_fraction for row in forecasts)


async def test_a_rolls_profiles_come_with_what_the_gauge_read_on_their_film(
    site: Site, broker: BrokerSettings, topics: Topics, maker: LineMaker, tmp_path: Path
) -> None:
    """Film runs at 1 m/min; the gauge reads 51 g/m2 on the first metre and 49 on the second, then falls silent."""
    maker.say(RollStarted, station="S03", roll="FR-1", web="film")
    began_ns = maker.at_ns
    for number, md_um in enumerate(range(0, 3_000_000, 250_000)):
        maker.at_ns = began_ns + (8_250_000 + md_um) * 60_000 - 1_000_000_000
        maker.strip("FR-1", md_um, md_um + 250_000, number)
    for md_um in (0, 1_000_000, 2_000_000):
        maker.profile("FR-1", md_um)
    under_ns = began_ns + 7_200_000 * 60_000
    samples = tuple(
        TagSample("S05.ArealMass", 51.0 if second < 60 else 49.0, "good", under_ns + second * 1_000_000_000)
        for second in range(120)
    )
    maker.say(TagBatch, station="S05", samples=samples)
    past = past_of(tmp_path / "past.journal", topics, maker.events)
    site = replace(site, twin=TwinSettings(past=str(past)))
    async with asyncio.timeout(30), running(site), connect(broker, "asker", lasting=False) as bus:
        view = await until(
            bus, topics, queries.AskRoll(roll="FR-1"),
            lambda row: isinstance(row, queries.RollView) and any(row.gauge_mass_fraction),
        )  # fmt: skip
        assert isinstance(view, queries.RollView)
        assert view.gauge_mass_fraction[2:] == (None,)
        assert view.gauge_mass_fraction[:2] == pytest.approx((1.02, 0.98))


async def test_the_twin_waits_for_its_past_and_says_so_meanwhile(
    site: Site, broker: BrokerSettings, topics: Topics, small_past: list[AnyEvent], tmp_path: Path
) -> None:
    past = tmp_path / "past.journal"
    site = replace(site, twin=TwinSettings(past=str(past)))
    async with asyncio.timeout(30), running(site), connect(broker, "asker", lasting=False) as bus:
        bus.subscribe(topics.every(ServiceState))
        url = ""
        while not url:
            for message in await bus.heard():
                event = events.decoded(message.payload)
                url = event.url if isinstance(event, ServiceState) and event.state == "online" else url
        await asyncio.sleep(0.3)
        assert "waiting for the past" in await asyncio.to_thread(_reasons, url)
        past_of(past, topics, small_past)
        line = await until(
            bus, topics, queries.AskLine(),
            lambda row: isinstance(row, queries.LineView) and row.cells_tested_count == 2,
        )  # fmt: skip
        assert isinstance(line, queries.LineView)
        assert line.cells_tested_count == 2


async def test_a_past_that_is_no_journal_ends_the_twin_with_its_name(
    site: Site, broker: BrokerSettings, tmp_path: Path
) -> None:
    past = tmp_path / "past.journal"
    past.write_text("something else, and long enough for a look at its header " * 20)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(20):
            await serve(replace(site, twin=TwinSettings(past=str(past))))
    assert any(isinstance(row, JournalError) and "past.journal" in str(row) for row in _leaves(caught.value))


def _reasons(url: str) -> str:
    try:
        with urllib.request.urlopen(url + "/readyz") as response:
            body = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            body = json.load(error)
    return ", ".join(body["reasons"])


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found

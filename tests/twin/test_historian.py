from __future__ import annotations

import math
from pathlib import Path

import pytest

from line.config import Site, TwinSettings
from line.errors import ConfigError, HistorianError
from line.events import TagSample
from twin.historian import DAY_NS, open_embedded, open_historian

TAG = "S03.PumpPressure"
SECOND_NS = 1_000_000_000


def wave(count: int, tag: str = TAG) -> list[TagSample]:
    """A sine with one spike at 500 s."""
    samples = [TagSample(tag, math.sin(i / 50), "good", i * SECOND_NS) for i in range(count)]
    samples[500] = TagSample(tag, 99.0, "uncertain", 500 * SECOND_NS)
    return samples


async def test_samples_come_back_in_order_and_once(tmp_path: Path) -> None:
    samples = wave(1_000)
    async with open_embedded(tmp_path / "tags.sqlite") as historian:
        await historian.write(samples[500:])
        await historian.write(samples[:600])
        trend = await historian.trend(TAG, 10 * SECOND_NS, 700 * SECOND_NS, 5_000)
    assert trend.times_ns == tuple(i * SECOND_NS for i in range(10, 700))
    assert trend.values == tuple(row.value for row in samples[10:700])


async def test_thinned_history_keeps_the_extremes_of_every_bin(tmp_path: Path) -> None:
    samples = wave(20_000)
    async with open_embedded(tmp_path / "tags.sqlite") as historian:
        await historian.write(samples)
        trend = await historian.trend(TAG, 0, 10**15, 300)
    assert len(trend.times_ns) <= 300
    assert list(trend.times_ns) == sorted(trend.times_ns)
    assert max(value for value in trend.values if value is not None) == 99.0
    assert trend.times_ns[trend.values.index(99.0)] == 500 * SECOND_NS
    assert min(value for value in trend.values if value is not None) == pytest.approx(-1.0, abs=1e-3)
    known = {row.source_ns: row.value for row in samples}
    assert all(known[at_ns] == value for at_ns, value in zip(trend.times_ns, trend.values, strict=True))


async def test_a_gap_stays_a_gap_when_history_is_thinned(tmp_path: Path) -> None:
    samples = [
        TagSample(TAG, None if 4_000 <= i < 6_000 else 1.0, "bad" if 4_000 <= i < 6_000 else "good", i)
        for i in range(10_000)
    ]
    async with open_embedded(tmp_path / "tags.sqlite") as historian:
        await historian.write(samples)
        trend = await historian.trend(TAG, 0, 10_000, 100)
    gaps = [at_ns for at_ns, value in zip(trend.times_ns, trend.values, strict=True) if value is None]
    assert min(gaps) == pytest.approx(4_000, abs=1)
    assert 5 <= len(gaps) <= 10


async def test_latest_values_and_marks_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "tags.sqlite"
    async with open_embedded(path) as historian:
        await historian.write([*wave(700), TagSample("S04.Zone1Temp", None, "bad", 5)])
        await historian.write([TagSample(TAG, -7.0, "good", 3)])
        await historian.set_mark("past", 12)
    async with open_embedded(path) as historian:
        assert await historian.latest() == [wave(700)[-1], TagSample("S04.Zone1Temp", None, "bad", 5)]
        assert (await historian.mark("past"), await historian.mark("other")) == (12, 0)


async def test_what_is_too_old_goes(tmp_path: Path) -> None:
    async with open_embedded(tmp_path / "tags.sqlite", keep_days=2) as historian:
        await historian.write([TagSample(TAG, 1.0, "good", i * DAY_NS) for i in range(10)])
        assert await historian.prune() == 7
        trend = await historian.trend(TAG, 0, 10**18, 100)
    assert [at_ns // DAY_NS for at_ns in trend.times_ns] == [7, 8, 9]


async def test_a_store_that_is_too_large_loses_its_oldest(tmp_path: Path) -> None:
    async with open_embedded(tmp_path / "tags.sqlite", most_bytes=300_000) as historian:
        for tag in ("S03.A", "S03.B"):
            await historian.write([TagSample(tag, 1.0, "good", i * SECOND_NS) for i in range(10_000)])
        assert await historian.prune() > 0
        trend = await historian.trend("S03.A", 0, 10**18, 20_000)
        assert 0 < len(trend.times_ns) < 10_000
        assert trend.times_ns[-1] == 9_999 * SECOND_NS
        assert await historian.prune() == 0


async def test_a_tag_nobody_wrote_has_an_empty_history(tmp_path: Path) -> None:
    async with open_embedded(tmp_path / "tags.sqlite") as historian:
        assert (await historian.trend("S99.Nothing", 0, 10, 10)).times_ns == ()


async def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "tags.sqlite"
    path.write_text("not a database, and long enough to be seen as such " * 10)
    with pytest.raises(HistorianError, match=r"tags\.sqlite"):
        async with open_embedded(path):
            pass


async def test_influx_without_an_address_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match=r"twin\.influx_url"):
        async with open_historian(Site(twin=TwinSettings(historian="influxdb"))):
            pass

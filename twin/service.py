"""The twin's life: fold the past, hear the line, answer questions, say what it thinks.

The fold is a join, so nothing waits for anything: live events are folded while the past is still being read, and the
past is read in slices that leave the loop free.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import msgspec
from msgspec.structs import replace

from line import events
from line.bundle import MANIFEST_FILE, DetectionCurve, open_bundle
from line.config import Site
from line.errors import BundleError, ConfigError, HistorianError, MessageError
from line.events import AnyEvent, Event, Heartbeat, TagBatch, YieldForecast
from line.film_models import film_model
from line.film_sources import source_settings
from line.foreign_lists import NEVER_FOUND, foreign_lists
from line.journal import Entry, last_position, read_entries
from line.model import LineModel
from line.queries import AnyAnswer, AnyQuestion, AskTrend, Freshness, RollView, TrendView, Unknown
from line.service import Service, open_service
from twin.answers import answer
from twin.book import YieldBook
from twin.forecasts import Forecaster
from twin.gauge import READINGS_MOST, passings_of
from twin.genealogy import Genealogy
from twin.historian import Historian, open_historian
from twin.samples import SampleKeeper, is_tag_batch, slices
from twin.state import LineState
from twin.twin import Twin

log = logging.getLogger(__name__)

_UNITS_A_SLICE = 10
_ROUND_S = 1.0
"""How often the book is brought up to date."""
_FORECAST_EVERY_S = 3.0
_PREDICTIONS_A_ROUND = 50

_question_decoder = msgspec.json.Decoder(AnyQuestion)
_encoder = msgspec.json.Encoder()


async def serve(site: Site) -> None:
    """The twin, until cancelled."""
    async with (
        open_service("twin", site) as service,
        open_historian(site) as historian,
        asyncio.TaskGroup() as group,
    ):
        host = TwinHost(service, historian)
        await host.samples.recall()
        service.hear()
        service.bus.answer(service.topics.question("twin", "ask"), host.reply)
        group.create_task(host.hear())
        group.create_task(host.samples.keep())
        group.create_task(host.remember())
        group.create_task(host.think())


class TwinHost:
    """The pure twin between its journal, the bus and the historian."""

    def __init__(self, service: Service, historian: Historian) -> None:
        self._service = service
        self._historian = historian
        line = service.line
        self.state = LineState(line)
        genealogy = Genealogy(self.state)
        book = YieldBook(line, self.state, genealogy, _detection(service.site, line))
        self.twin = Twin(
            line=line, state=self.state, genealogy=genealogy, book=book, forecaster=Forecaster(self.state, book)
        )
        self.samples = SampleKeeper(service, historian, self.state)
        self._heard_at = time.monotonic()
        self._lag_ms = -1.0
        self._born_ns = time.time_ns()
        self._said: YieldForecast | None = None
        service.ready = "folding the past"

    async def hear(self) -> None:
        """Fold what is heard, as it is heard."""
        async for batch in self._service.heard_batches():
            self._fold_live(batch)

    async def remember(self) -> None:
        """Fold the line's past and what was heard before this start; then write its tags to the historian."""
        own = self._service.journal.path
        heard_before = last_position(own)
        past = self._service.site.twin.past
        if past:
            await self._await_file(Path(past))
            await self._fold(Path(past), "the past", last_position(Path(past)))
        await self._fold(own, "what was heard before", heard_before)
        await self._bring_up_to_date("remember")
        self._said = max(
            (row for row in self.state.forecasts.values() if row.scope == "line"),
            key=lambda row: row.at_ns,
            default=None,
        )
        self._service.ready = ""
        log.info("twin ready: %d events, %d cells and stacks", self.state.revision, len(self.twin.book.features))
        for journal in ([Path(past)] if past else []) + [own]:
            await self.samples.store(journal)

    async def _bring_up_to_date(self, loop: str = "think") -> None:
        while left := self.twin.book.update(_UNITS_A_SLICE):
            if self._service.ready:
                self._service.ready = f"working out {left:,} cells"
            self._service.beat(loop)
            await asyncio.sleep(0)

    async def think(self) -> None:
        """Bring the book up to date, and say what has changed in it."""
        revision, said_at, forecast_due = -1, 0.0, False
        while True:
            await asyncio.sleep(_ROUND_S)
            self._service.beat("think")
            if self._service.ready:
                continue
            due: list[Event] = []
            if self.state.revision != revision:
                revision = self.state.revision
                await self._bring_up_to_date()
                due += self.twin.forecaster.predictions(_PREDICTIONS_A_ROUND)
                forecast_due = True
            more = len(due) == _PREDICTIONS_A_ROUND
            if forecast_due and time.monotonic() - said_at >= _FORECAST_EVERY_S:
                said_at, forecast_due = time.monotonic(), False
                due += self.twin.forecaster.due_forecasts(self._said)
                due += self.twin.forecaster.due_scores()
            if due:
                heard = self.state.revision
                await self._say(due)
                # What we said ourselves is no news, unless there was more to say or something was heard meanwhile.
                if not more and self.state.revision == heard + len(due):
                    revision = self.state.revision

    async def reply(self, payload: bytes) -> bytes:
        """Answer one question in JSON with one answer in JSON."""
        try:
            question = _question_decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            unknown = Unknown(
                fresh=self.fresh(0), detail=f"not a question the twin knows: {error}; it was {payload[:80]!r}"
            )
            return _encoder.encode(unknown)
        started = time.perf_counter()
        found = await self._found(question)
        self._service.count("questions_total")
        self._service.count("questions_seconds_total", time.perf_counter() - started)
        return _encoder.encode(found)

    def fresh(self, parts_count: int) -> Freshness:
        """How fresh an answer is that rests on so many parts."""
        return Freshness(
            revision=self.state.revision,
            at_ns=self.state.at_ns,
            age_s=time.monotonic() - self._heard_at,
            lag_ms=self._lag_ms,
            parts_count=parts_count,
            simulated=self.state.simulated,
        )

    async def _found(self, question: AnyQuestion) -> AnyAnswer:
        if isinstance(question, AskTrend):
            return await self._trend(question)
        found = answer(self.twin, question, self.fresh, self._said)
        return await self._gauged(found) if isinstance(found, RollView) and found.profiles else found

    async def _gauged(self, view: RollView) -> RollView:
        """A roll with what the areal-mass gauge read on the film of each profile."""
        roll, started = self.state.rolls[view.roll], self.state.started.get(view.roll)
        nothing = replace(view, gauge_mass_fraction=(None,) * len(view.profiles))
        passings = passings_of(self.twin.line, roll, started.at_ns if started else 0, view.profiles)
        if passings is None or passings.from_ns >= passings.to_ns:
            return nothing
        span = (passings.from_ns, passings.to_ns + 1)
        try:
            readings = await self._historian.trend(passings.tag, *span, READINGS_MOST)
        except HistorianError as error:
            log.warning("roll %s is shown without its gauge: %s", view.roll, error)
            return nothing
        nominal = self.twin.line.tag(passings.tag).nominal
        return replace(view, gauge_mass_fraction=passings.means(readings.times_ns, readings.values, nominal))

    async def _trend(self, question: AskTrend) -> AnyAnswer:
        tags = self.twin.line.all_tags()
        if question.tag not in tags:
            return Unknown(fresh=self.fresh(0), detail=f"tag {question.tag!r} is not a tag of {self.twin.line.name}")
        try:
            trend = await self._historian.trend(question.tag, question.from_ns, question.to_ns, question.points_count)
        except HistorianError as error:
            return Unknown(fresh=self.fresh(0), detail=f"tag {question.tag}: {error}")
        return TrendView(
            fresh=self.fresh(len(trend.times_ns)),
            tag=question.tag,
            unit=tags[question.tag].unit,
            times_ns=trend.times_ns,
            values=trend.values,
        )

    def _fold_live(self, batch: list[AnyEvent]) -> None:
        self._heard_at = time.monotonic()
        for event in batch:
            if isinstance(event, Heartbeat):
                self._note_lag(event)
                continue
            self.state.apply(event)
            if isinstance(event, TagBatch):
                self.samples.take(event.samples)
        self._service.counters["events_folded_total"] = self.state.revision

    def _note_lag(self, heartbeat: Heartbeat) -> None:
        """Of all events heartbeats alone carry the wall time of their emission, and they go the way of all others."""
        # The broker also has heartbeats of before.
        if heartbeat.at_ns >= self._born_ns:
            self._lag_ms = (time.time_ns() - heartbeat.at_ns) / 1e6

    async def _say(self, due: list[Event]) -> None:
        for event in await self._service.emit(*due):
            self.state.apply(event)
            if isinstance(event, YieldForecast) and event.scope == "line":
                self._said = event

    async def _await_file(self, path: Path) -> None:
        started, told = time.monotonic(), 0.0
        while not path.exists():
            waited = time.monotonic() - started
            growing = path.with_suffix(".tmp")
            size_mb = growing.stat().st_size / 1e6 if growing.exists() else 0.0
            self._service.ready = f"waiting for the past: {size_mb:.0f} MB written, {waited:.0f} s"
            if waited >= told:
                log.info("waiting for %s: %.0f MB written, %.0f s", path, size_mb, waited)
                told += 5
            self._service.beat("remember")
            await asyncio.sleep(0.2)

    async def _fold(self, path: Path, what: str, up_to: int) -> None:
        started = time.monotonic()
        for chunk in slices(read_entries(path, limit=up_to)):
            for entry in chunk:
                if not is_tag_batch(entry):
                    self._fold_entry(path, entry)
            self._service.ready = f"folding {what}, {chunk[-1].position:,} of {up_to:,} events"
            self._service.beat("remember")
            await asyncio.sleep(0)
        log.info("folded %s, %d events in %.2f s", what, up_to, time.monotonic() - started)

    def _fold_entry(self, path: Path, entry: Entry) -> None:
        try:
            self.state.apply(events.decoded(entry.payload))
        except MessageError as error:
            self._service.count("messages_refused_total")
            log.warning("%s: entry %d refused: %s", path, entry.position, error)


def _detection(site: Site, line: LineModel) -> dict[str, DetectionCurve]:
    """Measured detection curves of whoever looks at film, by class: the film model, or another maker's inspector.

    None where the model's bundle is not in reach. Where both look, the less sharp of their curves counts.
    """
    codes = tuple(row.code for row in line.defects)
    cameras = {row.id for row in line.film_cameras()}
    sources = [row for row in source_settings(site.vision.sources) if row.kind == "foreign" and row.camera in cameras]
    found = [_foreign_detection(Path(row.place), codes) for row in sources]
    own = cameras - {row.camera for row in sources}
    found += [_model_detection(site, camera) for camera in sorted(own)]
    return {
        code: max(curves, key=lambda curve: curve.a50_um)
        for code in codes
        if (curves := [row[code] for row in found if code in row])
    }


def _foreign_detection(mapping: Path, codes: tuple[str, ...]) -> dict[str, DetectionCurve]:
    try:
        return foreign_lists(mapping, codes)[0].curves(codes)
    except ConfigError as error:
        log.warning("a foreign inspector counts as finding nothing: %s", error)
        return dict.fromkeys(codes, NEVER_FOUND)


def _model_detection(site: Site, camera: str) -> dict[str, DetectionCurve]:
    try:
        name = film_model(site.vision, camera)
    except ConfigError as error:
        log.warning("published detection curves are used: %s", error)
        return {}
    for path in (Path(name), site.state_dir / "bundles" / name):
        if (path / MANIFEST_FILE).is_file():
            try:
                return open_bundle(path).standing_detection
            except BundleError as error:
                log.warning("published detection curves are used: %s", error)
                return {}
    return {}

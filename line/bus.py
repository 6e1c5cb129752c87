"""MQTT 5 over paho: the one module that knows it, and one of the three thread seams.

A message heard is acknowledged to the broker only when the caller says so (after journaling it). A message published
is done when the broker has acknowledged it. Sessions persist at the broker while a service restarts. A broker that is
away is not an error: paho reconnects with growing delay, and what was published waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
from msgspec import Struct
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from line.config import BrokerSettings
from line.errors import BrokerError, ConfigError, DeadlineError, LamellaError

log = logging.getLogger(__name__)

UNACKNOWLEDGED_LIMIT = 100
"""Messages in flight each way (MQTT 5 Receive Maximum); it also bounds our queue of heard ones."""
_SESSION_EXPIRY_S = 7 * 24 * 3600

Handler = Callable[[bytes], Awaitable[bytes]]


class Message(Struct, frozen=True):
    """Something heard. Acknowledge it with `Bus.acknowledge` once it is safe."""

    topic: str
    payload: bytes
    retained: bool
    receipt: int


class _Receipts:
    """Acknowledges messages in the order they came, whenever each becomes safe.

    MQTT wants that order [MQTT-4.6.0-2]; a broker (rumqttd) hangs up on a client that acknowledges an answer before an
    older event. Receipts are our own numbers: packet identifiers are used again after a reconnect.
    """

    def __init__(self, client: mqtt.Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[int, bool]] = {}
        self._count = 0

    def arrived(self, mid: int) -> int:
        with self._lock:
            self._count += 1
            self._waiting[self._count] = (mid, False)
            return self._count

    def safe(self, receipt: int) -> None:
        """Acknowledge this one as soon as all older ones are. One of an earlier connection comes again by itself."""
        with self._lock:
            if receipt not in self._waiting:
                return
            self._waiting[receipt] = (self._waiting[receipt][0], True)
            while self._waiting and (oldest := next(iter(self._waiting.items())))[1][1]:
                del self._waiting[oldest[0]]
                self._client.ack(oldest[1][0], 1)

    def forget(self) -> None:
        """The connection ended: the broker sends again what it has no acknowledgement of."""
        with self._lock:
            self._waiting.clear()


class Bus:
    """A connection to the broker. Made by `connect`."""

    def __init__(self, client: mqtt.Client, client_id: str, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._receipts = _Receipts(client)
        self._loop = loop
        self._client_id = client_id
        self._heard: asyncio.Queue[Message] = asyncio.Queue(4 * UNACKNOWLEDGED_LIMIT)
        self._acknowledgements: dict[int, asyncio.Future[None]] = {}
        self._answers: dict[bytes, asyncio.Future[bytes]] = {}
        self._handlers: dict[str, Handler] = {}
        self._filters: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connected = asyncio.Event()
        self.refusal = ""
        """Why the broker refused us last, empty when it did not."""
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        self._filters.add(self._reply_topic)

    @property
    def _reply_topic(self) -> str:
        return f"lamella-reply/{self._client_id}"

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1; returns when the broker has acknowledged it, however long that takes."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc not in {mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_NO_CONN}:
            raise BrokerError(f"{topic}: paho refuses {len(payload)} bytes: {mqtt.error_string(info.rc)}")
        future = self._acknowledgements.setdefault(info.mid, self._loop.create_future())
        try:
            await future
        finally:
            self._acknowledgements.pop(info.mid, None)

    def subscribe(self, topic_filter: str) -> None:
        """Hear a filter from now on, and again after every reconnect."""
        self._filters.add(topic_filter)
        if self.connected.is_set():
            self._client.subscribe(topic_filter, qos=1)

    async def heard(self, most: int = UNACKNOWLEDGED_LIMIT) -> list[Message]:
        """Messages that arrived, at least one, at most `most`."""
        messages = [await self._heard.get()]
        while len(messages) < most and not self._heard.empty():
            messages.append(self._heard.get_nowait())
        return messages

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that a message is safe with us."""
        if message.receipt:
            self._receipts.safe(message.receipt)

    async def ask(self, topic: str, payload: bytes, *, deadline_s: float = 5.0) -> bytes:
        """Ask a question and return the answer.

        Raises:
            DeadlineError: nobody answered in time.
        """
        key = uuid.uuid4().bytes
        properties = _properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = self._reply_topic
        properties.CorrelationData = key
        properties.MessageExpiryInterval = max(1, round(deadline_s))
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._answers[key] = future
        self._client.publish(topic, payload, qos=1, properties=properties)
        try:
            return await asyncio.wait_for(future, deadline_s)
        except TimeoutError as error:
            raise DeadlineError(f"{topic}: no answer within {deadline_s:g} s; is the service running?") from error
        finally:
            self._answers.pop(key, None)

    def answer(self, topic: str, handler: Handler) -> None:
        """Answer questions on a topic with what `handler` returns."""
        self._handlers[topic] = handler
        self.subscribe(topic)

    def _on_connect(
        self, _client: mqtt.Client, _data: object, _flags: mqtt.ConnectFlags, code: ReasonCode, _properties: object
    ) -> None:
        if code.is_failure:
            self.refusal = str(code)
            log.warning("%s: broker refuses the connection: %s", self._client_id, code)
            return
        self._soon(self._connected)
        log.info("%s: connected to the broker", self._client_id)

    def _connected(self) -> None:
        """In the loop, so that a filter added meanwhile is not missed."""
        self.refusal = ""
        for topic_filter in sorted(self._filters):
            self._client.subscribe(topic_filter, qos=1)
        self.connected.set()

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: mqtt.DisconnectFlags, code: ReasonCode, _properties: object
    ) -> None:
        self._receipts.forget()
        self._soon(self.connected.clear)
        log.info("%s: disconnected from the broker: %s", self._client_id, code)

    def _on_publish(
        self, _client: mqtt.Client, _data: object, mid: int, _code: ReasonCode, _properties: object
    ) -> None:
        self._soon(self._acknowledged, mid)

    def _acknowledged(self, mid: int) -> None:
        future = self._acknowledgements.get(mid)
        if future is not None and not future.done():
            future.set_result(None)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        correlation = getattr(properties, "CorrelationData", b"")
        receipt = self._receipts.arrived(message.mid) if message.qos else 0
        if message.topic == self._reply_topic:
            self._receipts.safe(receipt)
            self._soon(self._answered, correlation, message.payload)
        elif message.topic in self._handlers:
            self._receipts.safe(receipt)
            reply_to = getattr(properties, "ResponseTopic", "")
            self._soon(self._handle, message.topic, message.payload, reply_to, correlation)
        else:
            self._soon(self._queue, Message(message.topic, bytes(message.payload), message.retain, receipt))

    def _queue(self, message: Message) -> None:
        """A full queue cannot be while the broker keeps to Receive Maximum; one that does not is left and met anew.

        After a reconnect it sends again what it has no acknowledgement of, so nothing is lost.
        """
        try:
            self._heard.put_nowait(message)
        except asyncio.QueueFull:
            with contextlib.suppress(OSError):
                self._client.reconnect()
            log.warning(
                "%s: %d messages wait, %s left to the broker", self._client_id, self._heard.qsize(), message.topic
            )

    def _answered(self, key: bytes, payload: bytes) -> None:
        future = self._answers.get(key)
        if future is not None and not future.done():
            future.set_result(payload)

    def _handle(self, topic: str, payload: bytes, reply_to: str, correlation: bytes) -> None:
        task = self._loop.create_task(self._reply(topic, payload, reply_to, correlation), name=f"answer {topic}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, topic: str, payload: bytes, reply_to: str, correlation: bytes) -> None:
        try:
            answer = await self._handlers[topic](payload)
        except LamellaError as error:
            log.warning("%s: not answered: %s", topic, error)
            return
        if reply_to:
            properties = _properties(PacketTypes.PUBLISH)
            properties.CorrelationData = correlation
            self._client.publish(reply_to, answer, qos=1, properties=properties)

    def _soon(self, call: Callable[..., object], *arguments: object) -> None:
        """From paho's thread to the loop."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for future in self._acknowledgements.values():
            future.cancel()


@asynccontextmanager
async def connect(
    settings: BrokerSettings, client_id: str, *, will: tuple[str, bytes] | None = None, lasting: bool = True
) -> AsyncIterator[Bus]:
    """A connection that comes up when the broker does and comes back when it was away.

    Args:
        will: topic and payload that the broker publishes, retained, when we die.
        lasting: keep the session at the broker while we are away, with what was sent to us.

    Raises:
        ConfigError: a certificate or password file cannot be read.
    """
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=mqtt.MQTTv5,
        manual_ack=True,
        reconnect_on_failure=True,
    )
    client.max_inflight_messages_set(UNACKNOWLEDGED_LIMIT)
    client.reconnect_delay_set(min_delay=1, max_delay=15)
    _secure(client, settings)
    if will:
        client.will_set(will[0], will[1], qos=1, retain=True)
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = _SESSION_EXPIRY_S if lasting else 0
    properties.ReceiveMaximum = UNACKNOWLEDGED_LIMIT
    bus = Bus(client, client_id, asyncio.get_running_loop())
    client.connect_async(settings.host, settings.port, keepalive=15, clean_start=not lasting, properties=properties)
    client.loop_start()
    try:
        yield bus
    finally:
        await bus._close()  # noqa: SLF001 - the context manager is the bus's own life
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call] # paho's only untyped call that we need


def _secure(client: mqtt.Client, settings: BrokerSettings) -> None:
    try:
        if settings.username:
            password = Path(settings.password_file).read_text().strip() if settings.password_file else None
            client.username_pw_set(settings.username, password)
        if settings.ca_file:
            client.tls_set(settings.ca_file, settings.cert_file or None, settings.key_file or None)
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}", key="broker") from error

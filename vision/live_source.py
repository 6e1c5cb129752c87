"""A camera that streams, as a source of frames: read in a thread of its own, found again when it vanishes.

A camera does not wait. When inspection falls behind and the queue is full, the new strip is dropped: its number stays
out and its lines are counted in the next strip's header, so that the film is uninspected, never closed up.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from line.errors import ConfigError, FrameError, LinkError
from line.film_sources import CameraFile
from line.model import Camera
from vision.genicam import Transport, genicam_stream
from vision.sources import Taken
from vision.strip_builder import Built, StripBuilder
from vision.web_travel import Block, CameraPlace

log = logging.getLogger(__name__)

QUEUE_STRIPS = 24
"""Strips that may wait for inspection: 280 MB of 15,000 px, seven seconds at 10 m/min; then strips are dropped."""
_WAIT_S = 0.25
"""For a block; as long as it takes to notice that we are to stop."""
_SILENT_S = 1.0
"""Without a block, after which the camera is asked whether it is there."""
_STALE_S = 5.0
"""Without a block, after which the link counts as stale."""
_RETRY_FIRST_S = 0.5
_RETRY_MOST_S = 15.0
_CLOSE_S = 5.0


class BlockStream(Protocol):
    """A camera that streams."""

    def next_block(self, wait_s: float) -> Block | None:
        """The next block; None when none came in time. Raises LinkError when the camera is gone."""
        ...

    def require_alive(self) -> None:
        """Raises LinkError when the camera does not answer."""
        ...

    def transport(self) -> Transport:
        """What was lost on the wire since the stream was opened."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """State of the wire to a camera."""

    state: Literal["up", "stale", "down"]
    detail: str


class LiveSource:
    """Strips of one camera. As a context manager it streams while inside.

    Args:
        camera: row of the line model.
        file: the camera and how its lines become strips.
        place_file: remembers how far the camera has come; made when absent.
        opened: opens the stream; a GenICam camera if none is given.
        limit_count: strips that may wait.

    Raises:
        ConfigError: the file does not fit the camera's row.
    """

    ended = False

    def __init__(
        self,
        camera: Camera,
        file: CameraFile,
        place_file: Path,
        *,
        opened: Callable[[CameraFile], AbstractContextManager[BlockStream]] = genicam_stream,
        limit_count: int = QUEUE_STRIPS,
    ) -> None:
        self.camera = camera
        self.link = Link(state="down", detail="")
        """Without a detail: not tried yet."""
        self._file = file
        self._place_file = place_file
        self._opened = opened
        self._builder = StripBuilder(camera, file, _place(place_file))
        self._lock = threading.Lock()
        self._strips: queue.Queue[Built] = queue.Queue(limit_count)
        self._waiting: dict[int, CameraPlace] = {}
        """Places behind the strips that were taken and are not done, by the id of their frames."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera-{camera.id}", daemon=True)
        self._blocks_count = self._dropped_count = self._reconnects_count = 0
        self._lost_before = Transport()
        self._lost_now = Transport()

    def __enter__(self) -> LiveSource:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            log.warning("camera %s does not let go within %g s", self.camera.id, _CLOSE_S)

    def take(self) -> Taken | None:
        """The oldest strip that was not taken yet; None while there is none.

        Raises:
            LinkError: the thread that reads the camera has died.
        """
        if not self._thread.is_alive() and not self._stop.is_set():
            raise LinkError(f"camera {self.camera.id}: the thread that reads it has died; see the log above")
        try:
            built = self._strips.get_nowait()
        except queue.Empty:
            return None
        name = f"{self.camera.id} {built.header.roll} strip {built.header.strip}"
        frame = Taken(name=name, header=built.header, planes=built.planes)
        self._waiting[id(frame)] = built.place
        return frame

    def done(self, frame: Taken) -> None:
        """Remember that the film up to here has results."""
        place = self._waiting.pop(id(frame), None)
        if place is not None:
            temporary = self._place_file.with_suffix(".tmp")
            self._place_file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(msgspec.json.encode(place))
            temporary.replace(self._place_file)

    def refuse(self, frame: Taken) -> None:
        """A strip that cannot be inspected is gone; nothing of it is kept."""
        self.done(frame)

    def roll_started(self, roll: str, at_ns: int) -> None:
        """A roll's zero was under the die lip at a time."""
        with self._lock:
            self._builder.web.roll_started(roll, at_ns, time.time_ns())

    def roll_ended(self, roll: str, length_um: int) -> None:
        """What follows belongs to no roll."""
        with self._lock:
            self._builder.web.roll_ended(roll, length_um)

    def counters(self) -> dict[str, int]:
        """What came and what was lost, in all; names are counters of `/metrics`."""
        return {
            "camera_blocks_total": self._blocks_count,
            "camera_blocks_lost_total": self._lost_before.blocks_lost_count + self._lost_now.blocks_lost_count,
            "camera_packets_missing_total": (
                self._lost_before.packets_missing_count + self._lost_now.packets_missing_count
            ),
            "camera_packets_resent_total": (
                self._lost_before.resend_recovered_count + self._lost_now.resend_recovered_count
            ),
            "camera_reconnects_total": self._reconnects_count,
            "camera_strips_dropped_total": self._dropped_count,
            "camera_lines_missed_total": self._builder.missed_lines_count,
            "camera_lines_without_roll_total": self._builder.unnamed_lines_count,
        }

    def _run(self) -> None:
        """The thread: open, stream, and open again with growing delay."""
        delay_s = _RETRY_FIRST_S
        while not self._stop.is_set():
            blocks_before = self._blocks_count
            try:
                with self._opened(self._file) as stream:
                    self._stream(stream)
            except (LinkError, ConfigError, FrameError) as error:
                self._say("down", str(error))
            self._lost_before = _sum(self._lost_before, self._lost_now)
            self._lost_now = Transport()
            with self._lock:
                self._builder.web.resumed()
            if self._blocks_count > blocks_before:
                self._reconnects_count += not self._stop.is_set()
                delay_s = _RETRY_FIRST_S
            self._stop.wait(delay_s)
            delay_s = min(2 * delay_s, _RETRY_MOST_S)

    def _stream(self, stream: BlockStream) -> None:
        """Blocks until we are to stop.

        Raises:
            LinkError, FrameError: the camera is gone, or does not send what its row says.
        """
        last_s = asked_s = time.monotonic()
        while not self._stop.is_set():
            block = stream.next_block(_WAIT_S)
            now_s = time.monotonic()
            if block is not None:
                last_s = now_s
                self._take_in(block)
                self._blocks_count += 1
                self._say("up", self._how())
            elif now_s - max(last_s, asked_s) > _SILENT_S:
                asked_s = now_s
                stream.require_alive()
                if now_s - last_s > _STALE_S:
                    self._say("stale", "connected, but no line comes: the web stands, or no trigger arrives")
            self._lost_now = stream.transport()

    def _take_in(self, block: Block) -> None:
        with self._lock:
            for built in self._builder.add(block):
                try:
                    self._strips.put_nowait(built)
                except queue.Full:
                    self._dropped_count += 1
                    self._builder.dropped(built)

    def _how(self) -> str:
        roll = self._builder.roll
        return (
            self._builder.web.position_is if roll else f"{self._builder.web.position_is}; waiting for a roll to begin"
        )

    def _say(self, state: Literal["up", "stale", "down"], detail: str) -> None:
        if (state, detail) != (self.link.state, self.link.detail):
            self.link = Link(state=state, detail=detail)
            level = logging.INFO if state == "up" else logging.WARNING
            log.log(level, "camera %s %s: %s", self.camera.id, state, detail)


def _place(file: Path) -> CameraPlace:
    """Where a camera stood; its beginning when nothing, or nothing readable, was kept."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=CameraPlace)
    except FileNotFoundError:
        return CameraPlace()
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s: cannot be read (%s): the camera begins anew", file, error)
        return CameraPlace()


def _sum(one: Transport, other: Transport) -> Transport:
    return Transport(
        packets_missing_count=one.packets_missing_count + other.packets_missing_count,
        resend_recovered_count=one.resend_recovered_count + other.resend_recovered_count,
        blocks_lost_count=one.blocks_lost_count + other.blocks_lost_count,
    )

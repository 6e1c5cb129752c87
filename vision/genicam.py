"""A GigE Vision camera as blocks of lines, through GenICam: no vendor's software is needed.

Only whole blocks are handed on: where a packet is lost for good nobody can say which lines are sound, so that the block
counts as lost, and its number, which is then missing, says so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from line.errors import ConfigError, LinkError
from line.film_sources import CameraFile
from vision.web_travel import Block

if TYPE_CHECKING:
    from viva_genicam import Camera as GenicamCamera
    from viva_genicam import Frame, FrameStream, GigeDeviceInfo

INSTALL = 'pip install "lamella[genicam]"'
_DISCOVERY_MS = 500
_SERIAL_REGISTER, _SERIAL_BYTES = 0xD8, 16
"""GigE Vision bootstrap register map, serial number."""
_WHOLE = re.compile(r"-?\d{1,20}")
_SHORT_IDS_END = 0xFFFF
"""Block ids of 16 bit go from here to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """What the wire lost since the stream was opened."""

    packets_missing_count: int = 0
    resend_recovered_count: int = 0
    blocks_lost_count: int = 0


class GenicamStream:
    """Blocks of one camera that streams. Made by `genicam_stream`; of one thread."""

    def __init__(self, camera: GenicamCamera, stream: FrameStream, file: CameraFile) -> None:
        self._camera = camera
        self._stream = stream
        self._file = file
        self._last_id: int | None = None

    def next_block(self, wait_s: float) -> Block | None:
        """The next whole block; None when none came in time.

        Raises:
            LinkError: the camera has stopped, lost control, or sends what cannot be read.
        """
        errors = viva().GenicamError
        try:
            frame = self._stream.next_frame(round(wait_s * 1000))
        except errors as error:
            if "timeout" in str(error):
                return None
            raise LinkError(f"stream broke off: {error}") from error
        if frame is None:
            raise LinkError("the camera ended its stream")
        arrived_ns = time.time_ns()
        try:
            pixels, count = frame.to_numpy(), self._count(frame)
        except errors as error:
            raise LinkError(f"a block of {frame.pixel_format} cannot be read: {error}") from error
        if pixels.ndim != 2 or pixels.dtype != np.uint8:
            raise LinkError(f"pixel format {frame.pixel_format}: one channel of 8 bit is read: set PixelFormat=Mono8")
        lost, self._last_id = _between(self._last_id, frame.block_id), frame.block_id
        lines = np.asarray(pixels, np.uint8)
        return Block(lines=lines, count=count, lost_blocks_count=lost, arrived_ns=arrived_ns)

    def require_alive(self) -> None:
        """Ask a silent camera for its version.

        Raises:
            LinkError: it does not answer, or another application controls it.
        """
        try:
            state = self._camera.control_state.value.lower()
            self._camera.read_register(0, 4)
        except viva().GenicamError as error:
            raise LinkError(f"does not answer: {error}") from error
        if state != "held":
            raise LinkError(f"control of the camera is {state}: has it restarted, or did another program take it?")

    def transport(self) -> Transport:
        """What was lost on the wire so far.

        Raises:
            LinkError: the stream is gone.
        """
        try:
            stats = self._stream.stats()
        except viva().GenicamError as error:
            raise LinkError(f"stream broke off: {error}") from error
        return Transport(
            packets_missing_count=stats.packets_missing,
            resend_recovered_count=stats.resend_recovered,
            blocks_lost_count=stats.frames_lost,
        )

    def _count(self, frame: Frame) -> int | None:
        name = self._file.encoder
        if not name:
            return None
        values = self._camera.chunk_features(frame)
        value = values.get(name)
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            return int(value)
        said = (
            f"is {value}" if value is not None else f"is not sent; the camera sends {', '.join(values) or 'no chunks'}"
        )
        raise LinkError(f"encoder {name} {said}: set encoder and encoder_chunk in the camera's file")


@contextmanager
def genicam_stream(file: CameraFile) -> Iterator[GenicamStream]:
    """A camera that is found, set up and streaming; stopped and given back at the end.

    Raises:
        ConfigError: the package `viva-genicam` is not installed, or the camera lacks a feature; names it.
        LinkError: the camera is not found, is taken, or does not answer.
    """
    errors = viva().GenicamError
    device = found_camera(file)
    with ExitStack() as stack:
        try:
            camera = viva().connect_gige(device, file.interface or None)
            stack.callback(_closed, camera)
            for feature in file.features:
                _write(camera, feature)
            if file.encoder_chunk:
                camera.configure_chunks([file.encoder_chunk])
            stream = camera.stream(packet_size=file.packet_bytes or None)
            stack.callback(_stopped, stream)
            stream.__enter__()
        except errors as error:
            raise LinkError(f"camera {file.camera} cannot be opened: {error}") from error
        yield GenicamStream(camera, stream, file)


def found_camera(file: CameraFile) -> GigeDeviceInfo:
    """Look for a camera on the network by serial number, address or MAC.

    Raises:
        ConfigError: `viva-genicam` is not installed.
        LinkError: none has it; names those that answer.
    """
    errors = viva().GenicamError
    try:
        devices: list[GigeDeviceInfo] = viva().discover(
            timeout_ms=_DISCOVERY_MS, iface=file.interface or None, all=not file.interface
        )
    except errors as error:
        raise LinkError(
            f"network cannot be searched for cameras: {error}; check interface {file.interface!r}"
        ) from error
    known = []
    for device in devices:
        if file.camera.lower() in {device.ip, device.mac.lower()}:
            return device
        serial = _serial(device, file.interface or None)
        if serial == file.camera:
            return device
        known.append(f"{serial or '?'} ({device.manufacturer} {device.model} at {device.ip})")
    others = ", ".join(known) or "none"
    raise LinkError(f"no camera {file.camera} answers; found: {others}: check cable, power, address and firewall")


def viva() -> ModuleType:
    """The package that speaks GenICam.

    Raises:
        ConfigError: it is not installed; names the command.
    """
    try:
        import viva_genicam
    except ImportError as error:
        raise ConfigError(f"cameras need the package viva-genicam: {INSTALL}", key="vision.sources") from error
    return viva_genicam


def _serial(device: GigeDeviceInfo, interface: str | None) -> str:
    """Serial number of a camera that another program may hold; empty when it does not say."""
    try:
        with viva().connect_gige(device, interface, monitor=True) as camera:
            said: bytes = camera.read_register(_SERIAL_REGISTER, _SERIAL_BYTES)
            text = said.split(b"\0")[0].decode("latin-1").strip()
            return text or str(camera.get("DeviceSerialNumber"))
    except viva().GenicamError:
        return ""


def _write(camera: GenicamCamera, feature: str) -> None:
    """Write `Name=Value`.

    Raises:
        ConfigError: the camera has no such feature or does not take the value; says what it would take.
    """
    name, value = (part.strip() for part in feature.split("=", 1))
    key = f"features, {feature!r}"
    if name not in camera.nodes():
        near = [node for node in camera.nodes() if node.lower() == name.lower()]
        raise ConfigError(f"the camera has no feature {name!r}" + (f"; it has {near[0]}" if near else ""), key=key)
    try:
        info = camera.node_info(name)
        if info is not None and info.kind == "Command":
            camera.execute(name)
        else:
            camera.set(name, value)
    except viva().GenicamError as error:
        allowed = ""
        with suppress(viva().GenicamError):
            allowed = f"; it takes {', '.join(camera.available_enum_entries(name))}"
        raise ConfigError(f"the camera does not take {value!r}: {error}{allowed}", key=key) from error


def _between(last: int | None, now: int) -> int:
    """Blocks that were sent between two that arrived."""
    if last is None:
        return 0
    if now > last:
        return now - last - 1
    return max(0, now + _SHORT_IDS_END - last - 1) if last <= _SHORT_IDS_END else 0


def _stopped(stream: FrameStream) -> None:
    with suppress(viva().GenicamError):
        stream.__exit__(None, None, None)


def _closed(camera: GenicamCamera) -> None:
    with suppress(viva().GenicamError):
        camera.close()

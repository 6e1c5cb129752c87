"""The GPU and its driver are asked by name; a stand-in for the driver's libraries answers here."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from vision import devices


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What was asked before a test, and in it."""
    devices.gpu_text.cache_clear()
    yield
    devices.gpu_text.cache_clear()


def named(buffer: ctypes.Array[ctypes.c_char], text: bytes) -> int:
    buffer.value = text
    return 0


LIBRARIES = {
    "libcuda.so.1": SimpleNamespace(
        cuInit=lambda _flags: 0,
        cuDeviceGet=lambda _device, _number: 0,
        cuDeviceGetName=lambda name, _size, _device: named(name, b"NVIDIA Made 1"),
    ),
    "libnvidia-ml.so.1": SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlSystemGetDriverVersion=lambda text, _size: named(text, b"580.65.06"),
        nvmlShutdown=lambda: 0,
    ),
}


def installed(monkeypatch: pytest.MonkeyPatch, *names: str, **changed: object) -> None:
    def opened(name: str) -> SimpleNamespace:
        if name not in names:
            raise OSError(f"{name}: cannot open shared object file")
        return SimpleNamespace(**{**vars(LIBRARIES[name]), **changed})

    monkeypatch.setattr(ctypes, "CDLL", opened)


def test_name_and_driver_are_those_that_the_driver_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, *LIBRARIES)
    assert devices.gpu_text() == "NVIDIA Made 1, driver 580.65.06"


def test_what_is_not_told_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "libcuda.so.1")
    assert devices.gpu_text() == "NVIDIA Made 1, driver unknown"


def test_a_driver_that_does_not_answer_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, *LIBRARIES, cuInit=lambda _flags: 100, nvmlInit_v2=lambda: 9)
    assert devices.gpu_text() == "unknown GPU, driver unknown"

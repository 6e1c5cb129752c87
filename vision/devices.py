"""What a GPU and its driver are called, asked from the driver itself: the runtime does not say.

Nothing is installed for it: the two libraries come with the driver.
"""

from __future__ import annotations

import ctypes
import functools

_TEXT_BYTES = 256


@functools.cache
def gpu_text() -> str:
    """The first GPU that CUDA may use and its driver, as `NVIDIA L4, driver 580.65.06`.

    What the driver does not tell is said to be unknown.
    """
    return f"{_gpu_name() or 'unknown GPU'}, driver {_driver_version() or 'unknown'}"


def _gpu_name() -> str:
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ""
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_TEXT_BYTES)
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0) or cuda.cuDeviceGetName(name, _TEXT_BYTES, device):
        return ""
    return name.value.decode(errors="replace")


def _driver_version() -> str:
    try:
        management = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return ""
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    if management.nvmlInit_v2():
        return ""
    failed = management.nvmlSystemGetDriverVersion(text, _TEXT_BYTES)
    management.nvmlShutdown()
    return "" if failed else text.value.decode(errors="replace")

"""The one place that opens ONNX sessions, and the seam between the event loop and the ONNX call.

One thread a session and no spinning: two such sessions beat one with two threads wherever anything else runs on the
machine (measured up to 3.7 times). So a network that may use several cores is opened once for each, and what it is
given is cut into batches of one size, however many there are: the answers are the same to the last bit.

Only the opened session tells which providers really run: the list of available ones, and the list asked for, name CUDA
also where there is none.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_state

from line.bundle import Bundle, ModelRef
from line.errors import BundleError, ProviderError
from vision.devices import gpu_text
from vision.parallel import ALONE, Crew

log = logging.getLogger(__name__)

Provider = Literal["auto", "cpu", "cuda"]
"""``auto`` takes CUDA when it is there; ``cuda`` refuses to start without it."""

CPU_BATCH = 8
"""Images of one call on a CPU; larger batches are no faster (measured for the classifier of candidates)."""
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"
# Searching all convolution algorithms (the default) pays seconds at each new shape; the copy setting is the safe one.
_CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC", "do_copy_in_default_stream": "1"}
# They share no base class but Exception.
_RUNTIME_ERRORS = (
    runtime_state.EPFail,
    runtime_state.EngineError,
    runtime_state.Fail,
    runtime_state.InvalidArgument,
    runtime_state.InvalidGraph,
    runtime_state.InvalidProtobuf,
    runtime_state.NoModel,
    runtime_state.NoSuchFile,
    runtime_state.NotImplemented,
    runtime_state.RuntimeException,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeProvenance:
    """On what an answer was computed; read from the session, not from what was asked for."""

    model: ModelRef
    providers: tuple[str, ...]
    runtime: str
    hardware: str
    """`cpu`, or the GPU's name and driver."""

    @property
    def device(self) -> Literal["cuda", "cpu"]:
        return "cuda" if _CUDA in self.providers else "cpu"


class ModelSession:
    """An open network. A context manager; ``run`` may be called from several threads, which may have to wait."""

    def __init__(self, bundle: Bundle, provider: Provider = "auto", *, crew: Crew = ALONE) -> None:
        """Open the bundle's network.

        Args:
            bundle: what to open.
            provider: on what it runs.
            crew: shares the batches of a call. On a CPU the network is opened once for each of its threads.

        Raises:
            ProviderError: ``provider="cuda"`` and the session does not run on CUDA, or two runtimes are installed.
            BundleError: onnxruntime cannot open the network, or its tensors are not those of the manifest.
        """
        self.bundle = bundle
        self._crew = crew
        first = open_onnx(bundle.model_path, provider)
        self._input = bundle.manifest.input.tensor
        self._outputs = [output.tensor for output in bundle.manifest.outputs]
        _check_tensors(bundle, first)
        self.provenance = provenance_of(bundle, first)
        on_cpu = self.provenance.device == "cpu"
        self._batch = CPU_BATCH if on_cpu else None
        self._idle: SimpleQueue[onnxruntime.InferenceSession] = SimpleQueue()
        self._sessions = [
            first,
            *(open_onnx(bundle.model_path, "cpu") for _ in range(crew.threads - 1 if on_cpu else 0)),
        ]
        for session in self._sessions:
            self._idle.put(session)
        log.info("model %s runs on %s", bundle.ref, ", ".join(self.provenance.providers))

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The network's outputs by tensor name.

        Args:
            images: shape (n, channels, height, width), grey levels as the manifest's input states.
        """
        size = self._batch or len(images)
        if len(images) <= size:
            return self._answers(images)
        starts = range(0, len(images), size)
        parts = self._crew.each(self._answers, [images[start : start + size] for start in starts])
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def _answers(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        return self.run_views({self._input: images})

    def run_views(self, views: Mapping[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        """The same for a network with several inputs; never cut into batches.

        Args:
            views: by input tensor, each of shape (n, channels, height, width).
        """
        session = self._idle.get()
        try:
            outputs: Sequence[NDArray[np.float32]] = session.run(self._outputs, dict(views))
        finally:
            self._idle.put(session)
        return dict(zip(self._outputs, outputs, strict=True))

    async def run_in_thread(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The same, off the event loop; onnxruntime releases the interpreter while it computes."""
        return await asyncio.to_thread(self.run, images)

    def close(self) -> None:
        """Free the sessions and their memory; running it afterwards is a programming error."""
        del self._sessions, self._idle

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def golden_difference(session: ModelSession) -> float:
    """Largest absolute difference between the golden outputs and what this session gives for the golden inputs.

    Raises:
        BundleError: a golden file lacks an input or an output of the manifest, or a shape differs.
    """
    worst = 0.0
    for path in session.bundle.golden_paths:
        with np.load(path, allow_pickle=False) as golden:
            tensors: Mapping[str, NDArray[Any]] = dict(golden)
        try:
            found = session.run_views({spec.tensor: tensors[spec.tensor] for spec in session.bundle.manifest.inputs})
            pairs = [(tensors[name], values) for name, values in found.items()]
        except KeyError as error:
            raise BundleError(f"{path}: no tensor named {error} in it; train the model again") from error
        for expected, values in pairs:
            if expected.shape != values.shape:
                raise BundleError(
                    f"{path}: expected shape {expected.shape}, found {values.shape}; train the model again"
                )
            worst = max(worst, float(np.abs(expected - values).max(initial=0.0)))
    return worst


def verify_golden(session: ModelSession) -> float:
    """Run the golden frames and refuse a session whose answers are off; returns the largest difference.

    Raises:
        BundleError: the difference is above the manifest's tolerance.
    """
    worst, allowed = golden_difference(session), session.bundle.manifest.golden_tolerance
    # Written so that a NaN is refused as well.
    if not worst <= allowed:
        raise BundleError(
            f"{session.bundle.path}: golden frames differ by {worst:.3g} (allowed {allowed:.3g}) on "
            f"{', '.join(session.provenance.providers)}; fetch the bundle again or use another provider"
        )
    return worst


def provenance_of(bundle: Bundle, session: onnxruntime.InferenceSession) -> ComputeProvenance:
    """On what a session of a bundle's network really runs."""
    providers = tuple(session.get_providers())
    return ComputeProvenance(
        model=bundle.ref,
        providers=providers,
        runtime=f"onnxruntime {onnxruntime.__version__}",
        hardware=gpu_text() if _CUDA in providers else "cpu",
    )


def open_onnx(
    model: Path | bytes, provider: Provider, *, cuda_graph: bool = False, tensorrt: bool = False
) -> onnxruntime.InferenceSession:
    """A bare session with our settings, for a network that is not in a bundle yet.

    Args:
        model: file or bytes of the network.
        provider: on what it runs.
        cuda_graph: with CUDA, record the launches of the first runs and replay them; shapes and buffers must stay.
            TensorRT goes without.
        tensorrt: ask TensorRT first; it is required then.

    Raises:
        BundleError: onnxruntime cannot open the network.
        ProviderError: ``provider="cuda"`` and the session does not run on CUDA, ``tensorrt`` and it does not run on
            TensorRT, or two runtimes are installed.
    """
    name = "<network in memory>" if isinstance(model, bytes) else str(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Errors only: a machine without CUDA otherwise writes driver warnings to stderr at every start.
    options.log_severity_level = 3
    wanted: list[str | tuple[str, dict[str, str]]] = [_CPU]
    if provider != "cpu" and _has_cuda_driver():
        _refuse_two_runtimes()
        onnxruntime.preload_dlls()
        # What TensorRT takes is not in a CUDA graph, and onnxruntime refuses to record a part of the network.
        recorded = cuda_graph and not tensorrt
        wanted.insert(0, (_CUDA, _CUDA_OPTIONS | {"enable_cuda_graph": str(int(recorded))}))
        if tensorrt:
            wanted.insert(0, _TENSORRT)
    try:
        session = onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=wanted
        )
    except _RUNTIME_ERRORS as error:
        raise BundleError(f"{name}: onnxruntime cannot open it: {error}") from error
    if provider == "cuda" and _CUDA not in session.get_providers():
        raise ProviderError(
            f"{name}: provider 'cuda' is required, but the session runs on {', '.join(session.get_providers())}; "
            "install lamella[cuda] and a driver for CUDA 13, or set provider to 'cpu'"
        )
    if tensorrt and _TENSORRT not in session.get_providers():
        raise ProviderError(
            f"{name}: TensorRT is required, but the session runs on {', '.join(session.get_providers())}; install "
            "lamella[cuda], a driver for CUDA 13 and TensorRT's libraries, or set vision.tensorrt to false"
        )
    return session


@functools.cache
def _has_cuda_driver() -> bool:
    """Whether the driver's library loads and this runtime was built for CUDA.

    Asked before CUDA is requested, because onnxruntime writes to stderr when it fails to find a GPU.
    """
    if _CUDA not in onnxruntime.get_available_providers():
        return False
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _refuse_two_runtimes() -> None:
    """Both wheels own the folder ``onnxruntime``: the one installed last wins, and CUDA goes without a word."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if len(found) > 1:
        raise ProviderError(
            f"{' and '.join(found)} are both installed and overwrite each other; "
            "uninstall both, then install lamella[cuda] again"
        )


def _check_tensors(bundle: Bundle, session: onnxruntime.InferenceSession) -> None:
    wanted = {spec.tensor: spec for spec in bundle.manifest.inputs}
    inputs = {tensor.name: tensor for tensor in session.get_inputs()}
    if set(inputs) != set(wanted):
        raise BundleError(
            f"{bundle.model_path}: the manifest's inputs are {sorted(wanted)}, the network's {sorted(inputs)}"
        )
    for name, spec in wanted.items():
        tensor = inputs[name]
        if tensor.type != f"tensor({spec.dtype})" or len(tensor.shape) != 4 or tensor.shape[1] != spec.channels:
            raise BundleError(
                f"{bundle.model_path}: input {name!r} is {tensor.type} {tensor.shape}, "
                f"the manifest says {spec.dtype} with {spec.channels} channel(s); train the model again"
            )
    missing = {output.tensor for output in bundle.manifest.outputs} - {tensor.name for tensor in session.get_outputs()}
    if missing:
        raise BundleError(f"{bundle.model_path}: the network has no output {sorted(missing)}; train the model again")

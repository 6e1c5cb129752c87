"""Full coverage: a fully convolutional network on every pixel of strips of one shape, without needless copies.

Buffers are made once and bound to the session, so that a strip is written where the network reads it, and answers lie
where they are read. On a CPU that memory is the same on both sides; with CUDA the strip goes to the device and the
answers come back, once each, and a captured CUDA graph may replay the rest in one launch.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from line.bundle import Bundle
from line.errors import BundleError, FrameError
from vision.session import ComputeProvenance, Provider, open_onnx, provenance_of


class FullCoverage:
    """A network, open for strips of one shape. A context manager; one thread at a time."""

    def __init__(
        self,
        bundle: Bundle,
        shape: tuple[int, int, int],
        provider: Provider = "auto",
        *,
        cuda_graph: bool = True,
        tensorrt: bool = False,
    ) -> None:
        """Open the network and make its buffers.

        Args:
            bundle: of a network whose height and width are free.
            shape: channels, lines and pixels of every strip.
            provider: ``cuda`` refuses to start without CUDA.
            cuda_graph: with CUDA, record the network's launches once and replay them.
            tensorrt: let TensorRT compile the network, which takes minutes at each start; needs CUDA and its libraries.

        Raises:
            BundleError: the shape does not suit the network.
            ProviderError: as for ``vision.session.open_onnx``.
        """
        wanted = bundle.manifest.input
        channels, lines, width = shape
        if channels != wanted.channels or lines % wanted.multiple_px or width % wanted.multiple_px or wanted.size_px:
            raise BundleError(
                f"{bundle.path}: strips of {channels} x {lines} x {width} do not suit {bundle.ref}: it takes "
                f"{wanted.channels} channel(s), height and width multiples of {wanted.multiple_px} px"
            )
        self._session = open_onnx(bundle.model_path, provider, cuda_graph=cuda_graph, tensorrt=tensorrt)
        self.provenance: ComputeProvenance = provenance_of(bundle, self._session)
        device = self.provenance.device
        self.strip: NDArray[np.uint8] = np.zeros((1, *shape), np.uint8)
        """Where the next strip is written, shape (1, channels, lines, width)."""
        self._input = onnxruntime.OrtValue.ortvalue_from_numpy(self.strip, device, 0)
        self._answers = {
            output.tensor: np.zeros(
                (1, _channels(output.layout), lines // output.stride_px, width // output.stride_px), np.float32
            )
            for output in bundle.manifest.outputs
        }
        self._outputs = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(values, device, 0) for name, values in self._answers.items()
        }
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input(wanted.tensor, self._input)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def answers(self) -> dict[str, NDArray[np.float32]]:
        """The network's answers to what is in ``strip``, by output; valid until the next call.

        Each has shape (1, channels, lines / stride, width / stride).
        """
        if self.provenance.device == "cpu":
            self._session.run_with_iobinding(self._binding)
            return self._answers
        self._input.update_inplace(self.strip)
        self._session.run_with_iobinding(self._binding)
        return {name: value.numpy() for name, value in self._outputs.items()}

    def inspect(self, strip: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The same for a strip that lies elsewhere, shape (channels, lines, width).

        Raises:
            FrameError: another shape than the session was opened for.
        """
        if strip.shape != self.strip.shape[1:] or strip.dtype != np.uint8:
            raise FrameError(
                f"expected a strip of uint8 {self.strip.shape[1:]}, got {strip.dtype} {strip.shape}: full coverage is "
                "open for strips of one shape"
            )
        self.strip[0] = strip
        return self.answers()

    def close(self) -> None:
        """Free the session and its buffers; running it afterwards is a programming error."""
        del self._binding, self._outputs, self._input, self._session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _channels(layout: str) -> int:
    """From a layout as `N5HW`."""
    return int(layout[1:-2])

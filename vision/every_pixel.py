"""Full coverage of a film camera: a fully convolutional network on every pixel of its strips, for a GPU.

The network says for each cell of some pixels how likely a defect is, and of which class. Where that is above the
model's region threshold there is a spot; it is measured and judged as one of the cascade is. Light is followed and
lines along the web are looked for as in the cascade: a line that only the mean of many strips shows is in no strip's
picture.

A strip is seen with a margin mirrored at its borders, as a picture is (`vision/tiles.py`). A network of one plane that
names several channels looks at each of them by itself, and the surest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle
from line.errors import BundleError
from line.film_models import TRAIN_FULL
from line.model import Camera
from vision.anomaly import REGION_THRESHOLD
from vision.candidates import CLEAN, Beliefs, Budget, Classified, budget_of, settled
from vision.finders import require_channels
from vision.full_coverage import FullCoverage
from vision.gates import Gates
from vision.parallel import Crew
from vision.parts import parts_of
from vision.pyramid import QUARTER, Floats
from vision.screening import CROWDED_FRACTION, Screened, Spot, StreakMemory, surveyed
from vision.session import Provider
from vision.strengths import BESIDE_STREAK
from vision.tiles import MARGIN_PX

_DEFAULT_LINES = 256
_CELLS_PX = (1, 2, 4, 8, 16, 32)
"""Parts or multiples of a cell of the quarter image, and parts of the margin."""


class EveryPixel:
    """A network for the strips of one camera, open. A context manager; one thread at a time."""

    def __init__(
        self,
        bundle: Bundle,
        camera: Camera,
        reject_um: Mapping[str, float | None],
        provider: Provider = "auto",
        *,
        cuda_graph: bool = True,
        tensorrt: bool = False,
    ) -> None:
        """Open the network for the camera's usual strips.

        Args:
            bundle: of task `film-segmentation`.
            camera: row of the camera.
            reject_um: by class code, from which size the line rejects it.
            provider: ``cuda`` refuses to start without CUDA.
            cuda_graph: as of `FullCoverage`.
            tensorrt: as of `FullCoverage`.

        Raises:
            BundleError: made for something else, for another pixel or a channel that the camera does not have.
            ProviderError: as of `vision.session.open_onnx`.
        """
        bundle.require_fit(task="film-segmentation", um_per_px=camera.pixel_um)
        self.bundle = bundle
        self._reject_um = reject_um
        self._looks = _looks(bundle, camera)
        self._threshold = bundle.threshold(REGION_THRESHOLD).value
        self._defect, self._kind = (output.tensor for output in bundle.manifest.outputs[:2])
        self._cell_px = _cell_px(bundle)
        self._beliefs = Beliefs.stated(bundle, (*bundle.manifest.classes, CLEAN), self._threshold)
        self._width = camera.width_px
        self._options = (provider, cuda_graph, tensorrt)
        self._lines = 0
        self._open(camera.strip_lines or _DEFAULT_LINES)

    @property
    def providers(self) -> tuple[str, ...]:
        """On what the network runs."""
        return self._coverage.provenance.providers

    @property
    def device(self) -> str:
        """What that computes on."""
        return self._coverage.provenance.hardware

    def budget(self, false_alarms_per_m2: float) -> Budget:
        """For lines along the web alone: how often a spot is a false alarm is up to the network's own threshold."""
        return budget_of(float("inf"), false_alarms_per_m2)

    def found(
        self, planes: NDArray[np.uint8], gates: Gates, memory: StreakMemory, *, most_spots: int, crew: Crew
    ) -> tuple[Screened, list[Classified]]:
        """A strip with its spots, and what is said of each; parameters as of `screening.screened`."""
        strip = surveyed(planes, gates, memory, crew)
        defect, kinds = self._answers(planes)
        strength = self._at_a_quarter(defect, strip.changes[0].shape) / np.float32(max(self._threshold, 1e-6))
        strength[:, : gates.margin] = strength[:, strength.shape[1] - gates.margin :] = 0
        parts = parts_of(strength, np.zeros((1, 1), np.float32), CROWDED_FRACTION)
        found = strip.screened(parts, "net", most_spots)
        said = [settled(self._said(spot, defect, kinds), spot, self._reject_um) for spot in found.spots]
        lines = [(spot, each.kind) for spot, each in zip(found.spots, said, strict=True) if spot.test == "streak"]
        # What the network shows of a line that was found as such is that line.
        return found, [
            Classified(kind=CLEAN, score=1.0) if spot.test == "net" and _of_a_line(spot, each.kind, lines) else each
            for spot, each in zip(found.spots, said, strict=True)
        ]

    def _said(self, spot: Spot, defect: Floats, kinds: Floats) -> Classified:
        """What the network says of a spot: as sure as at its surest cell, or along a line as in the mean of it."""
        rows = slice(spot.row_start // self._cell_px, -(-spot.row_end // self._cell_px))
        columns = slice(spot.column_start // self._cell_px, -(-spot.column_end // self._cell_px))
        inside = defect[rows, columns]
        sure = float(inside.mean(axis=0).max() if spot.test == "streak" else inside.max())
        sums = (inside * kinds[:, rows, columns]).sum(axis=(1, 2), dtype=np.float64)
        shares = sums / max(float(sums.sum()), 1e-12)
        return self._beliefs.of(np.append(sure * shares, 1 - sure * float(shares.sum())))

    def _answers(self, planes: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Probability of a defect by cell, and of each class; shapes (rows, columns) and (classes, rows, columns).

        Where several looks are taken, a cell's answer is that of the surest.
        """
        _, lines, width = planes.shape
        if lines > self._lines:
            self._coverage.close()
            self._open(lines)
        rows, columns = (-(-size // self._cell_px) for size in (lines, width))
        margin = MARGIN_PX // self._cell_px
        place = slice(margin, margin + rows), slice(margin, margin + columns)
        defect, kinds = np.empty((0, 0), np.float32), np.empty((0, 0, 0), np.float32)
        for number, channels in enumerate(self._looks):
            for buffer, channel in zip(self._coverage.strip[0], channels, strict=True):
                below, right = (
                    whole - MARGIN_PX - size for whole, size in zip(buffer.shape, (lines, width), strict=True)
                )
                buffer[...] = cv2.copyMakeBorder(
                    planes[channel], MARGIN_PX, below, MARGIN_PX, right, cv2.BORDER_REFLECT_101
                )
            answers = self._coverage.answers()
            one, other = answers[self._defect][0, 0][place], answers[self._kind][0][:, *place]
            if number == 0:
                # The answers lie in the network's own buffers, which the next look overwrites.
                defect, kinds = (one.copy(), other.copy()) if len(self._looks) > 1 else (one, other)
            else:
                surer = one > defect
                np.copyto(defect, one, where=surer)
                np.copyto(kinds, other, where=surer)
        return defect, kinds

    def _at_a_quarter(self, cells: Floats, shape: tuple[int, ...]) -> Floats:
        """The surest of the cells in each cell of the quarter image."""
        if self._cell_px >= QUARTER:
            times = self._cell_px // QUARTER
            return np.repeat(np.repeat(cells, times, axis=0), times, axis=1)[: shape[0], : shape[1]].copy()
        step = QUARTER // self._cell_px
        whole = cells[: step * shape[0], : step * shape[1]]
        return np.asarray(whole.reshape(shape[0], step, shape[1], step).max(axis=(1, 3)), np.float32)

    def _open(self, lines: int) -> None:
        multiple = self.bundle.manifest.input.multiple_px
        height, width = (-(-(size + 2 * MARGIN_PX) // multiple) * multiple for size in (lines, self._width))
        provider, cuda_graph, tensorrt = self._options
        self._coverage = FullCoverage(
            self.bundle, (len(self._looks[0]), height, width), provider, cuda_graph=cuda_graph, tensorrt=tensorrt
        )
        self._lines = lines

    def close(self) -> None:
        """Free the network; using it afterwards is a programming error."""
        self._coverage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _looks(bundle: Bundle, camera: Camera) -> list[tuple[int, ...]]:
    """Planes of the camera that the network sees together, one entry for each time it looks at a strip."""
    taken = bundle.manifest.input
    names = taken.channel_names or (camera.channels if len(camera.channels) == taken.channels == 1 else ())
    if not names or taken.channels not in {1, len(names)}:
        raise BundleError(
            f"{bundle.path}: {bundle.ref} takes {taken.channels} channel(s) and does not say which of "
            f"{', '.join(camera.channels)}; train it again, {TRAIN_FULL}"
        )
    require_channels(bundle, names, camera, TRAIN_FULL)
    own = [camera.channels.index(name) for name in names]
    return [(number,) for number in own] if taken.channels == 1 else [tuple(own)]


def _cell_px(bundle: Bundle) -> int:
    """Pixels a cell of the answers: a quarter's fraction or multiple, the same for both."""
    manifest = bundle.manifest
    strides = {output.stride_px for output in manifest.outputs[:2]}
    cell_px = max(strides)
    classes = len(manifest.classes)
    layouts = tuple(output.layout for output in manifest.outputs[:2])
    if layouts != ("N1HW", f"N{classes}HW") or len(strides) > 1 or cell_px not in _CELLS_PX:
        raise BundleError(
            f"{bundle.path}: {bundle.ref} answers {', '.join(layouts)} at {sorted(strides)} px for {classes} classes; "
            f"needed are N1HW and N{classes}HW, both at one of {_CELLS_PX} px; train it again, {TRAIN_FULL}"
        )
    return cell_px


def _of_a_line(spot: Spot, kind: str, lines: list[tuple[Spot, str]]) -> bool:
    """Whether a spot lies on a line along the web and is said to be of its class."""
    beside = QUARTER * BESIDE_STREAK
    return any(
        kind == line_kind
        and spot.column_start >= line.column_start - beside
        and spot.column_end <= line.column_end + beside
        for line, line_kind in lines
    )

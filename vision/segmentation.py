"""Inspection with a supervised film model: where defects are, of which class, and how sure that is.

Images are looked at as in one-class inspection (`vision.anomaly`), and the result is one of its results: the same
overlays, files and scores serve both.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle
from vision.anomaly import (
    IMAGE_THRESHOLD,
    REGION_THRESHOLD,
    AnomalyResult,
    Region,
    image_score,
    regions,
    require_grey,
)
from vision.session import ModelSession, Provider
from vision.tiles import mapped


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationResult(AnomalyResult):
    """The same with classes; cells hold the probability of a defect."""

    kinds: tuple[str, ...]
    """By region, in the order of `regions`."""

    @property
    def places_reject(self) -> bool:
        """Places above the region threshold are findings; the score of the picture alone rejects it."""
        return False

    @property
    def mask(self) -> NDArray[np.uint8]:
        """255 where the map is above the region threshold, else 0; of the image's shape, one byte a pixel."""
        rows, columns = self.cells.shape
        size = columns * self.cell_px, rows * self.cell_px
        levels = cv2.resize(np.round(255 * self.cells).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
        above = levels[: self.shape[0], : self.shape[1]] > 255 * self.region_threshold
        return np.where(above, np.uint8(255), np.uint8(0))


class SegmentationInspector:
    """A supervised film model, open. A context manager; one thread at a time."""

    def __init__(self, bundle: Bundle, provider: Provider = "auto") -> None:
        """Open the model.

        Raises:
            BundleError: the bundle is no supervised film model or lacks a threshold.
            ProviderError: ``provider="cuda"`` without CUDA.
        """
        bundle.require_fit(task="film-segmentation")
        self._threshold = bundle.threshold(IMAGE_THRESHOLD).value
        self._region_threshold = bundle.threshold(REGION_THRESHOLD).value
        self._classes = bundle.manifest.classes
        self._defect, self._kind = (output.tensor for output in bundle.manifest.outputs[:2])
        self._cell_px = bundle.manifest.outputs[0].stride_px
        self._multiple_px = bundle.manifest.input.multiple_px
        self._session = ModelSession(bundle, provider)

    def inspect(self, image: NDArray[np.uint8]) -> SegmentationResult:
        """Inspect a grey image.

        Args:
            image: shape (height, width), uint8, at least one cell high and wide.

        Raises:
            FrameError: not grey, not 8 bit, or too small.
        """
        require_grey(image, self._cell_px)
        answer = mapped(image, self._answer, self._cell_px, self._multiple_px)
        cells = answer[0]
        shape = (image.shape[0], image.shape[1])
        found = regions(cells, self._cell_px, self._region_threshold, shape)
        return SegmentationResult(
            cells=cells,
            cell_px=self._cell_px,
            shape=shape,
            seen_shape=shape,
            score=image_score(cells),
            threshold=self._threshold,
            region_threshold=self._region_threshold,
            regions=found,
            provenance=self._session.provenance,
            kinds=tuple(self._kind_of(region, answer) for region in found),
        )

    def _answer(self, tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs = self._session.run(tile)
        return np.concatenate([outputs[self._defect][0], outputs[self._kind][0]])

    def _kind_of(self, region: Region, answer: NDArray[np.float32]) -> str:
        """The class that most of the region's probability is for."""
        rows = slice(region.y_px // self._cell_px, -(-(region.y_px + region.height_px) // self._cell_px))
        columns = slice(region.x_px // self._cell_px, -(-(region.x_px + region.width_px) // self._cell_px))
        inside = answer[:, rows, columns]
        sums = (inside[0] * inside[1:]).sum(axis=(1, 2))
        return self._classes[int(np.argmax(sums))]

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""One-class inspection of an image of any size: map, score and findings.

An ensemble looks at each part of a picture (`vision.ensemble`); the score of a picture is that of its worst part. The
map has one value per cell of some pixels, for 20,000 x 20,000 pixels still a few megabytes; the map at image
resolution is made when asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle
from line.errors import BundleError, FrameError
from vision.ensemble import (
    CELL_PX,
    SMALLEST_PICTURE_PX,
    combined_map,
    combined_score,
    ensemble_of,
    highest_mean,
    part_answers,
)
from vision.session import ComputeProvenance, ModelSession, Provider

IMAGE_THRESHOLD = "image"
REGION_THRESHOLD = "region"
SCORE_CELLS = 12
"""Of a supervised model: the mean of so many highest cells is a picture's score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A connected part of the map above the region threshold; pixels from the image's top left."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int
    area_px: int
    score: float
    """Highest value inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyResult:
    """What a one-class model says of an image."""

    cells: NDArray[np.float32]
    """Anomaly per cell, shape (rows, columns); 0 is usual for good film, 1 is one spread above."""
    cell_px: int
    """Pixels of what was seen, per cell."""
    shape: tuple[int, int]
    """Height and width of the image in pixels."""
    seen_shape: tuple[int, int]
    """Height and width in pixels of what the map was made for."""
    score: float
    threshold: float
    """An image whose score is above is not like good film."""
    region_threshold: float
    """A place of the map above is a region, and not like good film."""
    regions: tuple[Region, ...]
    """Highest score first."""
    provenance: ComputeProvenance

    @property
    def places_reject(self) -> bool:
        """One region is enough to reject the picture, whatever its score."""
        return True

    @property
    def is_anomalous(self) -> bool:
        """The picture as a whole, or a place in it, is not like good film."""
        return self.score > self.threshold or (self.places_reject and bool(self.regions))

    @property
    def reason(self) -> str:
        """Why the picture is rejected, in words: which limits are exceeded; empty where none is."""
        found = []
        if self.score > self.threshold:
            found.append(f"score {_above(self.score, self.threshold)}")
        if self.places_reject and self.regions:
            found.append(f"a place of {_above(self.regions[0].score, self.region_threshold)}")
        return " and ".join(found)

    @property
    def score_map(self) -> NDArray[np.float32]:
        """The map at image resolution, shape (height, width); made anew at each call, four bytes a pixel."""
        return whole_map(self.cells, self.cell_px, self.seen_shape, self.shape)


class AnomalyInspector:
    """A one-class model, open. A context manager; one thread at a time."""

    def __init__(self, bundle: Bundle, provider: Provider = "auto") -> None:
        """Open the model.

        Raises:
            BundleError: the bundle is no one-class film model, or lacks a threshold, its view or its members.
            ProviderError: ``provider="cuda"`` without CUDA.
        """
        bundle.require_fit(task="film-one-class")
        self._threshold = bundle.threshold(IMAGE_THRESHOLD).value
        self._region_threshold = bundle.threshold(REGION_THRESHOLD).value
        manifest = bundle.manifest
        self._ensemble = ensemble_of(manifest)
        asked = {member.tensor for member in manifest.members}
        if manifest.input.view_px is None or not asked or not asked <= set(self._ensemble.strides_px):
            raise BundleError(
                f"{bundle.path}: {bundle.ref} does not say how its outputs become one score; train it with this version"
            )
        self._view_px = manifest.input.view_px
        self._session = ModelSession(bundle, provider)

    def inspect(self, image: NDArray[np.uint8]) -> AnomalyResult:
        """Inspect a grey image.

        Args:
            image: shape (height, width), uint8, at least 48 px high and wide.

        Raises:
            FrameError: not grey, not 8 bit, or too small.
        """
        require_grey(image, SMALLEST_PICTURE_PX)
        answered = part_answers(image, self._ensemble, self._session.run_views)
        cells = combined_map(image.shape, answered, self._ensemble.members, self._view_px)
        shape = (image.shape[0], image.shape[1])
        seen_shape = (cells.shape[0] * CELL_PX, cells.shape[1] * CELL_PX)
        found = regions(cells, CELL_PX, self._region_threshold, seen_shape)
        return AnomalyResult(
            cells=cells,
            cell_px=CELL_PX,
            shape=shape,
            seen_shape=seen_shape,
            score=combined_score(answered, self._ensemble.members),
            threshold=self._threshold,
            region_threshold=self._region_threshold,
            regions=tuple(_placed(region, seen_shape, shape) for region in found),
            provenance=self._session.provenance,
        )

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def require_grey(image: NDArray[np.uint8], smallest_px: int) -> None:
    """Raise FrameError unless the image is two-dimensional, 8 bit and at least ``smallest_px`` high and wide."""
    if image.dtype != np.uint8 or image.ndim != 2:
        raise FrameError(f"expected a grey uint8 image, got {image.dtype} of shape {image.shape}; convert it first")
    if min(image.shape) < smallest_px:
        raise FrameError(
            f"expected at least {smallest_px} x {smallest_px} px, got {image.shape[1]} x {image.shape[0]} px"
        )


def image_score(cells: NDArray[np.float32]) -> float:
    """Of a supervised model's map."""
    return highest_mean(cells, SCORE_CELLS)


def regions(cells: NDArray[np.float32], cell_px: int, threshold: float, shape: tuple[int, ...]) -> tuple[Region, ...]:
    """Connected parts of the map, enlarged to pixels, above the threshold; highest score first."""
    above = (cells > threshold).astype(np.uint8)
    # The enlarged map can pass the threshold up to a cell beyond the cells that do.
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    found = []
    for label in range(1, count):
        left, top, width, height = (int(value) for value in stats[label, :4])
        rows, columns = slice(max(0, top - 1), top + height + 1), slice(max(0, left - 1), left + width + 1)
        own = labels[rows, columns] == label
        # Cells of a neighbour are left out; the rim of cells below the threshold shapes the outline.
        values = np.where(own | (above[rows, columns] == 0), cells[rows, columns], threshold)
        inside = _enlarged(values, cell_px) > threshold
        inside = inside[: shape[0] - rows.start * cell_px, : shape[1] - columns.start * cell_px]
        if not inside.any():
            # The peak lies between pixels and just below the threshold at each of them: its cells stand for it.
            inside = np.kron(own, np.ones((cell_px, cell_px), np.bool_))[: inside.shape[0], : inside.shape[1]]
        ys, xs = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        found.append(
            Region(
                x_px=columns.start * cell_px + int(xs[0]),
                y_px=rows.start * cell_px + int(ys[0]),
                width_px=int(xs[-1] - xs[0] + 1),
                height_px=int(ys[-1] - ys[0] + 1),
                area_px=int(inside.sum()),
                score=float(cells[rows, columns][own].max()),
            )
        )
    return tuple(sorted(found, key=lambda region: -region.score))


def whole_map(
    cells: NDArray[np.float32], cell_px: int, seen_shape: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Cells of what was seen at the resolution of the image."""
    whole = _enlarged(cells, cell_px)[: seen_shape[0], : seen_shape[1]]
    if seen_shape == shape:
        return whole
    return np.asarray(cv2.resize(whole, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _above(value: float, limit: float) -> str:
    """Both in as few digits as tell them apart, three at least."""
    digits = next((count for count in range(3, 17) if f"{value:.{count}g}" != f"{limit:.{count}g}"), 17)
    return f"{value:.{digits}g} above {limit:.{digits}g}"


def _placed(region: Region, seen_shape: tuple[int, ...], shape: tuple[int, ...]) -> Region:
    """A region of what was seen in pixels of the image: every pixel that it touches."""
    if seen_shape == shape:
        return region
    by_y, by_x = shape[0] / seen_shape[0], shape[1] / seen_shape[1]
    left, top = int(region.x_px * by_x), int(region.y_px * by_y)
    right = min(shape[1], math.ceil((region.x_px + region.width_px) * by_x))
    bottom = min(shape[0], math.ceil((region.y_px + region.height_px) * by_y))
    return replace(
        region,
        x_px=left,
        y_px=top,
        width_px=right - left,
        height_px=bottom - top,
        area_px=max(1, round(region.area_px * by_x * by_y)),
    )


def _enlarged(cells: NDArray[np.float32], cell_px: int) -> NDArray[np.float32]:
    rows, columns = cells.shape
    return np.asarray(
        cv2.resize(cells, (columns * cell_px, rows * cell_px), interpolation=cv2.INTER_LINEAR), np.float32
    )

"""One-class inspection of an image of any size: map, score and findings.

A picture of up to 512 pixels is brought to one size before the network sees it, a larger one is shrunk as its tiles
would be: parts and strips of any size then fill the network's view alike. What is seen is looked at in overlapping
tiles, mirrored at its borders; only the inner part of each tile's answer counts.
The map has one value per cell of some pixels, for 20,000 x 20,000 pixels still a few megabytes; the map at image
resolution is made when asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle
from line.errors import FrameError
from vision.session import ComputeProvenance, ModelSession, Provider

IMAGE_THRESHOLD = "image"
REGION_THRESHOLD = "region"
SCORE_CELLS = 12
"""An image's score is the mean of its so many highest cells: steadier than the one highest, blind to image size."""
ONE_CLASS_SCORE_CELLS = 48
"""The same for one-class models; their cells are smaller."""
MARGIN_PX = 64
"""What a tile shows beyond the part that counts."""
TILE_PX = 512
"""Side of the part that counts; larger tiles gain less than 5 % and take more memory."""
LARGEST_ENLARGEMENT = 2.0
"""Of a small picture; more would show the network nothing but blur."""


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
    """Height and width of what the network saw of it."""
    score: float
    threshold: float
    """An image whose score is above is not like good film."""
    region_threshold: float
    regions: tuple[Region, ...]
    """Highest score first."""
    provenance: ComputeProvenance

    @property
    def is_anomalous(self) -> bool:
        return self.score > self.threshold

    @property
    def score_map(self) -> NDArray[np.float32]:
        """The map at image resolution, shape (height, width); made anew at each call, four bytes a pixel."""
        return whole_map(self.cells, self.cell_px, self.seen_shape, self.shape)


class AnomalyInspector:
    """A one-class model, open. A context manager; one thread at a time."""

    def __init__(self, bundle: Bundle, provider: Provider = "auto") -> None:
        """Open the model.

        Raises:
            BundleError: the bundle is no one-class film model or lacks a threshold.
            ProviderError: ``provider="cuda"`` without CUDA.
        """
        bundle.require_fit(task="film-one-class")
        self._threshold = bundle.threshold(IMAGE_THRESHOLD).value
        self._region_threshold = bundle.threshold(REGION_THRESHOLD).value
        output = bundle.manifest.outputs[0]
        self._output, self._cell_px = output.tensor, output.stride_px
        self._multiple_px = bundle.manifest.input.multiple_px
        self._view_px = bundle.manifest.input.view_px
        self._session = ModelSession(bundle, provider)

    def inspect(self, image: NDArray[np.uint8]) -> AnomalyResult:
        """Inspect a grey image.

        Args:
            image: shape (height, width), uint8, at least one cell high and wide.

        Raises:
            FrameError: not grey, not 8 bit, or too small.
        """
        require_grey(image, self._cell_px)
        view = seen(image, self._view_px)
        cells = mapped(view, self._answer, self._cell_px, self._multiple_px)[0]
        shape = (image.shape[0], image.shape[1])
        found = regions(cells, self._cell_px, self._region_threshold, view.shape)
        return AnomalyResult(
            cells=cells,
            cell_px=self._cell_px,
            shape=shape,
            seen_shape=(view.shape[0], view.shape[1]),
            score=image_score(cells, ONE_CLASS_SCORE_CELLS),
            threshold=self._threshold,
            region_threshold=self._region_threshold,
            regions=tuple(_placed(region, view.shape, shape) for region in found),
            provenance=self._session.provenance,
        )

    def _answer(self, tile: NDArray[np.uint8]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = self._session.run(tile)[self._output][0]
        return answer

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


def seen(image: NDArray[np.uint8], view_px: int | None) -> NDArray[np.uint8]:
    """The image as the network looks at it.

    Training and inspection both see images through this function and ``mapped``.

    Args:
        view_px: what the long side of an image, or of a tile of a larger one, is brought to; none leaves it as it is.
    """
    if view_px is None:
        return image
    scale = min(view_px / min(max(image.shape), TILE_PX), LARGEST_ENLARGEMENT)
    height, width = (max(1, round(size * scale)) for size in image.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def mapped(
    image: NDArray[np.uint8],
    answer: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    cell_px: int,
    multiple_px: int,
) -> NDArray[np.float32]:
    """A network's answer for a whole image, put together from its tiles.

    Args:
        answer: from a tile, shape (1, 1, height, width), to its map, shape (channels, rows, columns).
        cell_px: pixels per cell of that map; divides ``MARGIN_PX``.
        multiple_px: height and width of a tile are multiples of this.

    Returns:
        Shape (channels, ceil(height / cell_px), ceil(width / cell_px)).
    """
    height, width = image.shape
    margin = MARGIN_PX // cell_px
    bands = []
    for top in range(0, height, TILE_PX):
        rows = _mirrored(top - MARGIN_PX, min(TILE_PX, height - top), height, multiple_px)
        parts = []
        for left in range(0, width, TILE_PX):
            columns = _mirrored(left - MARGIN_PX, min(TILE_PX, width - left), width, multiple_px)
            tile = np.ascontiguousarray(image[rows[:, None], columns])
            inner = answer(tile[None, None])[:, margin:, margin:]
            parts.append(inner[:, : _cells(height - top, cell_px), : _cells(width - left, cell_px)])
        bands.append(np.concatenate(parts, axis=2))
    return np.concatenate(bands, axis=1)


def _cells(length_px: int, cell_px: int) -> int:
    return -(-min(length_px, TILE_PX) // cell_px)


def image_score(cells: NDArray[np.float32], count: int = SCORE_CELLS) -> float:
    """Mean of the so many highest cells."""
    values = cells.ravel()
    count = min(count, values.size)
    return float(np.partition(values, values.size - count)[values.size - count :].mean())


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


def _mirrored(start: int, length: int, size: int, multiple: int) -> NDArray[np.intp]:
    """Indices from ``start`` over ``length`` and two margins, up to a multiple, mirrored at both ends of an axis."""
    total = -(-(length + 2 * MARGIN_PX) // multiple) * multiple
    indices = np.arange(start, start + total)
    if size == 1:
        return np.zeros(total, np.intp)
    period = 2 * (size - 1)
    folded = np.abs(indices) % period
    return np.asarray(np.minimum(folded, period - folded), np.intp)

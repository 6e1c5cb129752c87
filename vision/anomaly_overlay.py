"""The picture that people look at: the image with its anomaly map, findings and verdict."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.anomaly import AnomalyResult

# Blue, green, red. Amber to white over grey film: red is left to what rejects.
_WARM = np.array([(0, 60, 170), (0, 140, 245), (60, 220, 255), (220, 250, 255)], np.float32)
_REJECT = (60, 60, 235)
_CALM = (190, 190, 190)
_INK = (245, 245, 245)
_PAPER = 28
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE = 0.45
_BANNER_PX = 52
_SMALLEST_WIDTH_PX = 420
_LARGEST_SIDE_PX = 2400
_BOXES = 5


def anomaly_overlay(image: NDArray[np.uint8], result: AnomalyResult) -> NDArray[np.uint8]:
    """The image with heat and outlines where it is unlike good film, its verdict and both limits above.

    The five strongest places have a box with their score, the others an outline.

    Small images are enlarged by a whole factor, those longer than 2,400 px shrunk, so that text and lines stay
    readable. Good places keep the grey of the image.

    Args:
        image: shape (height, width), uint8, the one that was inspected.

    Returns:
        Blue, green, red, shape (rows, columns, 3), uint8.
    """
    height, width = image.shape
    scale = _LARGEST_SIDE_PX / max(height, width)
    if scale >= 1:
        scale = float(min(int(scale), -(-_SMALLEST_WIDTH_PX // width)))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    grey = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    heat = _resized_map(result, size)
    shown = _heated(np.asarray(grey, np.uint8), heat, result.region_threshold)
    above = (heat > result.region_threshold).astype(np.uint8)
    for region in result.regions[_BOXES:]:
        left, top = int(region.x_px * scale), int(region.y_px * scale)
        right, bottom = int((region.x_px + region.width_px) * scale), int((region.y_px + region.height_px) * scale)
        place = above[top : bottom + 1, left : right + 1]
        if not place.any():
            # The map is sampled at the size shown, which can pass beside a small peak.
            place[:] = 1
    outlines, _ = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, outlines, -1, (255, 255, 255), 1, cv2.LINE_AA)
    for region in result.regions[:_BOXES]:
        _box(shown, [region.x_px, region.y_px, region.width_px, region.height_px], scale, f"{region.score:.1f}")
    missing = max(0, _SMALLEST_WIDTH_PX - shown.shape[1])
    padded = np.pad(shown, ((0, 0), (0, missing), (0, 0)), constant_values=_PAPER)
    return np.vstack([_banner(padded.shape[1], result), padded])


def _resized_map(result: AnomalyResult, size: tuple[int, int]) -> NDArray[np.float32]:
    """The map at the size of the picture, by way of its cells: an image of gigapixels never has a map that large."""
    columns, rows = size
    step_x = result.seen_shape[1] / columns / result.cell_px
    step_y = result.seen_shape[0] / rows / result.cell_px
    x = ((np.arange(columns, dtype=np.float32) + 0.5) * step_x - 0.5).astype(np.float32)
    y = ((np.arange(rows, dtype=np.float32) + 0.5) * step_y - 0.5).astype(np.float32)
    # remap addresses at most 32,767 cells an axis, which is 260,000 pixels.
    grid_x, grid_y = np.meshgrid(x, y)
    heat = cv2.remap(result.cells, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(heat, np.float32)


def _heated(grey: NDArray[np.uint8], heat: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Colour laid over grey from half the threshold on, full at one and a half times."""
    strength = np.clip((heat - 0.5 * threshold) / max(threshold, 1e-6), 0, 1)
    position = strength * (len(_WARM) - 1)
    low = np.minimum(position.astype(np.intp), len(_WARM) - 2)
    part = (position - low)[..., None]
    colour = _WARM[low] * (1 - part) + _WARM[low + 1] * part
    cover = (0.6 * np.sqrt(strength))[..., None]
    return np.asarray(np.round(grey[..., None] * (1 - cover) + colour * cover), np.uint8)


def _box(shown: NDArray[np.uint8], box_px: list[int], scale: float, label: str) -> None:
    left, top, width, height = (round(value * scale) for value in box_px)
    corners = (max(0, left - 3), max(0, top - 3)), (left + width + 2, top + height + 2)
    cv2.rectangle(shown, *corners, (20, 20, 20), 3, cv2.LINE_AA)
    cv2.rectangle(shown, *corners, _REJECT, 1, cv2.LINE_AA)
    (text_width, text_height), _ = cv2.getTextSize(label, _FONT, 0.42, 1)
    x = min(corners[0][0], shown.shape[1] - text_width - 6)
    y = corners[0][1] - 1 if corners[0][1] > text_height + 8 else min(corners[1][1] + text_height + 7, shown.shape[0])
    cv2.rectangle(shown, (x, y - text_height - 7), (x + text_width + 6, y), _REJECT, cv2.FILLED)
    cv2.putText(shown, label, (x + 3, y - 4), _FONT, 0.42, _INK, 1, cv2.LINE_AA)


def _banner(width: int, result: AnomalyResult) -> NDArray[np.uint8]:
    banner = np.full((_BANNER_PX, width, 3), _PAPER, np.uint8)
    colour = _REJECT if result.is_anomalous else _CALM
    cv2.rectangle(banner, (0, 0), (6, _BANNER_PX), colour, cv2.FILLED)
    word = "UNLIKE GOOD" if result.is_anomalous else "like good"
    role = "" if result.places_reject else ", which only marks"
    limits = f"limits: score {result.threshold:.2f}, place {result.region_threshold:.2f}{role}"
    calm = f"score {result.score:.2f}, highest place {float(result.cells.max()):.2f}"
    for text, bottom in ((f"{word}   {limits}", 20), (result.reason or calm, 42)):
        (text_width, _), _ = cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)
        scale = _FONT_SCALE * min(1.0, (width - 24) / text_width)
        cv2.putText(banner, text, (16, bottom), _FONT, scale, _INK, 1, cv2.LINE_AA)
    return banner

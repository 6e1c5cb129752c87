"""The picture a person checks an X-ray result with: the whole view beside the free ends enlarged."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.xray import XrayStack

_HEIGHT_PX = 1000
_TEXT_ROWS_PX = 150
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MINT = (170, 230, 60)
_AMBER = (40, 170, 255)
_RED = (70, 70, 250)
_PAPER = (28, 24, 22)
_INK = (235, 235, 235)
_DIM = (150, 150, 150)


def xray_overlay(image: NDArray[np.uint8], result: XrayStack) -> NDArray[np.uint8]:
    """Draw a result: left the whole picture with the region, right the region enlarged with tips and a summary.

    Args:
        image: shape (height, width), grey, the picture that was inspected.

    Returns:
        Shape (1000, w, 3), uint8, BGR as ``cv2.imwrite`` expects.
    """
    whole = _whole(image, result)
    enlarged = _enlarged(image, result)
    text = _summary(result, enlarged.shape[1])
    right = np.vstack([enlarged, text])
    rule = np.full((_HEIGHT_PX, 4, 3), _PAPER, np.uint8)
    return np.ascontiguousarray(np.hstack([whole, rule, right]))


def _confidence_colour(confidence: float) -> tuple[int, int, int]:
    if confidence >= 0.75:
        return _MINT
    return _AMBER if confidence >= 0.5 else _RED


def _resized(part: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    way = cv2.INTER_AREA if height < part.shape[0] else cv2.INTER_CUBIC
    grey = cv2.resize(part, (width, height), interpolation=way)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def _whole(image: NDArray[np.uint8], result: XrayStack) -> NDArray[np.uint8]:
    zoom = _HEIGHT_PX / image.shape[0]
    canvas = _resized(image, max(1, round(image.shape[1] * zoom)), _HEIGHT_PX)
    roi = result.roi
    corner = (round(roi.x0 * zoom), round(roi.y0 * zoom))
    cv2.rectangle(canvas, corner, (round(roi.x1 * zoom) - 1, round(roi.y1 * zoom) - 1), _MINT, 1, cv2.LINE_AA)
    points = ((result.tips + 0.5) * zoom - 0.5) * 16
    cv2.polylines(canvas, [np.round(points).astype(np.int32)], False, _AMBER, 1, cv2.LINE_AA, 4)
    return canvas


def _enlarged(image: NDArray[np.uint8], result: XrayStack) -> NDArray[np.uint8]:
    roi = result.roi
    height = _HEIGHT_PX - _TEXT_ROWS_PX
    zoom = height / (roi.y1 - roi.y0)
    width = min(max(round((roi.x1 - roi.x0) * zoom), 360), 900)
    canvas = np.full((height, width, 3), _PAPER, np.uint8)
    part = _resized(image[roi.y0 : roi.y1, roi.x0 : roi.x1], round((roi.x1 - roi.x0) * zoom), height)[:, :width]
    left = (width - part.shape[1]) // 2
    canvas[:, left : left + part.shape[1]] = part
    to_body = -1 if result.body_side == "left" else 1
    tick = max(4, round(0.9 * result.spacing_px * zoom))
    for number, (x, y) in enumerate(result.tips, start=1):
        at = (left + round((x - roi.x0 + 0.5) * zoom), round((y - roi.y0 + 0.5) * zoom))
        labelled = number % 5 == 0 or number in {1, result.plates_count}
        colour = _AMBER if labelled else _MINT
        cv2.line(canvas, at, (at[0] + to_body * tick, at[1]), colour, 1, cv2.LINE_AA)
        cv2.circle(canvas, at, 4, colour, 1, cv2.LINE_AA)
        if labelled:
            _label(canvas, str(number), (at[0] - to_body * 14, at[1] + 5), rightwards=to_body < 0)
    return canvas


def _label(canvas: NDArray[np.uint8], text: str, at: tuple[int, int], *, rightwards: bool) -> None:
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.5, 1)
    x = at[0] if rightwards else at[0] - width
    cv2.rectangle(canvas, (x - 3, at[1] - height - 3), (x + width + 3, at[1] + 4), _PAPER, cv2.FILLED)
    cv2.putText(canvas, text, (x, at[1]), _FONT, 0.5, _AMBER, 1, cv2.LINE_AA)


def _summary(result: XrayStack, width: int) -> NDArray[np.uint8]:
    canvas = np.full((_TEXT_ROWS_PX, width, 3), _PAPER, np.uint8)
    colour = _confidence_colour(result.confidence)
    cv2.putText(canvas, f"{result.plates_count} plates", (14, 34), _FONT, 0.9, _INK, 2, cv2.LINE_AA)
    sure = f"confidence {result.confidence:.2f}"
    (sure_width, _), _ = cv2.getTextSize(sure, _FONT, 0.55, 1)
    cv2.putText(canvas, sure, (width - sure_width - 14, 32), _FONT, 0.55, colour, 1, cv2.LINE_AA)
    figures = (
        f"spread {result.overhang_spread_px:.1f} px   spacing {result.spacing_px:.1f} px   body {result.body_side}"
    )
    cv2.putText(canvas, figures, (14, 60), _FONT, 0.45, _INK, 1, cv2.LINE_AA)
    lines = [line for note in result.notes for line in _wrapped(note, width - 28)]
    fitting = lines if len(lines) <= 5 else [*lines[:4], f"and {len(lines) - 4} more lines in the result"]
    for row, line in enumerate(fitting):
        cv2.putText(canvas, line, (14, 82 + 15 * row), _FONT, 0.38, _DIM, 1, cv2.LINE_AA)
    return canvas


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and cv2.getTextSize(longer, _FONT, 0.38, 1)[0][0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines

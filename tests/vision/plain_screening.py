"""Screening as one would write it down: whole planes in float, one step after the other, nothing cut or shared.

The product's must find the same. Only what is learnt, and the lines along the web, are taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.gates import Gates
from vision.streaks import StreakMemory, lines_along

Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class PlainResult:
    """Boxes in pixels with the strength of each, and what the strip was judged under."""

    strengths: dict[Box, float]
    crowded: bool
    gain: Floats


def plainly_screened(planes: NDArray[np.uint8], gates: Gates, memory: StreakMemory) -> PlainResult:
    """Screen a strip."""
    quarters = [_quarter(plane) for plane in planes]
    gain = gates.light(quarters)
    changes = [
        np.asarray(plane / (level * factor) - 1, np.float32)
        for plane, level, factor in zip(quarters, gates.quarter_level, gain, strict=True)
    ]
    for change in changes:
        change[:, : gates.margin] = change[:, change.shape[1] - gates.margin :] = 0
    for change in changes:
        change[:, : gates.margin] = change[:, change.shape[1] - gates.margin :] = 0
    blocks = np.stack([
        np.stack([part.mean(axis=0) for part in np.array_split(change, min(8, len(change)))]) for change in changes
    ]).astype(np.float32)
    memory.add(np.stack([_profile(means, gates.margin) for means in blocks]), blocks)
    lines = lines_along(memory, gates, planes.shape[1])
    memory.held = [(line.start, line.end) for line in lines]
    fine, coarse = _strengths(changes, gates, memory.held)
    outside = _pixels(planes, gates, gain, fine.shape)
    for start, end in memory.held:
        outside[:, max(0, start - 3) : end + 3] = False
    fine = np.where(outside, np.maximum(fine, np.float32(1.01)), fine)
    step = 4 if len(fine) >= 4 else 1
    margin, rounded = gates.margin, -(-gates.margin // step) * step
    left_out = fine.shape[1] // step * step - rounded
    fine[:, :margin] = fine[:, fine.shape[1] - margin :] = 0
    if margin:
        coarse[:, :rounded] = coarse[:, left_out:] = 0
    found: dict[Box, float] = {
        (0, planes.shape[1] // 4 * 4, 4 * line.start, 4 * line.end): line.strength for line in lines
    }
    crowded = bool(np.mean((fine > 1) | (coarse > 1)) > 0.25)
    return PlainResult(found if crowded else found | _boxes(fine, coarse), crowded, gain)


def _quarter(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    for _ in range(2):
        rows, columns = (size // 2 for size in plane.shape)
        whole = plane[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).astype(np.uint16)
        plane = ((whole.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)
    return plane


def _profile(means: Floats, margin: int) -> Floats:
    columns = np.median(means, axis=0).astype(np.float32)
    judged = columns[margin : columns.size - margin]
    steps = max(1, judged.size // 8)
    slow = _running_median(cv2.resize(judged[None], (steps, 1), interpolation=cv2.INTER_AREA)[0], 31, "odd")
    smooth = cv2.resize(slow[None], (judged.size, 1), interpolation=cv2.INTER_LINEAR)[0]
    return np.asarray(np.pad(judged - smooth, margin), np.float32)


def _running_median(values: Floats, window: int, reflect_type: Literal["even", "odd"] = "even") -> Floats:
    half = min(window // 2, values.size - 1)
    padded = np.pad(values, half, mode="reflect", reflect_type=reflect_type)
    return np.array([np.median(padded[k : k + 2 * half + 1]) for k in range(values.size)], np.float32)


def _shrunk(image: Floats, factor: int) -> Floats:
    rows, columns = (max(1, size // factor) for size in image.shape)
    tall, wide = (min(factor, size) for size in image.shape)
    return np.asarray(image[: rows * tall, : columns * wide].reshape(rows, tall, columns, wide).mean(axis=(1, 3)))


def _enlarged(image: Floats, shape: tuple[int, ...], factor: int) -> Floats:
    rows, columns = (np.minimum(np.arange(n) // factor, m - 1) for n, m in zip(shape, image.shape, strict=True))
    return image[np.ix_(rows, columns)]


def _strengths(changes: list[Floats], gates: Gates, streaks: list[tuple[int, int]]) -> tuple[Floats, Floats]:
    shape = changes[0].shape
    fine, coarse = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    step = 4 if shape[0] >= 4 else 1
    for change, sigmas, limits in zip(changes, gates.look.scale_sigma, gates.limits.scale, strict=True):
        flat, lost = change.copy(), np.zeros(shape[1], np.float32)
        for start, end in streaks:
            beside = slice(max(0, start - 3), end + 3)
            line = np.median(flat[:, beside], axis=0)
            flat[:, beside] -= line
            lost[beside] = np.maximum(lost[beside], np.abs(line).max())
        near = flat - cv2.blur(flat.astype(np.float64), (63, 31))
        mean = cv2.blur(near, (3, 3), borderType=cv2.BORDER_CONSTANT)
        eighth = _shrunk(flat, 8)
        maps = (near, mean, _shrunk(near, step), eighth - _running_median(eighth.mean(axis=0), 31))
        for number, (image, factor) in enumerate(zip(maps, (1, 1, step, 8), strict=True)):
            own = lost
            if factor > 1:
                reach = np.array([lost[max(0, k - factor) : k + factor + 1].max() for k in range(lost.size)])
                own = reach[np.minimum(np.arange(image.shape[1]) * factor + factor // 2, lost.size - 1)]
            limit = sigmas[number] * limits[number]
            ratio = np.asarray(np.abs(image) / (limit + 1.5 * own), np.float32)
            if number < 2:
                fine = np.maximum(fine, ratio)
            else:
                coarse = np.maximum(coarse, _enlarged(ratio, shape, factor))
    return fine, coarse


def _pixels(planes: NDArray[np.uint8], gates: Gates, gain: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, np.bool_)
    for channel, plane in enumerate(planes):
        low, high = gates.columns(channel, float(gain[channel]))
        rows, columns = np.nonzero((plane < low) | (plane > high))
        mask[np.minimum(rows // 4, shape[0] - 1), np.minimum(columns // 4, shape[1] - 1)] = True
    return mask


def _boxes(fine: Floats, coarse: Floats) -> dict[Box, float]:
    clouds = cv2.morphologyEx((coarse > 1).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)) > 0
    found: dict[Box, float] = {}
    for inside in _parts((fine > 1) | clouds):
        strongest_fine, strongest_coarse = fine[inside].max(), coarse[inside].max()
        if strongest_coarse > strongest_fine or strongest_coarse <= 1:
            found[_box(inside)] = max(strongest_fine, strongest_coarse)
        else:
            found |= {_box(part): fine[part].max() for part in _parts((fine > 1) & inside)}
    return found


def _parts(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    joined = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    return [mask & (labels == label) for label in range(1, count)]


def _box(inside: NDArray[np.bool_]) -> Box:
    ends = []
    for axis, size in ((1, inside.shape[0]), (0, inside.shape[1])):
        places = np.flatnonzero(inside.any(axis=axis))
        first, last = int(places[0]), int(places[-1])
        ends += [0 if first <= 1 else 4 * first, 4 * size if last >= size - 2 else 4 * (last + 1)]
    return ends[0], ends[1], ends[2], ends[3]

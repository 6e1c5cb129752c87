"""How the members of a one-class model look at a picture of any size, and how their answers become one.

A picture is cut into equal parts of about `PART_PX`, most pictures into one. Each member sees a part in its own size:
what is unusual about a part as a whole shows in a small view, a crack in the part as it is. Where there are several
parts, a member sees some of the neighbours too, and only its answers inside the part count.

A member's answers are brought to the mean 0 and spread 1 that they have on good film before they are averaged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from line.bundle import EnsembleMember, InputSpec, Manifest

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]

PART_PX = 512
"""Long side of a part, about: a picture of up to one and a half times as much is not cut."""
MARGIN_PX = 64
"""What a member sees of neighbouring parts."""
CELL_PX = 4
"""Pixels per cell of the common map, in the view of the map."""
SMALLEST_PICTURE_PX = 48
"""Shortest side of a picture that is learnt from or judged: what good film is was never set for smaller ones."""
LARGEST_ENLARGEMENT = 2.0
"""Of a small picture; more would show a member nothing but blur."""
SMALLEST_VIEW_PX = 32
"""A view with a shorter side is mirrored up to it, so that every filter fits in."""

Answer = Callable[[Mapping[str, Grey]], Mapping[str, Floats]]
"""From views by input, shape (n, 1, height, width), to answers by output, shape (n, 1, rows, columns)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a picture and what is shown of its surroundings; rows and columns in pixels."""

    inner: tuple[slice, slice]
    outer: tuple[slice, slice]

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.inner
        return int(rows.stop - rows.start), int(columns.stop - columns.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAnswer:
    """What one member says of one part and its surroundings."""

    cells: Floats
    """Shape (rows, columns)."""
    cell_px: float
    """Pixels of the picture per cell."""
    score: float
    """Mean of the highest cells inside the part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAnswers:
    """What all members say of one part."""

    part: Part
    answers: tuple[MemberAnswer, ...]


def picture_parts(shape: tuple[int, ...]) -> list[Part]:
    """Equal parts, row by row."""
    rows, columns = (_cuts(size) for size in shape)
    return [
        Part(inner=(row, column), outer=(_wider(row, shape[0]), _wider(column, shape[1])))
        for row, column in itertools.product(rows, columns)
    ]


def scale_of(shape: tuple[int, ...], view_px: int | None) -> float:
    """By how much a part of this shape is enlarged, or shrunk, for a member."""
    return 1.0 if view_px is None else min(view_px / max(shape), LARGEST_ENLARGEMENT)


def shown(image: Grey, scale: float, multiple_px: int) -> Grey:
    """The image in another size, mirrored at the right and bottom up to a multiple."""
    size = _size(image.shape, scale)
    if size != image.shape:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size[::-1], interpolation=how), np.uint8)
    below, beside = (max(-(-side // multiple_px) * multiple_px, SMALLEST_VIEW_PX) - side for side in size)
    return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_REFLECT_101), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """The members of a model, and what they look at."""

    members: tuple[EnsembleMember, ...]
    views: Mapping[str, InputSpec]
    strides_px: Mapping[str, int]
    """Pixels of a view per cell of an answer, by output."""


def ensemble_of(manifest: Manifest) -> Ensemble:
    return Ensemble(
        members=manifest.members,
        views={spec.tensor: spec for spec in manifest.inputs},
        strides_px={output.tensor: output.stride_px for output in manifest.outputs},
    )


def part_answers(image: Grey, ensemble: Ensemble, answer: Answer) -> list[PartAnswers]:
    """What each member says of each part.

    Args:
        image: shape (height, width).
    """
    return [
        PartAnswers(part=part, answers=_answers(image[part.outer], part, ensemble, answer))
        for part in picture_parts(image.shape)
    ]


def views_of(crop: Grey, shape: tuple[int, ...], views: Mapping[str, InputSpec]) -> dict[str, Grey]:
    """What a network is shown of a part, by input.

    Args:
        crop: the part with its surroundings.
        shape: of the part itself.
    """
    found = {}
    for name, spec in views.items():
        scale = scale_of(shape, spec.view_px)
        ways = [crop, np.ascontiguousarray(crop[:, ::-1])] if spec.mirrored else [crop]
        found[name] = np.stack([shown(way, scale, spec.multiple_px) for way in ways])[:, None]
    return found


def combined_score(answered: Sequence[PartAnswers], members: Sequence[EnsembleMember]) -> float:
    """Of the worst part: the mean of the members' standardised scores, by weight."""
    weights = sum(member.weight for member in members)
    return max(
        sum(
            member.weight * (said.score - member.score_mean) / member.score_deviation
            for said, member in zip(each.answers, members, strict=True)
        )
        / weights
        for each in answered
    )


def combined_map(
    shape: tuple[int, ...], answered: Sequence[PartAnswers], members: Sequence[EnsembleMember], view_px: int
) -> Floats:
    """The mean of the members' standardised cells, by map weight, in cells of `CELL_PX` in a view of this size.

    Args:
        shape: of the picture.
    """
    per_px = scale_of(answered[0].part.shape, view_px) / CELL_PX
    total = np.zeros(tuple(max(1, round(size * per_px)) for size in shape), np.float32)
    weights = sum(member.map_weight for member in members)
    for each in answered:
        window = tuple(_scaled(side, per_px, count) for side, count in zip(each.part.inner, total.shape, strict=True))
        for said, member in zip(each.answers, members, strict=True):
            if member.map_weight:
                spread = (_spread(said, each.part, window, per_px) - member.cell_mean) / member.cell_deviation
                total[window] += np.float32(member.map_weight / weights) * spread
    return total


def highest_mean(cells: Floats, count: int) -> float:
    """Mean of the so many highest cells: steadier than the one highest, blind to image size."""
    values = cells.ravel()
    count = min(count, values.size)
    return float(np.partition(values, values.size - count)[values.size - count :].mean())


def _answers(crop: Grey, part: Part, ensemble: Ensemble, answer: Answer) -> tuple[MemberAnswer, ...]:
    found = answer(views_of(crop, part.shape, ensemble.views))
    said = []
    for member in ensemble.members:
        spec, stride = ensemble.views[member.input], ensemble.strides_px[member.tensor]
        scale = scale_of(part.shape, spec.view_px)
        # What was added at the right and bottom is no part of the picture.
        rows, columns = (-(-size // stride) for size in _size(crop.shape, scale))
        cells = found[member.tensor][0, 0, :rows, :columns]
        if spec.mirrored:
            cells = 0.5 * (cells + found[member.tensor][1, 0, :rows, :columns][:, ::-1])
        score = highest_mean(_inside(cells, part, stride / scale), member.highest_count)
        said.append(MemberAnswer(cells=cells, cell_px=stride / scale, score=score))
    return tuple(said)


def _inside(cells: Floats, part: Part, cell_px: float) -> Floats:
    """The cells of the part itself, at least one."""
    window = tuple(
        _scaled(slice(inner.start - outer.start, inner.stop - outer.start), 1 / cell_px, count)
        if inner != outer
        else slice(0, count)
        for inner, outer, count in zip(part.inner, part.outer, cells.shape, strict=True)
    )
    return cells[window]


def _spread(said: MemberAnswer, part: Part, window: tuple[slice, ...], per_px: float) -> Floats:
    """A member's cells at the centres of the map's cells in a window."""
    step = 1 / (per_px * said.cell_px)
    turn = [
        [step, 0.0, (window[1].start + 0.5) * step - part.outer[1].start / said.cell_px - 0.5],
        [0.0, step, (window[0].start + 0.5) * step - part.outer[0].start / said.cell_px - 0.5],
    ]
    size = window[1].stop - window[1].start, window[0].stop - window[0].start
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cells = cv2.warpAffine(said.cells, np.array(turn), size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cells, np.float32)


def _size(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _scaled(side: slice, scale: float, count: int) -> slice:
    """At least one of so many."""
    start = min(round(side.start * scale), count - 1)
    return slice(start, max(start + 1, min(round(side.stop * scale), count)))


def _cuts(size: int) -> list[slice]:
    count = max(1, round(size / PART_PX))
    return [slice(size * place // count, size * (place + 1) // count) for place in range(count)]


def _wider(inner: slice, size: int) -> slice:
    return slice(max(0, inner.start - MARGIN_PX), min(size, inner.stop + MARGIN_PX))

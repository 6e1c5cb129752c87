"""Labelled patches to train the classifier of candidates on: rendered film, seen through the very code that inspects.

Targets of every class are drawn into strips, the strips are screened as on the line, and each spot that screening
finds is cut out as vision cuts it. So patches have the placing, the scale and the normalisation that the classifier
will meet, `clean` holds what screening is really mistaken about, and what screening cannot see is not learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from line.defect_rows import DefectClass
from line.model import LineModel
from models.film_forms import Target
from models.film_looks import Stamp, place_px, stamp
from models.film_strips import STRIP_LINES, Film
from models.film_styles import TRAINED, Family, FilmStyle, drawn_style
from vision.candidates import CHANNELS, CLEAN, patch
from vision.gates import Gates, learnt_look, limits_for
from vision.screening import Screened, Spot, StreakMemory, screened

PIXEL_UM = 20.0
WIDTH_PX = 3072
LEARNT_STRIPS = 8

_STRIPS = 16
_OVERSAMPLED = 0.6
_GAP_PX = 140
"""Between targets, so that each spot is one target's."""
_FAINTEST = (0.02, 0.06, 0.03)
"""Relative change by channel from which a pixel counts as part of a target."""
_LARGEST_UM = 16_000.0
_MARGIN_PX = 6
_LARGE = frozenset({"THK", "DIS", "BLI", "WRK"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Spots of a roll as the classifier sees them."""

    images: NDArray[np.uint8]
    """Shape (n, channels, 64, 64)."""
    kinds: tuple[str, ...]
    """Class code, or `clean`."""
    sizes_um: NDArray[np.float32]
    """Of the target; 0 for `clean`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """A film, what lies in it, and the gates learnt from its sound beginning."""

    film: Film
    stamps: tuple[Stamp, ...]
    gates: Gates
    pixel_um: float = PIXEL_UM
    channels: tuple[str, ...] = CHANNELS
    """Of the camera, which sees nothing in the others."""

    @property
    def planes(self) -> list[int]:
        """Numbers of the film's planes that the camera sees."""
        return [CHANNELS.index(name) for name in self.channels]

    @property
    def camera_pixels(self) -> int:
        """Pixels of the camera along a pixel of a patch."""
        return max(1, round(PIXEL_UM / self.pixel_um))


def event_classes(line: LineModel) -> tuple[DefectClass, ...]:
    """Classes that are single events, in the order of the line model."""
    return tuple(row for row in line.defects if row.measured_as == "event")


def drawn_size_um(row: DefectClass, rng: np.random.Generator, *, oversampled: bool) -> float:
    """A size at random: as on the line, or evenly over where detection matters.

    Args:
        oversampled: from 0.6 of the published a50 to twice the larger of killing and reject size, evenly in ln size.
    """
    low, high = row.min_um or 1.0, _LARGEST_UM
    if not oversampled:
        size = (row.median_um or low) * np.exp((row.sigma_ln or 0) * rng.standard_normal())
    else:
        a50 = row.pod_a50_um or low
        low = max(0.6 * a50, 0.5 * low)
        size = np.exp(rng.uniform(np.log(low), np.log(2 * max(row.kill_d50_um or a50, row.reject_um or a50))))
    return float(np.clip(size, low, high))


def drawn_target(
    row: DefectClass, size_um: float, line_px: float, column_px: float, rng: np.random.Generator
) -> Target:
    """A target of a class and size at a place, its angle, strength and length at random."""
    match row.code:
        case "STR":
            angle, extent = 0.0, float(np.exp(rng.uniform(np.log(10e3), np.log(80e3))))
        case "SCR":
            angle, extent = (
                rng.normal(0, 0.02),
                float(np.clip(size_um * (row.aspect or 80), 600, 20e3)) * rng.uniform(0.3, 1.5),
            )
        case "WRK":
            angle, extent = rng.normal(0, 0.6) if rng.random() < 0.6 else rng.uniform(0, np.pi), 0.0
        case "THK":
            angle, extent = rng.choice((0.0, np.pi / 2)) + rng.normal(0, 0.1), 0.0
        case "CRK":
            angle, extent = (rng.normal(np.pi / 2, 0.2) if rng.random() < 0.4 else rng.uniform(0, np.pi)), 0.0
        case _:
            angle, extent = rng.uniform(0, np.pi), 0.0
    return Target(
        kind=row.code, size_um=size_um, line_px=line_px, column_px=column_px, extent_um=extent, angle_rad=float(angle),
        strength=float(np.clip(rng.lognormal(0, 0.2), 0.6, 1.6)), seed=int(rng.integers(2**31)),
    )  # fmt: skip


def drawn_roll(
    rows: Sequence[DefectClass],
    shares: Mapping[str, float],
    rng: np.random.Generator,
    *,
    candidates_per_m2: float,
    streaks_per_m2: float,
    style: FilmStyle | None = None,
    families: Sequence[Family] = TRAINED,
    strips: int = _STRIPS,
    pixel_um: float = PIXEL_UM,
    tries: int = 40,
    size_of: Callable[[DefectClass, np.random.Generator], float] | None = None,
    channels: tuple[str, ...] = CHANNELS,
) -> Roll:
    """A roll with targets that do not touch each other; its first `LEARNT_STRIPS` strips are sound.

    Args:
        shares: of each class among the targets.
        candidates_per_m2: that the gates may let through on good film.
        families: of texture, to draw a style from.
        pixel_um: side of the camera's pixels on the film.
        tries: targets that are tried to be placed.
        size_of: a class's size at random; by default as on the line for four in ten, else evenly.
        channels: of the camera.
    """
    style = style or drawn_style(rng, families)
    film = Film(style, width_px=WIDTH_PX, seed=int(rng.integers(2**31)), pixel_um=pixel_um)
    seen = [CHANNELS.index(name) for name in channels]
    look = learnt_look([film.strip(STRIP_LINES * number, aged=False)[seen] for number in range(LEARNT_STRIPS)])
    limits = limits_for(look, candidates_per_m2=candidates_per_m2, streaks_per_m2=streaks_per_m2, pixel_um=pixel_um)
    first, last = STRIP_LINES * LEARNT_STRIPS, STRIP_LINES * (LEARNT_STRIPS + strips)
    stamps = placed_stamps(
        rows, shares, rng, lines=(first, last), blur_px=style.blur_px, pixel_um=pixel_um, tries=tries, size_of=size_of
    )
    gates = Gates(look, limits, pixel_um=pixel_um)
    return Roll(film=film, stamps=stamps, gates=gates, pixel_um=pixel_um, channels=channels)


def placed_stamps(
    rows: Sequence[DefectClass],
    shares: Mapping[str, float],
    rng: np.random.Generator,
    *,
    lines: tuple[int, int],
    blur_px: float,
    pixel_um: float = PIXEL_UM,
    tries: int = 40,
    size_of: Callable[[DefectClass, np.random.Generator], float] | None = None,
) -> tuple[Stamp, ...]:
    """Targets between two lines of a roll that do not touch each other; parameters as of `drawn_roll`."""
    weights = np.array([shares.get(row.code, 1.0) for row in rows])
    stamps: list[Stamp] = []
    for _ in range(tries):
        row = rows[int(rng.choice(len(rows), p=weights / weights.sum()))]
        size = size_of(row, rng) if size_of else drawn_size_um(row, rng, oversampled=rng.random() < _OVERSAMPLED)
        line_px, column_px = rng.uniform(lines[0] + 20, lines[1] - 20), rng.uniform(180, WIDTH_PX - 120)
        target = drawn_target(row, size, line_px, column_px, rng)
        top, left, height, width = place_px(target, row, pixel_um=pixel_um, blur_px=blur_px)
        box = top, top + height, left, left + width
        if top >= lines[0] - STRIP_LINES and not any(_near(box, other) for other in stamps):
            stamps.append(stamp(target, row, pixel_um=pixel_um, blur_px=blur_px))
    return tuple(stamps)


def screened_strips(
    roll: Roll, *, strips: int = _STRIPS, most_spots: int = 64
) -> Iterator[tuple[int, NDArray[np.uint8], Screened]]:
    """First line, planes and screening of each strip after the learnt ones; lamps change slowly, as they do."""
    memory = StreakMemory()
    for number in range(LEARNT_STRIPS, LEARNT_STRIPS + strips):
        first_line = STRIP_LINES * number
        if number == LEARNT_STRIPS:
            # A lamp that aged did so long ago: the followed light has arrived where it is.
            roll.gates.gain = np.array(roll.film.style.lamp, np.float32)[roll.planes]
        planes = roll.film.strip(first_line, roll.stamps)[roll.planes]
        yield first_line, planes, screened(planes, roll.gates, memory, most_spots=most_spots)


def labelled_patches(roll: Roll, *, strips: int = _STRIPS, most: int | None = None) -> Patches:
    """Every spot of a roll with the class of the target it lies on; spots that only brush a target are left out.

    Args:
        strips: after the learnt ones.
        most: patches, taken evenly over the roll when there are more.
    """
    images, kinds, sizes = [], [], []
    for first_line, planes, found in screened_strips(roll, strips=strips):
        for spot in found.spots:
            kind, size_um = _label(spot, first_line, roll.stamps, roll.planes)
            if kind:
                images.append(
                    patch(
                        planes, found, roll.gates, spot, camera_pixels=roll.camera_pixels, channels=roll.channels,
                        wanted=roll.channels,
                    )
                )  # fmt: skip
                kinds.append(kind)
                sizes.append(size_um)
    if most is not None and len(kinds) > most:
        few = np.linspace(0, len(kinds) - 1, most).astype(np.int64).tolist()
        images, kinds, sizes = ([each[number] for number in few] for each in (images, kinds, sizes))
    stacked = np.stack(images) if images else np.empty((0, len(roll.channels), 64, 64), np.uint8)
    return Patches(images=stacked, kinds=tuple(kinds), sizes_um=np.array(sizes, np.float32))


def visible(made: Stamp, rows: slice = slice(None), planes: Sequence[int] = (0, 1, 2)) -> NDArray[np.bool_]:
    """Where a target changes the film so that it could be seen, or its middle where it does nowhere.

    Args:
        planes: numbers of those that are looked at.
    """
    limits = np.array(_FAINTEST, np.float32)[list(planes), None, None]
    found = np.asarray((np.abs(made.contrast[list(planes), rows]) > limits).any(axis=0))
    if not found.any():
        found[found.shape[0] // 2, found.shape[1] // 2] = True
    return found


def overlap(
    spot: Spot, first_line: int, made: Stamp, margin_px: int = 0, planes: Sequence[int] = (0, 1, 2)
) -> tuple[float, float]:
    """Share of a target's visible part in this strip that a spot's box covers, and the spot's share inside its box."""
    rows = slice(max(first_line, made.top) - made.top, min(first_line + STRIP_LINES, made.bottom) - made.top)
    if rows.stop <= rows.start:
        return 0.0, 0.0
    seen = visible(made, rows, planes)
    top = first_line + spot.row_start - made.top - rows.start - margin_px
    left = spot.column_start - made.left - margin_px
    part = seen[
        max(0, top) : max(0, top + spot.height + 2 * margin_px),
        max(0, left) : max(0, left + spot.width + 2 * margin_px),
    ]
    inside = float(np.count_nonzero(part))
    return inside / np.count_nonzero(seen), inside / max(1, spot.height * spot.width)


def _label(spot: Spot, first_line: int, stamps: Sequence[Stamp], planes: Sequence[int]) -> tuple[str, float]:
    """Class and size of the target under a spot; an empty class when it cannot be told."""
    best, best_share = None, 0.0
    brushed = False
    for made in stamps:
        if made.top > first_line + STRIP_LINES or made.bottom < first_line:
            continue
        if made.left > spot.column_end + 40 or made.right < spot.column_start - 40:
            continue
        share, filled = overlap(spot, first_line, made, _MARGIN_PX, planes)
        large = made.target.kind in _LARGE
        if share and (filled > 0.15 and share > 0.08 if large else True):
            if filled > best_share:
                best, best_share = made, filled
        elif share or overlap(spot, first_line, made, 40, planes)[0]:
            brushed = True
    if best is not None:
        return best.target.kind, best.target.size_um
    return ("", 0.0) if brushed else (CLEAN, 0.0)


def _near(box: tuple[int, int, int, int], other: Stamp) -> bool:
    """Whether a box of first and last lines and columns comes close to a stamp."""
    top, bottom, left, right = box
    return not (
        top > other.bottom + _GAP_PX
        or bottom < other.top - _GAP_PX
        or left > other.right + _GAP_PX
        or right < other.left - _GAP_PX
    )

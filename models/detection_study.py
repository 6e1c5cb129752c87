"""What film inspection finds of targets that were drawn into rendered film, and what it reports on sound film.

Film is rendered strip by strip and goes through the very `StripInspector` that inspects on the line: it learns good
film, screens, classifies, measures, joins and judges. A target is found when a reported defect lies on it, whatever it
is called. This gives a *design* POD: film and targets are rendered. A release POD needs coupons with known holes and
wires under the real camera; the two are never mixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from line.defect_rows import DefectClass
from line.events import FilmDefect, Verdict
from line.frames import StripHeader
from line.model import Camera, LineModel
from models.detection_fit import logit_fit
from models.escapes import killers_at, size_grid_um
from models.film_looks import Stamp
from models.film_patches import LEARNT_STRIPS, PIXEL_UM, WIDTH_PX, placed_stamps, visible
from models.film_strips import STRIP_LINES, Film
from models.film_styles import FAMILIES, LEFT_OUT, TRAINED, Family, FilmStyle, drawn_style
from vision.candidates import CHANNELS, UNKNOWN, Classifier
from vision.strips import StripInspector
from vision.verdict import Finding, Judge, Judgement, worse

FALSE_ALARMS_PER_M2 = 0.5
"""Budget that the gates are set for."""
SIZES = (0.3, 3.5)
"""Sizes of a curve's targets are drawn evenly in ln(size) between these shares of the a50 that a pilot study finds;
none is smaller than the smallest of its class in table 2.2: there is no wrinkle of 20 µm."""

IN_FOCUS_PX = (0.4, 1.2)
"""Sigma of a lens that is in focus; a classifier is trained on some that are not."""
_PILOT_TARGETS, _PILOT_SIZES = 40, (0.06, 3.0)
_TARGET_STRIPS, _TRIES, _CLEAN_STRIPS = 48, 110, 200
_LAMP_STRIPS = 30
"""After a lamp has jumped, until its light is followed."""
_NEAR_UM, _BESIDE_UM = 80.0, 1_300.0
"""A defect this near to a target, along and across, still lies on it. Places are told on the web, whose wandering
inspection follows by up to 1.2 mm, rightly or not; targets lie where the camera sees them, farther from each other."""
_MOST_CANDIDATES = 200
_ROLL = "study"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Film and camera that a study is made under."""

    name: str
    families: tuple[Family, ...] = TRAINED
    pixel_um: float = PIXEL_UM
    lamp: float = 1.0
    """Against the light under which the film was learnt, in all channels."""
    blur_px: float | None = None
    wander_px: float = 0.0
    speck_rate: float = 0.0
    flicker_rate: float = 0.0
    bordered: bool = False

    def style(self, rng: np.random.Generator) -> FilmStyle:
        """A style at random under these conditions."""
        drawn = drawn_style(rng, self.families)
        lamp = self.lamp * (1 + rng.uniform(-0.02, 0.02))
        return replace(
            drawn,
            lamp=(lamp, lamp, lamp),
            blur_px=self.blur_px or rng.uniform(*IN_FOCUS_PX),
            wander_px=self.wander_px,
            speck_rate=self.speck_rate,
            flicker_rate=self.flicker_rate,
            bordered=self.bordered,
        )


NOMINAL = Condition(name="nominal")
FINE = Condition(name="nominal_10um", pixel_um=10.0)
HARDER = (
    Condition(name="left_out_texture", families=tuple(each for each in FAMILIES if each.name == LEFT_OUT)),
    Condition(name="lamp_minus_12_percent", lamp=0.88),
    Condition(name="focus_blur", blur_px=2.0),
    Condition(name="web_wander", wander_px=15.0),
)
"""Blur was at most 1.6 px in training; 15 px of wander are 0.3 mm to either side."""
FAULTS = (
    Condition(name="wild_pixels", speck_rate=0.05),
    Condition(name="flicker", flicker_rate=0.05),
    Condition(name="coat_border", bordered=True),
)
"""Of the camera and of the view; alarms by them are counted apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTarget:
    """What became of one target."""

    kind: str
    size_um: float
    found: bool
    named: str
    """The class it was given by the surest defect on it; empty when it was not found."""
    verdict: Verdict
    """The gravest on it, by the rules that look at one defect alone."""

    @property
    def stopped(self) -> bool:
        """Whether its film is rejected or looked at again."""
        return self.verdict in {"reject", "review"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFilm:
    """What was reported on film without a defect."""

    condition: str
    area_m2: float
    alarms: tuple[tuple[str, Verdict], ...]
    """Class and verdict of each."""
    candidates_count: int
    """Spots of screening before the classifier."""

    @property
    def rejecting_count(self) -> int:
        return sum(verdict == "reject" for _, verdict in self.alarms)


SizeOf = Callable[[DefectClass, np.random.Generator], float]


class DetectionStudy:
    """Rendered film through the inspection of one line with one classifier."""

    def __init__(self, line: LineModel, classifier: Classifier, *, seed: int) -> None:
        """Prepare a study.

        Args:
            line: whose classes, accept rules and film camera are taken.
            classifier: in an open session.
            seed: of all film and targets; another one than the classifier was trained with.
        """
        self._line = line
        self._classifier = classifier
        self._seed = seed
        self._judge = Judge(line)
        self._lane = line.web("film").lanes[0]

    def curve_targets(
        self, rows: Sequence[DefectClass], condition: Condition, count: int, stage: int
    ) -> dict[str, list[SeenTarget]]:
        """At least so many targets of each class, in sizes around what a pilot finds half of."""
        pixels = condition.pixel_um / PIXEL_UM
        around = {row.code: (pixels * (row.pod_a50_um or 100.0), _PILOT_SIZES) for row in rows}
        pilot = self.targets(rows, condition, min(count, _PILOT_TARGETS), stage, _spread(around))
        around = {kind: (_a50_um(seen), SIZES) for kind, seen in pilot.items()}
        return self.targets(rows, condition, count, stage + 1, _spread(around))

    def targets(
        self, rows: Sequence[DefectClass], condition: Condition, count: int, stage: int, size_of: SizeOf
    ) -> dict[str, list[SeenTarget]]:
        """At least so many targets of each class, in the sizes that are given."""
        found: dict[str, list[SeenTarget]] = {row.code: [] for row in rows}
        number = 0
        while wanted := [row for row in rows if len(found[row.code]) < count]:
            rng = np.random.default_rng((self._seed, stage, number))
            for seen in self._target_roll(wanted, condition, rng, size_of):
                found[seen.kind].append(seen)
            number += 1
        return found

    def sound_film(self, condition: Condition, area_m2: float, stage: int) -> SoundFilm:
        """At least so much sound film."""
        alarms: list[tuple[str, Verdict]] = []
        candidates, seen_m2, number = 0, 0.0, 0
        while seen_m2 < area_m2:
            rng = np.random.default_rng((self._seed, stage, number))
            film, inspector, first = self._begun(condition, rng)
            alarmed: dict[str, FilmDefect] = {}
            for line, planes in _strips(film, first, _CLEAN_STRIPS, ()):
                for result in inspector.inspect(self._header(condition, line), planes):
                    candidates += result.strip.candidates_count
                    alarmed |= {each.defect: each for each in result.defects}
                    width_um = result.strip.cd_end_um - result.strip.cd_start_um
                    seen_m2 += 1e-12 * width_um * STRIP_LINES * condition.pixel_um
            alarms += [(each.kind, self._verdict(each).verdict) for each in alarmed.values()]
            number += 1
        return SoundFilm(condition=condition.name, area_m2=seen_m2, alarms=tuple(alarms), candidates_count=candidates)

    def _target_roll(
        self, rows: Sequence[DefectClass], condition: Condition, rng: np.random.Generator, size_of: SizeOf
    ) -> list[SeenTarget]:
        film, inspector, first = self._begun(condition, rng)
        stamps = placed_stamps(
            rows, {}, rng, lines=(first + STRIP_LINES, first + STRIP_LINES * (_TARGET_STRIPS - 1)),
            blur_px=film.style.blur_px, pixel_um=condition.pixel_um, tries=_TRIES, size_of=size_of,
        )  # fmt: skip
        defects: dict[str, FilmDefect] = {}
        for line, planes in _strips(film, first, _TARGET_STRIPS, stamps):
            for result in inspector.inspect(self._header(condition, line), planes):
                defects |= {each.defect: each for each in result.defects}
        return [self._seen(made, list(defects.values()), condition) for made in stamps]

    def _begun(self, condition: Condition, rng: np.random.Generator) -> tuple[Film, StripInspector, int]:
        """A roll whose good film has been learnt and whose light is followed; the line that comes next."""
        style = condition.style(rng)
        film = Film(style, width_px=WIDTH_PX, seed=int(rng.integers(2**31)), pixel_um=condition.pixel_um)
        inspector = StripInspector(
            self._line,
            self._camera(condition),
            self._classifier,
            now_ns=lambda: 0,
            false_alarms_per_m2=FALSE_ALARMS_PER_M2,
            most_candidates=_MOST_CANDIDATES,
            learning_strips=LEARNT_STRIPS,
        )
        lead_in = LEARNT_STRIPS + (_LAMP_STRIPS if condition.lamp != 1 else 0)
        for number in range(lead_in):
            planes = film.strip(STRIP_LINES * number, aged=number >= LEARNT_STRIPS)
            inspector.inspect(self._header(condition, STRIP_LINES * number), planes)
        return film, inspector, STRIP_LINES * lead_in

    def _camera(self, condition: Condition) -> Camera:
        own = next(row for row in self._line.cameras if row.kind == "film" and row.channels == CHANNELS)
        return msgspec.structs.replace(
            own, width_px=WIDTH_PX, strip_lines=STRIP_LINES, pixel_um=condition.pixel_um, position_um=0
        )

    def _header(self, condition: Condition, line: int) -> StripHeader:
        camera = self._camera(condition)
        return StripHeader(
            camera=camera.id, roll=_ROLL, strip=line // STRIP_LINES, encoder_um=round(line * camera.pixel_um),
            lines=STRIP_LINES, width_px=WIDTH_PX, pixel_um=camera.pixel_um, channels=CHANNELS, at_ns=line, wall_ns=0,
            simulated=True,
        )  # fmt: skip

    def _seen(self, made: Stamp, defects: Sequence[FilmDefect], condition: Condition) -> SeenTarget:
        on_it = [each for each in defects if _lies_on(each, made, condition.pixel_um)]
        gravest = Judgement(verdict="pass", severity="C", reason="not found")
        for each in on_it:
            gravest = worse(gravest, self._verdict(each))
        surest = max(on_it, key=lambda each: each.score, default=None)
        return SeenTarget(
            kind=made.target.kind,
            size_um=made.target.size_um,
            found=bool(on_it),
            named=surest.kind if surest else "",
            verdict=gravest.verdict,
        )

    def _verdict(self, defect: FilmDefect) -> Judgement:
        """By its class, size and depth alone: as if it lay by itself in the middle of a sheet."""
        self._judge.forget()
        middle = (self._lane.cd_low_um + self._lane.cd_high_um) // 2
        return self._judge.judged(
            Finding(
                kind=defect.kind,
                size_um=defect.size_um,
                size_uncertainty_um=defect.size_uncertainty_um,
                contrast_tx=defect.contrast_tx,
                md_um=0,
                cd_start_um=middle,
                cd_end_um=middle + 1,
                lane=self._lane.number,
            )
        )


def killer_sizes(row: DefectClass, rng: np.random.Generator) -> float:
    """A size at random as the killers among a class's defects have it."""
    sizes, shares = size_grid_um(row)
    weights = shares * killers_at(row, sizes)
    return float(rng.choice(sizes, p=weights / weights.sum()))


def killing_size(row: DefectClass, _rng: np.random.Generator) -> float:
    """The size at which half of a class's defects kill."""
    return row.kill_d50_um or 1.0


def reject_size(row: DefectClass, _rng: np.random.Generator) -> float:
    """The size from which a class is rejected."""
    return row.reject_um or 1.0


def confusion(seen: Mapping[str, Sequence[SeenTarget]]) -> dict[str, dict[str, int]]:
    """True class, given class, how often; of targets that were found."""
    names = (*seen, UNKNOWN)
    return {
        kind: {name: count for name in names if (count := sum(each.named == name for each in targets))}
        for kind, targets in seen.items()
    }


def _spread(around: Mapping[str, tuple[float, tuple[float, float]]]) -> SizeOf:
    def size_of(row: DefectClass, rng: np.random.Generator) -> float:
        middle, shares = around[row.code]
        low = max(row.min_um or 1.0, middle * shares[0])
        high = max(3 * low, middle * shares[1])
        return low * math.exp(rng.uniform(0, math.log(high / low)))

    return size_of


def _a50_um(seen: Sequence[SeenTarget]) -> float:
    return logit_fit(np.array([each.size_um for each in seen]), np.array([each.found for each in seen]))[0]


def _strips(
    film: Film, first: int, count: int, stamps: Sequence[Stamp]
) -> Iterator[tuple[int, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]]:
    for line in range(first, first + STRIP_LINES * count, STRIP_LINES):
        near = [made for made in stamps if made.bottom > line and made.top < line + STRIP_LINES]
        yield line, film.strip(line, near)


def _lies_on(defect: FilmDefect, made: Stamp, pixel_um: float) -> bool:
    """Whether the box of a defect, widened, holds a visible part of a target."""
    top, bottom = (defect.md_start_um - _NEAR_UM) / pixel_um, (defect.md_end_um + _NEAR_UM) / pixel_um
    left, right = (defect.cd_start_um - _BESIDE_UM) / pixel_um, (defect.cd_end_um + _BESIDE_UM) / pixel_um
    if bottom < made.top or right < made.left or top > made.bottom or left > made.right:
        return False
    rows = slice(max(0, math.floor(top) - made.top), max(0, math.ceil(bottom) - made.top))
    columns = slice(max(0, math.floor(left) - made.left), max(0, math.ceil(right) - made.left))
    return bool(visible(made)[rows, columns].any())

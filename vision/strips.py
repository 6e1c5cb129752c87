"""One strip of film in, what was found on it out. Pure but for the session it calls and the pictures it stores.

The first strips are kept until good film is learnt from them and are inspected then, so that no film goes by unseen;
only where they cannot be learnt from are they reported as `learning`, which does not count as inspected.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from line.calibration import InForce, in_force
from line.errors import FrameError, UnusableFrameError
from line.events import CameraChecked, FilmDefect, FilmProfile, StripInspected
from line.evidence import Evidence
from line.frames import StripHeader
from line.ids import event_id
from line.model import Camera, LineModel
from vision.camera_check import CameraCheck
from vision.candidates import CLEAN, Classified, Classifier
from vision.depth import hole_contrast
from vision.film_events import Scale, State, defect_event, finding_of, sighting, strip_event
from vision.film_memory import FilmMemory
from vision.finders import Cascade, Finder
from vision.gates import Gates, learnt_look, limits_for
from vision.measure import Optics, measured
from vision.parallel import ALONE, Crew
from vision.pictures import evidence_png
from vision.profile import ProfileGauge
from vision.pyramid import STREAK_STRIPS
from vision.screening import Screened, Spot, StreakMemory
from vision.tracks import HOLE_UM, REACH_UM, Track, begun, continued, going_on, joined, within_reach
from vision.verdict import Judge, worse

log = logging.getLogger(__name__)

LEARNING_STRIPS = 8
LEAST_LINES = 8
EDGE_MARGIN_UM = 1_500
"""At either edge of the coat that is not judged: the web wanders by some tenths of a millimetre, and no sheet is cut
from there."""
MOST_PICTURES = 24
"""Of the strongest candidates of a strip: what a burst of defects looks like is seen in these, and each takes 5 ms."""
PICTURE_EVERY = 10
"""Revisions of a defect that goes on between two pictures of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripResult:
    """What is known of one strip."""

    strip: StripInspected
    defects: tuple[FilmDefect, ...]
    camera: CameraChecked | None = None
    """What there is to say of the camera, when that has changed."""
    profile: FilmProfile | None = None
    """Thickness across the stretch of film that ended with the strip before, when one did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strip:
    """A strip in work."""

    header: StripHeader
    planes: NDArray[np.uint8]


class StripInspector:
    """Inspects the strips of one film camera, in order."""

    def __init__(
        self,
        line: LineModel,
        camera: Camera,
        classifier: Classifier | Finder,
        *,
        now_ns: Callable[[], int],
        evidence: Evidence | None = None,
        false_alarms_per_m2: float = 0.5,
        most_candidates: int = 200,
        learning_strips: int = LEARNING_STRIPS,
        crew: Crew = ALONE,
        check: CameraCheck | None = None,
        film: FilmMemory | None = None,
    ) -> None:
        """Inspect what a camera takes.

        Args:
            line: the line model.
            camera: row of the camera, a film camera with a web and a position.
            classifier: of the candidates that screening finds, or what finds and names defects in its place.
            now_ns: wall clock, for latencies.
            evidence: where pictures go; None keeps none.
            false_alarms_per_m2: budget that sets the gates.
            most_candidates: cap per strip.
            learning_strips: to learn good film from.
            crew: shares the work on a strip; the results are the same without.
            check: of the camera; None takes the figures of the line model for true.
            film: tells how unlike good film defects look; None leaves that open.

        Raises:
            BundleError: the classifier needs a channel that the camera does not have, or the pixel that it was trained
                at is no whole multiple of the camera's.
        """
        self._line = line
        self._camera = camera
        self._web = camera.web or "film"
        reject_um = {row.code: row.reject_um for row in line.defects}
        self._finder = Cascade(classifier, camera, reject_um) if isinstance(classifier, Classifier) else classifier
        self._now_ns = now_ns
        self._evidence = evidence
        self._false_alarms_per_m2 = false_alarms_per_m2
        self._most_candidates = most_candidates
        self._learning_strips = learning_strips
        self._crew = crew
        self._check = check
        self._film = film
        self._figures = in_force(None, at_ns=0, simulated=True, nominal_um=camera.pixel_um)
        self._judge = Judge(line, self._web)
        self._hole = hole_contrast({row.code: row for row in line.defects})
        self._transmission = camera.channels.index("TX") if "TX" in camera.channels else None
        self._profiles = ProfileGauge(line, camera) if self._transmission is not None else None
        self._png = partial(evidence_png, channels=camera.channels)
        self._measures = {row.code: row.size_measure for row in line.defects}
        self._margin_um = min(EDGE_MARGIN_UM, round(0.02 * camera.width_px * camera.pixel_um))
        self._waiting: list[_Strip] = []
        self._gates: Gates | None = None
        self._memory = StreakMemory()
        self._looked: deque[StripHeader] = deque(maxlen=max(STREAK_STRIPS))
        """Of the strips in the memory."""
        self._tracks: list[Track] = []

    @property
    def learning(self) -> bool:
        """Whether good film is still being learnt."""
        return self._gates is None

    def inspect(self, header: StripHeader, planes: NDArray[np.uint8]) -> list[StripResult]:
        """Results that are due after a strip: none while learning, then those of all strips that waited.

        Args:
            header: of the strip.
            planes: shape (channels, lines, width); must stay as they are until their result is out.

        Raises:
            FrameError: not a strip of this camera.
        """
        strip = self._strip(header, planes)
        if self._gates is not None:
            return [self._inspected(strip, self._gates)]
        self._waiting.append(strip)
        return self.finish() if len(self._waiting) >= self._learning_strips else []

    def finish(self) -> list[StripResult]:
        """Learn from what has come so far and give the results that wait: for the end of a source."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        usual = max(len(strip.planes[0]) for strip in waiting)
        try:
            look = learnt_look([strip.planes for strip in waiting if len(strip.planes[0]) == usual])
        except UnusableFrameError as error:
            log.warning("%s: %s", self._camera.id, error)
            *before, last = (self._unseen(strip.header, "learning") for strip in waiting)
            said = self._check.unusable(waiting[-1].header, str(error)) if self._check else None
            return [*before, replace(last, camera=said)]
        budget = self._finder.budget(self._false_alarms_per_m2)
        limits = limits_for(
            look,
            candidates_per_m2=budget.candidates_per_m2,
            streaks_per_m2=budget.streaks_per_m2,
            pixel_um=self._camera.pixel_um,
        )
        self._gates = Gates(
            look, limits, margin_px=round(self._margin_um / self._camera.pixel_um), pixel_um=self._camera.pixel_um
        )
        log.info("%s: good film learnt from %d strips, gates at %s sigma", self._camera.id, len(waiting), limits.pixel)
        return [self._inspected(strip, self._gates) for strip in waiting]

    def unreadable(self, header: StripHeader) -> StripResult:
        """The result of a strip whose header is all there is of it."""
        return self._unseen(header, "unreadable")

    def _strip(self, header: StripHeader, planes: NDArray[np.uint8]) -> _Strip:
        own = self._camera.channels
        expected = (len(own), header.lines, self._camera.width_px)
        if header.channels != own or planes.shape != expected:
            raise FrameError(
                f"{header.camera} strip {header.strip} of {header.roll}: planes {planes.shape} of "
                f"{', '.join(header.channels)}, expected {expected} of {', '.join(own)}: check the camera's row"
            )
        if header.lines < LEAST_LINES:
            raise FrameError(
                f"{header.camera} strip {header.strip} of {header.roll}: {header.lines} lines, {LEAST_LINES} needed"
            )
        if abs(header.pixel_um / self._camera.pixel_um - 1) > 0.001:
            raise FrameError(
                f"{header.camera} strip {header.strip} of {header.roll}: pixel of {header.pixel_um:g} µm, the line "
                f"model says {self._camera.pixel_um:g} µm: calibrate the camera or mend its row"
            )
        return _Strip(header=header, planes=np.asarray(planes))

    def _inspected(self, strip: _Strip, gates: Gates) -> StripResult:
        header = strip.header
        self._goes_on(header)
        found, classes = self._finder.found(
            strip.planes, gates, self._memory, most_spots=self._most_candidates, crew=self._crew
        )
        said = self._checked(strip, gates)
        over = found.crowded or found.found_count > self._most_candidates
        pictures = self._pictures(strip, found, gates, classes)
        unlike = self._anomaly_scores(strip, found, gates, classes)
        defects = tuple(
            self._seen(strip, found, gates, spot, said, pictures if number < MOST_PICTURES else None, unlike.get(spot))
            for number, (spot, said) in enumerate(zip(found.spots, classes, strict=True))
            if said.kind != CLEAN
        )
        self._tracks = going_on(self._tracks, over_capacity=over)
        seen: State = "uncalibrated" if self._out_of_calibration() else "inspected"
        event = self._event(header, "over_capacity" if over else seen, found, len(defects))
        start = _scale(self._figures).md_um(self._camera, header, 0)
        profile = None
        if self._profiles and self._transmission is not None:
            profile = self._profiles.add(header, start, found.quarters[self._transmission], gates)
        return StripResult(strip=event, defects=defects, camera=said, profile=profile)

    def _checked(self, strip: _Strip, gates: Gates) -> CameraChecked | None:
        """What there is to say of the camera; afterwards its present figures count."""
        if self._check is None:
            return None
        said = self._check.strip(strip.header, strip.planes, gates.wander)
        self._figures = self._check.in_force(strip.header)
        return said

    def _out_of_calibration(self) -> bool:
        """Whether what the camera sees is uninspected, although defects that it shows are told."""
        return self._figures.standing != "ok" or bool(self._check and self._check.blind)

    def _goes_on(self, header: StripHeader) -> None:
        """Take note of the next strip: what is known of the film before goes on beyond a short hole."""
        last = self._looked[-1] if self._looked else None
        hole_um = header.encoder_um - last.encoder_um - last.lines * last.pixel_um if last else 0.0
        if last is None or header.roll != last.roll:
            self._judge.forget()
        if last is None or header.roll != last.roll or header.strip <= last.strip or hole_um > HOLE_UM:
            self._tracks, self._memory = [], StreakMemory()
            self._looked.clear()
        self._looked.append(header)
        start_um = _scale(self._figures).md_um(self._camera, header, 0)
        self._tracks = within_reach(self._tracks, start_um, hole=hole_um > REACH_UM)

    def _pictures(
        self, strip: _Strip, found: Screened, gates: Gates, classes: Sequence[Classified]
    ) -> dict[Spot, bytes]:
        """Of the strongest defects that surely begin in this strip, drawn by the whole crew."""
        if not self._evidence:
            return {}
        strongest = list(zip(found.spots, classes, strict=True))[:MOST_PICTURES]
        new = [spot for spot, said in strongest if said.kind != CLEAN and spot.row_start > 0]
        return dict(zip(new, self._crew.each(partial(self._png, strip.planes, found, gates), new), strict=True))

    def _anomaly_scores(
        self, strip: _Strip, found: Screened, gates: Gates, classes: Sequence[Classified]
    ) -> dict[Spot, float | None]:
        """Of the strongest defects; the film beside them is learnt from while it is not known well enough."""
        if self._film is None:
            return {}
        strongest = list(zip(found.spots, classes, strict=True))[:MOST_PICTURES]
        spots = [spot for spot, said in strongest if said.kind != CLEAN]
        scores = self._film.scores(strip.planes, found, gates, spots)
        self._film.learn(strip.planes, found, gates)
        return dict(zip(spots, scores, strict=True))

    def _seen(
        self,
        strip: _Strip,
        found: Screened,
        gates: Gates,
        spot: Spot,
        said: Classified,
        pictures: Mapping[Spot, bytes] | None,
        anomaly_score: float | None,
    ) -> FilmDefect:
        """The defect that a spot shows: a new one, or a known one that goes on.

        Args:
            pictures: that are drawn already; None when there is to be none.
            anomaly_score: of the spot, where it was judged.
        """
        header = strip.header
        sized = measured(
            strip.planes,
            found,
            gates,
            spot,
            self._judge.row(said.kind),
            _optics(self._figures, self._hole, self._camera.channels),
        )
        scale, began = _scale(self._figures, gates.wander.shift_um), self._looked[-spot.strips_count]
        sight = sighting(self._camera, header, spot, said, sized, scale, began=began)
        track = continued(self._tracks, sight)
        again = track is not None
        kind = track.sight.kind if track else ""
        if track is None:
            place = f"{header.camera}/{header.roll}/{header.strip}/{spot.row_start}/{spot.column_start}"
            track = begun(event_id(header.at_ns, place), sight)
            self._tracks.append(track)
        else:
            joined(track, sight, self._measures)
        known = [score for score in (track.anomaly_score, anomaly_score) if score is not None]
        track.anomaly_score = max(known, default=None)
        wanted = track.revision == 1 or track.revision % PICTURE_EVERY == 0
        if self._evidence and wanted and pictures is not None:
            png = pictures.get(spot) or self._png(strip.planes, found, gates, spot)
            track.image = self._evidence.put(png)
        lane = self._line.lane_at(self._web, (track.sight.cd_start_um + track.sight.cd_end_um) // 2)
        judgement = self._judge.judged(finding_of(track.sight, lane), again=again)
        if track.judgement is not None and track.sight.kind == kind:
            judgement = worse(judgement, track.judgement)
        track.judgement = judgement
        return defect_event(
            self._camera,
            header,
            track,
            lane,
            judgement,
            self._finder.bundle.ref,
            self._latency_ms(header),
            self._figures.calibration,
            self._finder.providers,
            self._finder.device,
            self._film.model if self._film else None,
        )

    def _unseen(self, header: StripHeader, state: State) -> StripResult:
        return StripResult(strip=self._event(header, state), defects=())

    def _event(
        self, header: StripHeader, state: State, found: Screened | None = None, defects_count: int = 0
    ) -> StripInspected:
        return strip_event(
            self._camera,
            header,
            state,
            found,
            margin_um=self._margin_um,
            defects_count=defects_count,
            model=self._finder.bundle.ref,
            providers=self._finder.providers,
            device=self._finder.device,
            latency_ms=self._latency_ms(header),
            scale=_scale(self._figures),
        )

    def _latency_ms(self, header: StripHeader) -> float:
        return round(max(0, self._now_ns() - header.wall_ns) / 1e6, 2)


def _scale(figures: InForce, wander_um: int = 0) -> Scale:
    return Scale(pixel_um=figures.pixel_um, line_um=figures.line_um, wander_um=wander_um)


def _optics(figures: InForce, hole: float, channels: tuple[str, ...]) -> Optics:
    # A pixel is taken for square when sizes are measured: across and along differ by some tenths of a percent.
    return Optics(pixel_um=sqrt(figures.pixel_um * figures.line_um), hole_contrast=hole, channels=channels)

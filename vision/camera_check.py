"""Whether a film camera may inspect, and how well it sees: what is said of it, and when.

Two sources: the calibration file, which the command line writes and which may be replaced at any time, and the film
itself, whose light and texture are compared with how it looked when it was first seen after the calibration. What is
said is a state with a reason in words; it is said at the start and whenever it changes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from line.calibration import InForce
from line.events import CameraChecked, Measure, StripInspected
from line.film_reference import FilmReference, read_reference, write_reference
from line.frames import StripHeader
from line.ids import event_id
from line.model import Camera
from vision.calibration_watch import CalibrationWatch, Policy
from vision.film_light import (
    COARSER_FRACTION,
    DRIFT_FRACTION,
    Finding,
    Texture,
    a50_growth,
    focus_finding,
    light_findings,
    middle,
    roughness_at,
    strip_level,
    strip_texture,
)
from vision.wander import Wander

log = logging.getLogger(__name__)

STRIPS_COUNT = 15
"""That light and texture are the median of: half of them and a new light is known."""
REFERENCE_STRIPS_COUNT = 8
MISSED_FRACTION = 0.002
"""Share of lines that a camera may lose."""

_MISSED_STRIPS_COUNT = 64
_TEXTURE_EVERY, _TEXTURES_COUNT = 4, 5
"""Strips from one look at the texture to the next, which takes a millisecond, and looks that the median is of."""
_SAID_AGAIN_FRACTION = 0.04
"""Further change of a light that is already said to be off, after which it is said again."""
_HYSTERESIS = 0.8
"""Of a limit, below which what was beyond it is taken back."""
_NOISE_GREY = 2.0
"""Of a camera, where film was first seen under another light than it should be (D)."""
_RANK = {"ok": 0, "drifting": 1, "fault": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was found in the latest strips."""

    findings: tuple[Finding, ...]
    measures: tuple[Measure, ...]
    light: tuple[float, ...]


_NOTHING = _Seen(findings=(), measures=(), light=())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """A strip, as far as it matters here."""

    roll: str
    strip: int
    at_ns: int
    simulated: bool
    recipe: str
    channels: tuple[str, ...]


class CameraCheck:
    """Judges one film camera, strip by strip.

    Args:
        camera: its row.
        state_dir: where calibrations are kept.
        policy: what real film needs.
        margin_um: at either edge of the coat that is not judged.
        drawn: the film is heard of and not seen; it is compared with such film only.
    """

    def __init__(
        self,
        camera: Camera,
        state_dir: Path,
        *,
        policy: Policy = "required",
        margin_um: int = 1_500,
        drawn: bool = False,
    ) -> None:
        self._camera = camera
        self._state_dir = state_dir
        self._margin_um = margin_um
        self._reference_name = f"{camera.id}-drawn" if drawn else camera.id
        self._watch = CalibrationWatch(camera, state_dir, policy)
        self._reference = read_reference(state_dir, self._reference_name)
        self._levels: deque[tuple[float, ...]] = deque(maxlen=STRIPS_COUNT)
        self._textures: deque[Texture] = deque(maxlen=_TEXTURES_COUNT)
        self._strips_count = 0
        self._lines: deque[tuple[int, int]] = deque(maxlen=_MISSED_STRIPS_COUNT)
        self._seen = _NOTHING
        self._said: tuple[str, ...] = ()
        self._said_light: tuple[float, ...] = ()

    def in_force(self, header: StripHeader) -> InForce:
        """Whether a strip was seen by a camera that may inspect, and with which figures."""
        return self._watch.in_force(header.at_ns, simulated=header.simulated)

    @property
    def blind(self) -> str:
        """Why what the camera sees now is uninspected, for what the film itself says; empty: it is not."""
        return "; ".join(row.text for row in self._seen.findings if row.state == "fault")

    def strip(self, header: StripHeader, planes: NDArray[np.uint8], wander: Wander) -> CameraChecked | None:
        """Take in a strip; what there is to say after it, None while nothing has changed.

        Args:
            header: of the strip.
            planes: shape (channels, lines, width).
            wander: that the web's edges are followed by.
        """
        self._lines.append((header.lines, header.missed_lines_count))
        away_um = max(abs(wander.shift_um), wander.bare_um)
        place = Measure("wander", "", wander.shift_um, 100.0, -self._margin_um, self._margin_um, "um")
        if self._strips_count % _TEXTURE_EVERY == 0:
            self._textures.append(strip_texture(planes))
        self._strips_count += 1
        return self._taken(_moment(header), strip_level(planes), [*self._missed(), *self._wandered(away_um)], [place])

    def heard(self, strip: StripInspected) -> CameraChecked | None:
        """Take in a strip that another looked at; what there is to say after it, None while nothing has changed."""
        grey = (strip.mean_grey_bf, strip.mean_grey_df, strip.mean_grey_tx)
        moment = _Moment(
            roll=strip.roll,
            strip=strip.strip,
            at_ns=strip.at_ns,
            simulated=strip.simulated,
            recipe="",
            channels=("BF", "DF", "TX"),
        )
        return self._taken(moment, grey, [], [])

    def unusable(self, header: StripHeader, why: str) -> CameraChecked | None:
        """Say that film cannot even be learnt from, as in the dark."""
        self._seen = _Seen(findings=(Finding(what="unusable", state="fault", text=why),), measures=(), light=())
        return self._said_if_new(_moment(header), self.in_force(header))

    def _taken(
        self, moment: _Moment, level: tuple[float, ...], findings: list[Finding], measures: list[Measure]
    ) -> CameraChecked | None:
        now = self._watch.in_force(moment.at_ns, simulated=moment.simulated)
        self._levels.append(level)
        reference = self._referenced(moment, now.calibration)
        self._seen = self._judged(moment.channels, reference, findings, measures)
        return self._said_if_new(moment, now)

    def _referenced(self, moment: _Moment, calibration: str) -> FilmReference | None:
        """How this film looked when it was first seen under this calibration; None until that is known."""
        known = self._reference
        if known is not None and known.fits(calibration, moment.recipe, simulated=moment.simulated):
            return known
        if known is not None:
            # Another calibration or recipe: what was seen before says nothing about how it looks from now on.
            self._reference, latest = None, self._levels[-1]
            self._levels.clear()
            self._levels.append(latest)
            self._textures.clear()
            self._strips_count = 0
        if len(self._levels) < REFERENCE_STRIPS_COUNT:
            return None
        channels, texture = moment.channels, self._texture()
        seen = dict(zip(channels, middle(self._levels), strict=True))
        # Simulated film may begin under an aged lamp: what it should look like is known without it.
        level = (self._camera.film_grey if moment.simulated and not calibration else {}) or seen
        self._reference = FilmReference(
            camera=self._reference_name,
            calibration=calibration,
            recipe=moment.recipe,
            simulated=moment.simulated,
            at_ns=moment.at_ns,
            level=level,
            fineness=dict(zip(channels, texture.fineness, strict=False)),
            roughness={
                channel: roughness_at(value, seen[channel], level[channel], _NOISE_GREY)
                for channel, value in zip(channels, texture.roughness, strict=False)
            },
        )
        write_reference(self._state_dir, self._reference)
        return self._reference

    def _texture(self) -> Texture:
        """The median of the latest looks at the texture; empty where none was seen."""
        if not self._textures:
            return Texture(fineness=(), roughness=())
        return Texture(
            fineness=middle([row.fineness for row in self._textures]),
            roughness=middle([row.roughness for row in self._textures]),
        )

    def _judged(
        self,
        channels: Sequence[str],
        reference: FilmReference | None,
        findings: list[Finding],
        measures: list[Measure],
    ) -> _Seen:
        if reference is None:
            return _Seen(findings=tuple(findings), measures=tuple(measures), light=())
        texture = self._texture()
        level = dict(zip(channels, middle(self._levels), strict=True))
        light = {channel: level[channel] / max(reference.level[channel], 1.0) for channel in channels}
        finer = {
            channel: value / reference.fineness[channel]
            for channel, value in zip(channels, texture.fineness, strict=False)
            if reference.fineness.get(channel)
        }
        worse = {
            channel: a50_growth(value, reference.roughness[channel])
            for channel, value in zip(channels, texture.roughness, strict=False)
            if reference.roughness.get(channel)
        }
        since = _since(reference, by_model=reference.level == self._camera.film_grey)
        findings = [
            *findings,
            *light_findings(light, worse, since, self._limit(DRIFT_FRACTION)),
            *focus_finding(finer, since, self._limit(COARSER_FRACTION, focus=True)),
        ]
        findings.sort(key=lambda row: -_RANK[row.state])
        return _Seen(
            findings=tuple(findings),
            measures=(*self._measures(light, finer, reference), *measures),
            light=tuple(light.values()),
        )

    def _limit(self, limit: float, *, focus: bool = False) -> float:
        """A limit, lower while it is passed, so that what lies on it does not come and go."""
        held = {row.what for row in self._seen.findings} - {"missed lines", "web", "unusable"}
        passed = "focus" in held if focus else bool(held - {"focus"})
        return _HYSTERESIS * limit if passed else limit

    def _missed(self) -> list[Finding]:
        lines, missed = (sum(column) for column in zip(*self._lines, strict=True))
        share = missed / max(lines + missed, 1)
        if share <= MISSED_FRACTION:
            return []
        text = f"{share:.1%} of lines lost over the last {len(self._lines)} strips: look at trigger, cable and disk"
        return [Finding(what="missed lines", state="drifting", text=text)]

    def _wandered(self, away_um: int) -> list[Finding]:
        if away_um < _HYSTERESIS * self._margin_um:
            return []
        text = (
            f"web lies {away_um / 1000:.1f} mm beside its place, {self._margin_um / 1000:.1f} mm at either edge are "
            "left out for that: mend the web guide"
        )
        return [Finding(what="web", state="drifting", text=text)]

    def _measures(self, light: dict[str, float], finer: dict[str, float], reference: FilmReference) -> list[Measure]:
        rows = []
        for place, (name, value) in enumerate(light.items()):
            spread = float(np.std([level[place] for level in self._levels])) / max(reference.level[name], 1.0)
            uncertainty = round(2 * spread / len(self._levels) ** 0.5, 5)
            low, high = 1 - DRIFT_FRACTION, 1 + DRIFT_FRACTION
            rows.append(Measure("light", name, round(value, 4), uncertainty, low, high, "1"))
        least = round(1 - COARSER_FRACTION, 3)
        rows += [
            Measure("fineness", name, round(value, 3), None, least, None, "1")
            for name, value in finer.items()
            if name != "DF"
        ]
        return rows

    def _said_if_new(self, moment: _Moment, now: InForce) -> CameraChecked | None:
        findings = self._seen.findings
        state: Literal["ok", "drifting", "fault", "expired", "uncalibrated"] = now.standing
        reasons = [now.reason] if now.standing != "ok" else []
        if now.standing == "ok" and findings:
            state = findings[0].state
        reasons += [row.text for row in findings]
        what = (state, now.standing, now.calibration, *(f"{row.what} {row.state}" for row in findings))
        moved = [abs(a - b) for a, b in zip(self._seen.light, self._said_light, strict=False)]
        further = state != "ok" and max(moved, default=0.0) >= _SAID_AGAIN_FRACTION
        if what == self._said and not further:
            return None
        self._said, self._said_light = what, self._seen.light
        reason = "; ".join(reasons) or now.reason
        (log.info if state == "ok" else log.warning)("%s is %s: %s", self._camera.id, state, reason)
        return CameraChecked(
            at_ns=moment.at_ns,
            simulated=moment.simulated,
            id=event_id(moment.at_ns, f"camera/{self._camera.id}/{moment.roll}/{moment.strip}"),
            station=self._camera.station,
            camera=self._camera.id,
            state=state,
            reason=reason,
            calibration=now.calibration,
            valid_until_ns=now.valid_until_ns,
            measures=(*self._seen.measures, *self._of_calibration()),
        )

    def _of_calibration(self) -> tuple[Measure, ...]:
        """Figures that the camera was commissioned with, for whoever looks at it."""
        calibration = self._watch.calibration
        if calibration is None or calibration.calibration != self._said[2]:
            return ()
        kept = {"pixel", "line", "mtf50", "white", "shift_cd", "shift_md"}
        tile = calibration.tile
        newer = {(row.quantity, row.channel): row for row in (tile.measures if tile else ())}
        return tuple(
            newer.get((row.quantity, row.channel), row) for row in calibration.measures if row.quantity in kept
        )


def _moment(header: StripHeader) -> _Moment:
    return _Moment(
        roll=header.roll,
        strip=header.strip,
        at_ns=header.at_ns,
        simulated=header.simulated,
        recipe=header.recipe,
        channels=header.channels,
    )


def _since(reference: FilmReference, *, by_model: bool) -> str:
    """What a reference is from, in words."""
    if by_model:
        return "by the line model"
    return "when calibrated" if reference.calibration else "when film was first seen"

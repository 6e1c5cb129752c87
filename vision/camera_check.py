"""Whether a film camera may inspect, and how well it sees: what is said of it, and when.

Two sources: the calibration file, which the command line writes and which may be replaced at any time, and the film
itself, whose light and texture are compared with how it looked when it was first seen after the calibration. What is
said is a state with a reason in words; it is said at the start and whenever it changes.
"""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from line.calibration import InForce
from line.events import CameraChecked, Measure, StripInspected
from line.frames import StripHeader
from line.ids import event_id
from line.model import Camera
from vision.calibration_watch import CalibrationWatch, Policy
from vision.film_light import Finding
from vision.film_watch import HYSTERESIS, NO_LOOK, FilmLook, FilmWatch, Moment
from vision.wander import Wander

log = logging.getLogger(__name__)

MISSED_FRACTION = 0.002
"""Share of lines that a camera may lose."""

_MISSED_STRIPS_COUNT = 64
_SAID_AGAIN_FRACTION = 0.04
"""Further change of a light that is already said to be off, after which it is said again."""
_RANK = {"ok": 0, "drifting": 1, "fault": 2}


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
        self._margin_um = margin_um
        self._watch = CalibrationWatch(camera, state_dir, policy)
        self._film = FilmWatch(camera, state_dir, drawn=drawn)
        self._lines: deque[tuple[int, int]] = deque(maxlen=_MISSED_STRIPS_COUNT)
        self._seen = NO_LOOK
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
        level = self._film.looked_at(planes)
        return self._taken(_moment(header), level, [*self._missed(), *self._wandered(away_um)], [place])

    def heard(self, strip: StripInspected) -> CameraChecked | None:
        """Take in a strip that another looked at; what there is to say after it, None while nothing has changed."""
        grey = {"BF": strip.mean_grey_bf, "DF": strip.mean_grey_df, "TX": strip.mean_grey_tx}
        seen = {name: value for name in self._camera.channels if (value := grey.get(name)) is not None}
        moment = Moment(
            roll=strip.roll,
            strip=strip.strip,
            at_ns=strip.at_ns,
            simulated=strip.simulated,
            recipe="",
            channels=tuple(seen),
        )
        return self._taken(moment, tuple(seen.values()), [], [])

    def unusable(self, header: StripHeader, why: str) -> CameraChecked | None:
        """Say that film cannot even be learnt from, as in the dark."""
        self._seen = FilmLook(findings=(Finding(what="unusable", state="fault", text=why),))
        return self._said_if_new(_moment(header), self.in_force(header))

    def _taken(
        self, moment: Moment, level: tuple[float, ...], findings: list[Finding], measures: list[Measure]
    ) -> CameraChecked | None:
        now = self._watch.in_force(moment.at_ns, simulated=moment.simulated)
        look = self._film.taken(moment, level, now.calibration)
        findings = sorted([*findings, *look.findings], key=lambda row: -_RANK[row.state])
        self._seen = FilmLook(findings=tuple(findings), measures=(*look.measures, *measures), light=look.light)
        return self._said_if_new(moment, now)

    def _missed(self) -> list[Finding]:
        lines, missed = (sum(column) for column in zip(*self._lines, strict=True))
        share = missed / max(lines + missed, 1)
        if share <= MISSED_FRACTION:
            return []
        text = f"{share:.1%} of lines lost over the last {len(self._lines)} strips: look at trigger, cable and disk"
        return [Finding(what="missed lines", state="drifting", text=text)]

    def _wandered(self, away_um: int) -> list[Finding]:
        if away_um < HYSTERESIS * self._margin_um:
            return []
        text = (
            f"web lies {away_um / 1000:.1f} mm beside its place, {self._margin_um / 1000:.1f} mm at either edge are "
            "left out for that: mend the web guide"
        )
        return [Finding(what="web", state="drifting", text=text)]

    def _said_if_new(self, moment: Moment, now: InForce) -> CameraChecked | None:
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


def _moment(header: StripHeader) -> Moment:
    return Moment(
        roll=header.roll,
        strip=header.strip,
        at_ns=header.at_ns,
        simulated=header.simulated,
        recipe=header.recipe,
        channels=header.channels,
    )

"""The calibration that is in force for a film camera, read again whenever its file has been written."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from line.calibration import Calibration, InForce, calibration_file, in_force, read_calibration
from line.errors import ConfigError
from line.model import Camera

log = logging.getLogger(__name__)

Policy = Literal["required", "nominal"]
"""`required`: real film seen by a camera without a calibration in force is uninspected. `nominal`: the figures of the
line model count then, as for recordings that are played again."""


class CalibrationWatch:
    """Follows the calibration file of one camera.

    Args:
        camera: its row.
        state_dir: where calibrations are kept.
        policy: what real film needs.
    """

    def __init__(self, camera: Camera, state_dir: Path, policy: Policy) -> None:
        self._camera = camera
        self._state_dir = state_dir
        self._policy = policy
        self._damage = ""
        self._stamp: tuple[int, int] | None = (-1, -1)
        self.calibration: Calibration | None = None
        """As last read."""

    def in_force(self, at_ns: int, *, simulated: bool) -> InForce:
        """Whether film exposed at a moment was seen by a camera that may inspect, and with which figures."""
        self._reread()
        nominal_um = self._camera.pixel_um
        found = in_force(self.calibration, at_ns=at_ns, simulated=simulated, nominal_um=nominal_um)
        if self._damage and not simulated:
            found = InForce(standing="uncalibrated", reason=self._damage, pixel_um=nominal_um, line_um=nominal_um)
        if found.standing != "ok" and self._policy == "nominal":
            reason = f"{found.reason}; the figures of the line model count, as vision.calibration says"
            return InForce(standing="ok", reason=reason, pixel_um=nominal_um, line_um=nominal_um)
        return found

    def _reread(self) -> None:
        try:
            stat = calibration_file(self._state_dir, self._camera.id).stat()
            stamp: tuple[int, int] | None = (stat.st_mtime_ns, stat.st_ino)
        except OSError:
            stamp = None
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.calibration, self._damage = read_calibration(self._state_dir, self._camera.id), ""
        except ConfigError as error:
            log.warning("%s", error)
            self.calibration, self._damage = None, str(error)

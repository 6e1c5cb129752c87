"""Two ways to find defects on a strip and say of which class they are, behind one interface.

The cascade screens every pixel and asks a classifier about what it finds; full coverage (`vision/every_pixel.py`) asks
a network about every pixel. What follows, from measuring to the event, is the same for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle
from line.errors import BundleError
from line.model import Camera
from vision.candidates import CHANNELS, Budget, Classified, Classifier, patch, settled
from vision.gates import Gates
from vision.parallel import Crew
from vision.screening import Screened, StreakMemory, screened


class Finder(Protocol):
    """Finds the defects on the strips of one camera."""

    @property
    def bundle(self) -> Bundle:
        """The model that answers."""
        ...

    @property
    def providers(self) -> tuple[str, ...]:
        """On what the model runs."""
        ...

    @property
    def device(self) -> str:
        """What that computes on."""
        ...

    def budget(self, false_alarms_per_m2: float) -> Budget:
        """What gates may let through so that about so many false alarms are left."""
        ...

    def found(
        self, planes: NDArray[np.uint8], gates: Gates, memory: StreakMemory, *, most_spots: int, crew: Crew
    ) -> tuple[Screened, list[Classified]]:
        """A strip with its spots, and what is said of each; parameters as of `screening.screened`."""
        ...


def require_channels(bundle: Bundle, needed: Sequence[str], camera: Camera, learn: str) -> None:
    """Refuse a model that needs a channel that a camera does not have.

    Args:
        bundle: the model.
        needed: channels that it takes.
        camera: that it is to serve.
        learn: the command that trains one for the camera.

    Raises:
        BundleError: names model, camera, channels and the command.
    """
    missing = [name for name in needed if name not in camera.channels]
    if missing:
        raise BundleError(
            f"{bundle.path}: {bundle.ref} needs {', '.join(needed)}, camera {camera.id} has "
            f"{', '.join(camera.channels)} and no {', '.join(missing)}: train a model for it, {learn}, and set "
            f"vision.camera_models to {camera.id}=NAME"
        )


class Cascade:
    """Screening, then a classifier on what it finds."""

    def __init__(self, classifier: Classifier, camera: Camera, reject_um: Mapping[str, float | None]) -> None:
        """Serve one camera.

        Args:
            classifier: of the candidates.
            camera: its row.
            reject_um: by class code, from which size the line rejects it.

        Raises:
            BundleError: the classifier needs a channel that the camera does not have, or the pixel that it was trained
                at is no whole multiple of the camera's.
        """
        known = [name for name in camera.channels if name in CHANNELS]
        learn = f"lamella train film --renderer --channels {','.join(known)} --out NAME"
        require_channels(classifier.bundle, classifier.channels, camera, learn)
        self._camera_pixels = classifier.camera_pixels(camera.pixel_um)
        self._classifier = classifier
        self._channels = camera.channels
        self._reject_um = reject_um

    @property
    def bundle(self) -> Bundle:
        return self._classifier.bundle

    @property
    def providers(self) -> tuple[str, ...]:
        return self._classifier.providers

    @property
    def device(self) -> str:
        return self._classifier.device

    def budget(self, false_alarms_per_m2: float) -> Budget:
        return self._classifier.budget(false_alarms_per_m2)

    def found(
        self, planes: NDArray[np.uint8], gates: Gates, memory: StreakMemory, *, most_spots: int, crew: Crew
    ) -> tuple[Screened, list[Classified]]:
        found = screened(planes, gates, memory, most_spots=most_spots, crew=crew)
        if not found.spots:
            return found, []
        patches = np.stack([
            patch(
                planes, found, gates, spot, camera_pixels=self._camera_pixels, channels=self._channels,
                wanted=self._classifier.channels,
            )
            for spot in found.spots
        ])  # fmt: skip
        answers = self._classifier.classify(patches)
        return found, [settled(said, spot, self._reject_um) for spot, said in zip(found.spots, answers, strict=True)]

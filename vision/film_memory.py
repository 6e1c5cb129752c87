"""How unlike good film a defect looks, whatever its class: the anomaly score of its picture.

Pictures of good film are taken from the first strips in which nothing is found beside them, and their features under
the frozen backbone are remembered. The score of a defect is the distance of its picture from the nearest of them, in
the spreads that pictures of good film have from one another. So it is told for classes that the classifier never saw.
K. Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from line.bundle import Bundle, ModelRef
from line.errors import BundleError
from line.model import Camera
from vision.candidates import CHANNELS, patch
from vision.gates import Gates
from vision.pyramid import QUARTER
from vision.screening import Screened, Spot
from vision.session import ModelSession
from vision.whitening import whitening_of

Floats = NDArray[np.float32]

FEATURES = "s16b"
"""The backbone's output that is remembered."""
PICTURE_UM = 20.0
"""Film along a pixel of a small defect's picture; finer cameras are shown so."""
PICTURES_COUNT = 320
PICTURES_PER_STRIP = 8
"""So few that a strip takes some 20 ms longer while the film is learnt, not more."""
_SPOTS_PX = (8, 80, 170)
"""Sizes of defects whose pictures are as wide as those of good film that are remembered: these are shrunk alike."""
_FLOOR = 1.0
"""Of the mean variance, added to each: good film hardly varies in some directions."""
_HELD_OUT = 4
"""One picture in so many is not remembered but tells how far good film is from what is."""
_LEAST_HELD_OUT = 4
"""Pictures of one size; fewer tell nothing of their spread, and those of all sizes stand for them."""
_TRIES = 4


class FilmMemory:
    """What good film of one camera looks like. Learns as strips come; one thread at a time."""

    def __init__(self, session: ModelSession, camera: Camera, seed: int = 0) -> None:
        """Learn and judge with an open backbone.

        Raises:
            BundleError: it is no backbone, or lacks the output that is remembered.
        """
        bundle = session.bundle
        bundle.require_fit(task="backbone")
        self._session = session
        self.model: ModelRef = bundle.ref
        """Whose features are compared."""
        self._depth = feature_depth(bundle)
        self._channels = tuple(name for name in CHANNELS if name in camera.channels)
        self._camera_channels = camera.channels
        self._camera_pixels = max(1, round(PICTURE_UM / camera.pixel_um))
        self._rng = np.random.default_rng(seed)
        self._learnt: list[Floats] = []
        self._sizes: list[int] = []
        self._mean = self._whitening = self._known = np.empty(0, np.float32)
        self._usual = self._spread = np.empty(0, np.float32)
        """Distance of good film from other good film, by size of its picture: what is shrunk more varies less."""

    @property
    def learning(self) -> bool:
        """Whether pictures of good film are still being gathered; until then nothing is judged."""
        return not self._known.size

    def learn(self, planes: NDArray[np.uint8], found: Screened, gates: Gates) -> None:
        """Remember pictures of the film beside what was found; does nothing once enough is known.

        Args:
            planes: shape (channels, lines, width).
            found: of these planes.
            gates: of the camera.
        """
        if not self.learning or found.crowded:
            return
        spots = self._places(planes.shape, found.spots)
        if spots:
            self._learnt.append(self._features(planes, found, gates, spots))
            self._sizes += [self._size(spot) for spot in spots]
        if sum(map(len, self._learnt)) >= PICTURES_COUNT:
            self._settle(np.concatenate(self._learnt), np.array(self._sizes))
            self._learnt.clear()
            self._sizes.clear()

    def scores(
        self, planes: NDArray[np.uint8], found: Screened, gates: Gates, spots: Sequence[Spot]
    ) -> list[float | None]:
        """Anomaly score of each spot: 0 is usual for good film, 1 is one spread above; None while learning."""
        if self.learning or not spots:
            return [None] * len(spots)
        apart = self._nearest(self._features(planes, found, gates, spots))
        sizes = [self._size(spot) for spot in spots]
        return [float(score) for score in (apart - self._usual[sizes]) / self._spread[sizes]]

    def _size(self, spot: Spot) -> int:
        """Which of `_SPOTS_PX` comes nearest."""
        px = max(spot.height, spot.width) / self._camera_pixels
        return int(np.argmin(np.abs(np.log(np.array(_SPOTS_PX) / max(px, 1)))))

    def _settle(self, features: Floats, sizes: NDArray[np.int64]) -> None:
        """Remember most pictures, and see by the others how far good film is from those that are remembered."""
        held = np.arange(len(features)) % _HELD_OUT == 0
        known = features[~held]
        self._mean, self._whitening = whitening_of(known, _FLOOR)
        self._known = np.asarray((known - self._mean) @ self._whitening, np.float32)
        apart, sizes = self._nearest(features[held]), sizes[held]
        own = [apart[sizes == size] for size in range(len(_SPOTS_PX))]
        groups = [group if len(group) >= _LEAST_HELD_OUT else apart for group in own]
        self._usual = np.array([group.mean() for group in groups], np.float32)
        self._spread = np.array([max(group.std(), 1e-6) for group in groups], np.float32)

    def _nearest(self, features: Floats) -> Floats:
        """Distance to what is remembered."""
        white = (features - self._mean) @ self._whitening
        return np.asarray(np.sqrt(((white[:, None] - self._known) ** 2).sum(axis=2)).min(axis=1), np.float32)

    def _places(self, shape: tuple[int, ...], spots: Sequence[Spot]) -> list[Spot]:
        """Places of good film as if a defect lay there, none of which overlaps what was found."""
        _, lines, width = shape
        # What is as long as the strip is taken for a line through it, which good film has none of.
        most = max(1, lines // QUARTER * QUARTER - QUARTER)
        taken: list[Spot] = []
        for number in range(_TRIES * PICTURES_PER_STRIP):
            size = min(_SPOTS_PX[number % len(_SPOTS_PX)] * self._camera_pixels, most)
            row = int(self._rng.integers(max(1, lines - size)))
            column = int(self._rng.integers(size, max(size + 1, width - 2 * size)))
            place = Spot(
                row_start=row,
                row_end=min(lines, row + size),
                column_start=column,
                column_end=column + size,
                strength=0.0,
                test="pixel",
            )
            if not any(_near(place, spot) for spot in spots):
                taken.append(place)
            if len(taken) == PICTURES_PER_STRIP:
                break
        return taken

    def _features(self, planes: NDArray[np.uint8], found: Screened, gates: Gates, spots: Sequence[Spot]) -> Floats:
        """Mean of the cells at the centre of each picture, channel by channel; shape (spots, features)."""
        pictures = np.stack([
            patch(
                planes, found, gates, spot, camera_pixels=self._camera_pixels, channels=self._camera_channels,
                wanted=self._channels,
            )
            for spot in spots
        ])  # fmt: skip
        count, channels, side, _ = pictures.shape
        cells = self._session.run(pictures.reshape(count * channels, 1, side, side))[FEATURES]
        middle = cells.shape[2] // 2
        centre = cells[:, :, middle - 1 : middle + 1, middle - 1 : middle + 1].mean(axis=(2, 3))
        return np.asarray(centre.reshape(count, channels * self._depth), np.float32)


def feature_depth(bundle: Bundle) -> int:
    """Length of the vector that is remembered of a cell.

    Raises:
        BundleError: the bundle lacks the output that is remembered.
    """
    for output in bundle.manifest.outputs:
        if output.tensor == FEATURES:
            return int(output.layout[1:-2])
    raise BundleError(f"{bundle.path}: {bundle.ref} has no output {FEATURES!r}, which is compared with good film's")


def _near(place: Spot, spot: Spot) -> bool:
    """Whether the picture of a place would show some of a spot."""
    reach = max(place.height, place.width, 64)
    return (
        spot.row_start < place.row_end + reach
        and place.row_start - reach < spot.row_end
        and spot.column_start < place.column_end + reach
        and place.column_start - reach < spot.column_end
    )

"""Inspection of what passed without a picture, drawn through detection curves of the model that would have looked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from line.bundle import DetectionCurve, ModelRef, open_bundle
from line.config import Site
from line.events import FilmDefect, LayerInspected, StripInspected
from line.model import LineModel
from line.stack_geometry import CORNERS
from plant.cameras import DRAWN_STRIPS, Stretch
from plant.drawn import FilmDrawer
from plant.drawn_layers import LayerDrawer
from plant.truth_types import PlacedSheet
from plant.world import World

PUBLISHED = ModelRef(name="published-curve", version=1, digest="0" * 64)
"""Stands for the line model's own detection curves, where no model's have been measured."""
_FIRST_DEFECT = 50_000
"""Live results are numbered from here, so that their names cannot be those of the same roll's past."""


class _LiveDrawer(FilmDrawer):
    def __init__(
        self, world: World, model: ModelRef, curves: Mapping[str, DetectionCurve] | None, strip_um: int
    ) -> None:
        super().__init__(
            world.line, seed=world.seed, model=model, curves=curves, strip_um=strip_um, unnamed=world.hidden_defects()
        )
        self._count = _FIRST_DEFECT


class DrawnInspection:
    """Results for film and layers that no camera exposed. It is saved with the world, since lines go on."""

    def __init__(self, world: World, model: ModelRef, curves: Mapping[str, DetectionCurve] | None) -> None:
        camera = next(row for row in world.line.cameras if row.kind == "film")
        strip_um = round(DRAWN_STRIPS * (camera.strip_lines or 1) * camera.pixel_um)
        self._film = _LiveDrawer(world, model, curves, strip_um)
        self._layers = LayerDrawer(world.line, seed=world.seed)

    def film(self, world: World, stretch: Stretch) -> list[FilmDefect | StripInspected]:
        """What would have been found on a stretch."""
        flaws = world.flaws_between(stretch.roll, stretch.start_um, stretch.end_um)
        health = world.camera_health_at(stretch.at_ns)
        return self._film.strip(stretch.roll, stretch.start_um, stretch.end_um, flaws, health, stretch.at_ns)

    def layer(self, world: World, at_ns: int, sheet: PlacedSheet) -> LayerInspected:
        """What would have been measured on a layer; exposed layers are told too, for the cathode that follows."""
        shifts_um = {corner: world.corner_shift_um(corner) for corner in CORNERS}
        return self._layers.layer(sheet, at_ns, shifts_um)


def detection_of(site: Site, line: LineModel) -> tuple[ModelRef, Mapping[str, DetectionCurve] | None]:
    """The film model's name and its measured detection curves; the line model's published ones without such a model.

    Raises:
        BundleError: the folder of the settings is no bundle, or an altered one.
    """
    folder = Path(site.vision.film_model)
    if not folder.is_dir():
        return PUBLISHED, None
    bundle = open_bundle(folder)
    known = {row.code for row in line.defects} | {"unknown"}
    curves = {code: curve for code, curve in bundle.standing_detection.items() if code in known}
    return (bundle.ref, curves) if curves else (PUBLISHED, None)

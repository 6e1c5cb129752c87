"""The models of the film cameras as the settings say: opened, checked against their golden frames, and closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from line.bundle import open_bundle
from line.config import Site, VisionSettings
from line.errors import BundleError
from line.film_models import film_models, model_task
from line.model import LineModel
from vision.candidates import Classifier
from vision.every_pixel import EveryPixel
from vision.film_memory import feature_depth
from vision.finders import Cascade
from vision.parallel import ALONE, Crew
from vision.session import ModelSession, verify_golden

FilmModel = Classifier | EveryPixel


@contextmanager
def opened_models(site: Site, line: LineModel, crew: Crew) -> Iterator[dict[str, FilmModel]]:
    """What finds defects, by film camera; cameras whose defects another maker's inspector finds are left out.

    In the cascade, cameras of one model share its session. In full coverage each has its own, for strips of its shape.

    Args:
        crew: shares the calls of the cascade's sessions.

    Raises:
        BundleError: a bundle is not there or unfit, or its answers are off.
        ConfigError: as of `line.film_models.film_models`.
        ProviderError: as of `vision.session.open_onnx`.
    """
    provider, tensorrt = site.vision.provider, site.vision.tensorrt
    reject_um = {row.code: row.reject_um for row in line.defects}
    found: dict[str, FilmModel] = {}
    classifiers: dict[str, Classifier] = {}
    with ExitStack() as stack:
        for identity, name in film_models(site.vision, line).items():
            camera = line.camera(identity)
            if name in classifiers:
                found[camera.id] = classifiers[name]
                continue
            bundle = open_bundle(Path(name), task=model_task(site.vision))
            if site.vision.coverage == "full":
                with ModelSession(bundle, provider) as session:
                    verify_golden(session)
                net = EveryPixel(bundle, camera, reject_um, provider, tensorrt=tensorrt)
                found[camera.id] = stack.enter_context(net)
                continue
            session = stack.enter_context(ModelSession(bundle, provider, crew=crew))
            verify_golden(session)
            found[camera.id] = classifiers[name] = Classifier(session)
        yield found


@contextmanager
def opened_backbone(site: Site) -> Iterator[ModelSession | None]:
    """What tells how unlike good film defects look; None where `vision.backbone` is empty.

    Raises:
        BundleError: it is not there, no backbone or unfit, or its answers are off; the message names the setting.
        ProviderError: as of `opened_models`.
    """
    if not site.vision.backbone:
        yield None
        return
    with ExitStack() as stack:
        try:
            bundle = open_bundle(Path(site.vision.backbone), task="backbone")
            feature_depth(bundle)
            session = stack.enter_context(ModelSession(bundle, site.vision.provider))
            verify_golden(session)
        except BundleError as error:
            usual = VisionSettings().backbone
            raise BundleError(f"vision.backbone: {error}; set it to {usual!r}, or to '' for none") from error
        yield session


def require_models(site: Site, line: LineModel) -> None:
    """Refuse what the vision role would not start with.

    Raises:
        LamellaError: as of `opened_models` and `opened_backbone`, and where a model needs a channel that its camera
            does not have.
    """
    with opened_models(site, line, ALONE) as models, opened_backbone(site):
        for camera, model in models.items():
            if isinstance(model, Classifier):
                Cascade(model, line.camera(camera), {})

"""Which model looks at the film of which camera: the settings `vision.coverage` and those that name models.

`vision.film_model` serves every camera in the cascade, `vision.coverage_model` in full coverage; what
`vision.camera_models` names, as `lins-1=laminate-candidates`, serves that camera alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from line.bundle import Task
from line.config import VisionSettings
from line.errors import ConfigError, NotFoundError
from line.film_sources import source_of
from line.model import LineModel

KEY = "vision.camera_models"
COVERAGE_KEY = "vision.coverage_model"
TRAIN_FULL = "lamella train film --labelled FOLDER --method supervised --channels TX --pixel-um 20 --out NAME"
"""The channel and the pixel are those of the pictures in the folder."""
_BETWEEN = re.compile(r"[,;]\s*(?=[\w.-]+\s*=)")
_PART = re.compile(r"(?P<camera>[\w.-]+)\s*=\s*(?P<model>\S.*)", re.DOTALL)


def model_task(vision: VisionSettings) -> Task:
    """What a model of a film camera must have been made for."""
    return "film-candidates" if vision.coverage == "cascade" else "film-segmentation"


def camera_models(vision: VisionSettings) -> dict[str, str]:
    """Models of single cameras, by camera.

    Raises:
        ConfigError: a part is not `CAMERA=MODEL`, or a camera is named twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, (piece.strip(" ,;\n\t") for piece in _BETWEEN.split(vision.camera_models))):
        match = _PART.fullmatch(part)
        if match is None:
            raise ConfigError(f"value {part!r} is not CAMERA=MODEL; write for example lins-1=NAME", key=KEY)
        if match["camera"] in found:
            raise ConfigError(f"value {part!r}: camera {match['camera']} has a model already", key=KEY)
        found[match["camera"]] = match["model"].strip()
    return found


def film_model(vision: VisionSettings, camera: str) -> str:
    """The model of a camera: name or path.

    Raises:
        ConfigError: full coverage without a model; the message says how to train one.
    """
    own = camera_models(vision).get(camera)
    if own:
        return own
    if vision.coverage == "cascade":
        return vision.film_model
    if not vision.coverage_model:
        raise ConfigError(
            "is empty and vision.coverage is 'full': no net for every pixel ships with Lamella; train one, "
            f"{TRAIN_FULL}, and name it here, or set vision.coverage to 'cascade'",
            key=COVERAGE_KEY,
        )
    return vision.coverage_model


def film_models(vision: VisionSettings, line: LineModel) -> dict[str, str]:
    """The models of the fitted film cameras, by camera, but for those whose defects another maker's inspector finds.

    Raises:
        ConfigError: full coverage without a model, a model for what is no film camera of the line, a wrong source, or
            TensorRT where nothing would use it.
    """
    if vision.tensorrt and (vision.coverage != "full" or vision.provider == "cpu"):
        raise ConfigError(
            f"is true, but vision.coverage is {vision.coverage!r} and vision.provider {vision.provider!r}: TensorRT is "
            "for coverage 'full' with provider 'cuda' or 'auto'; set those, or vision.tensorrt to false",
            key="vision.tensorrt",
        )
    known = [row.id for row in line.cameras if row.kind == "film"]
    for camera, model in camera_models(vision).items():
        if camera not in known:
            raise ConfigError(
                f"value '{camera}={model}': {line.name} has no film camera {camera!r}; it has {', '.join(known)}: mend "
                "the name, or add a row to the line model",
                key=KEY,
            )
    own = [camera.id for camera in line.film_cameras() if source_of(vision.sources, camera).kind != "foreign"]
    return {camera: film_model(vision, camera) for camera in own}


def with_folders(vision: VisionSettings, folder_of: Callable[[str], str]) -> VisionSettings:
    """The settings with a folder in place of each model that is in use, so that any process finds it.

    Args:
        folder_of: the full path of a model's folder, from its name or path.

    Raises:
        NotFoundError: there is no such model; the message names the setting.
    """

    def placed(key: str, model: str) -> str:
        try:
            return folder_of(model)
        except NotFoundError as error:
            raise NotFoundError(f"{key}: {error}") from error

    own = ", ".join(f"{camera}={placed(KEY, model)}" for camera, model in camera_models(vision).items())
    backbone = vision.backbone and placed("vision.backbone", vision.backbone)
    vision = msgspec.structs.replace(vision, camera_models=own, backbone=backbone)
    if vision.coverage == "cascade":
        return msgspec.structs.replace(vision, film_model=placed("vision.film_model", vision.film_model))
    if not vision.coverage_model:
        return vision
    return msgspec.structs.replace(vision, coverage_model=placed(COVERAGE_KEY, vision.coverage_model))

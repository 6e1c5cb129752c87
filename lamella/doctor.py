"""What this machine has and what the line needs, each with what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

import msgspec

from lamella.bundles import bundle_folder
from line.bundle import Bundle
from line.calibration import calibration_file
from line.config import Site
from line.errors import ConfigError, LamellaError
from line.film_models import COVERAGE_KEY, TRAIN_FULL, with_folders
from line.film_sources import require_cameras, source_of, source_settings
from line.model import Camera, load_line
from vision.calibration_watch import CalibrationWatch
from vision.film_models import opened_backbone, opened_models
from vision.film_sources import require_sources, unreachable
from vision.parallel import ALONE

State = Literal["ok", "degraded", "failed"]
_LEAST_FREE_GB = 5.0
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The state of one thing."""

    name: str
    state: State
    detail: str
    next_step: str = ""
    unreachable: bool = False
    """A dependency that the configuration names does not answer."""


def findings(site: Site) -> list[Finding]:
    """Look at everything; a check that cannot be made is a finding, not an error."""
    return [*(check(site) for check in _CHECKS), *_calibrations(site)]


def _python(site: Site) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    right = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding(name="python", state="ok" if right else "failed", detail=version,
                   next_step="" if right else "use Python 3.11 to 3.13")  # fmt: skip


def _runtime(site: Site) -> Finding:
    found = [name for name in _RUNTIMES if _version(name)]
    if len(found) > 1:
        return Finding(name="onnxruntime", state="failed", detail=" and ".join(found) + " are both installed",
                       next_step="pip uninstall both, then install lamella again")  # fmt: skip
    return Finding(name="onnxruntime", state="ok", detail=", ".join(f"{name} {_version(name)}" for name in found))


def _line(site: Site) -> Finding:
    try:
        line = load_line(site.line.model)
    except LamellaError as error:
        return Finding(name="line model", state="failed", detail=str(error), next_step="lamella line check")
    return Finding(name="line model", state="ok", detail=f"{line.name}, {len(line.all_tags())} tags")


def _model(site: Site) -> Finding:
    """Opens models and backbone as the line will, so the providers named are those they really get."""
    try:
        vision = with_folders(site.vision, lambda name: str(bundle_folder(name, site.state_dir)))
        found = msgspec.structs.replace(site, vision=vision)
        with opened_models(found, load_line(site.line.model), ALONE) as models, opened_backbone(found) as backbone:
            seen = dict.fromkeys(_opened(model.bundle, model.providers, model.device) for model in models.values())
            if backbone:
                of = backbone.provenance
                seen[_opened(backbone.bundle, of.providers, of.hardware)] = None
    except LamellaError as error:
        untrained = isinstance(error, ConfigError) and error.key == COVERAGE_KEY
        return Finding(name="film model", state="failed", detail=str(error),
                       next_step=TRAIN_FULL if untrained else "lamella model list")  # fmt: skip
    return Finding(name="film model", state="ok", detail=", ".join(seen) or "none needed")


def _opened(bundle: Bundle, providers: Sequence[str], device: str) -> str:
    return f"{bundle.ref} {bundle.digest[:12]} on {', '.join(providers)} ({device})"


def _state_dir(site: Site) -> Finding:
    folder = site.state_dir.resolve()
    existing = next(path for path in [folder, *folder.parents] if path.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    if not os.access(existing, os.W_OK):
        return Finding(name="state directory", state="failed", detail=f"{existing} is not writable",
                       next_step="change its owner, or set line.state_dir")  # fmt: skip
    if free_gb < _LEAST_FREE_GB:
        return Finding(name="state directory", state="degraded", detail=f"{free_gb:.1f} GB free at {existing}",
                       next_step=f"free {_LEAST_FREE_GB:.0f} GB")  # fmt: skip
    return Finding(name="state directory", state="ok", detail=f"{folder}, {free_gb:.0f} GB free")


def _broker(site: Site) -> Finding:
    if site.broker.kind == "embedded":
        return Finding(name="broker", state="ok", detail="embedded, starts with the line")
    address = f"{site.broker.host}:{site.broker.port}"
    if _answers(site.broker.host, site.broker.port):
        return Finding(name="broker", state="ok", detail=address)
    return Finding(name="broker", state="failed", detail=f"{address} does not answer", unreachable=True,
                   next_step="start the broker, or set broker.kind to embedded")  # fmt: skip


def _plc(site: Site) -> Finding:
    endpoint = site.plc.endpoint
    if not endpoint or endpoint.startswith("file:"):
        return Finding(name="plc", state="ok", detail="the simulated line, starts with it")
    parts = urlparse(endpoint)
    if parts.hostname and _answers(parts.hostname, parts.port or 4840):
        return Finding(name="plc", state="ok", detail=endpoint)
    return Finding(name="plc", state="failed", detail=f"{endpoint} does not answer", unreachable=True,
                   next_step="check the cable, the PLC's OPC-UA server and plc.endpoint")  # fmt: skip


def _cameras(site: Site) -> Finding:
    """Every configured camera is looked for; one that is not found is named."""
    try:
        line = load_line(site.line.model)
        require_cameras(site.vision.sources, line)
        settings = source_settings(site.vision.sources)
        away = {str(setting): why for setting in settings if (why := unreachable(setting))}
        if not away:
            require_sources(site, line)
    except LamellaError as error:
        return Finding(name="cameras", state="failed", detail=str(error), next_step="mend vision.sources")
    if away:
        return Finding(name="cameras", state="failed", unreachable=True,
                       detail="; ".join(f"{name}: {why}" for name, why in away.items()),
                       next_step="check cable, power and address, and vision.sources")  # fmt: skip
    found = ", ".join(str(setting) for setting in settings)
    return Finding(name="cameras", state="ok", detail=found or "from their spools")


def _calibrations(site: Site) -> list[Finding]:
    """A finding for each fitted film camera: until when it is calibrated, and what follows when it is not."""
    try:
        cameras = load_line(site.line.model).film_cameras()
        return [_calibration(site, camera) for camera in cameras]
    except LamellaError:
        return []  # The line model and the sources have findings of their own.


def _calibration(site: Site, camera: Camera) -> Finding:
    name, file = f"camera {camera.id}", calibration_file(site.state_dir, camera.id)
    source = source_of(site.vision.sources, camera).kind
    if source == "foreign":
        return Finding(name=name, state="ok", detail="another maker's inspector, which needs no calibration of ours")
    recorded = source == "folder" or bool(site.line.recording)
    simulated = source == "spool" and not recorded and (not site.plc.endpoint or site.plc.endpoint.startswith("file:"))
    watch, now_ns = CalibrationWatch(camera, site.state_dir, site.vision.calibration), time.time_ns()
    found = watch.in_force(now_ns, simulated=simulated)
    calibration = watch.calibration
    reason = found.reason.partition(": film is uninspected")[0] if recorded else found.reason
    detail = f"{reason} ({file})" if calibration and not simulated else reason
    if found.standing == "ok":
        return Finding(name=name, state="ok", detail=detail)
    again = f"lamella calibrate film --camera {camera.id}"
    if found.standing == "expired" and calibration and now_ns <= calibration.recalibrate_by_ns:
        again += " --reference-tile"
    if recorded:
        return Finding(name=name, state="degraded", detail=f"{detail}: recorded film, unless simulated, is uninspected",
                       next_step=f"--set vision.calibration=nominal, or {again}")  # fmt: skip
    if "uninspected" not in detail:
        detail += ": film is uninspected"
    return Finding(name=name, state="failed", detail=detail, next_step=again)


def _console(site: Site) -> Finding:
    host, port = site.console.host, site.console.port
    if port and _answers(host, port):
        return Finding(name="console port", state="degraded", detail=f"{host}:{port} is in use",
                       next_step="a line may be running; else set console.port")  # fmt: skip
    return Finding(name="console port", state="ok", detail=f"{host}:{port}")


def _clock(site: Site) -> Finding:
    synchronised = Path("/run/systemd/timesync/synchronized").exists() or Path("/run/chrony").exists()
    return Finding(name="clock", state="ok" if synchronised else "degraded",
                   detail="synchronised" if synchronised else "no time service seen",
                   next_step="" if synchronised else "turn on systemd-timesyncd or chrony")  # fmt: skip


_CHECKS: tuple[Callable[[Site], Finding], ...] = (
    _python, _runtime, _line, _model, _state_dir, _broker, _plc, _cameras, _console, _clock,
)  # fmt: skip


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False

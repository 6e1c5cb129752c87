"""How the plant opens: from where it stood, or with a past that is lived first; and how it is written down."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from line.config import Site
from line.errors import ConfigError
from line.model import LineModel
from plant.cameras import FilmPlace
from plant.history import live_past
from plant.inspection import DrawnInspection, detection_of
from plant.scenario import load_scenario
from plant.server import RingState
from plant.truth import SEALED, TruthFile
from plant.world import World, default_opening_ns

log = logging.getLogger(__name__)

WORLD = Path("plant") / "world.pickle"
"""Below the state folder."""
PAST = Path("plant") / "past.journal"
_SHOWN = Path("plant") / "shown.json"
_INSPECTION = Path("plant") / "inspection.pickle"

Progress = Callable[[str, float], None]
"""Told what is being done, and which share of it is."""


class Shown(msgspec.Struct, kw_only=True):
    """What of the world has been shown already."""

    rings: dict[str, RingState] = {}
    place: FilmPlace = msgspec.field(default_factory=FilmPlace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A plant that is ready to go on."""

    world: World
    shown: Shown
    inspection: DrawnInspection


def opened(site: Site, line: LineModel, progress: Progress) -> Opened:
    """The plant of a state folder, made with its past when there is none yet. Blocks for as long as that takes.

    Raises:
        ConfigError: what is saved belongs to other seeds or another version, the scenario is not known, or the time
            to open at is none.
        BundleError: the film model is not a sound bundle.
    """
    if (site.state_dir / WORLD).exists():
        return _restored(site)
    scenario = load_scenario(site.plant.scenario, line) if site.plant.scenario else None
    opens_at_ns = _opening_ns(site.plant.opens_at) or default_opening_ns(line, time.time_ns())
    world = World(line, seed=site.plant.seed, hidden_seed=site.plant.hidden_seed, opens_at_ns=opens_at_ns)
    model, curves = detection_of(site, line)
    if site.plant.history_weeks > 0:
        progress("living the past", 0.0)
        with TruthFile(site.state_dir / SEALED) as truth:
            past = live_past(
                world,
                site.plant.history_weeks,
                site.state_dir / PAST,
                lambda share: progress("living the past", share),
                model=model,
                curves=curves,
                box=site.box,
                topic_root=site.broker.topic_root,
                truth=truth,
            )
        log.info(
            "a past of %g weeks: %d entries, %d cells made, %d tested, %.0f m of film",
            site.plant.history_weeks, past.entries_count, past.cells_made_count, past.cells_tested_count, past.film_m,
        )  # fmt: skip
    if scenario is not None:
        world.inject(scenario)
    state = Opened(world=world, shown=Shown(), inspection=DrawnInspection(world, model, curves))
    save_opened(site, state)
    return state


def save_opened(site: Site, state: Opened) -> None:
    """Write down where the plant stands, each file whole or not at all, the world last."""
    _replace(site.state_dir / _SHOWN, msgspec.json.encode(state.shown))
    _replace(site.state_dir / _INSPECTION, pickle.dumps(state.inspection, protocol=pickle.HIGHEST_PROTOCOL))
    state.world.save(site.state_dir / WORLD)


def _opening_ns(text: str) -> int:
    """The time of a setting; 0 for an empty one."""
    if not text:
        return 0
    try:
        return round(datetime.fromisoformat(text).timestamp()) * 10**9
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time: {error}", key="plant.opens_at") from error


def _restored(site: Site) -> Opened:
    path = site.state_dir / WORLD
    world = World.load(path)
    wanted = (site.plant.seed, site.plant.hidden_seed)
    if (world.seed, world.hidden.seed) != wanted:
        raise ConfigError(
            f"holds a line of plant.seed {world.seed} and plant.hidden_seed {world.hidden.seed}, the settings say "
            f"{wanted[0]} and {wanted[1]}; choose another line.state_dir, or remove this one to begin anew",
            file=path,
        )
    try:
        shown = msgspec.json.decode((site.state_dir / _SHOWN).read_bytes(), type=Shown)
        inspection = pickle.loads((site.state_dir / _INSPECTION).read_bytes())
    except (OSError, msgspec.DecodeError, pickle.UnpicklingError, EOFError, AttributeError, ImportError) as error:
        log.warning("%s: %s; part records begin anew", site.state_dir / _SHOWN, error)
        model, curves = detection_of(site, world.line)
        return Opened(world=world, shown=Shown(), inspection=DrawnInspection(world, model, curves))
    return Opened(world=world, shown=shown, inspection=inspection)


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.chmod(0o600)
    temporary.replace(path)

"""The physical line as a whole: tags, film, flow, cells and faults under one clock that only `advance` moves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from line.events import MaterialEvent, StationState
from line.model import LineModel
from plant.hidden import Hidden, HiddenDefect, drawn_hidden
from plant.scenario import Scenario
from plant.truth_types import CameraHealth, Flaw, PlacedSheet


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmView:
    """What stands before the film camera. MD in view is `encoder_um` less the camera's place on the web."""

    roll: str
    encoder_um: int
    """Web travel since the roll's zero was under the die lip; grows past the roll's length while the web runs out."""
    coated_um: int
    """Film coated so far; the roll's length once coating has stopped."""
    complete: bool
    """Whether coating has stopped, so that `coated_um` is the roll's length."""
    running: bool
    web_speed_m_per_min: float


class World:
    """A simulated line. Nothing happens but in `advance`; the same seeds give the same events however it is called."""

    def __init__(self, line: LineModel, *, seed: int, hidden_seed: int, opens_at_ns: int) -> None: ...

    @property
    def now_ns(self) -> int: ...

    @property
    def hidden(self) -> Hidden: ...

    def hidden_defects(self) -> tuple[HiddenDefect, ...]:
        """Defect classes that no table names; the renderer needs their looks."""
        ...

    def begin(self, at_ns: int) -> None:
        """Let the world's life begin earlier than it opens; before the first `advance` only."""
        ...

    def advance(self, to_ns: int) -> None: ...

    def take_material(self) -> list[MaterialEvent]:
        """Part records since the last take, in order of plant time, with station, counter and id."""
        ...

    def take_states(self) -> list[StationState]:
        """Changes of state since the last take."""
        ...

    def station_states(self) -> list[StationState]:
        """Every station's state now; `at_ns` is since when."""
        ...

    def take_placements(self) -> list[tuple[int, PlacedSheet]]:
        """Layers placed since the last take, with the plant time of each."""
        ...

    def tags(self) -> dict[str, float]:
        """Every tag as its sensor reports it now, in its unit."""
        ...

    def inject(self, scenario: Scenario, strength: float = 1.0) -> None: ...

    def film_view(self) -> FilmView | None: ...

    def flaws_between(self, roll: str, md_start_um: int, md_end_um: int) -> list[Flaw]: ...

    def camera_health(self) -> CameraHealth: ...

    def corner_shift_um(self, corner: int) -> float:
        """How far a stack camera (1-4) has moved from where its calibration says, along x and y."""
        ...

    def save(self, path: Path) -> None: ...

    @classmethod
    def load(cls, path: Path) -> World: ...

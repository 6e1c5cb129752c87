"""What the web stations share: stores, who is busy, when people go, names of rolls."""

from __future__ import annotations

from line.events import WebName
from line.ids import roll_id
from plant.flow import Engine, seconds
from plant.shifts import NS
from plant.stock import Cutting, Stores
from plant.surroundings import Surroundings

WEB_STATIONS = ("S01", "S02", "S03", "S04", "S05", "S06", "S07", "S08", "S09", "S10")
_OVERTIME_S = 1800.0
"""By which work may end after the shift."""


class Floor:
    """The shop floor of the web half."""

    def __init__(self, engine: Engine, surroundings: Surroundings) -> None:
        self.engine = engine
        self.around = surroundings
        self.line = engine.line
        self.stores = Stores()
        self.busy: set[str] = set()
        self.not_before: dict[str, int] = {}
        self.cutting: dict[str, Cutting] = {}
        """What lies under the laser, by kind of sheet."""
        self.under_way_um: dict[str, int] = {}
        """Length that is being laminated or calendered, by station."""
        self._numbers: dict[tuple[str, str], int] = {}

    def stock_shifts(self) -> float:
        """How many shifts of stacking at the takt the film of two faces lasts that is anywhere before the stacker."""
        product, stores = self.line.product(), self.stores
        sheet, lanes = product.sheet("laminate"), len(self.line.web("laminate").lanes)
        interval = self.engine.shifts.interval_at(self.engine.now_ns)
        shift_s = (interval[1] - interval[0]) / NS if interval else 8 * 3600.0
        per_stack = sum(product.sheet_kind(layer) == "laminate" for layer in range(1, product.placements + 1))
        per_shift_um = shift_s / (self.line.plan.takt_min * 60) * per_stack / lanes * sheet.pitch_um
        laminate_um = 1.0 * sum(roll.length_um for roll in (*stores.laminate, *stores.calendered))
        laminate_um += sum(self.under_way_um.values())
        laminate_um += 0.5 * sum(roll.length_um for roll in stores.film)
        laminate_um += len(stores.sheets["laminate"]) / lanes * sheet.pitch_um
        cutting = self.cutting.get("laminate")
        if cutting is not None:
            laminate_um += max(cutting.web.length_um - cutting.row * sheet.pitch_um, 0)
        return laminate_um / per_shift_um

    def free(self, code: str, work_s: float) -> bool:
        """Whether a station may start work that it should finish before people go."""
        engine = self.engine
        return (
            code not in self.busy
            and engine.now_ns >= self.not_before.get(code, 0)
            and engine.now_ns + seconds(work_s) <= engine.closes_ns() + seconds(_OVERTIME_S)
        )

    def rest(self, code: str) -> None:
        """A station is done with what it did."""
        self.busy.discard(code)
        if self.engine.manned():
            self.engine.turn(code, "Idle")
        else:
            self.engine.turn(code, "Stopped", reason="out of shift")

    def next_roll(self, web: WebName) -> str:
        """The name of a roll that begins now."""
        name = roll_id(web, self.engine.now_ns, 1, 0)
        key = (web, name[:-3])
        self._numbers[key] = self._numbers.get(key, 0) + 1
        return roll_id(web, self.engine.now_ns, 1, self._numbers[key])

    def order(self) -> str:
        """The work order of the week."""
        return f"WO-{self.engine.now_ns // (7 * 86400 * NS):04d}"

"""Station states, put together from the PackML status variables as they change."""

from __future__ import annotations

from typing import get_args

import msgspec

from line.events import PackMLState, StationState, UnitMode

_FIELDS = {
    "StateCurrent": "state",
    "UnitModeCurrent": "mode",
    "StopReason": "stop_reason",
    "CurMachSpeed": "speed",
    "EquipmentBlocked": "blocked",
    "EquipmentStarved": "starved",
    "ProdProcessedCount": "processed_count",
    "ProdDefectiveCount": "defective_count",
}
_WORDS = {"state": get_args(PackMLState), "mode": get_args(UnitMode)}
_COUNTS = frozenset({"processed_count", "defective_count"})


class StatusBoard:
    """The last known state of every station."""

    def __init__(self, *, simulated: bool) -> None:
        self._simulated = simulated
        self._values: dict[str, dict[str, object]] = {}
        self._said: dict[str, StationState] = {}
        self._changed: dict[str, int] = {}

    def note(self, station: str, name: str, value: object, at_ns: int) -> None:
        """A status variable changed; a word that PackML does not know is left out."""
        field = _FIELDS.get(name)
        if field is None or (field in _WORDS and value not in _WORDS[field]):
            return
        self._values.setdefault(station, {})[field] = value
        self._changed[station] = max(at_ns, self._changed.get(station, 0))

    def states(self) -> list[StationState]:
        """Stations whose state is not as last said. Counts alone do not make a state new."""
        found = []
        for station, at_ns in self._changed.items():
            values = self._values[station]
            if "state" not in values:
                continue
            state = msgspec.convert(
                {"at_ns": at_ns, "simulated": self._simulated, "station": station, "type": "station_state", **values},
                StationState,
                strict=False,
            )
            before = self._said.get(station)
            if before is None or _essence(before) != _essence(state):
                self._said[station] = state
                found.append(state)
        self._changed.clear()
        return found


def _essence(state: StationState) -> tuple[object, ...]:
    return (state.state, state.mode, state.stop_reason, state.blocked, state.starved, round(state.speed, 2))

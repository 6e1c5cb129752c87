"""A hash of all that a state believes, the same for every order and repetition of the same events."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from twin.state import LineState


def digest_of(state: LineState) -> str:
    """SHA-256 over every table, each in the order of its encoded rows."""
    digest = hashlib.sha256()
    for name, rows in _tables(state):
        for row in sorted(msgspec.json.encode(row, order="deterministic") for row in rows):
            digest.update(name)
            digest.update(row)
    return digest.hexdigest()


def _tables(state: LineState) -> Iterable[tuple[bytes, Iterable[object]]]:
    yield b"now", [(state.at_ns, state.simulated, state.recipe, state.order_released)]
    rolls = state.rolls.values()
    yield b"defects", [defect for roll in rolls for defect in roll.defects.values()]
    yield b"looked", [(roll.roll, cds, list(row)) for roll in rolls for cds, row in roll.looked.items()]
    yield b"unlooked", [(roll.roll, why, list(row)) for roll in rolls for why, row in roll.unlooked.items()]
    yield b"patterns", [pattern for roll in rolls for pattern in roll.patterns.values()]
    yield b"profiles", [profile for roll in rolls for profile in roll.profiles.values()]
    yield b"passages", [(roll.roll, sorted(roll.passages.values())) for roll in rolls]
    yield b"rolls", [(name, row.seen_um) for name, row in state.rolls.items()]
    yield b"webs", [(child, sorted(rows)) for child, rows in state.webs.items()]
    yield (
        b"stacks",
        [
            (row.stack, row.started_ns, sorted(row.layers.items()), sorted(row.looks.items()))
            for row in state.stacks.values()
        ],
    )
    yield b"units", [(row.unit, row.progress, row.scrap, sorted(row.moves.items())) for row in state.units.values()]
    tables: dict[bytes, Mapping[str, object]] = {
        b"started": state.started, b"ended": state.ended, b"sheets": state.sheets, b"placed": state.placed,
        b"cell_of": state.cell_of, b"stack_of": state.stack_of, b"tests": state.tests, b"cells": state.cells,
        b"station_states": state.station_states, b"tags": state.tags, b"cameras": state.cameras,
        b"predicted": state.predicted, b"forecasts": state.forecasts, b"scores": state.scores,
    }  # fmt: skip
    for name, table in tables.items():
        yield name, table.items()

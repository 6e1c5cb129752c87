"""Orders that a service obeys. Each expires, so that a late one does nothing."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Command(Struct, frozen=True, kw_only=True, tag_field="command"):
    """What every command has."""

    id: str
    person: str
    expires_ns: int
    """Wall time after which it must not be obeyed."""


class SetSpeed(Command, frozen=True, kw_only=True, tag="set_speed"):
    """Run the simulated line at this speed."""

    speed: Annotated[float, Meta(ge=0.1, le=600)]
    """Plant seconds per wall second."""


class InjectFault(Command, frozen=True, kw_only=True, tag="inject_fault"):
    """Start a fault scenario in the simulated line."""

    scenario: str
    """A shipped name such as `F01`."""
    strength: Annotated[float, Meta(gt=0, le=10)] = 1.0
    """1 is as listed."""


PlantCommand = SetSpeed | InjectFault


class Done(Struct, frozen=True, kw_only=True):
    """The reply to a command."""

    id: str
    ok: bool
    detail: str = ""

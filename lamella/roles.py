"""The roles a box can play, each one process."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable
from typing import Literal, get_args

from lamella.claims import require_free_port
from line.config import Site
from line.errors import ConfigError
from line.service import run_service

Role = Literal["broker", "plant", "replay", "plc", "vision", "twin", "console"]
ROLES: tuple[Role, ...] = get_args(Role)

_PR_SET_PDEATHSIG = 1


def run_role(role: Role, site: Site) -> int:
    """Run one role in this process; returns its exit status. Only the role's own package is imported.

    Raises:
        ConflictError: the console's port is taken.
        ConfigError: the broker has no port that the other roles know.
    """
    require_broker_port(site)
    _die_with_parent()
    return _RUNNERS[role](site)


def require_broker_port(site: Site) -> None:
    """Refuse a broker on any free port where nobody could tell which that is.

    Raises:
        ConfigError: names the setting and the next step.
    """
    if not site.broker.port:
        raise ConfigError(
            "is 0, any free port, which only `lamella run` of the whole line with its own broker can tell its roles: "
            "set it to the broker's, as --set broker.port=1883, the same for every role",
            key="broker.port",
        )


def _broker(site: Site) -> int:
    from lamella.broker import run_broker

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return run_broker(site)


def _plant(site: Site) -> int:
    from plant.service import serve

    return run_service("plant", site, serve)


def _replay(site: Site) -> int:
    from lamella.replay import serve

    return run_service("replay", site, serve)


def _plc(site: Site) -> int:
    from plc.service import serve

    return run_service("plc", site, serve)


def _vision(site: Site) -> int:
    from vision.service import serve

    return run_service("vision", site, serve)


def _twin(site: Site) -> int:
    from twin.service import serve

    return run_service("twin", site, serve)


def _console(site: Site) -> int:
    from lamella.console import serve

    require_free_port(site.console.host, site.console.port, "console.port")
    return run_service("console", site, serve)


_RUNNERS: dict[Role, Callable[[Site], int]] = {
    "broker": _broker,
    "plant": _plant,
    "replay": _replay,
    "plc": _plc,
    "vision": _vision,
    "twin": _twin,
    "console": _console,
}


def _die_with_parent() -> None:
    """Ask Linux for SIGTERM when whoever started us dies, however that happens; elsewhere it stays undone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

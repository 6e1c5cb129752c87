"""`lamella run`."""

from __future__ import annotations

import argparse

import msgspec

from lamella.roles import ROLES, Role, run_role
from line.config import Site


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", choices=ROLES, help="run only this role, in this process")
    parser.add_argument("--speed", type=float, help="plant seconds per wall second, 0.1 to 600")
    parser.add_argument("--scenario", help="fault scenario to start with, as F01, or a file")
    parser.add_argument("--hidden-seed", type=int, help="another line that nobody has tuned on")
    parser.add_argument("--history-weeks", type=float, help="past the line opens with")
    parser.add_argument("--host", help="address of the console")
    parser.add_argument("--port", type=int, help="port of the console; 0 picks a free one")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing while starting")


def work(options: argparse.Namespace, site: Site) -> int:
    site = _with_flags(options, site)
    if options.role:
        return run_role(options.role, site)
    from lamella.launch import run_line

    return run_line(site, roles_of(site), quiet=options.quiet)


def roles_of(site: Site) -> list[Role]:
    """All roles but the broker when one is running elsewhere, and the plant or a recording only without a real PLC."""
    absent = {"plant" if site.line.recording else "replay"}
    if site.broker.kind == "external":
        absent.add("broker")
    if site.plc.endpoint and not site.plc.endpoint.startswith("file:"):
        absent |= {"plant", "replay"}
    return [role for role in ROLES if role not in absent]


def _with_flags(options: argparse.Namespace, site: Site) -> Site:
    plant = {
        "speed": options.speed,
        "scenario": options.scenario,
        "hidden_seed": options.hidden_seed,
        "history_weeks": options.history_weeks,
    }
    console = {"host": options.host, "port": options.port}
    replaced = msgspec.structs.replace(
        site,
        plant=msgspec.structs.replace(site.plant, **{key: value for key, value in plant.items() if value is not None}),
        console=msgspec.structs.replace(
            site.console, **{key: value for key, value in console.items() if value is not None}
        ),
    )
    return msgspec.convert(msgspec.to_builtins(replaced), Site)

"""Find the line that runs on this machine from its state directory."""

from __future__ import annotations

from line.config import Site, site_from
from line.errors import BrokerError


def running_site(site: Site) -> Site:
    """The settings that `lamella run` settled on for this state directory: ports and addresses as they are.

    Raises:
        BrokerError: no line runs there, or ever did.
    """
    settled = site.state_dir / "run" / "site.toml"
    if not settled.exists():
        raise BrokerError(f"{site.state_dir}: no line has run here; start one with `lamella run`, or give --state")
    return site_from(settled)

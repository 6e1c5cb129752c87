"""What a run has for itself: its folder of state, and the ports that its settings name."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from line.errors import ConflictError


def require_free_port(host: str, port: int, key: str) -> None:
    """Refuse a port on which somebody listens already; 0 asks for a free one and is never taken.

    Args:
        key: the setting that names it, for the message.

    Raises:
        ConflictError: it is taken; names setting, host and port, and what to do.
    """
    if not port:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        # An address that is not ours is for whoever listens to refuse: it is no conflict.
        if error.errno == errno.EADDRINUSE:
            raise ConflictError(
                f"{key}: {host}:{port} is in use by another program; stop it, or set {key} to another port, "
                f"or to 0 for a free one"
            ) from error


@contextmanager
def claimed_folder(state_dir: Path) -> Iterator[None]:
    """The folder of state is ours while inside.

    Raises:
        ConflictError: another run has it; names its process.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ConflictError(
                f"{state_dir} is in use by process {file.read().strip() or '?'}; stop it, or set line.state_dir"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield

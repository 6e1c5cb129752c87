"""Exit statuses of the command line: documented, tested, the same for every command."""

from __future__ import annotations

from line.errors import BundleError, ConfigError, ConflictError, LamellaError, LinkError, NotFoundError, ProviderError

OK = 0
FAILURE = 1
USAGE = 2
CONFIG_INVALID = 3
DEPENDENCY_UNREACHABLE = 4
GATE_NOT_MET = 5
NOT_FOUND = 6
CONFLICT = 7
INTERRUPTED = 130

_BY_ERROR: tuple[tuple[type[LamellaError], int], ...] = (
    (ConfigError, CONFIG_INVALID),
    (LinkError, DEPENDENCY_UNREACHABLE),
    (ProviderError, DEPENDENCY_UNREACHABLE),
    (NotFoundError, NOT_FOUND),
    (ConflictError, CONFLICT),
    (BundleError, FAILURE),
)


def exit_code(error: LamellaError) -> int:
    """The status for an error, by its branch of the tree in `line/errors.py`."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAILURE)

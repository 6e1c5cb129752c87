"""Logging, configured once per process: lines for people on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import logging
import os
import sys
import time

_CHATTY = ("asyncua", "uvicorn.access", "uvicorn.error")
"""Libraries that log each message; their warnings stay."""


def configure_logging(role: str) -> None:
    """Log to standard error; the level comes from `LAMELLA_LOG`, INFO when unset."""
    handler = logging.StreamHandler()
    if sys.stderr.isatty():
        handler.setFormatter(logging.Formatter(f"%(asctime)s {role} %(levelname)s %(name)s %(message)s"))
    else:
        handler.setFormatter(_JsonLines(role))
    logging.basicConfig(level=os.environ.get("LAMELLA_LOG", "INFO"), handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


class _JsonLines(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "role": self._role,
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)

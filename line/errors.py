"""Everything Lamella raises on purpose.

LamellaError
├── ConfigError            a setting or a file of the site is wrong           retry: no, mend the file
│   └── LineModelError     a row of the line model is wrong                   retry: no, mend the row
├── LinkError              a wire is down                                     retry: yes, with back-off
│   ├── BrokerError        MQTT broker unreachable or refusing
│   ├── PlcError           OPC-UA server unreachable or refusing
│   ├── HistorianError     tag history cannot be written or read              retry: yes, the journal keeps what waits
│   └── DeadlineError      nobody answered a question in time                 retry: yes, once the other side is up
├── JournalError           the journal cannot be written or read              retry: no, the disk needs attention
├── MessageError           a message on a wire does not follow its type       retry: no, the sender is wrong
├── WebMapError            an operation contradicts the web it is done to     retry: no, the record is wrong
├── FrameError             a picture cannot be used                           retry: no, take the next
│   └── UnusableFrameError readable, but what is looked for is not in it
├── BundleError            a model bundle is incomplete, altered or unfit     retry: no, fetch it again
├── ProviderError          a required GPU provider is not active              retry: no, mend the installation
├── ConflictError          another works on the same thing                    retry: once the other is done
└── NotFoundError          the thing asked for is not known                   retry: no
"""

from __future__ import annotations

from pathlib import Path


class LamellaError(Exception):
    """Root of all errors that Lamella raises on purpose."""


class ConfigError(LamellaError):
    """A setting is wrong; the message names file, key, value and what is allowed."""

    def __init__(self, message: str, *, file: Path | None = None, key: str | None = None) -> None:
        place = ": ".join(str(part) for part in (file, key) if part)
        super().__init__(f"{place}: {message}" if place else message)
        self.file = file
        self.key = key


class LineModelError(ConfigError):
    """A row of the line model is wrong."""


class LinkError(LamellaError):
    """A wire is down; trying again with back-off is right."""


class BrokerError(LinkError):
    """The MQTT broker is unreachable or refuses us."""


class PlcError(LinkError):
    """The OPC-UA server is unreachable or refuses us."""


class HistorianError(LinkError):
    """The historian cannot be written or read."""


class DeadlineError(LinkError):
    """Nobody answered a question before its deadline."""


class JournalError(LamellaError):
    """The journal cannot be written or read."""


class MessageError(LamellaError):
    """A message on a wire does not follow its type."""


class WebMapError(LamellaError):
    """An operation contradicts the web that it is done to; its record or its measurement is wrong."""


class FrameError(LamellaError):
    """A picture cannot be used; the next one may be fine."""


class UnusableFrameError(FrameError):
    """The picture is readable, but what is looked for is not in it."""


class BundleError(LamellaError):
    """A model bundle is incomplete, altered or unfit for the work."""


class ProviderError(LamellaError):
    """A required execution provider (GPU) is not active in the session."""


class ConflictError(LamellaError):
    """Another process or person works on the same thing."""


class NotFoundError(LamellaError):
    """The roll, cell, tag or file asked for is not known."""

"""The sealed truth: what was really so, appended to a file that only scoring reads.

The file is of mode 0600 in the plant's own part of the state folder. No other service is told its path.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from msgspec import Struct

from line.errors import JournalError
from plant.cells import CellFate
from plant.hidden import Hidden
from plant.truth_types import Flaw

SEALED = Path("plant") / "sealed" / "truth.jsonl"
"""Below the state folder."""


class Truth(Struct, frozen=True, kw_only=True, tag_field="truth"):
    """What every record has."""

    at_ns: int


class HiddenTruth(Truth, frozen=True, kw_only=True, tag="hidden"):
    """What `hidden_seed` drew."""

    hidden: Hidden


class FlawTruth(Truth, frozen=True, kw_only=True, tag="flaw"):
    """A real flaw."""

    flaw: str
    roll: str
    kind: str
    md_um: int
    cd_um: int
    size_um: float
    length_um: float
    width_um: float
    depth_fraction: float
    killer: bool
    cause: str

    @classmethod
    def of(cls, flaw: Flaw) -> FlawTruth:
        """The record of a flaw."""
        return cls(
            at_ns=flaw.born_ns,
            flaw=flaw.flaw,
            roll=flaw.roll,
            kind=flaw.kind,
            md_um=flaw.md_um,
            cd_um=flaw.cd_um,
            size_um=flaw.size_um,
            length_um=flaw.length_um,
            width_um=flaw.width_um,
            depth_fraction=flaw.depth_fraction,
            killer=flaw.killer,
            cause=flaw.cause,
        )


class CellTruth(Truth, frozen=True, kw_only=True, tag="cell"):
    """Why a cell will fail, or that it will not."""

    cell: str
    stack: str
    cause: str
    stage: str
    killers: tuple[tuple[int, str, str], ...]
    """Layer, face and flaw."""
    least_overhang_um: float

    @classmethod
    def of(cls, at_ns: int, cell: str, stack: str, fate: CellFate) -> CellTruth:
        """The record of a cell's fate."""
        return cls(
            at_ns=at_ns,
            cell=cell,
            stack=stack,
            cause=fate.cause,
            stage=fate.stage,
            killers=fate.killers,
            least_overhang_um=fate.least_overhang_um,
        )


class FaultTruth(Truth, frozen=True, kw_only=True, tag="fault"):
    """A fault that was put in."""

    scenario: str
    title: str
    strength: float
    ends_ns: int | None = None


TruthRecord = HiddenTruth | FlawTruth | CellTruth | FaultTruth


def _plain(value: Any) -> Any:
    if isinstance(value, Hidden):
        return asdict(value)
    raise NotImplementedError(f"{type(value).__name__} has no place in a truth record")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_decoder = msgspec.json.Decoder(TruthRecord)


class TruthFile:
    """An open truth file; a context manager.

    Args:
        path: made with its folder when absent, readable by its owner alone.

    Raises:
        JournalError: it cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}; check free space and permissions") from error
        self._path = path
        self._file = os.fdopen(handle, "ab")

    def append(self, records: Iterable[TruthRecord]) -> None:
        """Write records; they are on disk when this returns."""
        lines = b"".join(_encoder.encode(record) + b"\n" for record in records)
        if not lines:
            return
        try:
            self._file.write(lines)
            self._file.flush()
        except OSError as error:
            raise JournalError(f"{self._path}: {error.strerror}; check free space") from error

    def __enter__(self) -> TruthFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_truth(path: Path) -> Iterator[TruthRecord]:
    """Records of a sealed file, in order; a line that a crash cut off at the end is left out.

    Raises:
        JournalError: the file cannot be read, or a line in its middle is no record.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; has this plant run?") from error
    for number, line in enumerate(lines[:-1], 1):
        try:
            yield _decoder.decode(line)
        except msgspec.DecodeError as error:
            raise JournalError(f"{path}: line {number} is no truth record: {error}") from error

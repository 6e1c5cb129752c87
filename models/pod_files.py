"""Files of a release study: the table of targets, and what an inspection said of the coupons."""

from __future__ import annotations

import csv
import math
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from line.errors import ConfigError, MessageError, NotFoundError
from line.events import AnyEvent, FilmDefect, StripInspected, decoded
from line.inspection_files import FilmImageResult
from line.journal import read_entries
from line.recording import EVENTS_FILE, RecordedEvent
from models.pod_release import Area, Inspection, Target

COLUMNS = ("id", "kind", "size_um", "uncertainty_um", "made")
ON_ROLLS = ("roll", "md_um", "cd_um")
ON_PICTURES = ("picture", "x_px", "y_px")

_SQLITE = b"SQLite format 3\0"


class _Tag(msgspec.Struct):
    """What tells a line's kind."""

    type: str = ""
    file: str = ""
    after_s: float | None = None


def read_targets(table: Path, um_per_px: float | None) -> tuple[Target, ...]:
    """The CSV table of targets.

    Columns: `id`, `kind` (class code), `size_um`, `uncertainty_um` (expanded, k=2), `made` (how), and the place:
    `roll`, `md_um`, `cd_um`, or `picture`, `x_px`, `y_px` (the picture's file name; 0 is its left or upper edge).

    Args:
        um_per_px: of the pictures.

    Raises:
        NotFoundError: no such file.
        ConfigError: names line and column of what is wrong.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise NotFoundError(f"{table}: no such file; check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 text ({error.reason}); save it as CSV", file=table) from error
    if not rows:
        raise ConfigError("holds no targets; write one a line below the names of the columns", file=table)
    on_pictures = "picture" in rows[0]
    for name in (*COLUMNS, *(ON_PICTURES if on_pictures else ON_ROLLS)):
        if name not in rows[0]:
            raise ConfigError(f"has no column {name!r}; columns are {', '.join(rows[0])}", file=table)
    if on_pictures and um_per_px is None:
        raise ConfigError("targets are given in pixels of pictures: give --pixel-um", file=table)
    targets = []
    seen: set[str] = set()
    for line, row in enumerate(rows, 2):
        target = _target(table, line, row, um_per_px if on_pictures else None)
        if target.id in seen:
            raise ConfigError(f"{target.id!r} stands there twice; each target needs its own", file=table,
                              key=f"line {line}, id")  # fmt: skip
        seen.add(target.id)
        targets.append(target)
    return tuple(targets)


def _target(table: Path, line: int, row: dict[str, str], um_per_px: float | None) -> Target:
    def number(name: str, *, positive: bool = False) -> float:
        try:
            value = float(row[name])
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value) or value < 0 or (positive and value == 0):
            least = "above 0" if positive else "0 or more"
            raise ConfigError(f"{row[name]!r} is no number {least}", file=table, key=f"line {line}, {name}")
        return value

    def text(name: str) -> str:
        if not (row[name] or "").strip():
            raise ConfigError("is empty", file=table, key=f"line {line}, {name}")
        return row[name].strip()

    if um_per_px is None:
        piece, x_um, y_um = text("roll"), number("cd_um"), number("md_um")
    else:
        piece, x_um, y_um = Path(text("picture")).stem, number("x_px") * um_per_px, number("y_px") * um_per_px
    return Target(
        id=text("id"),
        kind=text("kind"),
        size_um=number("size_um", positive=True),
        uncertainty_um=number("uncertainty_um"),
        piece=piece,
        x_um=x_um,
        y_um=y_um,
        made=text("made"),
    )


def read_inspection(path: Path, um_per_px: float | None) -> Inspection:
    """What one model said: results of `lamella inspect film`, events as JSON lines, a recording, or a journal.

    Args:
        um_per_px: of the pictures; needed for results of pictures.

    Raises:
        NotFoundError: no such file, or nothing in it that an inspection says.
        MessageError: names file and line of what cannot be understood.
        ConfigError: several models spoke, or pictures without a pitch.
    """
    if path.is_dir():
        path = next((path / name for name in ("results.jsonl", EVENTS_FILE) if (path / name).is_file()), path)
    if not path.is_file():
        raise NotFoundError(f"{path}: no results.jsonl, {EVENTS_FILE} or journal; give what inspecting coupons left")
    with path.open("rb") as stream:
        is_journal = stream.read(len(_SQLITE)) == _SQLITE
    rows = list(_journal_rows(path) if is_journal else _rows(path))
    pictures = [row for row in rows if isinstance(row, FilmImageResult)]
    if pictures:
        if um_per_px is None:
            raise ConfigError("holds results of pictures: give --pixel-um", file=path)
        return _of_pictures(path, pictures, um_per_px)
    return _of_events(path, [row for row in rows if isinstance(row, FilmDefect | StripInspected)])


def _rows(path: Path) -> Iterator[AnyEvent | FilmImageResult]:
    with path.open("rb") as stream:
        for number, text in enumerate(stream, 1):
            if not text.strip():
                continue
            try:
                tag = msgspec.json.decode(text, type=_Tag)
                if tag.after_s is not None:
                    yield decoded(bytes(msgspec.json.decode(text, type=RecordedEvent).event))
                elif tag.type:
                    yield decoded(text)
                else:
                    yield msgspec.json.decode(text, type=FilmImageResult)
            except (msgspec.DecodeError, MessageError) as error:
                raise MessageError(f"{path}, line {number}: {error}") from error


def _journal_rows(path: Path) -> Iterator[AnyEvent]:
    try:
        for entry in read_entries(path):
            if entry.topic.rsplit("/", 1)[-1] in {"film_defect", "strip_inspected"}:
                yield decoded(entry.payload)
    except sqlite3.Error as error:
        raise MessageError(f"{path}: no journal of a service ({error}); give another file") from error


def _of_pictures(path: Path, rows: Iterable[FilmImageResult], um_per_px: float) -> Inspection:
    findings, inspected = [], []
    models: set[tuple[str, str]] = set()
    seen: set[str] = set()
    for row in rows:
        if row.verdict == "uninspected" or row.width_px is None or row.height_px is None:
            continue
        piece = Path(row.file).stem
        if piece in seen:
            raise ConfigError(f"two pictures are named {piece}; rename one and inspect again", file=path)
        seen.add(piece)
        models.add((row.model, row.model_digest))
        inspected.append(_area(piece, 0, 0, row.width_px, row.height_px, um_per_px))
        findings += [
            _area(piece, each.x_px, each.y_px, each.width_px, each.height_px, um_per_px, each.kind)
            for each in row.regions
        ]
    model, digest = _only_model(path, models)
    return Inspection(
        model=model,
        digest=digest,
        cameras=(),
        calibrations=(),
        findings=tuple(findings),
        inspected=tuple(inspected),
    )


def _of_events(path: Path, events: Iterable[FilmDefect | StripInspected]) -> Inspection:
    defects: dict[str, FilmDefect] = {}
    strips: dict[tuple[str, str, int], StripInspected] = {}
    for event in events:
        if isinstance(event, FilmDefect):
            known = defects.get(event.defect)
            # A longer sighting of the same defect replaces the shorter one.
            if known is None or event.revision >= known.revision:
                defects[event.defect] = event
        elif event.state == "inspected":
            strips[event.roll, event.camera, event.strip] = event
    if any(strip.method == "drawn" for strip in strips.values()):
        raise ConfigError(
            "holds simulated inspection (method 'drawn'); a release study needs pictures of coupons", file=path
        )
    refs = [each.model for each in defects.values()] + [each.model for each in strips.values()]
    models = {(str(ref), ref.digest) for ref in refs}
    model, digest = _only_model(path, models)
    return Inspection(
        model=model,
        digest=digest,
        cameras=tuple(sorted({strip.camera for strip in strips.values()})),
        calibrations=tuple(sorted({each.calibration for each in defects.values() if each.calibration})),
        findings=tuple(
            Area(
                piece=each.roll,
                left_um=each.cd_start_um,
                right_um=each.cd_end_um,
                top_um=each.md_start_um,
                bottom_um=each.md_end_um,
                kind=each.kind,
            )
            for each in defects.values()
        ),
        inspected=tuple(
            Area(
                piece=each.roll,
                left_um=each.cd_start_um,
                right_um=each.cd_end_um,
                top_um=each.md_start_um,
                bottom_um=each.md_end_um,
            )
            for each in strips.values()
        ),
    )


def _only_model(path: Path, models: set[tuple[str, str]]) -> tuple[str, str]:
    if not models:
        raise NotFoundError(f"{path}: nothing in it that an inspection of film says; inspect the coupons first")
    if len(models) > 1:
        names = ", ".join(sorted(f"{name} {digest[:12]}" for name, digest in models))
        raise ConfigError(f"several models spoke: {names}; a study is of one, inspect again with it", file=path)
    return next(iter(models))


def _area(piece: str, left: float, top: float, width: float, height: float, um_per_px: float, kind: str = "") -> Area:
    return Area(
        piece=piece,
        left_um=left * um_per_px,
        right_um=(left + width) * um_per_px,
        top_um=top * um_per_px,
        bottom_um=(top + height) * um_per_px,
        kind=kind,
    )

"""Another maker's inspector on the same roll map: its lists and pictures in, our defects and looked-at film out.

Files may be rewritten and grow: what is new in them is said once, what has changed gets the next revision, and what
cannot be used is refused row by row. A defect that vanishes from a list stays, for nobody has said why.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import msgspec

from line.errors import FrameError, MessageError
from line.events import AnyEvent, Event, FilmDefect, StripInspected
from line.evidence import Evidence
from line.foreign_lists import RowSet, foreign_lists
from line.ids import event_id
from line.model import Camera, LineModel
from vision.foreign_cells import CellReader, ForeignDefect, ForeignStretch
from vision.foreign_rows import ForeignRow, files_of, rows_of
from vision.images import read_image
from vision.png import png_of
from vision.verdict import Finding, Judge

log = logging.getLogger(__name__)

LARGEST_PICTURE_PX = 1024
_REFUSALS_TOLD = 20
"""Of one file, in the log; the rest is counted."""


@dataclass(slots=True, kw_only=True)
class ForeignFile:
    """What came out of one file."""

    path: Path
    events: list[Event] = field(default_factory=list)
    rows_count: int = 0
    refused: list[str] = field(default_factory=list)
    """Why rows, or the file, were not used."""


class ForeignInspector:
    """Reads the lists of one camera's place.

    Args:
        line: the line model.
        camera: the row that says where the other inspector stands: its station, web and width.
        mapping: TOML, see `line.foreign_lists`.
        evidence: where pictures go; None keeps none.
        known: events that were made before, so that they are not made again.

    Raises:
        ConfigError: the mapping is wrong.
    """

    def __init__(
        self,
        line: LineModel,
        camera: Camera,
        mapping: Path,
        *,
        evidence: Evidence | None = None,
        known: Iterable[AnyEvent] = (),
    ) -> None:
        self._line = line
        self._camera = camera
        self._lists, self.model = foreign_lists(mapping, tuple(row.code for row in line.defects))
        self.folder = (mapping.parent / self._lists.folder).resolve()
        self._reader = CellReader(self._lists, {row.code: row.size_measure for row in line.defects})
        self._evidence = evidence
        self._read: dict[tuple[str, Path], tuple[int, int]] = {}
        self._seen: dict[tuple[str, Path], tuple[int, int]] = {}
        """Time and size of files at the last look: one that still changes is being written."""
        self.rolls: dict[str, int] = {}
        """Rolls that were ever listed, with how many defects."""
        self._defects: dict[str, FilmDefect] = {}
        self._stretches: dict[tuple[str, int, int, int, int], int] = {}
        for event in known:
            self._remember(event)

    def look(self) -> Iterator[ForeignFile]:
        """What is in files that are new or were rewritten, and have stood still since the look before."""
        for name, rows in (("defects", self._lists.defects), ("stretches", self._lists.stretches)):
            for path in files_of(rows, self.folder) if rows else ():
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue
                key, signature = (name, path), (status.st_mtime_ns, status.st_size)
                stands_still = self._seen.get(key) == signature
                self._seen[key] = signature
                if stands_still and self._read.get(key) != signature and rows:
                    self._read[key] = signature
                    yield self._file(path, rows, status.st_mtime_ns)

    def _file(self, path: Path, rows: RowSet, written_ns: int) -> ForeignFile:
        found = ForeignFile(path=path)
        defects: list[tuple[ForeignDefect, str]] = []
        stretches: list[ForeignStretch] = []
        columns = self._lists.stretches.columns if self._lists.stretches else None
        numbers: dict[tuple[str, str], ForeignRow] = {}
        try:
            for row in rows_of(path, rows, self._lists, self.folder):
                found.rows_count += 1
                try:
                    if rows is self._lists.defects:
                        defect = self._reader.defect(row)
                        first = numbers.setdefault((defect.roll, defect.number), row) if defect.number else row
                        if first is not row:
                            # Two rows of one number would take turns at being its latest revision.
                            raise MessageError(
                                f"{row.place}: number {defect.number!r} stands in line {first.line} already: leave id "
                                "out of the mapping if it is not unique in a roll"
                            )
                        defects.append((defect, self._picture(row, found)))
                    elif columns:
                        stretches.append(self._reader.stretch(row, columns))
                except MessageError as error:
                    _refuse(found, str(error))
        except MessageError as error:
            _refuse(found, str(error))
        if len(found.refused) > _REFUSALS_TOLD:
            log.warning("%s: %d rows refused in all", path, len(found.refused))
        found.events += self._film_defects(defects, written_ns)
        found.events += self._inspected(stretches, written_ns)
        for event in found.events:
            self._remember(event)
        return found

    def _film_defects(self, defects: list[tuple[ForeignDefect, str]], written_ns: int) -> Iterator[Event]:
        judges: dict[str, Judge] = {}
        for defect, image in sorted(defects, key=lambda pair: (pair[0].roll, pair[0].md_start_um)):
            judge = judges.setdefault(defect.roll, Judge(self._line, self._camera.web or "film"))
            made = self._film_defect(defect, image, judge, written_ns)
            known = self._defects.get(made.defect)
            if known is None:
                yield made
            elif _content(made) != _content(known):
                revision = known.revision + 1
                identity = event_id(made.at_ns, f"{made.defect}/{revision}")
                yield msgspec.structs.replace(made, revision=revision, id=identity)

    def _film_defect(self, defect: ForeignDefect, image: str, judge: Judge, written_ns: int) -> FilmDefect:
        lists, camera = self._lists, self._camera
        place = defect.number or f"{defect.kind}/{defect.md_start_um}/{defect.cd_start_um}"
        # The same defect has the same id however often, and whenever, its list is written.
        identity = event_id(0, f"{lists.maker}/{camera.id}/{defect.roll}/{place}")
        at_ns = defect.at_ns or written_ns
        lane = self._line.lane_at(camera.web or "film", (defect.cd_start_um + defect.cd_end_um) // 2)
        doubt_um = lists.size_uncertainty_fraction * defect.size_um
        judgement = judge.judged(
            Finding(
                kind=defect.kind,
                size_um=defect.size_um,
                size_uncertainty_um=doubt_um,
                contrast_tx=0.0,
                md_um=(defect.md_start_um + defect.md_end_um) // 2,
                cd_start_um=defect.cd_start_um,
                cd_end_um=defect.cd_end_um,
                lane=lane,
            )
        )
        return FilmDefect(
            at_ns=at_ns,
            id=event_id(at_ns, f"{identity}/1"),
            defect=identity,
            roll=defect.roll,
            station=camera.station,
            camera=camera.id,
            lane=lane,
            kind=defect.kind,
            score=defect.score,
            md_start_um=defect.md_start_um,
            md_end_um=defect.md_end_um,
            cd_start_um=defect.cd_start_um,
            cd_end_um=defect.cd_end_um,
            size_um=round(defect.size_um, 1),
            size_uncertainty_um=round(doubt_um, 1),
            position_uncertainty_um=lists.position_uncertainty_um,
            area_um2=round(defect.area_um2, 1),
            length_um=round(defect.length_um, 1),
            width_um=round(defect.width_um, 1),
            contrast_bf=0.0,
            contrast_df=0.0,
            contrast_tx=0.0,
            severity=judgement.severity,
            verdict=judgement.verdict,
            reason=judgement.reason,
            model=self.model,
            method="foreign",
            image=image,
        )

    def _inspected(self, stretches: list[ForeignStretch], written_ns: int) -> Iterator[Event]:
        camera = self._camera
        width_um = round(camera.width_px * camera.pixel_um)
        for stretch in sorted(stretches, key=lambda row: (row.roll, row.md_start_um, row.md_end_um)):
            cd_start = camera.cd_start_um if stretch.cd_start_um is None else stretch.cd_start_um
            cd_end = camera.cd_start_um + width_um if stretch.cd_end_um is None else stretch.cd_end_um
            place = (stretch.roll, stretch.md_start_um, stretch.md_end_um, cd_start, cd_end)
            if place in self._stretches:
                continue
            number = self._stretches[place] = sum(known[0] == stretch.roll for known in self._stretches)
            at_ns = stretch.at_ns or written_ns
            count = sum(
                row.roll == stretch.roll and stretch.md_start_um <= row.md_start_um < stretch.md_end_um
                for row in self._defects.values()
            )
            yield StripInspected(
                at_ns=at_ns,
                id=event_id(at_ns, f"foreign/{camera.id}/{'/'.join(map(str, place))}"),
                roll=stretch.roll,
                station=camera.station,
                camera=camera.id,
                strip=number,
                md_start_um=stretch.md_start_um,
                md_end_um=stretch.md_end_um,
                cd_start_um=cd_start,
                cd_end_um=cd_end,
                state="inspected",
                candidates_count=count,
                defects_count=count,
                model=self.model,
                method="foreign",
            )

    def _picture(self, row: ForeignRow, found: ForeignFile) -> str:
        """Digest of a row's picture; empty when it has none that can be read, which does not refuse the row."""
        cell = self._lists.defects.columns.image
        name = row.cells.get(cell if isinstance(cell, str) else cell.column, "") if cell else ""
        if not name or self._evidence is None:
            return ""
        path = (self.folder / name.replace("\\", "/")).resolve()
        if not path.is_relative_to(self.folder):
            found.refused.append(f"{row.place}: picture {name!r} lies outside {self.folder}: it is left out")
            log.warning("%s", found.refused[-1])
            return ""
        try:
            grey, _ = read_image(path).grey8()
        except FrameError as error:
            log.warning("%s: picture left out: %s", row.place, error)
            return ""
        scale = LARGEST_PICTURE_PX / max(grey.shape)
        if scale < 1:
            size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
        return self._evidence.put(png_of(grey))

    def _remember(self, event: Event) -> None:
        if not isinstance(event, FilmDefect | StripInspected) or event.method != "foreign":
            return
        if event.camera != self._camera.id:
            return
        if isinstance(event, StripInspected):
            place = (event.roll, event.md_start_um, event.md_end_um, event.cd_start_um, event.cd_end_um)
            self._stretches[place] = event.strip
            self.rolls.setdefault(event.roll, 0)
            return
        before = self._defects.get(event.defect)
        if before is None:
            self.rolls[event.roll] = self.rolls.get(event.roll, 0) + 1
        if before is None or before.revision <= event.revision:
            self._defects[event.defect] = event


def _refuse(found: ForeignFile, why: str) -> None:
    found.refused.append(why)
    if len(found.refused) <= _REFUSALS_TOLD:
        log.warning("%s", why)


def _content(defect: FilmDefect) -> FilmDefect:
    """Without what differs between two sayings of the same."""
    return msgspec.structs.replace(defect, id="", source="", seq=0, revision=0, at_ns=0)

"""What no camera looks for: classes of defects that come about behind the last film camera.

They are uninspected, which is not the same as absent: nobody can say that a cell is free of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from line.defect_rows import DefectClass, Stage
from line.model import Camera, LineModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A class of defects, as far as one stage makes it, that no fitted camera could have seen."""

    code: str
    stage: Stage
    whole: bool
    """Nothing of the class is seen, wherever it was made."""

    @property
    def text(self) -> str:
        """`BLI` for all of a class, `CRK by calendering` for what one stage makes of it."""
        return self.code if self.whole else f"{self.code} by {self.stage}"


def unseen(line: LineModel) -> tuple[Unseen, ...]:
    """Classes that no fitted film camera of a line could see, by the stage that makes them, in line order.

    A camera sees what was made at its own station or before it, in a channel in which the class shows.
    """
    order = {row.code: place for place, row in enumerate(line.stations)}
    cameras = [(order[camera.station], camera) for camera in line.film_cameras()]
    found: list[Unseen] = []
    for row in line.defects:
        seeing = [place for place, camera in cameras if _shows(row, camera)]
        last = max(seeing, default=-1)
        made = [row.seen_after, *row.also_made_by]
        hidden = [stage for stage in made if order[line.defect_model.stage_stations[stage]] > last]
        if len(hidden) == len(made):
            found.append(Unseen(code=row.code, stage=row.seen_after, whole=True))
        else:
            found += [Unseen(code=row.code, stage=stage, whole=False) for stage in hidden]
    return tuple(found)


def unseen_classes(line: LineModel) -> tuple[str, ...]:
    """The same in words, for people."""
    return tuple(row.text for row in unseen(line))


def _shows(row: DefectClass, camera: Camera) -> bool:
    """Whether a class shows in any channel of a camera; a profile, which has no contrasts, shows in all."""
    contrasts = {"BF": row.contrast_bf, "DF": row.contrast_df, "TX": row.contrast_tx}
    return any(contrasts.get(channel) != 0.0 for channel in camera.channels)

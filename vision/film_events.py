"""From pixels of a strip to messages about a roll: where MD and CD come from, and how the events are filled."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import Literal

from line.bundle import ModelRef
from line.events import FilmDefect, StripInspected
from line.frames import StripHeader
from line.ids import event_id
from line.model import Camera
from vision.candidates import Classified
from vision.measure import Measured
from vision.pyramid import QUARTER
from vision.screening import Screened, Spot
from vision.tracks import Sighting, Track
from vision.verdict import Finding, Judgement

State = Literal["inspected", "over_capacity", "learning", "unreadable", "uncalibrated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where pixels of a camera lie on the roll."""

    pixel_um: float
    """Side of a pixel across the web."""
    line_um: float
    """Travel of the web from line to line."""
    wander_um: int = 0
    """By how much the web lies to the right of its place."""

    def md_um(self, camera: Camera, header: StripHeader, line: float) -> int:
        """As-coated position of the upper border of a line: web travel less the way from the die lip to the camera."""
        travel_um = header.encoder_um + line * header.pixel_um
        return round(travel_um * (self.line_um / header.pixel_um)) - (camera.position_um or 0)

    def cd_um(self, camera: Camera, column: float) -> int:
        """Position across the web, from the edge of the coat, of the left border of a pixel."""
        return camera.cd_start_um + round(column * self.pixel_um) - self.wander_um


def sighting(
    camera: Camera,
    header: StripHeader,
    spot: Spot,
    said: Classified,
    sized: Measured,
    scale: Scale,
    *,
    began: StripHeader,
) -> Sighting:
    """What a strip shows of a defect, on the roll.

    Args:
        began: strip in which it began; an earlier one for a streak found in the mean of several strips.
    """
    by_channel = dict(zip(camera.channels, sized.contrast, strict=True))
    md_start_um, md_end_um = scale.md_um(camera, began, sized.row_start), scale.md_um(camera, header, sized.row_end)
    return Sighting(
        kind=said.kind,
        score=min(1.0, max(0.0, said.score)),
        md_start_um=md_start_um,
        md_end_um=md_end_um,
        cd_start_um=scale.cd_um(camera, sized.column_start),
        cd_end_um=scale.cd_um(camera, sized.column_end),
        size_um=sized.size_um,
        size_uncertainty_um=sized.size_uncertainty_um,
        position_uncertainty_um=hypot(sized.position_uncertainty_um, header.encoder_uncertainty_um),
        length_um=sized.length_um if began is header else max(sized.length_um, float(md_end_um - md_start_um)),
        width_um=sized.width_um,
        area_um2=sized.area_um2,
        contrast=(by_channel.get("BF"), by_channel.get("DF"), by_channel.get("TX")),
        depth=sized.depth,
        from_start=spot.row_start == 0,
        to_end=spot.row_end >= header.lines // QUARTER * QUARTER,
    )


def finding_of(sight: Sighting, lane: int) -> Finding:
    """What the accept rules need to know of a defect."""
    return Finding(
        kind=sight.kind,
        size_um=sight.size_um,
        size_uncertainty_um=sight.size_uncertainty_um,
        contrast_tx=sight.contrast[2],
        md_um=(sight.md_start_um + sight.md_end_um) // 2,
        cd_start_um=sight.cd_start_um,
        cd_end_um=sight.cd_end_um,
        lane=lane,
        depth=sight.depth,
    )


def defect_event(
    camera: Camera,
    header: StripHeader,
    track: Track,
    lane: int,
    judgement: Judgement,
    model: ModelRef,
    latency_ms: float,
    calibration: str = "",
    providers: tuple[str, ...] = (),
    device: str = "",
    anomaly_model: ModelRef | None = None,
) -> FilmDefect:
    """The message about a defect as far as it is known after a strip; the same strip gives the same id."""
    sight = track.sight
    return FilmDefect(
        at_ns=header.at_ns,
        simulated=header.simulated,
        id=event_id(header.at_ns, f"{track.defect}/{track.revision}"),
        defect=track.defect,
        revision=track.revision,
        roll=header.roll,
        station=camera.station,
        camera=camera.id,
        lane=lane,
        kind=sight.kind,
        score=sight.score,
        md_start_um=sight.md_start_um,
        md_end_um=sight.md_end_um,
        cd_start_um=sight.cd_start_um,
        cd_end_um=sight.cd_end_um,
        size_um=round(sight.size_um, 1),
        size_uncertainty_um=round(sight.size_uncertainty_um, 1),
        position_uncertainty_um=round(sight.position_uncertainty_um, 1),
        area_um2=round(sight.area_um2, 1),
        length_um=round(sight.length_um, 1),
        width_um=round(sight.width_um, 1),
        depth_fraction=round(sight.depth.fraction, 4) if sight.depth else None,
        depth_uncertainty_fraction=round(sight.depth.uncertainty_fraction, 4) if sight.depth else None,
        contrast_bf=_rounded(sight.contrast[0]),
        contrast_df=_rounded(sight.contrast[1]),
        contrast_tx=_rounded(sight.contrast[2]),
        anomaly_score=None if track.anomaly_score is None else round(track.anomaly_score, 2),
        anomaly_model=None if track.anomaly_score is None else anomaly_model,
        severity=judgement.severity,
        verdict=judgement.verdict,
        reason=judgement.reason,
        model=model,
        method="pixels",
        calibration=calibration,
        recipe=header.recipe,
        image=track.image,
        latency_ms=latency_ms,
        providers=providers,
        device=device,
    )


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def strip_event(
    camera: Camera,
    header: StripHeader,
    state: State,
    found: Screened | None,
    *,
    margin_um: int,
    defects_count: int,
    model: ModelRef,
    providers: tuple[str, ...],
    latency_ms: float,
    scale: Scale | None = None,
    device: str = "",
) -> StripInspected:
    """The message that a strip was looked at, or why not; CD covers what was judged.

    Args:
        found: of the strip; None when it was not looked at.
        margin_um: at either edge, that was not judged.
        scale: of the camera; None: as the line model says.
        device: what the providers compute on.
    """
    scale = scale or Scale(pixel_um=camera.pixel_um, line_um=header.pixel_um)
    grey = dict(zip(camera.channels, found.mean_grey, strict=True)) if found else {}
    return StripInspected(
        at_ns=header.at_ns,
        simulated=header.simulated,
        id=event_id(header.at_ns, f"strip/{camera.id}/{header.roll}/{header.strip}"),
        roll=header.roll,
        station=camera.station,
        camera=camera.id,
        strip=header.strip,
        md_start_um=scale.md_um(camera, header, 0),
        md_end_um=scale.md_um(camera, header, header.lines),
        cd_start_um=camera.cd_start_um + margin_um,
        cd_end_um=scale.cd_um(camera, camera.width_px) - margin_um,
        state=state,
        candidates_count=found.found_count if found else 0,
        defects_count=defects_count,
        missed_lines_count=header.missed_lines_count,
        mean_grey_bf=_rounded(grey.get("BF"), 2),
        mean_grey_df=_rounded(grey.get("DF"), 2),
        mean_grey_tx=_rounded(grey.get("TX"), 2),
        model=model,
        method="pixels",
        providers=providers,
        device=device,
        latency_ms=latency_ms,
    )

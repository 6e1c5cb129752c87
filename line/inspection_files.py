"""What inspecting picture files leaves behind: one JSON line a file."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class XrayStackResult(Struct, frozen=True, kw_only=True):
    """One X-ray side view of a stack, as inspected; with ``error`` set nothing was measured."""

    file: str
    sha256: str
    """Of the file's bytes, in hexadecimal; empty where it could not be read."""
    plates_count: int | None = None
    tips_px: list[tuple[float, float]] = []
    """x, y of each plate's end, top to bottom, 0 at the centre of the first pixel."""
    overhang_spread_px: float | None = None
    """Standard deviation of tip x over all counted plates, which are of one polarity."""
    spacing_px: float | None = None
    body_side: Literal["left", "right"] | None = None
    roi_px: tuple[int, int, int, int] | None = None
    """x0, y0, x1, y1 of the free ends; x1 and y1 exclusive."""
    confidence: float | None = None
    """0-1; below 0.5 a person should look. A rank, not a probability."""
    notes: tuple[str, ...] = ()
    error: str | None = None
    """Why there is no result, with file and next step."""


class Region(Struct, frozen=True, kw_only=True):
    """A connected part of a picture that is unlike what was learnt."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int
    area_px: int
    score: float
    """Highest in the region, on the scale of `region_threshold`; of a one-class model that is not the scale of the
    picture's score."""
    kind: str = ""
    """Class of defect; empty where the model knows none."""


class FilmImageResult(Struct, frozen=True, kw_only=True):
    """One picture of a surface, as inspected; with `error` set nothing was judged."""

    file: str
    sha256: str
    width_px: int | None = None
    height_px: int | None = None
    verdict: Literal["pass", "reject", "uninspected"]
    score: float | None = None
    threshold: float | None = None
    """A picture whose score is above is rejected."""
    region_threshold: float | None = None
    """A place above is a region. Of a one-class model a region rejects the picture, whatever the score; a supervised
    model rejects by the score alone."""
    reason: str = ""
    """Why the picture is rejected, in words: which limits are exceeded; empty where it passes."""
    regions: tuple[Region, ...] = ()
    model: str = ""
    """name@version of the bundle."""
    model_digest: str = ""
    providers: tuple[str, ...] = ()
    milliseconds: float | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None


class FilmSummary(Struct, frozen=True, kw_only=True):
    """All pictures of one run."""

    files_count: int
    inspected_count: int
    passed_count: int
    rejected_count: int
    refused_count: int
    """Files that could not be inspected; each has its reason in the results."""
    model: str
    model_digest: str
    seconds: float
    image_auroc: float | None = None
    """Only with truth: how well the score ranks pictures with defects above good ones."""
    pixel_average_precision: float | None = None
    """Only with truth: over all pixels of all pictures with truth, pooled."""
    false_reject_fraction: float | None = None
    """Only with truth: share of inspected good pictures that are rejected at the model's own limits."""
    recall_fraction: float | None = None
    """Only with truth: share of inspected pictures with defects that are rejected at the model's own limits."""
    truth_count: int = 0
    truth_defective_count: int = 0


class StackSummary(Struct, frozen=True, kw_only=True):
    """All side views of one run."""

    files_count: int
    inspected_count: int
    uncertain_count: int
    """Confidence below 0.5: a person should look."""
    refused_count: int
    seconds: float

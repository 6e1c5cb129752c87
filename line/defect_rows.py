"""Rows of a line model about film defects: classes, accept limits, what drives their rates."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from line.model_rows import Confidence, Count, Fraction, LengthUm, NotNegative, PlaceUm, Positive, Row

SizeMeasure = Literal["diameter", "length", "width", "height"]
Stage = Literal["coating", "lamination", "calendering", "cutting", "pressing"]
AcceptKind = Literal[
    "reject_above",
    "max_per_sheet",
    "cluster",
    "touches_edge",
    "depth_fraction_above",
    "mean_deviation_above",
    "spot_deviation_above",
    "edge_bead_above",
    "hold_on_dose",
    "none_allowed",
]

FILM_CLASSES = frozenset({"PIN", "AGG", "STR", "SCR", "BUB", "THK"})
"""Classes that are more film or less, whose depth light tells. What metal, fibres, stains and folds take from the light
says nothing of film; of a crack, which is narrower than a pixel, the light shows the width."""


class AcceptRule(Row, frozen=True, kw_only=True):
    """One sentence of the accept limit of a defect class, as numbers and in words."""

    kind: AcceptKind
    text: str
    above_um: LengthUm | None = None
    from_um: Annotated[PlaceUm | None, Meta(description="counted from this size")] = None
    to_um: LengthUm | None = None
    at_most_per_sheet: Annotated[int, Meta(ge=0)] | None = None
    count: Count | None = None
    within_um: LengthUm | None = None
    fraction: Fraction | None = None
    spot_um: LengthUm | None = None
    edge_trim_um: LengthUm | None = None


class DefectClass(Row, frozen=True, kw_only=True):
    """One class of film defect.

    Sizes are lognormal, and what is drawn below `min_um` is `min_um`: read so, the rows give the published 0.465
    killers per m2. The chance to kill a cell, or to be detected, is P(d) = 1 / (1 + exp(-(ln d - ln d50) / s)).
        A class that is measured as a profile (edge bead) has no rate, no size distribution and no curves.
    """

    code: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    title: str
    cause: str
    measured_as: Literal["event", "profile"] = "event"
    size_measure: SizeMeasure
    size_text: str
    look_bf: str
    look_df: str
    look_tx: str
    criticality: Annotated[Literal["A", "B"], Meta(description="A: safety. B: function")]
    criticality_text: str
    critical_from_depth_fraction: Annotated[
        Fraction | None, Meta(description="a B class is A from this depth or height, of film thickness")
    ] = None
    pattern: str
    seen_after: Stage
    also_made_by: Annotated[tuple[Stage, ...], Meta(description="later stages that make more of it")] = ()
    rate_per_m2: NotNegative | None = None
    median_um: Positive | None = None
    sigma_ln: Positive | None = None
    min_um: Positive | None = None
    kill_d50_um: Positive | None = None
    kill_s: Positive | None = None
    pod_a50_um: Annotated[Positive | None, Meta(description="at the pixel of defect_model.pod_pixel_um")] = None
    pod_s: Positive | None = None
    reject_um: Positive | None = None
    contrast_bf: Annotated[float | None, Meta(description="relative grey change at the core")] = None
    contrast_df: Annotated[float | None, Meta(description="ratio over background, less 1")] = None
    contrast_tx: Annotated[float | None, Meta(description="relative grey change at the core")] = None
    aspect: Positive | None = None
    accept: tuple[AcceptRule, ...]
    confidence: Confidence = "D"


class Driver(Row, frozen=True, kw_only=True):
    """Rate of a defect x exp(beta * g), with g the part of the deviation z of a tag or condition on the driven side."""

    defect: str
    tag: Annotated[str, Meta(description="S01.SolidContent, or the name of a condition")]
    side: Literal["+", "-", "+-"]
    beta: Annotated[float, Meta(ge=0)]


class DefectModel(Row, frozen=True, kw_only=True):
    """Figures that all film defect classes share."""

    rate_cap_factor: Annotated[Positive, Meta(description="no rate passes this many times its nominal rate")]
    low_flow_margin: Annotated[Positive, Meta(description="streaks below this multiple of the least wet thickness")]
    low_flow_factor: Annotated[Positive, Meta(description="on the streak rate, below that margin")]
    false_alarms_per_m2: NotNegative
    count_dispersion: Annotated[Positive, Meta(description="alpha of the negative binomial count")]
    pod_pixel_um: Annotated[Positive, Meta(description="pixel that pod_a50_um is given for")]
    stage_stations: Annotated[dict[Stage, str], Meta(description="where each stage that makes defects happens")]
    sheet_area_m2: Positive

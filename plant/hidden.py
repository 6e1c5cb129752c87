"""What nobody is told about this line: strengths and structure, drawn from one number.

The published tables say which tag drives which defect and how strongly. A line of its own has other strengths, lacks
some of these links, has some that no table names, bends a few, and carries sensors that lie, a cause without a sensor
and a kind of defect without a name. `hidden_seed` 0 is the line exactly as published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from line.defect_rows import DefectClass
from line.model import LineModel

Side = Literal["+", "-", "+-"]
Bend = Literal["straight", "saturating", "threshold", "square"]
LieForm = Literal["bias", "drift", "stuck"]

_IN_LINE = ("S00", "S01", "S03", "S04")
"""Stations whose tags act on the film before the camera sees it."""
_MEASURED = ("S01.Viscosity100", "S01.FilterDP", "S03.PumpPressure", "S03.CoatGap", "S03.WetThickness",
             "S04.Zone1Temp", "S04.Zone3Temp", "S05.ArealMass", "S07.NipTemp", "S08.RollTempTop",
             "S13.VesselPressure", "S13.MediumTemp")  # fmt: skip
"""Gauges that may lie."""
_EPISODES = ("F01", "F02", "F03", "F04", "F05", "F06", "F07", "F09", "F11", "F12")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How one tag or condition really drives one defect class."""

    defect: str
    tag: str
    side: Side
    beta: float
    bend: Bend = "straight"
    published: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lie:
    """A sensor that reports something else than what is so."""

    tag: str
    form: LieForm
    z: float
    """Bias, or drift a week, in half normal ranges."""
    after_h: float
    """Hours of life until it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillCurve:
    """Chance that a flaw of a size kills its cell, logistic in ln(size)."""

    d50_um: float
    s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenDefect:
    """A defect class as the line has it: a published row, or one that no table names."""

    code: str
    named: bool
    stage: str
    rate_per_m2: float
    median_um: float
    sigma_ln: float
    min_um: float
    kill: KillCurve
    measure: str
    aspect: float
    contrast_bf: float
    contrast_df: float
    contrast_tx: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenCause:
    """Something in the room or the material that comes and goes and that no sensor sees."""

    name: str
    defects: tuple[str, ...]
    beta: float
    time_constant_h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wander:
    """A slow drift of one tag's true value."""

    tag: str
    z_sigma: float
    time_constant_h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A fault that strikes somewhere in the past."""

    scenario: str
    strength: float
    at_fraction: float
    """Of the past's working time."""
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """All that `hidden_seed` draws."""

    seed: int
    links: tuple[Link, ...]
    defects: tuple[HiddenDefect, ...]
    causes: tuple[HiddenCause, ...]
    lies: tuple[Lie, ...]
    wanders: tuple[Wander, ...]
    episodes_per_week: float
    scrap_factor: Mapping[str, float]
    """On a station's published scrap."""
    base_failure_fraction: float
    """Cells that fail for no reason that anything on the line could show."""
    plating_probability: float
    """That a cell fails whose least overhang lies between nothing and the limit."""
    bias_x_um: float
    bias_y_um: float
    """Where the stacker's zero really lies."""
    moisture_scale: float
    gauge_sigma: Mapping[str, float]
    """Noise of gauges whose capability is in doubt, in their unit."""

    def defect(self, code: str) -> HiddenDefect:
        """The class of a code."""
        return next(row for row in self.defects if row.code == code)

    def unnamed(self) -> tuple[HiddenDefect, ...]:
        """Classes that no table names."""
        return tuple(row for row in self.defects if not row.named)


def drawn_hidden(line: LineModel, hidden_seed: int) -> Hidden:
    """What is hidden in a line; the same number gives the same line."""
    defects = tuple(_published(row) for row in line.defects if row.measured_as == "event")
    links = tuple(Link(defect=row.defect, tag=row.tag, side=row.side, beta=row.beta) for row in line.drivers)
    if hidden_seed == 0:
        return Hidden(
            seed=0,
            links=links,
            defects=defects,
            causes=(),
            lies=(),
            wanders=(),
            episodes_per_week=0.0,
            scrap_factor={},
            base_failure_fraction=0.018,
            plating_probability=0.3,
            bias_x_um=0.0,
            bias_y_um=0.0,
            moisture_scale=1.0,
            gauge_sigma={},
        )
    rng = np.random.default_rng([hidden_seed, 0x1D])
    unnamed = _unnamed(rng)
    scaled = (*(_scaled(row, rng) for row in defects), unnamed)
    links = _structure(line, links, unnamed.code, rng)
    causes = (_cause(defects, rng),)
    wanders = _wanders(line, rng)
    return Hidden(
        seed=hidden_seed,
        links=links,
        defects=tuple(_calmed(row, links, causes, wanders) for row in scaled),
        causes=causes,
        lies=_lies(rng, line),
        wanders=wanders,
        episodes_per_week=float(rng.uniform(1.0, 2.0)),
        scrap_factor={row.code: float(rng.lognormal(0.0, 0.25)) for row in line.stations},
        base_failure_fraction=float(rng.uniform(0.01, 0.035)),
        plating_probability=float(rng.uniform(0.15, 0.5)),
        bias_x_um=float(rng.normal(0.0, 25.0)),
        bias_y_um=float(rng.normal(0.0, 25.0)),
        moisture_scale=float(rng.lognormal(0.0, 0.4)),
        gauge_sigma={"S05.ArealMass": float(rng.uniform(0.05, 0.12)), "S05.ThicknessDry": float(rng.uniform(0.1, 0.4))},
    )


def drawn_episodes(hidden: Hidden, weeks: float) -> tuple[Episode, ...]:
    """The faults of a past of so many weeks, in order of time."""
    rng = np.random.default_rng([hidden.seed, 0xE9])
    number = int(rng.poisson(hidden.episodes_per_week * weeks)) if hidden.episodes_per_week else 0
    rows = [
        Episode(
            scenario=str(rng.choice(_EPISODES)),
            strength=float(rng.uniform(0.4, 1.0)),
            at_fraction=float(rng.uniform(0.03, 0.97)),
            hours=float(rng.uniform(0.7, 2.5)),
        )
        for _ in range(number)
    ]
    return tuple(sorted(rows, key=lambda row: row.at_fraction))


def _published(row: DefectClass) -> HiddenDefect:
    values = (row.rate_per_m2, row.median_um, row.sigma_ln, row.min_um, row.kill_d50_um, row.kill_s, row.aspect)
    rate, median, sigma, least, d50, s, aspect = (0.0 if value is None else value for value in values)
    return HiddenDefect(
        code=row.code,
        named=True,
        stage=row.seen_after,
        rate_per_m2=rate,
        median_um=median,
        sigma_ln=sigma,
        min_um=least,
        kill=KillCurve(d50_um=d50, s=s),
        measure=row.size_measure,
        aspect=aspect,
        contrast_bf=row.contrast_bf or 0.0,
        contrast_df=row.contrast_df or 0.0,
        contrast_tx=row.contrast_tx or 0.0,
    )


def _scaled(row: HiddenDefect, rng: np.random.Generator) -> HiddenDefect:
    kill = KillCurve(
        d50_um=row.kill.d50_um * float(rng.lognormal(0.0, 0.15)), s=row.kill.s * float(rng.lognormal(0.0, 0.15))
    )
    return replace(row, rate_per_m2=row.rate_per_m2 * float(rng.lognormal(0.0, 0.25)), kill=kill)


def _calmed(
    row: HiddenDefect, links: Sequence[Link], causes: Sequence[HiddenCause], wanders: Sequence[Wander]
) -> HiddenDefect:
    """The class with the rate at nominal tags that gives its drawn rate on average while the tags drift about."""
    sigma = {wander.tag: wander.z_sigma for wander in wanders}
    normal = np.linspace(-4.0, 4.0, 161)
    weight = np.exp(-0.5 * normal**2)
    weight /= weight.sum()
    factor = 1.0
    for link in links:
        if link.defect == row.code and link.tag in sigma:
            z = sigma[link.tag] * normal
            g = np.abs(z) if link.side == "+-" else np.maximum(z if link.side == "+" else -z, 0.0)
            factor *= float(weight @ np.exp(link.beta * g))
    for cause in causes:
        if row.code in cause.defects:
            factor *= float(weight @ np.exp(cause.beta * np.maximum(normal, 0.0)))
    return replace(row, rate_per_m2=row.rate_per_m2 / factor)


def _unnamed(rng: np.random.Generator) -> HiddenDefect:
    return HiddenDefect(
        code=f"ZZ{rng.integers(1, 10)}",
        named=False,
        stage="coating",
        rate_per_m2=float(rng.uniform(0.05, 0.15)),
        median_um=float(rng.uniform(200.0, 600.0)),
        sigma_ln=0.5,
        min_um=60.0,
        kill=KillCurve(d50_um=float(rng.uniform(500.0, 900.0)), s=0.35),
        measure="diameter",
        aspect=float(rng.uniform(1.0, 3.0)),
        contrast_bf=float(rng.choice([-1.0, 1.0]) * rng.uniform(0.15, 0.3)),
        contrast_df=float(rng.uniform(0.8, 2.5)),
        contrast_tx=float(rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 0.5)),
    )


def _structure(line: LineModel, links: Sequence[Link], unnamed: str, rng: np.random.Generator) -> tuple[Link, ...]:
    """Other strengths; some links gone, some bent, some added."""
    order = rng.permutation(len(links))
    removed, bent = set(order[:4].tolist()), set(order[4:8].tolist())
    bends: tuple[Bend, ...] = ("saturating", "threshold", "square")
    kept = [
        Link(
            defect=link.defect,
            tag=link.tag,
            side=link.side,
            beta=float(link.beta * rng.lognormal(0.0, 0.3)),
            bend=bends[int(rng.integers(len(bends)))] if number in bent else "straight",
        )
        for number, link in enumerate(links)
        if number not in removed
    ]
    known = {(link.defect, link.tag) for link in links}
    tags = [
        name
        for name, tag in line.all_tags().items()
        if name[:3] in _IN_LINE and tag.sampling_ms and tag.half_range and line.web_position_um(name) is not None
    ]
    classes = sorted({link.defect for link in links} - {"BLI"})
    sides: tuple[Side, ...] = ("+", "-")
    added: list[Link] = []
    while len(added) < 3:
        defect, tag = str(rng.choice(classes)), str(rng.choice(tags))
        if (defect, tag) not in known:
            side = sides[int(rng.integers(2))]
            known.add((defect, tag))
            added.append(Link(defect=defect, tag=tag, side=side, beta=float(rng.uniform(0.3, 0.8)), published=False))
    driver = str(rng.choice(tags))
    return (*kept, *added, Link(defect=unnamed, tag=driver, side="+-", beta=0.6, published=False))


def _cause(defects: Sequence[HiddenDefect], rng: np.random.Generator) -> HiddenCause:
    codes = [row.code for row in defects if row.stage == "coating"]
    chosen = rng.choice(codes, size=2, replace=False)
    return HiddenCause(
        name="unnamed",
        defects=tuple(sorted(str(code) for code in chosen)),
        beta=float(rng.uniform(0.4, 0.8)),
        time_constant_h=float(rng.uniform(8.0, 40.0)),
    )


def _lies(rng: np.random.Generator, line: LineModel) -> tuple[Lie, ...]:
    tags = [tag for tag in _MEASURED if tag in line.all_tags()]
    chosen = rng.choice(tags, size=int(rng.integers(1, 3)), replace=False)
    forms: tuple[LieForm, ...] = ("bias", "drift", "stuck")
    return tuple(
        Lie(
            tag=str(tag),
            form=forms[int(rng.integers(3))],
            z=float(rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.2)),
            after_h=float(rng.uniform(0.0, 24.0 * 14)),
        )
        for tag in chosen
    )


def _wanders(line: LineModel, rng: np.random.Generator) -> tuple[Wander, ...]:
    """Every in-line and downstream driver drifts a little, some a lot: without this nobody could learn anything."""
    drivers = sorted({row.tag for row in line.drivers} & set(line.all_tags()))
    return tuple(
        Wander(tag=tag, z_sigma=float(rng.uniform(0.15, 0.6)), time_constant_h=float(rng.uniform(2.0, 12.0)))
        for tag in drivers
    )

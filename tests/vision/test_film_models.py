"""The vision role opens the models that the settings name, for each camera its own, and refuses what cannot be."""

from __future__ import annotations

import asyncio
import time
from importlib.resources import files
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from line.config import LineSettings, Site, VisionSettings
from line.errors import BundleError, ConfigError, LamellaError, ProviderError
from line.events import AnyEvent, FilmDefect, StripInspected
from line.frames import SpoolWriter
from line.model import load_line
from tests.vision.made_dense import dense_bundle
from tests.vision.made_film import MadeFilm, candidate_bundle, metal, pinhole
from tests.vision.vision_role import emitted, serving
from vision.film_models import require_models
from vision.service import serve, spool_folder
from vision.session import ModelSession

Strips = list[NDArray[np.uint8]]


def site_with(site: Site, tmp_path: Path, *, laminate: bool = False, **vision: str) -> Site:
    """A site whose film cameras have 3,000 pixels; the one behind the calender fitted when it is wanted."""
    text = (files("line") / "lines" / "assb-20-agc.toml").read_text(encoding="utf-8")
    text = text.replace("width_px = 15_000", "width_px = 3_000")
    if laminate:
        text = text.replace("position_um = 1_500_000, fitted = false", "position_um = 1_500_000")
    model = tmp_path / "narrow.toml"
    model.write_text(text, encoding="utf-8")
    return msgspec.structs.replace(
        site,
        line=LineSettings(model=str(model), state_dir=site.line.state_dir),
        vision=msgspec.convert({"provider": "cpu", "backbone": "", **vision}, VisionSettings),
    )


async def results(site: Site, strips: int, seconds: float = 60.0) -> list[AnyEvent]:
    async with asyncio.timeout(seconds):
        while True:
            events = await asyncio.to_thread(emitted, site)
            if sum(isinstance(event, StripInspected) for event in events) >= strips:
                return events
            await asyncio.sleep(0.05)


async def refusal(site: Site) -> LamellaError:
    """What the role says when it does not start."""
    with pytest.raises(BaseExceptionGroup) as raised:
        await serve(site)
    errors: list[BaseException] = [raised.value]
    while isinstance(errors[0], BaseExceptionGroup):
        errors = list(errors[0].exceptions)
    assert isinstance(errors[0], LamellaError)
    return errors[0]


async def test_full_coverage_inspects_every_strip_and_says_on_what(
    site: Site, tmp_path: Path, film: MadeFilm, good_strips: Strips
) -> None:
    bundle = dense_bundle(tmp_path / "net")
    site = site_with(site, tmp_path, coverage="full", coverage_model=str(bundle.path))
    site = msgspec.structs.replace(site, vision=msgspec.structs.replace(site.vision, candidates_per_strip=5))
    holes = [pinhole(40 + 30 * (k % 6), 500 + 150 * k, 80) for k in range(12)]
    planted = {8: [pinhole(100, 1500, 100), metal(60, 700, 120)], 9: holes}
    writer = SpoolWriter(spool_folder(site, "fins-1"))
    for number in range(11):
        planes = good_strips[number] if number < 8 else film.planes(500 + number, planted.get(number, ()))
        header = film.header(number, wall_ns=time.time_ns())
        if number == 10:
            header = msgspec.structs.replace(header, encoder_um=header.encoder_um + 2_000, missed_lines_count=100)
        assert writer.write(header, planes)
    async with serving(site):
        events = await results(site, 11)
    strips = [event for event in events if isinstance(event, StripInspected)]
    defects = [event for event in events if isinstance(event, FilmDefect)]
    assert [strip.state for strip in strips] == ["inspected"] * 9 + ["over_capacity", "inspected"]
    assert [strip.defects_count for strip in strips] == [0] * 8 + [2, 5, 0]
    assert strips[10].missed_lines_count == 100
    assert strips[10].md_start_um == strips[9].md_end_um + 2_000
    assert {(defect.kind, defect.verdict) for defect in defects[:2]} == {("PIN", "reject"), ("MET", "reject")}
    assert all(defect.image for defect in defects[:2])
    said: list[StripInspected | FilmDefect] = [*strips, *defects]
    assert {(event.model, event.providers, event.device) for event in said} == {
        (bundle.ref, ("CPUExecutionProvider",), "cpu")
    }


async def test_the_cascade_says_on_what_as_well(
    site: Site, tmp_path: Path, bundle_folder: Path, film: MadeFilm, good_strips: Strips
) -> None:
    site = site_with(site, tmp_path, film_model=str(bundle_folder))
    writer = SpoolWriter(spool_folder(site, "fins-1"))
    for number in range(9):
        planes = good_strips[number] if number < 8 else film.planes(500, [pinhole(100, 1500, 100)])
        assert writer.write(film.header(number), planes)
    async with serving(site):
        events = [event for event in await results(site, 9) if isinstance(event, StripInspected | FilmDefect)]
    assert len(events) == 10
    assert {(event.providers, event.device) for event in events} == {(("CPUExecutionProvider",), "cpu")}


async def test_full_coverage_without_a_model_is_refused_with_the_command_that_trains_one(
    site: Site, tmp_path: Path
) -> None:
    error = await refusal(site_with(site, tmp_path, coverage="full"))
    assert isinstance(error, ConfigError)
    assert "vision.coverage_model" in str(error)
    assert "lamella train film --labelled FOLDER --method supervised" in str(error)


async def test_a_model_of_another_task_is_refused(site: Site, tmp_path: Path, bundle_folder: Path) -> None:
    error = await refusal(site_with(site, tmp_path, coverage="full", coverage_model=str(bundle_folder)))
    assert isinstance(error, BundleError)
    assert "is a film-candidates model, a film-segmentation model is needed here" in str(error)


@pytest.mark.parametrize("coverage", ["cascade", "full"])
async def test_cuda_that_is_required_and_absent_stops_the_start(
    site: Site, tmp_path: Path, bundle_folder: Path, coverage: str
) -> None:
    bundle = dense_bundle(tmp_path / "net")
    with ModelSession(bundle, "auto") as session:
        if session.provenance.device == "cuda":
            pytest.skip("there is CUDA here")
    error = await refusal(
        site_with(
            site, tmp_path, coverage=coverage, provider="cuda", film_model=str(bundle_folder),
            coverage_model=str(bundle.path),
        )
    )  # fmt: skip
    assert isinstance(error, ProviderError)
    assert "install lamella[cuda] and a driver for CUDA 13, or set provider to 'cpu'" in str(error)


async def test_a_second_camera_without_transmission_has_a_model_of_its_own(
    site: Site, tmp_path: Path, bundle_folder: Path, film: MadeFilm, good_strips: Strips
) -> None:
    own = candidate_bundle(tmp_path / "reflected", channels=("BF", "DF"))
    site = site_with(site, tmp_path, laminate=True, film_model=str(bundle_folder), camera_models=f"lins-1={own}")
    require_models(site, load_line(site.line.model))
    writer = SpoolWriter(spool_folder(site, "lins-1"))
    for number in range(9):
        planes = good_strips[number] if number < 8 else film.planes(500, [metal(100, 1500, 200)])
        header = msgspec.structs.replace(film.header(number), camera="lins-1", roll="L-1", channels=("BF", "DF"))
        assert writer.write(header, planes[:2])
    async with serving(site):
        events = await results(site, 9)
    (defect,) = (event for event in events if isinstance(event, FilmDefect))
    assert (defect.camera, defect.station, defect.kind, defect.roll) == ("lins-1", "S08", "MET", "L-1")
    assert (defect.contrast_tx, defect.depth_fraction) == (None, None)


def test_the_usual_model_on_a_camera_without_transmission_is_refused_by_name(
    site: Site, tmp_path: Path, bundle_folder: Path
) -> None:
    site = site_with(site, tmp_path, laminate=True, film_model=str(bundle_folder))
    wanted = (
        r"film-candidates@v1 needs BF, DF, TX, camera lins-1 has BF, DF and no TX: train a model for it, lamella train "
        r"film --renderer --channels BF,DF --out NAME, and set vision.camera_models to lins-1=NAME"
    )
    with pytest.raises(BundleError, match=wanted):
        require_models(site, load_line(site.line.model))

"""Inspect pictures of a surface with a one-class model and, where truth is given, score the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from models.evaluate import image_auroc, pixel_average_precision
from numpy.typing import NDArray
from vision.anomaly import AnomalyInspector, AnomalyResult
from vision.anomaly_overlay import anomaly_overlay

from lamella.results import Count, Results
from line.bundle import Bundle
from line.errors import FrameError, NotFoundError
from line.inspection_files import FilmImageResult, FilmSummary, Region
from vision.images import ImageInfo, read_image
from vision.png import png_of
from vision.session import Provider


class Truth:
    """Masks by picture name, and what the model said of pictures that have one or are known to be good.

    Args:
        masks: folder, searched with its subfolders; `<stem>.png` or `<stem>_mask.png` belongs to picture `<stem>`.
    """

    def __init__(self, masks: Path | None) -> None:
        if masks is not None and not masks.is_dir():
            raise NotFoundError(f"{masks}: no such folder of masks")
        files = sorted(path for path in masks.rglob("*") if path.is_file()) if masks else []
        self._masks = {path.stem.removesuffix("_mask"): path for path in files}
        self._wanted = masks is not None
        self._scores: list[float] = []
        self._defective: list[bool] = []
        self._maps: list[NDArray[np.float32]] = []
        self._truths: list[NDArray[np.bool_]] = []

    def note(self, path: Path, result: AnomalyResult) -> None:
        """Compare one result with its mask.

        Raises:
            FrameError: the mask cannot be read or has another size.
        """
        if not self._wanted:
            return
        file = self._masks.get(path.stem)
        truth = np.zeros(result.score_map.shape, np.bool_)
        if file is not None:
            grey, _ = read_image(file).grey8()
            if grey.shape != truth.shape:
                raise FrameError(f"{file}: mask is {grey.shape[1]} x {grey.shape[0]} px, its picture {path} is "
                                 f"{truth.shape[1]} x {truth.shape[0]} px")  # fmt: skip
            truth = grey > 127
        self._scores.append(result.score)
        self._defective.append(bool(truth.any()))
        self._maps.append(result.score_map)
        self._truths.append(truth)

    def figures(self) -> tuple[float | None, float | None, int, int]:
        """Image AUROC, pixel average precision, pictures, defective ones; None where truth has one kind only."""
        count, defective = len(self._defective), sum(self._defective)
        if defective in {0, count}:
            return None, None, count, defective
        auroc = image_auroc(np.array(self._scores), np.array(self._defective))
        scores = np.concatenate([part.ravel() for part in self._maps])
        truths = np.concatenate([part.ravel() for part in self._truths])
        return auroc, pixel_average_precision(scores, truths), count, defective


def inspect_all(
    paths: Sequence[Path], bundle: Bundle, provider: Provider, out: Path, masks: Path | None
) -> FilmSummary:
    """Inspect pictures into a folder of results.

    Raises:
        BundleError, ProviderError: the model does not fit or its device is absent.
        NotFoundError: there is no folder of masks.
    """
    started = time.monotonic()
    truth = Truth(masks)
    verdicts: list[str] = []
    with (
        AnomalyInspector(bundle, provider) as inspector,
        Results(out) as results,
        Count(len(paths), "pictures").shown() as count,
    ):
        providers = inspector.provenance.providers
        for number, path in enumerate(paths):
            row = _refused(path, "", bundle)
            try:
                began = time.monotonic()
                image, info = read_image(path).grey8()
                row = _refused(path, info.sha256, bundle)
                result = inspector.inspect(image)
                truth.note(path, result)
                row = _judged(path, info, result, bundle, providers, 1000 * (time.monotonic() - began))
                results.overlay(number, path, png_of(anomaly_overlay(image, result)))
            except FrameError as error:
                row = _with_error(row, error)
            verdicts.append(row.verdict)
            results.add(row)
            count.step()
        auroc, precision, truth_count, defective_count = truth.figures()
        summary = FilmSummary(
            files_count=len(paths),
            inspected_count=len(paths) - verdicts.count("uninspected"),
            passed_count=verdicts.count("pass"),
            rejected_count=verdicts.count("reject"),
            refused_count=verdicts.count("uninspected"),
            model=str(bundle.ref),
            model_digest=bundle.digest,
            seconds=round(time.monotonic() - started, 3),
            image_auroc=auroc,
            pixel_average_precision=precision,
            truth_count=truth_count,
            truth_defective_count=defective_count,
        )
        results.summary(summary)
    return summary


def _judged(
    path: Path, info: ImageInfo, result: AnomalyResult, bundle: Bundle, providers: tuple[str, ...], milliseconds: float
) -> FilmImageResult:
    return FilmImageResult(
        file=str(path),
        sha256=info.sha256,
        width_px=info.width_px,
        height_px=info.height_px,
        verdict="reject" if result.score > result.threshold else "pass",
        score=result.score,
        threshold=result.threshold,
        regions=tuple(
            Region(x_px=region.x, y_px=region.y, width_px=region.width, height_px=region.height,
                   area_px=region.area, score=region.score)
            for region in result.regions
        ),
        model=str(bundle.ref),
        model_digest=bundle.digest,
        providers=providers,
        milliseconds=round(milliseconds, 2),
        notes=info.notes,
    )  # fmt: skip


def _refused(path: Path, sha256: str, bundle: Bundle) -> FilmImageResult:
    return FilmImageResult(
        file=str(path), sha256=sha256, verdict="uninspected", model=str(bundle.ref), model_digest=bundle.digest
    )


def _with_error(row: FilmImageResult, error: FrameError) -> FilmImageResult:
    return FilmImageResult(
        file=row.file,
        sha256=row.sha256,
        verdict="uninspected",
        model=row.model,
        model_digest=row.model_digest,
        error=str(error),
    )

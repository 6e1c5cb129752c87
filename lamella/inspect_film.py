"""Inspect pictures of a surface with a one-class or supervised model and, where truth is given, score the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from lamella.results import Count, Results
from line.bundle import Bundle
from line.errors import FrameError, NotFoundError
from line.inspection_files import FilmImageResult, FilmSummary, Region
from models.evaluate import image_auroc, pixel_average_precision
from vision.anomaly import AnomalyInspector, AnomalyResult
from vision.anomaly_overlay import anomaly_overlay
from vision.images import ImageInfo, read_image
from vision.png import png_of
from vision.segmentation import SegmentationInspector, SegmentationResult
from vision.session import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthFigures:
    """What comparing results with truth gives; None where there are no pictures of a kind that it takes."""

    count: int
    """Of inspected pictures with truth."""
    defective_count: int
    image_auroc: float | None
    pixel_average_precision: float | None
    false_reject_fraction: float | None
    recall_fraction: float | None


class Truth:
    """Masks by picture name, and what the model said of the pictures.

    Args:
        masks: folder, searched with its subfolders; `<stem>.png` or `<stem>_mask.png` belongs to picture `<stem>`, and
            a picture without one is good. None: there is no truth.
    """

    def __init__(self, masks: Path | None) -> None:
        if masks is not None and not masks.is_dir():
            raise NotFoundError(f"{masks}: no such folder of masks")
        files = sorted(path for path in masks.rglob("*") if path.is_file()) if masks else []
        self._masks = {path.stem.removesuffix("_mask"): path for path in files}
        self._wanted = masks is not None
        self._results: list[AnomalyResult] = []
        self._truths: list[NDArray[np.bool_] | None] = []

    def note(self, path: Path, result: AnomalyResult) -> None:
        """Keep one result with its mask.

        Raises:
            FrameError: the mask cannot be read or has another size.
        """
        if self._wanted:
            self._truths.append(self._mask(path, result.shape))
            self._results.append(result)

    def _mask(self, path: Path, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
        file = self._masks.get(path.stem)
        if file is None:
            return None
        grey, _ = read_image(file).grey8()
        if grey.shape != shape:
            sizes = f"{grey.shape[1]} x {grey.shape[0]} px, its picture {path} is {shape[1]} x {shape[0]} px"
            raise FrameError(f"{file}: the mask is {sizes}")
        found = grey > 127
        return found if found.any() else None

    def figures(self) -> TruthFigures:
        """What it comes to."""
        defective = np.array([truth is not None for truth in self._truths], np.bool_)
        rejected = np.array([result.is_anomalous for result in self._results], np.bool_)
        both = bool(defective.any()) and not defective.all()
        return TruthFigures(
            count=len(defective),
            defective_count=int(defective.sum()),
            image_auroc=image_auroc([result.score for result in self._results], defective) if both else None,
            pixel_average_precision=(
                pixel_average_precision(_ScoreMaps(self._results), self._truths) if both else None
            ),
            false_reject_fraction=_share(rejected[~defective]),
            recall_fraction=_share(rejected[defective]),
        )


def _share(rejected: NDArray[np.bool_]) -> float | None:
    return float(rejected.mean()) if rejected.size else None


class _ScoreMaps(Sequence[NDArray[np.float32]]):
    """Maps at picture resolution, made when looked at: four bytes a pixel would not fit for many pictures."""

    def __init__(self, results: Sequence[AnomalyResult]) -> None:
        self._results = results

    def __len__(self) -> int:
        return len(self._results)

    @overload
    def __getitem__(self, place: int) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[NDArray[np.float32]]: ...
    def __getitem__(self, place: int | slice) -> NDArray[np.float32] | Sequence[NDArray[np.float32]]:
        return _ScoreMaps(self._results[place]) if isinstance(place, slice) else self._results[place].score_map


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
        _inspector(bundle, provider) as inspector,
        Results(out) as results,
        Count(len(paths), "pictures").shown() as count,
    ):
        for number, path in enumerate(paths):
            row = _refused(path, "", bundle)
            try:
                began = time.monotonic()
                image, info = read_image(path).grey8()
                row = _refused(path, info.sha256, bundle)
                result = inspector.inspect(image)
                truth.note(path, result)
                row = _judged(path, info, result, bundle, 1000 * (time.monotonic() - began))
                results.overlay(number, path, png_of(anomaly_overlay(image, result)))
                if isinstance(result, SegmentationResult):
                    results.mask(number, path, png_of(result.mask))
            except FrameError as error:
                row = _with_error(row, error)
            verdicts.append(row.verdict)
            results.add(row)
            count.step()
        figures = truth.figures()
        summary = FilmSummary(
            files_count=len(paths),
            inspected_count=len(paths) - verdicts.count("uninspected"),
            passed_count=verdicts.count("pass"),
            rejected_count=verdicts.count("reject"),
            refused_count=verdicts.count("uninspected"),
            model=str(bundle.ref),
            model_digest=bundle.digest,
            seconds=round(time.monotonic() - started, 3),
            image_auroc=figures.image_auroc,
            pixel_average_precision=figures.pixel_average_precision,
            false_reject_fraction=figures.false_reject_fraction,
            recall_fraction=figures.recall_fraction,
            truth_count=figures.count,
            truth_defective_count=figures.defective_count,
        )
        results.summary(summary)
    return summary


def _inspector(bundle: Bundle, provider: Provider) -> AnomalyInspector | SegmentationInspector:
    if bundle.manifest.task == "film-segmentation":
        return SegmentationInspector(bundle, provider)
    return AnomalyInspector(bundle, provider)


def _judged(path: Path, info: ImageInfo, result: AnomalyResult, bundle: Bundle, milliseconds: float) -> FilmImageResult:
    kinds = result.kinds if isinstance(result, SegmentationResult) else ("",) * len(result.regions)
    return FilmImageResult(
        file=str(path),
        sha256=info.sha256,
        width_px=info.width_px,
        height_px=info.height_px,
        verdict="reject" if result.is_anomalous else "pass",
        score=result.score,
        threshold=result.threshold,
        region_threshold=result.region_threshold,
        reason=result.reason,
        regions=tuple(
            Region(
                x_px=region.x_px,
                y_px=region.y_px,
                width_px=region.width_px,
                height_px=region.height_px,
                area_px=region.area_px,
                score=region.score,
                kind=kind,
            )
            for region, kind in zip(result.regions, kinds, strict=True)
        ),
        model=str(bundle.ref),
        model_digest=bundle.digest,
        providers=result.provenance.providers,
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
        error=str(error) if row.file in str(error) else f"{row.file}: {error}",
    )

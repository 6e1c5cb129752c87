"""The model card of a supervised film model."""

from __future__ import annotations

from models.bundle_writer import BundleDraft


def supervised_card(draft: BundleDraft, *, how: str, grouped: bool, held_groups: int) -> str:
    """Markdown with a front matter that model registries read.

    Args:
        how: the labels, in words.
        grouped: whether pictures of one part were kept on one side of the split.
        held_groups: number of groups held out.
    """
    pitch = "not stated" if draft.input.um_per_px is None else f"{draft.input.um_per_px:g} µm/px"
    limits = "\n".join(
        f"| {name} | {limit.value:.3f} | {limit.false_alarm_fraction:.3f} | {limit.how} |"
        for name, limit in sorted(draft.thresholds.items())
    )
    figures = "\n".join(f"| {name} | {value:g} |" for name, value in sorted(draft.metrics.items()))
    split = (
        f"Whole groups (parts, rolls or batches) were held out, {held_groups} of them: no part stands on both sides."
        if grouped
        else "Pictures were held out one by one, because nothing said which of them show one part. Where several do, "
        "the figures flatter: give `--groups` or `--group-pattern`."
    )
    boxes = (
        "\nLabels were boxes: the ellipse inside each counted as defect, its corners as unknown. Outlines are rough.\n"
        if how.startswith("boxes")
        else "\nLabels were classes of whole pictures: where the defect is was never shown. Trust the score more than "
        "the map.\n"
        if how == "class folders"
        else ""
    )
    return f"""---
license: {draft.licence.lower()}
library_name: onnx
tags: [segmentation, film, supervised]
---
# {draft.name} v{draft.version}

**Use.** Marks defects in a grey 8-bit image, with the probability of a defect and a class for each place
({", ".join(draft.classes)}). Sizes are in pixels of the image.

**Material and optics.** Those of the {draft.training_image_count} pictures given, pixel pitch {pitch}. Other material,
light or pitch needs another model.

**Origin.** {draft.provenance}

**Labels.** {how}. Beside them the net saw labelled defects moved onto sound pictures, and artificial defects of no
class.
{boxes}
**Data digest.** `{draft.training_data_digest}`, seed {draft.seed}. The same data and seed give the same model on one
machine and one number of threads.

## Thresholds

| threshold | value | sound images above it | how |
|---|---:|---:|---|
{limits}

## Figures on pictures held out

{split} Learning was stopped and thresholds were set on the same pictures, so new ones will do somewhat worse.

| figure | value |
|---|---:|
{figures}

No probability of detection was measured; `lamella pod study` does that with targets of known size.

## Known to fail

* A defect of a kind that was not labelled is marked only as far as it looks like an artificial one.
* Recalls of classes with few held-out parts rest on those few parts; a class of less than five parts was only learnt
  from, and nothing is said about it.
* A surface unlike all training pictures may be marked anywhere or nowhere: a one-class model beside this one tells.

Licence {draft.licence}. ONNX opset {draft.opset}.
"""

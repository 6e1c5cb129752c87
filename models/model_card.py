"""The model card of a one-class film model: what it is for, what it was measured on, where it fails."""

from __future__ import annotations

from models.bundle_writer import BundleDraft
from vision.ensemble import PART_PX

SHARE_NEEDS = 95
"""A fifth of so many are 19, and one of 20 is 5 %."""


def one_class_card(draft: BundleDraft) -> str:
    """Markdown with a front matter that model registries read."""
    pitch = "not stated" if draft.input.um_per_px is None else f"{draft.input.um_per_px:g} µm/px"
    limits = "\n".join(
        f"| {name} | {limit.value:.3f} | {limit.false_alarm_fraction:.3f} | {limit.how} |"
        for name, limit in sorted(draft.thresholds.items())
    )
    figures = "\n".join(f"| {name} | {value:g} |" for name, value in sorted(draft.metrics.items()))
    return f"""---
license: {draft.licence.lower()}
library_name: onnx
tags: [anomaly-detection, one-class, film]
---
# {draft.name} v{draft.version}

**Use.** Tells how unlike good film each place of a grey 8-bit image is. It knows no defect classes, and sizes are in
pixels of the image.

**Material and optics.** Those of the {draft.training_image_count} training images, pixel pitch {pitch}. Other material,
light or pitch needs another model.

**Origin.** {draft.provenance}

**Data digest.** `{draft.training_data_digest}`, seed {draft.seed}.

## Thresholds

| threshold | value | good images above it or the other | how |
|---|---:|---:|---|
{limits}

An image is rejected when its score is above the one limit or a place in it above the other; the share is that of both
together. Images of one part, roll or shift are alike: unless groups were named, held-out images may show the parts
that the others show, and new parts then give more false alarms than stated here. Fewer than {SHARE_NEEDS} images
cannot show a share of 5 %.

## Figures

| figure | value |
|---|---:|
{figures}

`artificial_image_auroc` is on held-out images with drawn defects: it says that training worked, not what real defects
will give. No probability of detection was measured.

## Known to fail

* Very fine cracks along the grain of the surface, and soft changes of shade, are often missed.
* A part of about {PART_PX} px is brought to {draft.input.view_px} px or less before most members see it: round spots
  smaller than 5 px in a picture of {PART_PX} px may be missed. Give pictures of whole parts, or strips of one size, as
  in training.
* A surface unlike all training images is reported as anomalous as a whole.

Licence {draft.licence}. ONNX opset {draft.opset}.
"""

"""The model card of the classifier of candidates: its use, its training, how it does, where it fails."""

from __future__ import annotations

from models.bundle_writer import BundleDraft
from models.candidate_scores import TIMED_BATCH, Scores
from models.film_patches import PIXEL_UM
from models.film_styles import BLUR_PX, LAMP_FRACTION, LEFT_OUT, TRAINED
from vision.candidates import CHANNELS, FILM_GREY, PATCH_PX

DETECTION_TITLE = "## Probability of detection"
_LOST = "In training one patch in eight had no transmission."
_ALONE = """The film was seen in these channels alone. It was bare film as coated: a laminate behind the calender looks
otherwise."""


def candidate_card(draft: BundleDraft, scores: Scores) -> str:
    """Markdown, down to the title under which a study of detection is written."""
    channels = draft.input.channel_names or CHANNELS
    greys = ", ".join(f"{channel} {FILM_GREY[CHANNELS.index(channel)]:g}" for channel in channels)
    blind = scores.without_tx_fraction
    return f"""# {draft.name} v{draft.version}

Says which class of film defect a spot is that screening found, or that it is none (`clean`).

## Intended use

Patches of {PATCH_PX} x {PATCH_PX} px, channels {", ".join(channels)}, {PIXEL_UM:g} µm a pixel, as
`vision/candidates.py` cuts them: brought to film grey ({greys}), larger defects shown smaller, a
finer camera shown at {PIXEL_UM:g} µm. It serves cameras that have all of these channels. It sorts candidates; it does
not look at film that screening passed. Licence {draft.licence}.

## Training data

{draft.training_image_count} patches of rendered film, nothing else. {draft.provenance}

Families of texture: {", ".join(family.name for family in TRAINED)}. The family `{LEFT_OUT}` was left out, to test on.
Lens blur {BLUR_PX[0]:g} to {BLUR_PX[1]:g} px, lamps within {LAMP_FRACTION:.0%} of where the film was learnt,
gloss, curl, column gain, bands, sensor noise; every fifth roll under a camera of 10 µm/px. `clean` is what screening is
mistaken about: extremes of grain, wild pixels, flickering lines, the border of the coat.
{_ALONE if blind is None else _LOST}

## Scores

On {int(scores.confusion.sum())} patches of rendered rolls that neither trained it nor chose epoch or threshold:

| figure | value |
|---|---:|
| accuracy | {scores.accuracy_fraction:.4f} |
| accuracy without transmission | {"–" if blind is None else f"{blind:.4f}"} |
| accuracy of the float network that these eight bits were made from | {draft.metrics["float_accuracy_fraction"]:.4f} |
| answers that are the float network's | {draft.metrics["float_agreement_fraction"]:.4f} |
| clean spots kept, the probability of not being clean above {scores.keep:g} | {scores.passed_fraction:.4f} |
| defects kept | {scores.kept_fraction:.4f} |
| µs of one core a patch, in batches of {TIMED_BATCH} | {scores.patch_us:.0f} |

True class by rows, answer by columns:

{_confusion(scores)}

## Known failures

- Nothing here has seen real film. Use the figures for design only; a study on coupons comes before release.
- Defects of one or two pixels look alike: small MET, AGG and FIB are taken for one another, most of all a chip that is
  black in bright field and dull in dark field. Inspection therefore takes, of two classes of which one is at least half
  as likely as the other, the one that is rejected sooner (`vision/candidates.py`). One MET in ten still gets a laxer
  limit than its own, and about one AGG or FIB in eight a stricter one.
- Without transmission PIN and THK are mostly missed, and AGG, MET and BUB are often taken for one another.
- A short FIB and a short CRK differ by the sign of TX alone, and by little where the film is thick.
- A defect cut by the end of a strip, or mirrored at it, may get another class in each strip.
- Large and faint classes (DIS, THK, wide STR) are told from mottled film by their size and channels only.
- A class that is not listed above gets the class it resembles most, or `unknown` when it resembles two.

{DETECTION_TITLE}

Not measured: the manifest's curves are those the line model assumes.
"""


def _confusion(scores: Scores) -> str:
    lines = [
        "| | " + " | ".join(scores.names) + " | recall |",
        "|---|" + "---:|" * (len(scores.names) + 1),
    ]
    for name, row in zip(scores.names, scores.confusion.tolist(), strict=True):
        lines.append(f"| {name} | " + " | ".join(str(count) for count in row) + f" | {scores.recall[name]:.3f} |")
    return "\n".join(lines)

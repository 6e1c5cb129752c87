"""The model card's table of what was detected: every figure of a study, on what, and what it does not say."""

from __future__ import annotations

from models.detection_figures import AlarmFigures, ClassFigures, PodFigures


def card_section(found: PodFigures) -> list[str]:
    """Lines of Markdown."""
    coarse, fine = found.escapes_20um, found.escapes_10um
    lines = [
        "Measured on rendered film that was not trained on, through the whole inspection (learning, screening,",
        "classifier, measurement, accept rules): a *design* POD. It says what the chain can do with film that looks",
        "like rendered film, not what it does on a line; that takes coupons (`lamella pod study`).",
        "",
        "**Curves.** Sizes of each class drawn evenly in ln(size) around the a50 of a pilot, none below the smallest",
        "of its class in table 2.2; found is what a reported defect lies on, whatever its class. Logistic in ln(size);",
        "a90/95 is the upper 95 % bound by likelihood ratio (profile, one degree of freedom). Recall is counted at the",
        "size that kills half of the time and at the reject size, `low` its lower 95 % bound. `named` is the share of",
        "found targets of killing size given their own class. `stopped` is the share of killers as they come on the",
        "line whose film is rejected or sent to review by measured size, given class and accept rule.",
        "",
    ]
    for title, classes in (("20 µm/px", found.classes_20um), ("10 µm/px", found.classes_10um)):
        lines += _class_table(title, classes)
    conditions = {"nominal, 20 µm/px": found.alarms_20um, "nominal, 10 µm/px": found.alarms_10um}
    conditions |= {name: each.alarms for name, each in found.harder.items()} | found.faults
    lines += [
        "**False alarms** on sound film, gates set for "
        f"{found.candidates_per_m2:.0f} candidates per m². Intervals are exact Poisson, two-sided 95 %.",
        "",
        "| condition | m² | candidates | alarms | per m² (95 %) | rejecting | per m², at most (95 %) |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_alarm_row(name, each) for name, each in conditions.items()),
        "",
        "The last three rows are faults of the camera or of the view: single wild pixels and flickering lines in one",
        "strip of twenty, and a coat that ends inside the view. They are not part of the budget.",
        "",
        "**Harder conditions**, 20 µm/px, recall at the killing size:",
        "",
        "| condition | least recall, severity A | least recall, others | killers stopped |",
        "|---|---:|---:|---:|",
        *(
            f"| {name} | {each.recall_severity_a_min:.3f} | {each.recall_other_min:.3f} "
            f"| {each.stopped_killers_fraction:.3f} |"
            for name, each in found.harder.items()
        ),
        "",
        "**Escaped killers** per m² of film, rates and sizes of table 2.2, accept rules fixed, blisters left out:",
        "",
        "| by | 20 µm/px | 10 µm/px |",
        "|---|---:|---:|",
        f"| measured curves (upper 95 % bound) | {coarse.by_curves:.3f} ({coarse.by_curves_upper:.3f}) "
        f"| {fine.by_curves:.3f} ({fine.by_curves_upper:.3f}) |",
        f"| drawn killers, measured size, given class, verdict (upper 95 % bound) | {coarse.as_judged:.3f} "
        f"({coarse.as_judged_upper:.3f}) | {fine.as_judged:.3f} ({fine.as_judged_upper:.3f}) |",
        f"| curves that the line model assumes | {coarse.published:.3f} | {fine.published:.3f} |",
        f"| a detector that finds everything | {coarse.perfect:.3f} | {fine.perfect:.3f} |",
        "",
        "The second row may lie below the last one: a defect whose size is uncertain by more than it lies below its",
        "limit goes to review, and so does more than the limit alone would stop.",
        "",
        "**What the optics cannot see.** At 20 µm/px a particle of 32 µm, the size at which metal kills half of the",
        "time, is 1.6 px: it is found by the light it changes, not by its shape, so that its class and its size are",
        "guesses. A pinhole below 15 µm, a thread thinner than 9 µm and any defect under the film's surface that",
        "changes no light are not seen; nor is a contrast below about three times the grain.",
    ]
    return lines


def _class_table(title: str, classes: dict[str, ClassFigures]) -> list[str]:
    lines = [
        f"| {title} | targets | found | a50 µm | s | a90 µm | a90/95 µm | recall, killing (low) | recall, reject "
        "| named | stopped |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, each in classes.items():
        bound = "none" if each.a90_95_um is None else f"{each.a90_95_um:.0f}"
        stopped = "" if each.stopped_killers_fraction is None else f"{each.stopped_killers_fraction:.2f}"
        lines.append(
            f"| {kind} | {each.targets_count} | {each.found_count} | {each.a50_um:.0f} | {each.s:.2f} "
            f"| {each.a90_um:.0f} | {bound} | {each.recall_killing:.3f} ({each.recall_killing_low:.3f}) "
            f"| {each.recall_reject:.3f} | {each.named_fraction:.2f} | {stopped} |"
        )
    return [*lines, ""]


def _alarm_row(name: str, each: AlarmFigures) -> str:
    interval = f"{each.false_alarms_low_per_m2:.2f} to {each.false_alarms_high_per_m2:.2f}"
    return (
        f"| {name} | {each.sound_m2:.2f} | {each.candidates_count} | {each.false_alarms_count} "
        f"| {each.false_alarms_per_m2:.2f} ({interval}) | {each.rejecting_count} "
        f"| {each.rejecting_per_m2:.2f}, {each.rejecting_high_per_m2:.2f} |"
    )

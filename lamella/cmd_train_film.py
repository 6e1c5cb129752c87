"""`lamella train film`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lamella.number_arguments import above_zero, whole_number
from lamella.training_progress import TrainingProgress
from line.bundle import Bundle
from line.config import Site
from line.errors import ConfigError, ConflictError, FrameError, NotFoundError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.labelled import Grouping, LabelledSet

    Grey: TypeAlias = NDArray[np.uint8]


def arguments(parser: argparse.ArgumentParser) -> None:
    sources = parser.add_argument_group("sources")
    sources.add_argument("--good", nargs="+", type=Path, default=[], metavar="DIR", help="pictures of good film")
    sources.add_argument("--labelled", type=Path, metavar="DIR",
                         help="labelled pictures: images/ with masks/, boxes (COCO JSON, YOLO labels/ and classes.txt, "
                         "Pascal VOC XML), or a folder for each class, one of them `good`")  # fmt: skip
    sources.add_argument("--renderer", action="store_true", help="rendered film: the classifier of candidates")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model; its name is the model's")
    parser.add_argument("--name", help="name of the model (default: that of the folder)")
    parser.add_argument("--method", choices=["one-class", "supervised"],
                        help="default: supervised where there are labels and torch, else one-class")  # fmt: skip
    parser.add_argument("--groups", metavar="CSV:COLUMN",
                        help="table with a column `file` or `stem` and one that says which part or roll a picture "
                        "shows; a part is never learnt from and scored on")  # fmt: skip
    parser.add_argument("--group-pattern", metavar="REGEX", help="the same from file names, as '^(roll[0-9]+)_'")
    parser.add_argument(
        "--pixel-um", type=above_zero, metavar="UM", help="pitch of the pictures; others are refused later"
    )
    parser.add_argument("--channels", metavar="NAMES",
                        help="of the camera, as BF,DF: of rendered film those that the model is to see (default: all), "
                        "of labelled pictures those that they show, as full coverage needs")  # fmt: skip
    parser.add_argument("--steps", type=whole_number(1), help="supervised: steps to learn at most (default: 2000)")
    parser.add_argument("--threads", type=whole_number(1, 1024), default=2,
                        help="supervised: processor threads (default: 2)")  # fmt: skip
    parser.add_argument("--seed", type=whole_number(0), default=1, help="for a repeatable result (default: 1)")


def work(options: argparse.Namespace, site: Site) -> int:
    from line.bundle import MANIFEST_FILE

    if (options.out / MANIFEST_FILE).exists():
        raise ConflictError(f"{options.out}: a model is there already; remove it, or give another --out")
    if options.renderer and (options.good or options.labelled):
        raise ConfigError("learns from rendered film alone; leave out --good and --labelled", key="--renderer")
    if not (options.good or options.labelled or options.renderer):
        raise ConfigError("give --good DIR, --labelled DIR or --renderer", key="train film")
    started = time.monotonic()
    with TrainingProgress() as progress:
        bundle, what = _trained(options, progress)
    print(f"{bundle.ref} learnt from {what} in {time.monotonic() - started:.0f} s on the CPU, seed {options.seed}: "
          f"{options.out}")  # fmt: skip
    for name in ("image_auroc", "pixel_average_precision"):
        if name in bundle.manifest.metrics:
            print(f"{name.replace('_', ' ')} {bundle.manifest.metrics[name]:.3f} on "
                  f"{bundle.manifest.metrics['held_out_images']:.0f} pictures held out")  # fmt: skip
    return 0


def _trained(options: argparse.Namespace, progress: TrainingProgress) -> tuple[Bundle, str]:
    name = options.name or options.out.resolve().name
    if options.renderer:
        return _rendered(options, name, progress)
    if _method(options) == "supervised":
        return _supervised(options, name, progress)
    from models.one_class import train_one_class

    if options.channels:
        raise ConfigError("is for --renderer and for --method supervised; leave it out", key="--channels")
    images, groups = _good_pictures(options)
    bundle = train_one_class(
        images, options.out, name=name, seed=options.seed, groups=groups, um_per_px=options.pixel_um, progress=progress
    )
    return bundle, f"{len(images)} pictures"


def _rendered(options: argparse.Namespace, name: str, progress: TrainingProgress) -> tuple[Bundle, str]:
    from models.film_candidates import train_candidates
    from vision.candidates import CHANNELS

    channels = _channels(options) or CHANNELS
    if not set(channels) <= set(CHANNELS):
        raise ConfigError(f"{options.channels!r}: rendered film has {', '.join(CHANNELS)}", key="--channels")
    bundle = train_candidates(options.out, seed=options.seed, channels=channels, name=name, progress=progress)
    return bundle, "rendered film" if channels == CHANNELS else f"rendered film in {', '.join(channels)}"


def _channels(options: argparse.Namespace) -> tuple[str, ...]:
    """Names of channels as they were given; none where they were not."""
    names = tuple(name.strip().upper() for name in (options.channels or "").split(",") if name.strip())
    if len(set(names)) < len(names) or (options.channels and not names):
        raise ConfigError(f"{options.channels!r}: name each channel once, as BF,DF", key="--channels")
    return names


def _method(options: argparse.Namespace) -> str:
    """As asked for, or what labels and installation allow; the choice is said aloud."""
    from models.supervised import torch_is_there

    if options.method == "supervised" and not options.labelled:
        raise ConfigError("needs labels: give --labelled DIR", key="--method supervised")
    if options.method or not options.labelled:
        return options.method or "one-class"
    if torch_is_there():
        print("method: supervised, since there are labels and torch", file=sys.stderr)
        return "supervised"
    print("method: one-class, since torch is not installed (pip install 'lamella[train]'): of the labelled pictures "
          "only the sound ones are learnt from", file=sys.stderr)  # fmt: skip
    return "one-class"


def _supervised(options: argparse.Namespace, name: str, progress: TrainingProgress) -> tuple[Bundle, str]:
    from models.labelled import sound_images, with_images
    from models.supervised import require_torch, train_supervised
    from models.supervised_settings import LearningSettings

    require_torch()
    grouping = _grouping(options)
    labelled = _labelled(options, grouping)
    if options.good:
        pictures = _pictures(options.good)
        sound = sound_images(pictures)
        if grouping:
            groups = _groups([path for path, _ in pictures], grouping, options)
            sound = tuple(replace(image, group=group) for image, group in zip(sound, groups, strict=True))
        labelled = with_images(labelled, sound)
    settings = LearningSettings(threads=options.threads)
    if options.steps:
        settings = LearningSettings(threads=options.threads, steps=options.steps)
    bundle = train_supervised(
        labelled, options.out, name=name, seed=options.seed, um_per_px=options.pixel_um,
        channel_names=_channels(options), settings=settings, progress=progress,
    )  # fmt: skip
    return bundle, f"{len(labelled.images)} pictures with {labelled.how}"


def _grouping(options: argparse.Namespace) -> Grouping | None:
    """Which picture shows which part; None where nothing was said."""
    from models.labelled_groups import grouped_by_pattern, grouped_by_table

    if options.groups and options.group_pattern:
        raise ConfigError("give one of --groups and --group-pattern", key="--groups")
    if options.groups:
        table, colon, column = options.groups.rpartition(":")
        if not colon:
            raise ConfigError(f"{options.groups!r} is no CSV:COLUMN; write for example index.csv:roll", key="--groups")
        return grouped_by_table(Path(table), column)
    return grouped_by_pattern(options.group_pattern) if options.group_pattern else None


def _groups(paths: Sequence[Path], grouping: Grouping, options: argparse.Namespace) -> list[str]:
    """One a picture.

    Raises:
        ConfigError: the rule does not know a picture.
    """
    found = [grouping(path) for path in paths]
    missed = [path for path, group in zip(paths, found, strict=True) if not group]
    if missed:
        raise ConfigError(
            f"{options.groups or options.group_pattern!r} names no group for {len(missed)} of {len(paths)} pictures, "
            f"the first {missed[0]}; {'complete the table' if options.groups else 'mend the pattern'}",
            key="--groups" if options.groups else "--group-pattern",
        )
    return [group for group in found if group]


def _labelled(options: argparse.Namespace, grouping: Grouping | None) -> LabelledSet:
    from models.labelled import read_labelled
    from models.labelled_formats import labels_in

    if grouping is None:
        print("no --groups or --group-pattern: pictures of one part may stand on both sides of the split, and the "
              "figures of the card flatter", file=sys.stderr)  # fmt: skip
    labelled = read_labelled(options.labelled, labels_in(options.labelled), grouping=grouping)
    for reason in labelled.left_out:
        print(f"left out: {reason}", file=sys.stderr)
    defective = len(labelled.images) - labelled.sound_count
    print(f"{labelled.how}: {defective} pictures with defects ({', '.join(labelled.classes)}), "
          f"{labelled.sound_count} sound, {len(labelled.left_out)} left out", file=sys.stderr)  # fmt: skip
    return labelled


def _good_pictures(options: argparse.Namespace) -> tuple[list[Grey], list[str] | None]:
    """Pictures, and which part each shows; None where nothing was said."""
    grouping = _grouping(options)
    pictures = _pictures(options.good) if options.good else []
    images = [grey for _, grey in pictures]
    groups = _groups([path for path, _ in pictures], grouping, options) if grouping else []
    if options.labelled:
        sound = [image for image in _labelled(options, grouping).images if image.is_sound]
        images += [image.grey for image in sound]
        groups += [image.group for image in sound]
    if not images:
        raise NotFoundError(f"{(options.good or [options.labelled])[0]}: no sound pictures that can be read")
    return images, groups if grouping else None


def _pictures(folders: list[Path]) -> list[tuple[Path, Grey]]:
    from lamella.pictures import pictures_in
    from vision.images import read_image

    found = []
    for path in pictures_in(folders):
        try:
            found.append((path, read_image(path).grey8()[0]))
        except FrameError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found

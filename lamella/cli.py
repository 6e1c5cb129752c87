"""The command `lamella`: noun, verb, flags. Data goes to standard output, messages to standard error.

Each verb is a row: its words, its help and where its arguments and its work live. Work is imported when it is asked
for, so that `--help` is quick and a role imports only its own package.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from lamella import __version__
from lamella.exit_codes import INTERRUPTED, exit_code
from line.config import Site, site_from
from line.errors import ConfigError, LamellaError


class Command(Protocol):
    """A module that carries out a verb."""

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare flags."""
        ...

    def work(self, options: argparse.Namespace, site: Site) -> int:
        """Do it; returns the exit status."""
        ...


@dataclass(frozen=True, slots=True)
class Verb:
    """A row of the command line."""

    words: tuple[str, ...]
    help: str
    module: str
    examples: tuple[str, ...] = ()


VERBS = (
    Verb(("run",), "run the whole line, or one role of it", "lamella.cmd_run",
         ("lamella run", "lamella run --speed 60 --scenario F01")),
    Verb(("doctor",), "check what this machine has and what the line needs", "lamella.cmd_doctor",
         ("lamella doctor", "lamella doctor --json")),
    Verb(("line", "show"), "print the line model", "lamella.cmd_line_show",
         ("lamella line show", "lamella line show --station S03")),
    Verb(("line", "check"), "check a line model file", "lamella.cmd_line_check",
         ("lamella line check", "lamella line check my-line.toml")),
    Verb(("config", "show"), "print the settings in force", "lamella.cmd_config_show",
         ("lamella config show", "lamella config show --describe")),
    Verb(("inspect", "film"), "inspect pictures of film or another surface", "lamella.cmd_inspect_film",
         ("lamella inspect film pictures/ --model my-film --out results/",
          "lamella inspect film a.png --model my-film --truth masks/ --out results/")),
    Verb(("inspect", "stack"), "inspect pictures of stacks", "lamella.cmd_inspect_stack",
         ("lamella inspect stack --view xray pictures/ --out results/",)),
    Verb(("train", "film"), "learn a film model from good, labelled or rendered pictures", "lamella.cmd_train_film",
         ("lamella train film --good good/ --out my-film",
          "lamella train film --labelled labelled/ --group-pattern '^(roll[0-9]+)_' --out my-film")),
    Verb(("pod", "study"), "what a model finds of real targets of known size: its release POD", "lamella.cmd_pod_study",
         ("lamella pod study coupons.csv --results results/ --model my-film --pixel-um 20 --camera fins-1 "
          "--calibration C7 --out my-film-v2",)),
    Verb(("calibrate", "film"), "measure a film camera with the target, or look at the reference tile",
         "lamella.cmd_calibrate_film",
         ("lamella calibrate film --follow", "lamella calibrate film --image BF=target.png",
          "lamella calibrate film --reference-tile")),
    Verb(("model", "list"), "list released models", "lamella.cmd_model_list", ("lamella model list",)),
    Verb(("model", "verify"), "check a model bundle: files, digest, golden answers", "lamella.cmd_model_verify",
         ("lamella model verify film-candidates",)),
    Verb(("wires", "record"), "record what the line says: OPC-UA, frames, events", "lamella.cmd_wires_record",
         ("lamella wires record --seconds 60 --out recording/",)),
    Verb(("wires", "replay"), "play a recording to plc, vision and twin", "lamella.cmd_wires_replay",
         ("lamella wires replay recording/",)),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        site = site_from(getattr(options, "config", None), os.environ, _overrides(options))
        return _command(options.module).work(options, site)
    except LamellaError as error:
        if getattr(options, "debug", False):
            raise
        print(f"lamella: {error}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    top = argparse.ArgumentParser(
        prog="lamella",
        description="Digital twin and quality-control vision of an all-solid-state-battery pilot line.",
        epilog="exit status: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 something cannot be reached,\n"
        "5 quality gate not met, 6 not found, 7 in use by another, 130 interrupted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"lamella {__version__}")
    _common(top, settings="set")
    nouns = top.add_subparsers(metavar="COMMAND", required=True)
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for verb in VERBS:
        place = nouns
        for word in verb.words[:-1]:
            if word not in groups:
                noun = nouns.add_parser(word, help=f"{', '.join(_verbs_of(word))}")
                groups[word] = noun.add_subparsers(metavar="VERB", required=True)
            place = groups[word]
        leaf = place.add_parser(
            verb.words[-1],
            help=verb.help,
            description=verb.help[0].upper() + verb.help[1:] + ".",
            epilog="examples:\n  " + "\n  ".join(verb.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        leaf.set_defaults(module=verb.module)
        _common(leaf.add_argument_group("everywhere"), settings="set_behind")
        _command(verb.module).arguments(leaf)
    return top


def _common(parser: argparse._ActionsContainer, settings: str) -> None:
    """What stands before the verb or behind it; absent ones leave the other place alone."""
    absent = argparse.SUPPRESS
    parser.add_argument("--config", type=Path, default=absent,
                        help="settings file (default: ./lamella.toml, /etc/lamella/lamella.toml)")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], dest=settings, metavar="KEY=VALUE",
                        help="one setting, as plant.speed=60")  # fmt: skip
    parser.add_argument("--state", metavar="DIR", default=absent, help="short for --set line.state_dir=DIR")
    parser.add_argument("--debug", action="store_true", default=absent, help="show tracebacks")


def _verbs_of(noun: str) -> list[str]:
    return [verb.words[1] for verb in VERBS if verb.words[0] == noun and len(verb.words) > 1]


def _command(module: str) -> Command:
    return cast(Command, importlib.import_module(module))


def _overrides(options: argparse.Namespace) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in [*options.set, *options.set_behind]:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"{pair!r} is no KEY=VALUE; write for example plant.speed=60", key="--set")
        found[key.strip()] = value.strip()
    if "state" in options:
        found["line.state_dir"] = options.state
    return found

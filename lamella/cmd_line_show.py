"""`lamella line show`."""

from __future__ import annotations

import argparse
import sys

import msgspec
from rich.console import Console
from rich.table import Table

from line.config import Site
from line.model import LineModel, Station, load_line


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="a shipped name or a file (default: the site's)")
    parser.add_argument("--station", help="only this station, with its tags")
    parser.add_argument("--json", action="store_true", help="the whole model as one JSON document")


def work(options: argparse.Namespace, site: Site) -> int:
    line = load_line(options.model or site.line.model)
    if options.json:
        chosen = line.station(options.station) if options.station else line
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(chosen)).decode() + "\n")
        return 0
    console = Console(highlight=False)
    if options.station:
        _print_station(console, line.station(options.station))
    else:
        _print_line(console, line)
    return 0


def _print_line(console: Console, line: LineModel) -> None:
    console.print(f"{line.title}: {len(line.stations)} stations, {len(line.all_tags())} tags, "
                  f"{len(line.defects)} defect classes, {len(line.cameras)} cameras")  # fmt: skip
    table = Table("code", "station", "cycle", "tags", box=None)
    for station in line.stations:
        table.add_row(station.code, station.title, station.cycle, str(len(station.tags)))
    console.print(table)


def _print_station(console: Console, station: Station) -> None:
    console.print(f"{station.code} {station.title}")
    table = Table("tag", "unit", "nominal", "normal", "alarm", "sampling", box=None)
    for tag in station.tags:
        unit = f"{tag.unit} ({tag.reference})" if tag.reference else tag.unit
        alarm = f"{_bound(tag.alarm_low)} … {_bound(tag.alarm_high)}"
        sampling = f"{tag.sampling_ms} ms" if tag.sampling_ms else "per part"
        table.add_row(tag.name, unit, f"{tag.nominal:g}", f"{tag.normal_low:g} … {tag.normal_high:g}", alarm, sampling)
    console.print(table)


def _bound(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"

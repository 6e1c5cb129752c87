"""The sealed file."""

from __future__ import annotations

from pathlib import Path

import pytest

from line.errors import JournalError
from line.model import LineModel
from plant.hidden import drawn_hidden
from plant.truth import CellTruth, FaultTruth, FlawTruth, HiddenTruth, TruthFile, TruthRecord, read_truth


def flaw(number: int, md_um: int, *, kind: str = "PIN", killer: bool = False, **changes: float) -> FlawTruth:
    fields: dict[str, float] = {"size_um": 50.0, "length_um": 50.0, "width_um": 50.0} | changes
    return FlawTruth(
        at_ns=1, flaw=f"f{number}", roll="R", kind=kind, md_um=md_um, cd_um=100_000, depth_fraction=1.0, killer=killer,
        cause="", **fields,
    )  # fmt: skip


def test_the_sealed_file_is_for_its_owner_alone_and_reads_back(tmp_path: Path, line: LineModel) -> None:
    path = tmp_path / "plant" / "sealed" / "truth.jsonl"
    records: list[TruthRecord] = [
        HiddenTruth(at_ns=1, hidden=drawn_hidden(line, 3)),
        flaw(1, 5),
        FaultTruth(at_ns=2, scenario="F01", title="x", strength=1.0),
        CellTruth(
            at_ns=3,
            cell="C",
            stack="S",
            cause="film",
            stage="ageing",
            killers=((9, "top", "f1"),),
            least_overhang_um=7.0,
        ),
    ]
    for record in records:
        with TruthFile(path) as file:
            file.append([record])
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert list(read_truth(path)) == records


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with TruthFile(path) as file:
        file.append([flaw(1, 5), flaw(2, 6)])
    path.write_bytes(path.read_bytes()[:-9])
    assert list(read_truth(path)) == [flaw(1, 5)]


def test_a_line_that_is_no_record_is_refused_by_number(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with TruthFile(path) as file:
        file.append([flaw(1, 5)])
    with path.open("ab") as stream:
        stream.write(b'{"truth": "lie"}\n')
    with pytest.raises(JournalError, match="line 2"):
        list(read_truth(path))
    with pytest.raises(JournalError, match="has this plant run"):
        list(read_truth(tmp_path / "none.jsonl"))

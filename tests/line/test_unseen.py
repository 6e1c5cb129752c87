from __future__ import annotations

import msgspec
import pytest

from line.model import LineModel, load_line
from line.unseen import unseen, unseen_classes


@pytest.fixture(scope="module")
def line() -> LineModel:
    return load_line()


def fitted(line: LineModel, **changes: bool) -> LineModel:
    """The line with cameras fitted or not: `lins_1=True`."""
    cameras = tuple(
        msgspec.structs.replace(row, fitted=changes.get(row.id.replace("-", "_"), row.fitted)) for row in line.cameras
    )
    return msgspec.structs.replace(line, cameras=cameras)


def test_a_second_film_station_is_planned_and_not_fitted(line: LineModel) -> None:
    camera = line.camera("lins-1")
    assert (camera.station, camera.web, camera.channels, camera.fitted) == ("S08", "laminate", ("BF", "DF"), False)
    assert [row.id for row in line.film_cameras()] == ["fins-1"]


def test_what_comes_about_behind_the_film_camera_is_uninspected_and_not_absent(line: LineModel) -> None:
    assert unseen_classes(line) == (
        "CRK by calendering",
        "CRK by cutting",
        "MET by cutting",
        "SCR by calendering",
        "BLI",
        "WRK by lamination",
        "WRK by calendering",
    )


def test_a_camera_behind_the_calender_leaves_only_cutting_and_pressing(line: LineModel) -> None:
    assert unseen_classes(fitted(line, lins_1=True)) == ("CRK by cutting", "MET by cutting", "BLI by pressing")


def test_without_any_film_camera_every_class_is_uninspected(line: LineModel) -> None:
    rows = unseen(fitted(line, fins_1=False))
    assert [row.code for row in rows] == [row.code for row in line.defects]
    assert all(row.whole for row in rows)


def test_thickness_is_uninspected_where_no_light_comes_through(line: LineModel) -> None:
    assert "THK" in unseen_classes(fitted(line, fins_1=False, lins_1=True))
    assert "THK" not in unseen_classes(line)

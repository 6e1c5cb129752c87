"""Which bundle a name means."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from line.bundle import open_bundle
from line.errors import BundleError, NotFoundError
from models.registry import SHIPPED, listed, next_version, read_aliases, released, set_alias

BACKBONE = "efficientnet-lite0-s32"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A registry of one's own with two versions of a name that ships as well; their manifests still say v1."""
    for version in (2, 3):
        shutil.copytree(SHIPPED / BACKBONE / "v1", tmp_path / BACKBONE / f"v{version}")
    return tmp_path


def test_the_shipped_backbone_is_found_and_intact() -> None:
    bundle = open_bundle(released(BACKBONE), task="backbone")
    assert str(bundle.ref) == f"{BACKBONE}@v1"
    assert bundle.manifest.licence == "Apache-2.0"
    assert sum(path.stat().st_size for path in bundle.path.rglob("*") if path.is_file()) < 10_000_000


def test_the_shipped_bundles_are_listed_with_their_references() -> None:
    assert (open_bundle(released(BACKBONE)).ref, released(BACKBONE)) in listed()


def test_the_state_directory_comes_first_and_a_bare_name_is_its_newest_version(state: Path) -> None:
    assert released(BACKBONE, state=state) == state / BACKBONE / "v3"
    assert released(f"{BACKBONE}@v2", state=state) == state / BACKBONE / "v2"
    assert released(f"{BACKBONE}@v1", state=state) == SHIPPED / BACKBONE / "v1"
    assert next_version(state, BACKBONE) == 4
    assert next_version(state, "new-name") == 1


def test_a_champion_is_what_a_bare_name_means(tmp_path: Path) -> None:
    for version in (1, 2):
        shutil.copytree(SHIPPED / BACKBONE / "v1", tmp_path / BACKBONE / f"v{version}")
    set_alias(tmp_path, open_bundle(tmp_path / BACKBONE / "v1"), "champion")
    assert read_aliases(tmp_path, BACKBONE) == {"champion": 1}
    assert released(BACKBONE, state=tmp_path) == tmp_path / BACKBONE / "v1"
    assert released(f"{BACKBONE}@champion", state=tmp_path) == tmp_path / BACKBONE / "v1"
    assert [path.name for path in (tmp_path / BACKBONE).iterdir() if path.name.startswith(".")] == []


def test_an_alias_for_a_bundle_that_is_not_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not released here"):
        set_alias(tmp_path, open_bundle(released(BACKBONE)), "champion")


@pytest.mark.parametrize("reference", ["nothing", f"{BACKBONE}@v9", f"{BACKBONE}@challenger"])
def test_an_unknown_reference_names_what_is_released(reference: str) -> None:
    with pytest.raises(NotFoundError, match=rf"no released model '{reference}'; released names: .*{BACKBONE}"):
        released(reference)


@pytest.mark.parametrize("reference", ["../secrets", "Film", "film@", "film@v0", "film@3"])
def test_what_is_no_reference_is_refused(reference: str) -> None:
    with pytest.raises(NotFoundError, match="is no model reference"):
        released(reference)


def test_an_alias_file_that_cannot_be_read_is_named(state: Path) -> None:
    (state / BACKBONE / "aliases.json").write_text("{champion: 3}")
    with pytest.raises(BundleError, match=r"aliases\.json"):
        released(BACKBONE, state=state)

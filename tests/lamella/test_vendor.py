"""What the pages are made of: vendored libraries as listed, own modules small and without a foreign address."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

import lamella.web

STATIC = Path(lamella.web.__file__).parent / "static"
VENDOR = STATIC / "vendor"
OWN = sorted(path for kind in ("*.js", "*.css", "*.html") for path in STATIC.rglob(kind) if VENDOR not in path.parents)
MODULES = [path for path in OWN if path.suffix == ".js"]
LICENCES = {"MIT", "Apache-2.0"}


def packages() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((VENDOR / "vendor.json").read_text())["packages"]
    return found


def listed() -> dict[str, str]:
    rows = [row for package in packages() for row in package["files"]]  # type: ignore[attr-defined]
    return {row["file"]: row["sha256"] for row in rows}


def test_every_vendored_file_is_what_the_list_says() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    found.pop("vendor.json")
    assert found == listed()


def test_every_vendored_package_names_version_licence_and_origin_and_brings_the_licence() -> None:
    for package in packages():
        assert re.fullmatch(r"\d+\.\d+\.\d+", str(package["version"]))
        assert package["licence"] in LICENCES
        assert str(package["integrity"]).startswith("sha512-")
        plain = str(package["package"]).replace("@", "").replace("/", "-")
        assert f"{plain}.LICENSE.txt" in listed()


def test_every_import_names_a_file_that_is_there() -> None:
    """A browser knows no package names without an import map, which would be an inline script."""
    for module in [*MODULES, *VENDOR.glob("*.js")]:
        for target in re.findall(r"""^(?:import|export)\b[^"'`;]*?from\s*["']([^"']+)["']""", module.read_text(), re.M):
            assert target.startswith("."), f"{module.name} imports {target}"
            assert (module.parent / target).is_file(), f"{module.name} imports {target}"


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(STATIC)))
def test_an_own_file_is_small_and_names_no_foreign_address(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", text)
    assert not re.findall(r"<script(?![^>]*\bsrc=)", text), "inline script"
    assert not re.findall(r"\sstyle=\"", text), "inline style"


def test_every_text_of_a_page_is_in_the_catalogue_and_every_entry_is_used() -> None:
    catalogue: dict[str, str] = json.loads((STATIC / "i18n" / "en.json").read_text())
    source = "\n".join(path.read_text() for path in MODULES)
    whole = set(re.findall(r"""[^\w]t\(\s*"([^"]+)\"""", source)) | set(re.findall(r'\? "([a-z_]+\.[a-z_]+)"', source))
    whole |= set(re.findall(r': "([a-z_]+\.[a-z_]+)"', source))
    begun = set(re.findall(r"`([a-z_]+\.)\$\{", source))
    missing = {key for key in re.findall(r"""[^\w]t\(\s*"([^"]+)\"""", source) if key not in catalogue}
    assert missing == set()
    plain = {re.sub(r"\.(zero|one|two|few|many|other)$", "", key) for key in catalogue}
    unused = {key for key in plain if key not in whole and not any(key.startswith(prefix) for prefix in begun)}
    assert unused == set()
    assert all(text.strip() for key, text in catalogue.items() if not key.endswith("."))

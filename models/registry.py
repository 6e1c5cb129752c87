"""Finds released bundles: first in the state directory, then among those that ship with the package.

A registry is a folder ``<name>/v<version>/`` with, per name, an ``aliases.json`` that maps ``champion``, ``challenger``
and the like to a version. Aliases move atomically; bundles never change.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import msgspec

from line.bundle import MANIFEST_FILE, Bundle, ModelRef, open_bundle
from line.errors import BundleError, NotFoundError

SHIPPED = Path(__file__).parent / "registry"
ALIASES_FILE = "aliases.json"

_REFERENCE = re.compile(
    r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)(?:@(?:v(?P<version>[1-9][0-9]*)|(?P<alias>[a-z][a-z-]*)))?"
)


def released(reference: str, *, state: Path | None = None) -> Path:
    """Folder of a released bundle; its content is checked by ``line.bundle.open_bundle``, not here.

    Args:
        reference: ``name``, ``name@v3`` or ``name@champion``. A bare name is its champion, or else its newest version.
        state: registry in the state directory, asked first.

    Raises:
        NotFoundError: nothing is released under that reference; the message names what is.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise NotFoundError(f"{reference!r} is no model reference; write name, name@v3 or name@champion")
    name, alias = match["name"], match["alias"]
    for root in _roots(state):
        versions, aliases = _versions(root / name), read_aliases(root, name)
        if match["version"]:
            version = int(match["version"])
        elif alias:
            version = aliases.get(alias, 0)
        else:
            version = aliases.get("champion", max(versions, default=0))
        if version in versions:
            return root / name / f"v{version}"
    known = ", ".join(sorted({path.name for root in _roots(state) for path in _models(root)})) or "none"
    raise NotFoundError(f"no released model {reference!r}; released names: {known}")


def listed(*, state: Path | None = None) -> list[tuple[ModelRef, Path]]:
    """All released bundles that are intact, by name and version; those of the state directory win."""
    found: dict[tuple[str, int], tuple[ModelRef, Path]] = {}
    for root in reversed(_roots(state)):
        for model in _models(root):
            for version in _versions(model):
                bundle = open_bundle(model / f"v{version}")
                found[bundle.ref.name, bundle.ref.version] = (bundle.ref, bundle.path)
    return [found[key] for key in sorted(found)]


def read_aliases(root: Path, name: str) -> dict[str, int]:
    """Version by alias; empty when none was set. BundleError when the file cannot be understood."""
    path = root / name / ALIASES_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise BundleError(f"{path}: {error}; write it again with the versions that are wanted") from error


def set_alias(root: Path, bundle: Bundle, alias: str) -> None:
    """Let an alias mean this bundle from now on; readers see the old file or the new one, never half.

    Raises:
        NotFoundError: the bundle does not lie in this registry.
    """
    name, version = bundle.ref.name, bundle.ref.version
    if version not in _versions(root / name):
        raise NotFoundError(f"{root}: {bundle.ref} is not released here; copy the bundle to {name}/v{version} first")
    aliases = {**read_aliases(root, name), alias: version}
    handle, scratch = tempfile.mkstemp(dir=root / name, prefix=f".{ALIASES_FILE}-")
    with os.fdopen(handle, "wb") as stream:
        stream.write(msgspec.json.encode(aliases, order="sorted") + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    Path(scratch).replace(root / name / ALIASES_FILE)


def next_version(root: Path, name: str) -> int:
    """The version that the next bundle of this name gets."""
    return max(_versions(root / name), default=0) + 1


def _roots(state: Path | None) -> list[Path]:
    return [SHIPPED] if state is None else [state, SHIPPED]


def _models(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if _versions(path)) if root.is_dir() else []


def _versions(model: Path) -> list[int]:
    if not model.is_dir():
        return []
    return sorted(
        int(path.name[1:])
        for path in model.iterdir()
        if re.fullmatch(r"v[1-9][0-9]*", path.name) and (path / MANIFEST_FILE).is_file()
    )

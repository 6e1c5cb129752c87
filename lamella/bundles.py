"""What a user means by a model: a folder, or the reference of a released bundle."""

from __future__ import annotations

from pathlib import Path

from line.bundle import MANIFEST_FILE
from models.registry import released


def bundle_folder(reference: str, state_dir: Path) -> Path:
    """The folder of a bundle: `reference` itself when it is one, else the released `name`, `name@v3`, `name@champion`.

    Raises:
        NotFoundError: nothing is there or released under that reference.
    """
    folder = Path(reference)
    return folder if (folder / MANIFEST_FILE).is_file() else released(reference, state=state_dir / "models")

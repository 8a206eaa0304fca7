"""Model files that ship with Siftline itself, below `siftline/models/`."""

from __future__ import annotations

import shutil
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from siftline.model.cache import verify
from siftline.model.catalogue import Source
from siftline.model.wheels import SourceUnavailableError


def shipped() -> Traversable:
    """The folder of the model files."""
    return resources.files("siftline").joinpath("models")


def packaged_files(source: Source, target: Path) -> None:
    """Write every file of a package source into `target`, verified.

    SourceUnavailableError where this installation lacks one; ModelError for a wrong file.
    """
    for file in source.files:
        origin = shipped().joinpath(file.path)
        if not origin.is_file():
            raise SourceUnavailableError(f"this installation has no models/{file.path}")
        out = target / file.name
        out.parent.mkdir(parents=True, exist_ok=True)
        with origin.open("rb") as data, out.open("wb") as copy:
            shutil.copyfileobj(data, copy)
        verify(out, file.sha256, file.name, str(source))

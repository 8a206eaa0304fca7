"""Models by name or folder."""

from __future__ import annotations

from pathlib import Path

from siftline.model.fetch import fetch


def find_model(name: str, beside: Path | None = None) -> Path:
    """The folder of a model: a folder beside a file, a folder, or a name of the catalogue."""
    if beside is not None and (beside / name).is_dir():
        return beside / name
    if Path(name).is_dir():
        return Path(name)
    return fetch(name)

"""Models by name or folder."""

from __future__ import annotations

from pathlib import Path

from siftline.model.fetch import fetch


def find_model(name: str, beside: Path | None = None) -> Path:
    """The folder of a model: a folder beside a file, a folder, or a name of the catalogue."""
    for path in (*(() if beside is None else (beside / name,)), Path(name)):
        if path.is_dir():
            return path
    return fetch(name)

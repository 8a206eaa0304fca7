"""What `siftline models` shows: every model of the catalogue and whether it is here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from siftline.model.cache import RECORD, cache_folder
from siftline.model.catalogue import ModelEntry, load_catalogue
from siftline.model.fetch import fetch, model_folder
from siftline.model.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model in a list; folder None where it is not in the cache, bytes what it takes there."""

    name: str
    role: str
    licence: str
    dimensions: int
    max_length: int
    sources: tuple[str, ...]
    folder: Path | None
    bytes: int


def list_models(*, cache: Path | None = None) -> list[ModelRow]:
    """Every model of the catalogue, in its order."""
    return [_row(entry, cache_folder(cache)) for entry in load_catalogue().values()]


def _row(entry: ModelEntry, cache: Path) -> ModelRow:
    folder = model_folder(entry, cache)
    here = (folder / RECORD).is_file()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if here else 0
    return ModelRow(
        entry.name,
        entry.role,
        entry.licence,
        entry.dimensions,
        entry.max_length,
        tuple(str(source) for source in entry.sources),
        folder if here else None,
        size,
    )


def pull(name: str, *, cache: Path | None = None, progress: Progress = silent) -> Path:
    """Fetch a model by catalogue name; the folder it is in. Errors as `fetch`."""
    return fetch(name, cache=cache, progress=progress)


def describe(name: str, *, cache: Path | None = None) -> dict[str, Any]:
    """Everything the catalogue says about a model, JSON-able, and what of it is in the cache.

    Keys: the fields of ModelEntry; `folder` (text or None); `fetched`: source and files of the
    cached folder, or None. Raises UsageError for an unknown name.
    """
    entry = load_catalogue().entry(name)
    folder = model_folder(entry, cache_folder(cache))
    record = folder / RECORD
    here = record.is_file()
    return {
        **asdict(entry),
        "folder": str(folder) if here else None,
        "fetched": json.loads(record.read_text("utf-8")) if here else None,
    }

"""Siftline: neural search in one process.

    app = siftline.open("examples/stdlib")
    app.feed(documents)
    result = app.query(query="how do I read a file line by line", ranking="three-phase")

Names are imported when they are first used, so that `import siftline` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from siftline.application import Application

_HOMES = {
    "Application": "siftline.schema.builder",
    "Component": "siftline.schema.builder",
    "Field": "siftline.schema.builder",
    "Phase": "siftline.schema.builder",
    "RankProfile": "siftline.schema.builder",
    "Schema": "siftline.schema.builder",
    "Hnsw": "siftline.schema.definition",
    "OnnxModel": "siftline.schema.definition",
    "SparseQuery": "siftline.schema.package",
    "FeedReport": "siftline.engine",
    "Hit": "siftline.respond.hits",
    "Result": "siftline.respond.hits",
    "Tensor": "siftline.tensor.tensor",
    "TensorType": "siftline.tensor.types",
    "SiftlineError": "siftline.errors",
}

__all__ = [*_HOMES, "open"]


def open(
    folder: str | Path,
    data: str | Path | None = None,
    *,
    read_only: bool = False,
    query_cache: int | None = None,
) -> Application:
    """Open the application package in `folder`; its index is in `data` or beside it.

    query_cache: bytes for the encodings of earlier queries, 0 for none, None as the package says.
    """
    from siftline.application import Application

    return Application.open(folder, data, read_only=read_only, query_cache=query_cache)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'siftline' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)

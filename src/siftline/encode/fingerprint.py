"""What the vectors of an embedder depend on, so that a change of it can be told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from siftline.encode.open import RUNTIME_HINTS
from siftline.errors import SiftlineError
from siftline.schema.package import Component, ModelReference, Settings

#: Parameters and options that no document's vector depends on.
_QUERIES_ONLY = frozenset(
    {"prepend/query", "max-query-tokens", "query-token-id", "mask-queries", "token-budget"}
)
_SPEED_ONLY = frozenset({*RUNTIME_HINTS, "onnx-intraop-threads"})
_BLOCK = 1 << 20


def encoder_parts(
    component: Component, locate: Callable[[str, ModelReference], Path], settings: Settings
) -> Mapping[str, str]:
    """Name → value of everything that documents' vectors depend on; files by their SHA-256.

    locate: element name and reference → file, as for `open_embedder`; a file that is not there
    counts by its reference. Queries alone do not count, nor does speed; IDF settings do, for the
    table may be counted while documents are fed.
    """
    parts = {"type": component.type}
    for element, reference in component.models.items():
        try:
            parts[element] = file_hash(locate(element, reference))
        except (SiftlineError, OSError):
            parts[element] = f"{reference.path} {reference.url} {reference.model_id}"
    written = {**component.parameters, **settings.embedder_options.get(component.id, {})}
    for name, value in sorted(written.items()):
        if name not in _QUERIES_ONLY | _SPEED_ONLY:
            parts[name] = str(value)
    query = settings.sparse_queries.get(component.id)
    if query is not None:
        parts["idf"] = f"{query.mode} {query.idf} {query.field}"
    return parts


def file_hash(path: Path) -> str:
    """The SHA-256 of a file, read once as long as it does not change."""
    found = path.stat()
    return _hash(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()

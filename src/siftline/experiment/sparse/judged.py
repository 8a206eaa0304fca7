"""Judged collections as experiments read them: every document's text, and which split is meant."""

from __future__ import annotations

from pathlib import Path

from siftline.errors import UsageError
from siftline.feed.source import feed_file
from siftline.lines import read_rows


def read_documents(folder: Path) -> dict[str, str]:
    """Document id → title and text joined by a space, of a BEIR folder's corpus.

    Documents without any text are left out, as the OpenSearch tuning sample does. UsageError names
    the file and line of a row that is no document, or an id that stands twice.
    """
    path = feed_file(folder)
    found: dict[str, str] = {}
    empty: set[str] = set()
    for place, row in read_rows(path or folder):
        identity = row.get("_id", row.get("id")) if isinstance(row, dict) else None
        if identity is None:
            raise UsageError("a document needs _id and text", place)
        name = str(identity)
        if name in found or name in empty:
            raise UsageError(f"document '{name}' stands here a second time", place)
        text = " ".join(part for key in ("title", "text") if (part := str(row.get(key) or "")))
        if text.strip():
            found[name] = text
        else:
            empty.add(name)
    if not found:
        raise UsageError(f"'{path}' has no document with a text")
    return found


def judged_set(text: str, split: str) -> tuple[Path, str]:
    """The folder and split of `FOLDER` or `FOLDER:SPLIT`; split: where the text names none."""
    folder, colon, named = text.rpartition(":")
    if colon and not Path(text).is_dir():
        return Path(folder), named
    return Path(text), split

"""The documents of the index in tests/golden/index-1, and the command that wrote it.

`python tests/index/golden_index.py FOLDER` writes it again; do so only for a new format version,
into a folder of its own, because the old one must stay readable.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from index_fixtures import encoded, opened

DOCUMENTS: dict[str, dict[str, Any]] = {
    "id:t:doc::first": {
        "title": "hello world hello",
        "tags": ["red wine", "blue"],
        "count": -3,
        "price": 2.5,
        "open": True,
        "kind": "größe",
        "numbers": [1, 2**40],
        "scores": {"a": 1, "b": -2},
        "dense": [1, 2, 3, 4],
        "short": [0.5, -1, 2],
        "bits": [-128, 127],
        "sparse": {"hello": 1.5, "world": 0.25},
        "tokens": {"0": [1, 2], "1": [3, 4]},
        "whole": {("x", "y"): 1.25},
    },
    "id:t:doc::removed": {"title": "world", "count": 9, "sparse": {"world": 3.0}},
    "id:t:doc::second": {"title": "world", "tokens": {"label": [0.5, 0.25]}},
    "id:t:doc::third": {"title": "blue sky", "count": 7, "sparse": {"sky": 0.75}},
    "id:t:doc::pending": {"title": "hello again", "dense": [4, 3, 2, 1]},
}
LATE = "id:t:doc::pending"
REMOVED = "id:t:doc::removed"


def write(folder: Path) -> None:
    """Two committed segments, a deletion, and a document that only the store has."""
    index = opened(folder)
    early = {id_: document for id_, document in DOCUMENTS.items() if id_ != LATE}
    for id_, document in early.items():
        index.write(encoded({id_: document}))
        if id_ == "id:t:doc::second":
            index.commit()
    index.write(encoded({}), [REMOVED])
    index.commit()
    index.write(encoded({LATE: DOCUMENTS[LATE]}))
    index._store.close()
    if index._lock is not None:
        index._lock.release()
    for name in ("lock", "writer", "store/lock.mdb"):
        (folder / name).unlink(missing_ok=True)


if __name__ == "__main__":
    write(Path(sys.argv[1]))

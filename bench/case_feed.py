"""Reading feed files: documents a second, from bytes on disk to operations."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.measurement import Measurement, best_seconds
from siftline.feed.operation import Operation
from siftline.feed.reader import read_operations

DOCUMENTS = 20_000


def run() -> Iterator[Measurement]:
    words = "neural search in one process with several phases of ranking ".split()
    rows = [
        {
            "put": f"id:n:passage::{i}",
            "fields": {"title": words[i % 9], "text": " ".join(words * 12)},
        }
        for i in range(DOCUMENTS)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    forms = {
        "JSON lines": lines,
        "JSON lines, gzip": gzip.compress(lines, 6),
        "JSON array on one line": json.dumps(rows).encode(),
        "JSON array, indented": json.dumps(rows, indent=2).encode(),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, data in forms.items():
            path = Path(folder, "feed")
            path.write_bytes(data)
            seconds = best_seconds(lambda path=path: read_all(path))
            yield Measurement(name, DOCUMENTS / seconds, "documents/s")


def read_all(path: Path) -> None:
    count = sum(isinstance(item, Operation) for item in read_operations(path, "passage", "n"))
    if count != DOCUMENTS:
        raise SystemExit(f"read {count} of {DOCUMENTS} documents")

"""Written documents that no segment holds yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from siftline.encode.encoded import Encoded
from siftline.index.core import DocumentRows, Labels
from siftline.index.layout import COUNTED, Layout
from siftline.index.packed import Rows, concatenate_rows, from_blobs, pack
from siftline.index.record import Record

DEFAULT_LANGUAGE = "en"


class Pending:
    """A list of document rows in sequence order, and which of them are already replaced."""

    def __init__(self) -> None:
        self._parts: list[DocumentRows] = []
        self._dead: set[int] = set()

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def add(self, rows: DocumentRows) -> None:
        """Keep rows behind the others."""
        if len(rows):
            self._parts.append(rows)

    def kill(self, sequences: Iterable[int]) -> None:
        """Leave these documents out."""
        if self._parts:
            first = int(self._parts[0].sequences[0])
            self._dead.update(s for s in sequences if s >= first)

    def joined(self, layout: Layout, labels: Labels) -> DocumentRows | None:
        """Everything as one, the dead left out; None if nothing is left."""
        parts = [_without(part, self._dead) for part in self._parts] if self._dead else self._parts
        parts = [part for part in parts if len(part)]
        return _joined(parts, layout, labels) if parts else None

    def clear(self) -> None:
        """Forget everything: a segment has it now."""
        self._parts, self._dead = [], set()


def rows_of_encoded(encoded: Encoded, layout: Layout, labels: Labels, first: int) -> DocumentRows:
    """Rows of a checked batch; sequence numbers from `first`."""
    count = len(encoded)
    vectors: dict[str, Rows] = {}
    for field, spec in layout.vectors.items():
        batch, own = encoded.vectors.get(field), labels(label_field(field))
        if batch is None:
            vectors[field] = from_blobs(spec, [None] * count, own)
        else:
            vectors[field] = pack(spec, batch, own)
    languages = list(encoded.languages) or [DEFAULT_LANGUAGE] * count
    sequences = np.arange(first, first + count, dtype=np.int64)
    return DocumentRows(sequences, languages, _indexed(encoded.outputs, layout), vectors)


def rows_of_records(
    records: Sequence[tuple[int, Record]], layout: Layout, labels: Labels
) -> DocumentRows:
    """Rows of stored documents with their sequence numbers."""
    vectors = {
        field: from_blobs(
            spec, [record.vectors.get(field) for _, record in records], labels(label_field(field))
        )
        for field, spec in layout.vectors.items()
    }
    outputs = {
        field: [record.outputs.get(field) for _, record in records]
        for field in layout.texts.keys() | layout.columns.keys()
    }
    sequences = np.array([sequence for sequence, _ in records], np.int64)
    return DocumentRows(sequences, [r.language for _, r in records], outputs, vectors)


def label_field(field: str) -> str:
    """The field whose label numbers a field uses: counted tokens share those of their field."""
    return field.removesuffix(COUNTED)


def _indexed(outputs: Any, layout: Layout) -> dict[str, Any]:
    wanted = layout.texts.keys() | layout.columns.keys()
    return {field: values for field, values in outputs.items() if field in wanted}


def _without(part: DocumentRows, dead: set[int]) -> DocumentRows:
    kept = np.flatnonzero(~np.isin(part.sequences, np.fromiter(dead, np.int64, len(dead))))
    rows = kept.tolist()
    if len(kept) == len(part):
        return part
    return DocumentRows(
        part.sequences[kept],
        [part.languages[i] for i in rows],
        {field: [values[i] for i in rows] for field, values in part.outputs.items()},
        {field: rows.take(kept) for field, rows in part.vectors.items()},
    )


def _joined(parts: Sequence[DocumentRows], layout: Layout, labels: Labels) -> DocumentRows:
    outputs = {
        field: [v for part in parts for v in part.outputs.get(field) or [None] * len(part)]
        for field in layout.texts.keys() | layout.columns.keys()
    }
    vectors = {
        field: concatenate_rows([part.vectors[field] for part in parts], labels(label_field(field)))
        for field in layout.vectors
    }
    return DocumentRows(
        np.concatenate([part.sequences for part in parts]),
        [language for part in parts for language in part.languages],
        outputs,
        vectors,
    )

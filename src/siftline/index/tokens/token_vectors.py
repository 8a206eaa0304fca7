"""Token vectors of one field in one segment: writer and reader.

Ragged arrays: document i has blocks `rows[offsets[i]:offsets[i+1]]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siftline.index.arrays import Arrays, ArrayWriter
from siftline.index.labels import FieldLabels
from siftline.index.layout import VectorSpec
from siftline.index.packed import TokenRows, sequential_labels
from siftline.index.parts import Part, copy_ranges, merged_offsets


class TokenVectors:
    """rows: stored cells `(blocks, size)`; offsets: int64 `(count + 1,)`.

    labels: int32 label numbers of the blocks, None where they are "0", "1", … in each document.
    """

    def __init__(self, arrays: Arrays, spec: VectorSpec) -> None:
        self.spec = spec
        self.offsets = arrays["offsets"]
        self.rows = arrays["rows"]
        self.labels = arrays["labels"] if "labels" in arrays else None

    def take(self, documents: np.ndarray) -> TokenRows:
        """Blocks of the documents (numbers within the segment)."""
        return TokenRows(self.offsets, self.rows, self.labels).take(documents)


def build_tokens(rows: TokenRows, out: ArrayWriter) -> None:
    """The blocks of n rows."""
    out.put("offsets", rows.offsets)
    out.put("rows", rows.rows)
    if rows.labels is not None:
        out.put("labels", rows.labels)


def merge_tokens(
    spec: VectorSpec,
    parts: Sequence[Part[TokenVectors]],
    out: ArrayWriter,
    vocabulary: FieldLabels,
) -> None:
    """Several segments as one, deleted documents left out."""
    offsets = merged_offsets(parts, [part.reader.offsets for part in parts])
    out.put("offsets", offsets)
    rows = out.allocate("rows", spec.storage, (int(offsets[-1]), spec.size))
    labels = None
    if any(part.reader.labels is not None for part in parts):
        labels = out.allocate("labels", np.int32, (int(offsets[-1]),))
    at = 0
    for part in parts:
        reader = part.reader
        if labels is not None:
            own = reader.labels
            if own is None:
                own = sequential_labels(np.diff(reader.offsets), vocabulary)
            copy_ranges(part, reader.offsets, own, labels, at)
        at = copy_ranges(part, reader.offsets, reader.rows, rows, at)

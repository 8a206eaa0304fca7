"""Tensors of a type that no other structure holds, in one segment: writer and reader.

`blob` (uint8) holds a msgpack value for each document, `offsets` where it lies; an absent tensor
has no bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack
import numpy as np

from siftline.index.arrays import Arrays, ArrayWriter
from siftline.index.packed import TensorRows, offsets_of
from siftline.index.parts import Part, copy_ranges, merged_offsets


class WholeTensors:
    """The tensors of one field."""

    def __init__(self, arrays: Arrays) -> None:
        self.offsets = arrays["offsets"]
        self.blob = arrays["blob"]

    def take(self, documents: np.ndarray) -> TensorRows:
        """Tensors of the documents (numbers within the segment)."""
        return TensorRows([self._one(int(document)) for document in documents])

    def _one(self, document: int) -> Any:
        start, end = self.offsets[document], self.offsets[document + 1]
        if start == end:
            return None
        return msgpack.unpackb(bytes(self.blob[start:end]), unicode_errors="surrogatepass")


def build_tensors(rows: TensorRows, out: ArrayWriter) -> None:
    """The tensors of n rows."""
    packer = msgpack.Packer(unicode_errors="surrogatepass")
    texts = [b"" if value is None else packer.pack(value) for value in rows.values]
    out.put("offsets", offsets_of(np.array([len(text) for text in texts], np.int64)))
    out.put("blob", np.frombuffer(b"".join(texts), np.uint8))


def merge_tensors(parts: Sequence[Part[WholeTensors]], out: ArrayWriter) -> None:
    """Several segments as one, deleted documents left out."""
    offsets = merged_offsets(parts, [part.reader.offsets for part in parts])
    out.put("offsets", offsets)
    blob = out.allocate("blob", np.uint8, (int(offsets[-1]),))
    at = 0
    for part in parts:
        at = copy_ranges(part, part.reader.offsets, part.reader.blob, blob, at)

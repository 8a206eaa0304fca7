"""A segment's content: every structure of the layout over documents 0 … count - 1, immutable.

Built from document rows or merged from other segments by the same writers, into memory or into
one file. Arrays are named `kind/field/array`; `sequences` (int64) holds the sequence numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from siftline.errors import UsageError
from siftline.index.arrays import Arrays, ArrayWriter, Under
from siftline.index.columns.column import AttributeColumn
from siftline.index.columns.column_writer import build_column, merge_column
from siftline.index.graph.dense import DenseVectors
from siftline.index.graph.dense_writer import build_dense, merge_dense
from siftline.index.labels import FieldLabels
from siftline.index.layout import ColumnSpec, Layout, VectorSpec
from siftline.index.packed import DenseRows, Rows, SparseRows, TensorRows, TokenRows
from siftline.index.parts import Part
from siftline.index.postings.sparse import SparsePostings, SparseVectors
from siftline.index.postings.sparse_writer import build_sparse, merge_sparse
from siftline.index.postings.text import TextPostings
from siftline.index.postings.text_writer import build_text, merge_text
from siftline.index.tensors.whole import WholeTensors, build_tensors, merge_tensors
from siftline.index.tokens.token_vectors import TokenVectors, build_tokens, merge_tokens

#: documents from which a dense field gets a graph, in a file and in memory; below, a scan is faster
#: to build and as fast to search
GRAPH_FROM = 1_000
GRAPH_FROM_IN_MEMORY = 20_000

#: the folder of each form of tensor among the array names
FORMS = {"dense": "dense", "sparse": "sparse", "ragged": "tokens", "tensor": "tensors"}

Labels = Callable[[str], FieldLabels]
VectorReader = DenseVectors | SparseVectors | TokenVectors | WholeTensors
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class DocumentRows:
    """n documents on their way into a segment, with the sequence number of each."""

    sequences: np.ndarray
    languages: Sequence[str]
    outputs: Mapping[str, Sequence[Any]]
    vectors: Mapping[str, Rows]

    def __len__(self) -> int:
        return len(self.sequences)


class SegmentCore:
    """Readers over a segment's arrays, each made when it is first asked for."""

    def __init__(self, arrays: Arrays, layout: Layout, labels: Labels) -> None:
        self.arrays = arrays
        self.layout = layout
        self.sequences = arrays["sequences"]
        self.count = len(self.sequences)
        self._labels = labels
        self._readers: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def first(self) -> int:
        """The lowest sequence number."""
        return int(self.sequences[0])

    def text(self, field: str) -> TextPostings:
        """Text postings of an indexed string field."""
        return self._reader(f"text/{field}", TextPostings)

    def column(self, field: str) -> AttributeColumn:
        """Values of an attribute."""
        spec = self.layout.columns[field]
        return self._reader(f"column/{field}", lambda a: AttributeColumn(a, spec, self.count))

    def vectors(self, field: str) -> VectorReader:
        """Vectors of a tensor field of any form."""
        spec = self.layout.vectors[field]
        return self._reader(vector_name(spec), lambda a: self._open_vectors(spec, a))

    def part(self, name: str) -> Arrays:
        """The arrays under a name."""
        return self.arrays.under(name)

    def _open_vectors(self, spec: VectorSpec, arrays: Arrays) -> VectorReader:
        if spec.form == "dense":
            return DenseVectors(arrays, spec, self.count)
        if spec.form == "ragged":
            return TokenVectors(arrays, spec)
        if spec.form == "tensor":
            return WholeTensors(arrays)
        kind = SparsePostings if spec.inverted else SparseVectors
        return kind(arrays, self._labels(spec.field.removesuffix("#tokens")))

    def _reader(self, name: str, open_reader: Callable[[Arrays], T]) -> T:
        found = self._readers.get(name)
        if found is None:
            with self._lock:
                found = self._readers.get(name)
                if found is None:
                    found = open_reader(self.arrays.under(name))
                    self._readers[name] = found
        reader: T = found
        return reader


def vector_name(spec: VectorSpec) -> str:
    """The name that a tensor field's arrays stand under."""
    return f"{FORMS[spec.form]}/{spec.field}"


def build_segment(layout: Layout, rows: DocumentRows, out: ArrayWriter, graph_from: int) -> None:
    """Write the segment of n documents; without graphs below `graph_from` vectors."""
    absent = [None] * len(rows)
    for field, text in layout.texts.items():
        values = rows.outputs.get(field, absent)
        build_text(text, values, rows.languages, Under(out, f"text/{field}"))
    for field, column in layout.columns.items():
        build_column(column, rows.outputs.get(field, absent), Under(out, f"column/{field}"))
    for field, vector in layout.vectors.items():
        _build_vectors(vector, rows.vectors[field], Under(out, vector_name(vector)), graph_from)
    out.put("sequences", rows.sequences)


def _build_vectors(spec: VectorSpec, rows: Rows, out: ArrayWriter, graph_from: int) -> None:
    if isinstance(rows, DenseRows):
        build_dense(spec, rows, out, graph_from)
    elif isinstance(rows, SparseRows):
        build_sparse(spec, rows, out)
    elif isinstance(rows, TokenRows):
        build_tokens(rows, out)
    elif isinstance(rows, TensorRows):
        build_tensors(rows, out)


def merge_segments(
    layout: Layout,
    segments: Sequence[tuple[SegmentCore, np.ndarray]],
    labels: Labels,
    out: ArrayWriter,
    graph_from: int,
) -> None:
    """Write one segment from adjacent ones, each with its live documents (bool), in order."""
    bases = np.concatenate([[0], np.cumsum([np.count_nonzero(live) for _, live in segments])])

    def parts(read: Callable[[SegmentCore], T]) -> list[Part[T]]:
        return [
            Part(read(core), live, int(base))
            for (core, live), base in zip(segments, bases, strict=False)
        ]

    for field in layout.texts:
        text = parts(lambda core, f=field: core.text(f))  # type: ignore[misc]
        merge_text(text, Under(out, f"text/{field}"))
    for field, spec in layout.columns.items():
        merge_column(spec, parts(_column_of(spec)), Under(out, f"column/{field}"))
    for vector in layout.vectors.values():
        found = parts(lambda core, f=vector.field: core.vectors(f))  # type: ignore[misc]
        _merge_vectors(vector, found, labels, Under(out, vector_name(vector)), graph_from)
    out.put("sequences", np.concatenate([core.sequences[live] for core, live in segments]))


def _column_of(spec: ColumnSpec) -> Callable[[SegmentCore], AttributeColumn]:
    return lambda core: core.column(spec.field)


def _merge_vectors(
    spec: VectorSpec,
    parts: list[Part[Any]],
    labels: Labels,
    out: ArrayWriter,
    graph_from: int,
) -> None:
    if spec.form == "dense":
        merge_dense(spec, parts, out, graph_from)
    elif spec.form == "sparse":
        merge_sparse(spec, parts, out)
    elif spec.form == "ragged":
        merge_tokens(spec, parts, out, labels(spec.field))
    elif spec.form == "tensor":
        merge_tensors(parts, out)
    else:
        raise UsageError(f"field '{spec.field}' has a tensor of unknown form '{spec.form}'")

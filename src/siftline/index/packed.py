"""Vectors of many documents as they are stored: cells in the declared type, labels as numbers.

One class for each batch form. A row's `blob` is its bytes in a document record; `concatenate`
and `take` serve the building, merging and reading of segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from siftline.errors import UsageError
from siftline.index.labels import FieldLabels
from siftline.index.layout import VectorSpec
from siftline.tensor.batch import (
    Batch,
    DenseBatch,
    RaggedBatch,
    SparseBatch,
    TensorBatch,
    gather_ranges,
)
from siftline.tensor.bits import compress_bfloat16, expand_bfloat16
from siftline.tensor.tensor import Tensor


def store_cells(spec: VectorSpec, cells: np.ndarray) -> np.ndarray:
    """Cells as they are in memory to cells as they are stored."""
    if spec.type.cell == "bfloat16":
        return compress_bfloat16(cells)
    return np.ascontiguousarray(cells, dtype=spec.storage)


def restore_cells(spec: VectorSpec, stored: np.ndarray) -> np.ndarray:
    """The reverse of store_cells."""
    return expand_bfloat16(stored) if spec.type.cell == "bfloat16" else stored


@dataclass(frozen=True, eq=False)
class DenseRows:
    """`values` `(n, size)` stored cells, `present` `(n,)` bool."""

    values: np.ndarray
    present: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def blobs(self) -> list[Any]:
        """Bytes of each row, None where absent."""
        values = np.ascontiguousarray(self.values)
        return [values[i].tobytes() if p else None for i, p in enumerate(self.present.tolist())]

    def take(self, rows: np.ndarray) -> DenseRows:
        """The given rows, in that order."""
        return DenseRows(self.values[rows], self.present[rows])


@dataclass(frozen=True, eq=False)
class SparseRows:
    """CSR: row i has `labels` int32 and `weights` float32 (None: all 1) `indptr[i]:indptr[i+1]`."""

    indptr: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def blobs(self) -> list[Any]:
        """Bytes of each row: all labels, then all weights; None where empty."""
        ends = self.indptr.tolist()
        labels, weights = self.labels, self.weights
        found: list[Any] = []
        for start, end in zip(ends[:-1], ends[1:], strict=True):
            if start == end:
                found.append(None)
            elif weights is None:
                found.append(labels[start:end].tobytes())
            else:
                found.append(labels[start:end].tobytes() + weights[start:end].tobytes())
        return found

    def take(self, rows: np.ndarray) -> SparseRows:
        """The given rows, in that order."""
        indptr, flat = gather_ranges(self.indptr, rows)
        weights = None if self.weights is None else self.weights[flat]
        return SparseRows(indptr, self.labels[flat], weights)


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Row i has blocks `rows[offsets[i]:offsets[i+1]]` of stored cells.

    labels: int32 for each block, None where every row's labels are "0", "1", …
    """

    offsets: np.ndarray
    rows: np.ndarray
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def blobs(self) -> list[Any]:
        """Bytes of each row's blocks, with its labels' where they are kept; None where empty."""
        ends = self.offsets.tolist()
        found: list[Any] = []
        for start, end in zip(ends[:-1], ends[1:], strict=True):
            if start == end:
                found.append(None)
            elif self.labels is None:
                found.append(self.rows[start:end].tobytes())
            else:
                found.append([self.rows[start:end].tobytes(), self.labels[start:end].tobytes()])
        return found

    def take(self, rows: np.ndarray) -> TokenRows:
        """The given rows, in that order."""
        offsets, flat = gather_ranges(self.offsets, rows)
        labels = None if self.labels is None else self.labels[flat]
        return TokenRows(offsets, self.rows[flat], labels)


@dataclass(frozen=True, eq=False)
class TensorRows:
    """Whole tensors of any type: `(labels, bytes of the cells)` for each row, None where absent."""

    values: Sequence[tuple[Sequence[Sequence[str]], bytes] | None]

    def __len__(self) -> int:
        return len(self.values)

    def blobs(self) -> list[Any]:
        """Labels and bytes of each row, None where absent."""
        return list(self.values)

    def take(self, rows: np.ndarray) -> TensorRows:
        """The given rows, in that order."""
        return TensorRows([self.values[int(row)] for row in rows])


Rows = DenseRows | SparseRows | TokenRows | TensorRows


def pack(spec: VectorSpec, batch: Batch, labels: FieldLabels) -> Rows:
    """A batch of the field's type as rows; new labels get numbers from `labels`."""
    if isinstance(batch, DenseBatch):
        cells = store_cells(spec, batch.values).reshape(len(batch), spec.size)
        return DenseRows(cells, np.asarray(batch.present, bool))
    if isinstance(batch, SparseBatch):
        tokens = np.asarray(batch.tokens, np.int32)
        weights = np.asarray(batch.weights, np.float32) if spec.weighted else None
        numbers = _renumbered(tokens, batch.vocabulary, labels)
        return SparseRows(np.asarray(batch.indptr, np.int64), numbers, weights)
    if isinstance(batch, RaggedBatch):
        rows = store_cells(spec, batch.rows).reshape(-1, spec.size)
        names = None if batch.labels is None else labels.numbers(batch.labels)
        return TokenRows(np.asarray(batch.offsets, np.int64), rows, names)
    return TensorRows(
        [
            None if t is None else (t.labels, store_cells(spec, t.cells).tobytes())
            for t in batch.tensors
        ]
    )


def _renumbered(tokens: np.ndarray, vocabulary: Sequence[str], labels: FieldLabels) -> np.ndarray:
    """The field's label number of each token of a batch."""
    if vocabulary is labels:
        return tokens
    used = np.zeros(int(tokens.max(initial=-1)) + 1, bool)
    used[tokens] = True
    distinct = np.flatnonzero(used)
    numbers = np.zeros(len(used), np.int32)
    numbers[distinct] = labels.numbers([vocabulary[token] for token in distinct.tolist()])
    return np.asarray(numbers[tokens])


def unpack(spec: VectorSpec, rows: Rows, labels: FieldLabels) -> Batch:
    """The reverse of pack; sparse tokens are label numbers and `labels` is their vocabulary."""
    if isinstance(rows, DenseRows):
        values = restore_cells(spec, rows.values).reshape(len(rows), *spec.type.shape)
        return DenseBatch(spec.type, values, rows.present)
    if isinstance(rows, SparseRows):
        weights = rows.weights
        if weights is None:
            weights = np.ones(len(rows.labels), np.float32)
        return SparseBatch(spec.type, rows.indptr, rows.labels, weights, labels)
    if isinstance(rows, TokenRows):
        names = None if rows.labels is None else [labels[n] for n in rows.labels.tolist()]
        cells = restore_cells(spec, rows.rows).reshape(-1, *spec.type.shape)
        return RaggedBatch(spec.type, rows.offsets, cells, names)
    return TensorBatch(spec.type, tuple(_tensor(spec, value) for value in rows.values))


def _tensor(spec: VectorSpec, value: Any) -> Tensor | None:
    if value is None:
        return None
    labels = tuple(tuple(address) for address in value[0])
    cells = restore_cells(spec, np.frombuffer(value[1], spec.storage))
    return Tensor(spec.type, labels, cells.reshape(len(labels), *spec.type.shape))


def from_blobs(spec: VectorSpec, blobs: Sequence[Any], labels: FieldLabels) -> Rows:
    """Rows from what `blobs` gave for each."""
    if spec.form == "dense":
        values = np.zeros((len(blobs), spec.size), spec.storage)
        present = np.array([blob is not None for blob in blobs], bool)
        if present.any():
            joined = b"".join(blob for blob in blobs if blob is not None)
            values[present] = np.frombuffer(joined, spec.storage).reshape(-1, spec.size)
        return DenseRows(values, present)
    if spec.form == "sparse":
        return _sparse_from_blobs(spec, blobs)
    if spec.form == "ragged":
        return _tokens_from_blobs(spec, blobs, labels)
    return TensorRows(blobs)


def _sparse_from_blobs(spec: VectorSpec, blobs: Sequence[Any]) -> SparseRows:
    width = 8 if spec.weighted else 4
    counts = np.array([0 if b is None else len(b) // width for b in blobs], np.int64)
    joined = np.frombuffer(b"".join(b for b in blobs if b is not None), np.int32)
    if not spec.weighted:
        return SparseRows(offsets_of(counts), joined, None)
    # a row is all its labels, then all its weights
    flags = np.tile(np.array([True, False]), len(counts))
    is_label = np.repeat(flags, np.repeat(counts, 2))
    weights = joined[~is_label].view(np.float32)
    return SparseRows(offsets_of(counts), joined[is_label], weights)


def _tokens_from_blobs(spec: VectorSpec, blobs: Sequence[Any], labels: FieldLabels) -> TokenRows:
    width = spec.size * spec.storage.itemsize
    cells = [b[0] if isinstance(b, (list, tuple)) else b or b"" for b in blobs]
    counts = np.array([len(c) // width for c in cells], np.int64)
    rows = np.frombuffer(b"".join(cells), spec.storage).reshape(-1, spec.size)
    if not any(isinstance(b, (list, tuple)) for b in blobs):
        return TokenRows(offsets_of(counts), rows, None)
    numbers = [
        np.frombuffer(blob[1], np.int32)
        if isinstance(blob, (list, tuple))
        else sequential_labels(np.array([count]), labels)
        for blob, count in zip(blobs, counts.tolist(), strict=True)
    ]
    return TokenRows(offsets_of(counts), rows, np.concatenate(numbers))


def sequential_labels(counts: np.ndarray, labels: FieldLabels) -> np.ndarray:
    """Numbers of the labels "0", "1", … within rows of `counts` blocks, int32 flat."""
    longest = int(counts.max(initial=0))
    numbers = labels.numbers([str(i) for i in range(longest)])
    starts = np.repeat(offsets_of(counts)[:-1], counts)
    found: np.ndarray = numbers[np.arange(len(starts)) - starts]
    return found


def offsets_of(counts: np.ndarray) -> np.ndarray:
    """int64 `(n + 1,)` running sums from 0."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def concatenate_rows(parts: Sequence[Rows], labels: FieldLabels) -> Rows:
    """Rows of one field, one after the other; at least one part."""
    if len(parts) == 1:
        return parts[0]
    dense = [p for p in parts if isinstance(p, DenseRows)]
    sparse = [p for p in parts if isinstance(p, SparseRows)]
    tokens = [p for p in parts if isinstance(p, TokenRows)]
    if len(dense) == len(parts):
        return DenseRows(
            np.concatenate([p.values for p in dense]), np.concatenate([p.present for p in dense])
        )
    if len(sparse) == len(parts):
        weights = [p.weights for p in sparse if p.weights is not None]
        return SparseRows(
            offsets_of(np.concatenate([np.diff(p.indptr) for p in sparse])),
            np.concatenate([p.labels for p in sparse]),
            np.concatenate(weights) if weights else None,
        )
    if len(tokens) == len(parts):
        return _concatenate_tokens(tokens, labels)
    whole = [p for p in parts if isinstance(p, TensorRows)]
    if len(whole) != len(parts):
        raise UsageError("rows of different forms cannot be concatenated")
    return TensorRows([value for p in whole for value in p.values])


def _concatenate_tokens(parts: Sequence[TokenRows], labels: FieldLabels) -> TokenRows:
    counts = [np.diff(p.offsets) for p in parts]
    numbers = None
    if any(p.labels is not None for p in parts):
        numbers = np.concatenate(
            [
                sequential_labels(count, labels) if p.labels is None else p.labels
                for p, count in zip(parts, counts, strict=True)
            ]
        )
    return TokenRows(
        offsets_of(np.concatenate(counts)), np.concatenate([p.rows for p in parts]), numbers
    )

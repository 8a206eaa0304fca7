"""Tensor functions on sparse and ragged batches as a whole: on the cells of all documents at once.

A batch whose tensors have one mapped dimension is one array of blocks, cut into documents. Mapping,
joining with what has no mapped dimension, and reducing need no labels, so they run on that array;
joining with one tensor of the same mapped dimension needs its labels once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siftline.rank.values import Dense, Value, from_dense
from siftline.tensor import algebra
from siftline.tensor.algebra import CellFunction
from siftline.tensor.batch import RaggedBatch, SparseBatch, block_labels
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

Flat = SparseBatch | RaggedBatch


def offsets_of(batch: Flat) -> np.ndarray:
    """Where each document's blocks begin and end, int64 `(n+1,)`."""
    return batch.indptr if isinstance(batch, SparseBatch) else batch.offsets


def cells_of(batch: Flat) -> np.ndarray:
    """All blocks `(m, *shape)` of the type's dtype."""
    cells = batch.weights if isinstance(batch, SparseBatch) else batch.rows
    return cells.astype(batch.type.dtype, copy=False)


def map_flat(batch: Flat, function: CellFunction) -> Value:
    """map(t, f) for every document."""
    cells = algebra.map_cells(batch.type, cells_of(batch), function)
    return _like(batch, algebra.map_type(batch.type), cells)


def join_flat(
    left: Flat | Tensor | Dense, right: Flat | Tensor | Dense, function: CellFunction
) -> Value | None:
    """join(a, b, f) of a batch with what has no mapped dimension, or with a tensor of its own.

    None where this cannot do it: the result must have at most one indexed dimension, to be a
    sparse or ragged batch again.
    """
    batch, other = (left, right) if isinstance(left, Flat) else (right, left)
    if not isinstance(batch, Flat):
        return None
    if isinstance(other, Tensor):
        if other.type.mapped != batch.type.mapped:
            return None
        kept, rows = _matches(batch, other)
        batch, beside = _select(batch, kept), (other.type, other.cells[rows])
    elif isinstance(other, tuple):
        beside = _repeated(other, batch)
    elif other is batch:
        beside = (batch.type, cells_of(batch))
    else:
        return None
    type_ = algebra.join_type(batch.type, beside[0])
    if len(type_.indexed) > 1:
        return None
    own = (batch.type, cells_of(batch))
    first, second = (own, beside) if isinstance(left, Flat) else (beside, own)
    return _like(batch, type_, algebra.join_cells(first, second, type_, function))


def _repeated(side: Dense, batch: Flat) -> Dense:
    """Cells for each block of the batch: those of its document."""
    type_, cells = side
    if len(cells) == 1:
        return side
    return type_, np.repeat(cells, np.diff(offsets_of(batch)), axis=0)


def _matches(batch: Flat, tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Which blocks have a label that the tensor has, and the tensor's rows for them."""
    if isinstance(batch, SparseBatch):
        table = np.full(len(batch.vocabulary), -1, np.int64)
        for row, (label,) in enumerate(tensor.labels):
            token = batch.token(label)
            if token >= 0:
                table[token] = row
        rows = table[batch.tokens]
    else:
        numbers = {label: row for row, (label,) in enumerate(tensor.labels)}
        rows = np.array([numbers.get(label, -1) for label in block_labels(batch)], np.int64)
    kept = rows >= 0
    return kept, rows[kept]


def _select(batch: Flat, kept: np.ndarray) -> Flat:
    """The batch with only the blocks where `kept` `(m,)` is true."""
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[offsets_of(batch)]
    if isinstance(batch, SparseBatch):
        tokens, weights = batch.tokens[kept], batch.weights[kept]
        return SparseBatch(batch.type, offsets, tokens, weights, batch.vocabulary)
    labels = block_labels(batch)
    names = [labels[i] for i in np.flatnonzero(kept).tolist()]
    return RaggedBatch(batch.type, offsets, batch.rows[kept], names)


def reduce_flat(batch: Flat, aggregator: str, dimensions: Sequence[str]) -> Value:
    """reduce(t, aggregator, dimensions…) for every document; zero for one without cells."""
    result = algebra.reduce_type(batch.type, dimensions)
    cells = cells_of(batch)
    if result.mapped:
        return _like(batch, result, algebra.reduce_cells(batch.type, cells, aggregator, dimensions))
    counts = np.diff(offsets_of(batch))
    filled = np.flatnonzero(counts)
    groups = np.repeat(np.arange(len(filled)), counts[filled])
    axes = () if result.indexed else tuple(range(1, cells.ndim))
    values = np.zeros((len(counts), *result.shape), result.dtype)
    values[filled] = algebra.reduce_groups(
        cells.astype(np.float64), groups, len(filled), axes, aggregator
    )
    return from_dense((result, values), len(counts))


def _like(batch: Flat, type_: TensorType, cells: np.ndarray) -> Flat:
    """Blocks with the labels of `batch`, in the form their type has."""
    if type_.indexed:
        labels = batch.labels if isinstance(batch, RaggedBatch) else block_labels(batch)
        return RaggedBatch(type_, offsets_of(batch), cells, labels)
    if isinstance(batch, SparseBatch):
        return SparseBatch(type_, batch.indptr, batch.tokens, cells, batch.vocabulary)
    numbers: dict[str, int] = {}
    tokens = [numbers.setdefault(label, len(numbers)) for label in block_labels(batch)]
    return SparseBatch(type_, batch.offsets, np.array(tokens, np.int32), cells, tuple(numbers))

"""Batches of tensors as columns of a script: choosing rows, joining, grouping, bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from siftline.errors import UsageError
from siftline.tensor.batch import (
    Batch,
    DenseBatch,
    RaggedBatch,
    SparseBatch,
    TensorBatch,
    stack,
)
from siftline.tensor.bits import pack_bits, round_bfloat16
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import Dimension, TensorType

#: Cells `(blocks, …)` of one type to cells of another with the same blocks.
Cells = Callable[[np.ndarray], np.ndarray]


def pick(batch: Batch, index: np.ndarray) -> Batch:
    """The rows `index` of a batch, in that order; -1 is an absent row."""
    if len(index) == len(batch) and np.array_equal(index, np.arange(len(index))):
        return batch
    present = index >= 0
    if len(batch) == 0:
        return stack(batch.type, [None] * len(index))
    if isinstance(batch, DenseBatch):
        rows = np.where(present, index, 0)
        values = batch.values[rows]
        values[~present] = 0
        return DenseBatch(batch.type, values, batch.present[rows] & present)
    if isinstance(batch, TensorBatch):
        return TensorBatch(batch.type, tuple(batch.tensors[i] if i >= 0 else None for i in index))
    empty = np.where(present, index, len(batch))
    if isinstance(batch, SparseBatch):
        return replace(batch, indptr=np.append(batch.indptr, batch.indptr[-1])).take(empty)
    return replace(batch, offsets=np.append(batch.offsets, batch.offsets[-1])).take(empty)


def scatter(type_: TensorType, count: int, parts: Sequence[tuple[np.ndarray, Batch]]) -> Batch:
    """A batch of `count` rows from parts `(rows, batch)`; present rows of later parts win."""
    if len(parts) == 1 and len(parts[0][0]) == count:
        return parts[0][1]
    tensors: list[Tensor | None] = [None] * count
    for rows, batch in parts:
        for i, row in enumerate(rows):
            tensors[row] = batch.tensor(i) or tensors[row]
    return stack(type_, tensors)


def group(batch: Batch, offsets: np.ndarray, target: TensorType, dimension: str) -> Batch:
    """Rows `offsets[i]:offsets[i+1]` as one tensor each, labelled "0", "1", … along `dimension`."""
    if isinstance(batch, DenseBatch) and len(target.indexed) == 1:
        return RaggedBatch(target, offsets, batch.values)
    place = target.mapped.index(dimension)
    tensors: list[Tensor | None] = []
    for start, end in zip(offsets[:-1], offsets[1:], strict=True):
        labels: list[tuple[str, ...]] = []
        cells: list[np.ndarray] = []
        for number in range(start, end):
            tensor = batch.tensor(number)
            if tensor is not None:
                own = str(number - start)
                labels += [(*a[:place], own, *a[place:]) for a in tensor.labels]
                cells.append(tensor.cells)
        tensors.append(Tensor(target, tuple(labels), np.concatenate(cells)) if cells else None)
    return stack(target, tensors)


def packed_type(type_: TensorType) -> TensorType:
    """The type after pack_bits: int8, the last indexed dimension an eighth, rounded up."""
    return _resized(type_, "int8", lambda size: -(-size // 8))


def unpacked_type(type_: TensorType) -> TensorType:
    """The float type whose pack_bits has this int8 type."""
    return _resized(type_, "float", lambda size: size * 8)


def _resized(type_: TensorType, cell: str, size: Callable[[int], int]) -> TensorType:
    if not type_.indexed:
        raise UsageError(f"pack_bits needs an indexed dimension, which {type_} lacks")
    last = type_.indexed[-1]
    return TensorType(
        cell,  # type: ignore[arg-type]
        tuple(
            Dimension(d.name, d.mapped, size(d.size or 0) if d.name == last else d.size)
            for d in type_.dimensions
        ),
    )


def packed(batch: Batch) -> Batch:
    """Every tensor's last indexed dimension as bits, 1 where above 0, first in the top bit."""
    return _mapped(batch, packed_type(batch.type), pack_bits)


def binarized(batch: Batch, threshold: float) -> Batch:
    """Every cell 1 where above the threshold, else 0."""
    return _mapped(batch, batch.type, lambda cells: (cells > threshold).astype(batch.type.dtype))


def _mapped(batch: Batch, type_: TensorType, cells: Cells) -> Batch:
    if isinstance(batch, DenseBatch):
        return DenseBatch(type_, cells(batch.values), batch.present)
    if isinstance(batch, SparseBatch):
        return replace(batch, type=type_, weights=cells(batch.weights).astype(np.float32))
    if isinstance(batch, RaggedBatch):
        return replace(batch, type=type_, rows=cells(batch.rows))
    return TensorBatch(
        type_,
        tuple(t and Tensor(type_, t.labels, cells(t.cells)) for t in batch.tensors),
    )


def recast(batch: Batch, target: TensorType) -> Batch:
    """The same cells as another cell type; UsageError where dimensions differ or int8 overflows."""
    if batch.type == target:
        return batch
    if batch.type.dimensions != target.dimensions:
        raise UsageError(f"a tensor of type {batch.type} does not fit {target}")

    def cells(values: np.ndarray) -> np.ndarray:
        if target.cell == "bfloat16":
            return round_bfloat16(values)
        if target.cell == "int8" and not np.all((values >= -128) & (values <= 127)):
            raise UsageError(f"{target} cells must lie in -128..127")
        return values.astype(target.dtype)

    return _mapped(batch, target, cells)

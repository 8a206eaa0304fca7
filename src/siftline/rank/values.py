"""Values of an expression over all candidates, and functions lifted to them.

A value is a column of numbers, a tensor that is the same for every document, or a batch of one
tensor per document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from siftline.errors import QueryError
from siftline.rank.nodes import Reference
from siftline.tensor.batch import (
    Batch,
    DenseBatch,
    RaggedBatch,
    SparseBatch,
    TensorBatch,
    batch_form,
    stack,
)
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import SCALAR, TensorType

#: Column `(n,)` float64, a Tensor for all documents, or a Batch of n rows.
Value = np.ndarray | Tensor | Batch

#: A type without mapped dimensions and cells `(n or 1, *shape)`.
Dense = tuple[TensorType, np.ndarray]

ONCE, VECTORISED, PER_DOCUMENT = "once", "vectorised", "per document"


class FeatureSource(Protocol):
    """Where a program gets the features of all candidates."""

    count: int

    def feature(self, reference: Reference) -> Value:
        """The values of a feature or function: `count` rows, or a Tensor for all documents."""
        ...


def dense_view(value: Value) -> Dense | None:
    """A value without mapped dimensions as type and cells, leading axis documents or 1."""
    if isinstance(value, np.ndarray):
        return SCALAR, value
    if isinstance(value, DenseBatch):
        return value.type, value.values
    if isinstance(value, Tensor) and not value.type.mapped:
        return value.type, value.cells
    return None


def from_dense(dense: Dense, count: int) -> Value:
    """Type and cells as a value of `count` documents."""
    type_, cells = dense
    if len(cells) != count:
        cells = np.repeat(cells, count, axis=0)
    if not type_.dimensions:
        return np.asarray(cells, np.float64)
    return DenseBatch(type_, cells, np.ones(count, bool))


def value_type(value: Value) -> TensorType:
    """The tensor type of a value; a column is a scalar."""
    return SCALAR if isinstance(value, np.ndarray) else value.type


def row(value: Value, document: int) -> Tensor:
    """The value of one document; an absent tensor is the empty one."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return Tensor.scalar(value[document])
    found = value.tensor(document)
    return Tensor.empty(value.type) if found is None else found


def example(value: Value) -> Tensor:
    """A tensor of the value's type, to learn the type of a result where there is no document."""
    return value if isinstance(value, Tensor) else Tensor.empty(value_type(value))


def from_rows(tensors: Sequence[Tensor], type_: TensorType) -> Value:
    """One tensor for each document as a value; QueryError unless all have the type."""
    for tensor in tensors:
        if tensor.type != type_:
            raise QueryError(
                f"a value is of type {tensor.type} for one document and {type_} for another"
            )
    if not type_.dimensions:
        return np.array([float(tensor) for tensor in tensors], np.float64)
    if batch_form(type_) == "dense":
        return stack(type_, tensors)
    return TensorBatch(type_, tuple(tensors))


def per_document(
    operands: Sequence[Value], count: int, function: Callable[..., Tensor]
) -> tuple[Value, str]:
    """`function` of the operands' tensors, document by document; and that it went this way."""
    tensors = [function(*(row(value, i) for value in operands)) for i in range(count)]
    type_ = tensors[0].type if tensors else function(*map(example, operands)).type
    return from_rows(tensors, type_), PER_DOCUMENT


def lift(
    operands: Sequence[Value],
    count: int,
    whole: Callable[..., Tensor],
    dense: Callable[..., Dense] | None = None,
) -> tuple[Value, str]:
    """A tensor function over all documents, and the way it went.

    Operands that are all the same for every document: `whole` once. Operands without mapped
    dimensions, where there is a `dense` function of their types and cells: that, on all documents
    at once. Else `whole` document by document.
    """
    if all(isinstance(value, Tensor) for value in operands):
        return whole(*operands), ONCE
    if dense is not None:
        views = [dense_view(value) for value in operands]
        if all(view is not None for view in views):
            return from_dense(dense(*views), count), VECTORISED
    return per_document(operands, count, whole)


def finished(value: Value) -> Value:
    """A value in the batch form that its type has."""
    return stack(value.type, value.tensors) if isinstance(value, TensorBatch) else value


def checked(value: Value, count: int, name: str) -> Value:
    """A feature's value; QueryError unless it has one row for each document."""
    if isinstance(value, Tensor):
        return value
    if len(value) != count:
        raise QueryError(f"feature {name} has {len(value)} values for {count} documents")
    if isinstance(value, DenseBatch) and not value.type.dimensions:
        value = value.values
    if isinstance(value, np.ndarray):
        return value.astype(np.float64, copy=False)
    if isinstance(value, (DenseBatch, SparseBatch, RaggedBatch, TensorBatch)):
        return value
    raise QueryError(f"feature {name} is neither numbers nor tensors but {type(value).__name__}")

"""Recognised expressions and the kernels that compute them for all candidates.

    MaxSim          reduce(reduce(reduce(a * b, sum, x), max, t), sum, q), also without the last
    dot product     reduce(a * b, sum, …)

Names of features and dimensions are free, the operands stand in either order, and either may be
any expression; MaxSim's document side may be wrapped in unpack_bits. Whether a kernel applies
shows when the operands' values are known: it needs the query side to be one tensor. Elsewhere the
pattern is computed by the primitives it is written with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from siftline.rank import kernels
from siftline.rank.nodes import Binary, Call, Join, Node, Reduce, Reference, UnpackBits
from siftline.rank.values import Value
from siftline.tensor.algebra import decayed, widened
from siftline.tensor.batch import DenseBatch, RaggedBatch, SparseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType


@dataclass(frozen=True, slots=True)
class MaxSim:
    """Two operands multiplied, summed over `inner`, maximum over `tokens`, summed over `outer`.

    outer: None where the expression ends with the maximum; () sums over what is left.
    unpacked: which operands were wrapped in unpack_bits, which is stripped here.
    """

    left: Node
    right: Node
    unpacked: tuple[bool, bool]
    inner: tuple[str, ...]
    tokens: str
    outer: tuple[str, ...] | None

    @property
    def detail(self) -> tuple[object, ...]:
        """What the pattern says besides its operands."""
        return self.unpacked, self.inner, self.tokens, self.outer


def find_maxsim(node: Node) -> MaxSim | None:
    """The MaxSim that the node spells, if it does."""
    outer: tuple[str, ...] | None = None
    if isinstance(node, Reduce) and node.aggregator == "sum":
        outer, node = node.dimensions, node.tensor
    maximum = _maximum(node)
    if maximum is None:
        return None
    tokens, inner = maximum
    if not (isinstance(inner, Reduce) and inner.aggregator == "sum" and inner.dimensions):
        return None
    factors = _factors(inner.tensor)
    if factors is None:
        return None
    stripped = [_packed(factor) for factor in factors]
    unpacked = (stripped[0] is not None, stripped[1] is not None)
    left, right = (s or f for s, f in zip(stripped, factors, strict=True))
    return MaxSim(left, right, unpacked, inner.dimensions, tokens, outer)


def _maximum(node: Node) -> tuple[str, Node] | None:
    """`reduce(t, max, d)` or `max(t, d)` as dimension and tensor."""
    if isinstance(node, Reduce) and node.aggregator == "max" and len(node.dimensions) == 1:
        return node.dimensions[0], node.tensor
    if isinstance(node, Call) and node.name == "max" and len(node.arguments) == 2:
        tensor, second = node.arguments
        if isinstance(second, Reference) and second.bare:
            return second.name, tensor
    return None


def _packed(node: Node) -> Node | None:
    return node.tensor if isinstance(node, UnpackBits) and node.big else None


def _factors(node: Node) -> tuple[Node, Node] | None:
    """The operands of a product, written with `*` or as a join."""
    if isinstance(node, Join):
        names = tuple(Reference(name) for name in node.function.parameters)
        body = node.function.body
        if body in (Binary("*", *names), Binary("*", *reversed(names))):
            return node.left, node.right
    return (node.left, node.right) if isinstance(node, Binary) and node.operator == "*" else None


def find_dot(node: Node) -> tuple[Node, Node] | None:
    """The operands of `reduce(a * b, sum, …)`, if the node is one."""
    if isinstance(node, Reduce) and node.aggregator == "sum":
        return _factors(node.tensor)
    return None


def run_maxsim(pattern: MaxSim, left: Value, right: Value) -> tuple[Value, str] | None:
    """MaxSim by kernel and the kernel's name; None where the values do not fit one."""
    for query, documents, packed, plain in (
        (left, right, pattern.unpacked[1], not pattern.unpacked[0]),
        (right, left, pattern.unpacked[0], not pattern.unpacked[1]),
    ):
        if not (isinstance(query, Tensor) and isinstance(documents, RaggedBatch) and plain):
            continue
        matrix = _query_matrix(pattern, query, documents.type, 8 if packed else 1)
        if matrix is None or (packed and documents.type.cell != "int8"):
            return None
        others = _others(pattern, query)
        if pattern.outer is None and others:
            return _best_of_each(query, others[0], matrix, documents, packed), "kernel maxima"
        if packed:
            scores = kernels.maxsim_bits(matrix, documents.offsets, documents.rows)
            return scores, "kernel maxsim_bits"
        return kernels.maxsim(matrix, documents.offsets, documents.rows), "kernel maxsim"
    return None


def _others(pattern: MaxSim, query: Tensor) -> list[str]:
    """The query's dimensions besides the inner one."""
    return [d.name for d in query.type.dimensions if d.name not in pattern.inner]


def _query_matrix(
    pattern: MaxSim, query: Tensor, documents: TensorType, widening: int
) -> np.ndarray | None:
    """The query `(q, d)` of floats, if all dimensions are as MaxSim needs them.

    The documents have the token dimension and the inner one, the query the inner one and at most
    one other, which the last sum covers if there is one.
    """
    if documents.mapped != (pattern.tokens,) or documents.indexed != pattern.inner:
        return None
    others = _others(pattern, query)
    if len(others) > 1 or (pattern.outer and list(pattern.outer) != others):
        return None
    if pattern.inner[0] not in query.type.indexed or pattern.tokens in others:
        return None
    axis = 1 + query.type.indexed.index(pattern.inner[0])
    if query.cells.shape[axis] != documents.shape[0] * widening:
        return None
    cells = np.moveaxis(query.cells, axis, -1)
    return widened(cells.reshape(-1, cells.shape[-1]))


def _best_of_each(
    query: Tensor, dimension: str, matrix: np.ndarray, documents: RaggedBatch, packed: bool
) -> Value:
    """The maxima of a MaxSim without its sum, a tensor over the query's other dimension."""
    rows = kernels.unpacked(documents.rows) if packed else documents.rows
    best = kernels.maxima(matrix, documents.offsets, rows)
    kept = tuple(d for d in query.type.dimensions if d.name == dimension)
    type_ = TensorType(decayed(query.type, documents.type), kept)
    if not type_.mapped:
        return DenseBatch(type_, best.astype(type_.dtype), np.ones(len(best), bool))
    filled = np.diff(documents.offsets) > 0
    width = len(query.labels)
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(filled * width)])
    tokens = np.tile(np.arange(width, dtype=np.int32), int(filled.sum()))
    vocabulary = tuple(label for (label,) in query.labels)
    return SparseBatch(
        type_, indptr, tokens, best[filled].reshape(-1).astype(type_.dtype), vocabulary
    )


def run_dot(dimensions: Sequence[str], left: Value, right: Value) -> tuple[Value, str] | None:
    """A dot product by kernel and the kernel's name; None where the values do not fit one."""
    for query, documents in ((left, right), (right, left)):
        if not isinstance(query, Tensor) or not query.type.dimensions:
            continue
        names = [d.name for d in query.type.dimensions]
        if dimensions and sorted(dimensions) != names:
            continue
        if isinstance(documents, SparseBatch) and documents.type.mapped == query.type.mapped:
            if not query.type.indexed:
                return _sparse_dot(query, documents), "kernel sparse_dot"
        if isinstance(documents, DenseBatch) and not query.type.mapped:
            if query.type.dimensions == documents.type.dimensions:
                flat = documents.values.reshape(len(documents), -1)
                return kernels.dense_dot(query.cells.reshape(-1), flat), "kernel dense_dot"
    return None


def _sparse_dot(query: Tensor, documents: SparseBatch) -> np.ndarray:
    double = "double" in (query.type.cell, documents.type.cell)
    table = np.zeros(len(documents.vocabulary), np.float64 if double else np.float32)
    for (label,), weight in zip(query.labels, query.cells, strict=True):
        token = documents.token(label)
        if token >= 0:
            table[token] = weight
    scores: np.ndarray = kernels.sparse_dot(
        documents.indptr, documents.tokens, documents.weights, table
    )
    return scores

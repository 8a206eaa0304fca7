"""The tensor algebra: map, join, merge and reduce (Vespa reference, tensor functions).

Every function exists twice: on a Tensor, and as `*_cells` on `(m, *type.shape)` arrays of the
indexed part alone, where the leading axis is whatever the caller stacks there: the blocks of one
tensor, or one row for each document. Cells are computed in the wider of the operands' float types
and rounded once to the cell type of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from siftline.errors import UsageError
from siftline.tensor.tensor import Address, Tensor
from siftline.tensor.types import SCALAR, CellType, Dimension, TensorType

#: A function of cells: arrays that broadcast against each other to an array of their shape.
CellFunction = Callable[..., np.ndarray]

AGGREGATORS = ("avg", "count", "max", "median", "min", "prod", "sum")

_UFUNCS: dict[str, np.ufunc] = {
    "avg": np.add,
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def decayed(*types: TensorType) -> CellType:
    """The cell type of a computed tensor: double if an operand with dimensions has it, else float.

    An operand without dimensions has no say; where no operand has dimensions it is double.
    """
    cells = {type_.cell for type_ in types if type_.dimensions}
    return "double" if not cells or "double" in cells else "float"


def map_type(type_: TensorType) -> TensorType:
    """The type of map(t, f)."""
    return TensorType(decayed(type_), type_.dimensions)


def join_dimensions(left: TensorType, right: TensorType) -> tuple[Dimension, ...]:
    """Dimensions of either operand; of two sizes the smaller. UsageError if mapped and indexed."""
    found = {d.name: d for d in left.dimensions}
    for dimension in right.dimensions:
        other = found.get(dimension.name, dimension)
        if other.mapped != dimension.mapped:
            raise UsageError(
                f"dimension '{other.name}' is mapped in one operand and indexed in the other: "
                f"{left} and {right}"
            )
        smaller = dimension.size is not None and dimension.size < (other.size or 0)
        found[dimension.name] = dimension if smaller else other
    return tuple(found.values())


def join_type(left: TensorType, right: TensorType) -> TensorType:
    """The type of join(a, b, f)."""
    return TensorType(decayed(left, right), join_dimensions(left, right))


def merge_type(left: TensorType, right: TensorType) -> TensorType:
    """The type of merge(a, b, f); UsageError unless both have the same dimensions."""
    if left.dimensions != right.dimensions:
        raise UsageError(f"merge needs operands of the same dimensions, not {left} and {right}")
    return TensorType(decayed(left, right), left.dimensions)


def reduce_type(type_: TensorType, dimensions: Sequence[str]) -> TensorType:
    """The type of reduce(t, aggregator, dimensions); no dimensions means all of them."""
    names = [d.name for d in type_.dimensions]
    for name in dimensions:
        if name not in names:
            raise UsageError(f"{type_} has no dimension '{name}' to reduce")
    if len(set(dimensions)) != len(dimensions):
        raise UsageError(f"a dimension is reduced twice: {', '.join(dimensions)}")
    kept = tuple(d for d in type_.dimensions if dimensions and d.name not in dimensions)
    return TensorType(decayed(type_), kept) if kept else SCALAR


def map_cells(type_: TensorType, cells: np.ndarray, function: CellFunction) -> np.ndarray:
    """`function` of every cell; `(m, *type.shape)` of the dtype of `map_type(type_)`."""
    with np.errstate(all="ignore"):
        mapped = np.broadcast_to(function(widened(cells)), cells.shape)
        return mapped.astype(map_type(type_).dtype)


def map_(tensor: Tensor, function: CellFunction) -> Tensor:
    """map(t, f): `function` of every cell."""
    cells = map_cells(tensor.type, tensor.cells, function)
    return Tensor(map_type(tensor.type), tensor.labels, cells)


def join_cells(
    left: tuple[TensorType, np.ndarray],
    right: tuple[TensorType, np.ndarray],
    result: TensorType,
    function: CellFunction,
) -> np.ndarray:
    """`function` of cells at equal indexes; leading axes must be equal or 1.

    left, right: a type and its cells `(m, *shape)`. Returns `(m, *result.shape)` of result.dtype.
    """
    first = widened(align(*left, result))
    second = widened(align(*right, result))
    shape = (max(len(first), len(second)) if len(first) and len(second) else 0, *result.shape)
    with np.errstate(all="ignore"):
        return np.broadcast_to(function(first, second), shape).astype(result.dtype)


def join(left: Tensor, right: Tensor, function: CellFunction) -> Tensor:
    """join(a, b, f): the natural join; blocks pair where all shared mapped labels are equal."""
    result = join_type(left.type, right.type)
    first, second = block_pairs(left, right)
    cells = join_cells(
        (left.type, left.cells[first]), (right.type, right.cells[second]), result, function
    )
    return Tensor(result, joined_labels(left, right, result, first, second), cells)


def merge(left: Tensor, right: Tensor, function: CellFunction) -> Tensor:
    """merge(a, b, f): blocks of either operand; `function` where both have one."""
    result = merge_type(left.type, right.type)
    at = {address: position for position, address in enumerate(right.labels)}
    shared = [i for i, address in enumerate(left.labels) if address in at]
    pairs = [at[left.labels[i]] for i in shared]
    both = join_cells(
        (left.type, left.cells[shared]), (right.type, right.cells[pairs]), result, function
    )
    cells = np.array(left.cells, dtype=result.dtype)
    cells[shared] = both
    known = set(left.labels)
    added = [i for i, address in enumerate(right.labels) if address not in known]
    labels = left.labels + tuple(right.labels[i] for i in added)
    return Tensor(result, labels, np.concatenate([cells, right.cells[added].astype(result.dtype)]))


def reduce(tensor: Tensor, aggregator: str, dimensions: Sequence[str] = ()) -> Tensor:
    """reduce(t, aggregator, dimensions…): no dimensions means all, which gives a double scalar.

    Without any cell, a result that has no mapped dimension is zero for every aggregator, as in
    Vespa; a result with mapped dimensions has no cells.
    """
    result = reduce_type(tensor.type, dimensions)
    if aggregator not in AGGREGATORS:
        raise UsageError(f"unknown aggregator '{aggregator}' (known: {', '.join(AGGREGATORS)})")
    if not tensor.labels:
        return Tensor.empty(result)
    axes = _reduced_axes(tensor.type, result)
    kept = [i for i, name in enumerate(tensor.type.mapped) if name in result.mapped]
    labels, groups = _group(tensor.labels, kept)
    cells = reduce_groups(tensor.cells.astype(np.float64), groups, len(labels), axes, aggregator)
    with np.errstate(all="ignore"):
        return Tensor(result, labels, cells.astype(result.dtype))


def reduce_cells(
    type_: TensorType, cells: np.ndarray, aggregator: str, dimensions: Sequence[str]
) -> np.ndarray:
    """Reduce indexed dimensions only; `(m, *result.shape)` of the dtype of `reduce_type`."""
    result = reduce_type(type_, dimensions)
    axes = _reduced_axes(type_, result)
    groups = np.arange(len(cells))
    reduced = reduce_groups(cells.astype(np.float64), groups, len(cells), axes, aggregator)
    with np.errstate(all="ignore"):
        return reduced.astype(result.dtype)


def reduce_groups(
    cells: np.ndarray, groups: np.ndarray, count: int, axes: tuple[int, ...], aggregator: str
) -> np.ndarray:
    """Aggregate the blocks of each group, and the axes, of double cells `(m, …)`.

    groups `(m,)` int64 in 0 … count-1, none of them empty. Returns double `(count, …)`.
    """
    with np.errstate(all="ignore"):
        if aggregator == "median":
            return _medians(cells, groups, count, axes)
        width = int(np.prod([cells.shape[axis] for axis in axes], dtype=np.int64))
        sizes = np.bincount(groups, minlength=count) * float(width)
        remaining = tuple(n for i, n in enumerate(cells.shape[1:], 1) if i not in axes)
        sizes = sizes.reshape(-1, *(1 for _ in remaining))
        if aggregator == "count":
            return np.broadcast_to(sizes, (count, *remaining))
        ufunc = _UFUNCS[aggregator]
        reduced = ufunc.reduce(cells, axis=axes) if axes else cells
        if count != len(cells):
            order = np.argsort(groups, kind="stable")
            starts = np.searchsorted(groups[order], np.arange(count))
            reduced = ufunc.reduceat(reduced[order], starts, axis=0)
        return reduced / sizes if aggregator == "avg" else reduced


def widened(cells: np.ndarray) -> np.ndarray:
    """Cells as floats: int8 as float32, others as they are."""
    return cells.astype(np.float32) if cells.dtype == np.int8 else cells


def align(type_: TensorType, cells: np.ndarray, result: TensorType) -> np.ndarray:
    """Cells `(m, *shape)` with an axis for every indexed dimension of `result`, 1 where absent."""
    sizes = {d.name: d.size for d in type_.dimensions if not d.mapped}
    wanted = [d for d in result.dimensions if not d.mapped]
    cut = tuple(slice(0, d.size) for d in wanted if d.name in sizes)
    cells = cells[(slice(None), *cut)]
    lengths = iter(cells.shape[1:])
    return cells.reshape(len(cells), *(next(lengths) if d.name in sizes else 1 for d in wanted))


def block_pairs(left: Tensor, right: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the blocks that a join combines, in the order of `left`."""
    shared = [name for name in left.type.mapped if name in right.type.mapped]
    mine = [left.type.mapped.index(name) for name in shared]
    theirs = [right.type.mapped.index(name) for name in shared]
    at: dict[Address, list[int]] = {}
    for position, address in enumerate(right.labels):
        at.setdefault(tuple(address[i] for i in theirs), []).append(position)
    pairs = [
        (position, match)
        for position, address in enumerate(left.labels)
        for match in at.get(tuple(address[i] for i in mine), ())
    ]
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def joined_labels(
    left: Tensor, right: Tensor, result: TensorType, first: np.ndarray, second: np.ndarray
) -> tuple[Address, ...]:
    """Labels of the joined blocks, in the dimension order of `result`."""
    source = [
        (True, left.type.mapped.index(name))
        if name in left.type.mapped
        else (False, right.type.mapped.index(name))
        for name in result.mapped
    ]
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return tuple(
        tuple(left.labels[i][at] if mine else right.labels[j][at] for mine, at in source)
        for i, j in pairs
    )


def dense_addresses(type_: TensorType) -> list[tuple[int, ...]]:
    """Index tuples of the cells of a block, in order."""
    return list(product(*(range(size) for size in type_.shape)))


def _reduced_axes(type_: TensorType, result: TensorType) -> tuple[int, ...]:
    return tuple(1 + i for i, name in enumerate(type_.indexed) if name not in result.indexed)


def _group(
    labels: tuple[Address, ...], kept: Sequence[int]
) -> tuple[tuple[Address, ...], np.ndarray]:
    """Distinct labels of the kept dimensions, and which of them each block belongs to."""
    found: dict[Address, int] = {}
    groups = [found.setdefault(tuple(a[i] for i in kept), len(found)) for a in labels]
    return tuple(found), np.array(groups, np.int64)


def _medians(
    cells: np.ndarray, groups: np.ndarray, count: int, axes: tuple[int, ...]
) -> np.ndarray:
    if not count:
        return np.median(cells, axis=axes) if axes else cells
    medians = [np.median(cells[groups == group], axis=(0, *axes)) for group in range(count)]
    return np.stack(medians)

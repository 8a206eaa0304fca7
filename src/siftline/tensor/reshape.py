"""Tensor functions that rearrange cells: rename, concat, slice, cast, generate, unpack bits.

As in the algebra, `*_cells` works on `(m, *type.shape)` arrays of the indexed part alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from siftline.errors import UsageError
from siftline.tensor.algebra import (
    CellFunction,
    align,
    block_pairs,
    join,
    join_dimensions,
    joined_labels,
    widened,
)
from siftline.tensor.bits import round_bfloat16
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import CELL_TYPES, SCALAR, CellType, Dimension, TensorType


def rename_type(type_: TensorType, old: Sequence[str], new: Sequence[str]) -> TensorType:
    """The type with dimensions renamed; UsageError for an unknown or clashing name."""
    if len(old) != len(new):
        raise UsageError(f"rename needs as many new names as old ones: {old} and {new}")
    names = {d.name for d in type_.dimensions}
    for name in old:
        if name not in names:
            raise UsageError(f"{type_} has no dimension '{name}' to rename")
    renamed = dict(zip(old, new, strict=True))
    return TensorType(
        type_.cell,
        tuple(Dimension(renamed.get(d.name, d.name), d.mapped, d.size) for d in type_.dimensions),
    )


def rename_cells(
    type_: TensorType, cells: np.ndarray, old: Sequence[str], new: Sequence[str]
) -> np.ndarray:
    """Cells with their axes in the name order of the renamed type."""
    result = rename_type(type_, old, new)
    before = [dict(zip(old, new, strict=True)).get(name, name) for name in type_.indexed]
    return cells.transpose(0, *(1 + before.index(name) for name in result.indexed))


def rename(tensor: Tensor, old: Sequence[str], new: Sequence[str]) -> Tensor:
    """rename(t, old, new): other dimension names, the same cells."""
    result = rename_type(tensor.type, old, new)
    before = [dict(zip(old, new, strict=True)).get(name, name) for name in tensor.type.mapped]
    order = [before.index(name) for name in result.mapped]
    labels = tuple(tuple(address[i] for i in order) for address in tensor.labels)
    return Tensor(result, labels, rename_cells(tensor.type, tensor.cells, old, new))


def concat_type(left: TensorType, right: TensorType, dimension: str) -> TensorType:
    """The type of concat(a, b, dimension); equal cell types stay, others unify without decay."""
    total = 0
    for type_ in (left, right):
        if dimension in type_.mapped:
            raise UsageError(f"concat along a mapped dimension: '{dimension}' of {type_}")
        total += next((d.size or 0 for d in type_.dimensions if d.name == dimension), 1)
    others = [d for d in join_dimensions(left, right) if d.name != dimension]
    cells = {type_.cell for type_ in (left, right) if type_.dimensions}
    cell: CellType = cells.pop() if len(cells) == 1 else _unified(cells)
    return TensorType(cell, (*others, Dimension(dimension, mapped=False, size=total)))


def _unified(cells: set[CellType]) -> CellType:
    return "double" if not cells or "double" in cells else "float"


def concat_cells(
    left: tuple[TensorType, np.ndarray],
    right: tuple[TensorType, np.ndarray],
    result: TensorType,
    dimension: str,
) -> np.ndarray:
    """Cells of the left operand, then of the right along `dimension`; leading axes equal or 1."""
    axis = 1 + result.indexed.index(dimension)
    parts = [align(*left, result), align(*right, result)]
    leading = max(len(part) for part in parts) if all(map(len, parts)) else 0
    full = []
    for part in parts:
        shape = [leading, *result.shape]
        shape[axis] = part.shape[axis]
        full.append(np.broadcast_to(part, shape))
    return np.concatenate(full, axis=axis).astype(result.dtype)


def concat(left: Tensor, right: Tensor, dimension: str) -> Tensor:
    """concat(a, b, d): along indexed dimension d, of size 1 where an operand lacks it."""
    result = concat_type(left.type, right.type, dimension)
    first, second = block_pairs(left, right)
    cells = concat_cells(
        (left.type, left.cells[first]), (right.type, right.cells[second]), result, dimension
    )
    return Tensor(result, joined_labels(left, right, result, first, second), cells)


def slice_type(type_: TensorType, address: Mapping[str, str | int]) -> TensorType:
    """The type with the addressed dimensions gone; scalar when all are."""
    names = [d.name for d in type_.dimensions]
    for name in address:
        if name not in names:
            raise UsageError(f"{type_} has no dimension '{name}' to slice")
    kept = tuple(d for d in type_.dimensions if d.name not in address)
    return TensorType(type_.cell, kept) if kept else SCALAR


def slice_cells(
    type_: TensorType, cells: np.ndarray, address: Mapping[str, str | int]
) -> np.ndarray:
    """Cells at the given indexes; zero where a computed index (an int) lies outside.

    A written index (a str) must be a number inside the dimension, else UsageError.
    """
    result = slice_type(type_, address)
    where: list[int | slice] = [slice(None)]
    for dimension in type_.dimensions:
        if dimension.mapped:
            continue
        label = address.get(dimension.name)
        if isinstance(label, str) and not (label.isdecimal() and int(label) < _size(dimension)):
            raise UsageError(f"{type_} has no index '{label}' in dimension '{dimension.name}'")
        if label is not None and not 0 <= int(label) < _size(dimension):
            return np.zeros((len(cells), *result.shape), result.dtype)
        where.append(slice(None) if label is None else int(label))
    found: np.ndarray = cells[tuple(where)].astype(result.dtype)
    return found


def _size(dimension: Dimension) -> int:
    return dimension.size or 0


def slice_(tensor: Tensor, address: Mapping[str, str | int]) -> Tensor:
    """t{d: label, …}: the subtensor at an address, 0 where a full address has no cell."""
    result = slice_type(tensor.type, address)
    names = tensor.type.mapped
    wanted = [(i, str(address[name])) for i, name in enumerate(names) if name in address]
    kept = [i for i, name in enumerate(names) if name not in address]
    rows = [
        row
        for row, labels in enumerate(tensor.labels)
        if all(labels[i] == label for i, label in wanted)
    ]
    cells = slice_cells(tensor.type, tensor.cells[rows], address)
    if not rows and not result.mapped:
        return Tensor.empty(result)
    return Tensor(result, tuple(tuple(tensor.labels[r][i] for i in kept) for r in rows), cells)


def cast_cells(cells: np.ndarray, cell: CellType) -> np.ndarray:
    """Cells in another cell type: bfloat16 rounds, int8 truncates and keeps to -128..127."""
    with np.errstate(all="ignore"):
        if cell == "int8":
            whole = np.nan_to_num(np.trunc(widened(cells)))
            whole_cells: np.ndarray = np.clip(whole, -128, 127).astype(np.int8)
            return whole_cells
        single: np.ndarray = cells.astype(np.float64 if cell == "double" else np.float32)
        return round_bfloat16(single) if cell == "bfloat16" else single


def cast_type(type_: TensorType, cell: str) -> TensorType:
    """The type with another cell type; a scalar stays double."""
    if cell not in CELL_TYPES:
        raise UsageError(f"unknown cell type '{cell}' (known: {', '.join(CELL_TYPES)})")
    return TensorType(cell, type_.dimensions) if type_.dimensions else SCALAR  # type: ignore[arg-type]


def cell_cast(tensor: Tensor, cell: str) -> Tensor:
    """cell_cast(t, cell): the same cells in another cell type."""
    result = cast_type(tensor.type, cell)
    return Tensor(result, tensor.labels, cast_cells(tensor.cells, result.cell))


def unpack_type(type_: TensorType, cell: str = "float") -> TensorType:
    """The type of unpack_bits: the last indexed dimension eight times as long."""
    if type_.cell != "int8" or not type_.indexed:
        raise UsageError(f"unpack_bits needs int8 cells and an indexed dimension, not {type_}")
    last = type_.indexed[-1]
    return cast_type(
        TensorType(
            "float",
            tuple(
                Dimension(d.name, mapped=False, size=8 * _size(d)) if d.name == last else d
                for d in type_.dimensions
            ),
        ),
        cell,
    )


def unpack_cells(cells: np.ndarray, cell: CellType = "float", *, big: bool = True) -> np.ndarray:
    """int8 `(…, N)` to `(…, 8N)` of 0 and 1, the top bit of each byte first if `big`."""
    packed = np.ascontiguousarray(cells).view(np.uint8)
    bits = np.unpackbits(packed, axis=-1, bitorder="big" if big else "little")
    return cast_cells(bits.astype(np.float32), cell)


def unpack_bits(tensor: Tensor, cell: str = "float", *, big: bool = True) -> Tensor:
    """unpack_bits(t, cell, big|little): every int8 cell becomes eight cells of 0 and 1."""
    result = unpack_type(tensor.type, cell)
    cells = unpack_cells(tensor.cells, result.cell, big=big)
    return Tensor(result, tensor.labels, cells)


def generate(type_: TensorType, function: CellFunction) -> Tensor:
    """type(expression): `function` of one index array for each dimension, in type order."""
    if type_.mapped:
        raise UsageError(f"a generated tensor has indexed dimensions only, not {type_}")
    grid = np.indices(type_.shape).astype(np.float64)
    with np.errstate(all="ignore"):
        values = np.broadcast_to(function(*grid), type_.shape)
        return Tensor(type_, ((),), cast_cells(np.array(values)[None], type_.cell))


def expand(tensor: Tensor, dimension: str) -> Tensor:
    """expand(t, d): t times one, with an indexed dimension d of size 1."""
    if any(d.name == dimension for d in tensor.type.dimensions):
        raise UsageError(f"{tensor.type} already has a dimension '{dimension}'")
    unit = TensorType("float", (Dimension(dimension, mapped=False, size=1),))
    return join(tensor, Tensor.dense(unit, [1.0]), np.multiply)

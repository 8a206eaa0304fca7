"""One tensor value: labels of the mapped dimensions, one dense block of cells for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from siftline.errors import UsageError
from siftline.tensor.bits import round_bfloat16
from siftline.tensor.types import SCALAR, TensorType

Address = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor: `labels[i]` addresses block `cells[i]`.

    labels: one tuple per block, a label for each mapped dimension in type order; `((),)` for a
    tensor without mapped dimensions. cells: shape `(len(labels), *type.shape)`, dtype
    `type.dtype`. Indexed dimensions of the type are bound (have a size).
    """

    type: TensorType
    labels: tuple[Address, ...]
    cells: np.ndarray

    @staticmethod
    def scalar(value: float) -> Tensor:
        """The double tensor without dimensions."""
        return Tensor(SCALAR, ((),), np.array([value], dtype=np.float64))

    @staticmethod
    def empty(type_: TensorType) -> Tensor:
        """The value of an absent tensor: all zero without mapped dimensions, else no cells."""
        labels: tuple[Address, ...] = () if type_.mapped else ((),)
        return Tensor(type_, labels, np.zeros((len(labels), *type_.shape), type_.dtype))

    @staticmethod
    def dense(type_: TensorType, values: Any) -> Tensor:
        """A tensor with indexed dimensions only; `values` nested or flat, in type order."""
        array = to_cells(type_, values)
        if array.size != int(np.prod(type_.shape, dtype=np.int64)):
            raise UsageError(f"{type_} needs {int(np.prod(type_.shape))} values, got {array.size}")
        return Tensor(type_, ((),), array.reshape(1, *type_.shape))

    @staticmethod
    def blocks(type_: TensorType, blocks: Mapping[Address | str, Any]) -> Tensor:
        """A tensor with mapped dimensions from `{label or labels: cell or block}`, in order."""
        width = len(type_.mapped)
        labels = tuple((key,) if isinstance(key, str) else tuple(key) for key in blocks)
        if any(len(address) != width for address in labels):
            raise UsageError(f"{type_} needs {width} labels for each cell")
        size = int(np.prod(type_.shape, dtype=np.int64))
        rows = [to_cells(type_, value).reshape(-1) for value in blocks.values()]
        for address, row in zip(labels, rows, strict=True):
            if row.size != size:
                raise UsageError(
                    f"{type_} needs {size} values at {','.join(address)}, got {row.size}"
                )
        cells = np.stack(rows) if rows else np.zeros((0, size), type_.dtype)
        return Tensor(type_, labels, cells.reshape(len(rows), *type_.shape))

    @property
    def is_scalar(self) -> bool:
        """Whether the tensor has no dimensions."""
        return not self.type.dimensions

    @property
    def array(self) -> np.ndarray:
        """Cells of a tensor without mapped dimensions, shape `type.shape`."""
        if self.type.mapped:
            raise UsageError(f"{self.type} has mapped dimensions, so it is not one array")
        block: np.ndarray = self.cells[0]
        return block

    def __float__(self) -> float:
        if not self.is_scalar:
            raise UsageError(f"{self.type} is not a scalar")
        return float(self.cells[0])

    def as_dict(self) -> dict[Address, np.ndarray]:
        """Block by address; for comparison and display, not for speed."""
        return dict(zip(self.labels, self.cells, strict=True))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tensor) or self.type != other.type:
            return False
        mine, theirs = self.as_dict(), other.as_dict()
        return mine.keys() == theirs.keys() and all(
            np.array_equal(block, theirs[key], equal_nan=block.dtype.kind == "f")
            for key, block in mine.items()
        )

    __hash__ = None  # type: ignore[assignment]


def to_cells(type_: TensorType, values: Any) -> np.ndarray:
    """`values` as an array of the type's cells; bfloat16 rounded, int8 range checked."""
    try:
        array: np.ndarray = np.asarray(
            values, dtype=np.float64 if type_.cell in ("double", "int8") else np.float32
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"not numbers for {type_}: {error}") from None
    if type_.cell == "int8":
        if array.size and not -128 <= float(array.min()) <= float(array.max()) <= 127:
            raise UsageError(f"{type_} cells must lie in -128..127")
        return array.astype(np.int8)
    return round_bfloat16(array) if type_.cell == "bfloat16" else array


def sequence_labels(count: int) -> Sequence[Address]:
    """The labels "0", "1", … that array-like mapped dimensions use."""
    return tuple((str(i),) for i in range(count))

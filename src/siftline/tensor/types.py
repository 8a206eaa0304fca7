"""Tensor types: cell type and named dimensions in name order (Vespa reference, tensor guide)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from siftline.errors import UsageError

CellType = Literal["double", "float", "bfloat16", "int8"]
CELL_TYPES: tuple[str, ...] = get_args(CellType)

#: The numpy type that holds cells in memory; bfloat16 cells are float32 values already rounded.
CELL_DTYPES: dict[str, np.dtype] = {
    "double": np.dtype(np.float64),
    "float": np.dtype(np.float32),
    "bfloat16": np.dtype(np.float32),
    "int8": np.dtype(np.int8),
}


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension: mapped `x{}`, indexed `x[3]` (size 3) or unbound `x[]` (size None)."""

    name: str
    mapped: bool
    size: int | None = None

    def __str__(self) -> str:
        if self.mapped:
            return f"{self.name}{{}}"
        return f"{self.name}[{'' if self.size is None else self.size}]"


_TYPE = re.compile(r"^\s*tensor\s*(?:<\s*(\w+)\s*>)?\s*\(([^)]*)\)\s*$")
_DIMENSION = re.compile(r"^\s*([A-Za-z_]\w*)\s*(?:(\{\s*\})|\[\s*(\d*)\s*\])\s*$")


@dataclass(frozen=True, slots=True)
class TensorType:
    """A cell type and dimensions sorted by name; no dimensions is a scalar."""

    cell: CellType = "double"
    dimensions: tuple[Dimension, ...] = ()

    def __post_init__(self) -> None:
        names = [d.name for d in self.dimensions]
        if len(set(names)) != len(names):
            raise UsageError(f"a tensor type names a dimension twice: {', '.join(names)}")
        object.__setattr__(self, "dimensions", tuple(sorted(self.dimensions, key=lambda d: d.name)))

    @staticmethod
    @lru_cache(maxsize=4096)
    def parse(text: str) -> TensorType:
        """The type written as `tensor<float>(a{},x[3])`; UsageError if it is not one."""
        found = _TYPE.match(text)
        if not found:
            raise UsageError(f"not a tensor type: '{text}' (expected like tensor<float>(x[384]))")
        cell = found.group(1) or "double"
        if cell not in CELL_TYPES:
            raise UsageError(
                f"unknown cell type '{cell}' in '{text}' (known: {', '.join(CELL_TYPES)})"
            )
        dimensions = []
        for part in filter(None, (p.strip() for p in found.group(2).split(","))):
            dim = _DIMENSION.match(part)
            if not dim:
                raise UsageError(
                    f"not a tensor dimension: '{part}' in '{text}' (expected x{{}} or x[3])"
                )
            size = int(dim.group(3)) if dim.group(3) else None
            if size == 0:
                raise UsageError(f"dimension '{dim.group(1)}' has size 0 in '{text}'")
            dimensions.append(Dimension(dim.group(1), mapped=bool(dim.group(2)), size=size))
        return TensorType(cell, tuple(dimensions))  # type: ignore[arg-type]

    @property
    def mapped(self) -> tuple[str, ...]:
        """Names of the mapped dimensions, in order."""
        return tuple(d.name for d in self.dimensions if d.mapped)

    @property
    def indexed(self) -> tuple[str, ...]:
        """Names of the indexed dimensions, in order."""
        return tuple(d.name for d in self.dimensions if not d.mapped)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the indexed dimensions; UsageError where one is unbound."""
        sizes = [d.size for d in self.dimensions if not d.mapped]
        if any(size is None for size in sizes):
            raise UsageError(f"{self} has an unbound dimension, so it has no shape")
        return tuple(size for size in sizes if size is not None)

    @property
    def dtype(self) -> np.dtype:
        """The numpy type of the cells in memory."""
        return CELL_DTYPES[self.cell]

    def __str__(self) -> str:
        cell = "" if self.cell == "double" else f"<{self.cell}>"
        return f"tensor{cell}({','.join(map(str, self.dimensions))})"


SCALAR = TensorType()

"""Which cell type the tensors of a model have (spec 2.7)."""

from __future__ import annotations

import numpy as np

from siftline.tensor.types import CellType

#: numpy name of an element type → cell type; all others are double.
_CELLS: dict[str, CellType] = {
    "float32": "float",
    "float16": "float",
    "uint8": "float",
    "int16": "float",
    "uint16": "float",
    "int8": "int8",
    "bool": "int8",
}


def cell_type(dtype: np.dtype) -> CellType:
    """The cell type of a tensor whose elements a model has in that numpy type."""
    return _CELLS.get(dtype.name, "double")
